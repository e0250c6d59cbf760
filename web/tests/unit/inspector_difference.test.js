// Differences between two states of a message.

import assert from "node:assert/strict";
import { test } from "node:test";
import { entryChanges, fieldChanges, wordChanges } from "../../inspector/difference.js";

/** @typedef {import("../../client/wire.js").RenderEntry} RenderEntry */

/**
 * A difference as text: [-removed-] and {+added+}.
 *
 * @param {readonly import("../../inspector/difference.js").Part[]} parts
 */
const marked = (parts) =>
  parts
    .map(({ op, text }) => (op === "same" ? text : op === "added" ? `{+${text}+}` : `[-${text}-]`))
    .join("");

test("words are kept, added and removed", () => {
  const check = (/** @type {string} */ a, /** @type {string} */ b, /** @type {string} */ is) =>
    assert.equal(marked(wordChanges(a, b)), is);
  check("Revenue gr", "Revenue grew by", "Revenue [-gr-]{+grew by+}");
  check("one two three", "one three", "one [-two -]three");
  check("a b c d", "a x c y", "a [-b-]{+x+} c [-d-]{+y+}");
  check("", "new", "{+new+}");
  check("same", "same", "same");
  check("Grüße an 北京", "Grüße an 上海", "Grüße an [-北京-]{+上海+}");
});

test("both texts can be had back from their difference", () => {
  const words = ["the ", "log ", "keeps ", "what ", "was ", "said ", "\n"];
  const text = (/** @type {number} */ seed) =>
    Array.from({ length: 60 }, (_, i) => words[(i * i * seed + i) % words.length]).join("");
  for (let seed = 1; seed < 20; seed++) {
    const [before, after] = [text(seed), text(seed + 3)];
    const parts = wordChanges(before, after);
    const without = (/** @type {string} */ op) =>
      parts.filter((part) => part.op !== op).map((part) => part.text).join("");
    assert.equal(without("added"), before);
    assert.equal(without("removed"), after);
  }
});

test("long texts that share little are replaced as a whole, and at once", () => {
  const before = Array.from({ length: 5_000 }, (_, i) => `a${i}`).join(" ");
  const after = Array.from({ length: 5_000 }, (_, i) => `b${i}`).join(" ");
  const parts = wordChanges(before, after);
  assert.deepEqual(parts.map(({ op }) => op), ["removed", "added"]);
});

test("a tool that was updated in its place is one entry that changed", () => {
  /** @type {RenderEntry[]} */
  const before = [
    { type: "assistant_text", text: "I read." },
    { type: "tool", tool: { id: "x", name: "read", status: "running" } },
  ];
  /** @type {RenderEntry[]} */
  const after = [
    { type: "assistant_text", text: "I read." },
    { type: "tool", tool: { id: "x", name: "read", status: "completed", result: 3 } },
    { type: "assistant_text", text: "Three." },
  ];
  const changes = entryChanges(before, after);
  assert.deepEqual(
    changes.map(({ change, label }) => `${change} ${label}`),
    ["same text", "changed tool read", "added text"],
  );
  assert.deepEqual(
    entryChanges(after, before).map(({ change }) => change),
    ["removed", "same", "changed"],
  );
});

test("tools are told apart by their ids, wherever they stand", () => {
  /** @type {(id: string) => RenderEntry} */
  const tool = (id) => ({ type: "tool", tool: { id, name: "read", status: "running" } });
  const changes = entryChanges([tool("x"), tool("y")], [tool("y")]);
  assert.deepEqual(changes.map(({ change }) => change), ["removed", "same"]);
});

test("an error is no text that changed", () => {
  const error = { code: "internal", message: "oh", phase: "stream", retryable: true };
  /** @type {RenderEntry[]} */
  const after = [
    { type: "assistant_text", text: "Half" },
    { type: "assistant_text", text: "\n\nError: oh", error: /** @type {any} */ (error) },
  ];
  assert.deepEqual(
    entryChanges(after.slice(0, 1), after).map(({ change, label }) => `${change} ${label}`),
    ["same text", "added error"],
  );
});

test("fields that differ are named; where one looked is none of them", () => {
  const before = { stream_status: "in_progress", usage: null, as_of_seq: 4, content_text: "a" };
  const after = { stream_status: "failed", usage: { input_tokens: 3 }, as_of_seq: 9 };
  assert.deepEqual(fieldChanges(before, after), [
    { name: "stream_status", before: "in_progress", after: "failed" },
    { name: "usage", before: "–", after: '{"input_tokens":3}' },
  ]);
});
