/**
 * @module
 * What folding costs: nothing that grows with the length of a message or of a chat.
 *
 * Processor time is measured, so that a busy machine fails nothing; it is compared within a run,
 * and with bounds that are far from what was measured.
 */

import assert from "node:assert/strict";
import test from "node:test";

import { emptyState, foldBatch, openChat } from "../../client/state.js";

/** @typedef {import("../../client/wire.js").Envelope} Envelope */
/** @typedef {import("../../client/state.js").State} State */

/** Milliseconds that the process has computed for. */
function cpuMs() {
  return process.cpuUsage().user / 1_000;
}

const AT = "2026-11-22T20:52:00.000Z";

/** @param {number} seq @param {string} kind @param {object} payload @param {string} message */
function event(seq, kind, payload, message = "m1") {
  const streamId = kind === "user_text" ? null : "t1";
  return /** @type {Envelope} */ ({
    ...{ chatId: "c1", messageId: message, streamId, seq, at: AT, kind, payload },
  });
}

/** @param {number} n @returns {{ state: State, seq: number }} A chat of so many messages. */
function chatOf(n) {
  let state = emptyState();
  const nothing = { items: [], next_cursor: null, as_of_seq: 0 };
  const of = { chatId: "c1", messageId: null, streamId: null, seq: 1, at: AT };
  state = foldBatch(state, [{ ...of, kind: "chat_created", payload: {} }]);
  const row = state.list.rows.get("c1");
  assert.ok(row);
  const asked = { row: { ...row, as_of_seq: 1 }, messages: nothing, queue: nothing };
  state = openChat(state, "c1", { ...asked, requests: nothing, since: [] });
  const users = Array.from({ length: n }, (_, i) =>
    event(i + 2, "user_text", { text: `message ${i}` }, `u${i}`),
  );
  state = foldBatch(state, users);
  const started = event(n + 2, "stream_started", { provider: "p", origin: "user" });
  return { state: foldBatch(state, [started]), seq: n + 2 };
}

/**
 * Folds deltas in batches; the milliseconds that each took, and what came out.
 *
 * @param {{ state: State, seq: number }} from
 * @param {number} n
 * @param {number} batch
 * @param {(i: number) => string} textOf
 */
function foldDeltas({ state, seq }, n, batch, textOf) {
  /** @type {number[]} */
  const took = [];
  for (let i = 0; i < n; i += batch) {
    const events = Array.from({ length: Math.min(batch, n - i) }, (_, k) =>
      event(seq + 1 + i + k, "assistant_text", { text: textOf(i + k) }),
    );
    const began = cpuMs();
    state = foldBatch(state, events);
    took.push(cpuMs() - began);
  }
  return { took, state };
}

/** @param {number[]} times */
function sum(times) {
  return times.reduce((total, time) => total + time, 0);
}

/** @param {State} state */
function lastMessage(state) {
  const message = state.open.get("c1")?.messages.at(-1);
  assert.ok(message);
  return message;
}

test("100,000 deltas of one message fold within a second, the last as fast as the first", (t) => {
  const n = 100_000;
  // One by one is slower: each delta then makes a state of its own.
  for (const [batch, msMax] of /** @type {const} */ ([[1, 5_000], [10, 1_000], [1_000, 1_000]])) {
    foldDeltas(chatOf(1), n / 10, batch, () => "warm ");
    const { took, state } = foldDeltas(chatOf(1), n, batch, (i) => `d${i} `);
    const tenth = took.length / 10;
    const [first, last] = [sum(took.slice(0, tenth)), sum(took.slice(-tenth))];
    const tenths = `first tenth ${first.toFixed(1)}, last ${last.toFixed(1)}`;
    const all = `${sum(took).toFixed(0)} ms, ${tenths}`;
    t.diagnostic(`in batches of ${batch}: ${all}`);
    const text = Array.from({ length: n }, (_, i) => `d${i} `).join("");
    assert.equal(lastMessage(state).content_text, text);
    assert.ok(sum(took) < msMax, `in batches of ${batch}: ${all}`);
    assert.ok(last < 5 * first + 20, `in batches of ${batch}: ${all}`);
  }
});

test("a text full of tags costs no more than one without", (t) => {
  const n = 20_000;
  const tag = '<prompt_suggestions>["a"]</prompt_suggestions>';
  const { took, state } = foldDeltas(chatOf(1), n, 1, (i) => (i % 2 ? tag : "some words and "));
  const [first, last] = [sum(took.slice(0, n / 10)), sum(took.slice(-n / 10))];
  t.diagnostic(`first tenth ${first.toFixed(1)} ms, last ${last.toFixed(1)} ms`);
  assert.equal(lastMessage(state).content_text.length, (n / 2) * "some words and ".length);
  assert.ok(last < 5 * first + 20, `first tenth ${first} ms, last ${last} ms`);
});

test("a tag that is never closed costs its deltas", (t) => {
  const n = 20_000;
  const text = (/** @type {number} */ i) => (i === 0 ? "<prompt_suggestions>[" : "é<");
  const { took } = foldDeltas(chatOf(1), n, 1, text);
  t.diagnostic(`${sum(took).toFixed(0)} ms`);
  assert.ok(sum(took) < 1_000);
});

test("a delta in a chat of 10,000 messages", (t) => {
  const { took } = foldDeltas(chatOf(10_000), 10_000, 1, () => "delta ");
  t.diagnostic(`${((sum(took) / took.length) * 1_000).toFixed(1)} µs each`);
  assert.ok(sum(took) / took.length < 0.5);
});

test("what no event touched keeps its identity", () => {
  const from = chatOf(100);
  const { state } = foldDeltas(from, 10, 5, () => "delta ");
  const [before, after] = [from.state.open.get("c1"), state.open.get("c1")];
  assert.equal(state.list, from.state.list);
  assert.equal(after?.row, before?.row);
  assert.equal(after?.queue, before?.queue);
  assert.equal(after?.requests, before?.requests);
  assert.notEqual(after?.messages, before?.messages);
  for (let i = 0; i < 100; i += 1) assert.equal(after?.messages[i], before?.messages[i]);
});
