// Whatever a model, a tool or a user says, it is text: no markup, no script, no address that runs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ChatPage } from "../harness/chat_page.js";
import { Scene } from "../harness/scene.js";

const scene = await Scene.open();

const SCRIPT = "<script>globalThis.hacked = 1</script>";
const IMAGE = '<img src=x onerror="globalThis.hacked = 1">';
const LINKS =
  "[a](javascript:globalThis.hacked=1) [b](data:text/html,<b>x</b>) [c](https://example.org/)";
const FENCE = "```html\n<iframe srcdoc='x'></iframe>\n```";

/** @type {{ kind: string, payload: Record<string, any> }[]} */
const EVENTS = [
  { kind: "assistant_thinking", payload: { thinking: `I think ${SCRIPT}` } },
  { kind: "plan", payload: { entries: [{ content: IMAGE, status: "pending", priority: "low" }] } },
  {
    kind: "tool_started",
    payload: { tool: { id: "t", name: IMAGE, title: SCRIPT, input: { html: IMAGE } } },
  },
  { kind: "tool_completed", payload: { tool: { id: "t", name: IMAGE, result: SCRIPT } } },
  { kind: "assistant_text", payload: { text: `Look: ${SCRIPT} and ${IMAGE}\n\n${LINKS}\n\n` } },
  { kind: "assistant_text", payload: { text: `| a |\n|---|\n| ${IMAGE} |\n\n${FENCE}\n` } },
  { kind: "prompt_suggestions", payload: { suggestions: [IMAGE] } },
];

/** Elements and attributes that no text may become. */
const STRANGE =
  "iframe, img[src=x], [onerror], main script, a[href^='javascript'], a[href^='data']";

test("a message with HTML and script shows as text", async () => {
  await scene.api.createChat("hostile", `Title ${IMAGE}`);
  const turn = await scene.api.turn("hostile", `I say ${SCRIPT}`);
  const chat = await ChatPage.open(await scene.device(), "hostile");
  await turn.append(scene.api, EVENTS);
  await turn.fail(scene.api, "provider_transport", `lost ${IMAGE}`, true);
  await chat.message(turn.messageId).locator("[data-error-code]").waitFor();
  for (const _ of ["live", "reloaded"]) {
    const text = await chat.message(turn.messageId).innerText();
    for (const piece of [SCRIPT, IMAGE, "<iframe srcdoc='x'></iframe>"]) {
      assert.ok(text.includes(piece), `${piece} is shown as it is written, in ${text}`);
    }
    assert.ok((await chat.message(turn.userMessageId).innerText()).includes(SCRIPT));
    assert.equal(await chat.page.evaluate("globalThis.hacked"), undefined);
    assert.equal(await chat.page.locator(STRANGE).count(), 0);
    const links = chat.message(turn.messageId).locator("a[href^='https://example.org']");
    assert.equal(await links.count(), 1);
    assert.match((await links.getAttribute("rel")) ?? "", /noopener|noreferrer/);
    await chat.page.reload();
    await chat.message(turn.messageId).locator("[data-error-code]").waitFor();
  }
  const inspector = await chat.device.tab("/inspector?chat=hostile");
  await inspector.getByRole("option").first().waitFor();
  assert.equal(await inspector.locator(STRANGE).count(), 0);
  assert.equal(await inspector.evaluate("globalThis.hacked"), undefined);
});

test("the pages allow no inline script and nothing from elsewhere", async () => {
  for (const path of ["/", "/inspector"]) {
    const response = await fetch(scene.server.url + path);
    const policy = response.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.match(policy, /script-src 'self'(;|$)/);
    assert.match(policy, /style-src 'self'(;|$)/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
    const html = await response.text();
    assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=/);
    assert.doesNotMatch(html, /(src|href)="(https?:)?\/\//);
  }
});
