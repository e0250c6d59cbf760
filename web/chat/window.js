/**
 * @module
 * Which of the many messages of a chat are on the page.
 *
 * Pure: a window over a list of ids that slides where the reader goes and follows the end of the
 * list while the reader is there. Nodes and scrolling are `transcript.js`'s.
 */

/** Messages on the page at most. More are laid out for nothing: three screens hold fewer. */
export const WINDOW_MAX = 120;

/** How far the window slides at a time. */
export const STEP = 40;

/**
 * @typedef {object} Window
 * @property {number} from index of the first message on the page
 * @property {number} to index after the last one
 */

/**
 * The window at the end of a list.
 *
 * @param {number} length
 * @returns {Window}
 */
export function windowAtEnd(length) {
  return { from: Math.max(0, length - WINDOW_MAX), to: length };
}

/**
 * The same window after the list has changed at either end.
 *
 * @param {Window} window
 * @param {readonly {id: string}[]} before
 * @param {readonly {id: string}[]} after
 * @returns {Window}
 */
export function windowAfter(window, before, after) {
  if (before === after) return window;
  const wasAtEnd = window.to >= before.length;
  const firstId = before[window.from]?.id;
  const from = firstId === undefined ? -1 : after.findIndex((one) => one.id === firstId);
  if (from < 0) return windowAtEnd(after.length);
  const shown = window.to - window.from;
  const to = wasAtEnd ? after.length : Math.min(after.length, from + shown);
  // What is appended pushes out what is furthest from the reader.
  return { from: wasAtEnd ? Math.max(from, to - 2 * WINDOW_MAX) : from, to };
}

/**
 * The window one step towards the beginning of the list.
 *
 * @param {Window} window
 * @returns {Window}
 */
export function windowBack(window) {
  const from = Math.max(0, window.from - STEP);
  return { from, to: Math.min(window.to, from + WINDOW_MAX + STEP) };
}

/**
 * The window one step towards its end.
 *
 * @param {Window} window
 * @param {number} length
 * @returns {Window}
 */
export function windowOn(window, length) {
  const to = Math.min(length, window.to + STEP);
  return { from: Math.max(window.from, to - WINDOW_MAX - STEP), to };
}
