/**
 * @module
 * Tabs of one browser share one connection: one of them reads and tells the others.
 *
 * Which one is decided by a lock: a tab that is closed gives it up, and the next one reads on from
 * where it has heard. A reader that does not answer (a browser may freeze it) loses the lock to
 * whoever asked. What is heard is `relay.js`; reading is `connection.js`.
 */

import { backoffMs } from "./backoff.js";
import { Connection } from "./connection.js";
import { freshId } from "./environment.js";
import { connectionState, NEW_LINK } from "./link.js";
import { hear, NEW_LISTENER, seededAt } from "./relay.js";

/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./relay.js").Message} Message */

/** Milliseconds without a word from the reader after which it is asked whether it is there. */
const QUIET_MS = 5000;

/** Milliseconds that it has to answer: it needs no timer for it, which a hidden tab may not get. */
const ANSWER_MS = 3000;

/**
 * What the client gets its events from: one tab's connection, or all tabs' one.
 *
 * @typedef {object} Feed
 * @property {() => void} start
 * @property {() => void} unplug Cuts the connection until `plugIn`.
 * @property {() => void} plugIn
 * @property {() => void} close
 */

/**
 * @typedef {object} FeedOptions
 * @property {import("./calls.js").Calls} calls
 * @property {import("./environment.js").Environment} env
 * @property {import("./backoff.js").Backoff} backoff
 * @property {number} silenceMs
 * @property {number} catchUpMax
 * @property {(signal: AbortSignal) => Promise<number>} seed Reads the state anew; the seq it is of.
 * @property {(batch: import("./link.js").Batch) => void} onBatch
 * @property {(state: import("./link.js").ConnectionState) => void} onChange
 */

/**
 * @param {FeedOptions} options
 * @param {string | null} name What tabs share a connection by; null to have one of its own.
 * @returns {Feed}
 */
export function createFeed(options, name) {
  const { locks, openChannel } = options.env;
  // Without either (a page by plain HTTP from another machine has no locks) each tab reads itself.
  if (name !== null && locks !== null && openChannel !== null) {
    return new Tabs(options, { name, locks, openChannel });
  }
  const { onChange, ...rest } = options;
  const onOwnChange = (/** @type {Link} */ link) => onChange(connectionState(link, true));
  return new Connection({ ...rest, onChange: onOwnChange, onResync: () => {} });
}

/**
 * @typedef {object} Claim A wish to have the lock.
 * @property {AbortController} waiting Ends it while it waits.
 * @property {() => void} release Gives the lock back.
 */

/** This tab among the others. @implements {Feed} */
export class Tabs {
  #options;
  #shared;
  #listener = NEW_LISTENER;
  /** The connection while this tab reads. @type {Connection | null} */
  #connection = null;
  /** @type {import("./environment.js").Channel | null} */
  #channel = null;
  /** @type {Claim | null} */
  #claim = null;
  /** What was folded and not told yet. @type {import("./link.js").Batch | null} */
  #untold = null;
  /** @type {AbortController} */
  #seeding = new AbortController();
  #nSeeds = 0;
  #heardAt = 0;
  #isPulled = false;
  #isClosed = false;
  /** @type {unknown} */
  #timer = null;
  #unlisten = () => {};

  /**
   * @param {FeedOptions} options
   * @param {{ name: string, locks: import("./environment.js").Locks,
   *   openChannel: (name: string) => import("./environment.js").Channel }} shared
   */
  constructor(options, shared) {
    this.#options = options;
    this.#shared = shared;
  }

  start() {
    const { env } = this.#options;
    this.#channel = this.#shared.openChannel(this.#shared.name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#unlisten = env.listen("shown", () => this.#connection === null && this.#ask());
    void this.#want("if_free");
  }

  unplug() {
    this.#isPulled = true;
    // The plug of all tabs is in the hand of the one that reads.
    if (this.#connection !== null) this.#connection.unplug();
    else void this.#want("steal");
  }

  plugIn() {
    this.#isPulled = false;
    this.#connection?.plugIn();
  }

  close() {
    this.#isClosed = true;
    this.#unlisten();
    this.#options.env.clearTimer(this.#timer);
    this.#seeding.abort();
    this.#connection?.close();
    if (this.#connection === null) this.#tell({ ...NEW_LINK, phase: "closed" }, false);
    this.#connection = null;
    this.#claim?.waiting.abort();
    this.#claim?.release();
    this.#channel?.close();
  }

  /** @param {"if_free" | "wait" | "steal"} how */
  async #want(how) {
    const { name, locks } = this.#shared;
    this.#claim?.waiting.abort();
    /** @type {Claim} */
    const claim = { waiting: new AbortController(), release: () => {} };
    this.#claim = claim;
    const isDropped = () => this.#claim !== claim || this.#isClosed;
    const options = {
      if_free: { ifAvailable: true },
      wait: { signal: claim.waiting.signal },
      steal: { steal: true },
    }[how];
    try {
      await locks.request(name, options, async (lock) => {
        if (lock === null || isDropped()) return;
        await new Promise((resolve) => {
          claim.release = () => resolve(undefined);
          this.#lead();
        });
      });
    } catch (error) {
      const isStolen = error instanceof Error && error.name === "AbortError";
      // Where locks do not work, each tab reads itself.
      if (!isDropped() && !isStolen) return this.#lead();
    }
    if (isDropped()) return;
    this.#listen();
    void this.#want("wait");
  }

  /** This tab reads from now on, where the one before ended. */
  #lead() {
    const { env, onBatch } = this.#options;
    const { seq, logId, term } = this.#listener;
    env.clearTimer(this.#timer);
    this.#seeding.abort();
    this.#listener = { ...this.#listener, term: Math.max(term + 1, Math.floor(env.now())) };
    const connection = new Connection({
      ...this.#options,
      onBatch: (batch) => {
        onBatch(batch);
        this.#untold = batch;
      },
      onChange: (link) => this.#connection === connection && this.#relay(link),
      onResync: () => (this.#listener = { ...this.#listener, era: freshId(env) }),
      onByte: () => this.#say(connection.link),
    });
    this.#connection = connection;
    connection.start({ seq, logId });
    if (this.#isPulled) connection.unplug();
  }

  /** This tab listens from now on. */
  #listen() {
    const { env } = this.#options;
    const link = this.#connection?.link;
    if (link !== undefined) {
      const connection = this.#connection;
      this.#connection = null;
      this.#untold = null;
      connection?.close();
      const { seq, logId } = link;
      this.#listener = { ...this.#listener, seq, logId, kept: [], link };
    }
    this.#heardAt = env.now();
    this.#ask();
    if (this.#listener.seq === null) this.#seed();
  }

  /** @param {Link} link */
  #relay(link) {
    const era = this.#listener.era ?? link.logId;
    this.#listener = { ...this.#listener, era };
    this.#say(link);
    this.#tell(link, true);
  }

  /** @param {Link} link @param {boolean} leader */
  #tell(link, leader) {
    this.#options.onChange(connectionState(link, leader));
  }

  /** @param {Link} link */
  #say(link) {
    const { term, era } = this.#listener;
    // An error is told by its words: not every cause of one can be sent.
    const error = link.error && new Error(link.error.message);
    this.#post({ type: "said", term, era, batch: this.#untold, link: { ...link, error } });
    this.#untold = null;
  }

  /** @param {Message} message */
  #post(message) {
    if (!this.#isClosed) this.#channel?.postMessage(message);
  }

  /** @param {Message} message */
  #hear(message) {
    if (this.#isClosed) return;
    if (message.type === "ping") {
      if (this.#connection !== null) this.#say(this.#connection.link);
      return;
    }
    // A reader that was replaced hears so from the lock, and what an older one says is old.
    if (this.#connection !== null) return;
    if (message.term >= this.#listener.term) this.#heardAt = this.#options.env.now();
    const { listener, batch, isLost } = hear(this.#listener, message);
    this.#listener = listener;
    if (isLost) this.#seed();
    else if (batch !== null) this.#hand([batch]);
    this.#tellHeard();
  }

  /** @param {import("./link.js").Batch[]} batches */
  #hand(batches) {
    try {
      for (const batch of batches) this.#options.onBatch(batch);
    } catch {
      // As with a connection of its own: what cannot be folded is not passed over.
      this.#listener = { ...this.#listener, seq: null, kept: [] };
      this.#seed();
    }
  }

  /** Tells of the reader's connection, but of this tab's place. */
  #tellHeard() {
    const { link, seq } = this.#listener;
    if (link === null) return;
    const phase = seq === null && link.phase === "live" ? "catching_up" : link.phase;
    this.#tell({ ...link, phase, seq: seq ?? link.seq }, false);
  }

  /** Reads the state anew; at once, but less and less often if that does not help. */
  #seed() {
    const { env, backoff, seed } = this.#options;
    this.#seeding.abort();
    const { signal } = (this.#seeding = new AbortController());
    const wait = this.#nSeeds === 0 ? 0 : backoffMs(this.#nSeeds, backoff, env.random());
    this.#nSeeds += 1;
    const run = async () => {
      const seq = signal.aborted ? 0 : await seed(signal).catch(() => null);
      if (signal.aborted) return;
      if (seq === null) return this.#seed();
      const { listener, batches, isLost } = seededAt(this.#listener, seq);
      this.#listener = listener;
      if (!isLost) this.#nSeeds = 0;
      this.#hand(batches);
      if (isLost) this.#seed();
      this.#tellHeard();
    };
    if (wait === 0) void run();
    else env.setTimer(run, wait);
  }

  /** Asks whether the reader is there, and takes its place if it does not answer. */
  #ask() {
    const { env } = this.#options;
    const askedAt = env.now();
    env.clearTimer(this.#timer);
    this.#post({ type: "ping", term: this.#listener.term });
    // Not all tabs at once.
    const wait = ANSWER_MS * (1 + env.random() / 2);
    this.#timer = env.setTimer(() => {
      if (this.#connection !== null || this.#isClosed) return;
      if (this.#heardAt < askedAt) void this.#want("steal");
      else this.#askLater();
    }, wait);
  }

  #askLater() {
    const { env } = this.#options;
    const left = this.#heardAt + QUIET_MS - env.now();
    if (left <= 0) return this.#ask();
    this.#timer = env.setTimer(() => {
      if (this.#connection === null && !this.#isClosed) this.#askLater();
    }, left);
  }
}
