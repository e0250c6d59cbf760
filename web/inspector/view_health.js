/**
 * @module
 * What the state of the views means: what is wrong, what to do, how a rebuild stands.
 *
 * Pure: `views_panel.js` asks and shows.
 */

import { readyCommand, rebuildCommand } from "./commands.js";
import { countText, durationText } from "./words.js";

/** @typedef {import("./calls.js").ProjectionState} ProjectionState */
/** @typedef {import("./calls.js").Rebuild} Rebuild */

/** A view that is so far behind, in seconds, is trouble; below, it is being read along. */
const BEHIND_SECONDS = 5;

/**
 * What is wrong with the views, worst first.
 *
 * @param {readonly ProjectionState[]} projections
 * @param {string} origin of the server
 * @param {{ onParked: (chat: string, seq: number) => void, onViews: () => void }} actions
 * @returns {import("./trouble_bar.js").Trouble[]}
 */
export function troublesOf(projections, origin, { onParked, onViews }) {
  const parked = projections.flatMap(({ name, parked: chats }) =>
    chats.map(({ chat_id, seq, cause }) => ({
      id: `parked ${name} ${chat_id} ${seq}`,
      state: /** @type {const} */ ("failed"),
      title: `Chat ${chat_id} stands still in ${name} at seq ${countText(seq)}.`,
      words:
        `${cause}. Its last good state is shown, and every other chat goes on. Look at the ` +
        "event; a build that can apply it heals the chat, and a rebuild tries again at once.",
      command: rebuildCommand(name, false),
      action: { words: "Show event", go: () => onParked(chat_id, seq) },
    })),
  );
  const behind = projections.filter(isLagging).map(({ name, behind_events, behind_seconds }) => ({
    id: `behind ${name}`,
    state: /** @type {const} */ ("behind"),
    title: `${name} is ${countText(behind_events)} events behind.`,
    words:
      `The oldest that it has not read is ${durationText(behind_seconds * 1_000)} old. Reads ` +
      "are right all the same, but slower: what is missing is folded on top of them. If the " +
      "figure does not fall, the server says why.",
    command: readyCommand(origin),
    action: { words: "Show views", go: onViews },
  }));
  const own = projections.flatMap((projection) => ownTroubles(projection, onViews));
  return [...own, ...parked, ...behind];
}

/**
 * What is wrong with a view itself.
 *
 * @param {ProjectionState} projection
 * @param {() => void} onViews
 * @returns {import("./trouble_bar.js").Trouble[]}
 */
function ownTroubles({ name, health, cause, rebuild }, onViews) {
  /** @type {import("./trouble_bar.js").Trouble[]} */
  const found = [];
  const action = { words: "Show views", go: onViews };
  if (health === "failing" || health === "ended") {
    const title = `${name} ${health === "failing" ? "fails and is tried again" : "has stopped"}.`;
    const words = `${cause ?? ""}. Reads go on: what it has not folded is folded on top.`;
    const command = rebuildCommand(name, true);
    found.push({ id: `health ${name}`, state: "failed", title, words, command, action });
  }
  if (rebuild && isDifferent(rebuild)) {
    const title = `${name} differs from what the log implies.`;
    const words = `${differenceText(rebuild.check)}. The log is right: rebuild the view from it.`;
    const command = rebuildCommand(name, false);
    found.push({ id: `check ${name}`, state: "failed", title, words, command, action });
  }
  return found;
}

/** @param {Rebuild} rebuild */
function isDifferent({ check }) {
  return check !== null && check !== undefined && check !== "equal";
}

/** @param {unknown} check */
function differenceText(check) {
  const message = /** @type {{ message?: unknown }} */ (check).message;
  return typeof message === "string" ? message : JSON.stringify(check);
}

/**
 * All views in some words.
 *
 * @param {readonly ProjectionState[]} projections
 * @returns {{ words: string, state: "ok" | "behind" | "parked" }}
 */
export function lagOf(projections) {
  const nParked = projections.reduce((n, { parked }) => n + parked.length, 0);
  if (nParked > 0) return { words: `views: ${countText(nParked)} parked`, state: "parked" };
  const lagging = projections.filter(isLagging);
  const worst = Math.max(0, ...projections.map(({ behind_events }) => behind_events));
  if (lagging.length > 0) return { words: `views: ${countText(worst)} behind`, state: "behind" };
  const busy = projections.find(({ rebuild }) => rebuild && isBusy(rebuild));
  return { words: busy ? `views: rebuilding ${busy.name}` : "views: 0 behind", state: "ok" };
}

/** @param {ProjectionState} projection */
export function isLagging({ behind_events, behind_seconds, rebuild }) {
  return behind_events > 0 && behind_seconds >= BEHIND_SECONDS && !(rebuild && isBusy(rebuild));
}

/** @param {Rebuild} rebuild */
export function isBusy({ state }) {
  return state === "running" || state === "checking";
}

/** @param {Rebuild} rebuild */
export function isBad(rebuild) {
  return rebuild.state === "failed" || isDifferent(rebuild);
}

/**
 * How a rebuild stands, in words.
 *
 * @param {Rebuild} rebuild
 * @returns {string}
 */
export function rebuildText({ state, checkpoint_seq, head_seq, check, cause, ...rest }) {
  const { events_per_second, seconds_left } = rest;
  const at = `${countText(checkpoint_seq)} of ${countText(head_seq)}`;
  const speed = events_per_second ? ` · ${countText(events_per_second)} ev/s` : "";
  const leftMs = typeof seconds_left === "number" ? seconds_left * 1_000 : null;
  const left = leftMs === null ? "" : ` · ${durationText(leftMs)} left`;
  if (state === "running") return `rebuilding: ${at}${speed}${left}`;
  if (state === "checking") return `checking: ${at}${speed}${left}`;
  if (state === "failed") return `failed${cause ? `: ${cause}` : ""}; the former view is in use`;
  if (check === "equal") return "checked: equal to what the log implies, row by row";
  if (check === null || check === undefined) return "rebuilt; the new view is in use";
  return `differs from what the log implies: ${differenceText(check)}`;
}
