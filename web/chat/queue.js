/**
 * @module
 * Shows the messages that wait for their turn as cards: to edit, to send now, to take away.
 *
 * A card stays the same node while its message waits, so that an edit under way is not lost when
 * somebody else changes the queue. What a change does is the server's to decide.
 */

import { h, setChildren, setText, strokes } from "../page/dom.js";
import { BOLT, CROSS, PENCIL } from "../page/icons.js";

/**
 * @typedef {import("../client/index.js").QueueRow} QueueRow
 * @typedef {import("../client/index.js").Sending} Sending
 *
 * What is refused is told by whoever carries it out.
 *
 * @typedef {object} QueueActions
 * @property {(queuedId: string, content: string) => Promise<void>} edit
 * @property {(queuedId: string) => Promise<void>} remove
 * @property {(queuedId: string) => Promise<void>} sendNow
 */

/**
 * @param {HTMLElement} parent
 * @param {QueueActions} actions
 * @param {() => void} focusElsewhere where the focus goes from a card that goes away
 */
export function createQueue(parent, actions, focusElsewhere) {
  /** @type {Map<string, ReturnType<typeof queueCard>>} */
  let cards = new Map();
  /** @type {Map<string, HTMLElement>} */
  let coming = new Map();
  /** @type {readonly QueueRow[] | null} */
  let shown = null;
  /** @type {readonly Sending[] | null} */
  let shownSending = null;

  /**
   * @param {readonly QueueRow[]} queue
   * @param {readonly Sending[]} sending what is on its way to the queue
   */
  return (queue, sending) => {
    if (queue === shown && sending === shownSending) return;
    shown = queue;
    shownSending = sending;
    const hadFocus = parent.contains(document.activeElement);
    const kept = new Map();
    for (const row of queue) {
      const card = cards.get(row.queued_message_id) ?? queueCard(row, actions);
      card.show(row);
      kept.set(row.queued_message_id, card);
    }
    cards = kept;
    const keptComing = new Map();
    for (const one of sending) {
      keptComing.set(one.key, coming.get(one.key) ?? comingCard(one));
    }
    coming = keptComing;
    setChildren(parent, [...[...cards.values()].map((card) => card.node), ...coming.values()]);
    parent.hidden = cards.size + coming.size === 0;
    if (hadFocus && !parent.contains(document.activeElement)) focusElsewhere();
  };
}

/** @param {Sending} sending */
function comingCard(sending) {
  return h(
    "li",
    { class: "card coming" },
    h("span", { class: "status", "data-state": "queued" }, "queueing"),
    h("p", { class: "content" }, sending.text),
  );
}

/**
 * @param {QueueRow} first
 * @param {QueueActions} actions
 */
function queueCard(first, actions) {
  const id = first.queued_message_id;
  const content = h("p", { class: "content" });
  const field = h("textarea", { rows: "2", "aria-label": "edit the queued message" });
  const status = h("span", { class: "status", "data-state": "queued" }, "queued");
  const edit = iconButton("edit", PENCIL, () => begin());
  const now = iconButton("send now", BOLT, () => run(() => actions.sendNow(id)), "now");
  const remove = iconButton("remove", CROSS, () => run(() => actions.remove(id)));
  const save = h("button", { type: "button", class: "primary", onclick: () => keep() }, "save");
  const cancel = h("button", { type: "button", onclick: () => end() }, "cancel");
  const buttons = h("span", { class: "actions" }, edit, now, remove);
  const node = h("li", { class: "card", "data-queued-id": id }, status, content, buttons);
  let text = first.content;

  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      keep();
    } else if (event.key === "Escape") {
      event.stopPropagation();
      end();
    }
  });

  function begin() {
    field.value = text;
    content.replaceWith(field);
    buttons.replaceChildren(save, cancel);
    field.focus();
  }

  function end() {
    field.replaceWith(content);
    buttons.replaceChildren(edit, now, remove);
    edit.focus();
  }

  function keep() {
    const value = field.value.trim();
    if (value !== "" && value !== text) run(() => actions.edit(id, value));
    end();
  }

  /**
   * One change at a time. The buttons are not disabled meanwhile: the one that has the focus would
   * lose it.
   *
   * @param {() => Promise<void>} change
   */
  async function run(change) {
    if (node.getAttribute("aria-busy") === "true") return;
    node.setAttribute("aria-busy", "true");
    try {
      await change();
    } finally {
      node.removeAttribute("aria-busy");
    }
  }

  return {
    node,
    /** @param {QueueRow} row */
    show(row) {
      text = row.content;
      setText(content, row.content);
      setText(status, row.send_now ? "next" : "queued");
    },
  };
}

/**
 * @param {string} label
 * @param {readonly string[]} paths
 * @param {() => void} onclick
 * @param {string} [word]
 */
function iconButton(label, paths, onclick, word) {
  const props = { type: "button", class: "quiet icon", title: label, "aria-label": label, onclick };
  return h("button", props, strokes(paths), word ?? null);
}
