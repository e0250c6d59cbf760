/**
 * @module
 * Shows the list of chats: which one is open, what happens in each, what was not seen yet.
 *
 * Also what a search finds. A row is a link and stays the same node while its chat is in the list.
 * Reading further pages and searching are the caller's.
 */

import { h, setAttribute, setChildren, setText } from "../page/dom.js";
import { ageText } from "../page/time.js";
import { nameOf } from "./names.js";

/**
 * @typedef {import("../client/index.js").ChatRow} ChatRow
 * @typedef {{snippet: string, message_id: string, role: string}} Hit
 * @typedef {ChatRow & {hits?: readonly Hit[]}} Found
 *
 * @typedef {object} ListState
 * @property {readonly Found[]} rows the latest first
 * @property {string | null} current the chat that is open
 * @property {ReadonlySet<string>} waiting chats with a request that is pending
 * @property {ReadonlyMap<string, number>} queued messages that wait, by chat
 * @property {number} nowMs
 *
 * @typedef {{state: string, word: string, sign: string}} Mark
 */

/**
 * @param {HTMLElement} parent a list
 * @param {(chatId: string) => void} open
 */
export function createList(parent, open) {
  /** @type {Map<string, ReturnType<typeof listRow>>} */
  let rows = new Map();

  parent.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    event.preventDefault();
    event.stopPropagation();
    move(event.key === "ArrowDown" ? 1 : -1);
  });

  /**
   * Moves the focus among the rows, from the one that has it or else from the chat that is open.
   *
   * @param {1 | -1} step
   */
  function move(step) {
    const links = [...parent.querySelectorAll("a")];
    const focused = links.findIndex((link) => link === document.activeElement);
    const current = links.findIndex((link) => link.getAttribute("aria-current") === "page");
    const from = focused >= 0 ? focused : current;
    links[Math.min(links.length - 1, Math.max(0, from + step))]?.focus();
  }

  return {
    move,
    /** @param {ListState} state */
    show(state) {
      const kept = new Map();
      for (const row of state.rows) {
        const view = rows.get(row.id) ?? listRow(row.id, open);
        view.show(row, state);
        kept.set(row.id, view);
      }
      rows = kept;
      setChildren(parent, [...rows.values()].map((view) => view.node));
    },
  };
}

/**
 * @param {string} chatId
 * @param {(chatId: string) => void} open
 */
function listRow(chatId, open) {
  const name = h("span", { class: "name" });
  const age = h("span", { class: "age small muted number" });
  const sign = h("span", { class: "sign", "aria-hidden": "true" });
  const word = h("span", { class: "aloud" });
  const below = h("span", { class: "below small muted" });
  const link = h(
    "a",
    { href: `/?${new URLSearchParams({ chat: chatId })}`, "data-chat-id": chatId },
    sign,
    name,
    word,
    age,
    below,
  );
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    open(chatId);
  });
  const node = h("li", null, link);

  return {
    node,
    /**
     * @param {Found} row
     * @param {ListState} state
     */
    show(row, state) {
      const isCurrent = row.id === state.current;
      const mark = markOf(row, state, isCurrent);
      setText(name, nameOf(row));
      setText(age, ageText(row.last_activity_at, state.nowMs));
      setAttribute(link, "aria-current", isCurrent ? "page" : null);
      setAttribute(link, "data-unread", row.unread && !isCurrent ? "true" : null);
      setAttribute(link, "data-state", mark.state === "" ? null : mark.state);
      setText(sign, mark.sign);
      setText(word, mark.word === "" ? "" : `, ${mark.word}`);
      const hit = row.hits?.[0]?.snippet;
      setText(below, hit ? hit.replace(/\s+/g, " ") : visibleWord(mark));
    },
  };
}

/**
 * What a row says besides its name. The most urgent is said.
 *
 * @param {ChatRow} row
 * @param {ListState} state
 * @param {boolean} isCurrent
 * @returns {Mark}
 */
function markOf(row, state, isCurrent) {
  const isUnread = row.unread && !isCurrent;
  const nQueued = state.queued.get(row.id) ?? 0;
  if (state.waiting.has(row.id)) return { state: "waiting", word: "waiting for you", sign: "?" };
  if (row.open_turn) {
    const word = nQueued > 0 ? `streaming, ${nQueued} queued` : "streaming";
    return { state: "streaming", word, sign: "" };
  }
  if (row.last_turn_status === "failed" && isUnread) {
    return { state: "failed", word: "failed", sign: "!" };
  }
  if (row.last_turn_status === "interrupted" && isUnread) {
    return { state: "interrupted", word: "interrupted", sign: "" };
  }
  return isUnread ? { state: "unread", word: "new", sign: "" } : { state: "", word: "", sign: "" };
}

/** @param {Mark} mark */
function visibleWord(mark) {
  return mark.state === "unread" ? "" : mark.word;
}
