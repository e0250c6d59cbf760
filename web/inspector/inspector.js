/**
 * @module
 * The inspector page: puts its parts together and has them hear of each other.
 */

import { find, h, setChildren } from "../page/dom.js";
import { NO_FILTER, TABS } from "./address.js";
import { Calls } from "./calls.js";
import { CopyLine } from "./copy_line.js";
import { Detail } from "./detail.js";
import { HeadBar } from "./head_bar.js";
import { helpDialog, listenToKeys } from "./help.js";
import { LogWatch } from "./log_watch.js";
import { Navigation } from "./place.js";
import { Timeline } from "./timeline.js";
import { lagOf, troublesOf, ViewsPanel } from "./views_panel.js";

/** Troubles that stand on top; the others are in the views. */
const TROUBLES_MAX = 3;

const calls = new Calls(fetch);
const navigation = new Navigation();
const watch = new LogWatch(calls);
/** @type {Map<string, string>} */
const titles = new Map();
const help = helpDialog();
const timeline = new Timeline(calls, navigation, titles, say);
const views = new ViewsPanel(calls, navigation, say, showTroubles);
const detail = new Detail(calls, navigation, views.element, { say, onBack: showEvents });
const bar = new HeadBar({
  onViews: () => {
    navigation.go({ tab: "views" });
    showDetail();
  },
  onHelp: () => help.showModal(),
});

/** @param {string} words read to who does not see the page */
function say(words) {
  find(document, "#aloud", HTMLElement).textContent = words;
}

/** On a phone there is room for one of both. */
function showDetail() {
  document.body.dataset["pane"] = "detail";
}

function showEvents() {
  document.body.dataset["pane"] = "timeline";
  timeline.focus();
}

/** @param {readonly import("./calls.js").ProjectionState[]} projections */
function showTroubles(projections) {
  const { words, state } = lagOf(projections);
  bar.showLag(words, state);
  const place = find(document, "#trouble", HTMLElement);
  const troubles = troublesOf(projections).slice(0, TROUBLES_MAX);
  const key = JSON.stringify(troubles.map(({ title }) => title.replace(/\d.*/, "")));
  if (place.dataset["key"] === key) return;
  place.dataset["key"] = key;
  setChildren(place, troubles.map(troubleLine));
}

/** @param {import("./views_panel.js").Trouble} trouble */
function troubleLine({ state, title, words, command, place }) {
  const line = new CopyLine("what to do", say);
  line.set(command);
  const show = () => {
    const filter = { ...NO_FILTER, chat: place?.chat ?? "" };
    navigation.go(place ? { filter, seq: place.seq, at: null, tab: "event" } : { tab: "views" });
    showDetail();
  };
  const said = h("span", { class: "words" }, h("strong", null, title), ` ${words}`);
  const look = h("button", { type: "button", onclick: show }, place ? "Show event" : "Show views");
  return h("div", { class: "trouble", "data-state": state }, said, look, line.element);
}

async function readTitles() {
  const { items } = await calls.chats().catch(() => ({ items: [] }));
  for (const { id, title } of items) if (title) titles.set(id, title);
  timeline.setChats(items);
}

/** @type {Record<string, () => void>} */
const keys = {
  "/": () => timeline.focusFilter(),
  "?": () => help.showModal(),
  Escape: showEvents,
  Enter: () => {
    showDetail();
    detail.focus();
  },
  a: () => detail.mark(0),
  b: () => detail.mark(1),
  c: () => void timeline.copy(),
  f: () => timeline.follow(),
  g: () => timeline.focusJump(),
};
for (const [i, tab] of TABS.entries()) {
  keys[String(i + 1)] = () => {
    navigation.go({ tab });
    showDetail();
  };
}

const { seq, filter } = navigation.place;
document.body.dataset["pane"] = seq !== null || filter.message ? "detail" : "timeline";
find(document, "#bar", HTMLElement).append(bar.element);
find(document, "#timeline", HTMLElement).append(timeline.element);
find(document, "#detail", HTMLElement).append(detail.element);
document.body.append(help);
listenToKeys(keys);
navigation.subscribe((place, before) => {
  if (place.seq !== before.seq && place.seq !== null) showDetail();
});
watch.subscribe((watched) => {
  const wasLost = timeline.isLost;
  bar.show(watched);
  if (watched.log) {
    timeline.setHead(watched.head);
    detail.setHead(watched.head);
  }
  if (!watched.error && wasLost) timeline.retry();
});
watch.start();
views.ask();
void readTitles();
