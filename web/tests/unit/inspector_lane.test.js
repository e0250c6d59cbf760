// Lanes of turns: what is where on them, and that the sums add up to the turn.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gapsOf, laneOf } from "../../inspector/lane.js";

/**
 * @param {number} seq
 * @param {string} kind
 * @param {number} after_ms
 * @param {number} [duration_ms]
 * @param {number} [n_events]
 */
const run = (seq, kind, after_ms, duration_ms = 0, n_events = 1) => ({
  ...{ kind, first_seq: seq, last_seq: seq + n_events - 1, after_ms, duration_ms, n_events },
});

/**
 * @param {number} seq
 * @param {string} kind
 * @param {any} payload
 */
const named = (seq, kind, payload) => ({
  ...{ chatId: "c1", messageId: "m1", streamId: "t1", seq, at: "2026-11-22T20:52:00.123Z" },
  ...{ kind, payload },
});

const spansOf = (/** @type {import("../../inspector/lane.js").Lane} */ lane) =>
  lane.spans.map(({ doing, label, fromMs, toMs, state }) =>
    `${fromMs}-${toMs} ${doing} ${label} ${state}`);

const sumsOf = (/** @type {import("../../inspector/lane.js").Lane} */ lane) =>
  Object.fromEntries(lane.sums.map(({ doing, ms }) => [doing, ms]));

test("a turn is split into waiting, speaking, tools and silence", () => {
  const runs = [
    run(1, "stream_started", 0),
    run(2, "assistant_text", 800, 1_200, 20),
    run(22, "tool_started", 2_000),
    run(23, "tool_failed", 2_900),
    run(24, "assistant_text", 5_000, 1_000, 9),
    run(33, "usage", 6_000),
    run(34, "complete", 6_000),
  ];
  const tool = { id: "x", name: "read_csv" };
  const events = [
    named(22, "tool_started", { tool }),
    named(23, "tool_failed", { tool: { ...tool, error: "no" } }),
  ];
  const lane = laneOf(runs, events, 99_000);
  assert.deepEqual(spansOf(lane), [
    "0-800 starting until the first token done",
    "800-2000 speaking text · 20 done",
    "2000-2900 tool read_csv failed",
    "5000-6000 speaking text · 9 done",
  ]);
  assert.deepEqual(sumsOf(lane), { tool: 900, speaking: 2_200, starting: 800, silent: 2_100 });
  assert.equal(lane.lengthMs, 6_000, "an ended turn does not grow");
  assert.equal(lane.firstTokenMs, 800);
  assert.deepEqual(gapsOf(lane), [{ fromMs: 2_900, toMs: 5_000 }]);
  assert.deepEqual(lane.marks.map(({ kind }) => kind), ["stream_started", "usage", "complete"]);
  assert.equal(lane.end?.kind, "complete");
});

test("tools side by side are spans of their own, and an update is none", () => {
  const runs = [
    run(1, "stream_started", 0),
    run(2, "tool_started", 100),
    run(3, "tool_started", 200),
    run(4, "tool_started", 300),
    run(5, "tool_completed", 700),
    run(6, "tool_completed", 900),
    run(7, "complete", 1_000),
  ];
  const [a, b] = ["a", "b"].map((id) => ({ tool: { id, name: id } }));
  const events = [
    named(2, "tool_started", a),
    named(3, "tool_started", b),
    named(4, "tool_started", a),
    named(5, "tool_completed", b),
    named(6, "tool_completed", a),
  ];
  const lane = laneOf(runs, events, 0);
  assert.deepEqual(spansOf(lane), [
    "0-100 starting before anything was said done",
    "100-900 tool a done",
    "200-700 tool b done",
  ]);
  assert.deepEqual(sumsOf(lane), { tool: 800, starting: 100, silent: 100 });
});

test("a tool that was updated is open until it ends, also beside one of its name", () => {
  const runs = [
    run(1, "stream_started", 0),
    run(2, "tool_started", 0),
    run(3, "tool_started", 100),
    run(4, "tool_started", 200),
    run(5, "tool_completed", 300),
  ];
  const tool = (/** @type {string} */ id) => ({ tool: { id, name: "read" } });
  const events = [
    named(2, "tool_started", tool("a")),
    named(3, "tool_started", tool("b")),
    named(4, "tool_started", tool("a")),
    named(5, "tool_completed", tool("b")),
  ];
  assert.deepEqual(spansOf(laneOf(runs, events, 900)), [
    "0-900 tool read open",
    "100-300 tool read done",
  ]);
});

test("time that a person is waited for counts as that, whatever else is open", () => {
  const runs = [
    run(1, "stream_started", 0),
    run(2, "tool_started", 0),
    run(3, "permission_request", 10),
    run(4, "permission_resolved", 4_010),
    run(5, "tool_completed", 5_000),
  ];
  const events = [
    named(2, "tool_started", { tool: { id: "a", name: "rm" } }),
    named(3, "permission_request", { request_id: "r", tool: { title: "rm -rf build" } }),
    named(4, "permission_resolved", { request_id: "r", outcome: "selected" }),
    named(5, "tool_completed", { tool: { id: "a", name: "rm" } }),
  ];
  const lane = laneOf(runs, events, 6_000);
  assert.deepEqual(sumsOf(lane), { waiting: 4_000, tool: 1_000, silent: 1_000 });
  assert.equal(lane.spans[1]?.label, "approval rm -rf build");
  assert.equal(lane.end, null);
});

test("what an open turn waits for lasts until now", () => {
  const runs = [run(1, "stream_started", 0), run(2, "permission_request", 500)];
  const events = [named(2, "permission_request", { request_id: "r" })];
  const lane = laneOf(runs, events, 9_000);
  assert.deepEqual(spansOf(lane), [
    "0-500 starting before anything was said done",
    "500-9000 waiting approval open",
  ]);
  assert.deepEqual(spansOf(laneOf([run(1, "stream_started", 0)], [], 2_000)), [
    "0-2000 starting before anything was said open",
  ]);
});
