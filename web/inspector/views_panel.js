/**
 * @module
 * The views: how far each is behind the log, which chats stand still in it, and its rebuild.
 *
 * Also says what is wrong with them in one line each, for the top of the page. What to do about it
 * is said where it is shown.
 */

import { h, setChildren, setText } from "../page/dom.js";
import { NO_FILTER } from "./address.js";
import { CallError } from "./calls.js";
import { readyCommand, rebuildCommand, statsCommand } from "./commands.js";
import { CopyLine } from "./copy_line.js";
import { failure, notice } from "./notice.js";
import { countText, durationText } from "./words.js";

/** @typedef {import("./calls.js").ProjectionState} ProjectionState */
/** @typedef {import("./calls.js").Rebuild} Rebuild */

/** Milliseconds between two questions, and while a view is being rebuilt. */
const EVERY_MS = 2_000;
const EVERY_BUSY_MS = 500;

/** A view that is so far behind, in seconds, is trouble; below, it is being read along. */
const BEHIND_SECONDS = 5;

/**
 * What is wrong with the views, worst first.
 *
 * @param {readonly ProjectionState[]} projections
 * @param {string} origin of the server
 * @param {{ onParked: (chat: string, seq: number) => void, onViews: () => void }} actions
 * @returns {import("./trouble_bar.js").Trouble[]}
 */
export function troublesOf(projections, origin, { onParked, onViews }) {
  const parked = projections.flatMap(({ name, parked: chats }) =>
    chats.map(({ chat_id, seq, cause }) => ({
      id: `parked ${name} ${chat_id} ${seq}`,
      state: /** @type {const} */ ("failed"),
      title: `Chat ${chat_id} stands still in ${name} at seq ${countText(seq)}.`,
      words:
        `${cause}. Its last good state is shown, and every other chat goes on. Look at the ` +
        "event; a build that can apply it heals the chat, and a rebuild tries again at once.",
      command: rebuildCommand(name, false),
      action: { words: "Show event", go: () => onParked(chat_id, seq) },
    })),
  );
  const behind = projections.filter(isLagging).map(({ name, behind_events, behind_seconds }) => ({
    id: `behind ${name}`,
    state: /** @type {const} */ ("behind"),
    title: `${name} is ${countText(behind_events)} events behind.`,
    words:
      `The oldest that it has not read is ${durationText(behind_seconds * 1_000)} old. Reads ` +
      "are right all the same, but slower: what is missing is folded on top of them. If the " +
      "figure does not fall, the server says why.",
    command: readyCommand(origin),
    action: { words: "Show views", go: onViews },
  }));
  return [...parked, ...behind];
}

/**
 * All views in some words.
 *
 * @param {readonly ProjectionState[]} projections
 * @returns {{ words: string, state: "ok" | "behind" | "parked" }}
 */
export function lagOf(projections) {
  const nParked = projections.reduce((n, { parked }) => n + parked.length, 0);
  if (nParked > 0) return { words: `views: ${countText(nParked)} parked`, state: "parked" };
  const lagging = projections.filter(isLagging);
  const worst = Math.max(0, ...projections.map(({ behind_events }) => behind_events));
  if (lagging.length > 0) return { words: `views: ${countText(worst)} behind`, state: "behind" };
  const busy = projections.find(({ rebuild }) => rebuild && isBusy(rebuild));
  return { words: busy ? `views: rebuilding ${busy.name}` : "views: 0 behind", state: "ok" };
}

/** @param {ProjectionState} projection */
function isLagging({ behind_events, behind_seconds, rebuild }) {
  return behind_events > 0 && behind_seconds >= BEHIND_SECONDS && !(rebuild && isBusy(rebuild));
}

/** @param {Rebuild} rebuild */
function isBusy({ state }) {
  return state === "running" || state === "checking";
}

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

/** @param {Rebuild} rebuild */
function isBad({ state, check }) {
  return state === "failed" || (check !== null && check !== undefined && check !== "equal");
}

/**
 * How a rebuild stands, in words.
 *
 * @param {Rebuild} rebuild
 * @returns {string}
 */
export function rebuildText({ state, checkpoint_seq, head_seq, check, cause, ...rest }) {
  const { events_per_second, seconds_left } = rest;
  const at = `${countText(checkpoint_seq)} of ${countText(head_seq)}`;
  const speed = events_per_second ? ` · ${countText(events_per_second)} ev/s` : "";
  const leftMs = typeof seconds_left === "number" ? seconds_left * 1_000 : null;
  const left = leftMs === null ? "" : ` · ${durationText(leftMs)} left`;
  if (state === "running") return `rebuilding: ${at}${speed}${left}`;
  if (state === "checking") return `checking: ${at}${speed}${left}`;
  if (state === "failed") return `failed${cause ? `: ${cause}` : ""}; the former view is in use`;
  if (check === "equal") return "checked: equal to what the log implies, row by row";
  if (check === null || check === undefined) return "rebuilt; the new view is in use";
  const first = typeof check === "string" ? check : JSON.stringify(check);
  return `differs from what the log implies: ${first}`;
}
