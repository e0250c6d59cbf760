/**
 * @module
 * The inspector page: puts its parts together and has them hear of each other.
 */

import { connect } from "../client/index.js";
import { find } from "../page/dom.js";
import { openSession } from "../page/sign_in.js";
import { NO_FILTER, TABS } from "./address.js";
import { CallError, Calls } from "./calls.js";
import { statsCommand } from "./commands.js";
import { Detail } from "./detail.js";
import { HeadBar } from "./head_bar.js";
import { helpDialog, listenToKeys } from "./help.js";
import { LogWatch } from "./log_watch.js";
import { Navigation } from "./place.js";
import { Timeline } from "./timeline.js";
import { TroubleBar } from "./trouble_bar.js";
import { lagOf, troublesOf } from "./view_health.js";
import { ViewsPanel } from "./views_panel.js";

const session = openSession();
const calls = new Calls(session.fetch);
const navigation = new Navigation();
const watch = new LogWatch(calls);
/** @type {Map<string, string>} */
const titles = new Map();
const help = helpDialog();
const troubles = new TroubleBar(say);
const timeline = new Timeline(calls, navigation, titles, say);
const views = new ViewsPanel(calls, navigation, say, showViews);
const detail = new Detail(calls, navigation, views.element, { say, onBack: showEvents });
// The stream only says how far the log is: rows are read by pages, live ones as old ones.
const client = connect({ fetch: session.fetch, share: session.share });
const bar = new HeadBar(client.connection.get(), {
  onViews: showTab,
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
function showViews(projections) {
  const { words, state } = lagOf(projections);
  bar.showLag(words, state);
  const actions = { onParked: showParked, onViews: showTab };
  troubles.set("views", troublesOf(projections, location.origin, actions));
}

/**
 * @param {string} chat
 * @param {number} seq
 */
function showParked(chat, seq) {
  navigation.go({ filter: { ...NO_FILTER, chat }, seq, at: null, tab: "event" });
  showDetail();
}

function showTab() {
  navigation.go({ tab: "views" });
  showDetail();
}

/** @param {import("./log_watch.js").Watched} watched */
function watchTroubles({ log, error, isExchanged }) {
  /** @type {import("./trouble_bar.js").Trouble[]} */
  const found = [];
  if (error) {
    found.push({
      id: "unreachable",
      state: "behind",
      title: error instanceof CallError && error.isOffline ? "No answer." : "The server refuses.",
      words: `${error.message}. ${log ? "What is shown was read before; it" : "It"} is asked again
        every second. The log can be read without it.`,
      command: statsCommand(),
      action: null,
    });
  }
  if (isExchanged) {
    found.push({
      id: "exchanged",
      state: "failed",
      title: "Another log is served here now.",
      words: "It was restored or exchanged since this page was opened, so seqs mean other events.",
      command: null,
      action: { words: "Read it", go: () => location.reload() },
    });
  }
  return found;
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

const { seq, tab } = navigation.place;
document.body.dataset["pane"] = seq !== null || tab !== "event" ? "detail" : "timeline";
find(document, "#bar", HTMLElement).append(bar.element);
find(document, "#trouble", HTMLElement).append(troubles.element);
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
  troubles.set("log", watchTroubles(watched));
  if (watched.log) {
    timeline.setHead(watched.head);
    detail.setHead(watched.head);
  }
  if (!watched.error && wasLost) timeline.retry();
});
client.connection.subscribe(() => {
  const link = client.connection.get();
  bar.showLink(link);
  watch.reached(link.seq);
});
watch.start();
views.ask();
void readTitles();
