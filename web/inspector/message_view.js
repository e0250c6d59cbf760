/**
 * @module
 * A message as it was at a seq, and the difference of two such states, as nodes.
 *
 * Shows everything that a client is given, each entry by its name; it is for reading what happened,
 * so Markdown is left as it was written.
 */

import { h } from "../page/dom.js";
import { entryChanges, entryText, fieldChanges, labelOf } from "./difference.js";
import { durationText } from "./words.js";

/** @typedef {import("./calls.js").MessageState} MessageState */
/** @typedef {import("../client/wire.js").RenderEntry} RenderEntry */

const STATES = {
  in_progress: { word: "streaming", state: "streaming" },
  completed: { word: "completed", state: "done" },
  failed: { word: "failed", state: "failed" },
  interrupted: { word: "interrupted", state: "interrupted" },
};

/**
 * @param {MessageState} message
 * @returns {Node[]}
 */
export function messageView(message) {
  const { role, provider, model, stream_status, duration_ms, usage } = message;
  const status = STATES[stream_status] ?? { word: stream_status, state: "done" };
  const facts = [
    role,
    [provider, model].filter(Boolean).join(" "),
    typeof duration_ms === "number" ? durationText(duration_ms) : "",
    usage ? usageText(usage) : "",
    message.interrupt_reason ? `by ${message.interrupt_reason}` : "",
  ];
  const head = h(
    "p",
    { class: "message-head" },
    h("span", { class: "status", "data-state": status.state }, status.word),
    h("span", { class: "muted small" }, facts.filter(Boolean).join(" · ")),
  );
  const entries = message.content_render.events;
  if (entries.length === 0) {
    return [head, h("p", { class: "muted small" }, "Nothing has been said at this seq.")];
  }
  return [head, ...entries.map((entry) => entryView(entry))];
}

/** @param {RenderEntry} entry */
function entryView(entry) {
  const label = labelOf(entry);
  const state = entry.type === "tool" ? entry.tool.status : label === "error" ? "failed" : null;
  return h(
    "section",
    { class: "entry", "data-type": label === "error" ? "error" : entry.type },
    h("h3", null, label, state && entry.type === "tool" ? ` · ${state}` : ""),
    h("pre", null, entryText(entry)),
  );
}

/** @param {unknown} usage */
function usageText(usage) {
  const { input_tokens, output_tokens } = /** @type {Record<string, unknown>} */ (usage);
  const parts = [input_tokens && `${input_tokens} in`, output_tokens && `${output_tokens} out`];
  return parts.filter(Boolean).join(", ");
}

/**
 * What changed from one state to another; a message that was not there yet is null.
 *
 * @param {MessageState | null} before
 * @param {MessageState | null} after
 * @returns {Node[]}
 */
export function differenceView(before, after) {
  const fields = before && after ? fieldChanges(before, after) : [];
  const entries = entryChanges(
    before?.content_render.events ?? [],
    after?.content_render.events ?? [],
  );
  const changed = entries.filter(({ change }) => change !== "same");
  const nSame = entries.length - changed.length;
  if (changed.length === 0 && fields.length === 0) {
    return [h("p", { class: "muted small" }, "Nothing changed between these seqs.")];
  }
  const rows = fields.map((field) =>
    h(
      "div",
      null,
      h("dt", null, field.name),
      h("dd", null, h("del", null, field.before), " ", h("ins", null, field.after)),
    ),
  );
  return [
    ...(before ? [] : [h("p", { class: "muted small" }, "The message was not there before.")]),
    ...changed.map(({ change, label, parts }) =>
      h(
        "section",
        { class: "entry" },
        h("h3", null, `${label} · ${change}`),
        h("pre", null, parts.map(partView)),
      ),
    ),
    ...(nSame > 0 ? [h("p", { class: "muted small" }, `${nSame} entries did not change.`)] : []),
    ...(rows.length > 0 ? [h("dl", { class: "facts" }, rows)] : []),
  ];
}

/** Characters of kept text that are shown around a change. */
const CONTEXT_CHARS = 240;

/** @param {import("./difference.js").Part} part */
function partView({ op, text }) {
  if (op === "added") return h("ins", null, text);
  if (op === "removed") return h("del", null, text);
  if (text.length <= 2 * CONTEXT_CHARS) return text;
  const rest = text.length - 2 * CONTEXT_CHARS;
  const cut = h("span", { class: "muted" }, ` … ${rest} characters … `);
  const around = [text.slice(0, CONTEXT_CHARS), text.slice(-CONTEXT_CHARS)];
  return h("span", null, around[0], cut, around[1]);
}
