/**
 * @module
 * Shows what stands where messages would be: nothing said yet, loading, gone, failed.
 */

import { h } from "../page/dom.js";
import { refusalText } from "./failure.js";

/** @typedef {import("../client/index.js").ChatView} ChatView */

/**
 * @typedef {object} PlaceActions
 * @property {(text: string) => void} suggest
 * @property {() => void} reload
 * @property {() => void} newChat
 */

/** What may be asked to begin with; the scripted agent has something to show for each. */
const STARTERS = [
  ["A report", "Write a report with a table and some code"],
  ["Tools", "Use a few tools at once, and tell me if one fails"],
  ["An approval", "Send the mail, but ask for my approval first"],
  ["A plan", "Make a plan, and change it when you learn more"],
  ["A failure", "Show me what it looks like when you fail in mid-sentence"],
];

/**
 * @param {HTMLElement} parent
 * @param {PlaceActions} actions
 */
export function createPlace(parent, actions) {
  let shown = "";

  /**
   * @param {ChatView | null} chat null for one that is not created yet
   */
  return (chat) => {
    const place = placeOf(chat);
    if (place === shown) return;
    shown = place;
    parent.hidden = place === "";
    parent.dataset["place"] = place;
    parent.replaceChildren(...nodesOf(place, chat, actions));
  };
}

/** @param {ChatView | null} chat */
function placeOf(chat) {
  if (chat === null) return "new";
  if (chat.loading === "gone" || chat.deleted) return "gone";
  if (chat.messages.length + chat.sending.length > 0) return "";
  if (chat.loading === "failed") return "failed";
  return chat.loading === "loading" ? "loading" : "empty";
}

/**
 * @param {string} place
 * @param {ChatView | null} chat
 * @param {PlaceActions} actions
 * @returns {Node[]}
 */
function nodesOf(place, chat, actions) {
  switch (place) {
    case "new":
    case "empty":
      return [greeting(actions)];
    case "loading":
      return [skeleton()];
    case "gone":
      return [
        h("h2", null, "This chat is not here"),
        h("p", { class: "muted" }, "It was deleted, or its address is not quite right."),
        h("button", { type: "button", onclick: actions.newChat }, "new chat"),
      ];
    case "failed":
      return [
        h("h2", null, "This chat cannot be read right now"),
        h("p", { class: "muted" }, refusalText(chat?.error)),
        h("button", { type: "button", onclick: actions.reload }, "try again"),
      ];
    default:
      return [];
  }
}

/** @param {PlaceActions} actions */
function greeting(actions) {
  const starters = STARTERS.map(([name, text = ""]) =>
    h(
      "li",
      null,
      h(
        "button",
        { type: "button", onclick: () => actions.suggest(text) },
        h("strong", null, name),
        h("span", { class: "muted" }, text),
      ),
    ),
  );
  return h(
    "div",
    { class: "greeting" },
    h("span", { class: "mark large", "aria-hidden": "true" }),
    h("h2", null, "Ask something"),
    h(
      "p",
      { class: "muted" },
      "Close the page, pull the plug, come back on another device: not a character is lost.",
    ),
    h("ul", { class: "starters", "aria-label": "to begin with" }, starters),
  );
}

function skeleton() {
  const lines = (/** @type {string} */ shape) =>
    h("div", { class: `bones ${shape}` }, h("span"), h("span"), h("span"));
  return h(
    "div",
    { class: "skeleton", role: "status" },
    h("span", { class: "aloud" }, "loading the chat"),
    lines("mine"),
    lines("theirs"),
    lines("mine"),
    lines("theirs"),
  );
}
