// A chat of ten thousand messages stays smooth while it is answered, and its memory bounded.

import assert from "node:assert/strict";
import { test } from "node:test";
import { numbered } from "../../harness/api.js";
import { heapBytes } from "../../harness/browser.js";
import { ChatPage } from "../../harness/chat_page.js";
import { Scene } from "../../harness/scene.js";
import { tasksDuring } from "../../harness/smooth.js";
import { until } from "../../harness/until.js";

const N_TURNS = 5_000;
const CHAT = "long";

/** Milliseconds for which nothing may hold up the page while it streams. */
const LONG_TASK_MS = 100;

/** Bytes of objects: several times what the page of a short chat holds. */
const HEAP_BYTES_MAX = 24 << 20;

/** The events of a chat with two messages a turn. */
function log() {
  /** @type {object[]} */
  const envelopes = [];
  /** Adds one event. */
  function add(
    /** @type {string} */ kind,
    /** @type {object} */ payload,
    /** @type {string | null} */ messageId = null,
    /** @type {string | null} */ streamId = null,
  ) {
    envelopes.push({ chatId: CHAT, messageId, streamId, kind, payload });
  }
  add("chat_created", { title: "Ten thousand messages" });
  for (let n = 0; n < N_TURNS; n += 1) {
    const [user, message, turn] = [`u${n}`, `m${n}`, `t${n}`];
    add("user_text", { text: `Question ${n}, and what comes of it?` }, user);
    const started = { provider: "external", user_message_id: user, origin: "external" };
    add("stream_started", started, message, turn);
    const text = `Answer ${n}. **Bold** words, \`code\`, and a list:\n\n- one\n- two\n\nThe end.`;
    add("assistant_text", { text }, message, turn);
    add("complete", { status: "completed", duration_ms: 900 }, message, turn);
  }
  return envelopes;
}

const scene = await Scene.open({ importing: log() });

test("ten thousand messages, read back in time, while an answer streams", async (t) => {
  const device = await scene.device();
  const chat = await ChatPage.open(device, CHAT);
  await chat.shows(`m${N_TURNS - 1}`, `Answer ${N_TURNS - 1}.`);
  const turn = await scene.api.turn(CHAT, "And now?");
  await turn.say(scene.api, "First words. ");
  await chat.shows(turn.messageId, "First words.");
  const before = await heapBytes(chat.page);
  const [longest = 0, second] = await tasksDuring(scene.browser, async () => {
    await scene.speak(turn, numbered("a", 0, 300), 5);
    // Back in time, for some pages, while it goes on.
    const speech = scene.speak(turn, numbered("b", 0, 400), 5);
    for (const n of [4_900, 4_800, 4_700]) {
      await until(`answer ${n} is there`, async () => {
        await chat.toTop();
        return (await chat.message(`m${n}`).count()) > 0;
      });
    }
    await speech;
    await chat.toBottom();
  });
  await turn.complete(scene.api);
  await chat.endsAsTheLog(scene.api, turn);

  const heap = await heapBytes(chat.page);
  const drawn = await chat.page.locator("[data-message-id]").count();
  const mib = (/** @type {number} */ bytes) => `${(bytes / (1 << 20)).toFixed(1)} MiB`;
  t.diagnostic(`longest task ${longest} ms, heap ${mib(before)} then ${mib(heap)}`);
  t.diagnostic(`${drawn} messages in the document`);
  assert.ok(second, "tasks were seen");
  assert.ok(longest <= LONG_TASK_MS, `a task held the page up for ${longest} ms`);
  assert.ok(heap < HEAP_BYTES_MAX, `the page holds ${mib(heap)}`);
  assert.ok(drawn < 2_000, `${drawn} messages are in the document`);
});
