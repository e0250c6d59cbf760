/**
 * @module
 * The suggestions tag in text that comes in pieces, against a plain model over the whole text.
 */

import assert from "node:assert/strict";
import test from "node:test";

import { append, emptyText, heldBytes, TAG_BYTES_MAX, textOf } from "../../client/fold/tag.js";

const OPEN = "<prompt_suggestions>";
const CLOSE = "</prompt_suggestions>";

/** What is left of a text, and the last suggestions in it. @param {string} text */
function model(text) {
  let out = "";
  let rest = text;
  let suggestions = null;
  for (let end = rest.indexOf(CLOSE); end >= 0; end = rest.indexOf(CLOSE)) {
    const before = rest.slice(0, end);
    const open = before.lastIndexOf(OPEN);
    const body = before.slice(open + OPEN.length);
    if (open >= 0 && Buffer.byteLength(body) <= TAG_BYTES_MAX) {
      out += before.slice(0, open);
      suggestions = read(body) ?? suggestions;
    } else {
      out += rest.slice(0, end + CLOSE.length);
    }
    rest = rest.slice(end + CLOSE.length);
  }
  return { text: out + rest, suggestions };
}

/** @param {string} json @returns {string[] | null} */
function read(json) {
  try {
    const list = JSON.parse(json);
    return Array.isArray(list) && list.every((item) => typeof item === "string") ? list : null;
  } catch {
    return null;
  }
}

/** @param {number} seed A generator of numbers below a bound: the same seed, the same numbers. */
function numbers(seed) {
  let state = seed >>> 0;
  return (/** @type {number} */ bound) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
}

/**
 * Pieces of whole characters, as deltas are.
 *
 * @param {string} text
 * @param {number} max Characters in each at most.
 * @param {(bound: number) => number} below
 */
function piecesOf(text, max, below) {
  const characters = [...text];
  const out = [];
  for (let from = 0; from < characters.length; ) {
    const to = from + 1 + below(max);
    out.push(characters.slice(from, to).join(""));
    from = to;
  }
  return out;
}

/**
 * Folds pieces after what was said before.
 *
 * @param {string[]} pieces
 * @param {string} said
 * @param {boolean} isReadAgain Whether each piece goes on with what a row says of the text.
 */
function fold(pieces, said, isReadAgain) {
  let growing = emptyText(said);
  let suggestions = null;
  for (const piece of pieces) {
    const next = append(growing, piece);
    suggestions = next.suggestions ?? suggestions;
    growing = next.grown;
    if (isReadAgain) growing = textOf(growing.text, growing.all, heldBytes(growing));
  }
  return { text: growing.text, all: growing.all, suggestions };
}

test("random texts in random pieces agree with the model, from whatever row", () => {
  const words = [OPEN, CLOSE, "<prompt_", "suggestions>", "<", "</", '["a"]', '["b","c"]', "[1]"];
  words.push("é", "some words ", "<<prompt_suggestions>", "\u{1f33f}", "lorem é ".repeat(400));
  for (let seed = 0; seed < 300; seed += 1) {
    const below = numbers(seed);
    const text = Array.from({ length: 1 + below(30) }, () => words[below(words.length)]).join("");
    const { text: left, suggestions } = model(text);
    for (const max of [2, 25, 5_000]) {
      const pieces = piecesOf(text, max, below);
      const expected = { text: left, all: `before${left}`, suggestions };
      assert.deepEqual(fold(pieces, "before", false), expected, `seed ${seed}`);
      if (max < 25 && text.length > 2_000) continue;
      assert.deepEqual(fold(pieces, "before", true), expected, `seed ${seed}, read again`);
    }
  }
});

test("a tag has a bound, in bytes", () => {
  for (const [body, isTag] of /** @type {const} */ ([
    [`["${"s".repeat(TAG_BYTES_MAX - 4)}"]`, true],
    [`["${"s".repeat(TAG_BYTES_MAX - 3)}"]`, false],
    [`["${"é".repeat(TAG_BYTES_MAX / 2 - 2)}"]`, true],
    [`["${"é".repeat(TAG_BYTES_MAX / 2 - 1)}"]`, false],
    [`["${"\u{1f33f}".repeat(TAG_BYTES_MAX / 4 - 1)}"]`, true],
    [`["${"\u{1f33f}".repeat(TAG_BYTES_MAX / 4)}"]`, false],
  ])) {
    const text = `a${OPEN}${body}${CLOSE}b`;
    for (const max of [10_000, 700]) {
      const folded = fold(piecesOf(text, max, numbers(max)), "", max < 1_000);
      assert.equal(folded.text, isTag ? "ab" : text);
      assert.equal(folded.suggestions !== null, isTag);
    }
  }
});

test("what a tag may still take away", () => {
  /** @param {string} text @param {number} bytes */
  const check = (text, bytes) => assert.equal(heldBytes(append(emptyText(""), text).grown), bytes);
  check("a", 0);
  check("a <prom", 5);
  check("a < b", 0);
  check(`é${OPEN}é`, OPEN.length + 2);
  check(`${OPEN}${OPEN}</p`, OPEN.length + 3);
  check(`${OPEN}[]${CLOSE}`, 0);
  check(OPEN + "x".repeat(TAG_BYTES_MAX), OPEN.length + TAG_BYTES_MAX);
  check(OPEN + "x".repeat(TAG_BYTES_MAX + 1), 0);
  check(`${OPEN}${"x".repeat(TAG_BYTES_MAX)}</prompt`, OPEN.length + TAG_BYTES_MAX + 8);
});

test("suggestions are texts that the server could hold", () => {
  const of = (/** @type {string} */ body) => fold([OPEN + body + CLOSE], "", false).suggestions;
  assert.deepEqual(of(' ["a", "\\ud83c\\udf3f"]\n'), ["a", "\u{1f33f}"]);
  assert.equal(of('["\\ud83c"]'), null);
  assert.equal(of('["a", 1]'), null);
  assert.equal(of('{"0":"a"}'), null);
  assert.deepEqual(of("[]"), []);
});

test("a text of the past can be gone on with again", () => {
  const half = append(emptyText(""), `a${OPEN}["x"]`).grown;
  assert.equal(append(half, CLOSE).grown.text, "a");
  assert.equal(append(half, "!").grown.text, `a${OPEN}["x"]!`);
  assert.equal(append(half, CLOSE).grown.text, "a");
});
