/**
 * @module
 * The text that grows at the end of a message, and the tag that may leave it.
 *
 * `<prompt_suggestions>["a"]</prompt_suggestions>` leaves the text as soon as it closes. The rules
 * are the server's: a tag is what lies between the last opening before a closing and that closing;
 * there are at most {@link TAG_BYTES_MAX} bytes in between, else it is left alone; it lies within
 * one text. How suggestions are shown is left to `message.js`.
 *
 * Each character is looked at once, whatever the pieces. Text is joined and never copied: what was
 * said before an opening is kept as it was, so that to take a tag away costs nothing.
 */

const OPEN = "<prompt_suggestions>";
const CLOSE = "</prompt_suggestions>";

/** Bytes of UTF-8 between the two ends within which it is taken for a tag; as the server has it. */
export const TAG_BYTES_MAX = 16 * 1024;

/**
 * What was said before some place: in this text, and in the whole message.
 *
 * @typedef {{ text: string, all: string }} Before
 */

/**
 * @typedef {object} Opening
 * @property {Before} before
 * @property {string} held What was said from the opening on, itself included.
 * @property {number} bytes Bytes of UTF-8 in `held`.
 */

/**
 * A `<` whose followers fit an opening or a closing so far.
 *
 * @typedef {{ before: Before, n: number, isClose: boolean }} Candidate
 */

/**
 * A text that may go on. It is replaced, never changed, so that rows of the past stay what they
 * were.
 *
 * @typedef {object} GrowingText
 * @property {string} text The text so far.
 * @property {string} all The text of the whole message so far, this one included.
 * @property {Opening | null} open The last opening that may still be closed.
 * @property {Candidate | null} candidate
 */

/**
 * A text that begins.
 *
 * @param {string} all What the message has said before it.
 * @returns {GrowingText}
 */
export function emptyText(all) {
  return { text: "", all, open: null, candidate: null };
}

/**
 * The last text of a row that was not folded here.
 *
 * @param {string} text
 * @param {string} all The text of the whole message, which ends with `text`.
 * @param {number} heldBytes Bytes at the end that a tag may still take away.
 * @returns {GrowingText}
 */
export function textOf(text, all, heldBytes) {
  let from = text.length;
  for (let missing = heldBytes; missing > 0 && from > 0; from -= 1) {
    missing -= utf8Bytes(text.charAt(from - 1));
  }
  const before = all.slice(0, all.length - text.length + from);
  const free = { text: text.slice(0, from), all: before, open: null, candidate: null };
  return append(free, text.slice(from)).grown;
}

/**
 * Bytes of UTF-8 at the end of the text that a tag may still take away.
 *
 * @param {GrowingText} text
 * @returns {number}
 */
export function heldBytes(text) {
  return text.open?.bytes ?? text.candidate?.n ?? 0;
}

/**
 * Appends a delta.
 *
 * @param {GrowingText} text
 * @param {string} delta
 * @returns {{ grown: GrowingText, suggestions: string[] | null }} The text without the tags that
 *   were closed in the delta, and what the last good one of them suggests.
 */
export function append(text, delta) {
  const grown = { ...text };
  /** @type {string[] | null} */
  let suggestions = null;
  let from = 0;
  let i = 0;
  while (i < delta.length) {
    const candidate = grown.candidate;
    if (candidate === null) {
      const at = delta.indexOf("<", i);
      if (at < 0) break;
      push(grown, delta.slice(from, at));
      grown.candidate = { before: { text: grown.text, all: grown.all }, n: 1, isClose: false };
      from = at;
      i = at + 1;
      continue;
    }
    const isClose = candidate.isClose || (candidate.n === 1 && delta[i] === "/");
    const name = isClose ? CLOSE : OPEN;
    if (delta[i] !== name[candidate.n]) {
      // Not taken: it may be a `<` that begins the next candidate.
      grown.candidate = null;
      continue;
    }
    i += 1;
    grown.candidate = { before: candidate.before, n: candidate.n + 1, isClose };
    if (candidate.n + 1 < name.length) continue;
    push(grown, delta.slice(from, i));
    from = i;
    grown.candidate = null;
    if (isClose) suggestions = close(grown) ?? suggestions;
    else grown.open = { before: candidate.before, held: OPEN, bytes: OPEN.length };
  }
  push(grown, delta.slice(from));
  forgetIfTooLong(grown);
  return { grown, suggestions };
}

/** @param {GrowingText} text @param {string} piece */
function push(text, piece) {
  if (piece === "") return;
  text.text += piece;
  text.all += piece;
  if (text.open === null) return;
  const { before, held, bytes } = text.open;
  text.open = { before, held: held + piece, bytes: bytes + utf8Bytes(piece) };
}

/**
 * Ends the open tag, with whose closing the text now ends, and takes it away; what it suggests.
 *
 * @param {GrowingText} text
 */
function close(text) {
  const open = text.open;
  text.open = null;
  if (open === null || open.bytes - OPEN.length - CLOSE.length > TAG_BYTES_MAX) return null;
  text.text = open.before.text;
  text.all = open.before.all;
  return readSuggestions(open.held.slice(OPEN.length, -CLOSE.length));
}

/** @param {GrowingText} text */
function forgetIfTooLong(text) {
  const n = text.candidate?.n ?? 0;
  if (text.open !== null && text.open.bytes - n > OPEN.length + TAG_BYTES_MAX) text.open = null;
}

/** Half of a surrogate pair, which no string of the server can hold. */
const LONE_SURROGATE = /\p{Surrogate}/u;

/** @param {string} json @returns {string[] | null} */
function readSuggestions(json) {
  try {
    const list = JSON.parse(json);
    const isText = (/** @type {unknown} */ item) =>
      typeof item === "string" && !LONE_SURROGATE.test(item);
    return Array.isArray(list) && list.every(isText) ? list : null;
  } catch {
    return null;
  }
}

/** @param {string} text @returns {number} */
function utf8Bytes(text) {
  let bytes = text.length;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    // Each half of a surrogate pair counts two of its four bytes.
    if (unit >= 0x80) bytes += unit < 0x800 || (unit & 0xf800) === 0xd800 ? 1 : 2;
  }
  return bytes;
}
