/**
 * @module
 * The keys of the page, and the dialog that lists them.
 *
 * Letters count where nobody types; a list, a slider and a field keep the keys that are theirs.
 */

import { h } from "../page/dom.js";

/** @type {readonly (readonly [string, string])[]} */
const KEYS = [
  ["↑ ↓", "one event on or back; also k and j"],
  ["PgUp PgDn", "a window on or back"],
  ["Home End", "the first event, the last"],
  ["Enter", "to the detail of the event"],
  ["f", "follow the head, or stand still"],
  ["/", "search in texts"],
  ["g", "go to a seq"],
  ["1 … 5", "event, stored form, message, turn, views"],
  ["a b", "mark a seq of the message; two marks are compared"],
  ["c", "copy the command that prints these events"],
  ["Esc", "back to the events"],
  ["?", "these keys"],
];

/** Makes the dialog. */
export function helpDialog() {
  const rows = KEYS.map(([keys, words]) => {
    const pressed = keys.split(" ").map((key) => h("kbd", null, key));
    return h("div", null, h("dt", null, pressed), h("dd", null, words));
  });
  const close = h("button", { class: "primary", type: "submit" }, "Close");
  return h(
    "dialog",
    { class: "help", "aria-labelledby": "help-title" },
    h("h2", { id: "help-title" }, "Keys"),
    h("dl", null, rows),
    h("form", { method: "dialog" }, close),
  );
}

/**
 * Does what a key stands for, where nobody types.
 *
 * @param {Record<string, () => void>} actions by key
 */
export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const { target } = event;
    const isTyped =
      target instanceof HTMLTextAreaElement ||
      target instanceof HTMLSelectElement ||
      (target instanceof HTMLInputElement && !["range", "checkbox"].includes(target.type));
    const action = Object.hasOwn(actions, event.key) ? actions[event.key] : undefined;
    if (!action || (isTyped && event.key !== "Escape")) return;
    if (document.querySelector("dialog[open]")) return;
    event.preventDefault();
    action();
  });
}
