/**
 * @module
 * JSON for reading: one value a line, names, texts and numbers told apart.
 *
 * Builds text nodes; what is very long is cut, and says so.
 */

import { h } from "../page/dom.js";

/** Characters of a document that are shown. */
const CHARS_MAX = 100_000;

/**
 * @param {unknown} value
 * @param {string} label what it is, for who does not see it
 * @returns {HTMLElement}
 */
export function jsonView(value, label) {
  const text = JSON.stringify(value, null, 2) ?? "null";
  const shown = text.slice(0, CHARS_MAX);
  const rest = text.length - shown.length;
  return h(
    "pre",
    { class: "json", tabindex: "0", role: "region", "aria-label": label },
    ...tokens(shown),
    rest > 0 && h("span", { class: "muted" }, `\n… ${rest} more characters`),
  );
}

/** @param {string} text */
function tokens(text) {
  const pattern = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/g;
  const nodes = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    const [whole, string, colon] = match;
    if (match.index > end) nodes.push(text.slice(end, match.index));
    const kind = string === undefined ? "literal" : colon === undefined ? "string" : "name";
    nodes.push(h("span", { class: kind }, string ?? whole), colon ?? "");
    end = match.index + whole.length;
  }
  nodes.push(text.slice(end));
  return nodes;
}
