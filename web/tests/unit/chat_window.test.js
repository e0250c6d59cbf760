// Which messages are on the page, however many there are and whatever comes at either end.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  STEP,
  WINDOW_MAX,
  windowAfter,
  windowAtEnd,
  windowBack,
  windowOn,
} from "../../chat/window.js";

const messages = (/** @type {number} */ from, /** @type {number} */ to) =>
  Array.from({ length: to - from }, (_, n) => ({ id: `m${from + n}` }));

test("a chat opens at its end", () => {
  assert.deepEqual(windowAtEnd(10_000), { from: 10_000 - WINDOW_MAX, to: 10_000 });
  assert.deepEqual(windowAtEnd(3), { from: 0, to: 3 });
});

test("older messages push the window along without moving it", () => {
  const before = messages(100, 200);
  const after = messages(50, 200);
  const window = { from: 0, to: 100 };
  assert.deepEqual(windowAfter(window, before, after), { from: 50, to: 150 });
  assert.deepEqual(windowAfter({ from: 10, to: 60 }, before, after), { from: 60, to: 110 });
});

test("the window follows the end only from the end", () => {
  const before = messages(0, 100);
  const after = messages(0, 105);
  assert.deepEqual(windowAfter({ from: 60, to: 100 }, before, after), { from: 60, to: 105 });
  assert.deepEqual(windowAfter({ from: 20, to: 60 }, before, after), { from: 20, to: 60 });
});

test("messages that are gone leave the window at the end", () => {
  assert.deepEqual(windowAfter({ from: 0, to: 50 }, messages(0, 50), messages(400, 410)), {
    from: 0,
    to: 10,
  });
});

test("going back and on covers everything and stays bounded", () => {
  const length = 1_000;
  let window = windowAtEnd(length);
  const seen = new Set();
  const look = () => {
    assert.ok(window.to - window.from <= WINDOW_MAX + STEP);
    for (let n = window.from; n < window.to; n++) seen.add(n);
  };
  for (look(); window.from > 0; look()) {
    const next = windowBack(window);
    assert.ok(next.to > window.from, "it overlaps with what is shown");
    window = next;
  }
  assert.equal(seen.size, length);
  for (; window.to < length; look()) window = windowOn(window, length);
  assert.equal(window.to, length);
});
