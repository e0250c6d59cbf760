/**
 * @module
 * The views: how far each is behind the log, which chats stand still in it, and its rebuild.
 *
 * What that means is `view_health.js`; it is told to the page too, which shows trouble on top.
 */

import { h, setChildren, setText } from "../page/dom.js";
import { NO_FILTER } from "./address.js";
import { CallError } from "./calls.js";
import { rebuildCommand, statsCommand } from "./commands.js";
import { CopyLine } from "./copy_line.js";
import { failure, notice } from "./notice.js";
import { isBad, isBusy, isLagging, rebuildText } from "./view_health.js";
import { countText, durationText } from "./words.js";

/** @typedef {import("./calls.js").ProjectionState} ProjectionState */
/** @typedef {import("./calls.js").Rebuild} Rebuild */

/** Milliseconds between two questions, and while a view is being rebuilt. */
const EVERY_MS = 2_000;
const EVERY_BUSY_MS = 500;

/** The panel. */
export class ViewsPanel {
  #calls;
  #navigation;
  #onStates;
  #timer = 0;
  #isAsking = false;
  /** @type {Map<string, ViewCard>} */
  #cards = new Map();
  #say;
  #stats;
  element = h("div", { class: "stack" }, notice("Asking …"));

  /**
   * @param {import("./calls.js").Calls} calls
   * @param {import("./place.js").Navigation} navigation
   * @param {(words: string) => void} say
   * @param {(projections: readonly ProjectionState[]) => void} onStates
   */
  constructor(calls, navigation, say, onStates) {
    this.#calls = calls;
    this.#navigation = navigation;
    this.#say = say;
    this.#onStates = onStates;
    this.#stats = new CopyLine("what is in the log", say);
    this.#stats.set(statsCommand());
    document.addEventListener("visibilitychange", () => this.ask());
  }

  /** Asks how the views stand, now and from now on. */
  ask() {
    clearTimeout(this.#timer);
    if (document.visibilityState === "hidden" || this.#isAsking) return;
    this.#isAsking = true;
    void this.#ask().then((everyMs) => {
      this.#isAsking = false;
      this.#timer = window.setTimeout(() => this.ask(), everyMs);
    });
  }

  async #ask() {
    try {
      const { items } = await this.#calls.projections();
      this.#onStates(items);
      this.#show(items);
      return items.some(({ rebuild }) => rebuild && isBusy(rebuild)) ? EVERY_BUSY_MS : EVERY_MS;
    } catch (error) {
      setChildren(this.element, [failure(error, () => this.ask())]);
      return EVERY_MS;
    }
  }

  /** @param {readonly ProjectionState[]} projections */
  #show(projections) {
    const cards = projections.map((projection) => {
      const card = this.#cards.get(projection.name) ?? this.#card(projection.name);
      card.show(projection);
      return card.element;
    });
    setChildren(this.element, [...cards, this.#stats.element]);
  }

  /** @param {string} name */
  #card(name) {
    const card = new ViewCard(name, this.#say, {
      onRebuild: (check) => void this.#rebuild(card, check),
      onParked: (chat, seq) =>
        this.#navigation.go({ filter: { ...NO_FILTER, chat }, seq, at: null, tab: "event" }),
    });
    this.#cards.set(name, card);
    return card;
  }

  /**
   * @param {ViewCard} card
   * @param {boolean} check
   */
  async #rebuild(card, check) {
    try {
      await this.#calls.rebuild(card.name, check);
      this.#say(check ? `Checking ${card.name}.` : `Rebuilding ${card.name}.`);
    } catch (error) {
      card.fail(error instanceof CallError ? error.message : String(error));
    }
    this.ask();
  }
}

/** One view. */
class ViewCard {
  #lag = h("span", { class: "status" });
  #facts = h("span", { class: "muted small number" });
  #bar = h("progress", { max: "1", value: "0" });
  #progress = h("p", { class: "small" });
  #failed = h("p", { class: "small failed", role: "alert" });
  #parked = h("div", { class: "stack" });
  #rebuild;
  #check;
  #command;
  element;

  /**
   * @param {string} name
   * @param {(words: string) => void} say
   * @param {{ onRebuild: (check: boolean) => void,
   *   onParked: (chat: string, seq: number) => void }} actions
   */
  constructor(name, say, actions) {
    this.name = name;
    this.onParked = actions.onParked;
    const button = (/** @type {string} */ words, /** @type {boolean} */ check) =>
      h("button", { type: "button", onclick: () => actions.onRebuild(check) }, words);
    this.#check = button("Check", true);
    this.#rebuild = button("Rebuild", false);
    this.#bar.setAttribute("aria-label", `Rebuild of ${name}`);
    this.#command = new CopyLine(`a check of ${name}`, say);
    this.#command.set(rebuildCommand(name, true));
    this.element = h(
      "section",
      { class: "view-card" },
      h("div", { class: "view-head" }, h("h3", null, name), this.#lag, this.#facts),
      this.#parked,
      this.#bar,
      this.#progress,
      this.#failed,
      h("div", { class: "ways" }, this.#check, this.#rebuild, this.#command.element),
    );
  }

  /** @param {string} words */
  fail(words) {
    setText(this.#failed, words);
  }

  /** @param {ProjectionState} projection */
  show(projection) {
    const { version, checkpoint_seq, behind_events, behind_seconds, parked, rebuild } = projection;
    const state = parked.length > 0 ? "failed" : isLagging(projection) ? "waiting" : "live";
    this.#lag.setAttribute("data-state", state);
    const since = behind_seconds > 0 ? `, ${durationText(behind_seconds * 1_000)}` : "";
    setText(
      this.#lag,
      parked.length > 0
        ? `${countText(parked.length)} parked`
        : `${countText(behind_events)} behind${since}`,
    );
    setText(this.#facts, `at seq ${countText(checkpoint_seq)} · version ${version}`);
    const lines = parked.map(({ chat_id, seq, cause }) => {
      const show = () => this.onParked(chat_id, seq);
      const to = h("button", { type: "button", onclick: show }, `Show event ${countText(seq)}`);
      const chat = h("code", null, chat_id);
      return h("p", { class: "small parked" }, chat, ` at seq ${countText(seq)}: ${cause} `, to);
    });
    const key = JSON.stringify(parked);
    if (this.#parked.dataset["key"] !== key) this.#parked.replaceChildren(...lines);
    this.#parked.dataset["key"] = key;
    this.#showRebuild(rebuild);
  }

  /** @param {Rebuild | null} rebuild */
  #showRebuild(rebuild) {
    const isRunning = rebuild !== null && isBusy(rebuild);
    this.#bar.hidden = !isRunning;
    this.#progress.hidden = rebuild === null;
    this.#rebuild.disabled = isRunning;
    this.#check.disabled = isRunning;
    if (isRunning) this.#failed.textContent = "";
    if (!rebuild) return;
    this.#bar.value = rebuild.checkpoint_seq / Math.max(1, rebuild.head_seq);
    setText(this.#progress, rebuildText(rebuild));
    this.#progress.classList.toggle("failed", isBad(rebuild));
  }
}
