/**
 * @module
 * Finds `<prompt_suggestions>…</prompt_suggestions>` in text that comes in pieces.
 *
 * The rules are the server's: a tag is what lies between the last opening before a closing and that
 * closing, has at most {@link TAG_BYTES_MAX} bytes in between, and lies within one part. It leaves
 * the text as soon as it closes, even if its JSON is bad. Each character is looked at once.
 */

const OPEN = "<prompt_suggestions>";
const CLOSE = "</prompt_suggestions>";

/** Bytes of UTF-8 between the two ends within which it is taken for a tag. */
export const TAG_BYTES_MAX = 16 * 1024;

/**
 * How far a tag has been read at the end of a text.
 *
 * @typedef {object} Scan
 * @property {number} openAt Where the last opening begins that may still be closed, in UTF-16 units
 *   from the beginning of the text; -1 if there is none.
 * @property {number} openBytes Bytes from there to the end of the text.
 * @property {number} n Characters at the end that may become an opening or a closing.
 * @property {boolean} isClose Whether they begin with `</`.
 */

/** @returns {Scan} The scan of an empty text. */
export function emptyScan() {
  return { openAt: -1, openBytes: 0, n: 0, isClose: false };
}

/**
 * Bytes at the end of the text that a tag may yet take away.
 *
 * @param {Scan} scan
 * @returns {number}
 */
export function heldBytes(scan) {
  return scan.openAt >= 0 ? scan.openBytes : scan.n;
}

/**
 * The scan of a text of which the last bytes are held.
 *
 * @param {string} text
 * @param {number} held What {@link heldBytes} said of it.
 * @returns {Scan}
 */
export function scanAgain(text, held) {
  const scan = emptyScan();
  if (held === 0) return scan;
  const from = unitsBeforeLastBytes(text, held);
  readPiece(scan, from, text.slice(from));
  return scan;
}

/**
 * Appends a piece to a text, in time that depends on the piece alone.
 *
 * @param {Scan} scan Of the text; it is changed to that of the result.
 * @param {string} text
 * @param {string} piece
 * @returns {{ text: string, isCut: boolean, suggestions: string[] | null }} The text without the
 *   tags that were closed in the piece, whether there were any, and what the last good one of them
 *   suggests.
 */
export function appendPiece(scan, text, piece) {
  /** @type {string[] | null} */
  let suggestions = null;
  let rest = piece;
  let isCut = false;
  for (;;) {
    const tag = readPiece(scan, text.length, rest);
    if (tag === null) break;
    isCut = true;
    const whole = text + rest.slice(0, tag.end);
    suggestions = readSuggestions(whole.slice(tag.start + OPEN.length, tag.close)) ?? suggestions;
    text = whole.slice(0, tag.start);
    rest = rest.slice(tag.end);
  }
  return { text: text + rest, isCut, suggestions };
}

/**
 * Reads a piece that begins at `from`, up to the end of the first tag that is closed in it.
 *
 * @param {Scan} scan
 * @param {number} from
 * @param {string} piece
 * @returns {{ start: number, close: number, end: number } | null} Where the tag and its closing
 *   begin in the text, and where the rest begins in the piece.
 */
function readPiece(scan, from, piece) {
  let i = 0;
  while (i < piece.length) {
    if (scan.n === 0) {
      const at = piece.indexOf("<", i);
      if (at < 0) break;
      scan.n = 1;
      scan.isClose = false;
      i = at + 1;
      continue;
    }
    if (scan.n === 1 && piece[i] === "/") scan.isClose = true;
    const name = scan.isClose ? CLOSE : OPEN;
    if (piece[i] !== name[scan.n]) {
      // Not taken: it may be a `<` that begins the next candidate.
      scan.n = 0;
      continue;
    }
    scan.n += 1;
    i += 1;
    if (scan.n < name.length) continue;
    const start = from + i - name.length;
    scan.n = 0;
    if (!scan.isClose) {
      scan.openAt = start;
      // What lies before the piece; the piece itself is counted at its end.
      scan.openBytes = Math.max(0, from - start);
    } else if (scan.openAt >= 0) {
      const open = scan.openAt;
      const bodyBytes = bytesSinceOpen(scan, from, piece.slice(0, i)) - OPEN.length - CLOSE.length;
      scan.openAt = -1;
      if (bodyBytes <= TAG_BYTES_MAX) return { start: open, close: start, end: i };
    }
  }
  if (scan.openAt >= 0) {
    scan.openBytes = bytesSinceOpen(scan, from, piece);
    if (scan.openBytes - scan.n > OPEN.length + TAG_BYTES_MAX) scan.openAt = -1;
  }
  return null;
}

/**
 * Bytes from the opening to the end of a piece that begins at `from`.
 *
 * @param {Scan} scan
 * @param {number} from
 * @param {string} piece
 */
function bytesSinceOpen(scan, from, piece) {
  return scan.openBytes + utf8Bytes(scan.openAt > from ? piece.slice(scan.openAt - from) : piece);
}

/** @param {string} json @returns {string[] | null} */
function readSuggestions(json) {
  try {
    const value = JSON.parse(json);
    const isGood =
      Array.isArray(value) && value.every((item) => typeof item === "string" && !LONE.test(item));
    return isGood ? value : null;
  } catch {
    return null;
  }
}

/** Half of a surrogate pair, which no string of the server can hold. */
const LONE = /\p{Surrogate}/u;

/**
 * Bytes of a text in UTF-8.
 *
 * @param {string} text
 * @returns {number}
 */
export function utf8Bytes(text) {
  let n = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    // Each half of a pair counts two of its four bytes.
    n += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2;
  }
  return n;
}

/** @param {string} text @param {number} bytes @returns {number} */
function unitsBeforeLastBytes(text, bytes) {
  let at = text.length;
  for (let n = 0; at > 0 && n < bytes; ) {
    at -= 1;
    n += utf8Bytes(text.charAt(at));
  }
  return at;
}
