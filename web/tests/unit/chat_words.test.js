// What the chat page says: of failures, of the connection, of times and numbers, of chats.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { connectionText, missedText } from "../../chat/connection_text.js";
import { adviceOn, interruptedText, refusalText } from "../../chat/failure.js";
import { nameOf, titleFrom } from "../../chat/names.js";
import { providersOf } from "../../chat/providers.js";
import { ageText, durationText, moneyText, numberText } from "../../page/time.js";

/** Thin spaces as plain ones, so that a test can be typed. */
const plain = (/** @type {string} */ text) => text.replaceAll("\u202f", " ");

test("every code of a failure has words of its own", () => {
  const list = readFileSync(
    new URL("../../../schema/src/error_code.rs", import.meta.url),
    "utf8",
  );
  const codes = [...list.matchAll(/"(\w+)" retry (true|false)/g)];
  assert.ok(codes.length >= 15);
  const unknown = adviceOn({ code: "no_such_code", retryable: true }).happened;
  for (const [, code = "", retry] of codes) {
    const retryable = retry === "true";
    const advice = adviceOn({ code, retryable });
    assert.notEqual(advice.happened, unknown, code);
    assert.equal(/try again/i.test(advice.next), retryable, `${code}: ${advice.next}`);
  }
});

test("an unknown code still says what can be done", () => {
  assert.match(adviceOn({ code: "of_later", retryable: true }).next, /try again/i);
  assert.doesNotMatch(adviceOn({ code: "of_later", retryable: false }).next, /try again/i);
});

test("every reason of an interruption is told", () => {
  const reasons = ["user", "send_now", "shutdown", "restart", "lease_expired"];
  const texts = new Set(reasons.map(interruptedText));
  assert.equal(texts.size, reasons.length);
  assert.equal(interruptedText("of_later"), "The answer was interrupted.");
  assert.equal(interruptedText(null), "The answer was interrupted.");
});

test("a refusal is a sentence", () => {
  assert.equal(refusalText(new Error("the chat is busy")), "The chat is busy.");
  assert.equal(refusalText(new Error("Done!")), "Done!");
  assert.equal(refusalText("x"), "It did not work.");
});

test("the connection says what it does", () => {
  /** @type {import("../../client/index.js").ConnectionState} */
  const live = {
    phase: "live",
    seq: 4_812,
    headSeq: 4_812,
    toGo: 0,
    retryAt: null,
    leader: true,
    missed: 0,
    plugged: true,
    error: null,
  };
  assert.equal(connectionText(live, 0), "live");
  const behind = connectionText({ ...live, phase: "catching_up", toGo: 1_204 }, 0);
  assert.equal(plain(behind), "catching up · 1 204 to go");
  assert.equal(connectionText({ ...live, phase: "catching_up" }, 0), "catching up");
  const waiting = /** @type {const} */ ({ ...live, phase: "waiting", retryAt: 5_000 });
  assert.equal(connectionText(waiting, 2_100), "reconnecting in 3 s");
  assert.equal(connectionText(waiting, 9_000), "reconnecting in 1 s");
  assert.equal(connectionText({ ...live, phase: "offline" }, 0), "offline");
  assert.equal(connectionText({ ...live, phase: "offline", plugged: false }, 0), "unplugged");
  assert.equal(missedText(1), "1 event caught up");
  assert.equal(plain(missedText(2_140)), "2 140 events caught up");
});

test("numbers, durations and ages are short", () => {
  assert.equal(plain(numberText(48_213)), "48 213");
  assert.equal(plain(numberText(1_234_567)), "1 234 567");
  assert.equal(numberText(12), "12");
  assert.equal(plain(durationText(840)), "0.8 s");
  assert.equal(plain(durationText(12_400)), "12 s");
  assert.equal(plain(durationText(184_000)), "3 min 4 s");
  assert.equal(plain(durationText(7_500_000)), "2 h 5 min");
  assert.equal(moneyText(0.0041), "$0.0041");
  const now = Date.parse("2026-11-22T20:52:00Z");
  assert.equal(ageText("2026-11-22T20:51:30Z", now), "now");
  assert.equal(plain(ageText("2026-11-22T20:47:00Z", now)), "5 min");
  assert.equal(plain(ageText("2026-11-22T10:47:00Z", now)), "10 h");
  assert.equal(ageText("2026-11-18T12:00:00Z", now, "en-GB"), "Wed");
  assert.equal(ageText("2026-08-12T12:00:00Z", now, "en-GB"), "12 Aug");
  assert.equal(ageText("no time", now), "");
});

test("a chat is called by its title, its id or its first words", () => {
  assert.equal(nameOf(null), "New chat");
  assert.equal(nameOf({ id: "ask-me", title: "Numbers" }), "Numbers");
  assert.equal(nameOf({ id: "ask-me", title: null }), "ask-me");
  assert.equal(
    nameOf({ id: "01a2149a-edc1-7ad0-979c-d44b183ca7c5", title: null }),
    "Untitled chat",
  );
  assert.equal(titleFrom("  what   changed?\nand why"), "What changed?");
  assert.equal(titleFrom("## - a list"), "A list");
  assert.equal(titleFrom("***"), "New chat");
  const long = titleFrom("word ".repeat(40));
  assert.ok(long.length <= 49 && long.endsWith("word…"), long);
});

test("a choice of providers is read only from what is one", () => {
  const local = { name: "local", kind: "openai", models: ["gemma"], is_default: true };
  const answer = { items: [{ name: "agent", models: [], is_default: false }, local, {}] };
  assert.deepEqual(providersOf(answer), [
    { name: "agent", model: null, isDefault: false },
    { name: "local", model: "gemma", isDefault: true },
  ]);
  for (const other of [null, [], {}, { items: "x" }, 7]) assert.deepEqual(providersOf(other), []);
});
