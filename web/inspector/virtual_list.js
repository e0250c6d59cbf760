/**
 * @module
 * A list of rows of one height of which only those in the window are in the document.
 *
 * Knows places, not what stands there: a row is drawn by who owns the list, into an element that
 * was another row's before. Where a row is comes from `scroll.js`.
 */

import { h, oncePerFrame, setAttribute } from "../page/dom.js";
import { isScaled, lastTopRow, listPx, ROW_PX, scrollPx, topRow, topRowToShow } from "./scroll.js";

/** Rows drawn beyond both edges, so that a fast wheel meets no blank. */
const OVERSCAN = 12;

/**
 * @typedef {object} ListOptions
 * @property {string} label
 * @property {(element: HTMLElement, index: number) => void} draw
 * @property {() => HTMLElement} make Makes the element of a row.
 * @property {() => void} onDrawn Says that the rows in the document are others.
 * @property {(first: number, last: number) => void} onWindow Says which rows are in the window.
 * @property {(isAtEnd: boolean) => void} onScroll Says that the reader moved the list.
 */

/** The list. */
export class VirtualList {
  #options;
  #rows = h("div", { class: "rows-layer", role: "presentation" });
  #spacer = h("div", { class: "rows-spacer", role: "presentation" }, this.#rows);
  /** @type {HTMLElement[]} */
  #elements = [];
  #count = 0;
  #top = 0;
  /** Where the list was put by program; an event that tells of it is no reader's. */
  #putAt = 0;
  #windowPx = 0;
  #touch = 0;
  #draw = oncePerFrame(() => this.#drawNow());

  /** @param {ListOptions} options */
  constructor(options) {
    this.#options = options;
    this.element = h(
      "div",
      { class: "rows", role: "listbox", tabindex: "0", "aria-label": options.label },
      this.#spacer,
    );
    this.element.addEventListener("scroll", () => this.#scrolled());
    this.element.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.element.addEventListener("touchstart", (event) => this.#touched(event));
    this.element.addEventListener("touchmove", (event) => this.#moved(event), { passive: false });
    new ResizeObserver(() => this.#resized()).observe(this.element);
  }

  /** Rows that fit into the window. */
  get nVisible() {
    return Math.max(1, Math.floor(this.#windowPx / ROW_PX));
  }

  get isAtEnd() {
    return this.#top >= lastTopRow(this.#count, this.#windowPx) - 0.5;
  }

  /**
   * Sets the length; with so many new rows before the others, which stay where they are seen.
   *
   * @param {number} count
   * @param {number} nBefore
   * @param {boolean} toEnd Whether the end is shown from now on.
   */
  setCount(count, nBefore, toEnd) {
    if (count === this.#count && nBefore === 0 && (!toEnd || this.isAtEnd)) {
      // Only what stands in the rows is new; to ask for places would lay the page out.
      this.redraw();
      return;
    }
    this.#count = count;
    this.#spacer.style.height = `${listPx(count)}px`;
    const last = lastTopRow(count, this.#windowPx);
    this.#put(toEnd ? last : Math.min(this.#top + nBefore, last));
  }

  /** Draws the rows anew, which have changed. */
  redraw() {
    this.#draw();
  }

  /** @param {number} index */
  show(index) {
    this.#put(topRowToShow(index, this.#top, this.#windowPx));
  }

  /** @param {number} index */
  center(index) {
    this.#put(index - (this.#windowPx / ROW_PX - 1) / 2);
  }

  /** @param {number} row */
  #put(row) {
    this.#top = Math.max(0, Math.min(row, lastTopRow(this.#count, this.#windowPx)));
    this.element.scrollTop = scrollPx(this.#top, this.#count, this.#windowPx) || 0;
    this.#putAt = this.element.scrollTop;
    this.#tell();
  }

  /** Tells which rows are looked at, and draws them. */
  #tell() {
    const first = Math.floor(this.#top);
    this.#options.onWindow(first, first + Math.ceil(this.#windowPx / ROW_PX));
    this.#draw();
  }

  #scrolled() {
    const px = this.element.scrollTop;
    if (Math.abs(px - this.#putAt) < 1) return;
    this.#putAt = px;
    this.#top = topRow(px, this.#count, this.#windowPx);
    this.#tell();
    this.#options.onScroll(this.isAtEnd);
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    if (!isScaled(this.#count) || event.ctrlKey) return;
    event.preventDefault();
    const rows = [event.deltaY / ROW_PX, event.deltaY, event.deltaY * this.nVisible];
    this.#step(rows[event.deltaMode] ?? 0);
  }

  /** @param {TouchEvent} event */
  #touched(event) {
    this.#touch = event.touches[0]?.clientY ?? 0;
  }

  /** @param {TouchEvent} event */
  #moved(event) {
    if (!isScaled(this.#count) || event.touches.length !== 1) return;
    event.preventDefault();
    const y = event.touches[0]?.clientY ?? 0;
    this.#step((this.#touch - y) / ROW_PX);
    this.#touch = y;
  }

  /** @param {number} rows */
  #step(rows) {
    this.#put(this.#top + rows);
    this.#options.onScroll(this.isAtEnd);
  }

  #resized() {
    const wasAtEnd = this.isAtEnd && this.#top > 0;
    this.#windowPx = this.element.clientHeight;
    this.#put(wasAtEnd ? Infinity : this.#top);
  }

  #drawNow() {
    const first = Math.max(0, Math.floor(this.#top) - OVERSCAN);
    const end = Math.min(
      this.#count,
      Math.ceil(this.#top + this.#windowPx / ROW_PX) + OVERSCAN,
    );
    const shift = this.#putAt + (first - this.#top) * ROW_PX;
    this.#rows.style.transform = `translateY(${shift}px)`;
    while (this.#elements.length < end - first) {
      const element = this.#options.make();
      this.#elements.push(element);
      this.#rows.append(element);
    }
    for (const [i, element] of this.#elements.entries()) {
      const index = first + i;
      element.hidden = index >= end;
      if (element.hidden) continue;
      setAttribute(element, "aria-setsize", String(this.#count));
      setAttribute(element, "aria-posinset", String(index + 1));
      this.#options.draw(element, index);
    }
    this.#options.onDrawn();
  }
}
