/**
 * @module
 * Which row of a list is at the top of a window, for lists longer than a browser can lay out.
 *
 * A browser's boxes end at some ten million pixels. Up to there a pixel of the bar is a pixel of
 * the list; beyond, the bar is a scale, and steps of wheel and keys are counted in rows.
 */

/** Pixels of a row. */
export const ROW_PX = 24;

/** Pixels that the list is high at most; Firefox lays out 17 million, Chromium 33. */
const LIST_PX_MAX = 8_000_000;

/**
 * How high the list is laid out.
 *
 * @param {number} count
 */
export function listPx(count) {
  return Math.min(count * ROW_PX, LIST_PX_MAX);
}

/**
 * Whether the bar is a scale.
 *
 * @param {number} count
 */
export function isScaled(count) {
  return count * ROW_PX > LIST_PX_MAX;
}

/**
 * The greatest row that can be at the top; a fraction is a row partly seen.
 *
 * @param {number} count
 * @param {number} windowPx
 */
export function lastTopRow(count, windowPx) {
  return Math.max(0, count - windowPx / ROW_PX);
}

/**
 * The row at the top when the list is scrolled so far.
 *
 * @param {number} scrollPx
 * @param {number} count
 * @param {number} windowPx
 */
export function topRow(scrollPx, count, windowPx) {
  const last = lastTopRow(count, windowPx);
  if (!isScaled(count)) return Math.min(scrollPx / ROW_PX, last);
  return Math.min(1, scrollPx / (listPx(count) - windowPx)) * last;
}

/**
 * How far the list is scrolled when a row is at the top.
 *
 * @param {number} row
 * @param {number} count
 * @param {number} windowPx
 */
export function scrollPx(row, count, windowPx) {
  if (!isScaled(count)) return row * ROW_PX;
  return (row / lastTopRow(count, windowPx)) * (listPx(count) - windowPx);
}

/**
 * The row to have at the top so that another one is seen, with as little movement as can be.
 *
 * @param {number} row
 * @param {number} top
 * @param {number} windowPx
 */
export function topRowToShow(row, top, windowPx) {
  const nRows = windowPx / ROW_PX;
  if (row < top) return row;
  return row + 1 > top + nRows ? row + 1 - nRows : top;
}
