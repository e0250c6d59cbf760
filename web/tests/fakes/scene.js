// What the tests of the client begin with: a log with chats, a client, and what is said there.

import assert from "node:assert/strict";

import { connect } from "../../client/client.js";
import { FakeServer } from "./server.js";
import { FakeBrowser, FakeTab } from "./world.js";

export const TURN = { messageId: "m", streamId: "t" };

/** @param {FakeServer} server @param {import("../../client/client.js").Settings} [settings] */
export function clientOf(server, settings = {}) {
  const browser = new FakeBrowser();
  const tab = new FakeTab();
  const options = { baseUrl: "http://fake", share: false, ...settings };
  const client = connect({ ...options, ...browser.env(server.fetch, tab) });
  return { client, clock: browser.clock, tab };
}

/** @param {string[]} chatIds */
export function serverWith(...chatIds) {
  const server = new FakeServer();
  for (const id of chatIds) server.append(id, "chat_created", { title: id });
  return server;
}

/** @param {FakeServer} server @param {string} [chatId] @param {string} [id] */
export function begin(server, chatId = "c", id = "") {
  const of = { messageId: `m${id}`, streamId: `t${id}` };
  server.append(chatId, "user_text", { text: "hi" }, { messageId: `u${id}` });
  const started = { provider: "agent", origin: "user", user_message_id: `u${id}` };
  server.append(chatId, "stream_started", started, of);
  return of;
}

/** @param {FakeServer} server @param {string} text @param {string} [chatId] */
export function say(server, text, chatId = "c", of = TURN) {
  server.append(chatId, "assistant_text", { text }, of);
}

/** @param {FakeServer} server @param {import("../../client/client.js").Client} client */
export function assertShows(server, client, chatId = "c") {
  const shown = client.state.get().open.get(chatId);
  const { asOf: _, olderCursor: __, ...wanted } = server.chat(chatId) ?? {};
  const { asOf: ___, olderCursor: ____, ...got } = shown ?? {};
  assert.deepEqual(got, wanted);
}
