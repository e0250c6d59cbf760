/**
 * @module
 * Takes streams of server-sent events apart, in every way in which they can be cut.
 */

import assert from "node:assert/strict";
import test from "node:test";

import { createSseReader } from "../../client/sse.js";

/** @param {string[]} pieces */
function read(pieces) {
  const reader = createSseReader();
  const frames = pieces.flatMap((piece) => reader.push(piece));
  return { frames, retryMs: reader.retryMs() };
}

/**
 * The frames of a stream, whole, byte by byte, and cut once at each place.
 *
 * @param {string} text
 * @param {{ id: string | null, event: string, data: string }[]} expected
 */
function check(text, expected) {
  assert.deepEqual(read([text]).frames, expected);
  assert.deepEqual(read([...text]).frames, expected, "character by character");
  assert.deepEqual(read(byteByByte(text)).frames, expected, "byte by byte");
  for (let at = 0; at <= text.length; at += 1) {
    const { frames } = read([text.slice(0, at), "", text.slice(at)]);
    assert.deepEqual(frames, expected, `cut at ${at}`);
  }
}

/** What a decoder makes of a stream that comes in bytes. @param {string} text */
function byteByByte(text) {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  const bytes = new TextEncoder().encode(text);
  return [...bytes].map((byte) => decoder.decode(Uint8Array.of(byte), { stream: true }));
}

/** @param {string} data @param {string} [event] @param {string | null} [id] */
function frame(data, event = "message", id = null) {
  return { id, event, data };
}

test("a frame of the server", () => {
  const text = 'retry: 1000\nevent: hello\ndata: {"a":1}\n\nid: 7\nevent: stream\ndata: é😀\n\n';
  check(text, [frame('{"a":1}', "hello"), frame("é😀", "stream", "7")]);
  assert.equal(read([text]).retryMs, 1000);
  assert.equal(read(["data: 1\n\n"]).retryMs, null);
});

test("every line end ends a line, and all of them one", () => {
  for (const end of ["\n", "\r", "\r\n"]) {
    const lines = ["data: a", "data: b", "", "id: 1", "data", "", "data: c", ""];
    const text = lines.map((line) => line + end).join("");
    check(text, [frame("a\nb"), frame("", "message", "1"), frame("c")]);
  }
  check("data: a\n\rdata: b\r\n\ndata: c\r\r", [frame("a"), frame("b"), frame("c")]);
});

test("comments are no frames, nor is what has no data", () => {
  check(`: heartbeat${" ".repeat(20)}\n\n:\n\nid: 5\n\nevent: x\n\ndata: 1\n\n`, [frame("1")]);
});

test("a byte order mark at the beginning only", () => {
  check("\uFEFFdata: a\n\ndata: \uFEFF\n\n", [frame("a"), frame("\uFEFF")]);
});

test("one space after the colon is not of the value", () => {
  check("data:a\n\ndata:  b\n\ndata: c: d\n\n", [frame("a"), frame(" b"), frame("c: d")]);
});

test("fields that mean nothing are passed over", () => {
  check("dat: a\ndata : b\nid: 1\u0000\nretry: soon\ndata: c\n\n", [frame("c")]);
  assert.equal(read(["retry: soon\nretry: 1.5\n"]).retryMs, null);
});

test("a frame that has not ended is not there yet", () => {
  check("data: a\n", []);
  check("data: a", []);
});

test("a long line in small pieces costs what it has", () => {
  const n = 200_000;
  const began = process.cpuUsage().user;
  const { frames } = read(["data: ", ...Array.from({ length: n }, () => "word "), "\n\n"]);
  assert.equal(frames[0]?.data.length, 5 * n);
  assert.ok(process.cpuUsage().user - began < 2_000_000, "microseconds");
});
