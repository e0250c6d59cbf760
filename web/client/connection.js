/**
 * @module
 * The one connection: a stream over all chats that is opened again until it is closed.
 *
 * Here are the effects: fetch, timers, the device's signals. What they do to the state of the
 * connection is `link.js`; who among the tabs has a connection, `tabs.js`; what a seed is,
 * `client.js`.
 */

import { backoffMs } from "./backoff.js";
import { NetworkError } from "./calls.js";
import * as Link from "./link.js";
import { createSseReader } from "./sse.js";

/** Milliseconds between two looks at the head of the log while the plug is pulled. */
const PEEK_MS = 1000;

/**
 * @typedef {object} ConnectionOptions
 * @property {import("./calls.js").Calls} calls
 * @property {import("./environment.js").Environment} env
 * @property {import("./backoff.js").Backoff} backoff
 * @property {number} silenceMs Milliseconds without a byte after which a connection is dead.
 * @property {number} catchUpMax Seqs to catch up at most; beyond, the state is seeded anew.
 * @property {(signal: AbortSignal) => Promise<number>} seed Reads the state anew; the seq it is of.
 * @property {(batch: import("./link.js").Batch) => void} onBatch Events, once a chunk.
 * @property {(link: import("./link.js").Link) => void} onChange After the batch of a chunk.
 * @property {(reason: string) => void} onResync The cursor is of no use; a seed follows.
 * @property {() => void} [onByte] Something came that ends no frame, such as a heartbeat.
 */

/** Reads the stream, and connects again when it breaks. */
export class Connection {
  #options;
  #link = Link.NEW_LINK;
  /** The try that counts; whatever an earlier one still does is of no effect. */
  #attempt = new AbortController();
  #lastByteAt = 0;
  /** @type {unknown} */
  #retryTimer = null;
  /** @type {unknown} */
  #silenceTimer = null;
  /** @type {(() => void)[]} */
  #unlisten = [];

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** The state as it is. */
  get link() {
    return this.#link;
  }

  /**
   * Begins to read, after a seq of a log that somebody has read so far, or by a seed.
   *
   * @param {{ seq: number | null, logId: string | null }} [from]
   */
  start({ seq, logId } = { seq: null, logId: null }) {
    const { listen } = this.#options.env;
    this.#unlisten = [
      listen("online", () => this.wake()),
      listen("shown", () => this.wake()),
      // The device may be wrong, as with a server on itself; a try finds out.
      listen("offline", () => this.#isTrying() && this.#connect()),
    ];
    this.#link = { ...this.#link, seq, logId };
    this.#connect();
  }

  /** Tries at once if it waits for the next try, or if it has not heard anything for too long. */
  wake() {
    const { phase, isPlugged } = this.#link;
    const isWaiting = (phase === "waiting" || phase === "offline") && isPlugged;
    if (isWaiting || (this.#isTrying() && this.#silentMs() >= this.#options.silenceMs)) {
      this.#connect();
    }
  }

  /** Cuts the connection, and keeps it cut until `plugIn`. */
  unplug() {
    if (this.#link.phase === "closed" || !this.#link.isPlugged) return;
    this.#drop();
    this.#change(Link.unplugged(this.#link));
    this.#peekLater();
  }

  /** Connects again after `unplug`. */
  plugIn() {
    if (this.#link.isPlugged) return;
    this.#link = { ...this.#link, isPlugged: true };
    if (this.#link.phase !== "closed") this.#connect();
  }

  /** Ends for good. */
  close() {
    if (this.#link.phase === "closed") return;
    this.#drop();
    for (const unlisten of this.#unlisten) unlisten();
    this.#change(Link.closed(this.#link));
  }

  #isTrying() {
    const { phase } = this.#link;
    return phase === "connecting" || phase === "catching_up" || phase === "live";
  }

  #silentMs() {
    return this.#options.env.now() - this.#lastByteAt;
  }

  /** @param {import("./link.js").Link} link */
  #change(link) {
    this.#link = link;
    this.#options.onChange(link);
  }

  /** Ends what the current try does and waits for. */
  #drop() {
    const { clearTimer } = this.#options.env;
    this.#attempt.abort();
    clearTimer(this.#retryTimer);
    clearTimer(this.#silenceTimer);
  }

  #connect() {
    this.#drop();
    const attempt = new AbortController();
    this.#attempt = attempt;
    this.#lastByteAt = this.#options.env.now();
    this.#watch(attempt.signal);
    this.#change(Link.connecting(this.#link));
    this.#read(attempt.signal).catch((cause) => {
      if (attempt.signal.aborted) return;
      const error = cause instanceof Error ? cause : new Error(String(cause));
      this.#break(error, false);
    });
  }

  /** @param {AbortSignal} signal Aborted when this try does not count any more. */
  async #read(signal) {
    const { calls, seed } = this.#options;
    if (this.#link.seq === null) {
      const seq = await seed(signal);
      if (signal.aborted) return;
      this.#change(Link.seeded(this.#link, seq));
    }
    const { seq, logId } = this.#link;
    const response = await calls.openStream({ afterSeq: seq ?? 0, logId, signal });
    const body = /** @type {ReadableStream<Uint8Array>} */ (response.body);
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const sse = createSseReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (signal.aborted) return;
        if (done) throw new NetworkError(new Error("the stream ended without a bye"));
        this.#lastByteAt = this.#options.env.now();
        if (this.#take(sse.push(decoder.decode(value, { stream: true })))) return;
      }
    } finally {
      // Also when it is not this try's any more: the socket is to be given back.
      reader.cancel().catch(() => {});
    }
  }

  /** @param {import("./sse.js").RawFrame[]} frames @returns {boolean} Whether the try is over. */
  #take(frames) {
    const { catchUpMax, onBatch, onByte, onResync } = this.#options;
    const attempt = this.#attempt;
    const before = this.#link;
    const { link, batch, then } = Link.takeFrames(before, frames, catchUpMax);
    if (frames.length > 0) {
      this.#link = link;
      try {
        if (batch !== null) onBatch(batch);
      } catch (error) {
        // Events that could not be folded are not passed over: the next try begins with a seed.
        this.#link = { ...before, seq: null };
        throw error;
      }
      // Whoever got the batch may have closed or unplugged the connection.
      if (attempt !== this.#attempt || attempt.signal.aborted) return true;
      this.#change(link);
    } else {
      onByte?.();
    }
    if (attempt.signal.aborted) return true;
    if (then.type === "go_on") return false;
    if (then.type === "over") {
      this.#break(then.error, then.isPlanned);
      return true;
    }
    onResync(then.reason);
    // Once at once; a server that answers every seed so is asked less and less often.
    const isFirst = link.nFailures === 0;
    this.#link = { ...link, nFailures: link.nFailures + 1 };
    if (isFirst) this.#connect();
    else this.#break(new Error(`the server asks to begin anew: ${then.reason}`), true);
    return true;
  }

  /** @param {Error} error @param {boolean} isPlanned */
  #break(error, isPlanned) {
    const { env, backoff } = this.#options;
    this.#drop();
    const wait = backoffMs(this.#link.nFailures, backoff, env.random());
    const how = { error, isPlanned, isOnline: env.isOnline(), retryAt: env.now() + wait };
    this.#retryTimer = env.setTimer(() => this.#connect(), wait);
    this.#change(Link.broken(this.#link, how));
  }

  /**
   * Finds out that nothing came for too long; one timer, whatever comes.
   *
   * @param {AbortSignal} of The try that is watched.
   */
  #watch(of) {
    const { env, silenceMs } = this.#options;
    const left = silenceMs - this.#silentMs();
    this.#silenceTimer = env.setTimer(() => {
      if (of.aborted) return;
      if (this.#silentMs() < silenceMs) this.#watch(of);
      else this.#break(new NetworkError(new Error(`nothing came for ${silenceMs} ms`)), false);
    }, left);
  }

  /** Sees how the log grows without the stream. */
  #peekLater() {
    const { env, calls } = this.#options;
    const { signal } = (this.#attempt = new AbortController());
    const peek = async () => {
      try {
        const { as_of_seq } = await calls.read("/v1/turns", { limit: 1 }, signal);
        if (signal.aborted) return;
        this.#change({ ...this.#link, headSeq: Math.max(this.#link.headSeq ?? 0, as_of_seq) });
      } catch {
        // Then the count stands still; what is missing comes with the next connection.
      }
      if (!signal.aborted) this.#retryTimer = env.setTimer(peek, PEEK_MS);
    };
    this.#retryTimer = env.setTimer(peek, PEEK_MS);
  }
}
