// The inspector: finds an event, shows what is stored, goes back in time, and rebuilds a view.

import assert from "node:assert/strict";
import { test } from "node:test";
import { seriousFaults } from "../harness/axe.js";
import { screenshot } from "../harness/browser.js";
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
 */
async function look(page, name) {
  for (const { look, ...media } of LOOKS) {
    await page.emulateMedia({ colorScheme: media.theme });
    await page.setViewportSize(media.viewport);
    const wide = await page.evaluate("document.documentElement.scrollWidth");
    assert.ok(Number(wide) <= media.viewport.width, `${name} is ${wide} px wide in ${look}`);
    await screenshot(page, `inspector-${name}-${look}`);
    assert.deepEqual(await seriousFaults(page), [], `${name} in ${look}`);
  }
  await page.setViewportSize({ width: 1200, height: 800 });
}

/** The row of an event. */
const row = (/** @type {Page} */ page, /** @type {number} */ seq) =>
  page.locator(`#seq-${seq}`);

test("an empty log", async () => {
  const page = await (await scene.device({ reducedMotion: true })).tab("/inspector");
  await page.getByText(/no events|nothing|empty/i).first().waitFor();
  await look(page, "empty");
});

test("the log as it grows", async () => {
  await scene.api.createChat("told", "Why the import got slower");
  const turn = await scene.api.turn("told", "Why did the import get slower?");
  await turn.append(scene.api, story.report());
  const page = await (await scene.device({ reducedMotion: true })).tab("/inspector");
  await row(page, 1).waitFor();
  const last = await turn.complete(scene.api);
  await row(page, last).waitFor();
  await look(page, "log");
});

test("one event, as it was sent and as it is stored", async () => {
  const page = await (await scene.device({ reducedMotion: true })).tab("/inspector?seq=2");
  await page.getByRole("tab", { name: /envelope/i }).click();
  await page.getByText("Why did the import get slower?").first().waitFor();
  await look(page, "envelope");
  await page.getByRole("tab", { name: /stored/i }).click();
  await page.getByText(/checksum/i).first().waitFor();
  await look(page, "stored");
});

test("a message at every seq", async () => {
  const { id, first_seq, last_seq } = await scene.api.lastMessage("told");
  const page = await (await scene.device({ reducedMotion: true })).tab(`/inspector?seq=${last_seq}&chat=told&message=${id}`);
  await page.getByRole("tab", { name: /message/i }).click();
  const slider = page.getByRole("slider").first();
  await slider.waitFor();
  const panel = page.getByRole("tabpanel").filter({ has: page.getByRole("slider") });
  await slider.focus();
  await slider.press("Home");
  const at = first_seq + 2;
  const { message, ...bare } = await scene.api.get(
    `/v1/chats/told/messages/${id}?at_seq=${at}`,
  );
  assert.ok((message ?? bare).content_text.length > 0);
  await slider.press("End");
  await until("the end is shown", async () => (await panel.innerText()).includes("90 MB"));
  await look(page, "message");
  await slider.press("Home");
  await until("the beginning is shown", async () => !(await panel.innerText()).includes("90 MB"));
  await look(page, "message-then");
});

test("filters", async () => {
  const page = await (await scene.device({ reducedMotion: true })).tab("/inspector?chat=told");
  await row(page, 2).waitFor();
  await page.getByLabel(/text/i).first().fill("CONCURRENTLY");
  await until("one event is left", async () => {
    return (await page.getByRole("option").count()) === 1;
  });
  await look(page, "filter");
  await page.getByLabel(/text/i).first().fill("xyzzy");
  await page.getByText(/no events|nothing|none/i).first().waitFor();
  await look(page, "filter-nothing");
});

test("a view is rebuilt", async () => {
  const page = await (await scene.device({ reducedMotion: true })).tab("/inspector");
  const messages = page.locator('[data-projection="messages"]').first();
  await messages.waitFor();
  await look(page, "projections");
});
