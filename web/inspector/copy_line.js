/**
 * @module
 * A command that can be copied: the line as it is typed, and a button beside it.
 *
 * Where the browser refuses the clipboard, as it does on plain HTTP from another machine, the line
 * is selected instead, so that a key copies it.
 */

import { h, setText, strokes } from "../page/dom.js";

const COPY = ["M9 9h10v11H9z", "M15 9V4H5v11h4"];
const DONE = ["M4 13l5 5L20 6"];

/** How long a copied line says so, in milliseconds. */
const DONE_MS = 1_500;

/** A line of a shell with its button. */
export class CopyLine {
  #code = h("code", { tabindex: "-1" });
  #button = h("button", { class: "quiet icon", type: "button", onclick: () => this.copy() });
  element = h("div", { class: "command" }, this.#code, this.#button);
  /** @type {(words: string) => void} */
  #say;
  #timer = 0;

  /**
   * @param {string} what What the command prints, for its button's name.
   * @param {(words: string) => void} say
   */
  constructor(what, say) {
    this.#say = say;
    this.#button.setAttribute("aria-label", `Copy the command that prints ${what}`);
    this.#button.title = `Copy the command that prints ${what}`;
    this.#draw(COPY);
  }

  /** @param {string} command */
  set(command) {
    setText(this.#code, command);
    this.#code.title = command;
  }

  /** @returns {string} */
  get command() {
    return this.#code.textContent ?? "";
  }

  /** Copies the line, or selects it. */
  async copy() {
    try {
      await navigator.clipboard.writeText(this.command);
    } catch {
      getSelection()?.selectAllChildren(this.#code);
      this.#say("Selected; copy it with the key of your system.");
      return;
    }
    this.#say("Copied.");
    this.#draw(DONE);
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.#draw(COPY), DONE_MS);
  }

  /** @param {readonly string[]} paths */
  #draw(paths) {
    this.#button.replaceChildren(strokes(paths));
  }
}
