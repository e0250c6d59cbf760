// The chat page as its user finds it: by roles, names, and what its elements say of themselves.
//
// The only file that knows how that page is marked up; what must be seen is the tests' to say.

import { sameText, until } from "./until.js";

/** @typedef {import("playwright-core").Page} Page */

/** Milliseconds of one look at something that ought to be there; `until` looks again. */
const LOOK_MS = 1_000;

/** A text without its white space: what a paragraph and a line break are, is up to the page. */
export const letters = (/** @type {string} */ text) => text.replace(/\s+/g, "");

/** A tab with the chat page. */
export class ChatPage {
  /**
   * @param {Page} page
   * @param {import("./browser.js").Device} device
   */
  constructor(page, device) {
    this.page = page;
    this.device = device;
  }

  /**
   * Opens a tab, with a chat in it.
   *
   * @param {import("./browser.js").Device} device
   * @param {string} [chatId]
   */
  static async open(device, chatId) {
    const page = await device.tab(chatId ? `/?chat=${encodeURIComponent(chatId)}` : "/");
    return new ChatPage(page, device);
  }

  /** A message. */
  message(/** @type {string} */ messageId) {
    return this.page.locator(`[data-message-id="${messageId}"]`);
  }

  /** What a message says: its text entries, without what the page puts around them. */
  async text(/** @type {string} */ messageId) {
    const entries = this.message(messageId).locator('[data-entry="assistant_text"]');
    const texts = await entries.evaluateAll((nodes) =>
      nodes.map((node) => {
        const copy = /** @type {Element} */ (node.cloneNode(true));
        for (const around of copy.querySelectorAll("figcaption, button")) around.remove();
        return copy.textContent ?? "";
      }),
    );
    return letters(texts.join(""));
  }

  /** What a message's blocks of code say, to the last space. */
  async code(/** @type {string} */ messageId) {
    return (await this.message(messageId).locator("pre code").allTextContents()).join("");
  }

  /** `in_progress`, `completed`, `failed` or `interrupted`, as the message says of itself. */
  status(/** @type {string} */ messageId) {
    return this.message(messageId).getAttribute("data-status", { timeout: LOOK_MS });
  }

  /** The phase of the connection, as the head shows it. */
  phase() {
    const indicator = this.page.locator("[data-phase]").first();
    return indicator.getAttribute("data-phase", { timeout: LOOK_MS });
  }

  /** Waits until a message shows a piece of its text. */
  async shows(/** @type {string} */ messageId, /** @type {string} */ piece, deadlineMs = 15_000) {
    const entries = this.message(messageId).locator('[data-entry="assistant_text"]');
    const look = () =>
      entries.evaluateAll(
        (nodes, wanted) =>
          nodes.some((node) => node.textContent?.replace(/\s+/g, "").includes(wanted)),
        letters(piece),
      );
    await until(`the message shows ${JSON.stringify(piece)}`, look, deadlineMs);
  }

  /** Waits until a long message ends with a piece, and reads no more than its end. */
  async endsWith(/** @type {string} */ messageId, /** @type {string} */ piece) {
    const entry = this.message(messageId).locator('[data-entry="assistant_text"]').last();
    const look = () =>
      entry.evaluate((node, wanted) => {
        const block = node.lastElementChild?.lastElementChild;
        return block?.textContent?.trimEnd().endsWith(wanted) ?? false;
      }, piece);
    await until(`the message ends with ${JSON.stringify(piece)}`, look);
  }

  /**
   * Waits until a message has a status, then compares its text with the log's.
   *
   * @param {import("./api.js").Api} api
   * @param {import("./api.js").Turn} turn
   * @param {string} [status]
   * @param {number} [deadlineMs]
   */
  async endsAsTheLog(api, turn, status = "completed", deadlineMs = 20_000) {
    const { chatId, messageId } = turn;
    const row = await api.get(`/v1/chats/${chatId}/messages/${messageId}`);
    const logged = row["message"] ?? row;
    const said = logged["content_render"].events.filter(
      (/** @type {any} */ entry) => entry.type === "assistant_text" && !entry.error,
    );
    const expected = said.map((/** @type {any} */ entry) => entry.text).join("");
    const isThere = async () => (await this.status(messageId)) === status;
    await until(`the message of ${chatId} is ${status}`, isThere, deadlineMs);
    const plain = expected.replace(/^```\w*\n|```$/gm, "");
    const isWhole = async () => {
      sameText(await this.text(messageId), letters(plain), `message of ${chatId}`);
      return true;
    };
    // The last frame may still be on its way to the screen.
    await until("the page shows the text of the log", isWhole, 3_000);
  }

  /** Scrolls to the oldest message that is there. */
  async toTop() {
    await this.page.getByRole("log").evaluate((column) => column.scrollTo({ top: 0 }));
  }

  /** Scrolls to the newest message. */
  async toBottom() {
    await this.page
      .getByRole("log")
      .evaluate((column) => column.scrollTo({ top: column.scrollHeight }));
  }

  /** Shows the list of chats, where it is behind a button. */
  async showList() {
    const list = this.page.getByRole("navigation", { name: "chats" });
    if (await list.isVisible()) return;
    await this.page.getByRole("button", { name: "chats", exact: true }).click();
    await list.waitFor();
  }

  /** Opens a chat from the list. */
  async choose(/** @type {string} */ chatId) {
    await this.page.locator(`[data-chat-id="${chatId}"]`).first().click();
  }

  /** A button by the beginning of its name. */
  button(/** @type {string} */ name) {
    return this.page.getByRole("button", { name: new RegExp(`^${name}`, "i") });
  }

  /** Where the user writes. */
  get composer() {
    return this.page.getByRole("textbox", { name: /message/i });
  }

  /** Writes and sends a message. */
  async send(/** @type {string} */ text) {
    await this.composer.fill(text);
    await this.composer.press("Enter");
  }

  /** Says that this browser has the one stream that it may have. */
  async hasOneStream() {
    await until("there is one stream a browser", () => this.device.streams === 1);
  }
}
