/**
 * @module
 * Messages on their way: shown at once, sent in order, and gone when their event has come.
 *
 * A message has its ids and its key from the beginning, so that it can be sent again without being
 * said twice, and be told from what others say. Whether its event is in the state yet is told by
 * `client.js`, which sees the events.
 */

import { chatPath } from "./calls.js";
import { freshId } from "./environment.js";

/** @typedef {import("./wire.js").Envelope} Envelope */
/** @typedef {import("./state.js").ChatState} ChatState */
/** @typedef {"reject" | "queue" | "send_now"} IfBusy */

/**
 * - `sending`: on its way, or behind another one of the same chat.
 * - `waiting`: no answer came; it is sent again by itself.
 * - `accepted`: the server has it, and its event is still to come.
 * - `failed`: refused; `retry` or `discard` it.
 *
 * @typedef {"sending" | "waiting" | "accepted" | "failed"} SendingStatus
 */

/**
 * A message on its way; never changed, replaced by a new object.
 *
 * @typedef {object} Sending
 * @property {string} key The idempotency key; names the sending.
 * @property {string} userMessageId
 * @property {string} messageId The message that answers it.
 * @property {string} turnId
 * @property {string} queuedMessageId Its id if it is queued instead.
 * @property {string} text
 * @property {import("./wire.js").Attachment[]} attachments
 * @property {string | null} provider
 * @property {string | null} model
 * @property {IfBusy} ifBusy
 * @property {SendingStatus} status
 * @property {import("./calls.js").ProblemError | Error | null} error Why it waits or failed.
 * @property {number | null} seq Where its event is in the log, once it is accepted.
 * @property {number} sentAt Milliseconds since 1970.
 */

/**
 * @typedef {object} SendOptions
 * @property {import("./wire.js").Attachment[]} [attachments]
 * @property {string | null} [provider] The server's default one if left out.
 * @property {string | null} [model]
 * @property {IfBusy} [ifBusy] What becomes of it while a turn is open; `queue` by default.
 */

/** @param {Sending} sending @param {Envelope} envelope @returns {boolean} Whether it has come. */
export function isEventOf(sending, { kind, messageId, payload }) {
  if (kind === "user_text") return messageId === sending.userMessageId;
  if (kind !== "message_queued") return false;
  return payload["queued_message_id"] === sending.queuedMessageId;
}

/** @param {Sending} sending @param {ChatState} chat @returns {boolean} Whether the state has it. */
export function isIn(sending, chat) {
  if (sending.seq !== null && sending.seq <= chat.asOf.messages && sending.seq <= chat.asOf.queue) {
    return true;
  }
  return (
    chat.messages.some((message) => message.id === sending.userMessageId) ||
    chat.queue.some((queued) => queued.queued_message_id === sending.queuedMessageId)
  );
}

/** @param {Sending} sending What `POST …/turns` takes. */
export function turnBody(sending) {
  const { text, attachments, provider, model, ifBusy } = sending;
  return {
    text,
    ...(attachments.length > 0 && { attachments }),
    ...(provider !== null && { provider }),
    ...(model !== null && { model }),
    if_busy: ifBusy,
    user_message_id: sending.userMessageId,
    message_id: sending.messageId,
    turn_id: sending.turnId,
    queued_message_id: sending.queuedMessageId,
  };
}

/** @type {readonly Sending[]} */
const NONE = Object.freeze([]);

/** The messages on their way of all chats. */
export class Outbox {
  #calls;
  #attempts;
  #env;
  #onChange;
  /** @type {Map<string, readonly Sending[]>} */
  #chats = new Map();
  /** The chats whose first message is being sent. @type {Map<string, AbortController>} */
  #running = new Map();

  /**
   * @param {{ calls: import("./calls.js").Calls, attempts: import("./attempts.js").Attempts,
   *   env: import("./environment.js").Environment, onChange: (chatId: string) => void }} options
   */
  constructor({ calls, attempts, env, onChange }) {
    this.#calls = calls;
    this.#attempts = attempts;
    this.#env = env;
    this.#onChange = onChange;
  }

  /** @param {string} chatId @returns {readonly Sending[]} In the order in which they are sent. */
  of(chatId) {
    return this.#chats.get(chatId) ?? NONE;
  }

  /**
   * Puts a message on its way.
   *
   * @param {string} chatId
   * @param {string} text
   * @param {SendOptions} [options]
   * @returns {Sending}
   */
  send(chatId, text, { attachments = [], provider = null, model = null, ifBusy = "queue" } = {}) {
    const id = () => freshId(this.#env);
    /** @type {Sending} */
    const sending = {
      ...{ key: id(), userMessageId: id(), messageId: id(), turnId: id(), queuedMessageId: id() },
      ...{ text, attachments, provider, model, ifBusy },
      ...{ status: "sending", error: null, seq: null, sentAt: this.#env.now() },
    };
    this.#set(chatId, [...this.of(chatId), sending]);
    void this.#run(chatId);
    return sending;
  }

  /**
   * Sends a refused message again.
   *
   * @param {string} chatId
   * @param {string} key
   * @param {{ ifBusy?: IfBusy }} [change]
   * @returns {boolean} Whether there was one that had failed.
   */
  retry(chatId, key, { ifBusy } = {}) {
    const sending = this.of(chatId).find((one) => one.key === key && one.status === "failed");
    if (sending === undefined) return false;
    /** @type {Sending} */
    const again = { ...sending, ifBusy: ifBusy ?? sending.ifBusy, status: "sending", error: null };
    // Under the same key, also if the body is another one: the server keeps no key of a refusal.
    this.#replace(chatId, key, again);
    void this.#run(chatId);
    return true;
  }

  /**
   * Forgets a message that was not accepted; what is under way by then may still arrive.
   *
   * @param {string} chatId
   * @param {string} key
   */
  discard(chatId, key) {
    const isFirst = this.#next(chatId)?.key === key;
    this.#replace(chatId, key, null);
    if (isFirst) this.#running.get(chatId)?.abort();
  }

  /**
   * Takes note of events: what has come is not on its way.
   *
   * @param {readonly Envelope[]} envelopes
   */
  take(envelopes) {
    if (this.#chats.size === 0) return;
    for (const envelope of envelopes) {
      const sending = this.of(envelope.chatId).find((one) => isEventOf(one, envelope));
      if (sending !== undefined) this.#arrived(envelope.chatId, sending);
      if (envelope.kind === "chat_deleted") this.forget(envelope.chatId);
    }
  }

  /** Takes note of a chat that was read anew. @param {ChatState} chat */
  takeChat(chat) {
    for (const sending of this.of(chat.chatId)) {
      if (isIn(sending, chat)) this.#arrived(chat.chatId, sending);
    }
  }

  /** Forgets what is on its way to a chat that is no more. @param {string} chatId */
  forget(chatId) {
    this.#set(chatId, NONE);
    this.#running.get(chatId)?.abort();
  }

  /** Ends every sending. */
  close() {
    for (const running of this.#running.values()) running.abort();
    this.#chats.clear();
  }

  /** @param {string} chatId @param {Sending} sending */
  #arrived(chatId, sending) {
    this.#replace(chatId, sending.key, null);
    // Only the answer was lost; there is no need to ask for it again.
    if (sending.status === "waiting") this.#running.get(chatId)?.abort();
  }

  /** @param {string} chatId @returns {Sending | undefined} */
  #next(chatId) {
    return this.of(chatId).find(({ status }) => status === "sending" || status === "waiting");
  }

  /** Sends what there is, one after the other, so that the order is kept. @param {string} chatId */
  async #run(chatId) {
    if (this.#running.has(chatId)) return;
    for (let next = this.#next(chatId); next !== undefined; next = this.#next(chatId)) {
      const running = new AbortController();
      this.#running.set(chatId, running);
      await this.#sendOne(chatId, next, running.signal);
    }
    this.#running.delete(chatId);
  }

  /** @param {string} chatId @param {Sending} sending @param {AbortSignal} signal */
  async #sendOne(chatId, sending, signal) {
    const { key } = sending;
    const write = { body: turnBody(sending), key };
    const path = chatPath(chatId, "turns");
    /** @param {Partial<Sending>} part */
    const update = (part) => {
      const now = this.of(chatId).find((one) => one.key === key);
      if (now !== undefined) this.#replace(chatId, key, { ...now, ...part });
    };
    try {
      const answer = await this.#attempts.run(
        (signal) => this.#calls.write("POST", path, { ...write, signal }),
        { signal, onWait: (error) => update({ status: "waiting", error }) },
      );
      const seq = answer.seq ?? answer.resume_after_seq + 1;
      update({ status: "accepted", error: null, seq });
    } catch (error) {
      if (!signal.aborted) update({ status: "failed", error: /** @type {Error} */ (error) });
    }
  }

  /** @param {string} chatId @param {string} key @param {Sending | null} next Null removes it. */
  #replace(chatId, key, next) {
    const before = this.of(chatId);
    const after = before.flatMap((one) => (one.key !== key ? [one] : next === null ? [] : [next]));
    this.#set(chatId, after);
  }

  /** @param {string} chatId @param {readonly Sending[]} sendings */
  #set(chatId, sendings) {
    if (sendings.length === 0) this.#chats.delete(chatId);
    else this.#chats.set(chatId, sendings);
    this.#onChange(chatId);
  }
}
