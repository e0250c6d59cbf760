// What a screen reader is told of an answer that grows: every sentence once, when it has ended.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createSentences } from "../../chat/sentences.js";

const ANSWER = [
  "# The short of it",
  "",
  "Revenue **grew**. Cost did not! See [the table](https://e.com/a.b) for 3.5 reasons:",
  "",
  "| a | b |",
  "|---|---|",
  "| 1 | 2 |",
  "",
  "```js",
  "let x. y = 1; // not. read. out",
  "```",
  "",
  "- and that is it",
].join("\n");

const TOLD = [
  "The short of it",
  "Revenue grew.",
  "Cost did not!",
  "See the table for 3.5 reasons:",
  "a, b",
  "1, 2",
  "Code.",
  "and that is it",
];

test("each sentence is told once, however the text comes", () => {
  for (const step of [1, 3, 50, 1_000]) {
    const sentences = createSentences();
    const told = [];
    for (let end = 0; end < ANSWER.length; end += step) {
      told.push(...sentences.take(ANSWER.slice(0, end)));
    }
    told.push(...sentences.rest(ANSWER));
    assert.deepEqual(told, TOLD, `in steps of ${step}`);
  }
});

test("a sentence without an end is told in pieces", () => {
  const sentences = createSentences();
  const told = sentences.take("word ".repeat(100));
  assert.equal(told.length, 1);
  assert.ok((told[0]?.length ?? 0) <= 280);
  assert.equal([...told, ...sentences.rest("word ".repeat(100))].join(" ").split(" ").length, 100);
});

test("half a sentence waits", () => {
  const sentences = createSentences();
  assert.deepEqual(sentences.take("It is 3."), []);
  assert.deepEqual(sentences.take("It is 3.5 in all. And"), ["It is 3.5 in all."]);
  assert.deepEqual(sentences.rest("It is 3.5 in all. And"), ["And"]);
});
