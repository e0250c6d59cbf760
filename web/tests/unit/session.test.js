// The session of a page: what is sent with a token, and what happens without one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createSession, fingerprint } from "../../page/session.js";

/** A server that knows one token, and a tab. */
function page(kept = /** @type {string | null} */ (null)) {
  /** @type {{ path: string, authorization: string | null }[]} */
  const calls = [];
  /** @type {Map<string, string>} */
  const store = new Map(kept === null ? [] : [["scrollback.token", kept]]);
  let nAsked = 0;
  const session = createSession({
    fetch: async (input, init) => {
      const authorization = new Headers(init?.headers).get("authorization");
      calls.push({ path: String(input), authorization });
      return new Response("{}", { status: authorization === "Bearer good" ? 200 : 401 });
    },
    storage: {
      getItem: (key) => store.get(key) ?? null,
      setItem: (key, value) => void store.set(key, value),
    },
    ask: () => (nAsked += 1),
  });
  return { calls, session, store, asked: () => nAsked };
}

test("a token of this tab is sent beside the headers of the call", async () => {
  const { calls, session } = page("good");
  const response = await session.fetch("/v1/chats", { headers: { accept: "x/y" } });
  assert.equal(response.status, 200);
  assert.deepEqual(calls, [{ path: "/v1/chats", authorization: "Bearer good" }]);
});

test("a refused call waits for a token, which is asked for once", async () => {
  const { session, asked } = page("stale");
  const leaving = new AbortController();
  let nSettled = 0;
  const calls = [1, 2].map((n) =>
    session.fetch(`/v1/${n}`, { signal: leaving.signal }).finally(() => (nSettled += 1)),
  );
  while (asked() === 0) await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(nSettled, 0);
  leaving.abort(new Error("left"));
  for (const call of calls) await assert.rejects(call, /left/);
  assert.equal(asked(), 1);
});

test("a token is kept once the server takes it", async () => {
  const { session, store } = page();
  assert.equal(await session.signIn("bad"), false);
  assert.equal(store.size, 0);
  assert.equal(await session.signIn("good"), true);
  assert.equal(store.get("scrollback.token"), "good");
  assert.equal((await session.fetch("/v1/chats")).status, 200);
});

test("tabs share a connection if they have the same token", () => {
  assert.equal(page().session.share, true);
  assert.equal(page("a").session.share, page("a").session.share);
  assert.notEqual(page("a").session.share, page("b").session.share);
  assert.equal(fingerprint("a"), "e40c292c"); // a test vector of FNV-1a
});
