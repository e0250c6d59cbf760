/**
 * @module
 * The timeline: the events of the log that pass the filter, and the one that is selected.
 *
 * Owns which rows are read and how the list follows the head; the filter and the selection are the
 * place's, and change there.
 */

import { h, setAttribute, setText } from "../page/dom.js";
import { isDense, isFiltered, NO_FILTER, readSeq } from "./address.js";
import { CallError } from "./calls.js";
import { eventsCommand } from "./commands.js";
import { CopyLine } from "./copy_line.js";
import { drawRow, makeRow } from "./event_row.js";
import { FilterBar } from "./filter_bar.js";
import { DenseRows, FoundRows } from "./rows.js";
import { VirtualList } from "./virtual_list.js";
import { countText } from "./words.js";

/** @typedef {import("./place.js").Navigation} Navigation */
/** @typedef {import("./rows.js").Rows} Rows */

/** The timeline. */
export class Timeline {
  #calls;
  #navigation;
  #titles;
  #head = 0;
  #isFollowing;
  /** Events that came since the list stood still. */
  #stoodAt = 0;
  /** A seq to be brought into view as soon as its row is there. */
  /** @type {number | null} */
  #wanted;
  /** @type {Rows} */
  #rows;
  /** @type {[number, number]} */
  #window = [0, 0];
  #bar = new FilterBar((filter) => this.#navigation.go({ filter }));
  #list = new VirtualList({
    label: "Events",
    make: makeRow,
    draw: (element, index) => this.#drawRow(element, index),
    onDrawn: () => this.#drawn(),
    onWindow: (first, last) => this.#looked(first, last),
    onScroll: (isAtEnd) => this.#scrolled(isAtEnd),
  });
  #status = h("p", { class: "list-status small" });
  #day = h("p", { class: "list-status small number day", title: "Day of the first row" });
  #newer = h(
    "button",
    { type: "button", class: "newer primary", onclick: () => this.follow(true) },
    "newer",
  );
  #follow = h("button", { type: "button", class: "follow", onclick: () => this.follow() });
  #jump = h("input", { "aria-label": "Go to seq", placeholder: "go to seq", inputmode: "numeric" });
  #command;
  #cover = h("div", { class: "cover" });

  /**
   * @param {import("./calls.js").Calls} calls
   * @param {Navigation} navigation
   * @param {ReadonlyMap<string, string>} titles of chats by id
   * @param {(words: string) => void} say
   */
  constructor(calls, navigation, titles, say) {
    this.#calls = calls;
    this.#navigation = navigation;
    this.#titles = titles;
    const { seq } = navigation.place;
    this.#isFollowing = seq === null;
    this.#wanted = seq;
    this.#command = new CopyLine("these events", say);
    this.#rows = this.#open();
    const jump = h("form", { class: "jump" }, this.#jump);
    jump.addEventListener("submit", (event) => this.#jumped(event));
    this.element = h(
      "div",
      { class: "timeline" },
      h("div", { class: "filter-line" }, this.#bar.element),
      h("div", { class: "list-place" }, this.#list.element, this.#cover, this.#newer),
      h(
        "div",
        { class: "list-foot" },
        ...[this.#follow, jump, this.#status, this.#day, this.#command.element],
      ),
    );
    this.#list.element.addEventListener("click", (event) => this.#clicked(event));
    this.#list.element.addEventListener("keydown", (event) => this.#key(event));
    navigation.subscribe((place, before) => this.#moved(place, before));
    this.#show();
  }

  focus() {
    this.#list.element.focus();
  }

  focusJump() {
    this.#jump.focus();
  }

  focusFilter() {
    this.#bar.focus();
  }

  copy() {
    return this.#command.copy();
  }

  /** @param {number} head */
  setHead(head) {
    if (head === this.#head && this.#rows.phase.phase !== "loading") return;
    this.#head = head;
    this.#rows.setHead(head);
    this.#show();
  }

  /** Says that there are other chats to choose from, or other titles. */
  setChats(/** @type {readonly { id: string, title: string | null }[]} */ chats) {
    this.#bar.setChats(chats);
    this.#list.redraw();
  }

  /** Reads the log anew: another one stands where it stood. */
  restart() {
    this.#rows.close();
    this.#rows = this.#open();
    this.#rows.setHead(this.#head);
  }

  /** Whether rows were asked for in vain. */
  get isLost() {
    return this.#rows.phase.phase === "failed";
  }

  /** Tries again what failed. */
  retry() {
    if (this.isLost) this.#rows.retry();
  }

  /**
   * Follows the head, or stands still; the other of both without a word.
   *
   * @param {boolean} [isFollowing]
   */
  follow(isFollowing = !this.#isFollowing) {
    this.#isFollowing = isFollowing;
    this.#stoodAt = this.#head;
    this.#changed(0);
  }

  /** @returns {Rows} */
  #open() {
    const { filter } = this.#navigation.place;
    const onChange = (/** @type {number} */ nBefore) => this.#changed(nBefore);
    // What is typed is looked for from the end back; what is selected keeps its place.
    const around = this.#isFollowing || filter.text ? null : this.#wanted;
    return isDense(filter)
      ? new DenseRows(this.#calls, filter, onChange)
      : new FoundRows(this.#calls, filter, around, onChange);
  }

  /**
   * @param {import("./place.js").Place} place
   * @param {import("./place.js").Place} before
   */
  #moved(place, before) {
    if (JSON.stringify(place.filter) !== JSON.stringify(before.filter)) {
      const isKept = place.seq !== null && !this.#isFollowing && place.filter.text === "";
      this.#wanted = isKept ? place.seq : null;
      this.restart();
      this.#list.setCount(this.#rows.count, 0, this.#isFollowing);
    }
    if (place.seq !== before.seq && place.seq !== null) this.#bring(place.seq);
    this.#show();
    this.#list.redraw();
  }

  /** @param {number} nBefore */
  #changed(nBefore) {
    this.#list.setCount(this.#rows.count, nBefore, this.#isFollowing);
    if (this.#wanted !== null && !this.#isFollowing) this.#bring(this.#wanted);
    this.#show();
  }

  /** @param {number} seq */
  #bring(seq) {
    const index = this.#rows.indexOf(seq);
    const isThere = this.#rows.seqAt(index) === seq;
    if (isThere && this.#wanted === null) this.#list.show(index);
    else if (isThere) this.#list.center(index);
    else if (this.#rows.phase.phase === "ready") this.#list.center(index);
    else return;
    // Once its row is read, or the nearest, the list is the reader's again.
    if (this.#rows.at(index) !== null) this.#wanted = null;
  }

  /** @param {boolean} isAtEnd */
  #scrolled(isAtEnd) {
    this.#wanted = null;
    if (isAtEnd === this.#isFollowing) return;
    this.#isFollowing = isAtEnd;
    this.#stoodAt = this.#head;
    this.#show();
  }

  /**
   * @param {number} first
   * @param {number} last
   */
  #looked(first, last) {
    this.#window = [first, last];
    // The list looks for the first time before there are rows.
    this.#rows?.need(first, last);
    this.#command?.set(eventsCommand(this.#navigation.place.filter, this.#shown()));
  }

  /**
   * The seqs in the window, if it stands still.
   *
   * @returns {[number, number] | null}
   */
  #shown() {
    if (this.#isFollowing) return null;
    const [first, last] = this.#window;
    const from = this.#rows.seqAt(Math.max(0, first));
    const to = this.#rows.seqAt(Math.min(last, this.#rows.count) - 1);
    return from === null || to === null ? null : [from, to];
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const row = event.target instanceof Element ? event.target.closest(".row") : null;
    const seq = readSeq(row?.id.slice("seq-".length) ?? "");
    if (seq !== null) this.#select(seq);
  }

  /** @param {number} seq */
  #select(seq, how = /** @type {"step" | "slide"} */ ("step")) {
    if (this.#isFollowing) this.follow(false);
    this.#wanted = null;
    this.#navigation.go({ seq, at: null }, how);
  }

  /** @param {SubmitEvent} event */
  #jumped(event) {
    event.preventDefault();
    const seq = readSeq(this.#jump.value);
    setAttribute(this.#jump, "aria-invalid", seq === null ? "true" : null);
    if (seq === null) return;
    this.#isFollowing = false;
    this.#stoodAt = this.#head;
    this.#wanted = Math.min(seq, this.#head);
    const { filter } = this.#navigation.place;
    const isWithin = isDense(filter) && seq >= (filter.from ?? 1) && seq <= (filter.to ?? Infinity);
    this.#navigation.go({
      seq: this.#wanted,
      at: null,
      filter: isWithin ? filter : NO_FILTER,
    });
    this.#jump.value = "";
    this.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const { seq } = this.#navigation.place;
    const page = this.#list.nVisible - 1;
    const steps = /** @type {Record<string, number>} */ ({
      ...{ ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page },
      ...{ Home: -Infinity, End: Infinity },
    });
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (this.#rows.count === 0) return;
    const from = seq === null ? (step > 0 ? -1 : this.#rows.count) : this.#rows.indexOf(seq);
    const to = Math.max(0, Math.min(from + step, this.#rows.count - 1));
    const next = this.#rows.seqAt(to);
    if (next !== null) this.#select(next, "slide");
  }

  /**
   * @param {HTMLElement} element
   * @param {number} index
   */
  #drawRow(element, index) {
    const { seq, filter } = this.#navigation.place;
    const row = this.#rows.at(index);
    const event = row === "erased" ? null : row;
    const chosen = seq === null ? null : this.#rows.at(this.#rows.indexOf(seq));
    const of = chosen === "erased" || chosen?.seq !== seq ? null : chosen;
    const isSame = event && of && event.chatId === of.chatId;
    drawRow(element, {
      seq: this.#rows.seqAt(index),
      row,
      before: this.#rows.at(index - 1),
      isSelected: seq !== null && this.#rows.seqAt(index) === seq,
      isWhole: filter.kinds.length === 0 && filter.text === "",
      title: event ? (this.#titles.get(event.chatId) ?? null) : null,
      emphasis: isSame && of.messageId && of.messageId === event.messageId ? "message" : "",
    });
  }

  #drawn() {
    const { seq } = this.#navigation.place;
    const isThere = this.#list.element.querySelector(`#seq-${seq}:not([hidden])`) !== null;
    setAttribute(this.#list.element, "aria-activedescendant", isThere ? `seq-${seq}` : null);
    const top = this.#rows.at(Math.max(0, this.#window[0]));
    setText(this.#day, top && top !== "erased" ? `${top.at.slice(0, 10)} UTC` : "");
  }

  #show() {
    const { filter } = this.#navigation.place;
    this.#bar.show(filter);
    this.#command.set(eventsCommand(filter, this.#shown()));
    setAttribute(this.#follow, "aria-pressed", String(this.#isFollowing));
    setText(this.#follow, "Follow");
    const nNew = this.#isFollowing || filter.to !== null ? 0 : this.#head - this.#stoodAt;
    this.#newer.hidden = nNew <= 0 || this.#stoodAt === 0;
    setText(this.#newer, `${countText(nNew)} newer in the log ↓`);
    this.#list.element.setAttribute("aria-busy", String(this.#rows.phase.phase !== "ready"));
    this.#showStatus(isFiltered(filter));
  }

  /** @param {boolean} isNarrowed */
  #showStatus(isNarrowed) {
    const { phase, count } = this.#rows;
    const back = this.#rows.searchedFrom;
    const found = back === null ? "found" : `found, back to seq ${countText(back)}`;
    const words = {
      loading: "reading …",
      searching: `searching … at seq ${countText(phase.phase === "searching" ? phase.seq : 0)}`,
      failed: "not read",
      ready: `${countText(count)} ${isNarrowed ? found : "events"}`,
    };
    setText(this.#status, words[phase.phase]);
    if (phase.phase === "failed") this.#coverWith(...failedWords(phase.error));
    else if (count > 0) this.#cover.hidden = true;
    else if (phase.phase !== "ready") this.#coverWith("Reading the log …", "", null);
    else if (isNarrowed) {
      const clear = h("button", { type: "button", onclick: () => this.#bar.clear() }, "Clear");
      this.#coverWith("No event passes this filter.", "All of the log was searched.", clear);
    } else {
      const how = "Start a chat, or append events; they appear here as they are committed.";
      this.#coverWith("The log is empty.", how, null);
    }
  }

  /**
   * @param {string} title
   * @param {string} words
   * @param {Node | "retry" | null} action
   */
  #coverWith(title, words, action) {
    this.#cover.hidden = false;
    const key = `${title}\n${words}`;
    if (this.#cover.dataset["key"] === key) return;
    this.#cover.dataset["key"] = key;
    const retry = () => h("button", { type: "button", onclick: () => this.retry() }, "Try again");
    this.#cover.replaceChildren(
      h("p", { class: "cover-title" }, title),
      h("p", { class: "muted small" }, words),
      action === "retry" ? retry() : (action ?? ""),
    );
  }
}

/**
 * @param {unknown} error
 * @returns {[string, string, "retry"]}
 */
function failedWords(error) {
  if (error instanceof CallError && error.isOffline) {
    return ["The server cannot be reached.", "It is asked again every second.", "retry"];
  }
  const said = error instanceof Error ? error.message : String(error);
  return ["These events could not be read.", said, "retry"];
}
