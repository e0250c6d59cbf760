/**
 * @module
 * The events of the timeline by their place in it, fetched when they are looked at.
 *
 * Live and old events come the same way, by pages: a greater head only says that there is more to
 * read. Without a filter the place of an event follows from its seq ({@link DenseRows}), so that a
 * log of any length can be scrolled through; with one, events are found on either side of where the
 * search began ({@link FoundRows}). Both keep a bounded number. Drawing is `timeline.js`.
 */

/** @typedef {import("../client/wire.js").Envelope} Envelope */
/** @typedef {import("./address.js").Filter} Filter */
/** @typedef {import("./calls.js").Calls} Calls */

/**
 * What stands at a place: an event, `"erased"` where its chat was deleted, null before it is read.
 *
 * @typedef {Envelope | "erased" | null} Row
 */

/**
 * How the rows stand: `empty` is to be told from `loading`; `searching` says how far a search for
 * rare events has come.
 *
 * @typedef {{ phase: "loading" | "ready" } | { phase: "searching", seq: number }
 *   | { phase: "failed", error: unknown }} Phase
 */

/**
 * @typedef {object} Rows
 * @property {number} count
 * @property {Phase} phase
 * @property {number | null} searchedFrom How far back all was found, if that is not all yet.
 * @property {(index: number) => Row} at
 * @property {(index: number) => number | null} seqAt
 * @property {(seq: number) => number} indexOf The place of a seq, or of the next after it.
 * @property {(first: number, last: number) => void} need Fetches what is missing among these.
 * @property {(head: number) => void} setHead
 * @property {() => void} retry
 * @property {() => void} close
 */

/** Says that rows came; so many of them before those that were there. */
/** @typedef {(nBefore: number) => void} OnChange */

/** Events asked for at once. */
const PAGE = 200;

/** Pages kept of a log without a filter: 20 000 events, some 10 MB. */
const PAGES_MAX = 100;

/** Events kept of a search. */
const FOUND_MAX = 20_000;

/** Places beyond the visible ones that are read ahead. */
const AHEAD = 60;

/**
 * Every event of a range of seqs.
 *
 * @implements {Rows}
 */
export class DenseRows {
  /** @type {Phase} */
  phase = { phase: "loading" };
  searchedFrom = null;
  #calls;
  #first;
  #last;
  #onChange;
  #head = 0;
  /** @type {Map<number, { rows: Row[], through: number }>} pages by number, the last used last */
  #pages = new Map();
  /** @type {Map<number, AbortController>} */
  #asked = new Map();
  /** @type {[number, number]} the pages looked at */
  #window = [0, -1];

  /**
   * @param {Calls} calls
   * @param {Filter} filter of which only the range counts
   * @param {OnChange} onChange
   */
  constructor(calls, filter, onChange) {
    this.#calls = calls;
    this.#first = filter.from ?? 1;
    this.#last = filter.to ?? Infinity;
    this.#onChange = onChange;
  }

  get count() {
    return Math.max(0, Math.min(this.#last, this.#head) - this.#first + 1);
  }

  /** @param {number} index */
  at(index) {
    const seq = this.seqAt(index);
    if (seq === null) return null;
    const page = this.#pages.get(pageOf(seq));
    if (!page || seq > page.through) return null;
    return page.rows[(seq - 1) % PAGE] ?? "erased";
  }

  /** @param {number} index */
  seqAt(index) {
    return index >= 0 && index < this.count ? this.#first + index : null;
  }

  /** @param {number} seq */
  indexOf(seq) {
    return Math.max(0, Math.min(seq - this.#first, this.count - 1));
  }

  /**
   * @param {number} first
   * @param {number} last
   */
  need(first, last) {
    if (this.count === 0) return;
    const seq = (/** @type {number} */ index) => this.#first + this.#clamp(index);
    this.#window = [pageOf(seq(first - AHEAD)), pageOf(seq(last + AHEAD))];
    this.#ask();
  }

  /** @param {number} head */
  setHead(head) {
    const isFirst = this.phase.phase === "loading";
    if (head === this.#head && !isFirst) return;
    this.#head = head;
    if (isFirst) this.phase = { phase: "ready" };
    this.#ask();
    this.#onChange(0);
  }

  retry() {
    this.phase = { phase: "ready" };
    this.#ask();
  }

  close() {
    for (const asked of this.#asked.values()) asked.abort();
    this.#onChange = () => {};
  }

  /** @param {number} index */
  #clamp(index) {
    return Math.max(0, Math.min(index, this.count - 1));
  }

  #ask() {
    if (this.phase.phase === "failed") return;
    const [from, to] = this.#window;
    for (const [number, asked] of this.#asked) {
      // Somebody who drags the bar through a long log wants the last place, not all between.
      if (number < from || number > to) asked.abort();
    }
    for (let number = from; number <= to; number++) {
      const end = Math.min((number + 1) * PAGE, this.#head);
      const page = this.#pages.get(number);
      if (this.#asked.has(number) || (page && page.through >= end)) continue;
      void this.#fetch(number, page?.through ?? number * PAGE, end);
    }
  }

  /**
   * @param {number} number
   * @param {number} after
   * @param {number} end
   */
  async #fetch(number, after, end) {
    const asked = new AbortController();
    this.#asked.set(number, asked);
    try {
      const page = await this.#calls.events(NO_OTHER, { afterSeq: after }, PAGE, asked.signal);
      this.#put(number, page, end);
      this.phase = { phase: "ready" };
    } catch (error) {
      if (!asked.signal.aborted) this.phase = { phase: "failed", error };
    }
    this.#asked.delete(number);
    this.#ask();
    this.#onChange(0);
  }

  /**
   * @param {number} number
   * @param {import("./calls.js").EventPage} answer
   * @param {number} end
   */
  #put(number, answer, end) {
    const page = this.#pages.get(number) ?? { rows: [], through: number * PAGE };
    for (const envelope of answer.items) {
      if (pageOf(envelope.seq) === number) page.rows[(envelope.seq - 1) % PAGE] = envelope;
    }
    // What was looked through and is not there was erased. A look cut short went less far.
    const through = answer.next_after_seq ?? answer.scanned_through ?? end;
    page.through = Math.max(page.through, Math.min(through, (number + 1) * PAGE));
    this.#pages.delete(number);
    this.#pages.set(number, page);
    for (const old of this.#pages.keys()) {
      if (this.#pages.size <= PAGES_MAX) break;
      this.#pages.delete(old);
    }
  }
}

/**
 * The events that pass a filter, around where the search began.
 *
 * @implements {Rows}
 */
export class FoundRows {
  /** @type {Phase} */
  phase = { phase: "loading" };
  #calls;
  #filter;
  #onChange;
  #first;
  #last;
  #head = 0;
  /** @type {Envelope[]} */
  #found = [];
  /** All before is searched down to this seq, which is still out; all after up to this one. */
  #before;
  #after;
  #asked = new AbortController();
  #isAsking = false;
  /** @type {[number, number]} */
  #window = [0, 0];

  /**
   * @param {Calls} calls
   * @param {Filter} filter
   * @param {number | null} around the seq from which the search goes both ways; the end with null
   * @param {OnChange} onChange
   */
  constructor(calls, filter, around, onChange) {
    this.#calls = calls;
    this.#filter = filter;
    this.#onChange = onChange;
    this.#first = filter.from ?? 1;
    this.#last = filter.to ?? Infinity;
    const start = Math.min(this.#last, Math.max(around ?? Infinity, this.#first));
    this.#before = start + 1;
    this.#after = start;
  }

  get count() {
    return this.#found.length;
  }

  /** @param {number} index */
  at(index) {
    return this.#found[index] ?? null;
  }

  /** @param {number} index */
  seqAt(index) {
    return this.#found[index]?.seq ?? null;
  }

  /** @param {number} seq */
  indexOf(seq) {
    let [low, high] = [0, this.#found.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#found[middle]?.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, Math.min(low, this.#found.length - 1));
  }

  get searchedFrom() {
    return this.#before <= this.#first ? null : this.#before;
  }

  /**
   * @param {number} first
   * @param {number} last
   */
  need(first, last) {
    this.#window = [first, last];
    this.#ask();
  }

  /** @param {number} head */
  setHead(head) {
    const isFirst = this.#head === 0;
    this.#head = head;
    if (isFirst) {
      // A place beyond the head is none that the server could search from.
      this.#after = Math.min(this.#after, head);
      this.#before = Math.min(this.#before, head + 1);
    }
    this.#ask();
  }

  retry() {
    this.phase = { phase: "loading" };
    this.#ask();
  }

  close() {
    this.#asked.abort();
    this.#onChange = () => {};
  }

  #ask() {
    if (this.#isAsking || this.#head === 0 || this.phase.phase === "failed") return;
    const [first, last] = this.#window;
    const isMoreBefore = this.#before > this.#first;
    const isMoreAfter = this.#after < Math.min(this.#last, this.#head);
    if (isMoreAfter && last + AHEAD >= this.count) {
      void this.#fetch({ afterSeq: this.#after });
    } else if (isMoreBefore && first - AHEAD <= 0) {
      void this.#fetch({ beforeSeq: this.#before });
    } else if (this.phase.phase !== "ready") {
      this.phase = { phase: "ready" };
      this.#onChange(0);
    }
  }

  /** @param {{ afterSeq: number } | { beforeSeq: number }} from */
  async #fetch(from) {
    this.#isAsking = true;
    let nBefore = 0;
    try {
      const page = await this.#calls.events(this.#filter, from, PAGE, this.#asked.signal);
      nBefore = "afterSeq" in from ? this.#putAfter(page) : this.#putBefore(page);
      const isFound = page.items.length > 0;
      const isForward = "afterSeq" in from && this.#after < this.#head;
      const seq = isForward ? this.#after : this.#before;
      this.phase = isFound ? { phase: "ready" } : { phase: "searching", seq };
    } catch (error) {
      if (this.#asked.signal.aborted) return;
      this.phase = { phase: "failed", error };
    }
    this.#isAsking = false;
    // What was looked at is looked at still; it only has other places.
    const [first, last] = this.#window;
    this.#window = [first + nBefore, last + nBefore];
    this.#onChange(nBefore);
    this.#ask();
  }

  /** @param {import("./calls.js").EventPage} page */
  #putAfter(page) {
    this.#found.push(...page.items.filter(({ seq }) => seq > this.#after && seq <= this.#last));
    this.#after = page.next_after_seq ?? page.head_seq;
    const nOver = Math.max(0, this.#found.length - FOUND_MAX);
    if (nOver > 0) {
      this.#found.splice(0, nOver);
      this.#before = this.#found[0]?.seq ?? this.#before;
    }
    return -nOver;
  }

  /** @param {import("./calls.js").EventPage} page */
  #putBefore(page) {
    const items = page.items.filter(({ seq }) => seq < this.#before && seq >= this.#first);
    this.#found.unshift(...items);
    this.#before = page.next_before_seq ?? 1;
    if (this.#found.length > FOUND_MAX) {
      this.#found.length = FOUND_MAX;
      this.#after = this.#found[FOUND_MAX - 1]?.seq ?? this.#after;
    }
    return items.length;
  }
}

/** @type {Filter} */
const NO_OTHER = { chat: "", message: "", turn: "", kinds: [], text: "", from: null, to: null };

/** @param {number} seq */
function pageOf(seq) {
  return Math.floor((seq - 1) / PAGE);
}
