// An answer of a hundred thousand deltas stays smooth to its end, and its memory bounded.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { numbered } from "../../harness/api.js";
import { heapBytes, longTasks } from "../../harness/browser.js";
import { ChatPage } from "../../harness/chat_page.js";
import { Scene } from "../../harness/scene.js";
import { tasksDuring } from "../../harness/smooth.js";

const N_DELTAS = 100_000;

/** Deltas in one append, and the pause after it: some thousand a second, many times a model's. */
const BATCH = 50;
const PAUSE_MS = 8;

/** Milliseconds for which nothing may hold up the page while it streams. */
const LONG_TASK_MS = 100;

/** Bytes of objects: the text has less than one mebibyte. */
const HEAP_BYTES_MAX = 24 << 20;

const scene = await Scene.open();

test("a hundred thousand deltas in one answer", async (t) => {
  const turn = await scene.turn("huge");
  const device = await scene.device();
  const chat = await ChatPage.open(device, "huge");
  await turn.say(scene.api, "First words. ");
  await chat.shows(turn.messageId, "First words.");
  const before = (await longTasks(chat.page)).length;
  const started = performance.now();
  const deltas = numbered("w", 0, N_DELTAS);
  const [longest = 0, second] = await tasksDuring(scene.browser, async () => {
    for (let n = 0; n < N_DELTAS; n += BATCH) {
      await turn.say(scene.api, ...deltas.slice(n, n + BATCH));
      await pause(PAUSE_MS);
    }
    await chat.endsWith(turn.messageId, deltas.at(-1)?.trim() ?? "");
  });
  const rate = Math.round(N_DELTAS / ((performance.now() - started) / 1_000));
  const byClock = (await longTasks(chat.page)).slice(before).map((task) => task.ms);
  await turn.complete(scene.api);
  await chat.endsAsTheLog(scene.api, turn);
  const heap = await heapBytes(chat.page);
  const mib = (heap / (1 << 20)).toFixed(1);
  t.diagnostic(`${rate} deltas a second, heap ${mib} MiB`);
  t.diagnostic(`longest task ${longest} ms, ${Math.max(0, ...byClock)} ms by the clock`);
  assert.ok(second, "tasks were seen");
  assert.ok(longest <= LONG_TASK_MS, `a task held the page up for ${longest} ms`);
  assert.ok(heap < HEAP_BYTES_MAX, `the page holds ${mib} MiB`);
});
