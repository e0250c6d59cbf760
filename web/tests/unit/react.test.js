// The hooks, in React itself: what a component sees, and what it does not hold on to.
//
// The components render nothing, so that the document can be a stand-in of a few fields.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { act, createElement, StrictMode, useEffect } from "react";

import { connect } from "../../client/client.js";
import { FakeServer } from "../fakes/server.js";
import { FakeBrowser, settle } from "../fakes/world.js";

const listens = { addEventListener() {}, removeEventListener() {} };
const document = { ...listens, nodeType: 9, activeElement: null, defaultView: globalThis };
const elements = { HTMLIFrameElement: class {} };
Object.assign(globalThis, { window: globalThis, IS_REACT_ACT_ENVIRONMENT: true, ...elements });
Object.assign(globalThis, { addEventListener() {}, removeEventListener() {} });

const { createRoot } = await import("react-dom/client");
const { useConnection, useScrollback, useScrollbackList } = await import("../../client/react.js");

/** @param {string[]} chatIds */
async function start(...chatIds) {
  const server = new FakeServer();
  for (const id of chatIds) server.append(id, "chat_created", { title: id });
  const browser = new FakeBrowser();
  const settings = { baseUrl: "http://fake", share: false, openChatsMax: 0 };
  const client = connect({ ...settings, ...browser.env(server.fetch) });
  await settle();
  const container = { ...listens, nodeType: 1, tagName: "DIV", ownerDocument: document };
  const root = createRoot(/** @type {any} */ (container));
  /** @param {import("react").ReactNode} node */
  const render = (node) => act(async () => (root.render(node), await settle()));
  const unmount = () => act(async () => (root.unmount(), await settle()));
  return { server, client, render, unmount, happen: () => act(settle) };
}

/** @typedef {ReturnType<typeof useScrollback>} Shown */

/** @param {{ client: import("../../client/client.js").Client, chatId: string,
 *   onShow: (shown: Shown) => void }} props */
function ChatOf({ client, chatId, onShow }) {
  const shown = useScrollback(client, chatId);
  useEffect(() => void onShow(shown));
  return null;
}

after(() => Object.assign(globalThis, { IS_REACT_ACT_ENVIRONMENT: false }));

test("a component sees its chat as it is, and each change", async () => {
  const { server, client, render, unmount, happen } = await start("c");
  /** @type {Shown[]} */
  const shown = [];
  const props = { client, chatId: "c", onShow: (/** @type {Shown} */ one) => shown.push(one) };
  await render(createElement(ChatOf, props));
  assert.equal(shown[0]?.loading, "loading");
  assert.equal(shown.at(-1)?.loading, "ready");
  const n = shown.length;
  server.append("c", "user_text", { text: "hi" }, { messageId: "u" });
  await happen();
  assert.equal(shown.length, n + 1);
  assert.equal(shown.at(-1)?.messages[0]?.content_text, "hi");
  await render(createElement(ChatOf, props));
  assert.equal(shown.at(-1), shown.at(-2));
  await unmount();
  assert.equal(client.state.get().open.size, 0);
});

test("another chat: the one before is not shown, and keeps its late callbacks", async () => {
  const { server, client, render, unmount, happen } = await start("a", "b");
  /** @type {Shown[]} */
  const shown = [];
  const onShow = (/** @type {Shown} */ one) => shown.push(one);
  await render(createElement(ChatOf, { client, chatId: "a", onShow }));
  const late = shown.at(-1)?.chat;
  await render(createElement(ChatOf, { client, chatId: "b", onShow }));
  const from = shown.findIndex(({ chatId }) => chatId === "b");
  server.append("a", "user_text", { text: "for a" }, { messageId: "u" });
  await happen();
  assert.deepEqual([...new Set(shown.slice(from).map(({ chatId }) => chatId))], ["b"]);
  assert.deepEqual([...client.state.get().open.keys()], ["b"]);
  late?.send("also for a");
  await happen();
  assert.equal(server.chat("a")?.messages.length, 3);
  assert.equal(server.chat("b")?.messages.length, 0);
  await unmount();
});

test("strict mode mounts twice, reads once, and leaves nothing open", async () => {
  const { server, client, render, unmount, happen } = await start("c");
  /** @type {Shown[]} */
  const shown = [];
  const onShow = (/** @type {Shown} */ one) => shown.push(one);
  const chat = createElement(ChatOf, { client, chatId: "c", onShow });
  await render(createElement(StrictMode, null, chat));
  assert.equal(server.calls.filter(({ path }) => path === "/v1/chats/c").length, 1);
  server.append("c", "user_text", { text: "hi" }, { messageId: "u" });
  await happen();
  assert.equal(shown.at(-1)?.messages.length, 1);
  await unmount();
  client.close();
});

test("the list is in the order of activity, and the connection is told of", async () => {
  const { server, client, render, unmount, happen } = await start("a", "b");
  /** @type {string[][]} */
  const lists = [];
  /** @type {string[]} */
  const phases = [];
  function List() {
    const { chats } = useScrollbackList(client);
    const { phase } = useConnection(client);
    useEffect(() => void (lists.push(chats.map(({ id }) => id)), phases.push(phase)));
    return null;
  }
  await render(createElement(List));
  assert.deepEqual(lists.at(-1), ["b", "a"]);
  server.append("a", "user_text", { text: "hi" }, { messageId: "u" });
  await happen();
  assert.deepEqual(lists.at(-1), ["a", "b"]);
  server.kill();
  await happen();
  assert.equal(phases.at(-1), "waiting");
  await unmount();
  client.close();
});
