/**
 * @module
 * The detail beside the timeline: tabs for the event, its stored form, its message, its turn, and
 * the views.
 *
 * Reads the selected event once for all tabs, and says to the panels which message and which turn
 * it belongs to; what they show of them is theirs.
 */

import { h, setAttribute, setChildren, setText } from "../page/dom.js";
import { TABS } from "./address.js";
import { envelopePanel, storedPanel } from "./event_panels.js";
import { Latest } from "./latest.js";
import { MessagePanel } from "./message_panel.js";
import { failure, notice } from "./notice.js";
import { TurnPanel } from "./turn_panel.js";
import { countText } from "./words.js";

/** @typedef {import("./address.js").Tab} Tab */
/** @typedef {import("./calls.js").EventDetail} EventDetail */

const NAMES = {
  event: "Event",
  stored: "Stored",
  message: "Message",
  turn: "Turn",
  views: "Views",
};

/**
 * What the panels of message and turn are about.
 *
 * @typedef {object} Subject
 * @property {string} chat
 * @property {string | null} message
 * @property {string | null} turn
 * @property {number | null} seq The selected event, if it belongs to the message.
 */

/** The detail. */
export class Detail {
  #calls;
  #navigation;
  #say;
  #latest = new Latest();
  /** @type {{ seq: number, detail: EventDetail } | null} */
  #event = null;
  #title = h("h2");
  #body = h("div", { class: "panel", role: "tabpanel", id: "panel", tabindex: "-1" });
  #tabs;
  #message;
  #turn;
  #views;

  /**
   * @param {import("./calls.js").Calls} calls
   * @param {import("./place.js").Navigation} navigation
   * @param {HTMLElement} views
   * @param {{ say: (words: string) => void, onBack: () => void }} page
   */
  constructor(calls, navigation, views, { say, onBack }) {
    this.#calls = calls;
    this.#navigation = navigation;
    this.#say = say;
    this.#views = views;
    this.#message = new MessagePanel(calls, navigation, say);
    this.#turn = new TurnPanel(calls, navigation, say);
    this.#tabs = TABS.map((tab) => this.#tabButton(tab));
    const list = h("div", { class: "tabs", role: "tablist", "aria-label": "Detail" }, this.#tabs);
    list.addEventListener("keydown", (event) => this.#key(event));
    this.element = h(
      "div",
      { class: "detail" },
      h(
        "div",
        { class: "detail-head" },
        h("button", { type: "button", class: "back quiet", onclick: onBack }, "← Events"),
        this.#title,
      ),
      list,
      this.#body,
    );
    navigation.subscribe((place, before) => {
      if (place.seq !== before.seq) this.#read();
      this.#show();
    });
    this.#read();
    this.#show();
  }

  /** @param {number} head */
  setHead(head) {
    this.#message.setHead(head);
    this.#turn.setHead(head);
  }

  /** @param {number} which of the two marks */
  mark(which) {
    this.#message.mark(which);
  }

  focus() {
    this.#body.focus();
  }

  #read() {
    const { seq } = this.#navigation.place;
    this.#latest.drop();
    if (seq === null) {
      this.#event = null;
      return;
    }
    this.#latest.ask(
      (signal) => this.#calls.event(seq, signal),
      (detail) => {
        this.#event = { seq, detail };
        this.#show();
      },
      (error) => {
        this.#event = null;
        const retry = () => this.#read();
        if (this.#isOfEvent()) setChildren(this.#body, [failure(error, retry)]);
      },
    );
  }

  #isOfEvent() {
    const { tab } = this.#navigation.place;
    return tab === "event" || tab === "stored";
  }

  /** @returns {Subject | null} */
  #subject() {
    const { filter, seq } = this.#navigation.place;
    const envelope = this.#event?.seq === seq ? this.#event?.detail.envelope : null;
    if (envelope) {
      const { chatId: chat, messageId: message, streamId: turn } = envelope;
      const isAbout = message !== null || turn !== null;
      if (isAbout) return { chat, message, turn, seq };
    }
    const { chat, message, turn } = filter;
    if (!chat || (!message && !turn)) return null;
    return { chat, message: message || null, turn: turn || null, seq: null };
  }

  #show() {
    const { seq, tab } = this.#navigation.place;
    for (const [i, button] of this.#tabs.entries()) {
      const isChosen = TABS[i] === tab;
      setAttribute(button, "aria-selected", String(isChosen));
      setAttribute(button, "tabindex", isChosen ? "0" : "-1");
    }
    this.#body.setAttribute("aria-labelledby", `tab-${tab}`);
    const title = seq === null ? "Nothing selected" : `Event ${countText(seq)}`;
    setText(this.#title, tab === "views" ? "Views of the log" : title);
    const subject = this.#subject();
    this.#message.show(subject, tab === "message");
    this.#turn.show(subject, tab === "turn");
    if (tab === "message") setChildren(this.#body, [this.#message.element]);
    else if (tab === "turn") setChildren(this.#body, [this.#turn.element]);
    else if (tab === "views") setChildren(this.#body, [this.#views]);
    else this.#showEvent(tab);
  }

  /** @param {"event" | "stored"} tab */
  #showEvent(tab) {
    const { seq } = this.#navigation.place;
    if (seq === null) {
      const words = "Choose an event, or go to a seq. Arrow keys move through the log.";
      setChildren(this.#body, [notice("Nothing is selected.", words)]);
      return;
    }
    if (this.#event?.seq !== seq) return;
    const key = `${tab} ${seq}`;
    if (this.#body.firstElementChild?.getAttribute("data-key") === key) return;
    const { detail } = this.#event;
    const nodes =
      tab === "event"
        ? envelopePanel(seq, detail, this.#navigation, this.#say)
        : storedPanel(seq, detail, this.#say);
    setChildren(this.#body, [h("div", { class: "stack", "data-key": key }, nodes)]);
  }

  /** @param {Tab} tab */
  #tabButton(tab) {
    return h(
      "button",
      {
        ...{ type: "button", role: "tab", id: `tab-${tab}`, "aria-controls": "panel" },
        onclick: () => this.#navigation.go({ tab }),
      },
      NAMES[tab],
    );
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const at = TABS.indexOf(this.#navigation.place.tab);
    const tab = TABS[(at + step + TABS.length) % TABS.length] ?? "event";
    this.#navigation.go({ tab });
    this.#tabs[TABS.indexOf(tab)]?.focus();
  }
}
