// A server with credentials: a page asks for a token, keeps it for its tab, and shows one's own.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";
import { seriousFaults } from "../harness/axe.js";
import { Scene } from "../harness/scene.js";

const [ann, bob] = [key(), key()];
const scene = await Scene.open({ config: `${entry("ann", ann)}${entry("bob", bob)}` });

function key() {
  return `sbk_${randomBytes(32).toString("base64url")}`;
}

/** @param {string} owner @param {string} key */
function entry(owner, key) {
  const hash = createHash("sha256").update(key).digest("hex");
  const lines = [`name = "${owner}"`, `hash = "${hash}"`, 'role = "user"', `owner = "${owner}"`];
  return `[[auth.keys]]\n${lines.join("\n")}\n`;
}

/** @param {string} token @param {string} id @param {string} title */
async function createChat(token, id, title) {
  const response = await fetch(`${scene.server.url}/v1/chats`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify({ chat_id: id, title }),
  });
  assert.equal(response.status, 201);
}

/** @param {import("playwright-core").Page} page @param {string} token */
async function signIn(page, token) {
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Access token").fill(token);
  await dialog.getByRole("button", { name: "Sign in" }).click();
}

test("a page asks for a token, and shows the chats of who has it", async () => {
  await createChat(ann, "anns", "A chat of Ann");
  await createChat(bob, "bobs", "A chat of Bob");
  const device = await scene.device();
  const page = await device.tab("/");
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.waitFor();
  assert.deepEqual(await seriousFaults(page), []);
  await page.keyboard.press("Escape");
  assert.equal(await dialog.isVisible(), true);
  await signIn(page, "sbk_wrong");
  await page.getByText("does not know this token").waitFor();
  await signIn(page, ann);
  await page.getByRole("navigation").getByText("A chat of Ann").waitFor();
  assert.equal(await page.getByText("A chat of Bob").count(), 0);
  // Until the tab is closed, and in no address.
  await page.reload();
  await page.getByRole("navigation").getByText("A chat of Ann").waitFor();
  assert.equal(page.url().includes("sbk_"), false);
  const other = await device.tab("/");
  await other.getByRole("dialog", { name: "Sign in" }).waitFor();
  await signIn(other, bob);
  await other.getByRole("navigation").getByText("A chat of Bob").waitFor();
  assert.equal(await other.getByText("A chat of Ann").count(), 0);
});

test("the inspector asks as well", async () => {
  const page = await (await scene.device()).tab("/inspector");
  await page.getByRole("dialog", { name: "Sign in" }).waitFor();
});
