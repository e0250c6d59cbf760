// The client as a page uses it: what it shows, whatever the network and the server do.

import assert from "node:assert/strict";
import { test } from "node:test";

import { assertShows, begin, clientOf, say, serverWith, TURN } from "../fakes/scene.js";
import { settle } from "../fakes/world.js";

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

test("a token is asked for with each call, the stream's too", async () => {
  const server = serverWith("a");
  let token = "first";
  const { client } = clientOf(server, { token: () => token, headers: { "x-tenant": "t" } });
  await settle();
  token = "second";
  client.openChat("a");
  await settle();
  const sent = server.calls.map(({ path, headers }) => {
    assert.equal(headers["x-tenant"], "t");
    return [path.split("?")[0], headers["authorization"]];
  });
  assert.deepEqual(sent.slice(0, 3), [
    ["/v1/chats", "Bearer first"],
    ["/v1/stream", "Bearer first"],
    ["/v1/chats/a", "Bearer second"],
  ]);
  client.close();
});

// Every way in which the four answers and the events can come in between each other: the server
// answers after `handled` events, the answer arrives after `arrived`.
test("the snapshot and what follows join at every interleaving", async () => {
  const nEvents = 6;
  const parts = ["", "/messages", "/queue", "/requests"].map((part) => `/v1/chats/c${part}`);
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

test("a closed handle hears nothing more, also if its chat is open elsewhere", async () => {
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
  // A busy chat is not asked for as fast as its answers come.
  const nAsked = () => server.calls.filter(({ path }) => path === "/v1/chats/old").length;
  assert.equal(nAsked(), 1);
  await clock.turn(1000);
  assert.equal(nAsked(), 2);
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
  for (let n = 0; n < 140; n++) {
    server.append("c", "user_text", { text: `${n}` }, { messageId: `u${n}` });
  }
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
  const texts = again.get().messages.map(({ content_text }) => content_text);
  assert.deepEqual([texts.length, ...texts.slice(0, 2)], [110, "30", "31"]);
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

test("a chunk of the network is told of once, and only by what changed", async () => {
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
  const { loading, deleted, messages } = chat.get();
  assert.deepEqual([loading, deleted, messages], ["gone", true, []]);
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
