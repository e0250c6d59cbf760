/**
 * @module
 * What the events say so far: the list of chats, and the chats that are open.
 *
 * Pure. A state is never changed: each function answers a new one that shares with the old what is
 * the same, so that `===` tells whether a chat or a message changed. Snapshots and events come in
 * any order; what an event was folded into is never folded again. When to ask the server for what,
 * and how, is left to `client.js`.
 */

import { beginChat, foldChat, isOfChatRow } from "./fold/chat.js";
import { beginMessage, belongsTo, foldMessage } from "./fold/message.js";
import { foldQueue } from "./fold/queue.js";
import { foldRequests } from "./fold/request.js";

/** @typedef {import("./wire.js").Envelope} Envelope */
/** @typedef {import("./wire.js").ChatRow} ChatRow */
/** @typedef {import("./wire.js").MessageRow} MessageRow */
/** @typedef {import("./wire.js").QueueRow} QueueRow */
/** @typedef {import("./wire.js").RequestRow} RequestRow */

/**
 * The chats that are known, in no order.
 *
 * @typedef {object} ChatList
 * @property {ReadonlyMap<string, ChatRow>} rows By chat.
 * @property {number} asOfSeq The seq of its first page; what was before it is not asked for.
 * @property {string | null} nextCursor Where the next page of older chats begins; null if there is
 *   none, or no page was read yet.
 * @property {ReadonlyMap<string, number>} unknown Chats whose row has to be asked for, with the seq
 *   that it must have been read at, at least.
 * @property {ReadonlySet<string>} gone Chats that were deleted meanwhile.
 */

/**
 * A chat that is open: its last messages, without a gap.
 *
 * @typedef {object} ChatState
 * @property {string} chatId
 * @property {boolean} deleted Whether it was deleted; it is empty then.
 * @property {ChatRow | null} row
 * @property {readonly MessageRow[]} messages Ascending; ends with the newest.
 * @property {string | null} olderCursor Where the page before the first of them begins; null if
 *   there is none.
 * @property {readonly QueueRow[]} queue The next one first.
 * @property {readonly RequestRow[]} requests The oldest first.
 * @property {{ row: number, messages: number, queue: number, requests: number }} asOf The seq up to
 *   which each of them was answered or folded; an event up to there changes nothing in it.
 */

/** @typedef {{ list: ChatList, open: ReadonlyMap<string, ChatState> }} State */

/** @template T @typedef {{ items: T[], next_cursor: string | null, as_of_seq: number }} Page */

/**
 * What the server answered for a chat that is being opened.
 *
 * @typedef {object} Opening
 * @property {ChatRow & { as_of_seq: number }} row
 * @property {Page<MessageRow>} messages The newest ones.
 * @property {{ items: QueueRow[], as_of_seq: number }} queue
 * @property {{ items: RequestRow[], as_of_seq: number }} requests
 * @property {readonly Envelope[]} since The chat's events that came since before the first of these
 *   was asked for.
 */

/** @returns {State} Nothing is known yet. */
export function emptyState() {
  return {
    list: {
      rows: new Map(),
      asOfSeq: 0,
      nextCursor: null,
      unknown: new Map(),
      gone: new Set(),
    },
    open: new Map(),
  };
}

/**
 * Folds events in the order of their seqs, as many at once as there are.
 *
 * @param {State} state
 * @param {readonly Envelope[]} events
 * @returns {State}
 */
export function foldBatch(state, events) {
  if (events.length === 0) return state;
  const list = foldList(state.list, events);
  /** @type {Map<string, Envelope[]>} */
  const byChat = new Map();
  for (const event of events) {
    if (!state.open.has(event.chatId)) continue;
    const of = byChat.get(event.chatId);
    if (of) of.push(event);
    else byChat.set(event.chatId, [event]);
  }
  let open = state.open;
  for (const [chatId, of] of byChat) {
    const chat = open.get(chatId);
    const next = chat && foldOpen(chat, of);
    if (next && next !== chat) open = new Map(open).set(chatId, next);
  }
  return list === state.list && open === state.open ? state : { list, open };
}

/**
 * Begins the list with its first page; what was known is forgotten.
 *
 * @param {State} state
 * @param {Page<ChatRow>} page
 * @returns {State}
 */
export function seedList(state, page) {
  const list = { ...emptyState().list, asOfSeq: page.as_of_seq };
  return appendListPage({ ...state, list }, page);
}

/**
 * Adds a page of the list. A row that is there already stays: it is newer.
 *
 * @param {State} state
 * @param {Page<ChatRow>} page
 * @returns {State}
 */
export function appendListPage(state, page) {
  const list = draftOf(state.list);
  for (const row of page.items) {
    if (!list.rows.has(row.id)) putRow(list, row, page.as_of_seq);
  }
  return { ...state, list: { ...list, nextCursor: page.next_cursor } };
}

/**
 * Puts the row of a chat that was unknown into the list.
 *
 * It stays unknown if there were events meanwhile that the row does not contain.
 *
 * @param {State} state
 * @param {ChatRow} row
 * @param {number} asOfSeq
 * @returns {State}
 */
export function putListRow(state, row, asOfSeq) {
  const list = draftOf(state.list);
  putRow(list, row, asOfSeq);
  return { ...state, list };
}

/**
 * Takes a chat out of the list that the server no longer shows.
 *
 * @param {State} state
 * @param {string} chatId
 * @returns {State}
 */
export function removeListRow(state, chatId) {
  const list = draftOf(state.list);
  list.rows.delete(chatId);
  list.unknown.delete(chatId);
  return { ...state, list };
}

/**
 * Opens a chat, or opens it anew: its snapshots, and the events that came since.
 *
 * @param {State} state
 * @param {string} chatId
 * @param {Opening} opening
 * @returns {State}
 */
export function openChat(state, chatId, { row, messages, queue, requests, since }) {
  const { as_of_seq, ...chatRow } = row;
  /** @type {ChatState} */
  const chat = {
    chatId,
    deleted: false,
    row: chatRow,
    messages: messages.items,
    olderCursor: messages.next_cursor,
    queue: queue.items,
    requests: requests.items,
    asOf: {
      row: as_of_seq,
      messages: messages.as_of_seq,
      queue: queue.as_of_seq,
      requests: requests.as_of_seq,
    },
  };
  return { ...state, open: new Map(state.open).set(chatId, foldOpen(chat, since)) };
}

/**
 * Forgets what an open chat holds.
 *
 * @param {State} state
 * @param {string} chatId
 * @returns {State}
 */
export function closeChat(state, chatId) {
  const open = new Map(state.open);
  open.delete(chatId);
  return { ...state, open };
}

/**
 * Puts the page before the first message in front of it.
 *
 * @param {State} state
 * @param {string} chatId
 * @param {Page<MessageRow>} page
 * @param {readonly Envelope[]} since The chat's events that came since before it was asked for.
 * @returns {State} The same one if the page is not the one before.
 */
export function prependOlder(state, chatId, page, since) {
  const chat = state.open.get(chatId);
  if (!chat || chat.deleted) return state;
  const before = chat.messages[0]?.first_seq ?? Infinity;
  const older = page.items.filter((row) => row.first_seq < before);
  const messages = foldMessages([...older, ...chat.messages], since, Infinity);
  return withChat(state, { ...chat, messages, olderCursor: page.next_cursor });
}

/**
 * Lets go of all but the last messages of a chat; {@link prependOlder} brings them back.
 *
 * @param {State} state
 * @param {string} chatId
 * @param {number} keep Messages.
 * @returns {State}
 */
export function trimOlder(state, chatId, keep) {
  const chat = state.open.get(chatId);
  if (!chat || chat.messages.length <= keep) return state;
  const messages = chat.messages.slice(chat.messages.length - keep);
  // A page is asked for by the first seq of the message that it ends before.
  const olderCursor = messages[0] ? String(messages[0].first_seq) : chat.olderCursor;
  return withChat(state, { ...chat, messages, olderCursor });
}

/** @param {State} state @param {ChatState} chat @returns {State} */
function withChat(state, chat) {
  return { ...state, open: new Map(state.open).set(chat.chatId, chat) };
}

/**
 * A list that may be changed.
 *
 * @param {ChatList} list
 */
function draftOf(list) {
  return {
    ...list,
    rows: new Map(list.rows),
    unknown: new Map(list.unknown),
    gone: new Set(list.gone),
  };
}

/** @param {ReturnType<typeof draftOf>} list @param {ChatRow} row @param {number} asOfSeq */
function putRow(list, row, asOfSeq) {
  if (list.gone.has(row.id)) return;
  const { as_of_seq: _, ...rest } = /** @type {ChatRow & { as_of_seq?: number }} */ (row);
  list.rows.set(row.id, rest);
  if ((list.unknown.get(row.id) ?? 0) <= asOfSeq) list.unknown.delete(row.id);
}

/** @param {ChatList} list @param {readonly Envelope[]} events @returns {ChatList} */
function foldList(list, events) {
  /** @type {ReturnType<typeof draftOf> | null} */
  let draft = null;
  const change = () => (draft ??= draftOf(list));
  for (const event of events) {
    const { chatId, seq, kind } = event;
    const now = draft ?? list;
    const row = now.rows.get(chatId);
    if (now.gone.has(chatId)) continue;
    if (kind === "chat_deleted") {
      const to = change();
      to.rows.delete(chatId);
      to.unknown.delete(chatId);
      to.gone.add(chatId);
    } else if (kind === "chat_created") {
      if (!row && seq > now.asOfSeq) change().rows.set(chatId, beginChat(event));
    } else if (!isOfChatRow(event)) {
      continue;
    } else if (row && !now.unknown.has(chatId)) {
      const next = foldChat(row, event);
      if (next !== row) change().rows.set(chatId, next);
    } else if (seq > (now.unknown.get(chatId) ?? now.asOfSeq)) {
      change().unknown.set(chatId, seq);
    }
  }
  return draft ?? list;
}

/** @param {ChatState} chat @param {readonly Envelope[]} events @returns {ChatState} */
function foldOpen(chat, events) {
  if (chat.deleted) return chat;
  if (events.some((event) => event.kind === "chat_deleted")) {
    const { chatId, asOf } = chat;
    const nothing = { row: null, messages: [], olderCursor: null, queue: [], requests: [] };
    return { chatId, deleted: true, ...nothing, asOf };
  }
  let { row, queue, requests } = chat;
  const asOf = { ...chat.asOf };
  for (const event of events) {
    if (row && event.seq > asOf.row) row = foldChat(row, event);
    const next = event.seq > asOf.queue ? foldQueue(queue, event) : queue;
    // What changed nothing would change nothing again, so the rest need not be remembered.
    if (next !== queue) asOf.queue = event.seq;
    queue = next;
    const left = event.seq > asOf.requests ? foldRequests(requests, event) : requests;
    if (left !== requests) asOf.requests = event.seq;
    requests = left;
  }
  const messages = foldMessages(chat.messages, events, asOf.messages);
  if (messages !== chat.messages) asOf.messages = Math.max(asOf.messages, lastSeqOf(events));
  const isSame = row === chat.row && queue === chat.queue && requests === chat.requests;
  if (isSame && messages === chat.messages) return chat;
  return { ...chat, row, queue, requests, messages, asOf };
}

/** @param {readonly Envelope[]} events */
function lastSeqOf(events) {
  return events.at(-1)?.seq ?? 0;
}

/**
 * Folds events into messages; a message begins only after `asOfSeq`.
 *
 * @param {readonly MessageRow[]} rows
 * @param {readonly Envelope[]} events
 * @param {number} asOfSeq
 * @returns {readonly MessageRow[]}
 */
function foldMessages(rows, events, asOfSeq) {
  /** @type {MessageRow[] | null} */
  let draft = null;
  /** @type {Set<MessageRow>} */
  const owned = new Set();
  for (const event of events) {
    if (event.messageId === null) continue;
    const now = draft ?? rows;
    // The message of a turn is among the last; so this does not look at all of them.
    const at = now.findLastIndex((row) => row.id === event.messageId);
    const row = now[at];
    if (row && belongsTo(row, event)) {
      draft ??= [...rows];
      const next = foldMessage(row, event, owned.has(row));
      owned.add(next);
      draft[at] = next;
    } else if (!row && event.seq > asOfSeq) {
      const begun = beginMessage(event);
      if (!begun) continue;
      draft ??= [...rows];
      draft.push(begun);
      owned.add(begun);
    }
  }
  return draft ?? rows;
}
