/**
 * @module
 * What each event does to the approvals and questions of a chat that are pending:
 * `GET …/requests`.
 *
 * A request is gone once it is resolved, and with its turn.
 */

/** @typedef {import("../wire.js").Envelope} Envelope */
/** @typedef {import("../wire.js").RequestRow} RequestRow */

/**
 * Folds an event into the pending requests of its chat.
 *
 * @param {readonly RequestRow[]} rows
 * @param {Envelope} event
 * @returns {readonly RequestRow[]} The same array if the event changes nothing.
 */
export function foldRequests(rows, event) {
  const id = event.payload["request_id"];
  switch (event.kind) {
    case "permission_request":
    case "elicitation_request": {
      const row = beginRequest(event);
      return row && rows.every((other) => other.request_id !== id) ? [...rows, row] : rows;
    }
    case "permission_resolved":
    case "elicitation_resolved":
      return without(rows, (row) => row.request_id === id);
    case "complete":
    case "cancelled":
    case "error":
      return without(rows, (row) => row.turn_id === event.streamId);
    default:
      return rows;
  }
}

/** @param {readonly RequestRow[]} rows @param {(row: RequestRow) => boolean} leaves */
function without(rows, leaves) {
  return rows.some(leaves) ? rows.filter((row) => !leaves(row)) : rows;
}

/** @param {Envelope} event @returns {RequestRow | null} */
function beginRequest({ kind, payload, streamId, messageId, seq, at }) {
  if (streamId === null || messageId === null) return null;
  const row = {
    request_id: payload["request_id"],
    turn_id: streamId,
    message_id: messageId,
    requested_seq: seq,
    requested_at: at,
  };
  if (kind === "elicitation_request") {
    const { message, schema = null } = payload;
    return { ...row, type: "elicitation", message, schema };
  }
  const { tool, options, expires_at = null } = payload;
  return { ...row, type: "permission", ...(tool ? { tool } : {}), options, expires_at };
}
