// Networks that are away for a second and for a minute, in real time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { numbered } from "../harness/api.js";
import { ChatPage } from "../harness/chat_page.js";
import { Scene } from "../harness/scene.js";
import { until } from "../harness/until.js";

const scene = await Scene.open();

/**
 * A page in mid-answer, whose network goes away for a time in which the answer ends.
 *
 * @param {string} chatId
 * @param {number} awayMs
 * @param {"refuse" | "stall"} how
 */
async function away(chatId, awayMs, how) {
  const turn = await scene.turn(chatId);
  await turn.say(scene.api, ...numbered("a", 0, 30));
  const device = await scene.device();
  const chat = await ChatPage.open(device, chatId);
  await chat.shows(turn.messageId, "a29");
  await device.proxy[how]();
  const deltas = numbered("b", 0, 100);
  const [, , seen] = await Promise.all([
    scene.speak(turn, deltas, (awayMs * 0.8) / deltas.length),
    // How long the network is away is what this test is about.
    pause(awayMs),
    awayMs < 5_000
      ? undefined
      : until("the page notices", async () => (await chat.phase()) !== "live", awayMs - 5_000),
  ]);
  assert.ok(awayMs < 5_000 || seen);
  assert.equal(await chat.status(turn.messageId), "in_progress");
  await device.proxy.restore();
  await turn.say(scene.api, "The end.");
  await turn.complete(scene.api);
  await chat.endsAsTheLog(scene.api, turn, "completed", 45_000);
  assert.equal(await chat.page.locator("[data-error-code]").count(), 0);
  await chat.hasOneStream();
  await until("the page is live again", async () => (await chat.phase()) === "live");
}

test("a second and a minute, refused and stalled", async () => {
  // All at once: a minute is long.
  const ends = await Promise.allSettled([
    away("refused-1", 1_000, "refuse"),
    away("stalled-1", 1_000, "stall"),
    away("refused-60", 60_000, "refuse"),
    away("stalled-60", 60_000, "stall"),
  ]);
  const reasons = ends.map((end) => (end.status === "rejected" ? String(end.reason) : "well"));
  assert.deepEqual(reasons, ["well", "well", "well", "well"]);
});
