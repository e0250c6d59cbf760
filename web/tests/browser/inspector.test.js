// The inspector: finds an event, shows what is stored, goes back in time, and rebuilds a view.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seriousFaults } from "../harness/axe.js";
import { screenshot } from "../harness/browser.js";
import { letters } from "../harness/chat_page.js";
import { Scene } from "../harness/scene.js";
import { until } from "../harness/until.js";
import { LOOKS } from "../harness/looks.js";
import * as story from "../harness/story.js";

/** @typedef {import("playwright-core").Page} Page */

const scene = await Scene.open();

/**
 * Looks at a state in each look.
 *
 * @param {Page} page
 * @param {string} name
 * @param {"tabpanel"} [pane] What must be seen where there is no room for all.
 */
async function look(page, name, pane = undefined) {
  for (const { look, ...media } of LOOKS) {
    await page.emulateMedia({ colorScheme: media.theme });
    await page.setViewportSize(media.viewport);
    if (pane) await page.getByRole(pane).waitFor();
    const wide = await page.evaluate("document.documentElement.scrollWidth");
    assert.ok(Number(wide) <= media.viewport.width, `${name} is ${wide} px wide in ${look}`);
    await screenshot(page, `inspector-${name}-${look}`);
    assert.deepEqual(await seriousFaults(page), [], `${name} in ${look}`);
  }
  await page.setViewportSize({ width: 1200, height: 800 });
}

/** Opens the page without motion, so that no picture is of something half way. */
const inspect = async (/** @type {string} */ path) =>
  (await scene.device({ reducedMotion: true })).tab(path);

/** The row of an event. */
const row = (/** @type {Page} */ page, /** @type {number} */ seq) =>
  page.locator(`#seq-${seq}`);

/** What the tests look into: the ids and seqs of an answer in the chat `told`. */
async function tell() {
  if (!isTold) {
    await scene.api.createChat("told", "Why the import got slower");
    const turn = await scene.api.turn("told", "Why did the import get slower?");
    await turn.append(scene.api, story.report());
    await turn.complete(scene.api);
    isTold = true;
  }
  return scene.api.lastMessage("told");
}
let isTold = false;

test("an empty log", async () => {
  const page = await inspect("/inspector");
  await page.getByText(/no events|nothing|empty/i).first().waitFor();
  await look(page, "empty");
});

test("the log as it grows", async () => {
  await scene.api.createChat("growing", "Why the import got slower");
  const turn = await scene.api.turn("growing", "Why did the import get slower?");
  await turn.append(scene.api, story.report());
  const page = await inspect("/inspector");
  await row(page, 1).waitFor();
  const last = await turn.complete(scene.api);
  await row(page, last).waitFor();
  await look(page, "log");
});

test("one event, as it was sent and as it is stored", async () => {
  const { first_seq } = await tell();
  const page = await inspect(`/inspector?seq=${first_seq - 1}`);
  await page.getByRole("tab", { name: "Event", exact: true }).click();
  await page.getByText("Why did the import get slower?").first().waitFor();
  await look(page, "event");
  await page.getByRole("tab", { name: "Stored", exact: true }).click();
  await page.getByText(/checksum/i).first().waitFor();
  await look(page, "stored", "tabpanel");
});

test("a message at every seq", async () => {
  const { id, first_seq, last_seq } = await tell();
  const page = await inspect(`/inspector?seq=${last_seq}&chat=told&message=${id}`);
  await page.getByRole("tab", { name: "Message", exact: true }).click();
  const slider = page.getByRole("slider").first();
  await slider.waitFor();
  const panel = page.getByRole("tabpanel");
  const says = async (/** @type {string} */ piece) => (await panel.innerText()).includes(piece);
  /** @type {string[]} */
  const texts = [];
  for (let seq = first_seq; seq <= last_seq; seq += 1) {
    const answer = await scene.api.get(`/v1/chats/told/messages/${id}?at_seq=${seq}`);
    texts.push(letters((answer["message"] ?? answer)["content_text"]));
  }
  // Step by step through all of its seqs: what was said by then is shown, and nothing later.
  await slider.focus();
  for (const [n, text] of texts.entries()) {
    await slider.press(n === 0 ? "Home" : "ArrowRight");
    const later = texts.find((other) => other.length > text.length);
    await until(`seq ${first_seq + n} is shown`, async () => {
      const shown = letters(await panel.innerText());
      const isThen = shown.includes(text) && !(later && shown.includes(later));
      return isThen && shown.includes(`seq${first_seq + n}·`);
    });
  }
  await look(page, "message", "tabpanel");
  await page.getByRole("button", { name: "Mark B" }).click();
  await slider.press("Home");
  await until("the beginning is shown", async () => !(await says("90 MB")));
  await look(page, "message-then");
  await page.getByRole("button", { name: "Mark A" }).click();
  await until("the difference is shown", () => says("90 MB"));
  await look(page, "message-difference");
});

test("where the time of a turn went", async () => {
  const { turn_id } = await tell();
  const page = await inspect(`/inspector?chat=told&turn=${turn_id}&tab=turn`);
  await until("its end is told", async () => {
    return (await page.getByRole("tabpanel").innerText()).includes("complete");
  });
  await look(page, "turn", "tabpanel");
});

test("filters", async () => {
  const { first_seq } = await tell();
  const page = await inspect("/inspector?chat=told");
  await row(page, first_seq).waitFor();
  await page.locator('[data-field="text"]').fill("CONCURRENTLY");
  await until("one event is left", async () => {
    return (await page.getByRole("option").count()) === 1;
  });
  await look(page, "filter");
  await page.locator('[data-field="text"]').fill("xyzzy");
  await page.getByText("No event passes").waitFor();
  await look(page, "filter-nothing");
});

test("a view is checked and rebuilt, and says so", async () => {
  await tell();
  const page = await inspect("/inspector?tab=views");
  const card = page
    .getByRole("tabpanel")
    .locator("section", { has: page.getByRole("heading", { name: "messages", exact: true }) });
  await card.getByRole("button", { name: "Check", exact: true }).click();
  await card.getByText(/equal/i).waitFor();
  await card.getByRole("button", { name: "Rebuild", exact: true }).click();
  await card.getByText(/rebuilt/i).waitFor();
  await look(page, "views", "tabpanel");
});
