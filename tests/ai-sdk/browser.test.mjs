// Each major of the SDK in a browser, in the example application: reload, late join, failure, stop,
// a network that is cut, a server that is restarted.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, Page, Site } from "./browser.mjs";
import { Scrollback } from "./scrollback.mjs";

const FIRST = "The first half of it. ";
const WHOLE = `${FIRST}And <b>the</b> second half.`;
const LOST = "the connection to the model was lost";
const SLOW = `${"one two three four five. ".repeat(60)}The end.`;

let server;
let browser;
before(async () => {
  server = await Scrollback.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

let made = 0;

for (const major of [5, 6, 7]) {
  describe(`ai ${major} in a browser`, () => {
    let site;
    before(async () => (site = await Site.start(major, server)));
    after(() => site.stop());

    /** A page on a chat of its own; nothing may go wrong in it. */
    const visit = async (run) => {
      const chat = `browser-${major}-${++made}`;
      const page = await Page.open(browser, site, chat);
      await run(page, chat);
      assert.deepEqual(page.faults, []);
      await page.close();
    };

    test("a page is reloaded twice in mid-answer and ends with the text of the log", () =>
      visit(async (page, chat) => {
        await page.send("slow");
        for (let n = 0; n < 2; n++) {
          const told = await page.begun();
          assert.ok(SLOW.startsWith(told) && told !== SLOW, told);
          await page.reload();
        }
        assert.ok(await server.openTurn(chat), "the turn went on");
        await server.open(chat);
        await page.shows("ready", ["user: slow", `assistant: ${SLOW}`]);
        assert.deepEqual(await server.log(chat), ["user: slow", `assistant: ${SLOW}`]);
      }));

    test("a page that is reloaded shows the first half at once and then the second", () =>
      visit(async (page, chat) => {
        await page.send("gated");
        await page.shows("streaming", ["user: gated", `assistant: ${FIRST}`]);
        await page.reload();
        await page.shows("streaming", ["user: gated", `assistant: ${FIRST}`]);
        await server.open(chat);
        await page.shows("ready", ["user: gated", `assistant: ${WHOLE}`]);
        await page.reload();
        await page.shows("ready", ["user: gated", `assistant: ${WHOLE}`]);
      }));

    test("who joins late sees the same, and answers what is asked for both", () =>
      visit(async (page, chat) => {
        await page.send("gated");
        await page.shows("streaming", ["user: gated", `assistant: ${FIRST}`]);
        const late = await Page.open(browser, site, chat);
        await late.shows("streaming", ["user: gated", `assistant: ${FIRST}`]);
        await late.click("Go on");
        for (const each of [page, late]) {
          await each.shows("ready", ["user: gated", `assistant: ${WHOLE}`]);
        }
        await late.close();
      }));

    test("a failure shows with the partial text, live, after a reload and elsewhere", () =>
      visit(async (page, chat) => {
        const live = ["user: failing", "assistant: Half of an answer", `alert: ${LOST}`];
        await page.send("failing");
        const told = [live[0], `${live[1]}|${LOST}`, live[2]];
        await page.shows("error", told);
        await page.reload();
        await page.shows("error", told);
        const other = await Page.open(browser, site, chat);
        await other.shows("error", told);
        await other.close();
        await page.send("parts");
        const parts = ["user: parts", "assistant: Reading. |One was there. Done."];
        await page.shows("ready", [...told.slice(0, 2), ...parts]);
      }));

    test("stop ends the turn and keeps what was said", () =>
      visit(async (page, chat) => {
        await page.send("gated");
        await page.shows("streaming", ["user: gated", `assistant: ${FIRST}`]);
        await page.click("stop");
        await page.shows("ready", ["user: gated", `assistant: ${FIRST}`]);
        assert.equal(await server.openTurn(chat), null);
        await page.reload();
        await page.shows("ready", ["user: gated", `assistant: ${FIRST}`]);
      }));

    test("a network that is cut in mid-answer takes and doubles nothing", () =>
      visit(async (page, chat) => {
        await page.send("gated");
        await page.shows("streaming", ["user: gated", `assistant: ${FIRST}`]);
        site.cut();
        await page.shows("cut", ["user: gated", `assistant: ${FIRST}`]);
        site.mend();
        await page.shows("streaming", ["user: gated", `assistant: ${FIRST}`]);
        site.cut();
        await page.shows("cut", ["user: gated", `assistant: ${FIRST}`]);
        await server.open(chat);
        await server.idle(chat);
        site.mend();
        await page.shows("ready", ["user: gated", `assistant: ${WHOLE}`]);
      }));

    test("a server that is restarted in mid-answer leaves what was said", () =>
      visit(async (page) => {
        await page.send("gated");
        await page.shows("streaming", ["user: gated", `assistant: ${FIRST}`]);
        await server.end("SIGKILL");
        await page.shows("cut", ["user: gated", `assistant: ${FIRST}`]);
        await server.launch();
        await page.shows("ready", ["user: gated", `assistant: ${FIRST}`]);
        await page.send("parts");
        const parts = ["user: parts", "assistant: Reading. |One was there. Done."];
        await page.shows("ready", ["user: gated", `assistant: ${FIRST}`, ...parts]);
      }));
  });
}
