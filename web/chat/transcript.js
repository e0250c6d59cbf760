/**
 * @module
 * Shows the messages of the chat that is open, and only those near the reader.
 *
 * Draws what changed: a message whose row is the same object is not looked at. Messages themselves
 * are `message.js`'s, the reader's place is `scroll.js`'s and what is shown `window.js`'s.
 */

import { h, setChildren, setText, strokes } from "../page/dom.js";
import { RETRY } from "../page/icons.js";
import { refusalText } from "./failure.js";
import { messageView } from "./message.js";
import { createScroll } from "./scroll.js";
import { windowAfter, windowAtEnd, windowBack, windowOn } from "./window.js";

/**
 * @typedef {import("../client/index.js").MessageRow} MessageRow
 * @typedef {import("../client/index.js").Sending} Sending
 * @typedef {import("../client/index.js").ChatView} ChatView
 *
 * @typedef {import("./message.js").MessageActions & {
 *   loadOlder: () => void,
 *   sendAgain: (key: string) => void,
 *   discard: (sending: Sending) => void,
 *   redraw: () => void,
 * }} TranscriptActions
 */

/** Pixels from either end of what is on the page at which more is put there. */
const NEAR_PX = 800;

/**
 * @param {{scroller: HTMLElement, list: HTMLElement, older: HTMLElement, down: HTMLElement}} parts
 * @param {TranscriptActions} actions
 */
export function createTranscript({ scroller, list, older, down }, actions) {
  /** @type {Map<string, ReturnType<typeof messageView>>} */
  let views = new Map();
  /** @type {Map<string, ReturnType<typeof sendingView>>} */
  let sendings = new Map();
  /** @type {string | null} */
  let chatId = null;
  /** @type {readonly MessageRow[]} */
  let rows = [];
  let window = windowAtEnd(0);
  let hasOlder = false;
  let slides = 0;

  const scroll = createScroll(scroller, list, () => {
    showDown();
    slide();
  });
  down.addEventListener("click", toEnd);

  /** Shows more where the reader has come near the end of what is shown. */
  function slide() {
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    if (scrollTop < NEAR_PX && window.from > 0) {
      window = windowBack(window);
    } else if (scrollTop < NEAR_PX && hasOlder) {
      actions.loadOlder();
      return;
    } else if (scrollHeight - scrollTop - clientHeight < NEAR_PX && window.to < rows.length) {
      window = windowOn(window, rows.length);
    } else {
      return;
    }
    slides += 1;
    actions.redraw();
  }

  function showDown() {
    down.hidden = scroll.isAtEnd() && window.to >= rows.length;
  }

  function toEnd() {
    window = windowAtEnd(rows.length);
    slides += 1;
    scroll.toEnd();
    actions.redraw();
  }

  /** @param {ChatView} chat */
  function draw(chat) {
    const isIdle = !chat.row?.open_turn && chat.sending.length === 0;
    const kept = new Map();
    const nodes = [];
    for (let n = window.from; n < window.to; n++) {
      const row = /** @type {MessageRow} */ (rows[n]);
      const view = views.get(row.id) ?? messageView(actions);
      view.show(row, { isLast: n === rows.length - 1, isIdle });
      kept.set(row.id, view);
      nodes.push(view.node);
    }
    views = kept;
    if (window.to === rows.length) nodes.push(...drawSendings(chat));
    setChildren(list, nodes);
  }

  /** @param {ChatView} chat */
  function drawSendings(chat) {
    const kept = new Map();
    const nodes = [];
    for (const sending of chat.sending) {
      // It is a card of the queue unless it begins a turn.
      if (chat.row?.open_turn && sending.status !== "failed") continue;
      const view = sendings.get(sending.key) ?? sendingView(actions);
      view.show(sending);
      kept.set(sending.key, view);
      nodes.push(view.node);
    }
    sendings = kept;
    return nodes;
  }

  return {
    toEnd,
    /** @param {ChatView} chat */
    show(chat) {
      const isOther = chat.chatId !== chatId;
      const former = rows;
      const formerSlides = slides;
      rows = chat.messages;
      hasOlder = chat.olderCursor !== null;
      if (isOther) {
        chatId = chat.chatId;
        views = new Map();
        window = windowAtEnd(rows.length);
      } else if (former !== rows) {
        window = scroll.sticks() && window.to >= former.length
          ? windowAtEnd(rows.length)
          : windowAfter(window, former, rows);
      }
      older.hidden = !chat.loadingOlder;
      slides = 0;
      const isAbove = former[0] !== rows[0] || formerSlides > 0;
      const isMore = isOther || isAbove || former.length === 0;
      if (isOther || scroll.sticks()) {
        draw(chat);
        scroll.toEnd();
      } else if (isAbove) {
        scroll.hold(() => draw(chat));
      } else {
        draw(chat);
      }
      showDown();
      // What came may not reach to the top of the scroller yet.
      if (isMore) slide();
    },
    clear() {
      chatId = null;
      rows = [];
      views = new Map();
      sendings = new Map();
      list.replaceChildren();
      older.hidden = true;
      down.hidden = true;
    },
  };
}

/**
 * A message of the user that has not arrived yet.
 *
 * @param {TranscriptActions} actions
 */
function sendingView(actions) {
  const text = h("p", { class: "typed" });
  const status = h("p", { class: "small muted sending-status", role: "status" });
  const buttons = h("p", { class: "actions" });
  const who = h("p", { class: "who muted small", "aria-hidden": "true" }, "you");
  const bubble = h("div", { class: "entry bubble" }, who, text);
  const props = { class: "message sending", "data-role": "user", "aria-label": "you, on its way" };
  const node = h("article", props, bubble, status, buttons);
  /** @type {Sending | null} */
  let shown = null;

  return {
    node,
    /** @param {Sending} sending */
    show(sending) {
      if (sending === shown) return;
      shown = sending;
      const isFailed = sending.status === "failed";
      setText(text, sending.text);
      setText(status, sendingText(sending));
      node.dataset["status"] = sending.status;
      const again = () => actions.sendAgain(sending.key);
      const back = () => actions.discard(sending);
      buttons.replaceChildren(
        ...(isFailed
          ? [
              h("button", { type: "button", onclick: again }, strokes(RETRY), "try again"),
              h("button", { type: "button", class: "quiet", onclick: back }, "back to the field"),
            ]
          : []),
      );
    },
  };
}

/** @param {Sending} sending */
function sendingText({ status, error }) {
  switch (status) {
    case "waiting":
      return "Not sent yet; it goes out once the server can be reached.";
    case "failed":
      return `Not sent. ${refusalText(error)}`;
    default:
      return "sending";
  }
}
