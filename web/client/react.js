/**
 * @module
 * The client in React: hooks on `useSyncExternalStore`, and nothing else.
 *
 * What a hook returns belongs to the client and the chat of that render: a callback that is called
 * late does what it does in the chat that it was made for.
 */

import { useCallback, useEffect, useMemo, useSyncExternalStore } from "react";

/** @typedef {import("./client.js").Client} Client */
/** @typedef {import("./chat.js").Chat} Chat */
/** @typedef {import("./open_chats.js").ChatView} ChatView */
/** @typedef {import("./wire.js").ChatRow} ChatRow */

/** Milliseconds that a chat stays open after a render that nobody kept. */
const UNKEPT_MS = 1000;

/**
 * A chat, its state and what can be done in it.
 *
 * @param {Client} client
 * @param {string} chatId
 * @returns {ChatView & { chat: Chat }} `chat` has the methods; it is closed when the component goes
 *   or shows another chat.
 */
export function useScrollback(client, chatId) {
  const held = useMemo(() => holdChat(client, chatId), [client, chatId]);
  useEffect(() => held.keep(), [held]);
  const view = useSyncExternalStore(held.subscribe, held.get, held.get);
  const { chat } = held;
  return useMemo(() => ({ ...view, chat }), [view, chat]);
}

/**
 * The list of chats, the last active first.
 *
 * @param {Client} client
 * @returns {{ chats: ChatRow[], hasMore: boolean, loadMore: () => Promise<void> }}
 */
export function useScrollbackList(client) {
  const { get, subscribe } = client.state;
  const getList = useCallback(() => get().list, [get]);
  const { rows, nextCursor } = useSyncExternalStore(subscribe, getList, getList);
  const chats = useMemo(() => [...rows.values()].sort(byActivity), [rows]);
  const loadMore = useCallback(() => client.loadMoreChats(), [client]);
  return { chats, hasMore: nextCursor !== null, loadMore };
}

/**
 * How the connection is.
 *
 * @param {Client} client
 * @returns {import("./link.js").ConnectionState}
 */
export function useConnection(client) {
  const { get, subscribe } = client.connection;
  return useSyncExternalStore(subscribe, get, get);
}

/** @param {ChatRow} a @param {ChatRow} b */
function byActivity(a, b) {
  if (a.last_activity_at !== b.last_activity_at) {
    return a.last_activity_at < b.last_activity_at ? 1 : -1;
  }
  return b.last_seq - a.last_seq;
}

/**
 * A handle that lives as long as somebody keeps it.
 *
 * React may render and then not mount, or mount, unmount and mount again; the handle is opened by
 * the render, so that the first picture has the state that is there, and closed when the last one
 * who kept it is gone.
 *
 * @param {Client} client
 * @param {string} chatId
 */
function holdChat(client, chatId) {
  let chat = client.openChat(chatId);
  let isOpen = true;
  let nKept = 0;
  const close = () => {
    if (nKept > 0 || !isOpen) return;
    isOpen = false;
    chat.close();
  };
  const unkept = setTimeout(close, UNKEPT_MS);
  const reopen = () => {
    if (isOpen) return;
    isOpen = true;
    chat = client.openChat(chatId);
  };
  return {
    get chat() {
      return chat;
    },
    get: () => chat.get(),
    /** @param {() => void} listener */
    subscribe: (listener) => {
      reopen();
      return chat.subscribe(listener);
    },
    keep: () => {
      clearTimeout(unkept);
      reopen();
      nKept += 1;
      return () => {
        nKept -= 1;
        // React mounts again at once where it checks that this can be done.
        queueMicrotask(close);
      };
    },
  };
}
