/**
 * @module
 * A turn as a lane to scale, with what its time was spent on.
 *
 * What is where is `lane.js`; here it gets its place on the screen, and a way to the events.
 */

import { h, setChildren } from "../page/dom.js";
import { NO_FILTER } from "./address.js";
import { turnCommand } from "./commands.js";
import { CopyLine } from "./copy_line.js";
import { gapsOf, laneOf, NAMED_KINDS } from "./lane.js";
import { Latest } from "./latest.js";
import { failure, notice } from "./notice.js";
import { countText, durationText, markOf } from "./words.js";

/** @typedef {import("./detail.js").Subject} Subject */
/** @typedef {import("./lane.js").Lane} Lane */

/** Tools and questions of a turn that are shown. */
const NAMED_MAX = 500;

/** Pages of a time line that are read. */
const PAGES_MAX = 10;

/** Rows of a lane that are drawn; a turn of ten thousand tools is read in the timeline. */
const SPANS_MAX = 200;

const DOING_WORDS = {
  waiting: "waiting for a person",
  tool: "tools",
  speaking: "text",
  thinking: "thinking",
  starting: "before the first token",
  silent: "silence",
};

/** The panel. */
export class TurnPanel {
  #calls;
  #navigation;
  #latest = new Latest();
  #isShown = false;
  #head = 0;
  /** @type {Subject | null} */
  #subject = null;
  #key = "";
  #isOpen = false;
  /**
   * What was read of the turn.
   *
   * @type {{ runs: import("./lane.js").Run[], named: import("./lane.js").Envelope[],
   *   startedAt: number, isCut: boolean } | null}
   */
  #told = null;
  #command;
  element = h("div", { class: "stack" });

  /**
   * @param {import("./calls.js").Calls} calls
   * @param {import("./place.js").Navigation} navigation
   * @param {(words: string) => void} say
   */
  constructor(calls, navigation, say) {
    this.#calls = calls;
    this.#navigation = navigation;
    this.#command = new CopyLine("this turn", say);
  }

  /**
   * @param {Subject | null} subject
   * @param {boolean} isShown
   */
  show(subject, isShown) {
    this.#isShown = isShown;
    this.#subject = subject;
    if (!isShown) return;
    const { chat, turn } = subject ?? {};
    const key = JSON.stringify([chat, turn]);
    if (!chat || !turn) {
      const words = "Choose an event of one: its start, a delta, a tool, its end.";
      this.#key = "";
      setChildren(this.element, [notice("No turn is selected.", words)]);
    } else if (key !== this.#key) {
      this.#key = key;
      this.#isOpen = false;
      this.#read(chat, turn);
    }
  }

  /**
   * Goes on with an open turn; called now and then, whether the head is another one or not.
   *
   * @param {number} head
   */
  setHead(head) {
    const isNew = head !== this.#head;
    this.#head = head;
    const { chat, turn } = this.#subject ?? {};
    if (!this.#isShown || !this.#isOpen || !chat || !turn) return;
    if (isNew) this.#read(chat, turn);
    else this.#draw();
  }

  /**
   * @param {string} chat
   * @param {string} turn
   */
  #read(chat, turn) {
    const filter = { ...NO_FILTER, chat, turn, kinds: NAMED_KINDS };
    this.#command.set(turnCommand(chat, turn));
    this.#latest.ask(
      (signal) =>
        Promise.all([
          this.#timeline(chat, turn, signal),
          this.#calls.events(filter, { afterSeq: 0 }, NAMED_MAX, signal),
        ]),
      ([{ runs, startedAt, isCut }, named]) => {
        const told = named.items.filter(({ payload }) => payload !== null);
        this.#told = { runs, named: told, startedAt, isCut };
        this.#draw();
      },
      (error) => {
        this.#key = "";
        setChildren(this.element, [failure(error, () => this.#read(chat, turn))]);
      },
    );
  }

  /** Draws what was read; an open turn lasts until now. */
  #draw() {
    if (!this.#told) return;
    const { runs, named, startedAt, isCut } = this.#told;
    // Where it is cut, its end is not known: it lasts to what was read.
    const openMs = isCut || Number.isNaN(startedAt) ? 0 : Date.now() - startedAt;
    const lane = laneOf(runs, named, openMs);
    this.#isOpen = lane.end === null && !isCut;
    const cut = h("p", { class: "muted small" }, "This is the beginning of a long turn.");
    const rest = isCut ? [cut, this.#command.element] : [this.#command.element];
    const focused = document.activeElement?.getAttribute("data-seq");
    setChildren(this.element, [...this.#lane(lane), ...rest]);
    if (!focused) return;
    const row = this.element.querySelector(`[data-seq="${CSS.escape(focused)}"]`);
    if (row instanceof HTMLElement) row.focus();
  }

  /**
   * Reads the time line page by page.
   *
   * @param {string} chat
   * @param {string} turn
   * @param {AbortSignal} signal
   */
  async #timeline(chat, turn, signal) {
    /** @type {import("./lane.js").Run[]} */
    const runs = [];
    /** @type {number | null} */
    let after = 0;
    let startedAt = NaN;
    for (let n = 0; n < PAGES_MAX && after !== null; n++) {
      const page = await this.#calls.turn(chat, turn, after, signal);
      if (n === 0) startedAt = Date.parse(page.started_at ?? "");
      runs.push(...page.items);
      after = page.next_after_seq ?? null;
    }
    return { runs, startedAt, isCut: after !== null };
  }

  /**
   * @param {Lane} lane
   * @returns {Node[]}
   */
  #lane(lane) {
    const { lengthMs, firstTokenMs, end, spans, marks } = lane;
    const first = firstTokenMs === null ? "no token" : `first token ${durationText(firstTokenMs)}`;
    const ending = end ? `${end.kind} after ${durationText(lengthMs)}` : "open";
    const state = end ? (markOf(end.kind) === "failed" ? "failed" : "done") : "streaming";
    const head = h(
      "p",
      { class: "message-head" },
      h("span", { class: "status", "data-state": state }, ending),
      h("span", { class: "muted small" }, first),
    );
    const gaps = gapsOf(lane).map(({ fromMs, toMs }) =>
      this.#bar("gap", fromMs, toMs, lane, h("span", null, durationText(toMs - fromMs))),
    );
    const shown = spans.slice(0, SPANS_MAX);
    const rows = shown.map((span) => this.#row(span, lane));
    const marked = marks.map(({ atMs, kind, seq }) => {
      const mark = this.#bar(`mark ${markOf(kind)}`, atMs, atMs, lane);
      mark.title = `${kind} at ${durationText(atMs)}, seq ${seq}`;
      return mark;
    });
    const rest = spans.length - shown.length;
    return [
      head,
      sumsView(lane),
      h(
        "div",
        { class: "lane" },
        scaleView(lane),
        h("div", { class: "lane-back" }, gaps, marked),
        rows,
      ),
      rest > 0 && h("p", { class: "muted small" }, `${rest} more are in the timeline.`),
    ].filter((node) => node instanceof Node);
  }

  /**
   * @param {import("./lane.js").Span} span
   * @param {Lane} lane
   */
  #row(span, lane) {
    const { doing, label, fromMs, toMs, firstSeq, lastSeq, state } = span;
    const took = durationText(toMs - fromMs);
    const word = state === "failed" ? " · failed" : state === "open" ? " · open" : "";
    const seqs = firstSeq === lastSeq ? countText(firstSeq) : `${firstSeq}–${lastSeq}`;
    const select = () => this.#navigation.go({ seq: firstSeq, at: null });
    return h(
      "button",
      {
        ...{ type: "button", class: "lane-row", "data-state": state, onclick: select },
        "data-seq": firstSeq,
      },
      h("span", { class: "lane-label" }, `${label}${word}`),
      h("span", { class: "lane-took number" }, took),
      h("span", { class: "lane-track" }, this.#bar(`span ${doing}`, fromMs, toMs, lane)),
      h("span", { class: "aloud" }, `from ${durationText(fromMs)}, seq ${seqs}`),
    );
  }

  /**
   * @param {string} name
   * @param {number} fromMs
   * @param {number} toMs
   * @param {Lane} lane
   * @param {...Node} children
   */
  #bar(name, fromMs, toMs, { lengthMs }, ...children) {
    const bar = h("span", { class: name }, children);
    bar.style.setProperty("--from", String(fromMs / lengthMs));
    bar.style.setProperty("--share", String((toMs - fromMs) / lengthMs));
    return bar;
  }
}

/** @param {Lane} lane */
function sumsView({ sums, lengthMs }) {
  const parts = sums.map(({ doing, ms }) => {
    const part = h("span", { class: `part ${doing}` });
    part.style.setProperty("--share", String(ms / lengthMs));
    return part;
  });
  const words = sums.map(({ doing, ms }) =>
    h(
      "li",
      null,
      h("span", { class: `key ${doing}`, "aria-hidden": "true" }),
      `${DOING_WORDS[doing]} `,
      h("b", { class: "number" }, durationText(ms)),
      h("span", { class: "muted" }, ` ${Math.round((ms * 100) / lengthMs)} %`),
    ),
  );
  return h(
    "div",
    { class: "sums" },
    h("div", { class: "sums-bar", "aria-hidden": "true" }, parts),
    h("ul", null, words),
  );
}

/**
 * Instants at round numbers, some five of them.
 *
 * @param {Lane} lane
 */
function scaleView({ lengthMs }) {
  const rough = lengthMs / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((each) => each >= rough) ?? rough;
  const ticks = [];
  for (let atMs = 0; atMs <= lengthMs * 0.85; atMs += step) {
    const tick = h("span", null, atMs === 0 ? "0" : durationText(atMs));
    tick.style.setProperty("--from", String(atMs / lengthMs));
    ticks.push(tick);
  }
  return h("div", { class: "scale", "aria-hidden": "true" }, ticks);
}
