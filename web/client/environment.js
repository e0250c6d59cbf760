/**
 * @module
 * What the client takes from where it runs: network, time, chance, and the other tabs.
 *
 * Everything is an option of `connect`, so that a test (or another runtime) can pass its own;
 * nothing else in the client touches a global.
 */

/**
 * The locks by which tabs elect the one that reads; `navigator.locks` has this shape.
 *
 * @typedef {object} Locks
 * @property {(name: string,
 *   options: { ifAvailable?: boolean, steal?: boolean, signal?: AbortSignal },
 *   hold: (lock: unknown) => Promise<void>) => Promise<unknown>} request
 */

/**
 * The channel by which tabs talk; a `BroadcastChannel` has this shape.
 *
 * @typedef {object} Channel
 * @property {(message: unknown) => void} postMessage
 * @property {((event: { data: any }) => void) | null} onmessage
 * @property {() => void} close
 */

/** @typedef {"online" | "offline" | "shown"} Signal */

/**
 * @typedef {object} Environment
 * @property {typeof globalThis.fetch} fetch
 * @property {() => number} random In [0, 1).
 * @property {() => number} now Milliseconds since 1970.
 * @property {(run: () => void, ms: number) => unknown} setTimer
 * @property {(timer: any) => void} clearTimer
 * @property {(n: number) => Uint8Array} randomBytes
 * @property {Locks | null} locks Null where there are none.
 * @property {((name: string) => Channel) | null} openChannel Null where there are none.
 * @property {() => boolean} isOnline Whether the device says that it has a network.
 * @property {(signal: Signal, run: () => void) => () => void} listen Calls back until the returned
 *   function is called; `shown` is a page that comes to the front or back from a sleep.
 */

/** @type {Record<Signal, [target: "window" | "document", event: string][]>} */
const EVENTS = {
  online: [["window", "online"]],
  offline: [["window", "offline"]],
  shown: [
    ["document", "visibilitychange"],
    ["document", "resume"],
    ["window", "pageshow"],
  ],
};

/**
 * The browser's own, with what the caller passes instead.
 *
 * @param {Partial<Environment>} [given]
 * @returns {Environment}
 */
export function environment(given = {}) {
  const { navigator, document } = globalThis;
  return {
    fetch: given.fetch ?? ((...args) => globalThis.fetch(...args)),
    random: given.random ?? Math.random,
    now: given.now ?? Date.now,
    setTimer: given.setTimer ?? ((run, ms) => setTimeout(run, ms)),
    clearTimer: given.clearTimer ?? ((timer) => clearTimeout(timer)),
    randomBytes: given.randomBytes ?? ((n) => crypto.getRandomValues(new Uint8Array(n))),
    locks: given.locks === undefined ? browserLocks() : given.locks,
    openChannel: given.openChannel === undefined ? browserChannels() : given.openChannel,
    isOnline: given.isOnline ?? (() => navigator?.onLine !== false),
    listen: given.listen ?? ((signal, run) => listen(signal, run, document)),
  };
}

/** @returns {Locks | null} */
function browserLocks() {
  // Only in secure contexts; Node has it too, but its locks end with the process anyway.
  const locks = typeof document === "undefined" ? undefined : navigator.locks;
  return locks === undefined ? null : /** @type {Locks} */ (/** @type {unknown} */ (locks));
}

/** @returns {((name: string) => Channel) | null} */
function browserChannels() {
  if (typeof document === "undefined" || typeof BroadcastChannel === "undefined") return null;
  return (name) => /** @type {Channel} */ (new BroadcastChannel(name));
}

/** @param {Signal} signal @param {() => void} run @param {Document | undefined} document */
function listen(signal, run, document) {
  if (document === undefined) return () => {};
  const onEvent = () => {
    if (signal !== "shown" || document.visibilityState === "visible") run();
  };
  const targets = EVENTS[signal].map(([target, event]) => {
    const eventTarget = /** @type {EventTarget} */ (target === "window" ? globalThis : document);
    eventTarget.addEventListener(event, onEvent);
    return () => eventTarget.removeEventListener(event, onEvent);
  });
  return () => targets.forEach((unlisten) => unlisten());
}

/**
 * A fresh id: a UUID of version 7, so that ids sort by the time they were made.
 *
 * Not `crypto.randomUUID`, which is missing where a page comes by plain HTTP from another machine.
 *
 * @param {Pick<Environment, "now" | "randomBytes">} env
 * @returns {string}
 */
export function freshId({ now, randomBytes }) {
  const bytes = randomBytes(16);
  const ms = Math.floor(now());
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(ms / 2 ** (8 * (5 - i))) % 256;
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const parts = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)];
  return `${parts.join("-")}-${hex.slice(20)}`;
}
