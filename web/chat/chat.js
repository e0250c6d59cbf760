/**
 * @module
 * The chat page: puts its parts together and draws them once a frame from the client's state.
 *
 * The state is the client's alone; what is kept here is which chat is open. Each part compares what
 * it is given with what it has shown, so that a frame costs what has changed.
 */

import { connect } from "../client/index.js";
import { find, h, oncePerFrame, setText, strokes } from "../page/dom.js";
import { BIN, CROSS, DOWN, LIST, PENCIL, PLUG, PLUS, SEND, STOP } from "../page/icons.js";
import { openSession } from "../page/sign_in.js";
import { createAnnouncer } from "./announce.js";
import { createComposer } from "./composer.js";
import { refusalText } from "./failure.js";
import { createHead } from "./head.js";
import { listenToKeys } from "./keys.js";
import { nameOf } from "./names.js";
import { createPlace } from "./place.js";
import { readProviders } from "./providers.js";
import { createQueue } from "./queue.js";
import { createRequests } from "./requests.js";
import { createRoom } from "./room.js";
import { createSidebar } from "./sidebar.js";
import { createTranscript } from "./transcript.js";

/** @typedef {import("../client/index.js").ChatView} ChatView */

/** How often what depends on the time is looked at. */
const TICK_MS = 1_000;

/** How long a refusal stays. */
const PROBLEM_MS = 10_000;

const session = openSession();
const client = connect({ fetch: session.fetch, share: session.share });
const element = (/** @type {string} */ selector) => find(document, selector, HTMLElement);
const page = element(".page");
const isPhone = matchMedia("(max-width: 720px)");
const redraw = oncePerFrame(draw);

for (const [selector, paths] of /** @type {const} */ ([
  [".open-list", LIST],
  [".close-list", CROSS],
  [".rename", PENCIL],
  [".delete", BIN],
  [".plug", PLUG],
  [".down", DOWN],
  [".stop", STOP],
  [".send", SEND],
  [".new", PLUS],
])) {
  element(selector).prepend(strokes(paths));
}
element(".plug").append(h("span", { class: "word" }, "pull the plug"));
element(".stop").append("stop");

const room = createRoom(client, { changed: redraw, switched, failed: showProblem });
const announcer = createAnnouncer(element("#announcements"));
const sidebar = createSidebar(element(".chats"), client, {
  open: openChat,
  newChat,
  close: () => showOnPhone("chat"),
  redraw,
});
const transcript = createTranscript(
  {
    scroller: element(".scroller"),
    list: element(".messages"),
    older: element(".older"),
    down: element(".down"),
  },
  {
    retry: (messageId) => {
      room.retry(messageId);
      refocus();
    },
    goOn: () => {
      room.goOn();
      refocus();
    },
    suggest: say,
    loadOlder: () => room.run((chat) => chat.loadOlder()),
    sendAgain: (key) => room.chat()?.sendAgain(key),
    discard: (sending) => {
      room.chat()?.discard(sending.key);
      composer.put(sending.text);
    },
    redraw,
  },
);
const place = createPlace(element(".state"), {
  suggest: say,
  reload: () => room.chat()?.reload(),
  newChat,
});
const composer = createComposer(find(document, ".composer", HTMLFormElement), {
  send: (text, provider) => void send(text, provider),
  stop: () => void room.stop(),
});
const requests = createRequests(
  element(".requests"),
  async (requestId, answer) => room.chat()?.respond(requestId, answer),
  refocus,
);
const queue = createQueue(
  element(".queue"),
  {
    edit: (id, content) => room.run((chat) => chat.queue.edit(id, { content })),
    remove: (id) => room.run((chat) => chat.queue.remove(id)),
    sendNow: (id) => room.run((chat) => chat.queue.sendNow(id)),
  },
  refocus,
);
const head = createHead(element(".head"), {
  pullThePlug: () => client.pullThePlug(),
  rename: (title) => void room.run((chat) => chat.rename(title)),
  remove: () => void removeChat(),
  redraw,
});

/** @type {ChatView | null} */
let shownChat = null;
let isDecided = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let problemTimer;

function draw() {
  const state = client.state.get();
  const connection = client.connection.get();
  const nowMs = Date.now();
  decide();
  const handle = room.chat();
  const chat = handle?.get() ?? null;
  const row = chat && (chat.row ?? state.list.rows.get(chat.chatId) ?? null);
  const isGone = chat !== null && (chat.loading === "gone" || chat.deleted);
  sidebar.show(state, handle?.chatId ?? null, nowMs);
  head.show({
    name: isGone ? "Not here" : nameOf(row ?? (handle && { id: handle.chatId, title: null })),
    isSaved: row !== null && !isGone,
    connection,
    nowMs,
  });
  place(chat);
  drawChat(chat);
  composer.show({
    key: handle?.chatId ?? "",
    isRunning: Boolean(row?.open_turn) && !isGone,
    isStopping: Boolean(row?.open_turn?.stop_requested_at),
    isOffline: connection.phase === "offline" || connection.phase === "waiting",
    isUsable: !isGone,
  });
  if (!isPhone.matches || page.dataset["shows"] === "chat") room.view();
}

/** @param {ChatView | null} chat */
function drawChat(chat) {
  if (chat === null) {
    if (shownChat) transcript.clear();
    shownChat = null;
    requests([]);
    queue([], []);
    return;
  }
  const isOther = shownChat?.chatId !== chat.chatId;
  requests(chat.requests);
  const coming = chat.row?.open_turn ? chat.sending : [];
  queue(chat.queue, coming.filter((one) => one.status !== "failed"));
  transcript.show(chat);
  if (!isOther) announcer.follow(chat.messages, chat.requests);
  shownChat = chat;
}

/** Opens a chat once it is known which ones there are, if the address names none. */
function decide() {
  if (isDecided) return;
  const named = new URLSearchParams(location.search).get("chat");
  const { rows } = client.state.get().list;
  const isKnown = client.connection.get().seq > 0 || client.connection.get().phase === "live";
  if (named === null && !isKnown) return;
  isDecided = true;
  const latest = [...rows.values()].sort(byActivity)[0]?.id ?? null;
  if (named !== null) room.open(named, "keep");
  else if (latest !== null && isPhone.matches) showOnPhone("list");
  else room.open(latest, "replace");
}

/**
 * @param {{last_activity_at: string}} a
 * @param {{last_activity_at: string}} b
 */
function byActivity(a, b) {
  return b.last_activity_at.localeCompare(a.last_activity_at);
}

function switched() {
  isDecided = true;
  clearProblem();
  redraw();
}

/** @param {string} chatId */
function openChat(chatId) {
  showOnPhone("chat");
  room.open(chatId);
}

function newChat() {
  showOnPhone("chat");
  room.open(null);
  composer.focus();
}

/** @param {string} text */
function say(text) {
  void send(text, null);
  refocus();
}

/** Where the focus goes from what goes away. A phone's keyboard does not come up for it. */
function refocus() {
  if (matchMedia("(hover: none)").matches) element(".scroller").focus();
  else composer.focus();
}

/**
 * @param {string} text
 * @param {string | null} provider
 */
async function send(text, provider) {
  clearProblem();
  transcript.toEnd();
  if (!(await room.send(text, provider))) composer.put(text);
}

async function removeChat() {
  const chat = room.chat();
  const dialog = find(document, "dialog.confirm", HTMLDialogElement);
  if (!chat) return;
  setText(find(dialog, "h2", HTMLElement), `Delete “${nameOf(chat.get().row)}”?`);
  dialog.returnValue = "no";
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  if (dialog.returnValue !== "yes") return;
  await room.run(async () => {
    await chat.delete();
    announcer.say("The chat is deleted.");
    if (room.chat() === chat) newChat();
  });
}

/** @param {unknown} error */
function showProblem(error) {
  const line = element(".dock > .problem");
  setText(line, refusalText(error));
  line.hidden = false;
  clearTimeout(problemTimer);
  problemTimer = setTimeout(clearProblem, PROBLEM_MS);
}

function clearProblem() {
  element(".dock > .problem").hidden = true;
}

/** @param {"list" | "chat"} what */
function showOnPhone(what) {
  page.dataset["shows"] = what;
  element(".open-list").setAttribute("aria-expanded", String(what === "list"));
}

function inspect() {
  const links = document.querySelectorAll(".message a.inspect");
  const focused = document.activeElement?.closest(".message")?.querySelector("a.inspect");
  const link = focused ?? links[links.length - 1];
  location.assign(link instanceof HTMLAnchorElement ? link.href : "/inspector");
}

element(".open-list").addEventListener("click", () => {
  showOnPhone("list");
  sidebar.focus();
});
listenToKeys({
  search: () => {
    showOnPhone("list");
    sidebar.focusSearch();
  },
  newChat,
  stop: () => {
    if (room.chat()?.get().row?.open_turn) void room.stop();
  },
  moveInList: sidebar.move,
  inspect,
});
window.addEventListener("popstate", () => {
  const named = new URLSearchParams(location.search).get("chat");
  showOnPhone(named === null ? "list" : "chat");
  room.open(named, "keep");
});
document.addEventListener("visibilitychange", redraw);
client.state.subscribe(redraw);
client.connection.subscribe(redraw);
setInterval(redraw, TICK_MS);
void readProviders(session.fetch).then((providers) => composer.offer(providers));
redraw();
