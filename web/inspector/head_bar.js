/**
 * @module
 * The head of the page: how the log stands, figure by figure, and how fast it grows.
 */

import { h, setAttribute, setText } from "../page/dom.js";
import { chooseTheme, chosenTheme } from "../page/theme.js";
import { RATES } from "./log_watch.js";
import { bytesText, countText } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const CURVE = { width: 72, height: 20 };

const WORDS = {
  connecting: "connecting",
  catching_up: "catching up",
  live: "live",
  waiting: "reconnecting",
  offline: "offline",
  closed: "closed",
};

const STATES = {
  connecting: "connecting",
  catching_up: "streaming",
  live: "live",
  waiting: "waiting",
  offline: "interrupted",
  closed: "interrupted",
};

/** The bar; its buttons do what the page gives them to do. */
export class HeadBar {
  #head = figure("head", "Seq of the last committed event");
  #rate = figure("ev/s", "Events appended in a second");
  #bytes = figure("log", "Size of log.db and its WAL");
  #views = figure("views", "Size of the read models");
  #readers = figure("readers", "Streams that are open");
  #curve = document.createElementNS(SVG, "path");
  #state = h("span", { class: "status", "data-state": "connecting" }, "connecting");
  #lag;
  #isReached = true;
  #link;
  #theme = h("button", { type: "button", class: "quiet", onclick: () => this.#nextTheme() });
  element;

  /**
   * @param {import("../client/link.js").ConnectionState} link
   * @param {{ onViews: () => void, onHelp: () => void }} actions
   */
  constructor(link, { onViews, onHelp }) {
    this.#link = link;
    this.#lag = h("button", { type: "button", class: "lag", onclick: onViews }, "views");
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${CURVE.width} ${CURVE.height}`);
    svg.setAttribute("class", "curve");
    svg.setAttribute("aria-hidden", "true");
    svg.append(this.#curve);
    const key = h("kbd", null, "?");
    const help = h("button", { type: "button", class: "quiet", onclick: onHelp }, "Keys", key);
    const figures = [this.#head, this.#rate, this.#bytes, this.#views, this.#readers];
    this.#rate.element.append(svg);
    this.element = h(
      "div",
      { class: "head-bar" },
      h("h1", null, "Inspector"),
      h("a", { href: "/", class: "to-chat" }, "Chats"),
      this.#state,
      h("dl", { class: "figures" }, figures.map(({ element }) => element)),
      this.#lag,
      h(
        "div",
        { class: "tools" },
        this.#theme,
        help,
      ),
    );
    this.#showTheme();
    this.#showState();
  }

  /** @param {import("./log_watch.js").Watched} watched */
  show({ log, head, rates, error }) {
    const rate = rates.slice(-3).reduce((sum, each) => sum + each, 0) / Math.min(3, rates.length);
    this.#isReached = error === null;
    this.#showState();
    this.#head.set(log ? countText(head) : "–");
    const rateText = rate > 0 && rate < 10 ? rate.toFixed(1) : countText(rate);
    this.#rate.set(rates.length === 0 ? "–" : rateText);
    this.#bytes.set(log?.log_bytes === undefined ? "–" : bytesText(bytesOf(log)));
    this.#views.set(log?.views_bytes === undefined ? "–" : bytesText(log.views_bytes));
    this.#readers.set(log?.readers === undefined ? "–" : countText(log.readers));
    this.#curve.setAttribute("d", curve(rates));
    if (!log) return;
    const versions = [`server ${log.server_version}`, `SQLite ${log.sqlite_version}`];
    const about = [`log ${log.log_id}`, `format ${log.format_version}`, ...versions];
    this.#head.element.title = about.join("\n");
  }

  /** @param {import("../client/link.js").ConnectionState} link of the one stream of the browser */
  showLink(link) {
    this.#link = link;
    this.#showState();
  }

  #showState() {
    const { phase, toGo } = this.#link;
    const words = phase === "catching_up" ? `${countText(toGo)} to go` : WORDS[phase];
    setAttribute(this.#state, "data-state", this.#isReached ? STATES[phase] : "failed");
    setText(this.#state, this.#isReached ? words : "no answer");
  }

  /**
   * @param {string} words
   * @param {"ok" | "behind" | "parked"} state
   */
  showLag(words, state) {
    setText(this.#lag, words);
    setAttribute(this.#lag, "data-state", state);
  }

  #nextTheme() {
    const order = /** @type {const} */ (["system", "light", "dark"]);
    chooseTheme(order[(order.indexOf(chosenTheme()) + 1) % order.length] ?? "system");
    this.#showTheme();
  }

  #showTheme() {
    const theme = chosenTheme();
    setText(this.#theme, `${theme[0]?.toUpperCase()}${theme.slice(1)}`);
    this.#theme.title = "Theme: system, light or dark";
    this.#theme.setAttribute("aria-label", `Theme: ${theme}`);
  }
}

/** @param {import("./calls.js").LogState} log */
function bytesOf({ log_bytes = 0, wal_bytes = 0 }) {
  return log_bytes + wal_bytes;
}

/**
 * @param {string} name
 * @param {string} title
 */
function figure(name, title) {
  const value = h("dd", { class: "number" }, "–");
  const element = h("div", { class: "figure", title }, h("dt", null, name), value);
  return { element, set: (/** @type {string} */ text) => setText(value, text) };
}

/**
 * The path of a curve of the last rates, the newest at the right.
 *
 * @param {readonly number[]} rates
 */
function curve(rates) {
  const most = Math.max(1, ...rates);
  const points = rates.map((rate, i) => {
    const x = CURVE.width - ((rates.length - 1 - i) * CURVE.width) / (RATES - 1);
    const y = CURVE.height - 1 - (rate / most) * (CURVE.height - 2);
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return points.length > 1 ? `M${points.join("L")}` : "";
}
