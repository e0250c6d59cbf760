// The client as a page uses it: what it shows, whatever the network and the server do.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../client/client.js";
import { FakeServer, problem } from "../fakes/server.js";
import { FakeBrowser, FakeTab, settle } from "../fakes/world.js";

const TURN = { messageId: "m", streamId: "t" };

/** @param {FakeServer} server @param {import("../../client/client.js").Settings} [settings] */
function clientOf(server, settings = {}) {
  const browser = new FakeBrowser();
  const tab = new FakeTab();
  const options = { baseUrl: "http://fake", share: false, ...settings };
  const client = connect({ ...options, ...browser.env(server.fetch, tab) });
  return { client, clock: browser.clock, tab };
}

/** @param {string[]} chatIds */
function serverWith(...chatIds) {
  const server = new FakeServer();
  for (const id of chatIds) server.append(id, "chat_created", { title: id });
  return server;
}

/** @param {FakeServer} server @param {string} [chatId] @param {string} [id] */
function begin(server, chatId = "c", id = "") {
  const of = { messageId: `m${id}`, streamId: `t${id}` };
  server.append(chatId, "user_text", { text: "hi" }, { messageId: `u${id}` });
  const started = { provider: "agent", origin: "user", user_message_id: `u${id}` };
  server.append(chatId, "stream_started", started, of);
  return of;
}

/** @param {FakeServer} server @param {string} text @param {string} [chatId] */
function say(server, text, chatId = "c", of = TURN) {
  server.append(chatId, "assistant_text", { text }, of);
}

/** @param {FakeServer} server @param {import("../../client/client.js").Client} client */
function assertShows(server, client, chatId = "c") {
  const shown = client.state.get().open.get(chatId);
  const { asOf: _, olderCursor: __, ...wanted } = server.chat(chatId) ?? {};
  const { asOf: ___, olderCursor: ____, ...got } = shown ?? {};
  assert.deepEqual(got, wanted);
}

test("whatever asks for it, there is one connection, and each chat is read once", async () => {
  const server = serverWith("a", "b", "c");
  const { client } = clientOf(server);
  const chats = ["a", "b", "c", "a", "a"].map((id) => client.openChat(id));
  await settle();
  client.openChat("b");
  await settle();
  assert.equal(server.streams.length, 1);
  assert.equal(server.calls.filter(({ path }) => path.startsWith("/v1/stream")).length, 1);
  assert.equal(server.calls.filter(({ path }) => path.startsWith("/v1/chats/a")).length, 4);
  assert.deepEqual(chats.map((chat) => chat.get().loading), Array(5).fill("ready"));
});

// Every way in which the four answers and the events can come in between each other: the server
// answers after `handled` events, the answer arrives after `arrived`.
test("the snapshot and what follows join at every interleaving", async () => {
  const nEvents = 6;
  const parts = ["/v1/chats/c", "/v1/chats/c/messages", "/v1/chats/c/queue", "/v1/chats/c/requests"];
  for (const early of parts) {
    for (let handled = 0; handled <= nEvents; handled++) {
      for (let arrived = handled; arrived <= nEvents; arrived++) {
        const server = serverWith("c");
        begin(server);
        const { client } = clientOf(server);
        await settle();
        server.holds = ({ path }) => path.startsWith("/v1/chats/c");
        const chat = client.openChat("c");
        await settle();
        const held = server.take();
        assert.equal(held.length, 4);
        const isEarly = (/** @type {{ path: string }} */ { path }) => path.split("?")[0] === early;
        const steps = [
          () => say(server, "Hel"),
          () => server.append("c", "message_queued", { queued_message_id: "q", content: "next" }),
          () => say(server, "lo <prompt_sug"),
          () => server.append("c", "permission_request", { request_id: "r", options: [] }, TURN),
          () => say(server, 'gestions>["a"]</prompt_suggestions>'),
          () => server.append("c", "complete", { duration_ms: 5, status: "completed" }, TURN),
        ];
        for (let n = 0; n <= nEvents; n++) {
          // One of the answers is of the beginning, the others are of `handled`.
          if (n === 0) for (const one of held.filter(isEarly)) await one.handle();
          if (n === handled) for (const one of held) if (!isEarly(one)) await one.handle();
          if (n === arrived) for (const one of held) await one.answer();
          steps[n]?.();
          await settle();
        }
        await settle();
        const at = `${early} ${handled} ${arrived}`;
        assert.equal(chat.get().loading, "ready", at);
        assertShows(server, client);
        client.close();
      }
    }
  }
});

test("what is sent is shown at once, and once", async () => {
  const server = serverWith("c");
  const { client } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  server.holds = ({ method }) => method === "POST";
  const sent = chat.send("hello");
  assert.deepEqual(chat.get().sending.map(({ text, status }) => [text, status]), [["hello", "sending"]]);
  const seen = new Set();
  chat.subscribe(() => {
    const { sending, messages } = chat.get();
    seen.add(sending.length + messages.filter(({ id }) => id === sent.userMessageId).length);
  });
  await settle();
  const [call] = server.take();
  await call?.handle();
  await call?.answer();
  assert.deepEqual([...seen], [1]);
  assert.deepEqual(chat.get().sending, []);
  assert.equal(chat.get().messages[0]?.content_text, "hello");
  assertShows(server, client);
});

test("an answer that is lost is asked for again with the same key, and nothing is said twice", async () => {
  const server = serverWith("c");
  const { client, clock } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  server.isFlowing = false;
  server.holds = ({ method }) => method === "POST";
  chat.send("hello");
  await settle();
  const [first] = server.take();
  await first?.handle();
  await first?.lose();
  assert.equal(chat.get().sending[0]?.status, "waiting");
  server.holds = () => false;
  await clock.turn(1000);
  const posts = server.calls.filter(({ method }) => method === "POST");
  assert.equal(posts.length, 2);
  assert.deepEqual(posts[0]?.body, posts[1]?.body);
  assert.equal(posts[0]?.headers["idempotency-key"], posts[1]?.headers["idempotency-key"]);
  assert.equal(server.log.filter(({ kind }) => kind === "user_text").length, 1);
  assert.equal(chat.get().sending[0]?.status, "accepted");
  server.isFlowing = true;
  for (const stream of server.openStreams) server.flow(stream);
  await settle();
  assert.deepEqual(chat.get().sending, []);
});

test("a message waits for the network, in order, and goes as soon as it is back", async () => {
  const server = serverWith("c");
  const { client, clock, tab } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  server.kill();
  chat.send("one");
  chat.send("two");
  await clock.turn(120_000);
  assert.deepEqual(chat.get().sending.map(({ status }) => status), ["waiting", "sending"]);
  assert.deepEqual(chat.get().messages, []);
  server.start();
  tab.signal("online");
  await settle();
  assert.deepEqual(chat.get().sending, []);
  assert.deepEqual(chat.get().messages.map(({ content_text }) => content_text), ["one", ""]);
  assert.deepEqual(chat.get().queue.map(({ content }) => content), ["two"]);
});

test("a refusal stays as failed, can be tried again by hand, and taken back", async () => {
  const server = serverWith("c");
  begin(server);
  const { client, clock } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  const { key } = chat.send("no", { ifBusy: "reject" });
  chat.send("never", { ifBusy: "reject" });
  await clock.turn(60_000);
  const [failed, other] = chat.get().sending;
  assert.deepEqual([failed?.status, other?.status], ["failed", "failed"]);
  assert.equal(/** @type {any} */ (failed?.error).code, "chat_busy");
  assert.equal(server.calls.filter(({ method }) => method === "POST").length, 2);
  assert.ok(chat.sendAgain(key, { ifBusy: "queue" }));
  chat.discard(other?.key ?? "");
  await settle();
  assert.deepEqual(chat.get().sending, []);
  assert.deepEqual(chat.get().queue.map(({ content }) => content), ["no"]);
});

test("a server in trouble is asked again, but not for ever", async () => {
  const server = serverWith("c");
  const { client, clock } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  const inTrouble = problem(503, "log_stopped", true);
  server.refuses = ({ method }) => (method === "POST" ? inTrouble.clone() : null);
  chat.send("hello");
  await clock.turn(5 * 60_000);
  assert.equal(chat.get().sending[0]?.status, "failed");
  const posts = server.calls.filter(({ method }) => method === "POST");
  assert.equal(posts.length, 7);
  assert.equal(new Set(posts.map(({ headers }) => headers["idempotency-key"])).size, 1);
});

test("a call that is never answered is given up, and made again", async () => {
  const server = serverWith("c");
  const { client, clock } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  server.holds = ({ method }) => method === "POST";
  chat.send("hello");
  await clock.turn(30_000);
  assert.equal(chat.get().sending[0]?.status, "waiting");
  server.holds = () => false;
  await clock.turn(1000);
  assert.equal(chat.get().messages[0]?.content_text, "hello");
});

test("stop names the turn that runs, and no other", async () => {
  const server = serverWith("c");
  const { client } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  assert.equal(await chat.stop(), false);
  begin(server);
  await settle();
  assert.equal(await chat.stop(), true);
  assert.equal(server.calls.at(-1)?.path, "/v1/chats/c/turns/t/stop");
});

test("a failed turn is said again, with what it was asked with", async () => {
  const server = serverWith("c");
  const { client } = clientOf(server);
  const chat = client.openChat("c");
  begin(server);
  const failure = { code: "provider_timeout", message: "late", phase: "stream", retryable: true };
  server.append("c", "error", { ...failure, duration_ms: 1 }, TURN);
  await settle();
  assert.equal(chat.retry("nobody"), null);
  chat.retry("m");
  await settle();
  const { body } = server.calls.findLast(({ method }) => method === "POST") ?? {};
  assert.deepEqual([body.text, body.provider], ["hi", "agent"]);
  assert.equal(chat.get().messages.length, 4);
});

test("chats that nobody looks at go on, and only so many", async () => {
  const ids = Array.from({ length: 6 }, (_, i) => `c${i}`);
  const server = serverWith(...ids);
  const { client } = clientOf(server, { openChatsMax: 3 });
  for (const id of ids) begin(server, id, id);
  for (const id of ids) {
    const chat = client.openChat(id);
    await settle();
    chat.close();
  }
  for (let n = 0; n < 5; n++) {
    for (const id of ids) say(server, `${n} `, id, { messageId: `m${id}`, streamId: `t${id}` });
  }
  await settle();
  assert.deepEqual([...client.state.get().open.keys()], ["c3", "c4", "c5"]);
  for (const id of ["c3", "c4", "c5"]) assertShows(server, client, id);
  const nCalls = server.calls.length;
  const chat = client.openChat("c4");
  assert.equal(chat.get().messages[1]?.content_text, "0 1 2 3 4 ");
  assert.equal(chat.get().loading, "ready");
  await settle();
  assert.equal(server.calls.length, nCalls);
});

test("a handle that was closed hears nothing more, also if its chat is open elsewhere", async () => {
  const server = serverWith("a", "b");
  const { client } = clientOf(server);
  const [a, again, b] = [client.openChat("a"), client.openChat("a"), client.openChat("b")];
  await settle();
  /** @type {string[]} */
  const heard = [];
  a.subscribe(() => heard.push("a"));
  again.subscribe(() => heard.push("again"));
  b.subscribe(() => heard.push("b"));
  a.close();
  a.subscribe(() => heard.push("late"));
  begin(server, "a");
  await settle();
  assert.deepEqual([...new Set(heard)], ["again"]);
  // What a late hand still does, it does where it meant to.
  a.send("hello");
  await settle();
  assert.equal(server.calls.at(-1)?.path, "/v1/chats/a/turns");
});

test("an answer for a chat that is not open any more changes nothing", async () => {
  const server = serverWith("c");
  const { client } = clientOf(server, { openChatsMax: 0 });
  await settle();
  server.holds = ({ path }) => path.startsWith("/v1/chats/c");
  const chat = client.openChat("c");
  await settle();
  chat.close();
  const again = client.openChat("c");
  await settle();
  const held = server.take();
  assert.equal(held.length, 8);
  for (const one of held) await one.handle();
  say(server, "x");
  for (const one of held.slice(0, 4)) await one.answer();
  assert.equal(again.get().loading, "loading");
  assert.equal(client.state.get().open.size, 0);
  for (const one of held.slice(4)) await one.answer();
  assert.equal(again.get().loading, "ready");
});

test("a connection that is lost never becomes part of a message", async () => {
  const server = serverWith("c");
  begin(server);
  say(server, "half a sen");
  const { client, clock } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  const before = chat.get();
  server.kill();
  await clock.turn(60_000);
  assert.equal(client.connection.get().phase, "waiting");
  assert.equal(chat.get(), before);
  server.start();
  say(server, "tence");
  await clock.turn(15_000);
  assert.equal(chat.get().messages[1]?.content_text, "half a sentence");
});

test("another log: all is read anew, and what is gone is gone", async () => {
  const server = serverWith("a", "b");
  for (let i = 0; i < 30; i++) server.append("a", "chat_viewed");
  const { client, clock } = clientOf(server);
  const [a, b] = [client.openChat("a"), client.openChat("b")];
  await settle();
  server.kill();
  server.log = [];
  server.logId = "log-2";
  server.append("b", "chat_created", { title: "other" });
  server.start();
  await clock.turn(1000);
  begin(server, "b");
  await settle();
  assert.deepEqual([a.get().loading, b.get().loading], ["gone", "ready"]);
  assert.equal(b.get().row?.title, "other");
  assertShows(server, client, "b");
  assert.deepEqual([...client.state.get().list.rows.keys()], ["b"]);
});

test("what was asked of another log is not taken for an answer of this one", async () => {
  const server = serverWith("c");
  const { client, clock } = clientOf(server);
  await settle();
  server.holds = ({ path }) => path.startsWith("/v1/chats/c");
  const chat = client.openChat("c");
  await settle();
  const old = server.take();
  for (const one of old) await one.handle();
  for (const stream of server.openStreams) stream.break();
  server.log = [];
  server.logId = "log-2";
  server.append("c", "chat_created", { title: "other" });
  server.holds = ({ path }) => path === "/v1/chats/c/messages?limit=50";
  await clock.turn(1000);
  for (const one of old) await one.answer();
  assert.equal(chat.get().loading, "loading");
  for (const one of server.take()) await one.answer();
  assert.equal(chat.get().loading, "ready");
  assertShows(server, client);
});

test("a chat that comes to life and is not in the list is asked for", async () => {
  const server = serverWith("old", "a", "b");
  server.listLimit = 2;
  const { client, clock } = clientOf(server);
  await settle();
  assert.deepEqual([...client.state.get().list.rows.keys()], ["b", "a"]);
  server.holds = ({ path }) => path === "/v1/chats/old";
  begin(server, "old");
  await settle();
  const [held] = server.take();
  await held?.handle();
  // The row that is on its way does not contain this.
  server.append("old", "complete", { duration_ms: 1, status: "completed" }, TURN);
  await settle();
  server.holds = () => false;
  await held?.answer();
  await clock.turn(1000);
  assert.deepEqual(client.state.get().list.rows.get("old"), server.chat("old")?.row);
  assert.equal(client.state.get().list.unknown.size, 0);
  server.append("new", "chat_created");
  await settle();
  assert.ok(client.state.get().list.rows.has("new"));
});

test("more chats are read page by page, and events do not go missing in between", async () => {
  const server = serverWith("a", "b", "c", "d", "e");
  server.listLimit = 2;
  const { client, clock } = clientOf(server);
  await settle();
  server.holds = ({ path }) => path.startsWith("/v1/chats?");
  const loading = client.loadMoreChats();
  await settle();
  const [held] = server.take();
  await held?.handle();
  server.append("c", "chat_updated", { title: "renamed" });
  await settle();
  server.holds = () => false;
  await held?.answer();
  await loading;
  await client.loadMoreChats();
  await clock.turn(1000);
  const { rows, nextCursor } = client.state.get().list;
  assert.equal(nextCursor, null);
  for (const id of "abcde") assert.deepEqual(rows.get(id), server.chat(id)?.row, id);
});

test("older messages come page by page, and go when nobody looks", async () => {
  const server = serverWith("c");
  for (let n = 0; n < 140; n++) server.append("c", "user_text", { text: `${n}` }, { messageId: `u${n}` });
  const { client } = clientOf(server, { messagesKept: 60 });
  const chat = client.openChat("c");
  await settle();
  assert.equal(chat.get().messages.length, 50);
  await Promise.all([chat.loadOlder(), chat.loadOlder()]);
  assert.equal(chat.get().messages.length, 100);
  assert.equal(server.calls.filter(({ path }) => path.includes("cursor=")).length, 1);
  await chat.loadOlder();
  assert.equal(chat.get().messages.length, 140);
  assert.equal(chat.get().messages[0]?.content_text, "0");
  await chat.loadOlder();
  chat.close();
  const again = client.openChat("c");
  assert.equal(again.get().messages.length, 60);
  await again.loadOlder();
  assert.deepEqual(again.get().messages.map(({ content_text }) => content_text).slice(0, 2), ["30", "31"]);
});

test("a chat that grows for ever is trimmed while it is looked at", async () => {
  const server = serverWith("c");
  const { client } = clientOf(server, { messagesKept: 60 });
  const chat = client.openChat("c");
  await settle();
  for (let n = 0; n < 300; n++) {
    server.append("c", "user_text", { text: `${n}` }, { messageId: `u${n}` });
    if (n % 10 === 0) await settle();
    assert.ok(chat.get().messages.length <= 120);
  }
  await settle();
  assert.equal(chat.get().messages.at(-1)?.content_text, "299");
  assert.notEqual(chat.get().olderCursor, null);
});

test("one notification for a chunk of the network, and none for a chat that did not change", async () => {
  const server = serverWith("a", "b");
  const { client } = clientOf(server);
  const [a, b] = [client.openChat("a"), client.openChat("b")];
  begin(server, "a");
  await settle();
  let [nState, nA, nB] = [0, 0, 0];
  client.state.subscribe(() => (nState += 1));
  a.subscribe(() => (nA += 1));
  b.subscribe(() => (nB += 1));
  server.isFlowing = false;
  for (let i = 0; i < 100; i++) say(server, "x", "a");
  for (const stream of server.openStreams) server.flow(stream);
  await settle();
  assert.deepEqual([nState, nA, nB], [1, 1, 0]);
  assert.equal(a.get().messages[1]?.content_text.length, 100);
});

test("a chat that is deleted is gone, wherever it is deleted", async () => {
  const server = serverWith("c");
  const { client } = clientOf(server);
  const [chat, missing] = [client.openChat("c"), client.openChat("nobody")];
  await settle();
  assert.equal(missing.get().loading, "gone");
  await chat.delete();
  await settle();
  assert.deepEqual([chat.get().loading, chat.get().deleted, chat.get().messages], ["gone", true, []]);
  assert.equal(client.state.get().list.rows.size, 0);
});

test("a listener that throws stops nobody else", async () => {
  const server = serverWith("c");
  const { client } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  const { error } = console;
  console.error = () => {};
  let n = 0;
  chat.subscribe(() => {
    throw new Error("a page's fault");
  });
  chat.subscribe(() => (n += 1));
  begin(server);
  await settle();
  console.error = error;
  assert.ok(n > 0);
  assert.equal(server.streams.length, 1);
  assertShows(server, client);
});

test("it starts without a server, and shows all once there is one", async () => {
  const server = serverWith("c");
  server.kill();
  const { client, clock } = clientOf(server);
  const chat = client.openChat("c");
  await clock.turn(60_000);
  assert.equal(chat.get().loading, "loading");
  server.start();
  await clock.turn(15_000);
  assert.equal(chat.get().loading, "ready");
  assert.equal(client.connection.get().phase, "live");
});

test("after close no timer is left and no call is made", async () => {
  const server = serverWith("c");
  const { client, clock } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  server.kill();
  chat.send("hello");
  await settle();
  client.close();
  await settle();
  const nCalls = server.calls.length;
  server.start();
  await clock.turn(100_000);
  assert.deepEqual([clock.size, server.calls.length], [0, nCalls]);
});
