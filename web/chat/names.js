/**
 * @module
 * The names of chats: what stands in the list for one without a title, and the title of a new one.
 *
 * Pure. A chat of its own has the title that somebody gave it; a new one takes its first words.
 */

/** @typedef {import("../client/index.js").ChatRow} ChatRow */

const TITLE_CHARS_MAX = 48;
const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/**
 * @param {Pick<ChatRow, "id" | "title"> | null} row
 */
export function nameOf(row) {
  if (!row) return "New chat";
  if (row.title) return row.title;
  return UUID.test(row.id) ? "Untitled chat" : row.id;
}

/**
 * The title of a chat that begins with this text.
 *
 * @param {string} text
 */
export function titleFrom(text) {
  const first = text.trim().split("\n")[0]?.replace(/\s+/g, " ").replace(/^[#>*\-\s]+/, "") ?? "";
  const line = first.charAt(0).toUpperCase() + first.slice(1);
  if (line.length <= TITLE_CHARS_MAX) return line || "New chat";
  const space = line.lastIndexOf(" ", TITLE_CHARS_MAX);
  return `${line.slice(0, space > TITLE_CHARS_MAX / 2 ? space : TITLE_CHARS_MAX)}…`;
}
