/**
 * @module
 * The fields that say which events the timeline holds.
 *
 * A field holds what its reader types; the filter changes once that makes sense. Fields follow the
 * place where it changes elsewhere, but never under the fingers of who types.
 */

import { find, h, setAttribute, setText } from "../page/dom.js";
import { isFiltered, NO_FILTER, readRange, writeRange } from "./address.js";
import { KIND_GROUPS } from "./words.js";

/** @typedef {import("./address.js").Filter} Filter */

/** Milliseconds that a typed text rests before it is searched. */
const REST_MS = 300;

const GROUP_NAMES = {
  text: "Text",
  turn: "Turns",
  tool: "Tools and plans",
  asked: "Approvals and questions",
  queue: "Queue",
  chat: "Chats",
  schedule: "Schedules",
  other: "Other",
};

/** The bar. */
export class FilterBar {
  #onFilter;
  #filter = NO_FILTER;
  #timer = 0;
  #chats = h("datalist", { id: "chats" });
  #chat = field("chat", "any chat", { list: "chats" });
  #turn = field("turn", "any turn");
  #message = field("message", "any message");
  #text = field("text", "text", { type: "search" });
  #range = field("seq", "seq from..to", { inputmode: "text" });
  #summary = h("summary", null, "any kind");
  #kinds = h("div", { class: "kinds" }, Object.entries(KIND_GROUPS).map(kindGroup));
  #menu = h("details", { class: "kind-menu" }, this.#summary, this.#kinds);
  #clear = h("button", { type: "button", class: "quiet", onclick: () => this.clear() }, "Clear");
  element = h(
    "form",
    { class: "filter", role: "search", "aria-label": "Filter events" },
    ...[this.#chat, this.#turn, this.#message, this.#menu, this.#text, this.#range],
    ...[this.#clear, this.#chats],
  );

  /** @param {(filter: Filter) => void} onFilter */
  constructor(onFilter) {
    this.#onFilter = onFilter;
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#apply();
    });
    this.element.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => this.#apply(), REST_MS);
    });
    this.#menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.#menu.open) return;
      event.stopPropagation();
      this.#menu.open = false;
      this.#summary.focus();
    });
    document.addEventListener("click", (event) => {
      if (event.target instanceof Node && !this.#menu.contains(event.target)) {
        this.#menu.open = false;
      }
    });
  }

  /** Puts the cursor where text is searched. */
  focus() {
    input(this.#text).select();
  }

  clear() {
    clearTimeout(this.#timer);
    this.#onFilter(NO_FILTER);
  }

  /** @param {Filter} filter */
  show(filter) {
    this.#filter = filter;
    put(this.#chat, filter.chat);
    put(this.#turn, filter.turn);
    put(this.#message, filter.message);
    put(this.#text, filter.text);
    put(this.#range, writeRange(filter.from, filter.to));
    for (const box of this.#boxes()) box.checked = filter.kinds.includes(box.value);
    const [first, ...others] = filter.kinds;
    setText(
      this.#summary,
      first === undefined ? "any kind" : others.length ? `${others.length + 1} kinds` : first,
    );
    setAttribute(this.#summary, "data-set", first === undefined ? null : "");
    this.#clear.hidden = !isFiltered(filter);
  }

  /** @param {readonly { id: string, title: string | null }[]} chats */
  setChats(chats) {
    const options = chats.map(({ id, title }) => h("option", { value: id }, title ?? id));
    this.#chats.replaceChildren(...options);
  }

  #boxes() {
    return /** @type {NodeListOf<HTMLInputElement>} */ (this.#kinds.querySelectorAll("input"));
  }

  #apply() {
    clearTimeout(this.#timer);
    const text = input(this.#range).value.trim();
    const [from, to] = readRange(text);
    const isRange = text === "" || from !== null || to !== null;
    setAttribute(input(this.#range), "aria-invalid", isRange ? null : "true");
    this.#onFilter({
      ...this.#filter,
      chat: input(this.#chat).value.trim(),
      turn: input(this.#turn).value.trim(),
      message: input(this.#message).value.trim(),
      text: input(this.#text).value,
      kinds: [...this.#boxes()].filter((box) => box.checked).map((box) => box.value),
      ...(isRange ? { from, to } : {}),
    });
  }
}

/**
 * @param {string} name
 * @param {string} placeholder
 * @param {Record<string, string>} [props]
 */
function field(name, placeholder, props = {}) {
  const rest = { placeholder, spellcheck: "false", autocomplete: "off", "data-field": name };
  return h("label", { class: `field ${name}` }, h("span", null, name), h("input", {
    ...rest,
    ...props,
  }));
}

/** @param {ParentNode} label */
function input(label) {
  return find(label, "input", HTMLInputElement);
}

/**
 * @param {ParentNode} label
 * @param {string} text
 */
function put(label, text) {
  const element = input(label);
  if (element !== document.activeElement || text === "") element.value = text;
  setAttribute(element, "data-set", text === "" ? null : "");
}

/** @param {[string, readonly string[]]} group */
function kindGroup([group, kinds]) {
  const name = GROUP_NAMES[/** @type {keyof typeof GROUP_NAMES} */ (group)];
  return h("fieldset", null, h("legend", null, name), kinds.map((kind) =>
    h("label", null, h("input", { type: "checkbox", value: kind }), kind),
  ));
}
