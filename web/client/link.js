/**
 * @module
 * The state of the one connection, and what frames and failures do to it.
 *
 * Pure: no fetch, timer, clock or chance. What is done about it is left to `connection.js`; what
 * events mean, to `state.js`. Nothing here ever becomes part of a message.
 */

import { readFrame } from "./wire.js";

/** @typedef {import("./wire.js").Envelope} Envelope */

/**
 * - `connecting`: asked, and not answered yet.
 * - `catching_up`: events come that are older than now.
 * - `live`: nothing is missing.
 * - `waiting`: the connection broke; the next try is at `retryAt`.
 * - `offline`: the same, and the device has no network, or the plug is pulled.
 * - `closed`: for good.
 *
 * @typedef {"connecting" | "catching_up" | "live" | "waiting" | "offline" | "closed"} Phase
 */

/**
 * @typedef {object} Link
 * @property {Phase} phase
 * @property {number | null} seq Everything up to here was handed over; null if nothing was seeded.
 * @property {number | null} headSeq The end of the log, as far as it is known.
 * @property {string | null} logId The log that `seq` is a position of.
 * @property {number | null} retryAt When the next try is, in milliseconds since 1970.
 * @property {number} missed Events that came since the connection was made and before it was live.
 * @property {boolean} isPlugged False while somebody holds the plug.
 * @property {number} nFailures Tries in a row that did not come to anything.
 * @property {boolean} isFresh Whether this try has seeded the state.
 * @property {Error | null} error Why the last connection broke; null once one is live.
 */

/** @type {Link} */
export const NEW_LINK = Object.freeze({
  phase: "connecting",
  seq: null,
  headSeq: null,
  logId: null,
  retryAt: null,
  missed: 0,
  isPlugged: true,
  nFailures: 0,
  isFresh: false,
  error: null,
});

/**
 * Events that come together, in order.
 *
 * @typedef {object} Batch
 * @property {number} after They follow on this seq without a gap.
 * @property {number} through Nothing up to here is missing.
 * @property {Envelope[]} envelopes
 */

/**
 * What becomes of the connection after a chunk.
 *
 * @typedef {{ type: "go_on" } | { type: "seed", reason: string }
 *   | { type: "over", isPlanned: boolean, error: Error }} Then
 */

/** The reasons of a `bye` after which the same server, or its successor, is soon there again. */
const PLANNED = new Set(["shutdown", "idle"]);

/**
 * Takes the frames that one chunk of the network ended.
 *
 * @param {Link} link
 * @param {import("./sse.js").RawFrame[]} frames
 * @param {number} catchUpMax Seqs to catch up at most; beyond, the state is seeded anew.
 * @returns {{ link: Link, batch: Batch | null, then: Then }}
 */
export function takeFrames(link, frames, catchUpMax) {
  const next = { ...link };
  const after = link.seq ?? 0;
  /** @type {Envelope[]} */
  const envelopes = [];
  /** @type {Then} */
  let then = { type: "go_on" };
  for (const raw of frames) {
    try {
      then = takeFrame(next, raw, envelopes, catchUpMax);
    } catch (error) {
      // A frame that cannot be read is never skipped: the state would have a hole.
      then = { type: "over", isPlanned: false, error: /** @type {Error} */ (error) };
    }
    if (then.type !== "go_on") break;
  }
  const through = next.seq ?? 0;
  const batch = through > after ? { after, through, envelopes } : null;
  if (then.type === "seed") next.seq = null;
  return { link: next, batch, then };
}

/**
 * @param {Link} link Changed in place.
 * @param {import("./sse.js").RawFrame} raw
 * @param {Envelope[]} envelopes Added to.
 * @param {number} catchUpMax
 * @returns {Then}
 */
function takeFrame(link, raw, envelopes, catchUpMax) {
  const seq = link.seq ?? 0;
  const frame = readFrame(raw);
  switch (frame.type) {
    case "event":
      if (frame.envelope.seq <= seq) break;
      envelopes.push(frame.envelope);
      advance(link, frame.envelope.seq);
      if (link.phase === "catching_up") link.missed += 1;
      break;
    case "hello":
      link.logId = frame.logId;
      link.headSeq = frame.headSeq;
      link.phase = "catching_up";
      link.missed = 0;
      if (frame.headSeq - seq > catchUpMax && !link.isFresh) {
        return { type: "seed", reason: "far_behind" };
      }
      break;
    case "caught_up":
      advance(link, Math.max(frame.seq, seq));
      link.phase = "live";
      link.error = null;
      break;
    case "resync":
      return { type: "seed", reason: frame.reason };
    case "bye": {
      const isPlanned = PLANNED.has(frame.reason);
      return { type: "over", isPlanned, error: new Error(`the server said bye: ${frame.reason}`) };
    }
    default:
    // A frame of a newer server has no part in the state.
  }
  return { type: "go_on" };
}

/** @param {Link} link @param {number} seq */
function advance(link, seq) {
  link.seq = seq;
  link.headSeq = Math.max(link.headSeq ?? 0, seq);
  link.nFailures = 0;
}

/** @param {Link} link @returns {Link} A try begins. */
export function connecting(link) {
  return { ...link, phase: "connecting", retryAt: null, isFresh: false };
}

/** @param {Link} link @param {number} seq @returns {Link} The state was seeded as of `seq`. */
export function seeded(link, seq) {
  return { ...link, seq, headSeq: seq, isFresh: true };
}

/**
 * The connection broke, or was not made.
 *
 * @param {Link} link
 * @param {{ error: Error, isPlanned: boolean, isOnline: boolean, retryAt: number }} how
 * @returns {Link}
 */
export function broken(link, { error, isPlanned, isOnline, retryAt }) {
  const nFailures = isPlanned ? link.nFailures : link.nFailures + 1;
  const phase = isOnline ? "waiting" : "offline";
  return { ...link, phase, retryAt, nFailures, error };
}

/** @param {Link} link @returns {Link} Somebody pulled the plug. */
export function unplugged(link) {
  return { ...link, phase: "offline", retryAt: null, isPlugged: false };
}

/** @param {Link} link @returns {Link} */
export function closed(link) {
  return { ...link, phase: "closed", retryAt: null };
}

/**
 * What a page shows of the connection.
 *
 * @typedef {object} ConnectionState
 * @property {Phase} phase
 * @property {number} seq 0 before anything was seeded.
 * @property {number} headSeq
 * @property {number} toGo Seqs between the two: an upper bound of the events that are missing.
 * @property {number | null} retryAt
 * @property {boolean} leader Whether this tab is the one that reads; false while another does.
 * @property {number} missed
 * @property {boolean} plugged
 * @property {Error | null} error
 */

/** @param {Link} link @param {boolean} leader @returns {ConnectionState} */
export function connectionState(link, leader) {
  const { phase, retryAt, missed, isPlugged, error } = link;
  const seq = link.seq ?? 0;
  const headSeq = Math.max(seq, link.headSeq ?? 0);
  const toGo = headSeq - seq;
  return { phase, seq, headSeq, toGo, retryAt, leader, missed, plugged: isPlugged, error };
}
