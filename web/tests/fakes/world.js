/**
 * @module
 * A world without real time: a clock that tests turn, locks, channels and signals.
 *
 * A world is one browser; each tab is an environment of it. The server is in `server.js`.
 */

/** @typedef {import("../../client/environment.js").Environment} Environment */
/** @typedef {import("../../client/environment.js").Channel} Channel */
/** @typedef {import("../../client/environment.js").Signal} Signal */

/** Lets everything happen that can happen without time going on. */
export async function settle() {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** A clock that stands still until it is turned. */
export class FakeClock {
  now = 1_800_000_000_000;
  /** @type {{ at: number, n: number, run: () => void }[]} */
  #timers = [];
  #n = 0;

  /** @param {() => void} run @param {number} ms */
  set(run, ms) {
    const timer = { at: this.now + Math.max(0, ms), n: this.#n++, run };
    this.#timers.push(timer);
    return timer;
  }

  /** @param {any} timer */
  clear(timer) {
    this.#timers = this.#timers.filter((one) => one !== timer);
  }

  /** Timers that are set. */
  get size() {
    return this.#timers.length;
  }

  /** Turns the clock; what is due runs in its order. @param {number} ms */
  async turn(ms) {
    const end = this.now + ms;
    for (;;) {
      await settle();
      const [next] = this.#timers.sort((a, b) => a.at - b.at || a.n - b.n);
      if (next === undefined || next.at > end) break;
      this.clear(next);
      this.now = Math.max(this.now, next.at);
      next.run();
    }
    this.now = end;
    await settle();
  }
}

/** The locks of a browser. */
export class FakeLocks {
  /** @type {{ name: string, reject: (error: Error) => void } | null} */
  #held = null;
  /** @type {{ name: string, grant: () => void }[]} */
  #queue = [];

  /**
   * @param {string} name
   * @param {{ ifAvailable?: boolean, steal?: boolean, signal?: AbortSignal }} options
   * @param {(lock: unknown) => Promise<void>} hold
   * @returns {Promise<unknown>}
   */
  request(name, { ifAvailable, steal, signal }, hold) {
    return new Promise((resolve, reject) => {
      const grant = () => {
        const held = { name, reject };
        this.#held = held;
        const done = () => {
          if (this.#held !== held) return;
          this.#held = null;
          this.#queue.shift()?.grant();
        };
        hold({ name }).then(resolve, reject).finally(done);
      };
      if (ifAvailable && this.#held !== null) return void hold(null).then(resolve, reject);
      if (steal && this.#held !== null) {
        this.#held.reject(new DOMException("stolen", "AbortError"));
        return grant();
      }
      if (this.#held === null) return grant();
      const waiting = { name, grant };
      this.#queue.push(waiting);
      signal?.addEventListener("abort", () => {
        this.#queue = this.#queue.filter((one) => one !== waiting);
        reject(new DOMException("aborted", "AbortError"));
      });
    });
  }
}

/** The channels of a browser; a frozen tab hears what was said once it is thawed. */
export class FakeChannels {
  /** @type {Set<{ tab: FakeTab, name: string, channel: Channel }>} */
  #open = new Set();
  nPosted = 0;

  /** @param {FakeTab} tab @param {string} name @returns {Channel} */
  open(tab, name) {
    /** @type {Channel} */
    const channel = {
      onmessage: null,
      postMessage: (message) => {
        this.nPosted += 1;
        const data = structuredClone(message);
        for (const other of this.#open) {
          if (other === entry || other.name !== name) continue;
          const say = () => this.#open.has(other) && other.channel.onmessage?.({ data });
          other.tab.later(say, true);
        }
      },
      close: () => void this.#open.delete(entry),
    };
    const entry = { tab, name, channel };
    this.#open.add(entry);
    return channel;
  }
}

/** A tab: it can be frozen, and loses what is said to it if the browser throws it away. */
export class FakeTab {
  /** @type {{ run: () => void, isSaid: boolean }[] | null} */
  #frozen = null;
  /** @type {Map<string, Set<() => void>>} */
  #listeners = new Map();
  isOnline = true;

  /**
   * @param {() => void} run Runs soon, or when the tab is thawed.
   * @param {boolean} [isSaid] Whether it is what another tab says.
   */
  later(run, isSaid = false) {
    if (this.#frozen !== null) this.#frozen.push({ run, isSaid });
    else queueMicrotask(run);
  }

  /** A timer of the tab. @param {() => void} run */
  due(run) {
    if (this.#frozen !== null) this.#frozen.push({ run, isSaid: false });
    else run();
  }

  freeze() {
    this.#frozen = [];
  }

  /** Resolves once the tab is not frozen. @returns {Promise<void>} */
  awake() {
    return new Promise((resolve) => this.later(resolve));
  }

  /** Passes on what comes by the network while the tab is not frozen. @param {Response} response */
  receive(response) {
    if (response.body === null) return response;
    const gate = new TransformStream({
      transform: async (chunk, controller) => {
        await this.awake();
        controller.enqueue(chunk);
      },
    });
    return new Response(response.body.pipeThrough(gate), response);
  }

  /** @param {{ isDeaf?: boolean }} [how] Whether what was said meanwhile is lost. */
  thaw({ isDeaf = false } = {}) {
    const missed = this.#frozen ?? [];
    this.#frozen = null;
    for (const { run, isSaid } of missed) if (!isSaid || !isDeaf) run();
  }

  /** @param {Signal} signal @param {() => void} run */
  listen(signal, run) {
    const set = this.#listeners.get(signal) ?? new Set();
    this.#listeners.set(signal, set);
    set.add(run);
    return () => void set.delete(run);
  }

  /** @param {Signal} signal */
  signal(signal) {
    for (const run of this.#listeners.get(signal) ?? []) run();
  }
}

/** One browser with its tabs. */
export class FakeBrowser {
  clock = new FakeClock();
  locks = new FakeLocks();
  channels = new FakeChannels();
  #nRandom = 0;

  /** A byte; all that it depends on is how many there were before. */
  #random() {
    this.#nRandom = (Math.imul(this.#nRandom, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#nRandom >>> 24;
  }

  /**
   * @param {typeof globalThis.fetch} fetch
   * @param {FakeTab} [tab]
   * @returns {Environment}
   */
  env(fetch, tab = new FakeTab()) {
    return {
      fetch: async (...args) => {
        const response = await fetch(...args);
        await tab.awake();
        return tab.receive(response);
      },
      random: () => 0.5,
      now: () => this.clock.now,
      setTimer: (run, ms) => this.clock.set(() => tab.due(run), ms),
      clearTimer: (timer) => this.clock.clear(timer),
      randomBytes: (n) => Uint8Array.from({ length: n }, () => this.#random()),
      locks: {
        request: async (...args) => {
          try {
            return await this.locks.request(...args);
          } finally {
            await tab.awake();
          }
        },
      },
      openChannel: (name) => this.channels.open(tab, name),
      isOnline: () => tab.isOnline,
      listen: (signal, run) => tab.listen(signal, run),
    };
  }
}
