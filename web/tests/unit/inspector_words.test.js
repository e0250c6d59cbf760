// What the inspector writes: addresses, commands, and events on one line.

import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_FILTER, readPlace, readRange, readSeq, writePlace } from "../../inspector/address.js";
import {
  differenceCommand,
  eventCommand,
  eventsCommand,
  messageCommand,
  quote,
  rebuildCommand,
  stateCommand,
} from "../../inspector/commands.js";
import {
  bytesText,
  countText,
  durationText,
  lineOf,
  markOf,
  shortId,
} from "../../inspector/words.js";

/** An event as it is read, of which only kind and payload are told. */
const told = (/** @type {string} */ kind, /** @type {Record<string, unknown>} */ payload) => ({
  ...{ chatId: "c1", messageId: null, streamId: null, seq: 1, at: "2026-11-22T20:52:00.123Z" },
  ...{ kind, payload },
});

test("an address says the whole place, and says it again", () => {
  const query =
    "seq=42&chat=c1&message=m2&turn=t1&kind=error%2Ccomplete&text=disk+full&range=1..99" +
    "&tab=turn&at=41&a=40&b=42";
  assert.equal(writePlace(readPlace(query)), query);
  assert.deepEqual(readPlace("").filter, NO_FILTER);
});

test("what an address leaves open follows from what it names", () => {
  assert.equal(readPlace("").tab, "event");
  assert.equal(readPlace("message=m1").tab, "message");
  assert.equal(readPlace("turn=t1").tab, "turn");
  assert.equal(readPlace("message=m1&tab=stored").tab, "stored");
  assert.equal(readPlace("tab=nonsense&seq=-1").seq, null);
});

test("seqs and ranges are read as people write them", () => {
  assert.equal(readSeq("48 213"), 48213);
  assert.equal(readSeq("0"), null);
  assert.equal(readSeq("1e3"), null);
  assert.equal(readSeq("99999999999999999999"), null);
  assert.deepEqual(readRange("42"), [42, 42]);
  assert.deepEqual(readRange("42..99"), [42, 99]);
  assert.deepEqual(readRange("42.."), [42, null]);
  assert.deepEqual(readRange("..99"), [null, 99]);
  assert.deepEqual(readRange("1..2..3"), [null, null]);
});

test("commands name what is shown", () => {
  const filter = { ...NO_FILTER, chat: "c1", kinds: ["error", "complete"], from: 4, to: 9 };
  assert.equal(
    eventsCommand(filter, null),
    "scrollback inspect events --chat c1 --kind error,complete --seq 4..9",
  );
  assert.equal(
    eventsCommand({ ...NO_FILTER, text: "disk full" }, [7, 12]),
    "scrollback inspect events --text 'disk full' --seq 7..12",
  );
  assert.equal(eventsCommand(NO_FILTER, null), "scrollback inspect events --last 50 --follow");
  assert.equal(eventCommand(7), "scrollback inspect events --seq 7 --json");
  assert.equal(
    messageCommand("c1", "m2", 41),
    "scrollback inspect message m2 --chat c1 --at 41",
  );
  assert.equal(messageCommand("c1", "m2", null), "scrollback inspect message m2 --chat c1");
  assert.equal(
    differenceCommand("c1", "m2", 4, 9),
    "diff <(scrollback inspect message m2 --chat c1 --at 4)" +
      " <(scrollback inspect message m2 --chat c1 --at 9)",
  );
  assert.equal(stateCommand(9, ""), "scrollback inspect state --at 9");
  assert.equal(
    rebuildCommand("search", true),
    "scrollback rebuild --projection search --check",
  );
});

test("a shell reads a word as the text that it stands for", () => {
  assert.equal(quote("disk full"), "'disk full'");
  assert.equal(quote("it's $HOME"), "'it'\\''s $HOME'");
  assert.equal(quote("a;b"), "'a;b'");
});

test("events say on one line what the command line says of them", () => {
  /** @type {(kind: string, payload: any, is: string) => void} */
  const check = (kind, payload, is) => assert.equal(lineOf(told(kind, payload)), is);
  check("assistant_text", { text: "one\ntwo\u001b[31m" }, '"one⏎two·[31m"');
  check("stream_started", { provider: "demo", model: "sample" }, "demo sample");
  check("tool_failed", { tool: { name: "run", error: "exit 1" } }, "run · exit 1");
  check("cancelled", { reason: "user", duration_ms: 1400 }, "user after 1.4 s");
  check("error", { code: "internal", message: "oh" }, 'internal "oh"');
  check("usage", { input_tokens: 3 }, '"input_tokens":3');
  check("of_the_future", { a: 1 }, '"a":1');
  check("plan", { entries: "broken" }, "");
  check("user_text", null, "erased with its chat");
  assert.ok(lineOf(told("user_text", { text: "x".repeat(5_000) })).length < 300);
});

test("what failed or was stopped is marked apart", () => {
  assert.equal(markOf("tool_failed"), "failed");
  assert.equal(markOf("cancelled"), "stopped");
  assert.equal(markOf("tool_started"), "tool");
  assert.equal(markOf("of_the_future"), "other");
});

test("figures are short and have units", () => {
  assert.equal(countText(1048213), "1\u202f048\u202f213");
  assert.equal(bytesText(900), "900 B");
  assert.equal(bytesText(12.4e6), "11.8 MiB");
  assert.equal(durationText(18), "18 ms");
  assert.equal(durationText(64_000), "1 min 4 s");
  assert.equal(durationText(3_700_000), "1 h 1 min");
  assert.equal(shortId("0192f3c4-8a53-7d10-b54c-2f6a7c3f9a1b"), "…f6a7c3f9a1b");
  assert.equal(shortId("c1"), "c1");
});
