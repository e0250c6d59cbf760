/**
 * @module
 * Where the page is: the one state that its parts share, kept in the address.
 *
 * Parts read it, ask for another place by {@link Navigation.go}, and are told of each change with
 * the place before. Back and forward lead through what was looked at.
 */

import { readPlace, writePlace } from "./address.js";

/** @typedef {import("./address.js").Place} Place */
/** @typedef {(place: Place, before: Place) => void} OnPlace */

/** The place of the page, and the way to others. */
export class Navigation {
  #place = readPlace(location.search);
  /** @type {Set<OnPlace>} */
  #subscribers = new Set();

  constructor() {
    window.addEventListener("popstate", () => this.#set(readPlace(location.search)));
  }

  /** @returns {Place} */
  get place() {
    return this.#place;
  }

  /**
   * Goes to a place that differs in these.
   *
   * @param {Partial<Place>} change
   * @param {"step" | "slide"} [how] A slide is a movement, which going back does not repeat.
   */
  go(change, how = "step") {
    const place = { ...this.#place, ...change };
    const url = `?${writePlace(place)}`;
    if (how === "slide") history.replaceState(null, "", url);
    else if (url !== location.search) history.pushState(null, "", url);
    this.#set(place);
  }

  /**
   * @param {OnPlace} onPlace
   * @returns {() => void} ends it
   */
  subscribe(onPlace) {
    this.#subscribers.add(onPlace);
    return () => this.#subscribers.delete(onPlace);
  }

  /** @param {Place} place */
  #set(place) {
    const before = this.#place;
    this.#place = place;
    for (const subscriber of this.#subscribers) subscriber(place, before);
  }
}
