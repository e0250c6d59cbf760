/**
 * @module
 * Keeps an eye on the log as a whole: its head, its sizes, how fast it grows, whether it answers.
 *
 * Asks once a second while the page is seen. Between two questions the client's stream may say that
 * the head is greater; nothing else of the stream is used here.
 */

/** @typedef {import("./calls.js").LogState} LogState */

/** Milliseconds between two questions. */
const EVERY_MS = 1_000;

/** Milliseconds in which heads that the stream says are taken together; rows are read for each. */
const TOGETHER_MS = 150;

/** Rates kept for the little curve. */
export const RATES = 60;

/**
 * @typedef {object} Watched
 * @property {LogState | null} log Null before the first answer.
 * @property {number} head
 * @property {readonly number[]} rates Events a second, the last one last.
 * @property {Error | null} error Why the last question was not answered.
 * @property {boolean} isExchanged Whether another log answers than at first.
 */

/** The watch. */
export class LogWatch {
  #calls;
  /** @type {Watched} */
  #watched = { log: null, head: 0, rates: [], error: null, isExchanged: false };
  /** @type {Set<(watched: Watched) => void>} */
  #subscribers = new Set();
  #timer = 0;
  #reached = 0;
  #together = 0;
  #isAsking = false;
  /** @type {{ at: number, total: number } | null} */
  #last = null;

  /** @param {import("./calls.js").Calls} calls */
  constructor(calls) {
    this.#calls = calls;
    document.addEventListener("visibilitychange", () => this.#tick());
    window.addEventListener("online", () => this.#tick());
  }

  /** @returns {Watched} */
  get watched() {
    return this.#watched;
  }

  start() {
    this.#tick();
  }

  /**
   * @param {(watched: Watched) => void} onChange
   */
  subscribe(onChange) {
    this.#subscribers.add(onChange);
  }

  /**
   * Takes note that the stream has come so far.
   *
   * @param {number | null} seq
   */
  reached(seq) {
    if (seq === null || seq <= this.#reached) return;
    this.#reached = seq;
    this.#together ||= window.setTimeout(() => {
      this.#together = 0;
      if (this.#reached > this.#watched.head && this.#watched.log) {
        this.#set({ head: this.#reached });
      }
    }, TOGETHER_MS);
  }

  #tick() {
    clearTimeout(this.#timer);
    if (document.visibilityState === "hidden" || this.#isAsking) return;
    this.#isAsking = true;
    void this.#ask().finally(() => {
      this.#isAsking = false;
      this.#timer = window.setTimeout(() => this.#tick(), EVERY_MS);
    });
  }

  async #ask() {
    try {
      const log = await this.#calls.log();
      const before = this.#watched.log;
      const isExchanged = this.#watched.isExchanged ||
        (before !== null && before.log_id !== log.log_id);
      const head = isExchanged ? log.head_seq : Math.max(log.head_seq, this.#watched.head);
      this.#set({ log, head, rates: this.#rates(log), error: null, isExchanged });
    } catch (error) {
      this.#last = null;
      this.#set({ error: error instanceof Error ? error : new Error(String(error)) });
    }
  }

  /** @param {LogState} log */
  #rates(log) {
    const [at, total] = [performance.now(), log.head_seq];
    const last = this.#last;
    this.#last = { at, total };
    if (!last || at <= last.at) return this.#watched.rates;
    const rate = Math.max(0, ((total - last.total) * 1_000) / (at - last.at));
    return [...this.#watched.rates, rate].slice(-RATES);
  }

  /** @param {Partial<Watched>} change */
  #set(change) {
    this.#watched = { ...this.#watched, ...change };
    for (const subscriber of this.#subscribers) subscriber(this.#watched);
  }
}
