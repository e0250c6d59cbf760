/**
 * @module
 * A message at any seq: a slider through its seqs, two marks, and what changed between them.
 *
 * The slider stands where the selected event is, so that walking through the timeline walks through
 * the message too; moved by hand, it stays there. Every state comes from the server, which folds
 * the log up to that seq; nothing is folded here.
 */

import { h, setAttribute, setChildren, setText } from "../page/dom.js";
import { NO_FILTER } from "./address.js";
import { differenceCommand, messageCommand } from "./commands.js";
import { CopyLine } from "./copy_line.js";
import { CallError } from "./calls.js";
import { Latest } from "./latest.js";
import { differenceView, messageView } from "./message_view.js";
import { failure, notice } from "./notice.js";
import { countText } from "./words.js";

/** @typedef {import("./calls.js").MessageState} MessageState */
/** @typedef {import("./detail.js").Subject} Subject */

/**
 * @typedef {object} Span
 * @property {string} chat
 * @property {string} message
 * @property {number} first The seq of its first event.
 * @property {number} last
 * @property {boolean} isOpen Whether it is still being said.
 */

/** The panel. */
export class MessagePanel {
  #calls;
  #navigation;
  #bounds = new Latest();
  #states = new Latest();
  #differences = new Latest();
  #steps = new Latest();
  #head = 0;
  #isShown = false;
  /** @type {Subject | null} */
  #subject = null;
  /** @type {Span | null} */
  #span = null;
  /** What is shown, so that it is not asked for again. */
  #shown = "";
  #slider = h("input", { type: "range", min: "1", step: "1", "aria-label": "Seq of the message" });
  #ticks = ["A", "B"].map((name) => h("span", { class: "tick", "aria-hidden": "true" }, name));
  #at = h("output", { class: "number" });
  #live = h("button", { type: "button", onclick: () => this.#slide(null) }, "Latest");
  #marks = ["A", "B"].map((name, i) =>
    h("button", { type: "button", onclick: () => this.#mark(i) }, `Mark ${name}`),
  );
  #unmark = h(
    "button",
    { type: "button", class: "quiet", onclick: () => this.#go({ marks: [null, null] }) },
    "Clear marks",
  );
  #state = h("div", { class: "stack message-state" });
  #difference = h("div", { class: "stack difference" });
  #command;
  #differenceCommand;
  #content;
  element = h("div", { class: "stack" });

  /**
   * @param {import("./calls.js").Calls} calls
   * @param {import("./place.js").Navigation} navigation
   * @param {(words: string) => void} say
   */
  constructor(calls, navigation, say) {
    this.#calls = calls;
    this.#navigation = navigation;
    this.#command = new CopyLine("this message at this seq", say);
    this.#differenceCommand = new CopyLine("this difference", say);
    const step = (/** @type {string} */ words, /** @type {-1 | 1} */ by) =>
      h(
        "button",
        { type: "button", class: "icon", "aria-label": words, onclick: () => this.#step(by) },
        by < 0 ? "◀" : "▶",
      );
    this.#slider.addEventListener("input", () => this.#slide(Number(this.#slider.value)));
    const track = h("div", { class: "track" }, this.#slider, this.#ticks);
    this.#content = [
      h(
        "div",
        { class: "slider" },
        step("Former change of the message", -1),
        track,
        step("Next change of the message", 1),
        this.#live,
      ),
      h("div", { class: "ways" }, this.#at, this.#marks, this.#unmark),
      this.#difference,
      this.#state,
      this.#command.element,
    ];
  }

  /**
   * @param {Subject | null} subject
   * @param {boolean} isShown
   */
  show(subject, isShown) {
    this.#isShown = isShown;
    this.#subject = subject;
    if (!isShown) return;
    const { chat, message } = subject ?? {};
    if (!chat || !message) {
      const words = "Choose an event of one: of a user, or of the answer of a turn.";
      this.#span = null;
      setChildren(this.element, [notice("No message is selected.", words)]);
    } else if (this.#span?.chat !== chat || this.#span.message !== message) {
      this.#span = null;
      this.#measure(chat, message);
    } else {
      this.#showAt(this.#span);
    }
  }

  /** @param {number} head */
  setHead(head) {
    if (head === this.#head) return;
    this.#head = head;
    const span = this.#span;
    if (this.#isShown && span?.isOpen) this.#measure(span.chat, span.message);
  }

  /** Marks the shown seq as the first or the second to compare. */
  mark(/** @type {number} */ which) {
    if (this.#isShown && this.#span) this.#mark(which);
  }

  /**
   * Learns from where to where a message goes.
   *
   * @param {string} chat
   * @param {string} message
   */
  #measure(chat, message) {
    this.#bounds.ask(
      (signal) => this.#calls.message(chat, message, null, signal),
      (state) => {
        const isOpen = state.stream_status === "in_progress";
        const { first_seq: first, last_seq: last } = state;
        this.#span = { chat, message, first, last, isOpen };
        if (this.#isShown) this.#showAt(this.#span);
      },
      (error) => {
        const retry = () => this.#measure(chat, message);
        setChildren(this.element, [failure(error, retry)]);
      },
    );
  }

  /** @param {Span} span */
  #seqOf({ first, last }) {
    const seq = this.#navigation.place.at ?? this.#subject?.seq ?? last;
    return Math.max(first, Math.min(seq, last));
  }

  /** @param {Span} span */
  #showAt(span) {
    const { chat, message, first, last, isOpen } = span;
    const seq = this.#seqOf(span);
    setChildren(this.element, this.#content);
    setAttribute(this.#slider, "min", String(first));
    setAttribute(this.#slider, "max", String(last));
    this.#slider.value = String(seq);
    this.#slider.disabled = first === last;
    setAttribute(this.#slider, "aria-valuetext", `seq ${seq} of ${first} to ${last}`);
    setText(this.#at, `at seq ${countText(seq)} · ${countText(first)} to ${countText(last)}`);
    setText(this.#live, isOpen ? "Live" : "Latest");
    setAttribute(this.#live, "aria-pressed", String(seq === last));
    this.#command.set(messageCommand(chat, message, seq === last ? null : seq));
    this.#showMarks(span);
    const key = JSON.stringify([chat, message, seq]);
    if (key === this.#shown) return;
    this.#states.ask(
      (signal) => this.#calls.message(chat, message, seq, signal),
      (state) => {
        this.#shown = key;
        this.#state.replaceChildren(...messageView(state));
      },
      (error) => this.#state.replaceChildren(failure(error, () => this.#showAt(span))),
    );
  }

  /** @param {Span} span */
  #showMarks(span) {
    const { chat, message, first, last } = span;
    const { marks } = this.#navigation.place;
    for (const [i, tick] of this.#ticks.entries()) {
      const seq = marks[i] ?? null;
      tick.hidden = seq === null;
      const share = ((seq ?? first) - first) / Math.max(1, last - first);
      tick.style.setProperty("--share", String(Math.max(0, Math.min(1, share))));
      const name = i === 0 ? "A" : "B";
      const button = this.#marks[i];
      if (button) setText(button, seq === null ? `Mark ${name}` : `${name} at ${countText(seq)}`);
    }
    const [a, b] = marks;
    this.#unmark.hidden = a === null && b === null;
    this.#difference.hidden = a === null || b === null;
    if (a === null || b === null || a === b) {
      const words = "Both marks are at the same seq; move the slider and mark another.";
      this.#difference.replaceChildren(h("p", { class: "muted small" }, words));
      this.#differences.drop();
      delete this.#difference.dataset["key"];
      return;
    }
    const [from, to] = [Math.min(a, b), Math.max(a, b)];
    const key = JSON.stringify([chat, message, from, to]);
    if (this.#difference.dataset["key"] === key) return;
    this.#difference.dataset["key"] = key;
    this.#differenceCommand.set(differenceCommand(chat, message, from, to));
    this.#compare(span, from, to);
  }

  /**
   * @param {Span} span
   * @param {number} from
   * @param {number} to
   */
  #compare({ chat, message }, from, to) {
    const state = (/** @type {number} */ at, /** @type {AbortSignal} */ signal) =>
      this.#calls.message(chat, message, at, signal).catch((error) => {
        // Before its first event a message is not there, which is a state like others.
        if (error instanceof CallError && error.status === 404) return null;
        throw error;
      });
    const title = h("h3", null, `From seq ${countText(from)} to ${countText(to)}`);
    this.#differences.ask(
      (signal) => Promise.all([state(from, signal), state(to, signal)]),
      ([before, after]) =>
        this.#difference.replaceChildren(
          title,
          ...differenceView(before, after),
          this.#differenceCommand.element,
        ),
      (error) => {
        delete this.#difference.dataset["key"];
        const retry = () => this.#span && this.#showMarks(this.#span);
        this.#difference.replaceChildren(failure(error, () => retry()));
      },
    );
  }

  /** @param {number | null} at */
  #slide(at) {
    // The latest state is said by no seq, unless a selected event says another one.
    const isSaid = at !== null || this.#subject?.seq !== null;
    this.#go({ at: isSaid ? (at ?? this.#span?.last ?? null) : null }, "slide");
  }

  /** @param {number} which */
  #mark(which) {
    const span = this.#span;
    if (!span) return;
    const [a, b] = this.#navigation.place.marks;
    const seq = this.#seqOf(span);
    this.#go({ marks: which === 0 ? [seq, b] : [a, seq] });
  }

  /**
   * Goes to the event before or after that changed the message.
   *
   * @param {-1 | 1} by
   */
  #step(by) {
    const span = this.#span;
    if (!span) return;
    const filter = { ...NO_FILTER, chat: span.chat, message: span.message };
    const seq = this.#seqOf(span);
    const from = by < 0 ? { beforeSeq: seq } : { afterSeq: seq };
    this.#steps.ask(
      (signal) => this.#calls.events(filter, from, 1, signal),
      ({ items }) => {
        const next = items[0]?.seq;
        if (next !== undefined) this.#slide(next);
      },
      (error) => this.#state.replaceChildren(failure(error, () => this.#step(by))),
    );
  }

  /**
   * @param {Partial<import("./address.js").Place>} change
   * @param {"step" | "slide"} [how]
   */
  #go(change, how) {
    this.#navigation.go(change, how);
  }
}
