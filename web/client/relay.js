/**
 * @module
 * What the tab that reads tells the others, and what a tab that listens makes of it.
 *
 * Pure: no channel, timer or clock. Who reads is decided in `tabs.js`.
 */

/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./link.js").Batch} Batch */

/**
 * What the reading tab says, once for each chunk of the network and whenever it is asked.
 *
 * @typedef {object} Said
 * @property {"said"} type
 * @property {number} term Greater than that of every reader before; who hears a greater one than
 *   its own does not read any more.
 * @property {string | null} era Named anew whenever a cursor became of no use; null if the reader
 *   does not know the log yet.
 * @property {Batch | null} batch
 * @property {Link} link
 */

/** @typedef {Said | { type: "ping", term: number }} Message */

/** Events that are kept while the state is read; beyond, the reading begins again. */
const KEPT_MAX = 20_000;

/**
 * A tab that listens.
 *
 * @typedef {object} Listener
 * @property {number} term The greatest that it has heard of.
 * @property {string | null} era
 * @property {string | null} logId
 * @property {number | null} seq Everything up to here was handed over; null while it is seeded.
 * @property {readonly Batch[]} kept What was said while it is seeded.
 * @property {Link | null} link The reader's, as last heard.
 */

/** @type {Listener} */
export const NEW_LISTENER = Object.freeze({
  ...{ term: 0, era: null, logId: null, seq: null, link: null },
  kept: Object.freeze([]),
});

/**
 * Hears what the reader says.
 *
 * @param {Listener} listener
 * @param {Said} said
 * @returns {{ listener: Listener, batch: Batch | null, isLost: boolean }} What to fold, and whether
 *   the state has to be read anew; a listener that is lost keeps what it hears from now on.
 */
export function hear(listener, { term, era, batch, link }) {
  // A reader that was replaced, and does not know yet.
  if (term < listener.term) return { listener, batch: null, isLost: false };
  const isOtherEra = era !== null && listener.era !== null && era !== listener.era;
  const next = { ...listener, term, link };
  next.era = era ?? listener.era;
  next.logId = link.logId ?? listener.logId;
  if (isOtherEra) return lose(next, batch);
  if (next.seq === null) return keep(next, batch);
  const taken = batch === null ? null : take(next.seq, batch);
  if (taken === "gap") return lose(next, batch);
  if (taken !== null) next.seq = taken.through;
  // It read further than what was heard: something was not heard.
  if (link.seq !== null && link.seq > next.seq) return lose(next, null);
  return { listener: next, batch: taken, isLost: false };
}

/**
 * The state was read; what was kept follows.
 *
 * @param {Listener} listener
 * @param {number} seq What the state reflects.
 * @returns {{ listener: Listener, batches: Batch[], isLost: boolean }}
 */
export function seededAt(listener, seq) {
  /** @type {Batch[]} */
  const batches = [];
  let at = seq;
  for (const batch of listener.kept) {
    const taken = take(at, batch);
    if (taken === "gap") return { ...lose(listener, batch), batches };
    if (taken === null) continue;
    batches.push(taken);
    at = taken.through;
  }
  return { listener: { ...listener, seq: at, kept: [] }, batches, isLost: false };
}

/**
 * What of a batch is new at a seq.
 *
 * @param {number} seq
 * @param {Batch} batch
 * @returns {Batch | "gap" | null} Null if nothing is.
 */
function take(seq, { after, through, envelopes }) {
  if (through <= seq) return null;
  if (after > seq) return "gap";
  return { after: seq, through, envelopes: envelopes.filter((envelope) => envelope.seq > seq) };
}

/** @param {Listener} listener @param {Batch | null} batch */
function lose(listener, batch) {
  const kept = batch === null ? [] : [batch];
  return { listener: { ...listener, seq: null, kept }, batch: null, isLost: true };
}

/** @param {Listener} listener @param {Batch | null} batch */
function keep(listener, batch) {
  if (batch === null) return { listener, batch: null, isLost: false };
  const kept = [...listener.kept, batch];
  const n = kept.reduce((sum, { envelopes }) => sum + envelopes.length, 0);
  if (n > KEPT_MAX) return lose(listener, batch);
  return { listener: { ...listener, kept }, batch: null, isLost: false };
}
