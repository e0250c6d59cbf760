/**
 * @module
 * One event: its envelope as every reader gets it, and the form in which it is stored.
 */

import { h } from "../page/dom.js";
import { NO_FILTER } from "./address.js";
import { eventCommand, stateCommand, storedCommand } from "./commands.js";
import { CopyLine } from "./copy_line.js";
import { jsonView } from "./json_view.js";
import { notice } from "./notice.js";
import { countText } from "./words.js";

/** @typedef {import("./calls.js").EventDetail} EventDetail */
/** @typedef {import("./place.js").Navigation} Navigation */

/** Bytes on a line of the hex dump, and bytes shown. */
const LINE_BYTES = 12;
const DUMP_BYTES_MAX = 16 * 1024;

/**
 * The envelope, with ways to what it belongs to.
 *
 * @param {number} seq
 * @param {EventDetail} detail
 * @param {Navigation} navigation
 * @param {(words: string) => void} say
 * @returns {Node[]}
 */
export function envelopePanel(seq, { envelope, unreadable }, navigation, say) {
  const command = new CopyLine("this event", say);
  command.set(eventCommand(seq));
  if (!envelope) {
    const verify = h("code", null, "scrollback verify");
    const title = `Event ${countText(seq)} cannot be read.`;
    return [notice(title, unreadable ?? "", verify), command.element];
  }
  if (envelope.payload === null) {
    const words = "Its chat was deleted: the payload is gone from every file; its seq stays.";
    const erased = notice(`Event ${countText(seq)} was erased.`, words);
    return [erased, jsonView(envelope, "Envelope"), command.element];
  }
  const state = new CopyLine("the chat as it was at this seq", say);
  state.set(stateCommand(seq, envelope.chatId));
  const { chatId: chat, messageId: message, streamId: turn, kind } = envelope;
  const { filter } = navigation.place;
  const only = (/** @type {string} */ words, /** @type {Partial<typeof filter>} */ change) =>
    h(
      "button",
      { type: "button", onclick: () => navigation.go({ filter: { ...NO_FILTER, ...change } }) },
      words,
    );
  const ways = h(
    "div",
    { class: "ways" },
    h("span", { class: "muted small" }, "Show only"),
    only("this chat", { chat }),
    turn ? only("this turn", { chat, turn }) : null,
    message ? only("this message", { chat, message }) : null,
    only(kind, { kinds: [kind] }),
  );
  const caption = (/** @type {string} */ words) => h("p", { class: "muted small caption" }, words);
  // As it is on the wire, whatever order the fields came in.
  const { seq: place, at, payload } = envelope;
  const wire = { chatId: chat, messageId: message, streamId: turn, seq: place, at, kind, payload };
  return [
    ...[ways, jsonView(wire, "Envelope"), caption("This event"), command.element],
    ...[caption("The chat as it was at this seq"), state.element],
  ];
}

/**
 * The stored form.
 *
 * @param {number} seq
 * @param {EventDetail} detail
 * @param {(words: string) => void} say
 * @returns {Node[]}
 */
export function storedPanel(seq, { stored }, say) {
  const { kind_number, version, format_byte, payload_bytes, erased, batch } = stored;
  const isDamaged = stored.payload_state === "damaged";
  const command = new CopyLine("the stored form", say);
  command.set(storedCommand(location.origin, seq));
  const facts = [
    ["kind", `number ${kind_number}, version ${version}`],
    ["format byte", String(format_byte ?? "–")],
    ["payload", erased ? "erased; its checksum stays" : `${countText(payload_bytes)} bytes`],
    ["checksum", isDamaged ? "does not fit: the payload is damaged" : "fits"],
    ...Object.entries(batch ?? {}).map(([name, value]) => [
      `batch ${name.replace("batch_", "").replaceAll("_", " ")}`,
      typeof value === "number" ? countText(value) : String(value),
    ]),
  ];
  const table = h(
    "dl",
    { class: "facts" },
    facts.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value))),
  );
  const dump = h(
    "pre",
    { class: "hex", tabindex: "0", role: "region", "aria-label": "Bytes of the payload" },
    hexDump(stored.payload_hex) + (stored.is_payload_cut ? "\n…" : ""),
  );
  const proof = h(
    "p",
    { class: "muted small" },
    "A batch is written whole and carries one checksum; ",
    h("code", null, "scrollback verify"),
    " proves all of them.",
  );
  return erased ? [table, proof, command.element] : [table, dump, proof, command.element];
}

/**
 * Bytes as offset, hex and characters.
 *
 * @param {string} hex
 * @returns {string}
 */
export function hexDump(hex) {
  const bytes = (hex.match(/../g) ?? []).map((digits) => Number.parseInt(digits, 16));
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, DUMP_BYTES_MAX); at += LINE_BYTES) {
    const line = bytes.slice(at, at + LINE_BYTES);
    const digits = line.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const isShown = (/** @type {number} */ byte) => byte >= 0x20 && byte < 0x7f;
    const text = line.map((byte) => (isShown(byte) ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${digits.padEnd(LINE_BYTES * 3)} ${text}`);
  }
  const rest = bytes.length - DUMP_BYTES_MAX;
  return lines.join("\n") + (rest > 0 ? `\n… ${rest} more bytes` : "");
}
