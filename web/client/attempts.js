/**
 * @module
 * Calls that are made again until they are answered.
 *
 * Only for calls that may be made twice: reads, and writes that carry an idempotency key. What a
 * call does is left to `calls.js`.
 */

import { backoffMs } from "./backoff.js";
import { NetworkError, ProblemError } from "./calls.js";

/** Answers of a server in trouble that are taken for passing, in a row; then it is a refusal. */
const TROUBLE_MAX = 6;

/** Milliseconds that one try may take: a network that is gone is not always told of. */
const TRY_MS = 30_000;

/**
 * Whether the same call is made again by itself: if nobody answered, or the server could not.
 *
 * What the server refuses although it could (a busy chat, a full queue) is the caller's to decide,
 * even where a later call may succeed.
 *
 * @param {unknown} error
 * @param {number} nTrouble Answers of a server in trouble so far, this one not counted.
 */
export function isPassing(error, nTrouble) {
  if (error instanceof NetworkError) return true;
  if (!(error instanceof ProblemError) || !error.retryable) return false;
  const isTrouble = error.status >= 500 || error.status === 429;
  return (isTrouble || error.code === "body_incomplete") && nTrouble < TROUBLE_MAX;
}

/**
 * @typedef {object} AttemptOptions
 * @property {AbortSignal} signal Ends it all.
 * @property {number} [nMax] Tries at most; by default as many as it takes.
 * @property {number} [tryMs] Milliseconds that one try may take; 30 000 by default.
 * @property {(error: Error) => void} [onWait] Called before each wait.
 */

/** Makes calls again, and can cut all their waits short. */
export class Attempts {
  #env;
  #backoff;
  /** @type {Set<() => void>} */
  #waits = new Set();

  /**
   * @param {import("./environment.js").Environment} env
   * @param {import("./backoff.js").Backoff} backoff
   */
  constructor(env, backoff) {
    this.#env = env;
    this.#backoff = backoff;
  }

  /** Ends every wait: the server can be reached again. */
  wake() {
    for (const end of [...this.#waits]) end();
  }

  /**
   * Calls until there is an answer.
   *
   * @template Answer
   * @param {(signal: AbortSignal) => Promise<Answer>} call
   * @param {AttemptOptions} options
   * @returns {Promise<Answer>}
   * @throws {ProblemError | NetworkError} The refusal, or the last failure; the signal's reason if
   *   it was aborted.
   */
  async run(call, { signal, nMax = Infinity, tryMs = TRY_MS, onWait }) {
    let nTrouble = 0;
    for (let n = 0; ; n++) {
      signal.throwIfAborted();
      try {
        return await this.#try(call, signal, tryMs);
      } catch (error) {
        signal.throwIfAborted();
        if (!isPassing(error, nTrouble) || n + 1 >= nMax) throw error;
        if (error instanceof ProblemError) nTrouble += 1;
        onWait?.(/** @type {Error} */ (error));
      }
      await this.#wait(backoffMs(n, this.#backoff, this.#env.random()), signal);
    }
  }

  /**
   * @template Answer
   * @param {(signal: AbortSignal) => Promise<Answer>} call
   * @param {AbortSignal} signal
   * @param {number} ms
   * @returns {Promise<Answer>}
   */
  async #try(call, signal, ms) {
    const one = new AbortController();
    const onAbort = () => one.abort(signal.reason);
    const late = () => one.abort(new NetworkError(new Error(`no answer for ${ms} ms`)));
    const timer = this.#env.setTimer(late, ms);
    signal.addEventListener("abort", onAbort);
    try {
      return await call(one.signal);
    } catch (error) {
      throw one.signal.aborted ? one.signal.reason : error;
    } finally {
      this.#env.clearTimer(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
  #wait(ms, signal) {
    return new Promise((resolve) => {
      const end = () => {
        this.#env.clearTimer(timer);
        this.#waits.delete(end);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = this.#env.setTimer(end, ms);
      this.#waits.add(end);
      signal.addEventListener("abort", end);
    });
  }
}
