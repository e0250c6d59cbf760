/**
 * @module
 * How numbers and times are written on both pages. Pure: the time it is comes as an argument.
 */

/** A thin space that does not break: groups digits, and stands before a unit. */
const THIN = "\u202f";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/**
 * `48 213`
 *
 * @param {number} value
 */
export function numberText(value) {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, THIN);
}

/**
 * `0.8 s`, `12 s`, `3 min 4 s`, `2 h 5 min`
 *
 * @param {number} durationMs
 */
export function durationText(durationMs) {
  if (durationMs < 10 * SECOND_MS) return `${(durationMs / SECOND_MS).toFixed(1)}${THIN}s`;
  if (durationMs < MINUTE_MS) return `${Math.round(durationMs / SECOND_MS)}${THIN}s`;
  if (durationMs < HOUR_MS) return twoUnits(durationMs, MINUTE_MS, "min", SECOND_MS, "s");
  return twoUnits(durationMs, HOUR_MS, "h", MINUTE_MS, "min");
}

/**
 * @param {number} durationMs
 * @param {number} largeMs
 * @param {string} large
 * @param {number} smallMs
 * @param {string} small
 */
function twoUnits(durationMs, largeMs, large, smallMs, small) {
  const n = Math.floor(durationMs / largeMs);
  const rest = Math.floor((durationMs % largeMs) / smallMs);
  const head = `${n}${THIN}${large}`;
  return rest === 0 ? head : `${head} ${rest}${THIN}${small}`;
}

/**
 * How long ago something was, as a list shows it: `now`, `5 min`, `3 h`, `Mon`, `12 Nov`.
 *
 * @param {string} at RFC 3339
 * @param {number} nowMs milliseconds since 1970
 * @param {string} [locale]
 */
export function ageText(at, nowMs, locale) {
  const atMs = Date.parse(at);
  if (Number.isNaN(atMs)) return "";
  const ageMs = nowMs - atMs;
  if (ageMs < MINUTE_MS) return "now";
  if (ageMs < HOUR_MS) return `${Math.floor(ageMs / MINUTE_MS)}${THIN}min`;
  if (ageMs < DAY_MS) return `${Math.floor(ageMs / HOUR_MS)}${THIN}h`;
  /** @type {Intl.DateTimeFormatOptions} */
  const weekday = { weekday: "short" };
  /** @type {Intl.DateTimeFormatOptions} */
  const day = { day: "numeric", month: "short" };
  return new Date(atMs).toLocaleDateString(locale, ageMs < 6 * DAY_MS ? weekday : day);
}

/** Making one takes as long as a hundred uses of it. @type {Map<string, Intl.DateTimeFormat>} */
const clocks = new Map();

/**
 * `14:02`
 *
 * @param {string} at RFC 3339
 * @param {string} [locale]
 */
export function clockText(at, locale) {
  let clock = clocks.get(locale ?? "");
  if (!clock) {
    clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
    clocks.set(locale ?? "", clock);
  }
  return clock.format(new Date(at));
}

/**
 * `$0.0041`
 *
 * @param {number} usd
 */
export function moneyText(usd) {
  return `$${usd.toFixed(usd < 0.1 ? 4 : 2)}`;
}
