// Each major of the SDK in Node, as `useChat` drives it: send, resume, join late, fail, stop, and
// all of it again.

import assert from "node:assert/strict";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { serve } from "../../examples/ai-sdk/serve.mjs";
import { MAJORS } from "./majors.mjs";
import { Scrollback, until } from "./scrollback.mjs";

const GATED = "The first half of it. And <b>the</b> second half.";
const HALF = "The first half of it. ";
const LOST = "the connection to the model was lost";

let server;
before(async () => (server = await Scrollback.start()));
after(() => server.stop());

let made = 0;

for (const { major, Chat, DefaultChatTransport } of MAJORS) {
  /** A chat as a page has it: with what it loaded. */
  const page = (id, messages = [], more = {}) =>
    new Chat({
      id,
      messages,
      transport: new DefaultChatTransport({ api: `${server.url}/api/chat` }),
      ...more,
    });
  const fresh = () => `node-${major}-${++made}`;

  describe(`ai ${major} in Node`, () => {
    test("a message is answered, and both have the ids of the log", async () => {
      const chat = page(fresh());
      await chat.sendMessage({ text: "parts, please" });
      assert.deepEqual([chat.status, chat.error], ["ready", undefined]);
      const list = await server.get(`/v1/chats/${chat.id}/messages`);
      assert.deepEqual(chat.messages.map(idOf), list.items.map(idOf));
      assert.deepEqual(texts(chat), ["parts, please", "Reading. One was there. Done."]);
    });

    test("a message that was told and one that is loaded have the same parts", async () => {
      const chat = page(fresh());
      await chat.sendMessage({ text: "parts, please" });
      const loaded = await server.messages(chat.id);
      assert.deepEqual(loaded[1].parts.map((part) => part.type), PARTS);
      assert.deepEqual(plain(chat.messages[1]), plain(loaded[1]));
      assert.equal(chat.messages[1].metadata.usage.cost_usd, 0.5);
    });

    test("a page that comes back resumes, and has each message once", async () => {
      const { id, ended } = await halfway(page(fresh()));
      const chat = page(id, await server.messages(id));
      const resumed = chat.resumeStream();
      await until("the first half", () => chat.status === "streaming" && texts(chat)[1] === HALF);
      assert.deepEqual(chat.messages.map((message) => message.role), ["user", "assistant"]);
      await server.open(id);
      await Promise.all([resumed, ended]);
      assert.deepEqual([texts(chat), chat.status], [["gated", GATED], "ready"]);
      assert.deepEqual(await server.log(id), ["user: gated", `assistant: ${GATED}`]);
    });

    test("who joins late, with nothing loaded, gets the whole answer", async () => {
      const { id, ended } = await halfway(page(fresh()));
      const chat = page(id);
      const joined = chat.resumeStream();
      await until("the first half", () => texts(chat)[0] === HALF);
      await server.open(id);
      await Promise.all([joined, ended]);
      assert.deepEqual(texts(chat), [GATED]);
    });

    test("a chat that is idle, or is not there, resumes nothing", async () => {
      const chat = page(fresh());
      await chat.resumeStream();
      assert.deepEqual([chat.messages, chat.status], [[], "ready"]);
      await chat.sendMessage({ text: "parts, please" });
      await chat.resumeStream();
      assert.deepEqual([chat.messages.length, chat.status], [2, "ready"]);
    });

    test("a failure is an error with the partial text, live and after a reload", async () => {
      const live = page(fresh());
      await live.sendMessage({ text: "failing" });
      const loaded = page(live.id, await server.messages(live.id));
      assert.equal(loaded.messages[1].metadata.error.message, LOST);
      await loaded.resumeStream();
      const joined = page(live.id);
      await joined.resumeStream();
      for (const chat of [live, loaded, joined]) {
        assert.deepEqual([chat.status, chat.error.message], ["error", LOST]);
        assert.equal(texts(chat).at(-1), "Half of an answer");
      }
      assert.deepEqual([live.messages.length, loaded.messages.length], [2, 2]);
      assert.equal((await server.log(live.id)).length, 2);
    });

    test("stop() ends the reading alone; the stop route ends the turn", async () => {
      const chat = page(fresh());
      const { ended } = await halfway(chat);
      await chat.stop();
      await ended;
      assert.deepEqual([chat.status, texts(chat)[1]], ["ready", HALF]);
      assert.ok(await server.openTurn(chat.id), "the turn goes on");
      const resumed = chat.resumeStream();
      await until("the resumed stream", () => chat.status === "streaming");
      await server.post(`/api/chat/${chat.id}/stop`);
      await resumed;
      assert.deepEqual([chat.status, texts(chat)], ["ready", ["gated", HALF]]);
      assert.equal(chat.messages[1].metadata.interrupt_reason, "user");
      assert.equal(await server.openTurn(chat.id), null);
    });

    test("a message that is posted again is not there twice", async () => {
      const chat = page(fresh());
      await chat.sendMessage({ text: "parts, please" });
      const body = { id: chat.id, messages: chat.messages.slice(0, 1), trigger: "submit-message" };
      const again = await fetch(`${server.url}/api/chat`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      assert.match(await again.text(), new RegExp(`"messageId":"${chat.messages[1].id}"`));
      assert.equal((await server.log(chat.id)).length, 2);
    });

    test("another answer takes the place of the first, now and after a reload", async () => {
      const chat = page(fresh());
      await chat.sendMessage({ text: "failing" });
      const first = chat.messages[1].id;
      await chat.regenerate();
      const loaded = await server.messages(chat.id);
      assert.deepEqual(chat.messages.map(idOf), loaded.map(idOf));
      assert.notEqual(chat.messages[1].id, first);
      await chat.sendMessage({ text: "parts, please" });
      assert.deepEqual(chat.messages.map(idOf), (await server.messages(chat.id)).map(idOf));
    });

    test("a file goes with the message and comes back with it", async () => {
      const chat = page(fresh());
      const url = "data:text/plain;base64,aGVsbG8=";
      const file = { type: "file", mediaType: "text/plain", filename: "a.txt", url };
      await chat.sendMessage({ text: "parts, please", files: [file] });
      const [user] = await server.messages(chat.id);
      assert.deepEqual(user.parts.find((part) => part.type === "file"), file);
      const list = await server.get(`/v1/chats/${chat.id}/messages`);
      assert.equal(list.items[0].content_render.events[0].attachments[0].size_bytes, 5);
    });

    test("a busy chat is an error that says so, and the message can be sent later", async () => {
      const first = page(fresh());
      const { id, ended } = await halfway(first);
      const second = page(id, await server.messages(id));
      await second.sendMessage({ text: "parts, please" });
      assert.equal(JSON.parse(second.error.message).code, "chat_busy");
      await server.open(id);
      await ended;
      await server.idle(id);
      await second.regenerate();
      assert.deepEqual([second.status, second.error], ["ready", undefined]);
      assert.equal((await server.log(id)).length, 4);
    });

    // Version 5 keeps what it was told before the cut and adds the replay to it; a chat object of
    // its own, as the example makes one, is the remedy there.
    if (major > 5) {
      test("a page whose connection was cut resumes where it is", async () => {
        const proxy = serve("", () => server.url).listen(0, "127.0.0.1");
        await once(proxy, "listening");
        const api = `http://127.0.0.1:${proxy.address().port}/api/chat`;
        const chat = page(fresh(), [], { transport: new DefaultChatTransport({ api }) });
        const { ended } = await halfway(chat);
        proxy.closeAllConnections();
        await ended;
        assert.ok(chat.error instanceof TypeError, "the client knows that it was cut");
        const resumed = chat.resumeStream();
        await until("the resumed stream", () => chat.status === "streaming");
        await server.open(chat.id);
        await resumed;
        assert.deepEqual([texts(chat), chat.status], [["gated", GATED], "ready"]);
        proxy.close();
      });
    }

    test("a server that is restarted leaves what was said", async () => {
      const restarted = await Scrollback.start();
      try {
        const transport = new DefaultChatTransport({ api: `${restarted.url}/api/chat` });
        const chat = page(fresh(), [], { transport });
        const { ended } = await halfway(chat, restarted);
        await restarted.end("SIGKILL");
        await ended;
        assert.ok(chat.error instanceof TypeError, "the client knows that it was cut");
        await restarted.launch();
        const after = page(chat.id, await restarted.messages(chat.id), { transport });
        await after.resumeStream();
        assert.deepEqual([texts(after), after.status], [["gated", HALF], "ready"]);
        assert.equal(after.messages[1].metadata.interrupt_reason, "restart");
      } finally {
        await restarted.stop();
      }
    });
  });
}

const PARTS = [
  "reasoning", "data-plan", "text", "dynamic-tool", "dynamic-tool", "text", "data-suggestions",
];

/** A chat whose turn waits at its gate, and the promise of the call that began it. */
async function halfway(chat, at = server) {
  const ended = chat.sendMessage({ text: "gated" });
  await at.gate(chat.id);
  await until("the first half", () => texts(chat)[1] === HALF);
  return { id: chat.id, ended };
}

function idOf(message) {
  return message.id;
}

function texts(chat) {
  const isText = (part) => part.type === "text";
  return chat.messages.map((message) => message.parts.filter(isText).map((p) => p.text).join(""));
}

/** A message without what a major notes for itself or does not know: an id of a part, a title. */
function plain(message) {
  const part = ({ title, ...rest }) => {
    if (rest.type === "reasoning") delete rest.id;
    return rest;
  };
  return JSON.parse(JSON.stringify({ ...message, parts: message.parts.map(part) }));
}
