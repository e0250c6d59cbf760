// The chat page without a mouse, and without motion.

import assert from "node:assert/strict";
import { test } from "node:test";
import { numbered } from "../harness/api.js";
import { ChatPage } from "../harness/chat_page.js";
import { sample } from "../harness/scrollback.js";
import { Scene } from "../harness/scene.js";
import { until } from "../harness/until.js";

const scene = await Scene.open({ script: sample("approval") });

/** What has the focus: its role or tag, and its name. */
const focused = (/** @type {ChatPage} */ chat) =>
  /** @type {Promise<string>} */ (
    chat.page.evaluate(() => {
      const at = document.activeElement;
      return `${at?.tagName} ${at?.getAttribute("aria-label") ?? at?.id ?? ""}`;
    })
  );

/** Takes the focus away from whatever has it, as a click beside everything does. */
const leave = (/** @type {ChatPage} */ chat) =>
  chat.page.evaluate(() => {
    const at = document.activeElement;
    if (at instanceof HTMLElement) at.blur();
  });

test("a chat is made, written to, stopped and left by keys alone", async () => {
  await scene.api.createChat("older", "An older chat");
  const chat = await ChatPage.open(await scene.device());
  const { keyboard } = chat.page;
  await until("the page is live", async () => (await chat.phase()) === "live");
  await keyboard.press("n");
  await until("the composer has the focus", () =>
    chat.composer.evaluate((field) => field === document.activeElement));
  await keyboard.type("Send the mail");
  await keyboard.press("Shift+Enter");
  await keyboard.type("to all of them");
  await keyboard.press("Enter");

  const request = chat.page.locator("[data-request-id]");
  const option = request.getByRole("button", { name: "Do not send", exact: true });
  await option.waitFor({ timeout: 20_000 });
  // Tab and Shift+Tab reach the question, and Enter answers it.
  await until("the keyboard reaches the answer", async () => {
    if (await option.evaluate((button) => button === document.activeElement)) return true;
    await keyboard.press("Shift+Tab");
    return false;
  });
  await keyboard.press("Enter");
  await until("it is answered", async () => (await request.getByRole("button").count()) === 0);
  assert.notEqual(await focused(chat), "BODY ", "the focus is somewhere");

  const chats = (await scene.api.get("/v1/chats"))["items"];
  const made = chats.find((/** @type {any} */ row) => row.id !== "older");
  const said = (await scene.api.messages(made.id))[0]?.["content_text"];
  assert.equal(said, "Send the mail\nto all of them");

  await until("the turn is over", async () => {
    return (await scene.api.get(`/v1/chats/${made.id}/status`))["open_turn"] === null;
  });
  await keyboard.press("Escape");
  await leave(chat);
  await keyboard.press("/");
  const search = chat.page.getByRole("searchbox");
  assert.ok(await search.evaluate((field) => field === document.activeElement));
  await keyboard.press("Escape");
  await leave(chat);
  await keyboard.press("ArrowDown");
  await keyboard.press("Enter");
  await until("the older chat is open", () => chat.page.url().includes("chat=older"));
  await leave(chat);
  await keyboard.press("g");
  await keyboard.press("i");
  await chat.page.waitForURL(/\/inspector/);
});

test("the focus stays in the composer while an answer streams", async () => {
  const turn = await scene.turn("focus");
  const chat = await ChatPage.open(await scene.device(), "focus");
  await turn.say(scene.api, "First. ");
  await chat.shows(turn.messageId, "First.");
  await chat.composer.focus();
  await chat.page.keyboard.type("half a ");
  await scene.speak(turn, numbered("a", 0, 60), 5);
  await chat.shows(turn.messageId, "a59");
  await chat.page.keyboard.type("sentence");
  await turn.complete(scene.api);
  await chat.endsAsTheLog(scene.api, turn);
  assert.equal(await chat.composer.inputValue(), "half a sentence");
  assert.ok(await chat.composer.evaluate((field) => field === document.activeElement));
});

test("nothing moves for who wants no motion", async () => {
  const turn = await scene.turn("motion");
  await turn.say(scene.api, "First. ");
  const moving = async (/** @type {boolean} */ reducedMotion) => {
    const chat = await ChatPage.open(await scene.device({ reducedMotion }), "motion");
    await chat.shows(turn.messageId, "First.");
    return chat.page.evaluate(() => {
      const running = document.getAnimations().filter((one) => one.playState === "running");
      return running.filter((one) => Number(one.effect?.getComputedTiming().duration) > 1).length;
    });
  };
  assert.ok((await moving(false)) > 0, "the pulse of a streaming message moves");
  assert.equal(await moving(true), 0);
});
