// A turn that fails: what was said stays, the reason follows, and every device shows the same.

import assert from "node:assert/strict";
import { test } from "node:test";
import { numbered } from "../harness/api.js";
import { ChatPage } from "../harness/chat_page.js";
import { sample } from "../harness/scrollback.js";
import { Scene } from "../harness/scene.js";
import { until } from "../harness/until.js";

const scene = await Scene.open({ script: sample("failure") });

/**
 * What a page shows of a failed message.
 *
 * @param {ChatPage} chat
 * @param {string} messageId
 */
async function shown(chat, messageId) {
  const failure = chat.message(messageId).locator("[data-error-code]");
  await failure.waitFor();
  return {
    status: await chat.status(messageId),
    text: await chat.text(messageId),
    code: await failure.getAttribute("data-error-code"),
    failures: await failure.count(),
    reason: await failure.innerText(),
  };
}

/** @param {ChatPage} chat @param {string} messageId */
const retry = (chat, messageId) =>
  chat.message(messageId).getByRole("button", { name: /try|retry/i });

test("live, after a reload and on another device it is the same", async () => {
  const turn = await scene.turn("failing");
  const chat = await ChatPage.open(await scene.device(), "failing");
  await turn.say(scene.api, ...numbered("a", 0, 30));
  await chat.shows(turn.messageId, "a29");
  await turn.fail(scene.api, "provider_transport", "the model hung up", true);
  const live = await shown(chat, turn.messageId);
  assert.equal(live.status, "failed");
  assert.equal(live.code, "provider_transport");
  assert.equal(live.failures, 1);
  assert.match(live.reason, /the model hung up/);
  await chat.endsAsTheLog(scene.api, turn, "failed");
  await chat.page.reload();
  assert.deepEqual(await shown(chat, turn.messageId), live);
  const other = await ChatPage.open(await scene.device(), "failing");
  assert.deepEqual(await shown(other, turn.messageId), live);
});

test("a failure that cannot be helped offers no second try", async () => {
  const turn = await scene.turn("refused");
  const chat = await ChatPage.open(await scene.device(), "refused");
  await turn.fail(scene.api, "context_overflow", "too much was said", false);
  await shown(chat, turn.messageId);
  assert.equal(await retry(chat, turn.messageId).count(), 0);
});

test("a second try is a new turn, and the failed one stays", async () => {
  await scene.api.createChat("retried");
  const chat = await ChatPage.open(await scene.device(), "retried");
  await chat.send("Why does the keeper's log end in the middle of a line?");
  const failed = () => scene.api.lastMessage("retried");
  await until("the turn fails", async () => (await failed())["stream_status"] === "failed", 30_000);
  const first = await failed();
  const live = await shown(chat, first["id"]);
  assert.match(live.text, /Whathewantedtowritewas$/);
  await retry(chat, first["id"]).click();
  await until("there is a new turn", async () => (await failed())["id"] !== first["id"]);
  const second = await failed();
  await chat.message(second["id"]).waitFor();
  assert.deepEqual(await shown(chat, first["id"]), live);
});
