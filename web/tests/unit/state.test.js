/**
 * @module
 * How answers and events come together: the list with its unknown chats, pages of older messages,
 * windows that are cut, chats that are deleted. What each event does to a row is held to the
 * server's rows by `golden.test.js`.
 */

import assert from "node:assert/strict";
import test from "node:test";

import {
  appendListPage,
  closeChat,
  emptyState,
  foldBatch,
  openChat,
  prependOlder,
  putListRow,
  removeListRow,
  seedList,
  trimOlder,
} from "../../client/state.js";

/** @typedef {import("../../client/wire.js").ChatRow} ChatRow */
/** @typedef {import("../../client/wire.js").Envelope} Envelope */
/** @typedef {import("../../client/wire.js").MessageRow} MessageRow */
/** @typedef {import("../../client/state.js").State} State */

/**
 * @param {string} chatId
 * @param {number} seq
 * @param {string} kind
 * @param {object} [payload]
 * @param {string | null} [messageId]
 * @returns {Envelope}
 */
function event(chatId, seq, kind, payload = {}, messageId = null) {
  const streamId = messageId?.startsWith("a") ? `t-${messageId}` : null;
  return { chatId, messageId, streamId, seq, at: `at ${seq}`, kind, payload };
}

/** @param {string} chatId @param {number} seq @param {string} id */
function said(chatId, seq, id) {
  return event(chatId, seq, "user_text", { text: id }, id);
}

/** @param {string} chatId @param {number} seq @param {string} id */
function started(chatId, seq, id) {
  return event(chatId, seq, "stream_started", { provider: "p", origin: "user" }, id);
}

/** @param {string} chatId @param {number} seq @param {string} id @param {string} text */
function delta(chatId, seq, id, text) {
  return event(chatId, seq, "assistant_text", { text }, id);
}

/** What the server has after these events. @param {string} chatId @param {Envelope[]} events */
function answersOf(chatId, events) {
  let state = foldBatch(emptyState(), [event(chatId, 1, "chat_created")]);
  const empty = { items: [], next_cursor: null, as_of_seq: 1 };
  const row = { ...rowOf(state, chatId), as_of_seq: 1 };
  const asked = { row, messages: empty, queue: empty, requests: empty, since: events };
  state = openChat(state, chatId, asked);
  const chat = state.open.get(chatId);
  assert.ok(chat?.row);
  const asOfSeq = events.at(-1)?.seq ?? 1;
  return JSON.parse(JSON.stringify({ ...chat, asOfSeq }));
}

/** @param {State} state @param {string} chatId @returns {ChatRow} */
function rowOf(state, chatId) {
  const row = state.list.rows.get(chatId);
  assert.ok(row, chatId);
  return row;
}

/** @param {ChatRow[]} items @param {number} as_of_seq @param {string | null} [next_cursor] */
function page(items, as_of_seq, next_cursor = null) {
  return { items, next_cursor, as_of_seq };
}

/** A state in which a chat is open, with a window of its messages. @param {Envelope[]} events */
function openWith(events, from = 0, cursor = /** @type {string | null} */ (null)) {
  const { row, messages, queue, requests, asOfSeq } = answersOf("c", events);
  return openChat(emptyState(), "c", {
    row: { ...row, as_of_seq: asOfSeq },
    messages: { items: messages.slice(from), next_cursor: cursor, as_of_seq: asOfSeq },
    queue: { items: queue, as_of_seq: asOfSeq },
    requests: { items: requests, as_of_seq: asOfSeq },
    since: [],
  });
}

/** @param {State} state */
function chatOf(state) {
  const chat = state.open.get("c");
  assert.ok(chat);
  return chat;
}

/** @param {State} state */
function idsOf(state) {
  return chatOf(state).messages.map((message) => message.id);
}

test("a new chat makes its row; one that is not in the list is asked for", () => {
  let state = seedList(emptyState(), page([], 10, "older"));
  assert.equal(state.list.nextCursor, "older");
  state = foldBatch(state, [event("new", 11, "chat_created", { title: "New" })]);
  assert.equal(rowOf(state, "new").title, "New");
  assert.equal(state.list.unknown.size, 0);
  const list = state.list;
  state = foldBatch(state, [delta("old", 12, "a1", "Hel"), event("old", 13, "custom")]);
  assert.equal(state.list, list, "what changes no row asks for none");
  state = foldBatch(state, [event("old", 9, "chat_created"), said("old", 10, "u0")]);
  assert.equal(state.list, list, "nor does what the first page has seen");
  state = foldBatch(state, [said("old", 14, "u1"), event("old", 15, "chat_viewed")]);
  assert.deepEqual([...state.list.unknown], [["old", 15]]);
});

test("a chat stays unknown until its row has what has happened", () => {
  const created = answersOf("old", []).row;
  let state = foldBatch(emptyState(), [said("old", 14, "u1")]);
  state = putListRow(state, created, 13);
  assert.ok(state.list.unknown.has("old"));
  state = foldBatch(state, [said("old", 16, "u2")]);
  state = putListRow(state, answersOf("old", [said("old", 14, "u1")]).row, 15);
  assert.deepEqual([...state.list.unknown], [["old", 16]]);
  const both = [said("old", 14, "u1"), said("old", 16, "u2")];
  state = putListRow(state, answersOf("old", both).row, 16);
  assert.equal(state.list.unknown.size, 0);
  state = foldBatch(state, [said("old", 17, "u3")]);
  assert.equal(rowOf(state, "old").counts.messages, 3);
});

test("a page that comes late neither overwrites nor brings back", () => {
  const { row } = answersOf("c", []);
  let state = seedList(emptyState(), page([row], 5, "more"));
  state = foldBatch(state, [event("c", 8, "chat_updated", { title: "Later" })]);
  state = foldBatch(state, [event("gone", 9, "chat_deleted")]);
  const late = page([row, { ...row, id: "gone" }, { ...row, id: "older" }], 7);
  state = appendListPage(state, late);
  assert.equal(rowOf(state, "c").title, "Later");
  assert.deepEqual([...state.list.rows.keys()], ["c", "older"]);
  assert.equal(state.list.nextCursor, null);
  state = foldBatch(state, [event("gone", 10, "chat_updated", { title: "x" })]);
  assert.equal(state.list.unknown.size, 0);
});

test("a chat that the server does not show leaves the list", () => {
  let state = foldBatch(emptyState(), [said("c", 3, "u1")]);
  state = removeListRow(state, "c");
  assert.equal(state.list.unknown.size, 0);
  assert.equal(state.list.rows.size, 0);
});

test("a deleted chat is empty, says so, and stays so", () => {
  let state = openWith([said("c", 2, "u1"), started("c", 3, "a1")]);
  state = foldBatch(state, [event("c", 4, "chat_deleted"), delta("c", 5, "a1", "x")]);
  const { deleted, row, messages, queue, requests, olderCursor } = chatOf(state);
  assert.deepEqual([deleted, row, olderCursor], [true, null, null]);
  assert.deepEqual([messages, queue, requests], [[], [], []]);
  const after = foldBatch(state, [said("c", 6, "u2")]);
  assert.equal(chatOf(after), chatOf(state));
  const answer = { items: [], next_cursor: null, as_of_seq: 3 };
  assert.equal(prependOlder(state, "c", answer, []), state);
  assert.equal(closeChat(state, "c").open.size, 0);
});

test("an older page goes in front, and takes what has come meanwhile", () => {
  const events = [said("c", 2, "u1"), started("c", 3, "a1"), delta("c", 4, "a1", "Hel")];
  const later = [said("c", 5, "u2"), said("c", 6, "u3")];
  let state = openWith([...events, ...later], 2, "5");
  assert.deepEqual(idsOf(state), ["u2", "u3"]);
  const since = [delta("c", 7, "a1", "lo"), said("c", 8, "u4"), delta("c", 9, "a1", "!")];
  state = foldBatch(state, since.slice(0, 2));
  const older = answersOf("c", events).messages;
  state = foldBatch(state, since.slice(2));
  const answer = { items: older, next_cursor: null, as_of_seq: 6 };
  state = prependOlder(state, "c", answer, since);
  assert.deepEqual(idsOf(state), ["u1", "a1", "u2", "u3", "u4"]);
  assert.equal(chatOf(state).messages[1]?.content_text, "Hello!");
  assert.equal(chatOf(state).olderCursor, null);
  state = foldBatch(state, [delta("c", 10, "a1", "!")]);
  assert.equal(chatOf(state).messages[1]?.content_text, "Hello!!");
});

test("rows of a page that are there already are not overwritten", () => {
  const events = [said("c", 2, "u1"), started("c", 3, "a1"), delta("c", 4, "a1", "Hel")];
  const before = answersOf("c", events).messages;
  let state = openWith(events, 1, "3");
  state = foldBatch(state, [delta("c", 5, "a1", "lo")]);
  state = prependOlder(state, "c", { items: before, next_cursor: null, as_of_seq: 4 }, []);
  assert.deepEqual(idsOf(state), ["u1", "a1"]);
  assert.equal(chatOf(state).messages[1]?.content_text, "Hello");
});

test("a window that was cut is brought back, and nothing of it comes twice", () => {
  const events = Array.from({ length: 10 }, (_, i) => said("c", i + 2, `u${i}`));
  const all = answersOf("c", events).messages;
  let state = openWith(events.slice(0, 5));
  state = foldBatch(state, events.slice(5));
  const cut = trimOlder(state, "c", 3);
  assert.deepEqual(idsOf(cut), ["u7", "u8", "u9"]);
  assert.equal(chatOf(cut).olderCursor, "9", "the seq of the first that is left");
  assert.equal(trimOlder(cut, "c", 3), cut);
  assert.deepEqual(idsOf(foldBatch(cut, events)), ["u7", "u8", "u9"]);
  const answer = { items: all.slice(0, 7), next_cursor: null, as_of_seq: 11 };
  assert.deepEqual(chatOf(prependOlder(cut, "c", answer, [])).messages, all);
});

test("what nothing changed is the same object", () => {
  const state = seedList(openWith([said("c", 2, "u1")]), page([], 5));
  assert.equal(foldBatch(state, []), state);
  assert.equal(foldBatch(state, [event("c", 3, "custom"), event("d", 4, "session")]), state);
  assert.equal(foldBatch(state, [delta("c", 5, "a9", "of no message")]), state);
  assert.equal(foldBatch(state, [said("c", 2, "u1")]), state);
});
