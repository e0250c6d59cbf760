// The golden cases, folded in the browser from the real stream, equal the server's own snapshots.
//
// `unit/golden.test.js` holds the folds to rows that were written down; here both sides are live:
// the log is imported, the stream is read by the page, and the server is asked for every seq.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { Scene } from "../harness/scene.js";

/** @typedef {import("../../client/wire.js").Envelope} Envelope */

const GOLDEN = new URL("../golden/", import.meta.url);

/**
 * All cases as one log: each chat is named after its case.
 *
 * An event that was erased has no envelope, and is left out.
 */
function log() {
  /** @type {Envelope[]} */
  const all = [];
  for (const file of readdirSync(GOLDEN).filter((name) => name.endsWith(".json"))) {
    const name = file.replace(".json", "");
    /** @type {{ envelope: Envelope | null }[]} */
    const lines = JSON.parse(readFileSync(new URL(file, GOLDEN), "utf8"));
    for (const { envelope } of lines) {
      if (!envelope) continue;
      all.push({ ...envelope, chatId: `${name}-${envelope.chatId}` });
    }
  }
  return all;
}

/**
 * Runs in the page: folds the stream event by event, and compares with the server after each.
 *
 * @returns {Promise<{ compared: number, differences: string[] }>}
 */
async function compare() {
  const load = (/** @type {string} */ path) => import(path);
  const { emptyState, foldBatch, openChat } = await load("/web/client/state.js");
  const { createSseReader } = await load("/web/client/sse.js");
  const { readFrame } = await load("/web/client/wire.js");

  /** @type {Envelope[]} */
  const envelopes = [];
  const abort = new AbortController();
  const response = await fetch("/v1/stream?after_seq=0", { signal: abort.signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  const sse = createSseReader();
  for (let done = false; !done && reader; ) {
    const chunk = await reader.read();
    for (const raw of sse.push(chunk.value ?? "")) {
      const frame = readFrame(raw);
      if (frame.type === "event") envelopes.push(frame.envelope);
      if (frame.type === "caught_up") done = true;
    }
    done ||= chunk.done;
  }
  abort.abort();

  const sorted = (/** @type {any} */ value) =>
    JSON.stringify(value, (_, part) =>
      part && typeof part === "object" && !Array.isArray(part)
        ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
        : part,
    );
  const get = async (/** @type {string} */ path) => {
    const answer = await fetch(path);
    return answer.ok ? answer.json() : { status: answer.status };
  };
  let state = emptyState();
  let compared = 0;
  /** @type {string[]} */
  const differences = [];
  const same = (/** @type {string} */ what, /** @type {any} */ folded, /** @type {any} */ told) => {
    compared += 1;
    if (sorted(folded) !== sorted(told)) {
      differences.push(`${what}: folded ${sorted(folded)}, told ${sorted(told)}`);
    }
  };
  for (const envelope of envelopes) {
    const { chatId, seq } = envelope;
    const before = state.open;
    state = foldBatch(state, [envelope]);
    for (const [id, chat] of before) {
      if (id !== chatId && state.open.get(id) !== chat) differences.push(`${id} changed at ${seq}`);
    }
    if (envelope.kind === "chat_created") {
      const page = { items: [], next_cursor: null, as_of_seq: seq };
      const row = { ...state.list.rows.get(chatId), as_of_seq: seq };
      const opening = { row, messages: page, queue: page, requests: page, since: [] };
      state = openChat(state, chatId, opening);
    }
    const told = await get(`/v1/chats/${chatId}/messages?limit=500&at_seq=${seq}`);
    const chat = state.open.get(chatId);
    // Of a chat that was deleted the stream tells nothing but that.
    if (told.status === 410) same(`${chatId} at ${seq}`, chat?.deleted ?? true, true);
    else same(`${chatId} at ${seq}`, chat?.messages, told.items);
  }
  // These have no past that could be asked for.
  const list = await get("/v1/chats?limit=500");
  for (const row of list.items) {
    same(`row of ${row.id}`, state.list.rows.get(row.id), row);
    const chat = state.open.get(row.id);
    same(`open row of ${row.id}`, chat?.row, row);
    same(`queue of ${row.id}`, chat?.queue, (await get(`/v1/chats/${row.id}/queue`)).items);
    const requests = await get(`/v1/chats/${row.id}/requests`);
    same(`requests of ${row.id}`, chat?.requests, requests.items);
  }
  return { compared, differences };
}

const events = log();
// The folds are also tried with what no log can hold, such as a request that was asked twice.
const leaveOutMax = Math.floor(events.length / 30);
const scene = await Scene.open({ importing: events, leaveOutMax });

test("folded in the browser is what the server shows, at every seq", async (t) => {
  // The inspector says nothing to the log; the chat page tells it that a chat was seen.
  const page = await (await scene.device()).tab("/inspector");
  const { compared, differences } = await page.evaluate(compare);
  t.diagnostic(`${compared} comparisons of ${events.length} events at most`);
  assert.deepEqual(differences.slice(0, 5), []);
  assert.ok(compared > events.length, "every event was compared, and then the rows");
});
