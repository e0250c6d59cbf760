// Sending, stopping, the queue and send-now, as a user does them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { numbered } from "../harness/api.js";
import { ChatPage } from "../harness/chat_page.js";
import { sample } from "../harness/scrollback.js";
import { Scene } from "../harness/scene.js";
import { until } from "../harness/until.js";

const scene = await Scene.open({ script: sample("report") });

const queue = async (/** @type {string} */ chatId) =>
  (await scene.api.get(`/v1/chats/${chatId}/queue`))["items"];

test("a message is sent, answered, and stopped", async () => {
  await scene.api.createChat("stopped");
  const chat = await ChatPage.open(await scene.device(), "stopped");
  await chat.send("Why did the import get slower?");
  const answer = await until("the answer begins", async () => {
    const last = await scene.api.lastMessage("stopped");
    return last["role"] === "assistant" && last["content_text"] !== "" ? last : undefined;
  });
  await chat.shows(answer["id"], "Why the nightly");
  assert.equal(await chat.status(answer["id"]), "in_progress");
  await chat.page.keyboard.press("Escape");
  await until("it is stopped", async () => (await chat.status(answer["id"])) === "interrupted");
  const rows = await scene.api.messages("stopped");
  assert.deepEqual(
    rows.map((row) => [row["role"], row["stream_status"]]),
    [["user", "completed"], ["assistant", "interrupted"]],
  );
  assert.equal(rows[1]?.["interrupt_reason"], "user");
  assert.equal(await chat.page.locator("[data-message-id]").count(), 2);
});

/**
 * Sends while something is wrong with the network, and expects it to arrive once.
 *
 * @param {string} chatId
 * @param {(proxy: import("../harness/proxy.js").Proxy) => Promise<void> | void} breakIt
 * @param {(proxy: import("../harness/proxy.js").Proxy) => Promise<void> | void} mendIt
 */
async function sendOnce(chatId, breakIt, mendIt) {
  await scene.api.createChat(chatId);
  const device = await scene.device();
  const chat = await ChatPage.open(device, chatId);
  await until("the page is live", async () => (await chat.phase()) === "live");
  await breakIt(device.proxy);
  await chat.send("Said once");
  await chat.page.getByText("Said once").first().waitFor();
  await mendIt(device.proxy);
  const said = async () => {
    const rows = await scene.api.messages(chatId);
    return rows.filter((row) => row["role"] === "user");
  };
  await until("it has arrived", async () => (await said()).length > 0, 30_000);
  const answer = await until("it is answered", async () => {
    const last = await scene.api.lastMessage(chatId);
    return last["stream_status"] === "completed" && last["role"] === "assistant" ? last : null;
  }, 30_000);
  await until("the page shows it", async () => (await chat.status(answer["id"])) === "completed");
  assert.deepEqual((await said()).map((row) => row["content_text"]), ["Said once"]);
  // One bubble, and none beside it that says that it was not sent.
  assert.equal(await chat.page.locator("[data-role=user]").count(), 1);
  assert.equal((await scene.api.get(`/v1/chats/${chatId}/queue`))["items"].length, 0);
}

test("a send without a network goes out when there is one", async () => {
  await sendOnce("unsent", (proxy) => proxy.refuse(), (proxy) => proxy.restore());
});

test("a send whose answer is lost is repeated, and arrives once", async () => {
  await sendOnce("lost", (proxy) => proxy.mute(), async (proxy) => {
    const rows = () => scene.api.messages("lost");
    await until("the server has it", async () => (await rows()).length > 0);
    proxy.cut();
    await proxy.restore();
  });
});

test("messages wait in the queue, and are edited, removed and sent now", async () => {
  const turn = await scene.turn("queue");
  const device = await scene.device();
  const chat = await ChatPage.open(device, "queue");
  const other = await ChatPage.open(await scene.device(), "queue");
  await turn.say(scene.api, ...numbered("a", 0, 30));
  await chat.shows(turn.messageId, "a29");
  for (const [n, text] of ["and by region?", "and by month?", "and why?"].entries()) {
    await chat.send(text);
    await until("it is queued", async () => (await queue("queue")).length === n + 1);
  }
  const cards = chat.page.locator("[data-queued-id]");
  const [first, second, third] = (await queue("queue")).map(
    (/** @type {any} */ item) => item.queued_message_id ?? item.id,
  );
  const card = (/** @type {string} */ id) => chat.page.locator(`[data-queued-id="${id}"]`);
  await until("three cards are shown", async () => (await cards.count()) === 3);

  await card(first).getByRole("button", { name: /edit/i }).click();
  await card(first).getByRole("textbox").fill("and by country?");
  await card(first).getByRole("textbox").press("Enter");
  await until("the log has the edit", async () => {
    return (await queue("queue"))[0].content === "and by country?";
  });
  await other.page.getByText("and by country?").waitFor();

  await card(second).getByRole("button", { name: /remove/i }).click();
  await until("it is removed everywhere", async () => {
    const left = await other.page.locator("[data-queued-id]").count();
    return left === 2 && (await cards.count()) === 2;
  });

  await card(third).getByRole("button", { name: /now/i }).click();
  await until("the turn is stopped for it", async () => {
    return (await chat.status(turn.messageId)) === "interrupted";
  });
  await chat.endsAsTheLog(scene.api, turn, "interrupted");
  await until("it is answered", async () => {
    const last = await scene.api.lastMessage("queue");
    return last["role"] === "assistant" && last["id"] !== turn.messageId;
  });
  const asked = (await scene.api.messages("queue")).filter((row) => row["role"] === "user");
  assert.equal(asked[1]?.["content_text"], "and why?");
  await chat.message(asked[1]?.["id"]).waitFor();
  await other.message(asked[1]?.["id"]).waitFor();
});

test("the plug is pulled, and what was missed is caught up with", async () => {
  const turn = await scene.turn("plug");
  const device = await scene.device();
  const chat = await ChatPage.open(device, "plug");
  await turn.say(scene.api, ...numbered("a", 0, 30));
  await chat.shows(turn.messageId, "a29");
  const plug = chat.button("Pull the plug");
  await plug.hover();
  await chat.page.mouse.down();
  await until("the stream is closed", () => device.streams === 0);
  await turn.say(scene.api, ...numbered("b", 0, 200));
  assert.ok(!(await chat.text(turn.messageId)).includes("b0"));
  await chat.page.mouse.up();
  await chat.shows(turn.messageId, "b199");
  await turn.complete(scene.api);
  await chat.endsAsTheLog(scene.api, turn);
  await chat.hasOneStream();
});
