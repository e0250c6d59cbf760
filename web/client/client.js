/**
 * @module
 * The client: one connection, one state, and the chats that are open in it.
 *
 * Here the parts are put together: batches of events are folded, kept and told of in one place. The
 * parts themselves are `connection.js` and `tabs.js`, `state.js`, `open_chats.js` and `outbox.js`.
 */

import { Attempts } from "./attempts.js";
import { Calls } from "./calls.js";
import { Chat } from "./chat.js";
import { environment, freshId } from "./environment.js";
import { connectionState, NEW_LINK } from "./link.js";
import { OpenChats, isGone } from "./open_chats.js";
import { Outbox } from "./outbox.js";
import { appendListPage, emptyState, foldBatch, putListRow } from "./state.js";
import { removeListRow, seedList } from "./state.js";
import { Store } from "./store.js";
import { createFeed } from "./tabs.js";

/** @typedef {import("./link.js").ConnectionState} ConnectionState */
/** @typedef {import("./state.js").State} State */

/**
 * @typedef {object} Settings
 * @property {string} [baseUrl] Where the server is, without a slash at its end; the page's own
 *   origin by default.
 * @property {Record<string, string> | (() => Record<string, string>)} [headers] Sent with every
 *   call; a function is asked each time. None by default.
 * @property {string | (() => string | null)} [token] Proves who calls, sent as a bearer token with
 *   every call; a function is asked each time, so that a token can be renewed. None by default.
 * @property {boolean | string} [share] Whether the tabs of the browser share one connection; true
 *   by default. Tabs that do not send the same token must not share: give each user a name of
 *   their own here, or false.
 * @property {{ min?: number, max?: number }} [backoffMs] Milliseconds between two tries: the first
 *   wait, and the longest. 250 and 15 000 by default.
 * @property {number} [silenceMs] Milliseconds without a byte after which a connection is dead;
 *   25 000 by default. The server sends something every 10 seconds at least.
 * @property {number} [catchUpMax] Events that are caught up with one by one after a break; beyond,
 *   the state is read anew. 20 000 by default.
 * @property {number} [openChatsMax] Chats that nobody looks at and that are kept up to date all the
 *   same; 24 by default. The one that was longest not looked at goes first.
 * @property {number} [messagesKept] Messages that are kept of a chat; 200 by default. Older ones
 *   are read again when they are asked for.
 */

/** @typedef {Settings & Partial<import("./environment.js").Environment>} Options */

/** Chats of the list whose rows are asked for at the same time. */
const ROWS_AT_ONCE = 4;

/** Milliseconds before the row of a busy chat is asked for once more. */
const ROW_AGAIN_MS = 500;

/** Tries of a call that somebody waits for. */
const TRIES_MAX = 5;

/**
 * Connects to a server.
 *
 * @param {Options} [options]
 * @returns {Client}
 */
export function connect(options = {}) {
  return new Client(options);
}

/**
 * What is sent with every call.
 *
 * @param {Required<Settings>["headers"]} headers
 * @param {Settings["token"]} token
 * @returns {() => Record<string, string>}
 */
function headersFor(headers, token) {
  return () => {
    const given = typeof headers === "function" ? headers() : headers;
    const proof = typeof token === "function" ? token() : token;
    return proof ? { ...given, authorization: `Bearer ${proof}` } : given;
  };
}

/** @param {string} baseUrl @param {boolean | string} share */
function channelName(baseUrl, share) {
  if (share === false) return null;
  const who = share === true ? "" : `:${share}`;
  return `scrollback:${baseUrl}${who}`;
}

/** A connection to a server, and what it says. */
export class Client {
  #env;
  #calls;
  #attempts;
  #outbox;
  #openChats;
  #feed;
  #closing = new AbortController();
  /** @type {Store<State>} */
  #state = new Store(emptyState());
  /** @type {Store<ConnectionState>} */
  #connection = new Store(connectionState(NEW_LINK, false));
  /** Chats whose row is being asked for. @type {Set<string>} */
  #rowsAsked = new Set();
  /** Counts the seeds: what was asked for before one is not of what follows it. */
  #nSeeds = 0;
  #nPlugs = 0;

  /** @param {Options} options */
  constructor(options) {
    const { baseUrl = "", headers = {}, backoffMs = {}, messagesKept = 200 } = options;
    const { silenceMs = 25_000, catchUpMax = 20_000, openChatsMax = 24 } = options;
    const env = environment(options);
    const backoff = { min: backoffMs.min ?? 250, max: backoffMs.max ?? 15_000 };
    const headersOf = headersFor(headers, options.token);
    const calls = new Calls({ baseUrl, fetch: env.fetch, headers: headersOf });
    const attempts = new Attempts(env, backoff);
    const onChange = (/** @type {string} */ chatId) => this.#openChats.refreshOne(chatId);
    this.#env = env;
    this.#calls = calls;
    this.#attempts = attempts;
    this.#outbox = new Outbox({ calls, attempts, env, onChange });
    const parts = { calls, attempts, outbox: this.#outbox, state: this.#state };
    this.#openChats = new OpenChats({ ...parts, openChatsMax, messagesKept });
    const feed = {
      ...{ calls, env, backoff, silenceMs, catchUpMax },
      seed: (/** @type {AbortSignal} */ signal) => this.#seed(signal),
      onBatch: (/** @type {import("./link.js").Batch} */ batch) => this.#take(batch.envelopes),
      onChange: (/** @type {ConnectionState} */ state) => this.#connectionChanged(state),
    };
    this.#feed = createFeed(feed, channelName(baseUrl, options.share ?? true));
    /** The state as it is, and a call back once for each chunk of the network. */
    this.state = { get: this.#state.get, subscribe: this.#state.subscribe };
    /** How the connection is; nothing of it is ever part of a message. */
    this.connection = { get: this.#connection.get, subscribe: this.#connection.subscribe };
    this.#feed.start();
  }

  /**
   * Opens a chat. Each handle is closed on its own; the chat itself is read once.
   *
   * @param {string} chatId
   * @returns {Chat}
   */
  openChat(chatId) {
    const { signal: closing } = this.#closing;
    const parts = { calls: this.#calls, attempts: this.#attempts, env: this.#env, closing };
    return new Chat(chatId, { ...parts, outbox: this.#outbox, openChats: this.#openChats });
  }

  /**
   * Creates a chat.
   *
   * @param {{ title?: string, owner?: string, metadata?: unknown }} [chat]
   * @returns {Promise<string>} Its id.
   */
  async createChat(chat = {}) {
    const body = { chat_id: freshId(this.#env), ...chat };
    const key = freshId(this.#env);
    await this.#run((signal) => this.#calls.write("POST", "/v1/chats", { body, key, signal }));
    return body.chat_id;
  }

  /**
   * Searches what was said.
   *
   * @param {string} q Words that a message holds, all of them.
   * @param {{ cursor?: string | null, limit?: number, signal?: AbortSignal }} [options]
   */
  search(q, { cursor, limit, signal } = {}) {
    const page = { q, cursor, limit };
    return this.#run(
      (trying) => this.#calls.listChats({ ...page, signal: trying }),
      signal && AbortSignal.any([signal, this.#closing.signal]),
    );
  }

  /** Reads the next page of older chats, if there is one. @returns {Promise<void>} */
  async loadMoreChats() {
    const cursor = this.#state.get().list.nextCursor;
    const seed = this.#nSeeds;
    if (cursor === null) return;
    const page = await this.#run((signal) => this.#calls.listChats({ cursor, signal }));
    const isNext = seed === this.#nSeeds && this.#state.get().list.nextCursor === cursor;
    if (isNext) this.#set(appendListPage(this.#state.get(), page));
  }

  /**
   * Cuts the connection, for all tabs, until the returned function is called.
   *
   * @returns {() => void}
   */
  pullThePlug() {
    let isHeld = true;
    this.#nPlugs += 1;
    this.#feed.unplug();
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#nPlugs -= 1;
      if (this.#nPlugs === 0) this.#feed.plugIn();
    };
  }

  /** Ends the connection, and every call that is under way. */
  close() {
    this.#closing.abort();
    this.#feed.close();
    this.#outbox.close();
    this.#openChats.close();
    this.#state.close();
    this.#connection.close();
  }

  /**
   * @template Answer
   * @param {(signal: AbortSignal) => Promise<Answer>} call
   * @param {AbortSignal} [signal]
   */
  #run(call, signal = this.#closing.signal) {
    return this.#attempts.run(call, { signal, nMax: TRIES_MAX });
  }

  /** Reads the list; the chats that are open follow. @param {AbortSignal} signal */
  async #seed(signal) {
    const page = await this.#calls.listChats({ signal });
    signal.throwIfAborted();
    this.#nSeeds += 1;
    this.#rowsAsked.clear();
    this.#state.set(seedList(this.#state.get(), page));
    // They are asked for after the list, so that they are not older than the stream that follows.
    this.#openChats.reloadAll();
    return page.as_of_seq;
  }

  /** @param {readonly import("./wire.js").Envelope[]} envelopes */
  #take(envelopes) {
    this.#openChats.keep(envelopes);
    this.#state.set(foldBatch(this.#state.get(), envelopes));
    // After the fold: what is not on its way any more is to be seen where it has arrived.
    this.#outbox.take(envelopes);
    this.#openChats.refresh();
    this.#askForRows();
  }

  /** @param {State} state */
  #set(state) {
    this.#state.set(state);
    this.#openChats.refresh();
    this.#askForRows();
  }

  /** @param {ConnectionState} state */
  #connectionChanged(state) {
    const before = this.#connection.get();
    if (state.phase === "live" && before.phase !== "live") this.#attempts.wake();
    this.#connection.set(state);
  }

  /** Asks for the rows of chats that came to life and are not in the list. */
  #askForRows() {
    for (const chatId of this.#state.get().list.unknown.keys()) {
      if (this.#rowsAsked.size >= ROWS_AT_ONCE) return;
      if (!this.#rowsAsked.has(chatId)) void this.#askForRow(chatId);
    }
  }

  /** @param {string} chatId */
  async #askForRow(chatId) {
    const seed = this.#nSeeds;
    const { signal } = this.#closing;
    this.#rowsAsked.add(chatId);
    /** @type {State | null} */
    let next = null;
    try {
      const run = { signal };
      const row = await this.#attempts.run((trying) => this.#calls.getChat(chatId, trying), run);
      next = putListRow(this.#state.get(), row, row.as_of_seq);
    } catch (error) {
      // What the server refuses for another reason stays out of the list until its next event.
      if (!isGone(error) && signal.aborted) return;
      next = removeListRow(this.#state.get(), chatId);
    }
    if (seed !== this.#nSeeds) return;
    const done = () => {
      this.#rowsAsked.delete(chatId);
      if (!signal.aborted) this.#askForRows();
    };
    // Its events went on: not at once again.
    if (next.list.unknown.has(chatId)) this.#env.setTimer(done, ROW_AGAIN_MS);
    else this.#rowsAsked.delete(chatId);
    this.#set(next);
  }
}
