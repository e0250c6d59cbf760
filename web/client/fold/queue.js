/**
 * @module
 * What each event does to the messages of a chat that wait for their turn: `GET …/queue`.
 *
 * First in, first out, but for "send now", which goes to the front.
 */

/** @typedef {import("../wire.js").Envelope} Envelope */
/** @typedef {import("../wire.js").QueueRow} QueueRow */

/**
 * Folds an event into the queue of its chat.
 *
 * @param {readonly QueueRow[]} rows
 * @param {Envelope} event
 * @returns {readonly QueueRow[]} The same array if the event changes nothing.
 */
export function foldQueue(rows, { kind, payload, seq, at }) {
  const id = payload["queued_message_id"];
  const place = () => rows.findIndex((row) => row.queued_message_id === id);
  switch (kind) {
    case "message_queued":
      return place() < 0 ? [...rows, beginQueued(payload, seq, at)] : rows;
    case "queue_edited": {
      const row = rows[place()];
      return row ? rows.with(rows.indexOf(row), edited(row, payload, at)) : rows;
    }
    case "queue_send_now": {
      const row = rows[place()];
      return row ? [{ ...row, send_now: true }, ...rows.filter((other) => other !== row)] : rows;
    }
    case "queue_removed":
    case "queue_processing": {
      const at = place();
      return at < 0 ? rows : rows.toSpliced(at, 1);
    }
    default:
      return rows;
  }
}

/**
 * @param {Record<string, any>} payload
 * @param {number} seq
 * @param {string} at
 * @returns {QueueRow}
 */
function beginQueued(payload, seq, at) {
  const { attachments } = payload;
  return {
    queued_message_id: payload["queued_message_id"],
    content: payload["content"],
    ...(attachments?.length ? { attachments } : {}),
    provider: payload["provider"] ?? null,
    model: payload["model"] ?? null,
    send_now: false,
    queued_seq: seq,
    queued_at: at,
    edited_at: null,
  };
}

/** @param {QueueRow} row @param {Record<string, any>} payload @param {string} at */
function edited(row, payload, at) {
  const next = { ...row, edited_at: at };
  if (typeof payload["content"] === "string") next.content = payload["content"];
  if ("provider" in payload) next.provider = payload["provider"];
  if ("model" in payload) next.model = payload["model"];
  return next;
}
