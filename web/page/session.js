/**
 * @module
 * Who uses the page: keeps the access token of this tab, and sends it with each call.
 *
 * A call that the server refuses for want of a token stays unanswered until somebody signs in; how
 * that is asked for is `sign_in.js`'s. A token lives as long as its tab, and goes to the page's own
 * server alone.
 */

/** Where a token is kept. */
const KEY = "scrollback.token";

/**
 * @typedef {object} Session
 * @property {typeof globalThis.fetch} fetch The browser's, with the token.
 * @property {string | true} share The name under which tabs share a connection: those of one token.
 * @property {(token: string) => Promise<boolean>} signIn Tries a token, and keeps one that is good.
 */

/**
 * @param {object} parts
 * @param {typeof globalThis.fetch} parts.fetch
 * @param {Pick<Storage, "getItem" | "setItem"> | null} parts.storage Null where there is none.
 * @param {() => void} parts.ask Asks for a token; called once.
 * @returns {Session}
 */
export function createSession({ fetch, storage, ask }) {
  let token = storage?.getItem(KEY) ?? null;
  let isAsked = false;

  /**
   * @param {RequestInfo | URL} input
   * @param {RequestInit} [init]
   * @returns {Promise<Response>}
   */
  async function signedFetch(input, init) {
    const response = await fetch(input, token === null ? init : withToken(init, token));
    if (response.status !== 401) return response;
    await response.body?.cancel();
    if (!isAsked) {
      isAsked = true;
      ask();
    }
    return never(init?.signal ?? null);
  }

  return {
    fetch: signedFetch,
    share: token === null ? true : fingerprint(token),
    async signIn(given) {
      const response = await fetch("/v1/chats?limit=1", withToken({ cache: "no-store" }, given));
      await response.body?.cancel();
      if (response.status === 401) return false;
      token = given;
      storage?.setItem(KEY, given);
      return true;
    },
  };
}

/**
 * @param {RequestInit | undefined} init
 * @param {string} token
 * @returns {RequestInit}
 */
function withToken(init, token) {
  const headers = new Headers(init?.headers);
  headers.set("authorization", `Bearer ${token}`);
  return { ...init, headers };
}

/**
 * Waits until the caller gives up: who signs in loads the page anew.
 *
 * @param {AbortSignal | null} signal
 * @returns {Promise<never>}
 */
function never(signal) {
  return new Promise((_, reject) => {
    const giveUp = () => reject(signal?.reason);
    if (signal?.aborted) giveUp();
    else signal?.addEventListener("abort", giveUp, { once: true });
  });
}

/**
 * Tells tokens apart without saying them (FNV-1a, 32 bits).
 *
 * @param {string} token
 */
export function fingerprint(token) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(token)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, "0");
}
