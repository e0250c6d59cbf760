/**
 * @module
 * How long to wait before the next try. Pure: chance is passed in, waiting is left to the caller.
 */

/**
 * Bounds of the wait between two tries.
 *
 * @typedef {object} Backoff
 * @property {number} min Milliseconds that the first wait takes at most.
 * @property {number} max Milliseconds that any wait takes at most.
 */

/**
 * The wait before the next try: between half and all of a bound that doubles with each failure.
 *
 * Half of it is chance, so that the clients of a server that restarts do not come back at once.
 *
 * @param {number} nFailures Tries that failed in a row, 0 or more.
 * @param {Backoff} bounds
 * @param {number} random In [0, 1).
 * @returns {number} Milliseconds.
 */
export function backoffMs(nFailures, { min, max }, random) {
  // 2 ** 30 times any bound of milliseconds is beyond every `max`, and still a number.
  const bound = Math.min(max, min * 2 ** Math.min(nFailures, 30));
  return Math.round(bound / 2 + (bound / 2) * random);
}
