// The rows of the timeline: what is fetched for what is looked at, and where a row is seen.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_FILTER } from "../../inspector/address.js";
import { Calls } from "../../inspector/calls.js";
import { DenseRows, FoundRows } from "../../inspector/rows.js";
import {
  isScaled,
  lastTopRow,
  listPx,
  scrollPx,
  topRow,
  topRowToShow,
} from "../../inspector/scroll.js";

/** @typedef {import("../../client/wire.js").Envelope} Envelope */

/** Events that one look goes through at most. */
const SCAN = 1_000;

/** A server with so many events; every tenth is of chat c1, those of `erased` are gone. */
class Server {
  head = 0;
  /** @type {string[]} */
  asked = [];
  /** @type {ReadonlySet<number>} */
  erased = new Set();
  isDown = false;
  calls = new Calls(async (path) => {
    this.asked.push(String(path));
    // Who asks without end gets no answer, so that its test fails instead of running for ever.
    if (this.asked.length > 1_000) return new Promise(() => {});
    if (this.isDown) throw new TypeError("fetch failed");
    return Response.json(this.page(new URL(String(path), "http://server").searchParams));
  });

  /** @param {number} seq */
  event(seq) {
    const chatId = seq % 10 === 0 ? "c1" : "c2";
    const at = new Date(seq).toISOString();
    return { chatId, messageId: null, streamId: null, seq, at, kind: "custom", payload: {} };
  }

  /** @param {URLSearchParams} params */
  page(params) {
    const [limit, chat] = [Number(params.get("limit")), params.get("chat")];
    /** @type {Envelope[]} */
    const items = [];
    const back = params.get("before_seq");
    let seq = back ? Number(back) - 1 : Number(params.get("after_seq")) + 1;
    for (let n = 0; n < SCAN && items.length < limit && seq >= 1 && seq <= this.head; n++) {
      const event = this.event(seq);
      if (!this.erased.has(seq) && (!chat || event.chatId === chat)) items.push(event);
      seq += back ? -1 : 1;
    }
    if (back) items.reverse();
    const next = back
      ? { next_before_seq: seq < 1 ? null : seq + 1 }
      : { next_after_seq: seq - 1 };
    return { items, ...next, scanned_through: back ? seq + 1 : seq - 1, head_seq: this.head };
  }
}

/** Lets everything that has been asked for be answered. */
async function settled() {
  for (let i = 0; i < 200; i++) await new Promise((done) => setImmediate(done));
}

const seqs = (/** @type {import("../../inspector/rows.js").Rows} */ rows) =>
  Array.from({ length: rows.count }, (_, index) => rows.seqAt(index));

test("a log without a filter is read where it is looked at, and nowhere else", async () => {
  const server = new Server();
  server.head = 1_000_000;
  const rows = new DenseRows(server.calls, NO_FILTER, () => {});
  rows.setHead(server.head);
  assert.equal(rows.count, 1_000_000);
  assert.equal(rows.at(500_000), null);
  rows.need(500_000, 500_040);
  await settled();
  assert.equal(/** @type {Envelope} */ (rows.at(500_000)).seq, 500_001);
  assert.equal(rows.at(0), null);
  assert.equal(server.asked.length, 2, "one page, and the one before for what is read ahead");
});

test("a greater head brings only what is new", async () => {
  const server = new Server();
  server.head = 10;
  let n = 0;
  const rows = new DenseRows(server.calls, NO_FILTER, () => n++);
  rows.setHead(10);
  rows.need(0, 9);
  await settled();
  server.head = 12;
  rows.setHead(12);
  await settled();
  assert.equal(/** @type {Envelope} */ (rows.at(11)).seq, 12);
  assert.match(server.asked.at(-1) ?? "", /after_seq=10/);
  assert.ok(n >= 4, "each step is told");
});

test("what is not there any more is said to be erased", async () => {
  const server = new Server();
  server.head = 20;
  server.erased = new Set([3]);
  const rows = new DenseRows(server.calls, { ...NO_FILTER, from: 2, to: 5 }, () => {});
  rows.setHead(20);
  rows.need(0, 3);
  await settled();
  assert.deepEqual(seqs(rows), [2, 3, 4, 5]);
  assert.equal(rows.at(1), "erased");
  assert.equal(rows.indexOf(4), 2);
});

test("a search goes back until the window is full, and on when more is looked at", async () => {
  const server = new Server();
  server.head = 30_000;
  const rows = new FoundRows(server.calls, { ...NO_FILTER, chat: "c1" }, null, () => {});
  rows.need(0, 40);
  rows.setHead(server.head);
  await settled();
  assert.equal(rows.seqAt(rows.count - 1), 30_000);
  assert.equal(rows.count, 100, "one look is enough");
  rows.need(0, 40);
  await settled();
  assert.equal(rows.count, 200);
  assert.equal(rows.seqAt(0), 28_010);
  server.head = 30_010;
  rows.need(160, 199);
  rows.setHead(server.head);
  await settled();
  assert.equal(rows.seqAt(rows.count - 1), 30_010);
});

test("a search from within a log goes both ways without a hole or a double", async () => {
  const server = new Server();
  server.head = 3_000;
  const rows = new FoundRows(server.calls, { ...NO_FILTER, chat: "c1" }, 1_500, () => {});
  rows.setHead(server.head);
  for (let looked = 0; looked < 4; looked++) {
    rows.need(0, 1_000);
    await settled();
  }
  assert.deepEqual(seqs(rows), Array.from({ length: 300 }, (_, i) => (i + 1) * 10));
  assert.equal(rows.indexOf(1_500), 149);
  assert.equal(rows.indexOf(1_501), 150);
});

test("a search within a range stays within it and ends", async () => {
  const server = new Server();
  server.head = 3_000;
  const filter = { ...NO_FILTER, chat: "c1", from: 101, to: 150 };
  const rows = new FoundRows(server.calls, filter, null, () => {});
  rows.need(0, 40);
  rows.setHead(server.head);
  await settled();
  assert.deepEqual(seqs(rows), [110, 120, 130, 140, 150]);
  assert.equal(rows.phase.phase, "ready");
  const asked = server.asked.length;
  rows.need(0, 40);
  rows.setHead(3_001);
  await settled();
  assert.equal(server.asked.length, asked, "what is complete is not asked for again");
});

test("a search does not begin beyond the head", async () => {
  const server = new Server();
  server.head = 50;
  const filter = { ...NO_FILTER, chat: "c1", to: 400 };
  const rows = new FoundRows(server.calls, filter, 900, () => {});
  rows.need(0, 40);
  rows.setHead(server.head);
  await settled();
  assert.deepEqual(seqs(rows), [10, 20, 30, 40, 50]);
  assert.match(server.asked[0] ?? "", /before_seq=51/);
});

test("nothing found is told from still searching", async () => {
  const server = new Server();
  server.head = 5_000;
  /** @type {string[]} */
  const phases = [];
  const filter = { ...NO_FILTER, chat: "c9" };
  const rows = new FoundRows(server.calls, filter, null, () => phases.push(rows.phase.phase));
  rows.need(0, 40);
  rows.setHead(server.head);
  await settled();
  assert.ok(phases.includes("searching"));
  assert.equal(rows.phase.phase, "ready");
  assert.equal(rows.count, 0);
});

test("a failure is kept until somebody tries again", async () => {
  const server = new Server();
  server.head = 50;
  server.isDown = true;
  for (const rows of [
    new DenseRows(server.calls, NO_FILTER, () => {}),
    new FoundRows(server.calls, { ...NO_FILTER, chat: "c1" }, null, () => {}),
  ]) {
    server.isDown = true;
    rows.need(0, 40);
    rows.setHead(50);
    rows.need(0, 40);
    await settled();
    assert.equal(rows.phase.phase, "failed");
    server.isDown = false;
    rows.retry();
    await settled();
    assert.equal(rows.phase.phase, "ready");
    assert.notEqual(rows.at(0), null);
  }
});

test("a million rows fit into what a browser lays out, and each can be at the top", () => {
  const [count, windowPx] = [1_000_000, 600];
  assert.ok(isScaled(count) && listPx(count) < 17_000_000);
  assert.equal(topRow(0, count, windowPx), 0);
  assert.equal(topRow(listPx(count) - windowPx, count, windowPx), lastTopRow(count, windowPx));
  for (const row of [0, 1, 999, 500_000, 999_975]) {
    const back = topRow(scrollPx(row, count, windowPx), count, windowPx);
    assert.ok(Math.abs(back - row) < 0.001, `${row} and ${back}`);
  }
  assert.equal(topRow(240, 100, windowPx), 10);
  assert.equal(scrollPx(10, 100, windowPx), 240);
});

test("a row is brought into view with as little movement as can be", () => {
  assert.equal(topRowToShow(5, 10, 240), 5);
  assert.equal(topRowToShow(12, 10, 240), 10);
  assert.equal(topRowToShow(20, 10, 240), 11);
});
