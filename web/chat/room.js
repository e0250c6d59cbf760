/**
 * @module
 * The chat that is open: which one it is, its handle, and what the user does in it.
 *
 * A new chat is created with its first message, so that trying the button leaves nothing behind.
 * Drawing is `chat.js`'s.
 */

import { titleFrom } from "./names.js";

/**
 * @typedef {import("../client/index.js").Chat} Chat
 * @typedef {import("../client/index.js").Client} Client
 */

/** What is said to have an interrupted answer continued. */
const GO_ON = "Go on from where you stopped.";

/**
 * @param {Client} client
 * @param {{changed: () => void, switched: () => void, failed: (error: unknown) => void}} on
 */
export function createRoom(client, on) {
  /** @type {Chat | null} */
  let chat = null;
  /** The view that was told of as seen, so that it is told once. @type {number | null} */
  let viewedSeq = null;

  /**
   * @param {string | null} chatId null for a new one
   * @param {"push" | "replace" | "keep"} address
   */
  function open(chatId, address = "push") {
    if (chat?.chatId === chatId) return;
    chat?.close();
    chat = chatId === null ? null : client.openChat(chatId);
    chat?.subscribe(on.changed);
    viewedSeq = null;
    const url = chatId === null ? "/" : `/?${new URLSearchParams({ chat: chatId })}`;
    if (address === "push") history.pushState(null, "", url);
    else if (address === "replace") history.replaceState(null, "", url);
    on.switched();
  }

  /**
   * Runs something that may be refused.
   *
   * @param {(chat: Chat) => Promise<unknown>} action
   */
  async function run(action) {
    if (!chat) return;
    try {
      await action(chat);
    } catch (error) {
      on.failed(error);
    }
  }

  return {
    open,
    run,
    chat: () => chat,
    /**
     * @param {string} text
     * @param {string | null} [provider]
     * @returns {Promise<boolean>} whether it is on its way
     */
    async send(text, provider = null) {
      const begun = chat;
      if (begun) {
        begun.send(text, { provider });
        return true;
      }
      try {
        const chatId = await client.createChat({ title: titleFrom(text) });
        const handle = client.openChat(chatId);
        handle.send(text, { provider });
        // The reader may have gone elsewhere meanwhile; the message goes where it was meant to.
        if (chat === begun) open(chatId);
        handle.close();
        return true;
      } catch (error) {
        on.failed(error);
        return false;
      }
    },
    /** @param {string} messageId */
    retry: (messageId) => {
      chat?.retry(messageId);
    },
    goOn: () => {
      chat?.send(GO_ON);
    },
    stop: () => run((open) => open.stop()),
    /** Tells the server that the chat was seen, if it is and was not. */
    view() {
      const row = chat?.get().row;
      if (!chat || !row?.unread || document.visibilityState !== "visible") return;
      const seq = row.open_turn?.started_seq ?? row.last_seq;
      if (viewedSeq === seq) return;
      viewedSeq = seq;
      chat.viewed().catch(() => {
        viewedSeq = null;
      });
    },
  };
}
