/**
 * @module
 * How seqs, times, sizes, ids and events are written on one line.
 *
 * The one line of an event says what `scrollback inspect events` says of it, so that page and
 * terminal can be compared by eye. Times are UTC, as there.
 */

/** @typedef {import("../client/wire.js").Envelope} Envelope */

/** Characters of a text that a line can show at most; the window cuts it before. */
const LINE_CHARS = 240;

/** Columns of an id that a line shows. */
const ID_CHARS = 12;

/**
 * A number with thin gaps between its thousands, which do not break.
 *
 * @param {number} n
 */
export function countText(n) {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/**
 * @param {number} bytes
 */
export function bytesText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [n, unit] = [bytes, 0];
  while (n >= 1024 && unit < units.length - 1) [n, unit] = [n / 1024, unit + 1];
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[unit]}`;
}

/**
 * @param {number} ms
 */
export function durationText(ms) {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d`;
}

/**
 * Hours to milliseconds of an instant in RFC 3339.
 *
 * @param {string} at
 */
export function timeText(at) {
  return at.slice(11, 23);
}

/**
 * The end of an id that is too long for its column: ids made from the clock begin alike.
 *
 * @param {string} id
 */
export function shortId(id) {
  return id.length <= ID_CHARS ? id : `…${id.slice(1 - ID_CHARS)}`;
}

/**
 * What an event says, on one line.
 *
 * @param {Envelope} envelope
 * @returns {string}
 */
export function lineOf({ kind, payload }) {
  // The payload of an erased event is gone, its place in the log stays.
  if (payload === null) return "erased with its chat";
  const line = LINES[kind];
  return clip(line ? line(payload) : payloadText(payload));
}

/** @type {Record<string, (payload: Record<string, any>) => string>} */
const LINES = {
  user_text: (p) => quoted(p["text"]),
  assistant_text: (p) => quoted(p["text"]),
  assistant_thinking: (p) => quoted(p["thinking"]),
  chat_created: (p) => (p["title"] ? quoted(p["title"]) : ""),
  chat_updated: (p) => (p["title"] ? quoted(p["title"]) : payloadText(p)),
  stream_started: (p) => words(p["provider"], p["model"]),
  tool_started: (p) => toolText(p["tool"]),
  tool_completed: (p) => toolText(p["tool"]),
  tool_failed: (p) => toolText(p["tool"]),
  plan: (p) => list(p["entries"], (entry) => entry?.content),
  prompt_suggestions: (p) => list(p["suggestions"], (suggestion) => suggestion),
  message_queued: (p) => quoted(p["content"]),
  permission_request: (p) => words(toolText(p["tool"]), list(p["options"], (o) => o?.name)),
  permission_resolved: (p) => words(p["outcome"], p["option_id"]),
  elicitation_request: (p) => quoted(p["message"]),
  complete: (p) => durationText(Number(p["duration_ms"])),
  cancelled: (p) => `${p["reason"]} after ${durationText(Number(p["duration_ms"]))}`,
  error: (p) => `${p["code"]} ${quoted(p["message"])}`,
  custom: (p) => String(p["name"]),
};

/**
 * @param {any} tool
 */
function toolText(tool) {
  return [tool?.name, tool?.title, tool?.error].filter(Boolean).join(" · ");
}

/**
 * @param {unknown} items
 * @param {(item: any) => unknown} text
 */
function list(items, text) {
  return Array.isArray(items) ? items.map(text).filter(Boolean).join(" · ") : "";
}

/**
 * @param {...unknown} parts
 */
function words(...parts) {
  return parts.filter(Boolean).join(" ");
}

/**
 * @param {unknown} text
 */
function quoted(text) {
  return `"${clip(String(text ?? ""))}"`;
}

/**
 * The payload as it is on the wire, without its braces.
 *
 * @param {Record<string, unknown>} payload
 */
function payloadText(payload) {
  return JSON.stringify(payload).slice(1, -1);
}

/**
 * One line of a text; control characters are seen and do nothing.
 *
 * @param {string} text
 */
function clip(text) {
  const short = text.length > LINE_CHARS ? `${text.slice(0, LINE_CHARS)}…` : text;
  return short.replace(/\n/g, "⏎").replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/g, "·");
}

/** Groups of kinds, for the eye and for the menu; a kind of none of them is "other". */
export const KIND_GROUPS = /** @type {const} */ ({
  text: ["user_text", "assistant_text", "assistant_thinking", "prompt_suggestions"],
  turn: ["stream_started", "complete", "cancelled", "error", "cancel_requested"],
  tool: ["tool_started", "tool_completed", "tool_failed", "plan"],
  asked: [
    "permission_request",
    "permission_resolved",
    "elicitation_request",
    "elicitation_resolved",
  ],
  queue: ["message_queued", "queue_edited", "queue_removed", "queue_send_now", "queue_processing"],
  chat: ["chat_created", "chat_updated", "chat_viewed", "chat_deleted", "usage", "session"],
  schedule: ["schedule_created", "schedule_updated", "schedule_removed", "schedule_fired"],
  other: ["custom"],
});

/** @type {ReadonlyMap<string, string>} */
const GROUP_OF = new Map(
  Object.entries(KIND_GROUPS).flatMap(([group, kinds]) => kinds.map((kind) => [kind, group])),
);

/**
 * How a kind is marked: by its group, but for failures and stops, which are to be found at once.
 *
 * @param {string} kind
 * @returns {string}
 */
export function markOf(kind) {
  if (kind === "error" || kind === "tool_failed") return "failed";
  if (kind === "cancelled" || kind === "cancel_requested") return "stopped";
  return GROUP_OF.get(kind) ?? "other";
}
