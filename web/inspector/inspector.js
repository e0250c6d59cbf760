/**
 * @module
 * The inspector page: puts its parts together and has them hear of each other.
 */

import { find, h } from "../page/dom.js";
import { Calls } from "./calls.js";
import { HeadBar } from "./head_bar.js";
import { LogWatch } from "./log_watch.js";
import { Navigation } from "./place.js";
import { Timeline } from "./timeline.js";

const calls = new Calls(fetch);
const navigation = new Navigation();
const watch = new LogWatch(calls);
/** @type {Map<string, string>} */
const titles = new Map();
const timeline = new Timeline(calls, navigation, titles, say);
const bar = new HeadBar({ onViews: () => navigation.go({ tab: "views" }), onHelp: () => {} });

/** @param {string} words read to who does not see the page */
function say(words) {
  find(document, "#aloud", HTMLElement).textContent = words;
}

document.body.dataset["pane"] = navigation.place.seq === null ? "timeline" : "detail";
find(document, "#bar", HTMLElement).append(bar.element);
find(document, "#timeline", HTMLElement).append(timeline.element);
find(document, "#detail", HTMLElement).append(h("p", null, "…"));
watch.subscribe((watched) => {
  bar.show(watched);
  if (watched.log) timeline.setHead(watched.head);
});
watch.start();
