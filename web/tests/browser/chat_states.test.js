// Every state of the chat page: reached, free of serious accessibility faults, and on a picture.
//
// The pictures are for people to look at: `target/screenshots/chat-STATE-LOOK.png`.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seriousFaults } from "../harness/axe.js";
import { screenshot } from "../harness/browser.js";
import { ChatPage } from "../harness/chat_page.js";
import { sample } from "../harness/scrollback.js";
import { Scene } from "../harness/scene.js";
import { until } from "../harness/until.js";
import { LOOKS } from "../harness/looks.js";
import * as story from "../harness/story.js";

const scene = await Scene.open({ script: sample("report") });

/** A browser without motion, so that no picture is of something half way. */
const still = () => scene.device({ reducedMotion: true });

/**
 * Looks at a state in each look.
 *
 * @param {ChatPage} chat
 * @param {string} name
 * @param {"chat" | "list"} [side] What is looked at where there is no room for both.
 */
async function look(chat, name, side = "chat") {
  for (const { look, ...media } of LOOKS) {
    await chat.page.emulateMedia({ colorScheme: media.theme });
    await chat.page.setViewportSize(media.viewport);
    if (side === "list") await chat.showList();
    const wide = await chat.page.evaluate("document.documentElement.scrollWidth");
    assert.ok(Number(wide) <= media.viewport.width, `${name} is ${wide} px wide in ${look}`);
    await screenshot(chat.page, `chat-${name}-${look}`);
    assert.deepEqual(await seriousFaults(chat.page), [], `${name} in ${look}`);
  }
}

/** Opens a chat, plays `events` in an open turn, and waits until the last of it is there. */
async function play(
  /** @type {string} */ chatId,
  /** @type {string} */ question,
  /** @type {import("../harness/story.js").Said[]} */ events,
  title = question,
) {
  await scene.api.createChat(chatId, title);
  const turn = await scene.api.turn(chatId, question);
  await turn.append(scene.api, events);
  const chat = await ChatPage.open(await still(), chatId);
  await chat.message(turn.messageId).waitFor();
  return { turn, chat };
}

test("nothing yet", async () => {
  const chat = await ChatPage.open(await still());
  await until("the page is live", async () => (await chat.phase()) === "live");
  await look(chat, "welcome");
});

test("an empty chat", async () => {
  await scene.api.createChat("empty", "Nothing said yet");
  const chat = await ChatPage.open(await still(), "empty");
  await chat.composer.waitFor();
  await until("the page is live", async () => (await chat.phase()) === "live");
  await look(chat, "empty");
});

test("a chat that is not there", async () => {
  const chat = await ChatPage.open(await still(), "nobody-made-it");
  await until("the page is live", async () => (await chat.phase()) === "live");
  await chat.page.getByText(/no such chat|not (there|here|found)|gone/i).first().waitFor();
  await look(chat, "missing");
});

test("thinking, a plan, and tools under way", async () => {
  const { chat, turn } = await play("working", "Move the shop to the new host", story.working());
  await chat.message(turn.messageId).locator('[data-entry="tool"]').first().waitFor();
  await look(chat, "working");
});

test("a question that waits for its user", async () => {
  const { chat } = await play("asking", "Send the mail to all customers", story.asking());
  await chat.page.locator("[data-request-id]").first().waitFor();
  await look(chat, "asking");
});

test("an answer under way, with messages that wait", async () => {
  const { chat, turn } = await play("streaming", "Why is the import slow?", story.streaming());
  const queued = { text: "And by region?", if_busy: "queue" };
  await scene.api.post("/v1/chats/streaming/turns", queued);
  await chat.page.locator("[data-queued-id]").first().waitFor();
  await chat.shows(turn.messageId, "nothing is broken");
  await look(chat, "streaming");
  await turn.append(scene.api, story.end());
});

test("an answer with a table, code and suggestions", async () => {
  const { chat, turn } = await play("done", "Why did the import get slower?", story.report());
  await turn.complete(scene.api);
  await until("it is done", async () => (await chat.status(turn.messageId)) === "completed");
  await chat.page.getByRole("button", { name: "Write the migration" }).waitFor();
  await look(chat, "done");
});

test("a turn that failed, one that may be tried again and one that may not", async () => {
  for (const [code, retryable] of /** @type {const} */ ([
    ["provider_transport", true],
    ["provider_auth", false],
  ])) {
    const said = story.halfASentence();
    const { chat, turn } = await play(code, "What became of the keeper?", said);
    await turn.fail(scene.api, code, story.REASONS[code], retryable);
    await chat.message(turn.messageId).locator("[data-error-code]").waitFor();
    await look(chat, code.replaceAll("_", "-"));
    }
});

test("a turn that was stopped", async () => {
  const { chat, turn } = await play("stopped", "What became of the keeper?", story.halfASentence());
  await scene.api.post(`/v1/chats/stopped/turns/${turn.turnId}/stop`);
  await until("it is stopped", async () => (await chat.status(turn.messageId)) === "interrupted");
  await look(chat, "interrupted");
});

test("a search, with and without a find", async () => {
  await scene.api.createChat("harbour", "The lights of the harbour");
  const { chat } = await play("reef", "Who kept the lighthouse?", story.halfASentence());
  const { page } = chat;
  await page.getByRole("searchbox").fill("lighthouse");
  await until("one chat is left", async () => (await page.locator("[data-chat-id]").count()) === 1);
  await look(chat, "search", "list");
  await page.setViewportSize({ width: 1200, height: 800 });
  await page.getByRole("searchbox").fill("xyzzy");
  await until("none is left", async () => (await page.locator("[data-chat-id]").count()) === 0);
  await look(chat, "search-nothing", "list");
});

test("without a server, and without a network", async () => {
  const { chat } = await play("away", "Why is the import slow?", story.streaming());
  const own = chat.device;
  await until("the page is live", async () => (await chat.phase()) === "live");
  await own.proxy.refuse();
  await until("it waits for the server", async () => (await chat.phase()) === "waiting");
  await look(chat, "reconnecting");
  await own.context.setOffline(true);
  await until("it knows that it is offline", async () => (await chat.phase()) === "offline");
  await look(chat, "offline");
});
