// What is sent: shown at once, said once, and stopped, refused or said again by hand.

import assert from "node:assert/strict";
import { test } from "node:test";

import { assertShows, begin, clientOf, serverWith, TURN } from "../fakes/scene.js";
import { problem } from "../fakes/server.js";
import { settle } from "../fakes/world.js";

test("what is sent is shown at once, and once", async () => {
  const server = serverWith("c");
  const { client } = clientOf(server);
  const chat = client.openChat("c");
  await settle();
  server.holds = ({ method }) => method === "POST";
  const sent = chat.send("hello");
  const [shown, ...more] = chat.get().sending;
  assert.deepEqual([shown?.text, shown?.status, more], ["hello", "sending", []]);
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

test("a lost answer is asked for with the same key, and nothing is said twice", async () => {
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
