/**
 * @module
 * The command that prints on a terminal what the page shows.
 *
 * Every flag here is one that `scrollback --help` lists; the page offers these lines for copying
 * and runs none of them.
 */

import { writeRange } from "./address.js";

/** @typedef {import("./address.js").Filter} Filter */

/**
 * The events that the timeline shows: those in its window, or what comes where it follows.
 *
 * @param {Filter} filter
 * @param {readonly [number, number] | null} window First and last seq; null where it follows.
 * @returns {string}
 */
export function eventsCommand(filter, window) {
  const [from, to] = window ?? [filter.from, filter.to];
  const range = writeRange(from, to);
  return command("inspect events", [
    ["--chat", filter.chat],
    ["--message", filter.message],
    ["--turn", filter.turn],
    ["--kind", filter.kinds.join(",")],
    ["--text", filter.text],
    ["--seq", range],
    ["--last", range ? "" : "50"],
    ["--follow", window === null && filter.to === null],
  ]);
}

/**
 * One event whole.
 *
 * @param {number} seq
 */
export function eventCommand(seq) {
  return command("inspect events", [["--seq", String(seq)], ["--json", true]]);
}

/**
 * What is stored of an event: the command line proves it, HTTP shows it.
 *
 * @param {string} origin
 * @param {number} seq
 */
export function storedCommand(origin, seq) {
  return `curl -s ${quote(`${origin}/v1/log/events/${seq}`)}`;
}

/**
 * A message at a seq; at the head with null.
 *
 * @param {string} chat
 * @param {string} message
 * @param {number | null} at
 */
export function messageCommand(chat, message, at) {
  return command(`inspect message ${quote(message)}`, [
    ["--chat", chat],
    ["--at", at === null ? "" : String(at)],
  ]);
}

/**
 * What changed in a message between two seqs.
 *
 * @param {string} chat
 * @param {string} message
 * @param {number} from
 * @param {number} to
 */
export function differenceCommand(chat, message, from, to) {
  const [before, after] = [from, to].map((at) => messageCommand(chat, message, at));
  return `diff <(${before}) <(${after})`;
}

/**
 * The chats with their messages as they were.
 *
 * @param {number} at
 * @param {string} chat
 */
export function stateCommand(at, chat) {
  return command("inspect state", [["--at", String(at)], ["--chat", chat]]);
}

/**
 * A turn as a time line.
 *
 * @param {string} chat
 * @param {string} turn
 */
export function turnCommand(chat, turn) {
  return command(`inspect turn ${quote(turn)}`, [["--chat", chat]]);
}

/**
 * A rebuild of one view, or its check.
 *
 * @param {string} name
 * @param {boolean} check
 */
export function rebuildCommand(name, check) {
  return command("rebuild", [["--projection", name], ["--check", check]]);
}

/**
 * Whether the server is well, and if not, why.
 *
 * @param {string} origin
 */
export function readyCommand(origin) {
  return `curl -s ${quote(`${origin}/readyz`)}`;
}

/** What is in the log, counted. */
export function statsCommand() {
  return command("inspect stats", []);
}

/**
 * @param {string} words
 * @param {readonly (readonly [string, string | boolean])[]} flags
 */
function command(words, flags) {
  const parts = [`scrollback ${words}`];
  for (const [flag, value] of flags) {
    if (value === true) parts.push(flag);
    else if (value) parts.push(`${flag} ${quote(value)}`);
  }
  return parts.join(" ");
}

/**
 * A word that a POSIX shell reads as this text.
 *
 * @param {string} text
 */
export function quote(text) {
  if (/^[\w.,:/@%+=-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", "'\\''")}'`;
}
