/**
 * @module
 * What the inspector asks of the server, and the shapes of the answers that only it reads.
 *
 * All but one are reads; the rebuild of a view is the one thing that the page can set going.
 */

/** @typedef {import("../client/wire.js").Envelope} Envelope */
/** @typedef {import("./address.js").Filter} Filter */

/**
 * @typedef {object} LogState
 * @property {string} log_id
 * @property {number} head_seq
 * @property {string | null} [head_at]
 * @property {number} [log_bytes]
 * @property {number} [wal_bytes]
 * @property {number} [views_bytes]
 * @property {number} [readers]
 * @property {number} [appended_total]
 * @property {string} [server_version]
 * @property {string} [sqlite_version]
 * @property {number} [format_version]
 */

/**
 * A page of events in ascending order, and how to go on from it in both directions.
 *
 * @typedef {object} EventPage
 * @property {readonly Envelope[]} items
 * @property {number | null} [next_after_seq]
 * @property {number | null} [next_before_seq] Null once the beginning was reached.
 * @property {number} [scanned_through]
 * @property {number} head_seq
 */

/**
 * @typedef {object} StoredForm
 * @property {number} kind_number
 * @property {number} version
 * @property {number | null} [format_byte]
 * @property {number} payload_bytes
 * @property {string} payload_hex
 * @property {boolean} erased
 * @property {boolean} [is_payload_cut] Whether only the beginning of the payload is here.
 * @property {"intact" | "erased" | "damaged"} [payload_state] What its checksum says.
 * @property {Record<string, unknown>} [batch]
 */

/**
 * @typedef {object} EventDetail
 * @property {Envelope | null} envelope Null if it does not decode.
 * @property {string | null} [unreadable] Why it does not.
 * @property {StoredForm} stored
 */

/**
 * @typedef {object} TurnPage
 * @property {readonly import("./lane.js").Run[]} items
 * @property {string} [started_at]
 * @property {number | null} [next_after_seq]
 */

/** @typedef {{ chat_id: string, seq: number, cause: string }} Parked */

/**
 * @typedef {object} Rebuild
 * @property {"running" | "checking" | "done" | "failed"} state
 * @property {number} checkpoint_seq
 * @property {number} head_seq
 * @property {number | null} [events_per_second]
 * @property {number | null} [seconds_left]
 * @property {unknown} [check] Null, `equal`, or the first difference.
 * @property {string | null} [cause] Why it failed.
 */

/**
 * @typedef {object} ProjectionState
 * @property {string} name
 * @property {number} version
 * @property {number} checkpoint_seq
 * @property {number} behind_events
 * @property {number} behind_seconds
 * @property {"working" | "failing" | "ended"} [health]
 * @property {string | null} [cause] Why it is not working.
 * @property {readonly Parked[]} parked
 * @property {Rebuild | null} rebuild
 */

/** @typedef {import("../client/wire.js").MessageRow & { as_of_seq: number }} MessageState */

/** What the server answered instead, as its problem document says it. */
export class CallError extends Error {
  /**
   * @param {number} status 0 where no answer came.
   * @param {string} code
   * @param {string} detail
   */
  constructor(status, code, detail) {
    super(detail);
    this.name = "CallError";
    this.status = status;
    this.code = code;
  }

  /** Whether the server was not reached at all. */
  get isOffline() {
    return this.status === 0;
  }
}

/** @typedef {{ afterSeq: number } | { beforeSeq: number } | null} From */

/** Calls of one server. */
export class Calls {
  #fetch;

  /** @param {typeof globalThis.fetch} fetch */
  constructor(fetch) {
    this.#fetch = fetch;
  }

  /** @returns {Promise<LogState>} */
  log() {
    return this.#get("/v1/log");
  }

  /**
   * A page of the events that pass a filter; the newest ones if no place is given.
   *
   * @param {Filter} filter
   * @param {From} from
   * @param {number} limit
   * @param {AbortSignal} [signal]
   * @returns {Promise<EventPage>}
   */
  events(filter, from, limit, signal) {
    const params = new URLSearchParams({ limit: String(limit) });
    if (from && "afterSeq" in from) params.set("after_seq", String(from.afterSeq));
    if (from && "beforeSeq" in from) params.set("before_seq", String(from.beforeSeq));
    const { chat, message, turn, text, kinds } = filter;
    const named = { chat, message, turn, text, kind: kinds.join(",") };
    for (const [name, value] of Object.entries(named)) if (value) params.set(name, value);
    return this.#get(`/v1/log/events?${params}`, signal);
  }

  /**
   * @param {number} seq
   * @param {AbortSignal} [signal]
   * @returns {Promise<EventDetail>}
   */
  event(seq, signal) {
    return this.#get(`/v1/log/events/${seq}`, signal);
  }

  /**
   * A message as it was at a seq; at the head with null.
   *
   * @param {string} chat
   * @param {string} message
   * @param {number | null} at
   * @param {AbortSignal} [signal]
   * @returns {Promise<MessageState>}
   */
  message(chat, message, at, signal) {
    const query = at === null ? "" : `?at_seq=${at}`;
    return this.#get(`/v1/chats/${part(chat)}/messages/${part(message)}${query}`, signal);
  }

  /**
   * A page of the time line of a turn.
   *
   * @param {string} chat
   * @param {string} turn
   * @param {number} after `next_after_seq` of the page before; 0 for the first.
   * @param {AbortSignal} [signal]
   * @returns {Promise<TurnPage>}
   */
  turn(chat, turn, after, signal) {
    const query = after === 0 ? "" : `?after_seq=${after}`;
    return this.#get(`/v1/chats/${part(chat)}/turns/${part(turn)}${query}`, signal);
  }

  /** @returns {Promise<{ items: readonly ProjectionState[], head_seq: number }>} */
  projections() {
    return this.#get("/v1/projections");
  }

  /**
   * Begins to fold a view anew, or to compare it with what the log implies.
   *
   * @param {string} name
   * @param {boolean} check
   * @returns {Promise<unknown>}
   */
  rebuild(name, check) {
    return this.#call(`/v1/projections/${part(name)}/rebuild`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ check }),
    });
  }

  /**
   * The chats of late, for their titles.
   *
   * @returns {Promise<{ items: readonly { id: string, title: string | null }[] }>}
   */
  chats() {
    return this.#get("/v1/chats?limit=500");
  }

  /**
   * @param {string} path
   * @param {AbortSignal} [signal]
   */
  #get(path, signal) {
    return this.#call(path, signal ? { signal } : {});
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @returns {Promise<any>}
   */
  async #call(path, init) {
    const response = await this.#fetch.call(globalThis, path, init).catch((cause) => {
      if (init.signal?.aborted) throw cause;
      throw new CallError(0, "unreachable", "the server cannot be reached");
    });
    const text = await response.text();
    const body = parse(text);
    if (response.ok && body !== undefined) return body;
    const { code, detail } = body && typeof body === "object" ? body : {};
    const said = typeof detail === "string" ? detail : `the server answered ${response.status}`;
    throw new CallError(response.status, typeof code === "string" ? code : "unknown", said);
  }
}

/** @param {string} id */
function part(id) {
  return encodeURIComponent(id);
}

/** @param {string} text */
function parse(text) {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
