/**
 * @module
 * The chats that somebody looks at, or looked at lately: how they are read, kept and let go.
 *
 * A chat is read while its events go on: those that come meanwhile are kept and folded into what
 * the server answers, so that nothing is lost between the two. What a fold is, is `state.js`;
 * where events come from, `connection.js`.
 */

import { ProblemError } from "./calls.js";
import { closeChat, openChat, prependOlder, trimOlder } from "./state.js";
import { Store } from "./store.js";

/** @typedef {import("./wire.js").Envelope} Envelope */
/** @typedef {import("./state.js").ChatState} ChatState */
/** @typedef {import("./state.js").State} State */

/** Events that are kept for a chat while it is read; beyond, the reading begins again. */
const KEPT_MAX = 20_000;

/** Messages of a page. */
const PAGE_LIMIT = 50;

/**
 * - `loading`: not read yet; what is shown is empty, or from before.
 * - `ready`: as the events say.
 * - `gone`: deleted, or never there.
 * - `failed`: the server refused; `error` says why.
 *
 * @typedef {"loading" | "ready" | "gone" | "failed"} Loading
 */

/**
 * @typedef {ChatState & { loading: Loading, error: Error | null, loadingOlder: boolean,
 *   sending: readonly import("./outbox.js").Sending[] }} ChatView
 */

/**
 * @typedef {object} OpenChat
 * @property {string} chatId
 * @property {number} nUsers Handles that are open.
 * @property {Loading} loading
 * @property {Error | null} error
 * @property {boolean} loadingOlder
 * @property {ChatState} shown The last state that was whole.
 * @property {number} messagesMax Messages that are kept while somebody looks.
 * @property {AbortController} reading What is being read counts until this is aborted.
 * @property {Set<Envelope[]>} kept A list for each reading that is under way.
 * @property {Store<ChatView>} view
 */

/** Whether there is no such chat (any more). @param {unknown} error */
export function isGone(error) {
  return error instanceof ProblemError && (error.status === 404 || error.status === 410);
}

/** The chats that are open. */
export class OpenChats {
  #options;
  /** By the time of their last use, the latest last. @type {Map<string, OpenChat>} */
  #chats = new Map();
  #isSeeded = false;

  /**
   * @param {object} options
   * @param {import("./calls.js").Calls} options.calls
   * @param {import("./attempts.js").Attempts} options.attempts
   * @param {import("./outbox.js").Outbox} options.outbox
   * @param {Store<State>} options.state
   * @param {number} options.openChatsMax Chats that are kept although nobody looks.
   * @param {number} options.messagesKept Messages that are kept of each.
   */
  constructor(options) {
    this.#options = options;
  }

  /** @param {string} chatId @returns {OpenChat} */
  open(chatId) {
    let chat = this.#chats.get(chatId);
    if (chat === undefined) {
      chat = newChat(chatId, this.#options.messagesKept);
      chat.view = new Store(this.#viewOf(chat));
      if (this.#isSeeded) void this.#load(chat);
    } else if (chat.loading === "failed") {
      void this.#load(chat);
    }
    chat.nUsers += 1;
    this.#touch(chat);
    return chat;
  }

  /** @param {OpenChat} chat One that `open` returned; once for each time. */
  release(chat) {
    chat.nUsers -= 1;
    if (chat.nUsers > 0) return;
    chat.messagesMax = this.#options.messagesKept;
    if (this.#chats.get(chat.chatId) !== chat) return;
    this.#touch(chat);
    this.#trim(chat);
    this.#update(chat);
    const idle = [...this.#chats.values()].filter(({ nUsers }) => nUsers === 0);
    for (const one of idle.slice(0, Math.max(0, idle.length - this.#options.openChatsMax))) {
      this.#letGo(one);
    }
  }

  /** Reads a chat again that could not be read. @param {OpenChat} chat */
  reload(chat) {
    if (this.#isSeeded && chat.loading === "failed") void this.#load(chat);
  }

  /** Reads every chat anew: what follows does not follow on what is there. */
  reloadAll() {
    this.#isSeeded = true;
    for (const chat of this.#chats.values()) void this.#load(chat);
  }

  /** Keeps the events of chats that are being read. @param {readonly Envelope[]} envelopes */
  keep(envelopes) {
    for (const envelope of envelopes) {
      const chat = this.#chats.get(envelope.chatId);
      if (chat === undefined) continue;
      // One more than may be says that there were too many.
      for (const kept of chat.kept) if (kept.length <= KEPT_MAX) kept.push(envelope);
    }
  }

  /** Makes views of what changed, and lets go of what is too much. */
  refresh() {
    for (const chat of this.#chats.values()) {
      if (chat.nUsers > 0) this.#trim(chat);
      this.#update(chat);
    }
  }

  /** @param {string} chatId */
  refreshOne(chatId) {
    const chat = this.#chats.get(chatId);
    if (chat !== undefined) this.#update(chat);
  }

  /**
   * Reads the page before the first message.
   *
   * @param {OpenChat} chat
   * @returns {Promise<void>} Once the page is there; at once if there is none, or it is under way.
   */
  async loadOlder(chat) {
    const { state, calls, attempts } = this.#options;
    const cursor = state.get().open.get(chat.chatId)?.olderCursor ?? null;
    if (cursor === null || chat.loadingOlder || chat.loading !== "ready") return;
    const { signal } = chat.reading;
    /** @type {Envelope[]} */
    const since = [];
    chat.kept.add(since);
    this.#set(chat, { loadingOlder: true });
    try {
      const limits = { cursor, limit: PAGE_LIMIT };
      const page = await attempts.run(
        (signal) => calls.listMessages(chat.chatId, { ...limits, signal }),
        { signal, nMax: 5 },
      );
      signal.throwIfAborted();
      // A page that was trimmed away meanwhile, or whose events were too many, is asked for again.
      if (state.get().open.get(chat.chatId)?.olderCursor !== cursor) return;
      if (since.length > KEPT_MAX) return;
      chat.messagesMax += page.items.length;
      state.set(prependOlder(state.get(), chat.chatId, page, since));
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      chat.kept.delete(since);
      this.#set(chat, { loadingOlder: false });
    }
  }

  /** Forgets every chat, and tells nobody any more. */
  close() {
    for (const chat of [...this.#chats.values()]) this.#letGo(chat);
  }

  /** @param {OpenChat} chat */
  #letGo(chat) {
    const { state } = this.#options;
    chat.reading.abort();
    chat.view.close();
    this.#chats.delete(chat.chatId);
    if (state.get().open.has(chat.chatId)) state.set(closeChat(state.get(), chat.chatId));
  }

  /** @param {OpenChat} chat */
  #touch(chat) {
    this.#chats.delete(chat.chatId);
    this.#chats.set(chat.chatId, chat);
  }

  /** Lets go of messages in steps, not of one at a time. @param {OpenChat} chat */
  #trim({ chatId, messagesMax, nUsers }) {
    const { state } = this.#options;
    const n = state.get().open.get(chatId)?.messages.length ?? 0;
    const slack = nUsers > 0 ? PAGE_LIMIT : 0;
    if (n > messagesMax + slack) state.set(trimOlder(state.get(), chatId, messagesMax));
  }

  /** @param {OpenChat} chat */
  async #load(chat) {
    const { state, outbox } = this.#options;
    chat.reading.abort();
    const reading = (chat.reading = new AbortController());
    const before = state.get();
    if (before.open.has(chat.chatId)) state.set(closeChat(before, chat.chatId));
    this.#set(chat, { loading: "loading", error: null });
    /** @type {Envelope[]} */
    let since = [];
    try {
      for (;;) {
        chat.kept = new Set([since]);
        const parts = await this.#read(chat.chatId, reading.signal);
        if (reading.signal.aborted) return;
        if (since.length <= KEPT_MAX) {
          chat.kept = new Set();
          state.set(openChat(state.get(), chat.chatId, { ...parts, since }));
          break;
        }
        since = [];
      }
      const opened = state.get().open.get(chat.chatId);
      if (opened !== undefined) outbox.takeChat(opened);
      this.#set(chat, { loading: "ready" });
    } catch (error) {
      if (reading.signal.aborted) return;
      chat.kept = new Set();
      const loading = isGone(error) ? "gone" : "failed";
      this.#set(chat, { loading, error: /** @type {Error} */ (error) });
    }
  }

  /** @param {string} chatId @param {AbortSignal} signal */
  async #read(chatId, signal) {
    const { calls, attempts } = this.#options;
    /** @template T @param {(signal: AbortSignal) => Promise<T>} call */
    const read = (call) => attempts.run(call, { signal });
    const [row, messages, queue, requests] = await Promise.all([
      read((signal) => calls.getChat(chatId, signal)),
      read((signal) => calls.listMessages(chatId, { limit: PAGE_LIMIT, signal })),
      read((signal) => calls.listQueue(chatId, signal)),
      read((signal) => calls.listRequests(chatId, signal)),
    ]);
    return { row, messages, queue, requests };
  }

  /** @param {OpenChat} chat @param {Partial<OpenChat>} part */
  #set(chat, part) {
    Object.assign(chat, part);
    this.#update(chat);
  }

  /** @param {OpenChat} chat */
  #update(chat) {
    if (this.#chats.get(chat.chatId) !== chat) return;
    const now = this.#options.state.get().open.get(chat.chatId);
    if (now !== undefined) chat.shown = now;
    if (now?.deleted) chat.loading = "gone";
    const view = this.#viewOf(chat);
    if (!isSame(view, chat.view.get())) chat.view.set(view);
  }

  /** @param {OpenChat} chat @returns {ChatView} */
  #viewOf({ chatId, shown, loading, error, loadingOlder }) {
    const row = shown.row ?? this.#options.state.get().list.rows.get(chatId) ?? null;
    const sending = this.#options.outbox.of(chatId);
    return { ...shown, row: shown.deleted ? null : row, loading, error, loadingOlder, sending };
  }
}

/** @param {ChatView} a @param {ChatView} b */
function isSame(a, b) {
  const names = /** @type {(keyof ChatView)[]} */ (Object.keys(a));
  return names.every((name) => a[name] === b[name]);
}

/** @type {{ loading: Loading, error: null, loadingOlder: boolean }} */
const NOT_READ = { loading: "loading", error: null, loadingOlder: false };

/** @param {string} chatId @param {number} messagesMax @returns {OpenChat} */
function newChat(chatId, messagesMax) {
  /** @type {ChatState} */
  const shown = {
    ...{ chatId, deleted: false, row: null, messages: [], olderCursor: null },
    ...{ queue: [], requests: [], asOf: { row: 0, messages: 0, queue: 0, requests: 0 } },
  };
  return {
    ...{ chatId, nUsers: 0, shown, ...NOT_READ },
    ...{ messagesMax, reading: new AbortController(), kept: new Set() },
    view: new Store({ ...shown, ...NOT_READ, sending: [] }),
  };
}
