/**
 * @module
 * Shows a message: its entries in order, how it ended, and what can be done with it.
 *
 * A view is made once for a message. It looks at a row only if it is another object than before,
 * and patches the entries that changed. Where messages stand is `transcript.js`'s.
 */

import { h, setAttribute, setChildren, setText, strokes } from "../page/dom.js";
import { LENS, RETRY, SEND, WARNING } from "../page/icons.js";
import { copyButton, markdownIn } from "../page/markdown-view.js";
import { clockText, durationText, moneyText, numberText } from "../page/time.js";
import { attachmentsNode, planView, thinkingView, toolView } from "./entries.js";
import { adviceOn, interruptedText } from "./failure.js";

/**
 * @typedef {import("../client/wire.js").MessageRow} MessageRow
 * @typedef {import("../client/wire.js").RenderEntry} RenderEntry
 * @typedef {import("../client/wire.js").Failure} Failure
 *
 * @typedef {object} MessageActions
 * @property {(messageId: string) => void} retry sends the user's text again
 * @property {() => void} goOn asks to continue what was interrupted
 * @property {(text: string) => void} suggest
 *
 * @typedef {object} Place what a message has to know of those around it
 * @property {boolean} isLast
 * @property {boolean} isIdle whether nothing runs or is on its way in the chat
 *
 * @typedef {(entry: any, isRunning: boolean) => void} ShowEntry
 * @typedef {{type: string, node: Element, show: ShowEntry}} EntryView
 */

/**
 * @param {MessageActions} actions
 */
export function messageView(actions) {
  const entries = h("div", { class: "entries" });
  const end = h("div", { class: "end" });
  const foot = h("p", { class: "foot muted small number" });
  const node = h("article", { class: "message" }, entries, end, foot);
  /** @type {EntryView[]} */
  let views = [];
  /** @type {MessageRow | null} */
  let shown = null;
  let shownPlace = "";

  /** @param {MessageRow} row */
  function showEntries(row) {
    const { events } = row.content_render;
    const isOpen = row.stream_status === "in_progress";
    const wanted = events.filter((entry) => placeOf(entry) === "entries");
    views = wanted.map((entry, n) => {
      const type = viewType(entry);
      const former = views[n];
      const view = former?.type === type ? former : entryView(entry);
      view.show(entry, isOpen && n === wanted.length - 1);
      setAttribute(view.node, "data-entry", entry.type);
      return view;
    });
    setChildren(entries, views.map((view) => view.node));
  }

  return {
    node,
    /**
     * @param {MessageRow} row
     * @param {Place} place
     */
    show(row, place) {
      const placeKey = `${place.isLast} ${place.isIdle}`;
      if (row === shown && (placeKey === shownPlace || row.role === "user")) return;
      const isNewRow = row !== shown;
      shown = row;
      shownPlace = placeKey;
      if (isNewRow) {
        showFrame(node, row);
        showEntries(row);
        showFoot(foot, row);
      }
      showEnd(end, row, place, actions);
    },
  };
}

/**
 * @param {HTMLElement} node
 * @param {MessageRow} row
 */
function showFrame(node, row) {
  const who = row.role === "user" ? "you" : "assistant";
  setAttribute(node, "data-role", row.role);
  setAttribute(node, "data-status", row.stream_status);
  setAttribute(node, "data-message-id", row.id);
  setAttribute(node, "aria-label", `${who}, ${clockText(row.created_at)}`);
  setAttribute(node, "aria-busy", row.stream_status === "in_progress" ? "true" : null);
}

/**
 * Where an entry is shown: in order, or at the end of the message.
 *
 * @param {RenderEntry} entry
 */
function placeOf(entry) {
  if (entry.type === "prompt_suggestions") return "end";
  return entry.type === "assistant_text" && entry.error ? "end" : "entries";
}

/**
 * What a view can be kept for: a tool's is its own.
 *
 * @param {RenderEntry} entry
 */
function viewType(entry) {
  return entry.type === "tool" ? `tool ${entry.tool.id}` : entry.type;
}

/**
 * @param {RenderEntry} entry
 * @returns {EntryView}
 */
function entryView(entry) {
  const type = viewType(entry);
  switch (entry.type) {
    case "user_text":
      return { type, ...userView() };
    case "assistant_thinking": {
      const view = thinkingView();
      const show = (/** @type {any} */ one, /** @type {boolean} */ isRunning) =>
        view.show(one.thinking, isRunning);
      return { type, node: view.node, show };
    }
    case "tool": {
      const view = toolView();
      return { type, node: view.node, show: (one) => view.show(one.tool) };
    }
    case "plan": {
      const view = planView();
      return { type, node: view.node, show: (one) => view.show(one.entries) };
    }
    case "assistant_text": {
      const node = h("div", { class: "entry prose" });
      const show = markdownIn(node);
      return { type, node, show: (one, isRunning) => show(one.text, isRunning) };
    }
    default:
      // A kind of entry that a later server adds is not shown rather than shown wrong.
      return { type, node: h("div", { hidden: true }), show: () => {} };
  }
}

/** What the user said, as it was typed. */
function userView() {
  const text = h("p", { class: "typed" });
  const files = h("div");
  const who = h("p", { class: "who muted small", "aria-hidden": "true" }, "you");
  const node = h("div", { class: "entry bubble" }, who, text, files);
  return {
    node,
    /** @param {Extract<RenderEntry, {type: "user_text"}>} entry */
    show(entry) {
      setText(text, entry.text);
      files.replaceChildren(...(entry.attachments ? [attachmentsNode(entry.attachments)] : []));
    },
  };
}

/**
 * @param {HTMLElement} foot
 * @param {MessageRow} row
 */
function showFoot(foot, row) {
  const isOpen = row.stream_status === "in_progress";
  // The link stays the same node, so that whoever is on it stays there when the message ends.
  const link = foot.querySelector("a") ?? inspectLink();
  setLink(link, row);
  if (isOpen && foot.dataset["open"] === "true") return;
  foot.dataset["open"] = String(isOpen);
  const parts = isOpen
    ? [h("span", { class: "status", "data-state": "streaming" }, "streaming")]
    : factsOf(row).map((text) => h("span", null, text));
  if (!isOpen) parts.push(copyButton("copy the message", () => row.content_text));
  setChildren(foot, [...parts, link]);
}

/** @param {MessageRow} row */
function factsOf(row) {
  const facts = [clockText(row.created_at)];
  const by = row.model ?? row.provider;
  if (by !== null) facts.push(by);
  if (row.duration_ms !== null) facts.push(durationText(row.duration_ms));
  const tokens = row.usage?.output_tokens;
  if (typeof tokens === "number") facts.push(`${numberText(tokens)} tokens`);
  if (row.total_cost_usd) facts.push(moneyText(row.total_cost_usd));
  return facts;
}

function inspectLink() {
  const props = { class: "inspect", title: "open in the inspector" };
  return h("a", props, strokes(LENS), h("span", { class: "aloud" }, "inspect "), h("span"));
}

/**
 * @param {Element} link
 * @param {MessageRow} row
 */
function setLink(link, row) {
  const query = new URLSearchParams({ chat: row.chat_id, message: row.id });
  setAttribute(link, "href", `/inspector?${query}`);
  const seq = link.lastElementChild;
  if (seq) setText(seq, `seq ${numberText(row.last_seq)}`);
}

/**
 * @param {HTMLElement} end
 * @param {MessageRow} row
 * @param {Place} place
 * @param {MessageActions} actions
 */
function showEnd(end, row, place, actions) {
  /** @type {Node[]} */
  const parts = [];
  if (row.error) parts.push(failureNode(row, row.error, actions));
  if (row.stream_status === "interrupted") parts.push(interruptedNode(row, place, actions));
  const suggested = row.content_render.events.find((entry) => entry.type === "prompt_suggestions");
  if (suggested?.type === "prompt_suggestions" && place.isLast && place.isIdle) {
    parts.push(suggestionsNode(suggested.suggestions, actions));
  }
  if (parts.length === 0 && end.childNodes.length === 0) return;
  end.replaceChildren(...parts);
}

/**
 * @param {MessageRow} row
 * @param {Failure} failure
 * @param {MessageActions} actions
 */
function failureNode(row, failure, actions) {
  const advice = adviceOn(failure);
  const retry = h(
    "button",
    { type: "button", onclick: () => actions.retry(row.id) },
    strokes(RETRY),
    "try again",
  );
  const detail = h("p", { class: "small muted" }, failure.message, " ");
  detail.append(h("code", null, failure.code));
  return h(
    "div",
    { class: "notice failed", "data-error-code": failure.code },
    h("p", null, strokes(WARNING), h("strong", null, "failed")),
    h("p", null, `${advice.happened} ${advice.next}`),
    failure.retryable && h("p", { class: "actions" }, retry),
    detail,
  );
}

/**
 * @param {MessageRow} row
 * @param {Place} place
 * @param {MessageActions} actions
 */
function interruptedNode(row, place, actions) {
  const goOn = h("button", { type: "button", onclick: actions.goOn }, strokes(SEND), "go on");
  return h(
    "div",
    { class: "notice interrupted" },
    h("span", { class: "status", "data-state": "interrupted" }, "interrupted"),
    h("span", { class: "muted small" }, interruptedText(row.interrupt_reason)),
    place.isLast && place.isIdle && goOn,
  );
}

/**
 * @param {readonly string[]} suggestions
 * @param {MessageActions} actions
 */
function suggestionsNode(suggestions, actions) {
  const buttons = suggestions.map((text) =>
    h("li", null, h("button", { type: "button", onclick: () => actions.suggest(text) }, text)),
  );
  return h("ul", { class: "suggestions", "aria-label": "suggestions" }, buttons);
}
