/**
 * @module
 * What a program holds of one chat: its state, and what can be done in it.
 *
 * A handle belongs to its chat for ever: whatever it does, it does there, and once it is closed it
 * tells nobody anything. How a chat is read and kept is `open_chats.js`.
 */

import { chatPath } from "./calls.js";
import { freshId } from "./environment.js";

/** @typedef {import("./open_chats.js").ChatView} ChatView */

/** Tries of a call that somebody waits for. */
const TRIES_MAX = 5;

/**
 * An answer to an approval or a question.
 *
 * @typedef {object} Response
 * @property {"selected" | "denied" | "dismissed"} [outcome]
 * @property {string} [optionId] The option of an approval.
 * @property {unknown} [content] The answer to a question.
 */

/**
 * @typedef {object} ChatParts
 * @property {import("./calls.js").Calls} calls
 * @property {import("./attempts.js").Attempts} attempts
 * @property {import("./environment.js").Environment} env
 * @property {import("./outbox.js").Outbox} outbox
 * @property {import("./open_chats.js").OpenChats} openChats
 * @property {AbortSignal} closing Aborted when the client is closed.
 */

/** A chat that is open. */
export class Chat {
  #parts;
  #open;
  #isClosed = false;
  /** @type {Set<() => void>} */
  #unsubscribes = new Set();

  /** @param {string} chatId @param {ChatParts} parts */
  constructor(chatId, parts) {
    /** @readonly */
    this.chatId = chatId;
    this.#parts = parts;
    this.#open = parts.openChats.open(chatId);
    /** The messages that wait for their turn. */
    this.queue = new ChatQueue(chatId, (method, path, body) => this.#write(method, path, body));
  }

  /** The state as it is: the same object until it changes. @returns {ChatView} */
  get = () => this.#open.view.get();

  /**
   * Calls back after each change, once a chunk of the network, until the returned function is
   * called or the handle is closed.
   *
   * @param {() => void} listener
   * @returns {() => void}
   */
  subscribe = (listener) => {
    if (this.#isClosed) return () => {};
    const unsubscribe = this.#open.view.subscribe(listener);
    this.#unsubscribes.add(unsubscribe);
    return () => {
      this.#unsubscribes.delete(unsubscribe);
      unsubscribe();
    };
  };

  /** Gives the handle back; the chat goes on for a while, unseen. */
  close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    this.#parts.openChats.release(this.#open);
  }

  /**
   * Says something; it is in `sending` at once, and in `messages` or `queue` when it has come.
   *
   * @param {string} text
   * @param {import("./outbox.js").SendOptions} [options]
   * @returns {import("./outbox.js").Sending}
   */
  send(text, options) {
    return this.#parts.outbox.send(this.chatId, text, options);
  }

  /**
   * Sends a refused message again.
   *
   * @param {string} key
   * @param {{ ifBusy?: import("./outbox.js").IfBusy }} [change]
   */
  sendAgain(key, change) {
    return this.#parts.outbox.retry(this.chatId, key, change);
  }

  /** Takes back a message that was not accepted. @param {string} key */
  discard(key) {
    this.#parts.outbox.discard(this.chatId, key);
  }

  /**
   * Stops the turn that runs, and no other.
   *
   * @returns {Promise<boolean>} Whether one was running, as far as it is known here.
   */
  async stop() {
    const { row, sending } = this.get();
    const begun = sending.find(({ status }) => status === "accepted" || status === "sending");
    const turnId = row?.open_turn?.turn_id ?? begun?.turnId;
    if (turnId === undefined) return false;
    await this.#write("POST", ["turns", turnId, "stop"], {});
    return true;
  }

  /**
   * Says again what a turn that failed or was interrupted was to answer.
   *
   * @param {string} messageId The assistant's message, or the user's.
   * @returns {import("./outbox.js").Sending | null} Null if what was said is not here.
   */
  retry(messageId) {
    const { messages } = this.get();
    const message = messages.find(({ id }) => id === messageId);
    const saidId = message?.role === "user" ? message.id : message?.user_message_id;
    const said = messages.find(({ id }) => id === saidId);
    if (message === undefined || said === undefined) return null;
    const entry = said.content_render.events.find(({ type }) => type === "user_text");
    const attachments = entry?.type === "user_text" ? (entry.attachments ?? []) : [];
    const { provider, model } = message;
    // A turn that a program outside ran cannot be run by the server.
    const by = provider === "external" ? {} : { provider, model };
    return this.send(said.content_text, { attachments, ...by });
  }

  /**
   * Answers an approval or a question.
   *
   * @param {string} requestId
   * @param {Response} response
   */
  async respond(requestId, { outcome, optionId, content }) {
    await this.#write("POST", ["requests", requestId, "respond"], {
      ...(outcome !== undefined && { outcome }),
      ...(optionId !== undefined && { option_id: optionId }),
      ...(content !== undefined && { content }),
    });
  }

  /** Reads the page before the first message, if there is one. @returns {Promise<void>} */
  loadOlder() {
    if (this.#isClosed) return Promise.resolve();
    return this.#parts.openChats.loadOlder(this.#open);
  }

  /** Reads the chat again after it has failed. */
  reload() {
    if (!this.#isClosed) this.#parts.openChats.reload(this.#open);
  }

  /** Marks the chat as seen, if it is not. @returns {Promise<void>} */
  async viewed() {
    if (this.get().row?.unread) await this.#write("POST", ["viewed"], {});
  }

  /** @param {string | null} title Null removes it. @returns {Promise<void>} */
  async rename(title) {
    await this.#write("PATCH", [], { title });
  }

  /** Deletes the chat, for everybody and for ever. @returns {Promise<void>} */
  async delete() {
    // Erasing takes as long as it takes.
    await this.#write("DELETE", [], {}, Infinity);
  }

  /**
   * @param {string} method
   * @param {string[]} path
   * @param {unknown} body
   * @param {number} [tryMs]
   * @returns {Promise<any>}
   */
  #write(method, path, body, tryMs) {
    const { calls, attempts, env, closing } = this.#parts;
    const write = { body, key: freshId(env) };
    return attempts.run(
      (signal) => calls.write(method, chatPath(this.chatId, ...path), { ...write, signal }),
      { signal: closing, nMax: TRIES_MAX, ...(tryMs !== undefined && { tryMs }) },
    );
  }
}

/** Changes the queue of a chat; what follows comes as events. */
export class ChatQueue {
  #write;
  #chatId;

  /**
   * @param {string} chatId
   * @param {(method: string, path: string[], body: unknown) => Promise<any>} write
   */
  constructor(chatId, write) {
    this.#chatId = chatId;
    this.#write = write;
  }

  /**
   * Queues a message; it starts at once if the chat is idle.
   *
   * @param {string} content
   * @param {{ attachments?: import("./wire.js").Attachment[], provider?: string, model?: string }}
   *   [options]
   * @returns {Promise<void>}
   */
  async add(content, options = {}) {
    await this.#write("POST", ["queue"], { content, ...options });
  }

  /**
   * @param {string} queuedId
   * @param {{ content?: string, provider?: string | null, model?: string | null }} change
   * @returns {Promise<void>}
   */
  async edit(queuedId, change) {
    await this.#write("PATCH", ["queue", queuedId], change);
  }

  /** @param {string} queuedId @returns {Promise<void>} */
  async remove(queuedId) {
    await this.#write("DELETE", ["queue", queuedId], {});
  }

  /** Removes all that wait. @returns {Promise<void>} */
  async clear() {
    await this.#write("DELETE", ["queue"], {});
  }

  /** Stops the turn that runs and starts this one. @param {string} queuedId */
  async sendNow(queuedId) {
    await this.#write("POST", ["queue", queuedId, "send-now"], {});
  }

  /** The chat whose queue it is. */
  get chatId() {
    return this.#chatId;
  }
}
