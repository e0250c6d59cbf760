/**
 * @module
 * Where the time of a turn went: spans, gaps and marks to scale, and the sum of each.
 *
 * Pure. Made of the runs that the server tells of a turn (adjacent deltas are one), and of those of
 * its events that say which tool or question began and ended. All times are milliseconds after the
 * turn's start.
 */

/** @typedef {import("../client/wire.js").Envelope} Envelope */

/**
 * Events of one kind after each other, as `inspect turn --json` prints them.
 *
 * @typedef {object} Run
 * @property {string} kind
 * @property {number} first_seq
 * @property {number} last_seq
 * @property {number} after_ms
 * @property {number} duration_ms
 * @property {number} n_events
 */

/** What a turn does at an instant; of several, the first of these is counted. */
export const DOINGS = /** @type {const} */ ([
  "waiting", // for a person
  "tool",
  "speaking",
  "thinking",
  "starting", // for the first token
  "silent",
]);

/** @typedef {typeof DOINGS[number]} Doing */

/**
 * @typedef {object} Span
 * @property {Doing} doing
 * @property {string} label
 * @property {number} fromMs
 * @property {number} toMs
 * @property {number} firstSeq
 * @property {number} lastSeq
 * @property {"open" | "done" | "failed"} state
 */

/** @typedef {{ atMs: number, kind: string, seq: number }} Mark */

/**
 * @typedef {object} Lane
 * @property {number} lengthMs
 * @property {number | null} firstTokenMs
 * @property {readonly Span[]} spans In the order of their beginning.
 * @property {readonly Mark[]} marks Instants that are no spans: plans, usage, the end.
 * @property {Mark | null} end Null while the turn is open.
 * @property {readonly { doing: Doing, ms: number }[]} sums They add up to the length.
 */

/** A silence that is shown as one, in milliseconds; `inspect turn` has the same. */
export const GAP_MS = 1_000;

const ENDS = new Set(["complete", "cancelled", "error"]);
const SAID = new Set(["assistant_text", "assistant_thinking"]);

/** Kinds of which the lane needs the events themselves. */
export const NAMED_KINDS = [
  "tool_started",
  "tool_completed",
  "tool_failed",
  "permission_request",
  "permission_resolved",
  "elicitation_request",
  "elicitation_resolved",
];

/**
 * @param {readonly Run[]} runs
 * @param {readonly Envelope[]} named events of {@link NAMED_KINDS} of the turn
 * @param {number} nowMs how long an open turn has lasted
 * @returns {Lane}
 */
export function laneOf(runs, named, nowMs) {
  const start = runs[0]?.after_ms ?? 0;
  const last = runs.at(-1);
  const ending = runs.find((run) => ENDS.has(run.kind));
  const end = ending ? markOf(ending) : null;
  const lastMs = last ? last.after_ms + last.duration_ms : 0;
  const lengthMs = Math.max(end ? end.atMs : Math.max(nowMs, lastMs), 1);
  const first = runs.find((run) => SAID.has(run.kind));
  const spans = [...saidSpans(runs), ...namedSpans(runs, named, lengthMs, end !== null)];
  const firstTokenMs = first ? first.after_ms : null;
  const busyMs = Math.min(lengthMs, ...spans.map((span) => span.fromMs));
  if (last && busyMs > start) {
    const seq = runs[0]?.first_seq ?? 0;
    const label = first ? "until the first token" : "before anything was said";
    spans.push({
      ...{ doing: "starting", label, fromMs: 0, toMs: busyMs },
      ...{ firstSeq: seq, lastSeq: seq, state: end || spans.length > 0 ? "done" : "open" },
    });
  }
  spans.sort((a, b) => a.fromMs - b.fromMs || a.firstSeq - b.firstSeq);
  const isMark = (/** @type {Run} */ run) => !SAID.has(run.kind) && !NAMED_KINDS.includes(run.kind);
  const marks = runs.filter(isMark).map(markOf);
  return { lengthMs, firstTokenMs, spans, marks, end, sums: sumsOf(spans, lengthMs) };
}

/**
 * The silences of a lane that are long enough to be shown.
 *
 * @param {Lane} lane
 * @returns {{ fromMs: number, toMs: number }[]}
 */
export function gapsOf({ spans, lengthMs }) {
  const gaps = [];
  let until = 0;
  for (const { fromMs, toMs } of [...spans, { fromMs: lengthMs, toMs: lengthMs }]) {
    if (fromMs - until >= GAP_MS) gaps.push({ fromMs: until, toMs: fromMs });
    until = Math.max(until, toMs);
  }
  return gaps;
}

/** @param {Run} run */
function markOf(run) {
  return { atMs: run.after_ms, kind: run.kind, seq: run.first_seq };
}

/**
 * @param {readonly Run[]} runs
 * @returns {Span[]}
 */
function saidSpans(runs) {
  return runs.filter((run) => SAID.has(run.kind)).map((run) => ({
    doing: run.kind === "assistant_text" ? "speaking" : "thinking",
    label: `${run.kind.slice("assistant_".length)} · ${run.n_events}`,
    fromMs: run.after_ms,
    toMs: run.after_ms + run.duration_ms,
    firstSeq: run.first_seq,
    lastSeq: run.last_seq,
    state: "done",
  }));
}

/**
 * @param {readonly Run[]} runs
 * @param {readonly Envelope[]} named
 * @param {number} lengthMs
 * @param {boolean} isEnded
 */
function namedSpans(runs, named, lengthMs, isEnded) {
  const afterMs = new Map(runs.map((run) => [run.first_seq, run.after_ms]));
  /** @type {Map<string, Span>} */
  const spans = new Map();
  for (const { kind, seq, payload } of named) {
    const atMs = afterMs.get(seq);
    if (atMs === undefined) continue;
    const isTool = kind.startsWith("tool_");
    const id = isTool ? `tool ${payload["tool"]?.id}` : `request ${payload["request_id"]}`;
    const open = spans.get(id);
    if (open) {
      open.lastSeq = seq;
      const isStill = kind === "tool_started";
      if (!isStill) open.state = kind === "tool_failed" ? "failed" : "done";
      open.toMs = isStill ? open.toMs : atMs;
      continue;
    }
    spans.set(id, {
      doing: isTool ? "tool" : "waiting",
      label: isTool ? String(payload["tool"]?.name ?? "tool") : askedLabel(kind, payload),
      fromMs: atMs,
      toMs: lengthMs,
      firstSeq: seq,
      lastSeq: seq,
      state: isEnded ? "failed" : "open",
    });
  }
  return [...spans.values()];
}

/**
 * @param {string} kind
 * @param {Record<string, any>} payload
 */
function askedLabel(kind, payload) {
  const tool = payload["tool"]?.title ?? payload["tool"]?.name;
  return kind.startsWith("permission") ? `approval ${tool ?? ""}`.trim() : "question";
}

/**
 * How long each doing lasted; where spans overlap, the first of {@link DOINGS} counts.
 *
 * @param {readonly Span[]} spans
 * @param {number} lengthMs
 */
function sumsOf(spans, lengthMs) {
  const edges = new Set([0, lengthMs]);
  for (const { fromMs, toMs } of spans) edges.add(fromMs).add(toMs);
  const sorted = [...edges].sort((a, b) => a - b);
  /** @type {Map<Doing, number>} */
  const sums = new Map();
  for (const [i, fromMs] of sorted.entries()) {
    const toMs = sorted[i + 1];
    if (toMs === undefined) break;
    const here = spans.filter((span) => span.fromMs <= fromMs && span.toMs >= toMs);
    const doing = DOINGS.find((each) => here.some((span) => span.doing === each)) ?? "silent";
    sums.set(doing, (sums.get(doing) ?? 0) + toMs - fromMs);
  }
  return DOINGS.map((doing) => ({ doing, ms: sums.get(doing) ?? 0 })).filter(({ ms }) => ms > 0);
}
