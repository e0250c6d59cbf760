/**
 * @module
 * What the page shows, as its address says it, so that a place in the log can be sent to somebody.
 *
 * Reads and writes the query of `/inspector?seq=…`; what is done with it is `inspector.js`.
 */

/** @typedef {"event" | "stored" | "message" | "turn" | "views"} Tab */

/**
 * Which events the timeline holds. Empty text and null mean: no matter.
 *
 * @typedef {object} Filter
 * @property {string} chat
 * @property {string} message
 * @property {string} turn
 * @property {readonly string[]} kinds
 * @property {string} text
 * @property {number | null} from The first seq.
 * @property {number | null} to The last seq.
 */

/**
 * @typedef {object} Place
 * @property {number | null} seq The event that is looked at.
 * @property {Filter} filter
 * @property {Tab} tab
 * @property {number | null} at The seq at which the message is shown; null is the head.
 * @property {readonly [number | null, number | null]} marks The two seqs that are compared.
 */

/** @type {Filter} */
export const NO_FILTER = {
  chat: "",
  message: "",
  turn: "",
  kinds: [],
  text: "",
  from: null,
  to: null,
};

/** @type {readonly Tab[]} */
export const TABS = ["event", "stored", "message", "turn", "views"];

/**
 * Whether every event passes but for its seq.
 *
 * @param {Filter} filter
 */
export function isDense({ chat, message, turn, kinds, text }) {
  return !chat && !message && !turn && kinds.length === 0 && !text;
}

/**
 * Whether any event is kept out.
 *
 * @param {Filter} filter
 */
export function isFiltered(filter) {
  return !isDense(filter) || filter.from !== null || filter.to !== null;
}

/**
 * Reads the query of an address; what makes no sense there counts as not said.
 *
 * @param {string} query
 * @returns {Place}
 */
export function readPlace(query) {
  const params = new URLSearchParams(query);
  const text = (/** @type {string} */ name) => params.get(name) ?? "";
  const tab = TABS.find((known) => known === params.get("tab"));
  const kinds = text("kind").split(",").filter(Boolean);
  const [from, to] = readRange(text("range"));
  const filter = {
    chat: text("chat"),
    message: text("message"),
    turn: text("turn"),
    kinds,
    text: text("text"),
    from,
    to,
  };
  const chosen = tab ?? (filter.message ? "message" : filter.turn ? "turn" : "event");
  return {
    seq: readSeq(text("seq")),
    filter,
    tab: chosen,
    at: readSeq(text("at")),
    marks: [readSeq(text("a")), readSeq(text("b"))],
  };
}

/**
 * Writes the query of an address; {@link readPlace} gives the same place again.
 *
 * @param {Place} place
 * @returns {string}
 */
export function writePlace({ seq, filter, tab, at, marks }) {
  const params = new URLSearchParams();
  const put = (/** @type {string} */ name, /** @type {string | number | null} */ value) => {
    if (value !== null && value !== "") params.set(name, String(value));
  };
  put("seq", seq);
  put("chat", filter.chat);
  put("message", filter.message);
  put("turn", filter.turn);
  put("kind", filter.kinds.join(","));
  put("text", filter.text);
  put("range", writeRange(filter.from, filter.to));
  put("tab", tab);
  put("at", at);
  put("a", marks[0]);
  put("b", marks[1]);
  return params.toString();
}

/**
 * A seq as a person or an address writes it; spaces and commas within are let pass.
 *
 * @param {string} text
 * @returns {number | null}
 */
export function readSeq(text) {
  const digits = text.replace(/[\s,_\u202f]/g, "");
  const seq = /^\d+$/.test(digits) ? Number(digits) : 0;
  return seq > 0 && Number.isSafeInteger(seq) ? seq : null;
}

/**
 * A range of seqs as the command line has it: `42`, `42..99`, `42..` or `..99`.
 *
 * @param {string} text
 * @returns {[number | null, number | null]}
 */
export function readRange(text) {
  const [first = "", last, rest] = text.split("..");
  if (rest !== undefined) return [null, null];
  const from = readSeq(first);
  return [from, last === undefined ? from : readSeq(last)];
}

/**
 * @param {number | null} from
 * @param {number | null} to
 * @returns {string}
 */
export function writeRange(from, to) {
  if (from === null && to === null) return "";
  return from === to ? String(from) : `${from ?? ""}..${to ?? ""}`;
}
