/**
 * @module
 * Reads the text of one block into spans: code, emphasis, links, line breaks.
 *
 * A small grammar of its own, close to what models write: there is no HTML, no entity and no image
 * in it, so that all of these stay the text that they are. A link goes to http, https or mailto or
 * is no link. Every search is bounded, so that no text makes it slow. Blocks are `markdown.js`'s.
 */

/**
 * @typedef {{type: "text", text: string}} TextSpan
 * @typedef {{type: "code", text: string}} CodeSpan
 * @typedef {{type: "break"}} BreakSpan
 * @typedef {{type: "strong" | "em" | "strike", spans: Span[]}} MarkSpan
 * @typedef {{type: "link", href: string, spans: Span[]}} LinkSpan
 * @typedef {TextSpan | CodeSpan | BreakSpan | MarkSpan | LinkSpan} Span
 *
 * @typedef {{char: string, count: number, opens: boolean, closes: boolean}} Run
 * @typedef {Span | Run} Piece
 */

/** The characters of a link's text, and of its address. */
const LINK_MAX = 2_048;

/** How deep the brackets of a link nest. */
const BRACKETS_MAX = 32;

/** How many open runs of `*`, `_` or `~` an end of emphasis looks back over. */
const OPEN_RUNS_MAX = 64;

const SPECIAL = /[\\`*_~[!<\n]|https?:\/\//g;
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const PUNCTUATION = /[\p{P}\p{S}]/u;
const BARE_URL = /https?:\/\/[^\s<>"'`]+/y;
const ANGLE_URL = /<((?:https?:\/\/|mailto:)[^\s<>]+)>/y;

/**
 * Reads the text of a block.
 *
 * @param {string} text
 * @param {boolean} [isOpen] whether more text is to come: what is open at the end then counts as
 *   closed there, so that a bold word does not begin with stars while it is being written
 * @returns {Span[]}
 */
export function readInline(text, isOpen = false) {
  return new Inline(text, isOpen, true).read();
}

class Inline {
  /**
   * @param {string} text
   * @param {boolean} isOpen
   * @param {boolean} mayLink
   */
  constructor(text, isOpen, mayLink) {
    this.text = text;
    this.isOpen = isOpen;
    this.mayLink = mayLink;
    this.at = 0;
    /** @type {Piece[]} */
    this.pieces = [];
  }

  /** @returns {Span[]} */
  read() {
    while (this.at < this.text.length) {
      SPECIAL.lastIndex = this.at;
      const match = SPECIAL.exec(this.text);
      const next = match ? match.index : this.text.length;
      if (next > this.at) this.plain(this.text.slice(this.at, next));
      this.at = next;
      if (match) this.special(match[0]);
    }
    return joinRuns(this.pieces, this.isOpen);
  }

  /** @param {string} char the special character here, or the beginning of an address */
  special(char) {
    if (char === "\\") this.escape();
    else if (char === "`") this.code();
    else if (char === "\n") this.lineBreak();
    else if (char === "<") this.angleLink();
    else if (char === "[" || char === "!") this.bracketLink(char);
    else if (char.length > 1) this.bareLink();
    else this.run(char);
  }

  /** @param {string} text */
  plain(text) {
    const last = this.pieces.at(-1);
    if (last && "type" in last && last.type === "text") last.text += text;
    else this.pieces.push({ type: "text", text });
  }

  /** @param {number} length how much of the text is itself */
  literal(length) {
    this.plain(this.text.slice(this.at, this.at + length));
    this.at += length;
  }

  escape() {
    const next = this.text[this.at + 1];
    if (next === "\n") {
      this.pieces.push({ type: "break" });
      this.at += 2;
    } else if (next !== undefined && ESCAPABLE.test(next)) {
      this.plain(next);
      this.at += 2;
    } else {
      this.literal(1);
    }
  }

  lineBreak() {
    const last = this.pieces.at(-1);
    const hasSpaces = last && "type" in last && last.type === "text" && last.text.endsWith("  ");
    if (hasSpaces) {
      last.text = last.text.trimEnd();
      this.pieces.push({ type: "break" });
    } else {
      this.plain("\n");
    }
    this.at += 1;
  }

  code() {
    const ticks = lengthOfRun(this.text, this.at);
    const from = this.at + ticks;
    const to = findRun(this.text, from, "`", ticks);
    if (to >= 0) {
      this.pieces.push({ type: "code", text: trimCode(this.text.slice(from, to)) });
      this.at = to + ticks;
    } else if (this.isOpen && from < this.text.length) {
      this.pieces.push({ type: "code", text: trimCode(this.text.slice(from)) });
      this.at = this.text.length;
    } else {
      this.literal(ticks);
    }
  }

  angleLink() {
    ANGLE_URL.lastIndex = this.at;
    const match = this.mayLink ? ANGLE_URL.exec(this.text) : null;
    const href = match ? safeHref(match[1] ?? "") : null;
    if (match && href) {
      const text = (match[1] ?? "").replace(/^mailto:/, "");
      this.pieces.push({ type: "link", href, spans: [{ type: "text", text }] });
      this.at += match[0].length;
    } else {
      this.literal(1);
    }
  }

  bareLink() {
    BARE_URL.lastIndex = this.at;
    const found = BARE_URL.exec(this.text)?.[0] ?? "";
    const url = trimUrl(found);
    const href = this.mayLink ? safeHref(url) : null;
    if (href) {
      this.pieces.push({ type: "link", href, spans: [{ type: "text", text: url }] });
      this.at += url.length;
    } else {
      this.literal(Math.max(found.length, 1));
    }
  }

  /** @param {string} char `[`, or the `!` of an image: it is shown as a link to the picture */
  bracketLink(char) {
    const open = char === "!" ? this.at + 1 : this.at;
    const link = this.mayLink && this.text[open] === "[" ? readLink(this.text, open) : null;
    if (link) {
      const spans = new Inline(link.text, false, false).read();
      this.pieces.push({ type: "link", href: link.href, spans });
      this.at = link.end;
    } else {
      this.literal(1);
    }
  }

  /** @param {string} char */
  run(char) {
    const count = lengthOfRun(this.text, this.at);
    const before = this.text[this.at - 1] ?? " ";
    const after = this.text[this.at + count] ?? " ";
    const isAfterSpace = /\s/.test(before);
    const isBeforeSpace = /\s/.test(after);
    const isAfterPunctuation = PUNCTUATION.test(before);
    const isBeforePunctuation = PUNCTUATION.test(after);
    let opens = !isBeforeSpace && (!isBeforePunctuation || isAfterSpace || isAfterPunctuation);
    let closes = !isAfterSpace && (!isAfterPunctuation || isBeforeSpace || isBeforePunctuation);
    if (char === "_") {
      const inWord = opens && closes;
      opens = opens && (!inWord || isAfterPunctuation);
      closes = closes && (!inWord || isBeforePunctuation);
    }
    if ((char === "~" && count !== 2) || (!opens && !closes)) {
      this.literal(count);
    } else {
      this.pieces.push({ char, count, opens, closes });
      this.at += count;
    }
  }
}

/**
 * Pairs the runs and nests what stands between them; a run that finds no other is text.
 *
 * @param {Piece[]} pieces
 * @param {boolean} isOpen
 * @returns {Span[]}
 */
function joinRuns(pieces, isOpen) {
  /** @type {Piece[]} */
  const out = [];
  for (const piece of pieces) {
    if ("type" in piece) {
      out.push(piece);
      continue;
    }
    if (piece.closes) closeRuns(out, piece);
    if (piece.count > 0) out.push(piece);
  }
  if (isOpen) closeAtEnd(out);
  return out.reduce(addSpan, /** @type {Span[]} */ ([]));
}

/**
 * @param {Piece[]} out
 * @param {Run} closer
 */
function closeRuns(out, closer) {
  let looked = 0;
  for (let i = out.length - 1; i >= 0 && closer.count > 0 && looked < OPEN_RUNS_MAX; i--) {
    const opener = out[i];
    if (!opener || "type" in opener) continue;
    looked += 1;
    if (opener.char !== closer.char || !opener.opens || opener.count === 0) continue;
    const bothWays = closer.opens || opener.closes;
    if (bothWays && (opener.count + closer.count) % 3 === 0 && closer.count % 3 !== 0) continue;
    while (opener.count > 0 && closer.count > 0) wrap(out, i, opener, closer);
    if (opener.count === 0) out.splice(i, 1);
  }
}

/**
 * @param {Piece[]} out
 * @param {number} i where the opener is
 * @param {Run} opener
 * @param {Run} closer
 */
function wrap(out, i, opener, closer) {
  const used = opener.count >= 2 && closer.count >= 2 ? 2 : 1;
  const spans = out.splice(i + 1).reduce(addSpan, /** @type {Span[]} */ ([]));
  const type = opener.char === "~" ? "strike" : used === 2 ? "strong" : "em";
  out.push({ type, spans });
  opener.count -= used;
  closer.count -= used;
}

/** @param {Piece[]} out */
function closeAtEnd(out) {
  for (let i = out.length - 1; i >= 0; i--) {
    const run = out[i];
    if (!run || "type" in run || !run.opens || run.char === "~" || run.count > 3) continue;
    if (i === out.length - 1) continue;
    const closer = { ...run };
    while (run.count > 0) wrap(out, i, run, closer);
    out.splice(i, 1);
  }
}

/**
 * @param {Span[]} spans
 * @param {Piece} piece
 */
function addSpan(spans, piece) {
  const span = "type" in piece ? piece : textOf(piece);
  const last = spans.at(-1);
  if (span.type === "text" && last?.type === "text") last.text += span.text;
  else spans.push(span);
  return spans;
}

/**
 * @param {Run} run
 * @returns {TextSpan}
 */
function textOf(run) {
  return { type: "text", text: run.char.repeat(run.count) };
}

/**
 * @param {string} text
 * @param {number} at
 */
function lengthOfRun(text, at) {
  let end = at;
  while (end < text.length && text[end] === text[at]) end += 1;
  return end - at;
}

/**
 * Finds a run of exactly `count` characters.
 *
 * @param {string} text
 * @param {number} from
 * @param {string} char
 * @param {number} count
 */
function findRun(text, from, char, count) {
  for (let at = text.indexOf(char, from); at >= 0; at = text.indexOf(char, at)) {
    const length = lengthOfRun(text, at);
    if (length === count) return at;
    at += length;
  }
  return -1;
}

/** @param {string} text */
function trimCode(text) {
  const flat = text.replaceAll("\n", " ");
  const isPadded = flat.startsWith(" ") && flat.endsWith(" ") && flat.trim() !== "";
  return isPadded ? flat.slice(1, -1) : flat;
}

/**
 * Reads `[text](address "title")`; the title is dropped.
 *
 * @param {string} text
 * @param {number} open
 * @returns {{text: string, href: string, end: number} | null}
 */
function readLink(text, open) {
  const close = findClosing(text, open, "[", "]");
  if (close < 0 || text[close + 1] !== "(") return null;
  const end = findClosing(text, close + 1, "(", ")");
  if (end < 0) return null;
  const target = text.slice(close + 2, end).trim().replace(/\s+(?:"[^"]*"|'[^']*')$/, "");
  const href = safeHref(target.replace(/^<(.*)>$/, "$1"));
  return href ? { text: text.slice(open + 1, close), href, end: end + 1 } : null;
}

/**
 * @param {string} text
 * @param {number} open
 * @param {string} opening
 * @param {string} closing
 */
function findClosing(text, open, opening, closing) {
  let depth = 0;
  const end = Math.min(text.length, open + LINK_MAX);
  for (let at = open; at < end; at++) {
    const char = text[at];
    if (char === "\\") at += 1;
    else if (char === opening && ++depth > BRACKETS_MAX) return -1;
    else if (char === closing && --depth === 0) return at;
  }
  return -1;
}

/**
 * The address as it may stand in a link, or null if a link may not go there.
 *
 * @param {string} address
 * @returns {string | null}
 */
export function safeHref(address) {
  if (address.length > LINK_MAX || /\s/.test(address) || !URL.canParse(address)) return null;
  const url = new URL(address);
  const isAllowed = ["http:", "https:", "mailto:"].includes(url.protocol);
  return isAllowed ? url.href : null;
}

/**
 * A bare address ends before the punctuation of its sentence, and before a bracket that is not its
 * own.
 *
 * @param {string} url
 */
function trimUrl(url) {
  let end = url.length;
  for (; end > 0; end--) {
    const last = url[end - 1] ?? "";
    if (".,;:!?*_~]".includes(last)) continue;
    if (last === ")" && !isBalanced(url.slice(0, end))) continue;
    break;
  }
  return url.slice(0, end);
}

/** @param {string} url */
function isBalanced(url) {
  return url.split("(").length === url.split(")").length;
}
