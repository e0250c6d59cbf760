// The server is killed in mid-answer and started again.

import assert from "node:assert/strict";
import { test } from "node:test";
import { numbered } from "../harness/api.js";
import { ChatPage } from "../harness/chat_page.js";
import { Scene } from "../harness/scene.js";
import { until } from "../harness/until.js";

const scene = await Scene.open();

test("the server is killed twice in one answer", async () => {
  const turn = await scene.turn("killed");
  const chat = await ChatPage.open(await scene.device(), "killed");
  const other = await ChatPage.open(await scene.device(), "killed");
  const speech = scene.speak(turn, numbered("a", 0, 200));
  for (const piece of ["a40 ", "a120 "]) {
    await chat.shows(turn.messageId, piece);
    await scene.server.kill();
    await until("the page notices", async () => (await chat.phase()) !== "live");
    assert.equal(await chat.status(turn.messageId), "in_progress");
    await scene.server.restart();
  }
  await speech;
  await turn.complete(scene.api);
  for (const page of [chat, other]) {
    await page.endsAsTheLog(scene.api, turn);
    await page.hasOneStream();
    assert.equal(await page.page.locator("[data-error-code]").count(), 0);
  }
});

test("a server that ends in order is come back to", async () => {
  const turn = await scene.turn("ended");
  const chat = await ChatPage.open(await scene.device(), "ended");
  await turn.say(scene.api, ...numbered("a", 0, 40));
  await chat.shows(turn.messageId, "a39");
  await scene.server.quit();
  await scene.server.restart();
  await turn.say(scene.api, ...numbered("b", 0, 40));
  await turn.complete(scene.api);
  await chat.endsAsTheLog(scene.api, turn);
  await chat.hasOneStream();
});
