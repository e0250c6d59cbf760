/**
 * @module
 * What each event does to a message: the row that `GET …/messages` answers, folded here.
 *
 * A delta costs the same in a short message and in a long one. A row is changed in place only if
 * the caller owns it; otherwise the answer is a new one. Which row an event belongs to, and whether
 * it was folded before, is left to `state.js`.
 */

import { append, emptyText, heldBytes, textOf } from "./tag.js";
import { addUsage, noUsage } from "./usage.js";

/** @typedef {import("../wire.js").Envelope} Envelope */
/** @typedef {import("../wire.js").MessageRow} MessageRow */
/** @typedef {import("../wire.js").RenderEntry} RenderEntry */
/** @typedef {import("../wire.js").ToolCall} ToolCall */
/** @typedef {import("../wire.js").ToolPayload} ToolPayload */

/**
 * The texts that rows folded here go on with: how far a tag was read in them, and more than
 * `tail.held_bytes` says. A row without an entry here is read once.
 *
 * @type {WeakMap<MessageRow, import("./tag.js").GrowingText>}
 */
const texts = new WeakMap();

/** The events that go into a message that there is. */
const CONTENT = new Set([
  "assistant_text",
  "assistant_thinking",
  "tool_started",
  "tool_completed",
  "tool_failed",
  "plan",
  "prompt_suggestions",
  "usage",
  "complete",
  "cancelled",
  "error",
]);

/**
 * The message that an event begins, or null if it begins none.
 *
 * @param {Envelope} event
 * @returns {MessageRow | null}
 */
export function beginMessage(event) {
  const { kind, payload, messageId } = event;
  if (messageId === null) return null;
  if (kind === "user_text") {
    const { text, attachments } = payload;
    /** @type {RenderEntry} */
    const entry = attachments?.length
      ? { type: "user_text", text, attachments }
      : { type: "user_text", text };
    const content_render = { events: [entry] };
    return { ...emptyMessage(event, messageId), content_text: text, content_render };
  }
  if (kind !== "stream_started" || event.streamId === null) return null;
  return {
    ...emptyMessage(event, messageId),
    role: "assistant",
    stream_status: "in_progress",
    active_stream_id: event.streamId,
    turn_id: event.streamId,
    user_message_id: payload["user_message_id"] ?? null,
    origin: payload["origin"],
    provider: payload["provider"],
    model: payload["model"] ?? null,
  };
}

/** @param {Envelope} event @param {string} id @returns {MessageRow} */
function emptyMessage(event, id) {
  return {
    id,
    chat_id: event.chatId,
    role: "user",
    content_text: "",
    content_render: { events: [] },
    tail: null,
    stream_status: "completed",
    active_stream_id: null,
    turn_id: null,
    user_message_id: null,
    origin: null,
    provider: null,
    model: null,
    usage: null,
    total_cost_usd: null,
    duration_ms: null,
    error: null,
    interrupt_reason: null,
    first_seq: event.seq,
    last_seq: event.seq,
    created_at: event.at,
    ended_at: null,
  };
}

/**
 * Whether an event goes into this message.
 *
 * @param {MessageRow} row
 * @param {Envelope} event
 * @returns {boolean}
 */
export function belongsTo(row, event) {
  return (
    CONTENT.has(event.kind) &&
    row.stream_status === "in_progress" &&
    row.turn_id === event.streamId &&
    event.seq > row.last_seq
  );
}

/**
 * Folds an event into the message that it {@link belongsTo}.
 *
 * @param {MessageRow} row
 * @param {Envelope} event
 * @param {boolean} isOwned Whether nobody else has seen this row, so that it may be changed.
 * @returns {MessageRow} The row after the event; the same object if it is owned.
 */
export function foldMessage(row, event, isOwned) {
  const next = isOwned ? row : copyOf(row);
  say(next, event);
  next.last_seq = event.seq;
  return next;
}

/** @param {MessageRow} row @returns {MessageRow} */
function copyOf(row) {
  const copy = { ...row, content_render: { events: [...row.content_render.events] } };
  const text = texts.get(row);
  if (text) texts.set(copy, text);
  return copy;
}

/** @param {MessageRow} row @param {Envelope} event */
function say(row, { kind, payload, at }) {
  switch (kind) {
    case "assistant_text":
      return appendText(row, payload["text"]);
    case "assistant_thinking":
      return appendThinking(row, payload["thinking"]);
    case "tool_started":
      return foldTool(row, payload["tool"], "running");
    case "tool_completed":
      return foldTool(row, payload["tool"], "completed");
    case "tool_failed":
      return foldTool(row, payload["tool"], "failed");
    case "plan":
      return foldPlan(row, payload["entries"]);
    case "prompt_suggestions":
      return suggest(row, payload["suggestions"]);
    case "usage":
      row.usage = addUsage(row.usage ?? noUsage(), payload);
      row.total_cost_usd = row.usage.cost_usd;
      return;
    case "complete":
      closeTools(row, "completed", null);
      return end(row, "completed", at, payload["duration_ms"]);
    case "cancelled":
      closeTools(row, "failed", `interrupted: ${payload["reason"]}`);
      row.interrupt_reason = payload["reason"];
      return end(row, "interrupted", at, payload["duration_ms"]);
    case "error":
      return fail(row, payload, at);
  }
}

/** @param {MessageRow} row @param {string} delta */
function appendText(row, delta) {
  if (delta === "") return;
  const { events } = row.content_render;
  const before = growingText(row);
  const { grown, suggestions } = append(before, delta);
  const nBefore = before.text === "" ? 0 : 1;
  const after = grown.text === "" ? [] : [textEntry(grown.text)];
  events.splice(endOf(events) - nBefore, nBefore, ...after);
  row.content_text = grown.all;
  const is_empty = grown.text === "";
  row.tail = { type: "assistant_text", is_empty, held_bytes: heldBytes(grown) };
  texts.set(row, grown);
  if (suggestions) suggest(row, suggestions);
}

/** @param {MessageRow} row @returns {import("./tag.js").GrowingText} What a delta goes on with. */
function growingText(row) {
  const { tail, content_text } = row;
  if (tail?.type !== "assistant_text") return emptyText(content_text);
  const { events } = row.content_render;
  const entry = tail.is_empty ? undefined : events[endOf(events) - 1];
  const text = entry?.type === "assistant_text" ? entry.text : "";
  return texts.get(row) ?? textOf(text, content_text, tail.held_bytes);
}

/** @param {string} text @returns {RenderEntry} */
function textEntry(text) {
  return { type: "assistant_text", text };
}

/** @param {MessageRow} row @param {string} delta */
function appendThinking(row, delta) {
  if (delta === "") return;
  const { events } = row.content_render;
  const goesOn = row.tail?.type === "assistant_thinking";
  const place = endOf(events) - (goesOn ? 1 : 0);
  const entry = goesOn ? events[place] : undefined;
  const before = entry?.type === "assistant_thinking" ? entry.thinking : "";
  events.splice(place, goesOn ? 1 : 0, { type: "assistant_thinking", thinking: before + delta });
  row.tail = { type: "assistant_thinking", is_empty: false, held_bytes: 0 };
}

/**
 * Where the next entry goes: suggestions are always last.
 *
 * @param {readonly RenderEntry[]} events
 */
function endOf(events) {
  return events.length - (events.at(-1)?.type === "prompt_suggestions" ? 1 : 0);
}

/** @param {MessageRow} row @param {RenderEntry} entry */
function place(row, entry) {
  row.content_render.events.splice(endOf(row.content_render.events), 0, entry);
  row.tail = null;
}

/** @param {MessageRow} row @param {ToolPayload} said @param {ToolCall["status"]} status */
function foldTool(row, said, status) {
  const { events } = row.content_render;
  const at = events.findLastIndex((entry) => entry.type === "tool" && entry.tool.id === said.id);
  const entry = events[at];
  if (entry?.type !== "tool") return place(row, { type: "tool", tool: { ...said, status } });
  const { error: _, ...before } = entry.tool;
  const name = said.name === "" ? before.name : said.name;
  events[at] = { type: "tool", tool: { ...before, ...said, name, status } };
}

/** @param {MessageRow} row @param {import("../wire.js").PlanEntry[]} entries */
function foldPlan(row, entries) {
  const { events } = row.content_render;
  const at = events.findIndex((entry) => entry.type === "plan");
  if (at < 0) place(row, { type: "plan", entries });
  else events[at] = { type: "plan", entries };
}

/** @param {MessageRow} row @param {string[]} suggestions */
function suggest(row, suggestions) {
  const { events } = row.content_render;
  events.length = endOf(events);
  if (suggestions.length > 0) events.push({ type: "prompt_suggestions", suggestions });
}

/** @param {MessageRow} row @param {Record<string, any>} payload @param {string} at */
function fail(row, { code, message, phase, retryable, duration_ms }, at) {
  closeTools(row, "failed", message);
  const error = { code, message, phase, retryable };
  row.error = error;
  row.content_render.events.push({ type: "assistant_text", text: `\n\nError: ${message}`, error });
  if (row.content_text === "") row.content_text = message;
  end(row, "failed", at, duration_ms);
}

/**
 * Ends the calls that are still running as their turn ends.
 *
 * @param {MessageRow} row
 * @param {"completed" | "failed"} status
 * @param {string | null} error
 */
function closeTools(row, status, error) {
  const { events } = row.content_render;
  events.forEach((entry, at) => {
    if (entry.type !== "tool" || entry.tool.status !== "running") return;
    const { error: _, ...tool } = entry.tool;
    events[at] = { type: "tool", tool: { ...tool, ...(error === null ? {} : { error }), status } };
  });
}

/**
 * @param {MessageRow} row
 * @param {"completed" | "failed" | "interrupted"} status
 * @param {string} at
 * @param {number} durationMs
 */
function end(row, status, at, durationMs) {
  row.stream_status = status;
  row.active_stream_id = null;
  row.tail = null;
  row.ended_at = at;
  row.duration_ms = durationMs;
  texts.delete(row);
}
