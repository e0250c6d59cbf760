/**
 * @module
 * The side of the page: the list of chats or what a search has found, and what is said below it.
 *
 * Rows are `list.js`'s, asking is `search.js`'s.
 */

import { find, setText } from "../page/dom.js";
import { createList } from "./list.js";
import { createSearch } from "./search.js";

/**
 * @typedef {import("../client/index.js").Client} Client
 * @typedef {ReturnType<Client["state"]["get"]>} State
 * @typedef {import("./list.js").Found} Found
 *
 * @typedef {object} SidebarActions
 * @property {(chatId: string) => void} open
 * @property {() => void} newChat
 * @property {() => void} close on a phone
 * @property {() => void} redraw
 */

const MINUTE_MS = 60_000;

/**
 * @param {HTMLElement} side
 * @param {Client} client
 * @param {SidebarActions} actions
 */
export function createSidebar(side, client, actions) {
  const field = find(side, "input[type=search]", HTMLInputElement);
  const note = find(side, ".list-note", HTMLElement);
  const more = find(side, ".more", HTMLButtonElement);
  const list = createList(find(side, ".rows", HTMLElement), actions.open);
  const ask = async (/** @type {string} */ text, /** @type {AbortSignal} */ signal) =>
    (await client.search(text, { signal })).items;
  const search = createSearch(field, ask, actions.redraw);
  /** What was shown last, to tell whether anything has changed. @type {readonly unknown[]} */
  let shown = [];

  find(side, ".new", HTMLButtonElement).addEventListener("click", actions.newChat);
  find(side, ".close-list", HTMLButtonElement).addEventListener("click", actions.close);
  more.addEventListener("click", async () => {
    more.disabled = true;
    await client.loadMoreChats().catch(() => setText(note, "Older chats could not be read."));
    more.disabled = false;
  });

  return {
    move: list.move,
    focusSearch: () => field.focus(),
    focus: () => find(side, ".close-list", HTMLElement).focus(),
    /**
     * @param {State} state
     * @param {string | null} current
     * @param {number} nowMs
     */
    show(state, current, nowMs) {
      const { waiting, queued, key } = busyChats(state);
      const found = search.get();
      const minute = Math.floor(nowMs / MINUTE_MS);
      const { phase, seq } = client.connection.get();
      const isRead = seq > 0 || phase === "live";
      const now = [state.list, current, found, minute, key, isRead];
      if (now.every((one, n) => one === shown[n])) return;
      shown = now;
      const isSearch = found.text !== "";
      const rows = isSearch ? found.rows.map((row) => freshRow(state, row)) : latestFirst(state);
      list.show({ rows, current, waiting, queued, nowMs });
      more.hidden = isSearch || state.list.nextCursor === null;
      setText(note, isSearch ? searchNote(found) : listNote(rows.length, isRead));
      note.hidden = note.textContent === "";
    },
  };
}

/**
 * What the list says of a row that was found, which goes on living.
 *
 * @param {State} state
 * @param {Found} row
 * @returns {Found}
 */
function freshRow(state, row) {
  const fresh = state.list.rows.get(row.id);
  return fresh ? { ...fresh, ...(row.hits && { hits: row.hits }) } : row;
}

/** @param {State} state */
function latestFirst(state) {
  return [...state.list.rows.values()].sort((a, b) =>
    a.last_activity_at === b.last_activity_at
      ? b.last_seq - a.last_seq
      : b.last_activity_at.localeCompare(a.last_activity_at),
  );
}

/**
 * The chats that are open and wait for somebody, or have a queue.
 *
 * @param {State} state
 */
function busyChats(state) {
  const waiting = new Set();
  const queued = new Map();
  for (const [chatId, chat] of state.open) {
    if (chat.requests.length > 0) waiting.add(chatId);
    if (chat.queue.length > 0) queued.set(chatId, chat.queue.length);
  }
  const key = `${[...waiting].join(" ")}/${[...queued].join(" ")}`;
  return { waiting, queued, key };
}

/** @param {import("./search.js").Search} search */
function searchNote({ text, phase, rows }) {
  if (phase === "failed") return "The search did not work. Try again.";
  if (phase === "found" && rows.length === 0) return `Nothing says “${text}”.`;
  return phase === "asking" && rows.length === 0 ? "searching" : "";
}

/**
 * @param {number} n
 * @param {boolean} isRead
 */
function listNote(n, isRead) {
  if (n > 0) return "";
  return isRead ? "No chats yet. Your first message begins one." : "loading the chats";
}
