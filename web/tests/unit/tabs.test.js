// Tabs of one browser: one of them reads, and whatever becomes of it, nobody misses anything.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../client/client.js";
import { hear, NEW_LISTENER, seededAt } from "../../client/relay.js";
import { NEW_LINK } from "../../client/link.js";
import { FakeServer } from "../fakes/server.js";
import { FakeBrowser, FakeTab, settle } from "../fakes/world.js";

const TURN = { messageId: "m", streamId: "t" };

function serverWithTurn() {
  const server = new FakeServer();
  server.append("c", "chat_created");
  server.append("c", "user_text", { text: "hi" }, { messageId: "u" });
  server.append("c", "stream_started", { provider: "agent", origin: "user" }, TURN);
  return server;
}

/** @param {FakeServer} server @param {number} n */
async function browserWith(server, n) {
  const browser = new FakeBrowser();
  const tabs = [];
  for (let i = 0; i < n; i++) tabs.push(await openTab(browser, server));
  return { browser, clock: browser.clock, tabs };
}

/** @param {FakeBrowser} browser @param {FakeServer} server */
async function openTab(browser, server) {
  const tab = new FakeTab();
  const client = connect({ baseUrl: "http://fake", ...browser.env(server.fetch, tab) });
  const chat = client.openChat("c");
  await settle();
  return { tab, client, chat };
}

/** @typedef {Awaited<ReturnType<typeof openTab>>} Tab */

/** @param {FakeServer} server @param {string} text */
function say(server, text) {
  server.append("c", "assistant_text", { text }, TURN);
}

/** @param {FakeServer} server @param {Tab[]} tabs */
function assertAllShow(server, tabs) {
  for (const { client } of tabs) {
    const { asOf: _, ...got } = client.state.get().open.get("c") ?? {};
    const { asOf: __, ...wanted } = server.chat("c") ?? {};
    assert.deepEqual(got, wanted);
    assert.deepEqual(client.state.get().list.rows.get("c"), server.chat("c")?.row);
  }
}

/** @param {Tab[]} tabs */
const leaders = (tabs) => tabs.map(({ client }) => client.connection.get().leader);

test("one of the tabs reads, all are live and show the same", async () => {
  const server = serverWithTurn();
  const { tabs } = await browserWith(server, 4);
  for (let n = 0; n < 10; n++) say(server, `${n} `);
  await settle();
  assert.equal(server.streams.length, 1);
  assert.deepEqual(leaders(tabs), [true, false, false, false]);
  assert.deepEqual(tabs.map(({ client }) => client.connection.get().phase), Array(4).fill("live"));
  assertAllShow(server, tabs);
});

test("a tab that comes in mid-answer joins at every interleaving", async () => {
  for (let handled = 0; handled <= 3; handled++) {
    for (let arrived = handled; arrived <= 3; arrived++) {
      const server = serverWithTurn();
      const { browser, tabs } = await browserWith(server, 1);
      server.holds = ({ path }) => path.startsWith("/v1/chats");
      const late = await openTab(browser, server);
      // The list first, then the chat: each is held for the whole range of events.
      for (let round = 0; round < 2; round++) {
        const held = server.take();
        assert.equal(held.length, round === 0 ? 1 : 4);
        for (let n = 0; n <= 3; n++) {
          if (n === handled) for (const one of held) await one.handle();
          if (n === arrived) for (const one of held) await one.answer();
          say(server, `${round}${n} `);
          await settle();
        }
      }
      assert.equal(late.chat.get().loading, "ready");
      assertAllShow(server, [...tabs, late]);
      assert.equal(server.streams.length, 1);
    }
  }
});

test("the reader is closed: the next one reads on without a seed", async () => {
  const server = serverWithTurn();
  const { tabs } = await browserWith(server, 3);
  say(server, "one ");
  await settle();
  const nCalls = server.calls.length;
  tabs[0]?.client.close();
  say(server, "two ");
  await settle();
  say(server, "three");
  await settle();
  const rest = tabs.slice(1);
  assert.deepEqual(leaders(rest), [true, false]);
  const calls = server.calls.slice(nCalls).map(({ path }) => path);
  assert.deepEqual(calls, ["/v1/stream?after_seq=4&log_id=log-1"]);
  assertAllShow(server, rest);
});

test("the reader is frozen: it is replaced, and counts for nothing when it wakes", async () => {
  const server = serverWithTurn();
  const { tabs, clock } = await browserWith(server, 3);
  const [first] = tabs;
  first?.tab.freeze();
  // Its socket goes on, but nothing runs in it.
  say(server, "one ");
  await clock.turn(15_000);
  assert.equal(server.openStreams.length, 2);
  assert.equal(leaders(tabs.slice(1)).filter(Boolean).length, 1);
  say(server, "two ");
  await settle();
  assertAllShow(server, tabs.slice(1));
  first?.tab.thaw();
  await settle();
  assert.equal(server.openStreams.length, 1);
  say(server, "three");
  await clock.turn(20_000);
  assert.equal(server.openStreams.length, 1);
  assert.equal(leaders(tabs).filter(Boolean).length, 1);
  assertAllShow(server, tabs);
});

test("a reader on a quiet connection answers, and keeps its lock", async () => {
  const server = serverWithTurn();
  const { tabs, clock } = await browserWith(server, 3);
  for (let i = 0; i < 6; i++) {
    await clock.turn(10_000);
    for (const stream of server.openStreams) stream.push(": beat\n\n");
  }
  assert.equal(server.streams.length, 1);
  assert.deepEqual(leaders(tabs), [true, false, false]);
});

test("a tab that slept and did not hear all reads anew", async () => {
  const server = serverWithTurn();
  const { tabs, clock } = await browserWith(server, 2);
  const sleeper = tabs[1];
  sleeper?.tab.freeze();
  for (let n = 0; n < 5; n++) say(server, `${n} `);
  await settle();
  sleeper?.tab.thaw({ isDeaf: true });
  sleeper?.tab.signal("shown");
  await settle();
  assertAllShow(server, tabs);
  say(server, "end");
  await clock.turn(1000);
  assertAllShow(server, tabs);
  assert.equal(server.streams.length, 1);
});

test("a reader that is behind the others: who has more skips what it has", async () => {
  const server = serverWithTurn();
  const { tabs, clock } = await browserWith(server, 3);
  const [, behind, ahead] = tabs;
  behind?.tab.freeze();
  say(server, "one ");
  say(server, "two ");
  await settle();
  assertAllShow(server, ahead ? [ahead] : []);
  // The tab that is next in the queue has not heard of it.
  tabs[0]?.client.close();
  await settle();
  behind?.tab.thaw({ isDeaf: true });
  await clock.turn(1000);
  say(server, "three");
  await settle();
  assert.deepEqual(leaders(tabs.slice(1)), [true, false]);
  assertAllShow(server, tabs.slice(1));
});

test("another log is read anew by all tabs", async () => {
  const server = serverWithTurn();
  const { tabs, clock } = await browserWith(server, 3);
  for (let n = 0; n < 20; n++) say(server, `${n} `);
  await settle();
  server.kill();
  server.log = [];
  server.logId = "log-2";
  server.append("c", "chat_created", { title: "other" });
  server.start();
  await clock.turn(5000);
  server.append("c", "user_text", { text: "new" }, { messageId: "u2" });
  await settle();
  assertAllShow(server, tabs);
  assert.equal(tabs[2]?.chat.get().row?.title, "other");
});

test("the server is away: all tabs know, and all are live again by one connection", async () => {
  const server = serverWithTurn();
  const { tabs, clock } = await browserWith(server, 3);
  server.kill();
  await clock.turn(30_000);
  const phases = () => tabs.map(({ client }) => client.connection.get().phase);
  assert.deepEqual(phases(), ["waiting", "waiting", "waiting"]);
  assert.ok(tabs.every(({ client }) => client.connection.get().retryAt !== null));
  server.start();
  say(server, "again");
  await clock.turn(15_000);
  assert.deepEqual(phases(), ["live", "live", "live"]);
  assert.equal(server.openStreams.length, 1);
  assertAllShow(server, tabs);
});

test("any tab can pull the plug of all, and what was missed comes to all", async () => {
  const server = serverWithTurn();
  const { tabs } = await browserWith(server, 3);
  const release = tabs[2]?.client.pullThePlug();
  await settle();
  say(server, "one ");
  await settle();
  assert.equal(server.openStreams.length, 0);
  for (const { client, chat } of tabs) {
    assert.equal(client.connection.get().plugged, false);
    assert.equal(chat.get().messages[1]?.content_text, "");
  }
  release?.();
  await settle();
  assert.deepEqual(leaders(tabs), [false, false, true]);
  assert.ok(tabs.every(({ client }) => client.connection.get().missed === 1));
  assertAllShow(server, tabs);
});

test("what one tab sends is on its way there only, and arrives in all", async () => {
  const server = new FakeServer();
  server.append("c", "chat_created");
  const { tabs } = await browserWith(server, 2);
  tabs[1]?.chat.send("hello");
  assert.deepEqual(tabs.map(({ chat }) => chat.get().sending.length), [0, 1]);
  await settle();
  assert.deepEqual(tabs.map(({ chat }) => chat.get().sending.length), [0, 0]);
  assertAllShow(server, tabs);
});

test("locks that do not work leave each tab to itself", async () => {
  const server = serverWithTurn();
  const browser = new FakeBrowser();
  browser.locks.request = () => Promise.reject(new DOMException("no storage", "SecurityError"));
  const tabs = [await openTab(browser, server), await openTab(browser, server)];
  say(server, "one");
  await settle();
  assert.equal(server.openStreams.length, 2);
  assertAllShow(server, tabs);
});

test("a batch is skipped, shortened, taken or missed by where the tab is", () => {
  /** @param {number} seq */
  const envelope = (seq) => /** @type {any} */ ({ seq });
  const batch = { after: 4, through: 7, envelopes: [5, 6, 7].map(envelope) };
  const said = { type: /** @type {const} */ ("said"), term: 1, era: "e", batch, link: NEW_LINK };
  /** @param {number} seq */
  const at = (seq) => hear({ ...NEW_LISTENER, seq, era: "e", term: 1 }, said);
  assert.equal(at(7).batch, null);
  assert.deepEqual(at(5).batch?.envelopes, [6, 7].map(envelope));
  assert.deepEqual(at(4).batch, batch);
  assert.deepEqual([at(3).isLost, at(3).listener.kept], [true, [batch]]);
  assert.equal(hear({ ...NEW_LISTENER, seq: 4, term: 2 }, said).batch, null);
  assert.equal(hear({ ...NEW_LISTENER, seq: 4, era: "x" }, said).isLost, true);
  const kept = { ...NEW_LISTENER, kept: [batch, { ...batch, after: 9, through: 10 }] };
  assert.deepEqual([seededAt(kept, 6).isLost, seededAt(kept, 9).isLost], [true, false]);
});
