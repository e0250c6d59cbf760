/**
 * @module
 * Takes a server-sent event stream apart, in whatever pieces it comes.
 *
 * Pure: it holds the piece of a frame that has not ended yet, and nothing else. What a frame means
 * is left to `wire.js`, when to connect again to `connection.js`.
 */

/**
 * One event of the stream.
 *
 * @typedef {object} RawFrame
 * @property {string | null} id The id field, null if the frame has none of its own.
 * @property {string} event The event field; `message` if there is none.
 * @property {string} data The data lines, joined by line feeds.
 */

/**
 * @typedef {object} SseReader
 * @property {(text: string) => RawFrame[]} push Takes the next piece; the frames that end in it.
 * @property {() => number | null} retryMs What the server last asked for as the time to wait before
 *   a new connection, in milliseconds; null if it asked for none.
 */

/**
 * Makes a reader for one connection.
 *
 * @returns {SseReader}
 */
export function createSseReader() {
  let rest = "";
  let isFirst = true;
  let endedInCr = false;
  /** @type {number | null} */
  let retry = null;
  let frame = emptyFrame();

  /** @param {string} line @param {RawFrame[]} out */
  function takeLine(line, out) {
    if (line === "") {
      // A frame without data is not dispatched.
      if (frame.data !== null) {
        out.push({ id: frame.id, event: frame.event || "message", data: frame.data });
      }
      frame = emptyFrame();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") frame.data = frame.data === null ? value : `${frame.data}\n${value}`;
    else if (name === "event") frame.event = value;
    else if (name === "id" && !value.includes("\0")) frame.id = value;
    else if (name === "retry" && /^\d+$/.test(value)) retry = Number(value);
  }

  return {
    push(text) {
      /** @type {RawFrame[]} */
      const out = [];
      if (text === "") return out;
      if (isFirst && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      isFirst = false;
      // The second half of a line end that was cut in the middle.
      if (endedInCr && text.startsWith("\n")) text = text.slice(1);
      endedInCr = text.endsWith("\r");
      let from = 0;
      const lineEnd = /\r\n|\r|\n/g;
      for (let end = lineEnd.exec(text); end; end = lineEnd.exec(text)) {
        takeLine(rest + text.slice(from, end.index), out);
        rest = "";
        from = lineEnd.lastIndex;
      }
      rest += text.slice(from);
      return out;
    },
    retryMs: () => retry,
  };
}

/** @returns {{id: string | null, event: string, data: string | null}} */
function emptyFrame() {
  return { id: null, event: "", data: null };
}
