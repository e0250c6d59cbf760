// The one connection: what it makes of frames, cuts, silence and signals, and when it tries again.

import assert from "node:assert/strict";
import { test } from "node:test";

import { backoffMs } from "../../client/backoff.js";
import { Calls } from "../../client/calls.js";
import { Connection } from "../../client/connection.js";
import { controlFrame, eventFrame, FakeServer, problem } from "../fakes/server.js";
import { FakeBrowser, FakeTab, settle } from "../fakes/world.js";

const BACKOFF = { min: 200, max: 10_000 };

/** @param {number} n A log of one chat with this many deltas. */
function serverWith(n) {
  const server = new FakeServer();
  server.append("c", "chat_created");
  for (let i = 0; i < n; i++) server.append("c", "assistant_text", { text: `${i} ` });
  return server;
}

/**
 * @param {FakeServer} server
 * @param {{ from?: number, catchUpMax?: number, poison?: number }} [options] The seq that cannot be
 *   folded.
 */
function connection(server, { from, catchUpMax = 1000, poison } = {}) {
  const browser = new FakeBrowser();
  const tab = new FakeTab();
  const env = browser.env(server.fetch, tab);
  const seen = {
    seqs: /** @type {number[]} */ ([]),
    batches: /** @type {import("../../client/link.js").Batch[]} */ ([]),
    phases: /** @type {string[]} */ ([]),
    resyncs: /** @type {string[]} */ ([]),
    nSeeds: 0,
  };
  const headers = () => ({});
  const calls = new Calls({ baseUrl: "http://fake", fetch: env.fetch, headers });
  const made = new Connection({
    ...{ calls, env, backoff: BACKOFF, silenceMs: 25_000, catchUpMax },
    seed: async () => {
      seen.nSeeds += 1;
      return (await calls.read("/v1/turns")).as_of_seq;
    },
    onBatch: (batch) => {
      if (batch.envelopes.some(({ seq }) => seq === poison)) throw new Error("cannot be folded");
      seen.batches.push(batch);
      for (const { seq } of batch.envelopes) seen.seqs.push(seq);
    },
    onChange: ({ phase }) => {
      if (seen.phases.at(-1) !== phase) seen.phases.push(phase);
    },
    onResync: (reason) => seen.resyncs.push(reason),
  });
  made.start(from === undefined ? { seq: null, logId: null } : { seq: from, logId: server.logId });
  return { ...seen, seen, browser, tab, clock: browser.clock, made };
}

/** @param {number} from @param {number} to */
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test("it seeds, streams after the seed, and is live", async () => {
  const server = serverWith(3);
  const { seen, made } = connection(server);
  await settle();
  assert.deepEqual(seen.phases, ["connecting", "catching_up", "live"]);
  server.append("c", "assistant_text", { text: "x" });
  server.append("c", "assistant_text", { text: "y" });
  await settle();
  assert.deepEqual(seen.seqs, [5, 6]);
  assert.equal(made.link.seq, 6);
  assert.equal(server.streams[0]?.headers["last-event-id"], "4");
});

test("a recorded stream ends the same wherever it is cut, and goes on where it was", async () => {
  const server = serverWith(4);
  server.append("c", "assistant_text", { text: "é😀" });
  const frames = server.log.map(eventFrame);
  const hello = `retry: 1000\n${controlFrame("hello", { log_id: "log-1", head_seq: 6 })}`;
  const caughtUp = controlFrame("caught_up", { seq: 6 }, 6);
  const recorded = `${hello}${frames.join("")}: beat\n\n${caughtUp}`;
  const text = new TextEncoder().encode(recorded);
  for (let cut = 0; cut <= text.length; cut += 1) {
    server.isFlowing = false;
    server.streams = [];
    const { seen, made, clock } = connection(server, { from: 0 });
    await settle();
    server.streams[0]?.push(text.slice(0, cut));
    await settle();
    server.streams[0]?.break();
    server.isFlowing = true;
    await clock.turn(1000);
    assert.deepEqual(seen.seqs, range(1, 6), `cut at ${cut}`);
    assert.equal(made.link.phase, "live", `cut at ${cut}`);
    assert.equal(server.streams.length, 2);
    made.close();
  }
});

test("a stream in two chunks, cut at every byte, is one stream", async () => {
  const server = serverWith(3);
  const hello = controlFrame("hello", { log_id: "log-1", head_seq: 4 });
  const text = new TextEncoder().encode(hello + server.log.map(eventFrame).join(""));
  server.isFlowing = false;
  for (let cut = 0; cut <= text.length; cut += 1) {
    server.streams = [];
    const { seen, made } = connection(server, { from: 0 });
    await settle();
    server.streams[0]?.push(text.slice(0, cut));
    await settle();
    server.streams[0]?.push(text.slice(cut));
    await settle();
    assert.deepEqual(seen.seqs, [1, 2, 3, 4], `cut at ${cut}`);
    assert.equal(server.streams.length, 1);
    for (const { after, through } of seen.batches) assert.ok(after < through);
    made.close();
  }
});

test("the waits grow, and are over at once when the network or the page comes back", async () => {
  const server = serverWith(1);
  const { made, clock, tab } = connection(server);
  await settle();
  server.kill();
  await settle();
  const waits = [];
  for (let i = 0; i < 9; i++) {
    const { retryAt, phase } = made.link;
    assert.equal(phase, "waiting");
    waits.push((retryAt ?? 0) - clock.now);
    await clock.turn((retryAt ?? 0) - clock.now);
  }
  assert.deepEqual(waits, [150, 300, 600, 1200, 2400, 4800, 7500, 7500, 7500]);
  for (const signal of /** @type {const} */ (["online", "shown"])) {
    server.start();
    tab.signal(signal);
    await settle();
    assert.equal(made.link.phase, "live");
    server.kill();
    await settle();
  }
});

test("half of a wait is chance", () => {
  const bounds = { min: 100, max: 1000 };
  assert.equal(backoffMs(0, bounds, 0), 50);
  assert.equal(backoffMs(1, bounds, 0.999), 200);
  assert.equal(backoffMs(5000, bounds, 0.5), 750);
});

test("a connection without a byte is dead, and a heartbeat keeps it", async () => {
  const server = serverWith(1);
  const { made, clock, seen } = connection(server);
  await settle();
  for (let i = 0; i < 10; i++) {
    await clock.turn(10_000);
    server.streams[0]?.push(": beat\n\n");
  }
  await settle();
  assert.equal(server.streams.length, 1);
  await clock.turn(24_999);
  assert.equal(made.link.phase, "live");
  await clock.turn(1);
  assert.equal(made.link.phase, "waiting");
  assert.equal(server.openStreams.length, 0);
  await clock.turn(200);
  assert.equal(made.link.phase, "live");
  assert.equal(server.openStreams.length, 1);
  assert.deepEqual(seen.seqs, []);
});

test("a page that wakes from a sleep does not wait for the silence to be over", async () => {
  const server = serverWith(1);
  const { made, clock, tab } = connection(server);
  await settle();
  // The device slept: time went on, and no timer ran.
  clock.now += 3_600_000;
  tab.signal("shown");
  await settle();
  assert.equal(made.link.phase, "live");
  assert.equal(server.streams.length, 2);
  tab.signal("shown");
  await settle();
  assert.equal(server.streams.length, 2);
});

test("a planned bye is followed by a short wait, and no failure is counted", async () => {
  const server = serverWith(1);
  const { made, clock } = connection(server);
  await settle();
  server.streams[0]?.push(controlFrame("bye", { reason: "shutdown" }));
  await settle();
  assert.deepEqual([made.link.phase, made.link.nFailures], ["waiting", 0]);
  await clock.turn(150);
  assert.equal(made.link.phase, "live");
});

test("a server that says bye again and again is asked less and less often", async () => {
  const server = serverWith(1);
  const { made, clock } = connection(server);
  await settle();
  server.isFlowing = false;
  server.streams[0]?.break();
  for (let i = 1; i < 6; i++) {
    await clock.turn(10_000);
    server.streams.at(-1)?.push(controlFrame("hello", { log_id: "log-1", head_seq: 2 }));
    server.streams.at(-1)?.push(controlFrame("bye", { reason: "log_damaged" }));
    await settle();
    assert.equal(made.link.nFailures, i + 1);
  }
});

test("another log is told of by a resync, and all begins anew", async () => {
  const server = serverWith(5);
  const { seen, made, clock } = connection(server);
  await settle();
  server.kill();
  server.log = server.log.slice(0, 2);
  server.logId = "log-2";
  server.start();
  await clock.turn(1000);
  assert.deepEqual(seen.resyncs, ["other_log"]);
  assert.equal(seen.nSeeds, 2);
  assert.deepEqual([made.link.phase, made.link.seq], ["live", 2]);
  server.append("c", "assistant_text", { text: "x" });
  await settle();
  assert.deepEqual(seen.seqs, [3]);
});

test("a server that resyncs every time is not asked in a tight loop", async () => {
  const server = serverWith(1);
  const { made, clock, seen } = connection(server);
  await settle();
  server.isFlowing = false;
  for (let i = 0; i < 4; i++) {
    server.streams.at(-1)?.push(controlFrame("resync", { reason: "other_log", head_seq: 2 }));
    await clock.turn(10_000);
  }
  assert.equal(seen.nSeeds, 5);
  assert.equal(made.link.nFailures, 4);
});

test("who is too far behind does not catch up one by one", async () => {
  const server = serverWith(50);
  const { seen, made } = connection(server, { from: 1, catchUpMax: 20 });
  await settle();
  assert.deepEqual(seen.resyncs, ["far_behind"]);
  assert.deepEqual([seen.seqs.length, made.link.seq, made.link.phase], [0, 51, "live"]);
});

test("what is caught up with is counted, and a repeated event is not", async () => {
  const server = serverWith(9);
  server.isFlowing = false;
  const { seen, made } = connection(server, { from: 5 });
  await settle();
  const [stream] = server.streams;
  stream?.push(controlFrame("hello", { log_id: "log-1", head_seq: 10 }));
  stream?.push(server.log.slice(3, 8).map(eventFrame).join(""));
  await settle();
  const { phase, missed, seq, headSeq } = made.link;
  assert.deepEqual([phase, missed, seq, headSeq], ["catching_up", 3, 8, 10]);
  assert.deepEqual(seen.seqs, [6, 7, 8]);
});

test("offline: it says so, and a try finds out whether the device is right", async () => {
  const server = serverWith(1);
  const { made, tab, clock } = connection(server);
  await settle();
  // A server on the same machine can be reached without a network.
  tab.isOnline = false;
  tab.signal("offline");
  await settle();
  assert.equal(made.link.phase, "live");
  server.isUp = false;
  tab.signal("offline");
  await settle();
  assert.equal(made.link.phase, "offline");
  tab.isOnline = true;
  server.start();
  tab.signal("online");
  await settle();
  assert.equal(made.link.phase, "live");
  assert.equal(clock.now, 1_800_000_000_000);
});

test("the plug: nothing comes until it is in again, and nothing is missing then", async () => {
  const server = serverWith(1);
  const { seen, made, clock, tab } = connection(server);
  await settle();
  made.unplug();
  for (let i = 0; i < 3; i++) server.append("c", "assistant_text", { text: "x" });
  tab.signal("online");
  await clock.turn(60_000);
  const { phase, isPlugged, headSeq } = made.link;
  assert.deepEqual([phase, isPlugged, headSeq, seen.seqs], ["offline", false, 5, []]);
  assert.equal(server.openStreams.length, 0);
  made.plugIn();
  await settle();
  assert.deepEqual(seen.seqs, [3, 4, 5]);
  assert.deepEqual([made.link.phase, made.link.missed], ["live", 3]);
});

test("a refusal is waited out and told of; a stream that is none is refused", async () => {
  const server = serverWith(1);
  server.refuses = ({ path }) => (path.startsWith("/v1/stream") ? problem(403, "nope") : null);
  const { made, clock } = connection(server);
  await settle();
  assert.equal(/** @type {any} */ (made.link.error).code, "nope");
  server.refuses = () => new Response("<html>", { headers: { "content-type": "text/html" } });
  await clock.turn(1000);
  assert.equal(made.link.phase, "waiting");
  server.refuses = () => null;
  await clock.turn(20_000);
  assert.equal(made.link.phase, "live");
  assert.equal(made.link.error, null);
});

test("a frame that cannot be read is not passed over", async () => {
  const server = serverWith(3);
  server.isFlowing = false;
  const { seen, made, clock } = connection(server, { from: 0 });
  await settle();
  const [one, two] = server.log.map(eventFrame);
  server.streams[0]?.push(`${one}id: 2\nevent: stream\ndata: {"seq":2}\n\n${two}`);
  await settle();
  assert.deepEqual(seen.seqs, [1]);
  assert.equal(made.link.phase, "waiting");
  server.isFlowing = true;
  await clock.turn(1000);
  assert.deepEqual(seen.seqs, [1, 2, 3, 4]);
});

test("events that cannot be folded are not passed over: the state is read anew", async () => {
  const server = serverWith(1);
  const { seen, made, clock } = connection(server, { poison: 4 });
  await settle();
  for (let i = 0; i < 2; i++) server.append("c", "assistant_text", { text: "x" });
  await settle();
  assert.deepEqual([made.link.phase, made.link.seq, seen.seqs], ["waiting", null, [3]]);
  await clock.turn(1000);
  assert.deepEqual([made.link.phase, made.link.seq, seen.nSeeds], ["live", 4, 2]);
});

test("after close nothing is open, no timer is left, and nothing is told", async () => {
  const server = serverWith(1);
  const { seen, made, clock, tab } = connection(server);
  await settle();
  made.close();
  server.append("c", "assistant_text", { text: "x" });
  tab.signal("online");
  await settle();
  assert.deepEqual([clock.size, server.openStreams.length, seen.seqs], [0, 0, []]);
  assert.equal(seen.phases.at(-1), "closed");
});
