/**
 * @module
 * Calls of the server's HTTP interface, and how they fail.
 *
 * Each call is one request and one answer: a `ProblemError` if the server refused, a `NetworkError`
 * if no answer came. Trying again is left to `attempts.js`, the stream to `connection.js`.
 */

/** @typedef {import("./wire.js").ChatRow} ChatRow */
/** @typedef {import("./wire.js").MessageRow} MessageRow */
/** @typedef {import("./wire.js").QueueRow} QueueRow */
/** @typedef {import("./wire.js").RequestRow} RequestRow */

/**
 * A page of a list.
 *
 * @template Row
 * @typedef {{ items: Row[], next_cursor: string | null, as_of_seq: number }} Page
 */

/** @typedef {{ message_id: string, first_seq: number, role: "user" | "assistant",
 *   snippet: string }} SearchHit */

/** The server's refusal, as RFC 9457 puts it. */
export class ProblemError extends Error {
  /**
   * @param {number} status
   * @param {Record<string, unknown>} problem The body; members that are missing are made up.
   */
  constructor(status, problem) {
    const { code, detail, title, retryable } = problem;
    super(typeof detail === "string" ? detail : `the server answered ${status}`);
    this.name = "ProblemError";
    /** The HTTP status. */
    this.status = status;
    /** The stable name of what went wrong; `http_<status>` if whoever answered gave none. */
    this.code = typeof code === "string" ? code : `http_${status}`;
    /** One sentence that names the subject. */
    this.detail = this.message;
    /** A short title, the same for every occurrence of the code. */
    this.title = typeof title === "string" ? title : "Call failed";
    /** Whether the same call may succeed if it is made again, unchanged. */
    this.retryable = typeof retryable === "boolean" ? retryable : status >= 500 || status === 429;
    /** The whole body: some codes have more members. */
    this.problem = problem;
  }
}

/** No answer came: the call may or may not have been carried out. */
export class NetworkError extends Error {
  /** @param {unknown} cause */
  constructor(cause) {
    super("the server could not be reached", { cause });
    this.name = "NetworkError";
  }
}

/**
 * @typedef {object} CallsOptions
 * @property {string} baseUrl What `/v1/…` is appended to.
 * @property {typeof globalThis.fetch} fetch
 * @property {() => Record<string, string>} headers Sent with every call.
 */

/**
 * @typedef {object} Write
 * @property {unknown} [body] Sent as JSON.
 * @property {string} [key] Sent as `Idempotency-Key`.
 * @property {AbortSignal | undefined} [signal]
 */

/** @typedef {{ cursor?: string | null | undefined, limit?: number | undefined,
 *   signal?: AbortSignal | undefined }} PageOptions */

/** Calls one server. */
export class Calls {
  #options;

  /** @param {CallsOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** @param {PageOptions & { q?: string }} [options] */
  listChats({ q, signal, ...page } = {}) {
    /** @typedef {Page<ChatRow & { hits?: SearchHit[] }>} ChatPage */
    return /** @type {Promise<ChatPage>} */ (this.read("/v1/chats", { ...page, q }, signal));
  }

  /** @param {string} chatId @param {AbortSignal} [signal] */
  getChat(chatId, signal) {
    return /** @type {Promise<ChatRow & { as_of_seq: number }>} */ (
      this.read(chatPath(chatId), {}, signal)
    );
  }

  /** @param {string} chatId @param {PageOptions} [options] */
  listMessages(chatId, { signal, ...page } = {}) {
    return /** @type {Promise<Page<MessageRow>>} */ (
      this.read(chatPath(chatId, "messages"), page, signal)
    );
  }

  /** @param {string} chatId @param {AbortSignal} [signal] */
  listQueue(chatId, signal) {
    return /** @type {Promise<Page<QueueRow>>} */ (
      this.read(chatPath(chatId, "queue"), {}, signal)
    );
  }

  /** @param {string} chatId @param {AbortSignal} [signal] */
  listRequests(chatId, signal) {
    return /** @type {Promise<Page<RequestRow>>} */ (
      this.read(chatPath(chatId, "requests"), {}, signal)
    );
  }

  /**
   * Reads JSON.
   *
   * @param {string} path
   * @param {Record<string, string | number | null | undefined>} query What is null is left out.
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   * @throws {ProblemError | NetworkError}
   */
  async read(path, query = {}, signal) {
    const response = await this.#send(withQuery(path, query), "GET", {}, null, signal);
    return this.#answer(response);
  }

  /**
   * Changes something.
   *
   * @param {string} method
   * @param {string} path
   * @param {Write} [write]
   * @returns {Promise<any>}
   * @throws {ProblemError | NetworkError}
   */
  async write(method, path, { body, key, signal } = {}) {
    /** @type {Record<string, string>} */
    const headers = {};
    if (key !== undefined) headers["idempotency-key"] = key;
    if (body !== undefined) headers["content-type"] = "application/json";
    const text = body === undefined ? null : JSON.stringify(body);
    return this.#answer(await this.#send(path, method, headers, text, signal));
  }

  /**
   * Opens the stream over all chats.
   *
   * @param {{ afterSeq: number, logId: string | null, signal: AbortSignal }} from
   * @returns {Promise<Response>} A stream that has begun, never a refusal.
   * @throws {ProblemError | NetworkError}
   */
  async openStream({ afterSeq, logId, signal }) {
    const path = withQuery("/v1/stream", { after_seq: afterSeq, log_id: logId });
    const headers = { accept: "text/event-stream", "last-event-id": String(afterSeq) };
    const response = await this.#send(path, "GET", headers, null, signal);
    if (!response.ok) return this.#answer(response);
    const type = response.headers.get("content-type") ?? "";
    if (!type.startsWith("text/event-stream") || response.body === null) {
      // Somebody in between answers, such as a sign-in page.
      await response.body?.cancel();
      throw new ProblemError(502, { code: "no_stream", detail: "the answer is no event stream" });
    }
    return response;
  }

  /**
   * @param {string} path
   * @param {string} method
   * @param {Record<string, string>} headers
   * @param {string | null} body
   * @param {AbortSignal | undefined} signal
   */
  async #send(path, method, headers, body, signal) {
    const { baseUrl, fetch } = this.#options;
    const all = { accept: "application/json", ...this.#options.headers(), ...headers };
    try {
      return await fetch(baseUrl + path, {
        method,
        headers: all,
        body,
        cache: "no-store",
        signal: signal ?? null,
      });
    } catch (cause) {
      throw signal?.aborted ? cause : new NetworkError(cause);
    }
  }

  /** @param {Response} response @returns {Promise<any>} */
  async #answer(response) {
    let text;
    try {
      text = await response.text();
    } catch (cause) {
      throw new NetworkError(cause);
    }
    let body = null;
    try {
      body = JSON.parse(text);
    } catch {
      // Not the server's own answer; the status says what there is to say.
    }
    if (response.ok && body !== null) return body;
    const isObject = typeof body === "object" && body !== null;
    throw new ProblemError(response.ok ? 502 : response.status, isObject ? body : {});
  }
}

/**
 * The path of a chat or of something in it.
 *
 * @param {string} chatId
 * @param {...string} parts
 */
export function chatPath(chatId, ...parts) {
  return ["/v1/chats", chatId, ...parts]
    .map((part, at) => (at === 0 ? part : encodeURIComponent(part)))
    .join("/");
}

/** @param {string} path @param {Record<string, string | number | null | undefined>} query */
function withQuery(path, query) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return text === "" ? path : `${path}?${text}`;
}
