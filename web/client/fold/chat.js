/**
 * @module
 * What each event does to a chat's row, that of `GET /v1/chats`, folded here.
 *
 * Activity is what somebody would come back for; a turn that starts makes a chat unread, a view
 * makes it read. Deltas change nothing. Which row an event belongs to is left to `state.js`.
 */

import { addUsage, noUsage } from "./usage.js";

/** @typedef {import("../wire.js").Envelope} Envelope */
/** @typedef {import("../wire.js").ChatRow} ChatRow */
/** @typedef {import("../wire.js").ChatUsage} ChatUsage */

/** The events that a chat's row is made of, apart from its creation and its deletion. */
const READ = new Set([
  "chat_updated",
  "chat_viewed",
  "user_text",
  "stream_started",
  "usage",
  "permission_request",
  "permission_resolved",
  "elicitation_request",
  "elicitation_resolved",
  "message_queued",
  "cancel_requested",
  "complete",
  "cancelled",
  "error",
]);

/**
 * Whether an event may change its chat's row.
 *
 * @param {Envelope} event
 * @returns {boolean}
 */
export function isOfChatRow(event) {
  return READ.has(event.kind);
}

/** @type {Record<string, "completed" | "interrupted" | "failed">} */
const ENDS = { complete: "completed", cancelled: "interrupted", error: "failed" };

/**
 * The row that `chat_created` makes.
 *
 * @param {Envelope} event
 * @returns {ChatRow}
 */
export function beginChat({ chatId, seq, at, payload }) {
  return {
    id: chatId,
    title: payload["title"] ?? null,
    owner: payload["owner"] ?? null,
    metadata: payload["metadata"] ?? null,
    parent_chat_id: payload["parent_chat_id"] ?? null,
    forked_at_seq: payload["forked_at_seq"] ?? null,
    created_at: at,
    last_activity_at: at,
    unread: false,
    open_turn: null,
    last_turn_status: null,
    counts: { messages: 0, turns: 0, failed_turns: 0 },
    usage: { input_tokens: 0, output_tokens: 0, cost_usd: 0 },
    last_seq: seq,
  };
}

/**
 * Folds an event into its chat's row.
 *
 * @param {ChatRow} row
 * @param {Envelope} event
 * @returns {ChatRow} The same object if the event changes nothing, or is in the row already.
 */
export function foldChat(row, event) {
  const { kind, payload, seq, at } = event;
  if (!READ.has(kind) || seq <= row.last_seq) return row;
  const next = { ...row, last_seq: seq };
  switch (kind) {
    case "chat_updated":
      if ("title" in payload) next.title = payload["title"];
      if ("metadata" in payload) next.metadata = payload["metadata"];
      return next;
    case "chat_viewed":
      next.unread = false;
      return next;
    case "stream_started":
      return row.open_turn ? row : startTurn(next, event);
    case "usage":
      return reportUsage(row, next, event);
    case "cancel_requested": {
      const turn = row.open_turn;
      if (turn && turn.turn_id === payload["turn_id"]) {
        next.open_turn = { ...turn, stop_requested_at: turn.stop_requested_at ?? at };
      }
      return next;
    }
    case "user_text":
      next.counts = { ...row.counts, messages: row.counts.messages + 1 };
      break;
    case "complete":
    case "cancelled":
    case "error":
      if (row.open_turn?.turn_id !== event.streamId) return row;
      next.open_turn = null;
      next.last_turn_status = ENDS[kind] ?? null;
      if (kind === "error") {
        next.counts = { ...row.counts, failed_turns: row.counts.failed_turns + 1 };
      }
  }
  next.last_activity_at = at;
  return next;
}

/** @param {ChatRow} row @param {Envelope} event */
function startTurn(row, { streamId, messageId, seq, at }) {
  if (streamId === null || messageId === null) return row;
  row.open_turn = {
    turn_id: streamId,
    message_id: messageId,
    started_seq: seq,
    started_at: at,
    stop_requested_at: null,
    usage: noUsage(),
    usage_before: row.usage,
  };
  const { messages, turns } = row.counts;
  row.counts = { ...row.counts, messages: messages + 1, turns: turns + 1 };
  row.unread = true;
  row.last_activity_at = at;
  return row;
}

/** @param {ChatRow} row @param {ChatRow} next @param {Envelope} event */
function reportUsage(row, next, { streamId, payload }) {
  const turn = row.open_turn;
  if (turn?.turn_id !== streamId || !turn) return row;
  const usage = addUsage(turn.usage, payload);
  next.open_turn = { ...turn, usage };
  next.usage = {
    input_tokens: turn.usage_before.input_tokens + (usage.input_tokens ?? 0),
    output_tokens: turn.usage_before.output_tokens + (usage.output_tokens ?? 0),
    cost_usd: turn.usage_before.cost_usd + (usage.cost_usd ?? 0),
  };
  return next;
}
