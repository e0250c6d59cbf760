/**
 * @module
 * Reads what servers say: every event of `schema/golden`, and every frame of a stream.
 */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";

import { readEnvelope, readFrame, WireError } from "../../client/wire.js";

const golden = new URL("../../../schema/golden/", import.meta.url);

/** @returns {string[]} The text of each event that `schema` keeps for ever. */
function goldenEvents() {
  const files = readdirSync(golden, { recursive: true, encoding: "utf8" });
  const json = files.filter((name) => name.endsWith(".json"));
  return json.map((name) => readFileSync(new URL(name, golden), "utf8"));
}

/** @param {string} event @param {object} data */
function frame(event, data) {
  return readFrame({ id: null, event, data: JSON.stringify(data) });
}

test("every golden event is read as it was written, whatever its kind", () => {
  const texts = goldenEvents();
  assert.ok(texts.length > 60);
  const kinds = new Set();
  for (const text of texts) {
    const envelope = readEnvelope(text);
    assert.deepEqual(envelope, JSON.parse(text));
    assert.deepEqual(readFrame({ id: "42", event: "stream", data: text }), {
      type: "event",
      envelope,
    });
    kinds.add(envelope.kind);
  }
  assert.equal(kinds.size, readdirSync(golden).length - 1, "each folder but that of rows");
});

test("a kind that came later is carried", () => {
  const head = { chatId: "c", messageId: null, streamId: null, seq: 1, at: "" };
  const later = { ...head, kind: "telepathy", payload: { thought: 1 } };
  assert.deepEqual(readEnvelope(JSON.stringify(later)), later);
});

test("what is no envelope is refused, without a word of it", () => {
  const good = { chatId: "c", messageId: "m", streamId: null, seq: 1, at: "", kind: "custom" };
  const refused = [
    "secret",
    "[1]",
    "null",
    JSON.stringify(good),
    JSON.stringify({ ...good, payload: [] }),
    ...[0, -1, 1.5, 2 ** 53, "1", null].map((seq) => JSON.stringify({ ...good, seq, payload: {} })),
    JSON.stringify({ ...good, chatId: null, payload: {} }),
    JSON.stringify({ ...good, messageId: 7, payload: {} }),
    JSON.stringify({ ...good, kind: undefined, payload: {} }),
  ];
  for (const text of refused) {
    assert.throws(
      () => readEnvelope(text),
      (error) => error instanceof WireError && !error.message.includes("secret"),
      text,
    );
  }
});

test("control frames", () => {
  const hello = { type: "hello", logId: "l", headSeq: 7 };
  assert.deepEqual(frame("hello", { log_id: "l", head_seq: 7 }), hello);
  assert.deepEqual(frame("caught_up", { seq: 0 }), { type: "caught_up", seq: 0 });
  const resync = { type: "resync", reason: "cursor_ahead", headSeq: 3 };
  assert.deepEqual(frame("resync", { reason: "cursor_ahead", head_seq: 3 }), resync);
  assert.deepEqual(frame("bye", { reason: "shutdown" }), { type: "bye", reason: "shutdown" });
  assert.deepEqual(frame("weather", { sun: true }), { type: "unknown", event: "weather" });
  assert.throws(() => frame("hello", { log_id: "l" }), WireError);
  assert.throws(() => frame("bye", {}), WireError);
  assert.throws(() => readFrame({ id: null, event: "bye", data: "{" }), WireError);
});

test("the snapshot of a chat, and that of the list", () => {
  const [chat, message] = [{ id: "c" }, { id: "m" }];
  const ofChat = { as_of_seq: 9, chat, messages: [message], next_cursor: "4" };
  assert.deepEqual(frame("snapshot", ofChat), {
    ...{ type: "snapshot", asOfSeq: 9, chat, messages: [message], chats: null, nextCursor: "4" },
  });
  assert.deepEqual(frame("snapshot", { as_of_seq: 9, chats: [chat], next_cursor: null }), {
    ...{ type: "snapshot", asOfSeq: 9, chat: null, messages: null, chats: [chat] },
    nextCursor: null,
  });
  assert.throws(() => frame("snapshot", { as_of_seq: 9 }), WireError);
});
