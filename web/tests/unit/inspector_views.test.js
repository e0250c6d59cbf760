// What the inspector says of views: what is wrong, how a rebuild stands, and bytes.

import assert from "node:assert/strict";
import { test } from "node:test";
import { hexDump } from "../../inspector/event_panels.js";
import { lagOf, rebuildText, troublesOf } from "../../inspector/view_health.js";

/** @typedef {import("../../inspector/calls.js").ProjectionState} ProjectionState */

/**
 * A view that is well, but for this.
 *
 * @param {Partial<ProjectionState>} change
 * @returns {ProjectionState}
 */
const view = (change) => ({
  ...{ name: "search", version: 1, checkpoint_seq: 90, behind_events: 0, behind_seconds: 0 },
  ...{ parked: [], rebuild: null },
  ...change,
});

const troubles = (/** @type {ProjectionState[]} */ ...views) =>
  troublesOf(views, "http://localhost", { onParked: () => {}, onViews: () => {} });

const running = /** @type {import("../../inspector/calls.js").Rebuild} */ ({
  ...{ state: "running", checkpoint_seq: 500, head_seq: 1_000, events_per_second: 250 },
  ...{ seconds_left: 2, check: null },
});

test("a parked chat comes before a view that lags, and both say what to do", () => {
  const parked = [{ chat_id: "c1", seq: 76, cause: "turn t9 is open already" }];
  const lagging = view({ behind_events: 48_213, behind_seconds: 94 });
  const found = troubles(lagging, view({ name: "messages", parked }));
  assert.deepEqual(
    found.map(({ title, command }) => [title, command]),
    [
      [
        "Chat c1 stands still in messages at seq 76.",
        "scrollback rebuild --projection messages",
      ],
      ["search is 48\u202f213 events behind.", "curl -s http://localhost/readyz"],
    ],
  );
  assert.match(found[0]?.words ?? "", /^turn t9 is open already\./);
});

test("a view that fails, or that a check found to differ, comes first", () => {
  const done = /** @type {const} */ ("done");
  const differs = { ...running, state: done, check: { message: "row m1" } };
  const found = troubles(
    view({ behind_events: 900, behind_seconds: 60, health: "failing", cause: "disk full" }),
    view({ name: "chats", rebuild: differs }),
  );
  assert.deepEqual(found.map(({ title }) => title), [
    "search fails and is tried again.",
    "chats differs from what the log implies.",
    "search is 900 events behind.",
  ]);
  assert.equal(found[1]?.command, "scrollback rebuild --projection chats");
});

test("a view that reads along, or is being rebuilt, is no trouble", () => {
  assert.deepEqual(troubles(view({ behind_events: 3, behind_seconds: 0.2 })), []);
  const rebuilt = view({ behind_events: 900, behind_seconds: 60, rebuild: running });
  assert.deepEqual(troubles(rebuilt), []);
  assert.deepEqual(lagOf([rebuilt]), { words: "views: rebuilding search", state: "ok" });
});

test("all views are said in a word, the worst of it", () => {
  assert.deepEqual(lagOf([view({})]), { words: "views: 0 behind", state: "ok" });
  const lagging = view({ behind_events: 3_000, behind_seconds: 9 });
  assert.deepEqual(lagOf([lagging]), { words: "views: 3\u202f000 behind", state: "behind" });
  const parked = view({ parked: [{ chat_id: "c1", seq: 1, cause: "x" }] });
  assert.deepEqual(lagOf([lagging, parked]), { words: "views: 1 parked", state: "parked" });
});

test("a rebuild says how far it is, and how it ended", () => {
  const check = (/** @type {Partial<typeof running>} */ change, /** @type {string} */ is) =>
    assert.equal(rebuildText({ ...running, ...change }), is);
  check({}, "rebuilding: 500 of 1\u202f000 · 250 ev/s · 2.0 s left");
  check({ state: "checking", seconds_left: null }, "checking: 500 of 1\u202f000 · 250 ev/s");
  check({ state: "done" }, "rebuilt; the new view is in use");
  check({ state: "done", check: "equal" }, "checked: equal to what the log implies, row by row");
  check({ state: "failed", cause: "disk full" }, "failed: disk full; the former view is in use");
  check(
    { state: "done", check: { table: "search", message: "row m1 differs" } },
    "differs from what the log implies: row m1 differs",
  );
});

test("bytes are shown with their place and their characters", () => {
  assert.equal(hexDump(""), "");
  const hex = Buffer.from("\u0001Revenue grew").toString("hex");
  assert.equal(
    hexDump(hex),
    "0000  01 52 65 76 65 6e 75 65 20 67 72 65  ·Revenue gre\n" +
      "000c  77                                   w",
  );
});
