// Twenty chats are answered at once, one of them is visible, and each is found complete.

import assert from "node:assert/strict";
import { test } from "node:test";
import { numbered } from "../harness/api.js";
import { ChatPage } from "../harness/chat_page.js";
import { Scene } from "../harness/scene.js";

const N_CHATS = 20;
const scene = await Scene.open();

test("twenty chats stream at once", async () => {
  const ids = Array.from({ length: N_CHATS }, (_, n) => `chat-${n}`);
  const turns = await Promise.all(ids.map((id) => scene.turn(id, `The question of ${id}`)));
  const device = await scene.device();
  const chat = await ChatPage.open(device, ids[0]);
  const speeches = turns.map((turn) => scene.speak(turn, numbered(`${turn.chatId}x`, 0, 120)));
  // Each is looked at once while it goes on, so that all of them are followed off screen later.
  for (const turn of turns) {
    await chat.choose(turn.chatId);
    await chat.shows(turn.messageId, `${turn.chatId}x0 `);
    assert.equal(device.streams, 1);
  }
  await Promise.all(speeches);
  // Half end while they are off screen, half while they are looked at.
  for (const turn of turns.slice(0, N_CHATS / 2)) await turn.complete(scene.api);
  for (const turn of turns) {
    await chat.choose(turn.chatId);
    if (turns.indexOf(turn) >= N_CHATS / 2) await turn.complete(scene.api);
    await chat.endsAsTheLog(scene.api, turn);
  }
  await chat.hasOneStream();
});
