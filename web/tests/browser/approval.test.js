// An approval is asked on one page, answered on another, and closes on both.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatPage } from "../harness/chat_page.js";
import { Scene } from "../harness/scene.js";
import { until } from "../harness/until.js";

const scene = await Scene.open();

const OPTIONS = [
  { option_id: "yes", name: "Run it", kind: "allow_once" },
  { option_id: "no", name: "Do not run it", kind: "reject_once" },
];

/** @param {ChatPage} chat @param {string} requestId */
const card = (chat, requestId) => chat.page.locator(`[data-request-id="${requestId}"]`);

/** How many ways to answer a page offers. @param {ChatPage} chat @param {string} requestId */
const open = (chat, requestId) => card(chat, requestId).getByRole("button").count();

/** Asks for an approval within an open turn. */
async function ask(/** @type {import("../harness/api.js").Turn} */ turn, requestId = "r1") {
  const tool = { id: "rm", name: "run", title: "rm -rf build", input: { command: "rm -rf build" } };
  const asked = { request_id: requestId, tool: { id: "rm", name: "run" }, options: OPTIONS };
  await turn.append(scene.api, [
    { kind: "assistant_text", payload: { text: "May I?" } },
    { kind: "tool_started", payload: { tool } },
    { kind: "permission_request", payload: asked },
  ]);
}

/** How a request was answered, by the log. */
async function answer(/** @type {string} */ chatId) {
  const page = await scene.api.get(`/v1/chats/${chatId}/events?kind=permission_resolved&limit=10`);
  return page["items"].map((/** @type {any} */ item) => item.payload);
}

test("answered on another device after a reload and a restart", async () => {
  const turn = await scene.turn("approve");
  const first = await ChatPage.open(await scene.device(), "approve");
  const second = await ChatPage.open(await scene.device(), "approve");
  await ask(turn);
  await card(first, "r1").waitFor();
  await card(second, "r1").waitFor();

  await first.page.reload();
  await card(first, "r1").waitFor();
  await scene.server.kill();
  await scene.server.restart();
  await until("both are live", async () => {
    return (await first.phase()) === "live" && (await second.phase()) === "live";
  });
  await card(first, "r1").waitFor();

  await card(second, "r1").getByRole("button", { name: "Run it", exact: true }).click();
  await until("it closes on both", async () => {
    return (await open(first, "r1")) + (await open(second, "r1")) === 0;
  });
  const answers = await answer("approve");
  assert.equal(answers.length, 1);
  assert.equal(answers[0].outcome, "selected");
  assert.equal(answers[0].option_id, "yes");
  await turn.complete(scene.api);
  await first.endsAsTheLog(scene.api, turn);
});

test("both answer at once, and one answer holds", async () => {
  const turn = await scene.turn("race");
  const pages = [
    await ChatPage.open(await scene.device(), "race"),
    await ChatPage.open(await scene.device(), "race"),
  ];
  await ask(turn, "r2");
  const buttons = pages.map((chat, n) => {
    const name = n === 0 ? "Run it" : "Do not run it";
    return card(chat, "r2").getByRole("button", { name, exact: true });
  });
  // The first answer closes the card on both pages, so none arrives before both were clicked.
  let nAnswered = 0;
  const bothAnswered = () => until("both answer", async () => nAnswered === pages.length);
  for (const chat of pages) {
    await chat.page.route("**/requests/r2/respond", async (route) => {
      nAnswered += 1;
      await bothAnswered();
      await route.continue();
    });
  }
  await Promise.all(buttons.map((button) => button.click()));
  await bothAnswered();
  for (const chat of pages) {
    await until("it closes", async () => (await open(chat, "r2")) === 0);
  }
  assert.equal((await answer("race")).length, 1);
  await turn.complete(scene.api);
  for (const chat of pages) await chat.endsAsTheLog(scene.api, turn);
});
