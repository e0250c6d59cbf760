/**
 * @module
 * A server in memory: a log, its rows by the client's own fold, and a network that can be held.
 *
 * It answers what the client asks and no more. That the client's fold is the server's is shown
 * elsewhere, by the golden cases.
 */

import { emptyState, foldBatch, openChat } from "../../client/state.js";
import { settle } from "./world.js";

/** @typedef {import("../../client/wire.js").Envelope} Envelope */

/**
 * A call that is held: first before the server sees it, then before its answer arrives.
 *
 * @typedef {object} Held
 * @property {string} method
 * @property {string} path
 * @property {Record<string, string>} headers
 * @property {any} body
 * @property {() => Promise<void>} handle The server handles it.
 * @property {() => Promise<void>} answer The answer arrives.
 * @property {() => Promise<void>} lose The network breaks.
 */

/** A connection of the stream. */
export class FakeStream {
  isOpen = true;
  /** @type {ReadableStreamDefaultController<Uint8Array>} */
  #controller;

  /**
   * @param {ReadableStreamDefaultController<Uint8Array>} controller
   * @param {URL} url
   * @param {Record<string, string>} headers
   */
  constructor(controller, url, headers) {
    this.#controller = controller;
    this.url = url;
    this.headers = headers;
    this.seq = Number(headers["last-event-id"]);
  }

  /** @param {string | Uint8Array} bytes */
  push(bytes) {
    const chunk = typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes;
    if (this.isOpen && chunk.length > 0) this.#controller.enqueue(chunk);
  }

  /** The network breaks. */
  break() {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#controller.error(new TypeError("network error"));
  }

  /** The server ends it. */
  end() {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#controller.close();
  }
}

/** @param {Envelope} envelope */
export function eventFrame(envelope) {
  return `id: ${envelope.seq}\nevent: stream\ndata: ${JSON.stringify(envelope)}\n\n`;
}

/** @param {string} event @param {unknown} data @param {number | null} [id] */
export function controlFrame(event, data, id = null) {
  const head = id === null ? "" : `id: ${id}\n`;
  return `${head}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}

/** A server with a log. */
export class FakeServer {
  /** @type {Envelope[]} */
  log = [];
  logId = "log-1";
  /** @type {FakeStream[]} */
  streams = [];
  /** Every call, in order. @type {{ method: string, path: string, headers: any, body: any }[]} */
  calls = [];
  /** @type {Held[]} */
  held = [];
  /** Whether the network is there. */
  isUp = true;
  /** Whether a connection gets what there is, and what comes. */
  isFlowing = true;
  /** @type {(call: { method: string, path: string }) => boolean} */
  holds = () => false;
  /** @type {((call: { method: string, path: string, body: any }) => Response | null)} */
  refuses = () => null;
  /** @type {Map<string, { text: string, answer: string }>} */
  #keys = new Map();

  get head() {
    return this.log.length;
  }

  get openStreams() {
    return this.streams.filter(({ isOpen }) => isOpen);
  }

  /**
   * Appends an event; connections get it.
   *
   * @param {string} chatId
   * @param {string} kind
   * @param {Record<string, unknown>} payload
   * @param {{ messageId?: string, streamId?: string }} [of]
   */
  append(chatId, kind, payload = {}, { messageId, streamId } = {}) {
    const seq = this.head + 1;
    const at = new Date(1_800_000_000_000 + seq).toISOString();
    /** @type {Envelope} */
    const envelope = {
      ...{ chatId, messageId: messageId ?? null, streamId: streamId ?? null, seq, at, kind },
      payload,
    };
    this.log.push(envelope);
    if (this.isFlowing) for (const stream of this.openStreams) this.flow(stream);
    return envelope;
  }

  /** @param {FakeStream} stream Gets what it has not got. @param {number} [through] */
  flow(stream, through = this.head) {
    const events = this.log.slice(stream.seq, through);
    stream.seq = Math.max(stream.seq, through);
    stream.push(events.map(eventFrame).join(""));
  }

  /** Everything breaks; nothing answers until `start`. */
  kill() {
    this.isUp = false;
    for (const stream of this.streams) stream.break();
  }

  start() {
    this.isUp = true;
  }

  /** @type {typeof globalThis.fetch} */
  fetch = async (input, init = {}) => {
    const url = new URL(String(input), "http://fake");
    const headers = /** @type {Record<string, string>} */ (init.headers ?? {});
    const body = typeof init.body === "string" ? JSON.parse(init.body) : null;
    const call = { method: init.method ?? "GET", path: url.pathname + url.search, headers, body };
    this.calls.push(call);
    const { signal } = init;
    const work = this.holds(call) ? this.#hold(call, url, signal) : this.#now(call, url, signal);
    return new Promise((resolve, reject) => {
      const abort = () => reject(new DOMException("aborted", "AbortError"));
      if (signal?.aborted) abort();
      signal?.addEventListener("abort", abort, { once: true });
      const done = () => signal?.removeEventListener("abort", abort);
      work.then(resolve, reject).finally(done);
    });
  };

  /** @param {any} call @param {URL} url @param {AbortSignal | null | undefined} signal */
  async #now(call, url, signal) {
    if (!this.isUp) throw new TypeError("fetch failed");
    return this.#answer(call, url, signal);
  }

  /** @param {any} call @param {URL} url @param {AbortSignal | null | undefined} signal */
  #hold(call, url, signal) {
    /** @type {Promise<Response>} */
    const answered = new Promise((resolve, reject) => {
      /** @type {Response | null} */
      let response = null;
      this.held.push({
        ...call,
        handle: async () => {
          response = this.#answer(call, url, signal);
          await settle();
        },
        answer: async () => {
          resolve(response ?? this.#answer(call, url, signal));
          await settle();
        },
        lose: async () => {
          reject(new TypeError("fetch failed"));
          await settle();
        },
      });
    });
    return answered;
  }

  /** Takes the calls that are held. @param {(held: Held) => boolean} [which] @returns {Held[]} */
  take(which = () => true) {
    const taken = this.held.filter(which);
    this.held = this.held.filter((one) => !taken.includes(one));
    return taken;
  }

  /** @param {any} call @param {URL} url @param {AbortSignal | null | undefined} signal */
  #answer(call, url, signal) {
    const refusal = this.refuses(call);
    if (refusal !== null) return refusal;
    if (url.pathname === "/v1/stream") return this.#stream(url, call.headers, signal);
    const key = call.headers["idempotency-key"];
    const before = key === undefined ? undefined : this.#keys.get(key);
    if (before !== undefined) {
      if (before.text !== JSON.stringify(call.body)) return problem(409, "idempotency_key_reused");
      return json(JSON.parse(before.answer));
    }
    const answer = this.#route(call.method, url, call.body);
    if (answer instanceof Response) return answer;
    if (key !== undefined) {
      this.#keys.set(key, { text: JSON.stringify(call.body), answer: JSON.stringify(answer) });
    }
    return json(answer);
  }

  /** @param {URL} url @param {Record<string, string>} headers @param {any} signal */
  #stream(url, headers, signal) {
    /** @type {FakeStream | null} */
    let stream = null;
    const body = new ReadableStream({
      start: (controller) => {
        stream = new FakeStream(controller, url, headers);
        this.streams.push(stream);
        signal?.addEventListener("abort", () => stream?.break());
      },
      cancel: () => {
        if (stream !== null) stream.isOpen = false;
      },
    });
    const opened = /** @type {FakeStream} */ (/** @type {unknown} */ (stream));
    if (this.isFlowing) this.greet(opened);
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }

  /** Says hello, then what there is. @param {FakeStream} stream */
  greet(stream) {
    stream.push(controlFrame("hello", { log_id: this.logId, head_seq: this.head }));
    const logId = stream.url.searchParams.get("log_id");
    const isOther = logId !== null && logId !== this.logId;
    if (isOther || stream.seq > this.head) {
      const reason = isOther ? "other_log" : "cursor_ahead";
      stream.push(controlFrame("resync", { reason, head_seq: this.head }));
      stream.push(controlFrame("snapshot", { as_of_seq: this.head, chats: [], next_cursor: null }));
      stream.seq = this.head;
    }
    this.flow(stream);
    stream.push(controlFrame("caught_up", { seq: this.head }, this.head));
  }

  /** The rows of a chat as they are at the head. @param {string} chatId */
  chat(chatId) {
    const created = this.log.find((one) => one.chatId === chatId && one.kind === "chat_created");
    if (created === undefined) return null;
    const seeded = foldBatch(emptyState(), [created]);
    const row = seeded.list.rows.get(chatId);
    if (row === undefined) return null;
    const none = { items: [], next_cursor: null, as_of_seq: created.seq };
    const since = this.log.filter((one) => one.chatId === chatId);
    const opening = { row: { ...row, as_of_seq: created.seq }, messages: none };
    const state = openChat(seeded, chatId, { ...opening, queue: none, requests: none, since });
    const chat = state.open.get(chatId);
    return chat === undefined || chat.deleted ? null : structuredClone(chat);
  }

  /** @param {string} method @param {URL} url @param {any} body @returns {any} */
  #route(method, url, body) {
    const [, , , chatId = null, what = "", id = "", verb = ""] = url.pathname.split("/");
    const as_of_seq = this.head;
    if (url.pathname === "/v1/turns") return { items: [], next_cursor: null, as_of_seq };
    if (chatId === null) return this.#chats(method, url, body);
    const chat = this.chat(chatId);
    if (chat === null || chat.row === null) return problem(404, "chat_not_found");
    const whole = (/** @type {readonly unknown[]} */ items) => ({
      ...{ items, next_cursor: null, as_of_seq },
    });
    switch (`${method} ${what}`) {
      case "GET ":
        return { ...chat.row, as_of_seq };
      case "GET messages": {
        const before = Number(url.searchParams.get("cursor") ?? Infinity);
        const limit = Number(url.searchParams.get("limit") ?? 50);
        const earlier = chat.messages.filter(({ first_seq }) => first_seq < before);
        const items = earlier.slice(-limit);
        const next_cursor = earlier.length > limit ? String(items[0]?.first_seq) : null;
        return { items, next_cursor, as_of_seq };
      }
      case "GET queue":
        return whole(chat.queue);
      case "GET requests":
        return whole(chat.requests);
      case "POST turns":
        return verb === "stop" ? this.#stop(chatId, id) : this.#turn(chatId, chat.row, body);
      case "POST viewed":
        return { chat_id: chatId, seq: this.append(chatId, "chat_viewed").seq };
      case "PATCH ":
        return { chat_id: chatId, seq: this.append(chatId, "chat_updated", body).seq };
      case "DELETE ":
        return { chat_id: chatId, seq: this.append(chatId, "chat_deleted").seq };
      default:
        return problem(404, "route_not_found");
    }
  }

  /** @param {string} method @param {URL} url @param {any} body */
  #chats(method, url, body) {
    if (method === "POST") {
      const { chat_id, ...payload } = body;
      return { chat_id, seq: this.append(chat_id, "chat_created", payload).seq };
    }
    const ids = [...new Set(this.log.map((one) => one.chatId))];
    const rows = ids.flatMap((id) => this.chat(id)?.row ?? []);
    rows.sort((a, b) => b.last_seq - a.last_seq);
    const from = Number(url.searchParams.get("cursor") ?? 0);
    const limit = this.listLimit;
    const next_cursor = rows.length > from + limit ? String(from + limit) : null;
    return { items: rows.slice(from, from + limit), next_cursor, as_of_seq: this.head };
  }

  /** Chats of a page of the list. */
  listLimit = 50;

  /** @param {string} chatId @param {any} row @param {any} body */
  #turn(chatId, row, body) {
    const { text, if_busy, user_message_id, message_id, turn_id, queued_message_id } = body;
    if (row.open_turn !== null) {
      if (if_busy === "reject") return problem(409, "chat_busy", true);
      const queued = { queued_message_id, content: text };
      const { seq } = this.append(chatId, "message_queued", queued);
      return { chat_id: chatId, queued_message_id, seq };
    }
    const resume_after_seq = this.head;
    const payload = { provider: "agent", user_message_id, origin: "user" };
    this.append(chatId, "user_text", { text }, { messageId: user_message_id });
    this.append(chatId, "stream_started", payload, { messageId: message_id, streamId: turn_id });
    return { chat_id: chatId, user_message_id, message_id, turn_id, resume_after_seq, lease: null };
  }

  /** @param {string} chatId @param {string} turnId */
  #stop(chatId, turnId) {
    this.append(chatId, "cancel_requested", { turn_id: turnId });
    return { chat_id: chatId, turn_id: turnId };
  }
}

/** @param {unknown} body */
function json(body) {
  return new Response(JSON.stringify(body), { headers: { "content-type": "application/json" } });
}

/** @param {number} status @param {string} code @param {boolean} [retryable] */
export function problem(status, code, retryable = false) {
  const body = { type: `urn:x:${code}`, title: code, status, detail: code, code, retryable };
  const headers = { "content-type": "application/problem+json" };
  return new Response(JSON.stringify(body), { status, headers });
}
