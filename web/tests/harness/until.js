// Waiting for a state: the one place of the browser tests where time passes between two looks.
//
// Nothing waits for a duration to be over. How long a state may take is the caller's to say.

import { setTimeout as pause } from "node:timers/promises";

/** Milliseconds between two looks: far below what a person notices. */
const LOOK_EVERY_MS = 20;

/**
 * Resolves with the first answer of `look` that is neither falsy nor thrown.
 *
 * @template T
 * @param {string} what The state, for the message if it does not come.
 * @param {() => T | Promise<T>} look
 * @param {number} [deadlineMs] Milliseconds until it is given up.
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, look, deadlineMs = 15_000) {
  const end = performance.now() + deadlineMs;
  let last = "";
  for (;;) {
    try {
      const seen = await look();
      if (seen) return /** @type {NonNullable<T>} */ (seen);
      last = `it was ${String(seen)}`;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() > end) throw new Error(`${what}: not in ${deadlineMs} ms; ${last}`);
    await pause(LOOK_EVERY_MS);
  }
}

/**
 * Asserts that two texts are the same, and shows where they part: a whole answer is no message.
 *
 * @param {string} actual
 * @param {string} expected
 * @param {string} what
 */
export function sameText(actual, expected, what) {
  if (actual === expected) return;
  let at = 0;
  while (at < actual.length && actual[at] === expected[at]) at += 1;
  const near = (/** @type {string} */ text) =>
    JSON.stringify(text.slice(Math.max(0, at - 40), at + 40));
  const lengths = `${actual.length} characters for ${expected.length}`;
  throw new Error(`${what}: ${lengths}, other from ${at}: ${near(actual)} for ${near(expected)}`);
}
