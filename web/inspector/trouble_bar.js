/**
 * @module
 * What is wrong stands on top of the page, with what to do about it.
 *
 * Others find out what is wrong; here it is put in order, and drawn anew only when it is another
 * trouble, so that a figure that moves takes nobody's focus away.
 */

import { h, setChildren, setText } from "../page/dom.js";
import { CopyLine } from "./copy_line.js";

/**
 * @typedef {object} Trouble
 * @property {string} id The same as long as it is the same trouble.
 * @property {"failed" | "behind"} state
 * @property {string} title
 * @property {string} words What it means, and what to do.
 * @property {string | null} command What to do or to look at on a terminal.
 * @property {{ words: string, go: () => void } | null} action
 */

/** Troubles that are shown at once; the rest is counted. */
const TROUBLES_MAX = 3;

/** The bar. */
export class TroubleBar {
  #say;
  /** @type {Map<string, readonly Trouble[]>} by who found them */
  #found = new Map();
  /** @type {Map<string, { element: HTMLElement, show: (trouble: Trouble) => void }>} */
  #lines = new Map();
  #rest = h("p", { class: "trouble small" });
  element = h("div", { class: "troubles", role: "status" });

  /** @param {(words: string) => void} say */
  constructor(say) {
    this.#say = say;
  }

  /**
   * Replaces what one finder has found.
   *
   * @param {string} finder
   * @param {readonly Trouble[]} troubles
   */
  set(finder, troubles) {
    this.#found.set(finder, troubles);
    const all = [...this.#found.values()].flat();
    const shown = all.slice(0, TROUBLES_MAX);
    const ids = new Set(shown.map(({ id }) => id));
    for (const id of this.#lines.keys()) if (!ids.has(id)) this.#lines.delete(id);
    const lines = shown.map((trouble) => {
      const line = this.#lines.get(trouble.id) ?? this.#line(trouble);
      line.show(trouble);
      return line.element;
    });
    const nMore = all.length - shown.length;
    setText(this.#rest, `${nMore} more of these are under Views.`);
    setChildren(this.element, nMore > 0 ? [...lines, this.#rest] : lines);
  }

  /** @param {Trouble} first */
  #line(first) {
    let trouble = first;
    const [title, words] = [h("strong"), h("span")];
    const command = new CopyLine("what to do", this.#say);
    const button = h("button", { type: "button", onclick: () => trouble.action?.go() });
    const said = h("p", { class: "words" }, title, " ", words);
    const element = h("div", { class: "trouble" }, said, button, command.element);
    const line = {
      element,
      show: (/** @type {Trouble} */ next) => {
        trouble = next;
        element.dataset["state"] = next.state;
        setText(title, next.title);
        setText(words, next.words);
        button.hidden = next.action === null;
        setText(button, next.action?.words ?? "");
        command.element.hidden = next.command === null;
        command.set(next.command ?? "");
      },
    };
    this.#lines.set(trouble.id, line);
    return line;
  }
}
