// In mid-answer something happens to the page, and it ends with exactly the text of the log.
//
// Cuts that take long are in `long_cut.test.js`, a crash of the server in `restart.test.js`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { numbered } from "../harness/api.js";
import { ChatPage } from "../harness/chat_page.js";
import { Scene } from "../harness/scene.js";
import { until } from "../harness/until.js";

const scene = await Scene.open();

/**
 * Opens a chat while it is being answered; `go` says the rest while something else happens.
 *
 * @param {string} chatId
 */
async function midAnswer(chatId) {
  const turn = await scene.turn(chatId);
  await turn.say(scene.api, ...numbered("a", 0, 30));
  const device = await scene.device();
  const chat = await ChatPage.open(device, chatId);
  await chat.shows(turn.messageId, "a29");
  await turn.say(scene.api, ...numbered("b", 0, 10));
  await chat.shows(turn.messageId, "b9");
  const go = async () => {
    await scene.speak(turn, numbered("c", 0, 60));
    await turn.complete(scene.api);
  };
  return { turn, device, chat, go };
}

test("a reload", async () => {
  const { turn, chat, go } = await midAnswer("reload");
  const rest = go();
  await chat.shows(turn.messageId, "c9 ");
  await chat.page.reload();
  await chat.shows(turn.messageId, "c20 ");
  await chat.page.reload();
  await rest;
  await chat.endsAsTheLog(scene.api, turn);
  await chat.hasOneStream();
});

test("a look at another chat", async () => {
  const { turn, chat, go } = await midAnswer("switch");
  await scene.api.createChat("elsewhere");
  const rest = go();
  await chat.choose("elsewhere");
  await chat.message(turn.messageId).waitFor({ state: "detached" });
  await rest;
  await chat.choose("switch");
  await chat.endsAsTheLog(scene.api, turn);
  await chat.hasOneStream();
});

test("a second tab", async () => {
  const { turn, device, chat, go } = await midAnswer("tabs");
  const rest = go();
  const second = await ChatPage.open(device, "tabs");
  await second.shows(turn.messageId, "c20 ");
  await second.hasOneStream();
  await rest;
  await chat.endsAsTheLog(scene.api, turn);
  await second.endsAsTheLog(scene.api, turn);
  await second.hasOneStream();
});

test("the tab that reads is closed", async () => {
  const { turn, device, chat, go } = await midAnswer("leader-closed");
  const second = await ChatPage.open(device, "leader-closed");
  await second.shows(turn.messageId, "b9");
  const rest = go();
  await second.shows(turn.messageId, "c9 ");
  await chat.page.close();
  await rest;
  await second.endsAsTheLog(scene.api, turn);
  await second.hasOneStream();
});

test("the tab that reads is frozen, and thawed", async () => {
  const { turn, device, chat, go } = await midAnswer("leader-frozen");
  const second = await ChatPage.open(device, "leader-frozen");
  await second.shows(turn.messageId, "b9");
  const session = await device.context.newCDPSession(chat.page);
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await go();
  // The other tab has to find out that nobody reads any more.
  await second.endsAsTheLog(scene.api, turn, "completed", 45_000);
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await chat.endsAsTheLog(scene.api, turn);
  await chat.hasOneStream();
});

test("a second browser", async () => {
  const { turn, chat, go } = await midAnswer("devices");
  const rest = go();
  const other = await scene.device();
  const second = await ChatPage.open(other, "devices");
  await second.shows(turn.messageId, "c20 ");
  await chat.hasOneStream();
  await second.hasOneStream();
  await rest;
  await chat.endsAsTheLog(scene.api, turn);
  await second.endsAsTheLog(scene.api, turn);
});

test("the network is cut, and back at once", async () => {
  const { turn, device, chat, go } = await midAnswer("cut");
  for (const name of ["x", "y", "z"]) {
    await device.proxy.refuse();
    // Said while nobody hears it, so that there is something to miss.
    await turn.say(scene.api, ...numbered(name, 0, 5));
    await device.proxy.restore();
    await chat.shows(turn.messageId, `${name}4`);
  }
  const rest = go();
  for (const piece of ["c5 ", "c15 ", "c30 "]) {
    await chat.shows(turn.messageId, piece);
    device.proxy.cut();
  }
  await rest;
  await chat.endsAsTheLog(scene.api, turn);
  await chat.hasOneStream();
});

test("the browser goes offline and says so", async () => {
  const { turn, device, chat, go } = await midAnswer("offline");
  await device.context.setOffline(true);
  device.proxy.cut();
  await until("the page says that it is offline", async () => (await chat.phase()) === "offline");
  await go();
  assert.equal(await chat.status(turn.messageId), "in_progress");
  await device.context.setOffline(false);
  await chat.endsAsTheLog(scene.api, turn);
  assert.equal(await chat.page.locator("[data-error-code]").count(), 0);
  await chat.hasOneStream();
});

test("white space within code is kept over a cut", async () => {
  const turn = await scene.turn("code");
  const device = await scene.device();
  const chat = await ChatPage.open(device, "code");
  const lines = numbered("line  ", 0, 60).map((delta) => `  ${delta.trim()}\n`);
  await turn.say(scene.api, "```text\n", ...lines.slice(0, 20));
  await until("code is shown", async () => (await chat.code(turn.messageId)).includes("line  19"));
  device.proxy.cut();
  await turn.say(scene.api, ...lines.slice(20), "```\n");
  await turn.complete(scene.api);
  await chat.endsAsTheLog(scene.api, turn);
  assert.equal((await chat.code(turn.messageId)).trimEnd(), lines.join("").trimEnd());
});
