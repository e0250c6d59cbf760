/**
 * @module
 * Tells screen readers what happens, politely: a sentence at a time, and nothing twice.
 *
 * What the sentences of an answer are is `sentences.js`'s.
 */

import { h } from "../page/dom.js";
import { createSentences } from "./sentences.js";

/** @typedef {import("../client/index.js").MessageRow} MessageRow */
/** @typedef {import("../client/index.js").RequestRow} RequestRow */

/** The sentences that stay in the region; a reader that is behind still finds them. */
const LINES_MAX = 6;

/**
 * @param {HTMLElement} region an element that is `aria-live="polite"`
 */
export function createAnnouncer(region) {
  /** @type {{id: string, sentences: ReturnType<typeof createSentences>} | null} */
  let followed = null;
  /** @type {Set<string>} */
  let toldRequests = new Set();

  /** @param {string} text */
  function say(text) {
    if (text === "") return;
    region.append(h("p", null, text));
    while (region.children.length > LINES_MAX) region.firstElementChild?.remove();
  }

  /**
   * Follows the last answer of the chat that is shown.
   *
   * @param {readonly MessageRow[]} messages
   * @param {readonly RequestRow[]} requests
   */
  function follow(messages, requests) {
    const last = messages.at(-1);
    if (last?.role === "assistant") {
      if (followed?.id === last.id) speak(last, followed.sentences);
      else if (last.stream_status === "in_progress") begin(last);
      else followed = null;
    }
    const now = new Set(requests.map((request) => request.request_id));
    for (const id of now) {
      if (!toldRequests.has(id)) say("The assistant is waiting for you.");
    }
    toldRequests = now;
  }

  /** @param {MessageRow} message */
  function begin(message) {
    const sentences = createSentences();
    // What was there before is read by moving to it.
    sentences.take(message.content_text);
    followed = { id: message.id, sentences };
    say("The assistant answers.");
  }

  /**
   * @param {MessageRow} message
   * @param {ReturnType<typeof createSentences>} sentences
   */
  function speak(message, sentences) {
    if (message.stream_status === "in_progress") {
      for (const sentence of sentences.take(message.content_text)) say(sentence);
      return;
    }
    for (const sentence of sentences.rest(message.content_text)) say(sentence);
    const ends = { completed: "Done.", failed: "The answer failed.", interrupted: "Stopped." };
    say(ends[message.stream_status]);
    followed = null;
  }

  return { say, follow };
}
