/**
 * @module
 * Holds the client's folds to the rows of the server: `tests/golden/*.json`, written by a test of
 * `projections`, says which rows follow from a log after every event of it.
 *
 * From whatever seq a client begins, and however the events come in batches, it comes to the same.
 */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

import { emptyState, foldBatch, openChat, seedList } from "../../client/state.js";

/** @typedef {import("../../client/wire.js").ChatRow} ChatRow */
/** @typedef {import("../../client/wire.js").Envelope} Envelope */
/** @typedef {import("../../client/wire.js").MessageRow} MessageRow */
/** @typedef {import("../../client/wire.js").QueueRow} QueueRow */
/** @typedef {import("../../client/wire.js").RequestRow} RequestRow */
/** @typedef {import("../../client/state.js").State} State */
/** @template T @typedef {{ chat: string, id: string, row: T | null }} Changed */

/**
 * A line of a golden file.
 *
 * @typedef {object} Line
 * @property {number} seq
 * @property {Envelope | null} envelope
 * @property {Changed<MessageRow>[]} [messages]
 * @property {Changed<ChatRow>[]} [chats]
 * @property {Changed<QueueRow[]>[]} [queue]
 * @property {Changed<RequestRow[]>[]} [requests]
 */

/**
 * What the server would answer of a chat at a seq.
 *
 * @typedef {object} Answer
 * @property {ChatRow | null} row
 * @property {MessageRow[]} messages
 * @property {QueueRow[]} queue
 * @property {RequestRow[]} requests
 */

const dir = new URL("../golden/", import.meta.url);
const names = readdirSync(dir).filter((name) => name.endsWith(".json"));

/** @param {string} name @returns {Line[]} */
function linesOf(name) {
  return JSON.parse(readFileSync(new URL(name, dir), "utf8"));
}

/**
 * The answers after each line; the first are those before any.
 *
 * @param {Line[]} lines
 * @returns {ReadonlyMap<string, Answer>[]}
 */
function answersOf(lines) {
  /** @type {ReadonlyMap<string, Answer>[]} */
  const out = [new Map()];
  for (const line of lines) {
    const answers = new Map(out.at(-1));
    const of = (/** @type {string} */ chat) =>
      answers.get(chat) ?? { row: null, messages: [], queue: [], requests: [] };
    for (const { chat, row } of line.chats ?? []) answers.set(chat, { ...of(chat), row });
    for (const { chat, row } of line.queue ?? []) {
      answers.set(chat, { ...of(chat), queue: row ?? [] });
    }
    for (const { chat, row } of line.requests ?? []) {
      answers.set(chat, { ...of(chat), requests: row ?? [] });
    }
    for (const { chat, id, row } of line.messages ?? []) {
      const messages = of(chat).messages.filter((message) => message.id !== id);
      if (row) messages.push(row);
      messages.sort((a, b) => a.first_seq - b.first_seq);
      answers.set(chat, { ...of(chat), messages });
    }
    out.push(answers);
  }
  return out;
}

/** @param {Line[]} lines @returns {Envelope[]} */
function envelopesOf(lines) {
  return lines.flatMap(({ envelope }) => (envelope ? [envelope] : []));
}

/**
 * Rows as they come over the wire: nothing that was remembered beside them comes with them.
 *
 * @template T @param {T} value @returns {T}
 */
function sent(value) {
  return JSON.parse(JSON.stringify(value));
}

/**
 * A client that has asked for all at a seq.
 *
 * @param {ReadonlyMap<string, Answer>} answers
 * @param {number} seq
 * @returns {State}
 */
function seeded(answers, seq) {
  const rows = [...answers.values()].flatMap(({ row }) => (row ? [row] : []));
  const page = { items: sent(rows), next_cursor: null, as_of_seq: seq };
  let state = seedList(emptyState(), page);
  for (const [chatId, answer] of answers) state = opened(state, chatId, answer, seq, []);
  return state;
}

/**
 * @param {State} state
 * @param {string} chatId
 * @param {Answer} answer
 * @param {number} seq
 * @param {Envelope[]} since
 */
function opened(state, chatId, answer, seq, since) {
  const { row, messages, queue, requests } = sent(answer);
  if (row === null) return state;
  return openChat(state, chatId, {
    row: { ...row, as_of_seq: seq },
    messages: { items: messages, next_cursor: null, as_of_seq: seq },
    queue: { items: queue, as_of_seq: seq },
    requests: { items: requests, as_of_seq: seq },
    since,
  });
}

/**
 * @param {State} state
 * @param {ReadonlyMap<string, Answer>} answers
 * @param {string} when
 */
function check(state, answers, when) {
  const rows = [...answers].flatMap(([chat, { row }]) => (row ? [[chat, row]] : []));
  assert.deepEqual(Object.fromEntries(state.list.rows), Object.fromEntries(rows), when);
  for (const [chatId, chat] of state.open) {
    const { row, messages, queue, requests } = chat;
    const expected = answers.get(chatId);
    assert.deepEqual({ row, messages, queue, requests }, expected, `${chatId} ${when}`);
    assert.equal(chat.deleted, expected?.row === null, `${chatId} ${when}`);
  }
}

test("the golden files are there", () => {
  assert.ok(names.length > 15);
});

for (const name of names) {
  const lines = linesOf(name);
  const answers = answersOf(lines);

  test(`${name}: from any seq, in batches of any size, to the same rows`, () => {
    for (const batch of [1, 7, Infinity]) {
      // A chat is followed from where it begins; who begins later asks for what there is.
      for (let from = 0; from < lines.length; from += 1) {
        let state = seeded(answers[from] ?? new Map(), from);
        /** @type {[State, number][]} */
        const states = [[state, from]];
        for (let at = from; at < lines.length; at += batch) {
          const to = Math.min(at + batch, lines.length);
          state = foldBatch(state, sent(envelopesOf(lines.slice(at, to))));
          states.push([state, to]);
        }
        // Looked at in the end: what a reader was given is never changed.
        for (const [then, seq] of states) {
          check(then, answers[seq] ?? new Map(), `seeded at ${from}, at ${seq} by ${batch}`);
        }
      }
    }
  });

  test(`${name}: an event that comes again changes nothing`, () => {
    for (const again of [6, Infinity]) {
      let state = seeded(answers[0] ?? new Map(), 0);
      for (let at = 0; at < lines.length; at += 1) {
        const now = answers[at + 1] ?? new Map();
        const first = Math.max(0, at - again);
        state = foldBatch(state, sent(envelopesOf(lines.slice(first, at + 1))));
        // A few of the past by themselves, too: what undid them does not come again.
        for (let old = first; old < at; old += 1) {
          state = foldBatch(state, sent(envelopesOf(lines.slice(old, old + 1))));
        }
        check(state, now, `${again} again, at ${at + 1}`);
        // Whoever opens a chat is sent what its answers contain, too.
        for (const [chatId, answer] of now) {
          if (!state.open.has(chatId)) state = opened(state, chatId, answer, at + 1, []);
        }
      }
    }
  });

  test(`${name}: answers of different seqs, and what came meanwhile`, () => {
    const all = envelopesOf(lines);
    const end = answers.at(-1) ?? new Map();
    for (let seq = 1; seq < lines.length; seq += 1) {
      const before = answers[seq - 1] ?? new Map();
      const now = answers[seq] ?? new Map();
      let state = seedList(emptyState(), { items: [], next_cursor: null, as_of_seq: 0 });
      for (const [chatId, { row }] of before) {
        const late = now.get(chatId);
        if (!row || !late?.row) continue;
        const answer = sent(late);
        state = openChat(state, chatId, {
          row: { ...sent(row), as_of_seq: seq - 1 },
          messages: { items: answer.messages, next_cursor: null, as_of_seq: seq },
          queue: { items: sent(before.get(chatId)?.queue ?? []), as_of_seq: seq - 1 },
          requests: { items: answer.requests, as_of_seq: seq },
          since: all.filter((event) => event.chatId === chatId),
        });
        const { row: got, messages, queue, requests } = state.open.get(chatId) ?? {};
        assert.deepEqual({ row: got, messages, queue, requests }, end.get(chatId), `${seq}`);
      }
    }
  });
}
