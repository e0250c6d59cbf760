/**
 * @module
 * What stands in a panel that has nothing to show: that nothing is there, or why not.
 */

import { h } from "../page/dom.js";
import { CallError } from "./calls.js";

/**
 * @param {string} title
 * @param {string} [words]
 * @param {...(Node | string)} actions
 */
export function notice(title, words, ...actions) {
  return h(
    "div",
    { class: "notice" },
    h("p", null, title),
    words ? h("p", { class: "muted small" }, words) : null,
    ...actions,
  );
}

/**
 * A failure in the words of the server, with its code in small type.
 *
 * @param {unknown} error
 * @param {() => void} retry
 */
export function failure(error, retry) {
  const again = h("button", { type: "button", onclick: retry }, "Try again");
  if (!(error instanceof CallError)) {
    return notice("This could not be shown.", String(error), again);
  }
  if (error.isOffline) return notice("The server cannot be reached.", "", again);
  if (error.status === 410) {
    return notice("This chat was deleted.", "Its seqs stay; what it said is erased everywhere.");
  }
  const title = error.status === 404 ? "It is not there." : "The server did not answer this.";
  return notice(title, `${error.message} (${error.code})`, again);
}
