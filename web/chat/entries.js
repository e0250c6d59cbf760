/**
 * @module
 * Shows the entries of a message: thinking, tools, the plan, attachments.
 *
 * Each is a view that is made once and patched while its entry grows; text is `markdown-view.js`'s,
 * and which entries there are is `message.js`'s.
 */

import { h, setAttribute, setChildren, setText, strokes } from "../page/dom.js";
import { CHECK, CHEVRON, CROSS, PLAN, THOUGHT, TOOL } from "../page/icons.js";
import { copyButton, markdownIn } from "../page/markdown-view.js";
import { durationText } from "../page/time.js";

/**
 * @typedef {import("../client/wire.js").ToolCall} ToolCall
 * @typedef {import("../client/wire.js").PlanEntry} PlanEntry
 * @typedef {import("../client/wire.js").Attachment} Attachment
 */

/** Longer inputs and results are cut on the page; the copy button has all of it. */
const VALUE_CHARS_MAX = 20_000;

/**
 * What the model thought, folded away.
 */
export function thinkingView() {
  const label = h("span", { class: "label" });
  const prose = h("div", { class: "prose muted" });
  const show = markdownIn(prose);
  const summary = h("summary", null, strokes(CHEVRON, "icon turn"), strokes(THOUGHT), label);
  const node = h("details", { class: "entry thinking" }, summary, prose);
  const clock = watch();

  return {
    node,
    /**
     * @param {string} thinking
     * @param {boolean} isRunning
     */
    show(thinking, isRunning) {
      const tookMs = clock(isRunning);
      const took = tookMs === null ? "thought" : `thought for ${durationText(tookMs)}`;
      setText(label, isRunning ? "thinking" : took);
      node.classList.toggle("running", isRunning);
      show(thinking, isRunning);
    },
  };
}

/**
 * Measures what begins and ends before the reader's eyes; the rows do not say how long a part of a
 * message took, so that after a reload nothing is said.
 *
 * @returns {(isRunning: boolean) => number | null} milliseconds, once it has ended
 */
function watch() {
  /** @type {number | null} */
  let begun = null;
  /** @type {number | null} */
  let tookMs = null;
  return (isRunning) => {
    if (isRunning) begun ??= performance.now();
    else if (begun !== null) tookMs ??= performance.now() - begun;
    return tookMs;
  };
}

/** A tool call: its name and state in a line, input and result below it. */
export function toolView() {
  const name = h("code", { class: "name" });
  const title = h("span", { class: "title" });
  const took = h("span", { class: "muted number took" });
  const mark = h("span", { class: "mark" });
  const body = h("div", { class: "tool-body" });
  const node = h(
    "details",
    { class: "entry tool" },
    h("summary", null, strokes(CHEVRON, "icon turn"), strokes(TOOL), name, title, took, mark),
    body,
  );
  const clock = watch();
  /** @type {ToolCall | null} */
  let shown = null;

  /** Fills what is folded away only when it is unfolded. */
  function fill() {
    if (!shown || !node.open) return;
    const { input, result, error } = shown;
    const parts = [];
    if (input !== undefined) parts.push(valuePart("input", input));
    if (result !== undefined) parts.push(valuePart("result", result));
    if (error !== undefined) parts.push(valuePart("error", error));
    if (parts.length === 0) parts.push(h("p", { class: "muted small" }, "Nothing came with it."));
    setChildren(body, parts);
  }
  node.addEventListener("toggle", fill);

  return {
    node,
    /** @param {ToolCall} tool */
    show(tool) {
      const tookMs = clock(tool.status === "running");
      if (tool === shown) return;
      shown = tool;
      setText(name, tool.name);
      setText(title, tool.title ?? "");
      setText(took, tookMs === null ? "" : durationText(tookMs));
      setAttribute(node, "data-status", tool.status);
      node.classList.toggle("nested", tool.parent_id !== undefined);
      showMark(mark, tool.status);
      fill();
    },
  };
}

/**
 * @param {HTMLElement} mark
 * @param {"running" | "completed" | "failed"} status
 */
function showMark(mark, status) {
  if (mark.dataset["status"] === status) return;
  mark.dataset["status"] = status;
  const words = { running: "running", completed: "done", failed: "failed" };
  const aloud = h("span", { class: status === "failed" ? "word" : "aloud" }, words[status]);
  const pictures = { running: null, completed: strokes(CHECK), failed: strokes(CROSS) };
  const picture = pictures[status] ?? h("span", { class: "running-mark", "aria-hidden": "true" });
  mark.replaceChildren(aloud, picture);
}

/**
 * @param {"input" | "result" | "error"} label
 * @param {unknown} value
 */
function valuePart(label, value) {
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const cut = text.length > VALUE_CHARS_MAX;
  const shown = cut ? `${text.slice(0, VALUE_CHARS_MAX)}\n…` : text;
  return h(
    "figure",
    { class: `code value ${label}` },
    h(
      "figcaption",
      null,
      h("span", { class: "language" }, cut ? `${label}, its beginning` : label),
      copyButton(`copy the ${label}`, () => text),
    ),
    h("pre", { tabindex: "0", role: "group", "aria-label": label }, h("code", null, shown)),
  );
}

/** The plan: how much of it is done in a line, its steps below. */
export function planView() {
  const count = h("span", { class: "muted number" });
  const steps = h("ol", { class: "steps" });
  const node = h(
    "section",
    { class: "entry plan", "aria-label": "plan" },
    h("p", { class: "plan-head" }, strokes(PLAN), h("span", null, "plan"), count),
    steps,
  );
  /** @type {readonly PlanEntry[] | null} */
  let shown = null;

  return {
    node,
    /** @param {readonly PlanEntry[]} entries */
    show(entries) {
      if (entries === shown) return;
      shown = entries;
      const nDone = entries.filter((entry) => entry.status === "completed").length;
      setText(count, `${nDone} of ${entries.length}`);
      const nodes = entries.map((entry, n) => stepNode(steps.children[n], entry));
      setChildren(steps, nodes);
    },
  };
}

/**
 * @param {Element | undefined} former
 * @param {PlanEntry} entry
 */
function stepNode(former, entry) {
  const words = /** @type {Record<string, string>} */ ({
    completed: "done",
    in_progress: "in progress",
    pending: "to do",
  });
  const word = words[entry.status] ?? entry.status;
  const node = former ?? h("li", null, h("span", { class: "box" }), h("span"), h("span"));
  setAttribute(node, "data-status", entry.status);
  setAttribute(node, "class", entry.priority === "high" ? "high" : null);
  const [box, content, aloud] = node.children;
  if (box) box.replaceChildren(...(entry.status === "completed" ? [strokes(CHECK)] : []));
  if (content) setText(content, entry.content);
  if (aloud) {
    aloud.className = entry.status === "in_progress" ? "small step-word" : "aloud";
    setText(aloud, word);
  }
  return node;
}

/**
 * @param {readonly Attachment[]} attachments
 */
export function attachmentsNode(attachments) {
  const items = attachments.map((attachment) =>
    h("li", { title: attachment.media_type }, h("code", null, attachment.name)),
  );
  return h("ul", { class: "attachments", "aria-label": "attachments" }, items);
}
