/**
 * @module
 * What is said of the connection, in words. Pure; where it stands is `head.js`'s.
 */

import { numberText } from "../page/time.js";

/** @typedef {import("../client/index.js").ConnectionState} ConnectionState */

/**
 * @param {ConnectionState} connection
 * @param {number} nowMs milliseconds since 1970
 * @returns {string}
 */
export function connectionText({ phase, toGo, retryAt, plugged }, nowMs) {
  if (!plugged) return "unplugged";
  switch (phase) {
    case "connecting":
      return "connecting";
    case "catching_up":
      return toGo === 0 ? "catching up" : `catching up · ${numberText(toGo)} to go`;
    case "live":
      return "live";
    case "waiting":
      return retryAt === null
        ? "reconnecting"
        : `reconnecting in ${Math.max(1, Math.ceil((retryAt - nowMs) / 1_000))} s`;
    case "offline":
      return "offline";
    case "closed":
      return "closed";
  }
}

/**
 * What a cut has cost, once it is over.
 *
 * @param {number} nMissed
 */
export function missedText(nMissed) {
  if (nMissed === 0) return "nothing missed";
  return nMissed === 1 ? "1 event caught up" : `${numberText(nMissed)} events caught up`;
}
