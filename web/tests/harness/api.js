// The server's HTTP as the tests use it: calls, a producer outside, and what the log says.
//
// It is no client of the product: it neither retries nor streams.

import { Agent, request } from "node:http";

/** @typedef {Record<string, any>} Json */

/** A call that was refused. */
export class Refused extends Error {
  /**
   * @param {string} call
   * @param {number} status
   * @param {string} text
   */
  constructor(call, status, text) {
    super(`${call}: ${status} ${text}`);
    this.status = status;
  }
}

/** Calls to one server. */
export class Api {
  #agent = new Agent({ keepAlive: true });

  constructor(/** @type {string} */ url) {
    this.url = url;
  }

  /** Closes idle connections. */
  close() {
    this.#agent.destroy();
  }

  /**
   * One call, answered by parsed JSON.
   *
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @returns {Promise<Json>}
   */
  call(method, path, body) {
    const sent = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = sent
      ? { "content-type": "application/json", "content-length": sent.length }
      : {};
    return new Promise((resolve, reject) => {
      const options = { method, headers, agent: this.#agent };
      const call = request(new URL(path, this.url), options, (response) => {
        /** @type {Buffer[]} */
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const status = response.statusCode ?? 0;
          if (status >= 300) reject(new Refused(`${method} ${path}`, status, text));
          else resolve(text === "" ? {} : JSON.parse(text));
        });
      });
      call.on("error", reject);
      call.end(sent);
    });
  }

  get(/** @type {string} */ path) {
    return this.call("GET", path);
  }

  post(/** @type {string} */ path, /** @type {unknown} */ body = {}) {
    return this.call("POST", path, body);
  }

  /**
   * Makes a chat.
   *
   * @param {string} chatId
   * @param {string} [title]
   */
  createChat(chatId, title = chatId) {
    return this.post("/v1/chats", { chat_id: chatId, title });
  }

  /**
   * Every message of a chat as the log has it, in order.
   *
   * @param {string} chatId
   * @returns {Promise<Json[]>}
   */
  async messages(chatId) {
    /** @type {Json[]} */
    let all = [];
    let cursor = "";
    do {
      const query = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
      const page = await this.get(`/v1/chats/${chatId}/messages?limit=500${query}`);
      all = [...page["items"], ...all];
      cursor = page["next_cursor"] ?? "";
    } while (cursor);
    return all;
  }

  /** The latest message of a chat. */
  async lastMessage(/** @type {string} */ chatId) {
    const page = await this.get(`/v1/chats/${chatId}/messages?limit=1`);
    const last = page["items"].at(-1);
    if (!last) throw new Error(`chat ${chatId} has no message`);
    return /** @type {Json} */ (last);
  }

  /** The seq of the last committed event. */
  async head(/** @type {string} */ chatId) {
    return Number((await this.get(`/v1/chats/${chatId}/status`))["head_seq"]);
  }

  /**
   * Opens a turn of which the test says every delta.
   *
   * @param {string} chatId
   * @param {string} text What the user says.
   * @returns {Promise<Turn>}
   */
  async turn(chatId, text) {
    const body = { text, provider: "external", lease_ms: 600_000 };
    return new Turn(chatId, await this.post(`/v1/chats/${chatId}/turns`, body));
  }
}

/** A turn whose producer is the test. It outlives the server, so each call names its `api`. */
export class Turn {
  #said = 0;

  constructor(/** @type {string} */ chatId, /** @type {Json} */ started) {
    this.chatId = chatId;
    this.lease = String(started["lease"].token);
    this.turnId = String(started["turn_id"]);
    this.messageId = String(started["message_id"]);
    this.userMessageId = String(started["user_message_id"]);
  }

  /**
   * Appends events; resolves when they are durable.
   *
   * @param {Api} api
   * @param {{ kind: string, payload: Json }[]} events
   */
  async append(api, events) {
    const body = { lease: this.lease, first_number: this.#said + 1, events };
    const appended = await api.post(`/v1/chats/${this.chatId}/events`, body);
    this.#said += events.length;
    return Number(appended["last_seq"]);
  }

  /** Says deltas of text, each an event of its own. */
  say(/** @type {Api} */ api, /** @type {string[]} */ ...deltas) {
    const events = deltas.map((text) => ({ kind: "assistant_text", payload: { text } }));
    return this.append(api, events);
  }

  /** Ends it well. */
  complete(/** @type {Api} */ api) {
    const payload = { status: "completed", duration_ms: 1_200 };
    return this.append(api, [{ kind: "complete", payload }]);
  }

  /**
   * Ends it with a failure.
   *
   * @param {Api} api
   * @param {string} code
   * @param {string} message
   * @param {boolean} retryable
   */
  fail(api, code, message, retryable) {
    const payload = { code, message, phase: "stream", retryable, duration_ms: 900 };
    return this.append(api, [{ kind: "error", payload }]);
  }
}

/**
 * Deltas that no two of which are the same, so that a lost, doubled or swapped one shows.
 *
 * @param {string} name
 * @param {number} from
 * @param {number} to
 */
export function numbered(name, from, to) {
  const deltas = [];
  for (let n = from; n < to; n += 1) deltas.push(`${name}${n}${n % 25 === 24 ? ".\n\n" : " "}`);
  return deltas;
}
