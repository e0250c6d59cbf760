/**
 * @module
 * What is said on the wire: the shapes of events and rows, and how a frame of the stream is read.
 *
 * Names are those of the wire: envelopes in camelCase, payloads and rows in snake_case. Unknown
 * kinds and fields are carried along. What follows from an event is left to `fold/`.
 */

/**
 * An event of the log.
 *
 * @typedef {object} Envelope
 * @property {string} chatId
 * @property {string | null} messageId
 * @property {string | null} streamId The turn.
 * @property {number} seq Its place in the log, from 1.
 * @property {string} at RFC 3339, UTC, milliseconds.
 * @property {string} kind
 * @property {Record<string, any>} payload
 */

/** @typedef {{ id: string, name: string, media_type: string, url: string, size_bytes: number }}
 *   Attachment */

/**
 * @typedef {object} ToolPayload
 * @property {string} id
 * @property {string} name
 * @property {string} [title]
 * @property {string} [parent_id]
 * @property {unknown} [input]
 * @property {unknown} [result]
 * @property {string} [error]
 */

/** @typedef {ToolPayload & { status: "running" | "completed" | "failed" }} ToolCall */

/** @typedef {{ content: string, status: string, priority: string }} PlanEntry */

/**
 * Why a turn failed.
 *
 * @typedef {object} Failure
 * @property {string} code One of the closed list, such as `provider_timeout`.
 * @property {string} message
 * @property {"setup" | "stream" | "tool" | "storage"} phase
 * @property {boolean} retryable Whether the same turn may succeed if it is tried again.
 */

/**
 * What a page renders of a message, in order.
 *
 * @typedef {{ type: "user_text", text: string, attachments?: Attachment[] }
 *   | { type: "assistant_text", text: string, error?: Failure }
 *   | { type: "assistant_thinking", thinking: string }
 *   | { type: "tool", tool: ToolCall }
 *   | { type: "plan", entries: PlanEntry[] }
 *   | { type: "prompt_suggestions", suggestions: string[] }} RenderEntry
 */

/**
 * @typedef {object} Usage
 * @property {number | null} input_tokens
 * @property {number | null} output_tokens
 * @property {number | null} context_window Tokens.
 * @property {number} percentage How full the window is, 0 to 100; 0 if that is not known.
 * @property {number | null} cost_usd
 */

/**
 * How an open message goes on: the entry that the next delta of its type belongs to.
 *
 * @typedef {object} Tail
 * @property {"assistant_text" | "assistant_thinking"} type
 * @property {boolean} is_empty Whether that entry is not there yet.
 * @property {number} held_bytes Bytes of UTF-8 at its end that may turn out to be a tag.
 */

/**
 * A message as `GET …/messages` answers it.
 *
 * @typedef {object} MessageRow
 * @property {string} id
 * @property {string} chat_id
 * @property {"user" | "assistant"} role
 * @property {string} content_text
 * @property {{ events: RenderEntry[] }} content_render
 * @property {Tail | null} tail
 * @property {"in_progress" | "completed" | "failed" | "interrupted"} stream_status
 * @property {string | null} active_stream_id
 * @property {string | null} turn_id
 * @property {string | null} user_message_id
 * @property {string | null} origin
 * @property {string | null} provider
 * @property {string | null} model
 * @property {Usage | null} usage
 * @property {number | null} total_cost_usd
 * @property {number | null} duration_ms
 * @property {Failure | null} error
 * @property {string | null} interrupt_reason
 * @property {number} first_seq
 * @property {number} last_seq
 * @property {string} created_at
 * @property {string | null} ended_at
 */

/** @typedef {{ input_tokens: number, output_tokens: number, cost_usd: number }} ChatUsage */

/**
 * @typedef {object} OpenTurn
 * @property {string} turn_id
 * @property {string} message_id
 * @property {number} started_seq
 * @property {string} started_at
 * @property {string | null} stop_requested_at
 * @property {Usage} usage Of this turn so far.
 * @property {ChatUsage} usage_before Of the turns before.
 */

/**
 * A chat as `GET /v1/chats` answers it.
 *
 * @typedef {object} ChatRow
 * @property {string} id
 * @property {string | null} title
 * @property {string | null} owner
 * @property {unknown} metadata
 * @property {string | null} parent_chat_id
 * @property {number | null} forked_at_seq
 * @property {string} created_at
 * @property {string} last_activity_at
 * @property {boolean} unread
 * @property {OpenTurn | null} open_turn
 * @property {"completed" | "failed" | "interrupted" | null} last_turn_status
 * @property {{ messages: number, turns: number, failed_turns: number }} counts
 * @property {ChatUsage} usage
 * @property {number} last_seq
 */

/**
 * A message that waits for its turn, as `GET …/queue` answers it.
 *
 * @typedef {object} QueueRow
 * @property {string} queued_message_id
 * @property {string} content
 * @property {Attachment[]} [attachments]
 * @property {string | null} provider
 * @property {string | null} model
 * @property {boolean} send_now
 * @property {number} queued_seq
 * @property {string} queued_at
 * @property {string | null} edited_at
 */

/** @typedef {{ option_id: string, name: string, kind: string }} PermissionOption */

/**
 * An approval or a question that waits for an answer, as `GET …/requests` answers it.
 *
 * @typedef {{ request_id: string, turn_id: string, message_id: string, requested_seq: number,
 *   requested_at: string } & (
 *   | { type: "permission", tool?: ToolPayload, options: PermissionOption[],
 *       expires_at: string | null }
 *   | { type: "elicitation", message: string, schema: unknown })} RequestRow
 */

/**
 * What a frame of the stream says.
 *
 * @typedef {{ type: "event", envelope: Envelope }
 *   | { type: "hello", logId: string, headSeq: number }
 *   | { type: "snapshot", asOfSeq: number, chat: ChatRow | null, messages: MessageRow[] | null,
 *       chats: ChatRow[] | null, nextCursor: string | null }
 *   | { type: "caught_up", seq: number }
 *   | { type: "resync", reason: string, headSeq: number }
 *   | { type: "bye", reason: string }
 *   | { type: "unknown", event: string }} Frame
 */

/** A frame that does not say what the contract promises. */
export class WireError extends Error {
  /** @param {string} message */
  constructor(message) {
    super(message);
    this.name = "WireError";
  }
}

/**
 * Reads an event from its JSON.
 *
 * @param {string} text
 * @returns {Envelope}
 * @throws {WireError} If it is no envelope.
 */
export function readEnvelope(text) {
  const value = readObject(text, "an event");
  const { chatId, messageId, streamId, seq, at, kind, payload } = value;
  const isEnvelope =
    typeof chatId === "string" &&
    (messageId === null || typeof messageId === "string") &&
    (streamId === null || typeof streamId === "string") &&
    isSeq(seq) &&
    seq > 0 &&
    typeof at === "string" &&
    typeof kind === "string" &&
    isObject(payload);
  if (!isEnvelope) throw new WireError(`seq ${String(seq)} is no envelope`);
  return /** @type {Envelope} */ (value);
}

/**
 * Reads a frame of the stream.
 *
 * @param {import("./sse.js").RawFrame} frame
 * @returns {Frame}
 * @throws {WireError} If it is not what its name says.
 */
export function readFrame({ event, data }) {
  if (event === "stream") return { type: "event", envelope: readEnvelope(data) };
  switch (event) {
    case "hello": {
      const { log_id, head_seq } = readObject(data, event);
      return { type: event, logId: text(log_id, event), headSeq: seqOf(head_seq, event) };
    }
    case "snapshot":
      return snapshotOf(readObject(data, event));
    case "caught_up":
      return { type: event, seq: seqOf(readObject(data, event)["seq"], event) };
    case "resync": {
      const { reason, head_seq } = readObject(data, event);
      return { type: event, reason: text(reason, event), headSeq: seqOf(head_seq, event) };
    }
    case "bye":
      return { type: event, reason: text(readObject(data, event)["reason"], event) };
    default:
      return { type: "unknown", event };
  }
}

/**
 * A snapshot of a chat has the chat and messages, one of the list has chats.
 *
 * @param {Record<string, any>} data
 * @returns {Frame}
 */
function snapshotOf({ as_of_seq, chat, messages, chats, next_cursor }) {
  const isOfChat = isObject(chat) && Array.isArray(messages);
  if (!isOfChat && !Array.isArray(chats)) throw new WireError("snapshot has no rows");
  return {
    type: "snapshot",
    asOfSeq: seqOf(as_of_seq, "snapshot"),
    chat: isOfChat ? /** @type {ChatRow} */ (chat) : null,
    messages: isOfChat ? messages : null,
    chats: isOfChat ? null : chats,
    nextCursor: typeof next_cursor === "string" ? next_cursor : null,
  };
}

/** @param {string} json @param {string} what @returns {Record<string, any>} */
function readObject(json, what) {
  let value;
  try {
    value = JSON.parse(json);
  } catch {
    throw new WireError(`${what} is no JSON`);
  }
  if (!isObject(value)) throw new WireError(`${what} is no object`);
  return value;
}

/** @param {unknown} value @returns {value is Record<string, any>} */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {unknown} value @returns {value is number} */
function isSeq(value) {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** @param {unknown} value @param {string} what @returns {number} */
function seqOf(value, what) {
  if (!isSeq(value)) throw new WireError(`${what} has no seq`);
  return value;
}

/** @param {unknown} value @param {string} what @returns {string} */
function text(value, what) {
  if (typeof value !== "string") throw new WireError(`${what} lacks a text`);
  return value;
}
