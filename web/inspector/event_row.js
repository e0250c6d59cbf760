/**
 * @module
 * One event as a row of the timeline: seq, time, silence before it, chat, kind, what it says.
 */

import { h, setAttribute, setText } from "../page/dom.js";
import { countText, durationText, lineOf, markOf, shortId, timeText } from "./words.js";

/** @typedef {import("./rows.js").Row} Row */

/** A silence that is worth to be seen, in milliseconds; `inspect turn` has the same. */
const GAP_MS = 1_000;

const CELLS = ["seq", "time", "since", "chat", "kind", "text"];

/** Makes the element of a row. */
export function makeRow() {
  const cells = CELLS.map((name) => h("span", { class: `cell ${name}` }));
  return h("div", { class: "row", role: "option" }, cells);
}

/**
 * @typedef {object} Drawn
 * @property {number | null} seq
 * @property {Row} row
 * @property {Row} before The row above.
 * @property {boolean} isSelected
 * @property {boolean} isWhole Whether the rows leave nothing out, so that a silence is one.
 * @property {string | null} title Of the chat, if it is known.
 * @property {string} emphasis What of it belongs to the selection: its turn, its message.
 */

/**
 * Draws an event into the element of a row.
 *
 * @param {HTMLElement} element
 * @param {Drawn} drawn
 */
export function drawRow(element, { seq, row, before, isSelected, isWhole, title, emphasis }) {
  const event = row !== null && row !== "erased" ? row : null;
  const gapMs = event ? gapBefore(event, before) : null;
  const isGap = isWhole && gapMs !== null && gapMs >= GAP_MS;
  element.id = seq === null ? "" : `seq-${seq}`;
  setAttribute(element, "aria-selected", String(isSelected));
  setAttribute(element, "data-mark", event && event.payload !== null ? markOf(event.kind) : "none");
  setAttribute(element, "data-belongs", emphasis || null);
  setAttribute(element, "data-gap", isGap ? "" : null);
  const texts = [
    seq === null ? "" : countText(seq),
    event ? timeText(event.at) : "",
    gapMs === null ? "" : sinceText(gapMs, isGap),
    event ? (title ?? shortId(event.chatId)) : "",
    event ? event.kind : "",
    event ? lineOf(event) : row === "erased" ? "erased with its chat" : "…",
  ];
  for (const [i, text] of texts.entries()) {
    const cell = element.children[i];
    if (cell) setText(cell, text);
  }
}

/**
 * Time since the row above, in few characters.
 *
 * @param {number} ms
 * @param {boolean} isGap
 */
function sinceText(ms, isGap) {
  if (ms < GAP_MS) return `+${ms}`;
  const text = ms < 60_000 ? durationText(ms) : (durationText(ms).match(/^\d+ \w+/)?.[0] ?? "");
  return `${isGap ? "gap " : "+"}${text}`;
}

/**
 * @param {import("../client/wire.js").Envelope} event
 * @param {Row} before
 */
function gapBefore(event, before) {
  if (before === null || before === "erased") return null;
  return Date.parse(event.at) - Date.parse(before.at);
}
