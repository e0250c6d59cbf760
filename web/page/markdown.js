/**
 * @module
 * Reads a text into blocks: headings, paragraphs, lists, tables, code, quotes, rules.
 *
 * Pure: what it answers depends on the text alone. {@link createReader} does the same for a text
 * that grows, and reads only its last block again; the grammar sees to it that this is enough, and
 * bounds the length of a block, so that a piece of text costs the same at the end of a long answer
 * as at its beginning. Spans are `markdown-inline.js`'s, nodes `markdown-view.js`'s.
 */

import { readInline } from "./markdown-inline.js";
import { alignsOf, cellsOf, isTable, mayBeTable } from "./markdown-table.js";

/** @typedef {import("./markdown-inline.js").Span} Span */

/**
 * @typedef {{type: "paragraph", spans: Span[]}} Paragraph
 * @typedef {{type: "heading", level: number, spans: Span[]}} Heading
 * @typedef {{type: "code", language: string, text: string, isClosed: boolean}} Code
 * @typedef {{type: "quote", blocks: Block[]}} Quote
 * @typedef {{type: "rule"}} Rule
 * @typedef {{task: boolean | null, blocks: Block[]}} Item
 * @typedef {{isOrdered: boolean, start: number, isTight: boolean, items: Item[]}} ListParts
 * @typedef {{type: "list"} & ListParts} List
 * @typedef {import("./markdown-table.js").Align} Align
 * @typedef {{type: "table", aligns: Align[], head: Span[][], rows: Span[][][]}} Table
 * @typedef {Paragraph | Heading | Code | Quote | Rule | List | Table} Block
 *
 * @typedef {{block: Block, from: number}} Placed a block, and the line that it begins with
 *
 * @typedef {object} Source lines to read
 * @property {readonly string[]} lines
 * @property {ReadonlySet<number>} cuts the lines that go on the one before, which was too long
 * @property {boolean} isOpen whether more is to come after the last line
 * @property {number} depth
 */

/**
 * After so many characters a paragraph ends and another one begins, and a list after the item. It
 * bounds what is read again with each piece of a text that grows, and fills several screens.
 */
const BLOCK_CHARS_MAX = 8_192;

/** The same for what cannot be cut without harm: an item (there may be code in it), a quote. */
const WHOLE_CHARS_MAX = 65_536;

/** How deep lists and quotes nest; deeper ones are text. */
const DEPTH_MAX = 8;

const FENCE = /^ {0,3}(`{3,}|~{3,})[ \t]*([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$/;
const RULE = /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$/;
const QUOTE = /^ {0,3}> ?/;
const MARKER = /^( *)([-*+]|\d{1,9}[.)])(?:( +)(.*))?$/;
const TASK = /^\[([ xX])\](?: |$)/;

/** @type {ReadonlySet<number>} */
const NO_CUTS = new Set();

/**
 * Reads a whole text.
 *
 * @param {string} text
 * @param {boolean} [isOpen] whether more is to come; see {@link readInline}
 * @returns {Block[]}
 */
export function readBlocks(text, isOpen = false) {
  const { lines, cuts } = splitLines(text);
  return readLines({ lines, cuts, isOpen, depth: 0 }).map((placed) => placed.block);
}

/**
 * Reads a text that grows.
 *
 * `read` answers all blocks, and how many of the first ones are the very objects of the time
 * before. A text that does not begin with the former one is read from its start.
 *
 * @returns {{read: (text: string, isOpen: boolean) => {blocks: readonly Block[], kept: number}}}
 */
export function createReader() {
  let former = "";
  /** What no further text can change. @type {Block[]} */
  let settled = [];
  /** Where in the text the rest begins. */
  let settledTo = 0;

  return {
    read(text, isOpen) {
      if (!text.startsWith(former)) {
        settled = [];
        settledTo = 0;
      }
      former = text;
      const kept = settled.length;
      const { lines, cuts, starts } = splitLines(ownCopy(text.slice(settledTo)));
      const placed = readLines({ lines, cuts, isOpen, depth: 0 });
      const blocks = [...settled, ...placed.map((one) => one.block)];
      // The last line may become another one: what is before a block is settled once the block
      // has begun with a line that is whole.
      const n = placed.findLastIndex((one) => one.from < lines.length - 1);
      const open = placed[n];
      if (open && n > 0) {
        settled = blocks.slice(0, kept + n);
        settledTo += starts[open.from] ?? 0;
      }
      return { blocks, kept };
    },
  };
}

/**
 * A text with memory of its own.
 *
 * An engine may keep a piece of a text as a reference into the whole. Blocks are kept, so each of
 * them would hold all that the message was when it was read.
 *
 * @param {string} piece
 */
function ownCopy(piece) {
  return ` ${piece}`.slice(1);
}

/**
 * Splits into lines, and lines that are too long where a word ends.
 *
 * @param {string} text
 */
function splitLines(text) {
  /** @type {string[]} */
  const lines = [];
  /** @type {number[]} */
  const starts = [];
  /** @type {Set<number>} */
  const cuts = new Set();
  for (let from = 0; from <= text.length; ) {
    const newline = text.indexOf("\n", from);
    const end = newline < 0 ? text.length : newline;
    while (end - from > BLOCK_CHARS_MAX) {
      const space = text.lastIndexOf(" ", from + BLOCK_CHARS_MAX);
      const cut = space > from ? space + 1 : from + BLOCK_CHARS_MAX;
      lines.push(text.slice(from, cut));
      starts.push(from);
      cuts.add(lines.length);
      from = cut;
    }
    lines.push(text.slice(from, text[end - 1] === "\r" && end > from ? end - 1 : end));
    starts.push(from);
    from = end + 1;
  }
  return { lines, starts, cuts };
}

/**
 * @param {Source} source
 * @returns {Placed[]}
 */
function readLines(source) {
  /** @type {Placed[]} */
  const out = [];
  let at = 0;
  while (at < source.lines.length) {
    if (isBlank(source.lines[at])) {
      at += 1;
      continue;
    }
    const { block, end } = readBlock(source, at);
    out.push({ block, from: at });
    at = end;
  }
  return out;
}

/**
 * Reads what is inside of a block.
 *
 * @param {Source} source
 * @param {readonly string[]} lines
 * @param {number} end the line of the source after them
 * @returns {Block[]}
 */
function readInside(source, lines, end) {
  const isOpen = isOpenAt(source, end);
  const inside = readLines({ lines, cuts: NO_CUTS, isOpen, depth: source.depth + 1 });
  return inside.map((placed) => placed.block);
}

/**
 * @param {Source} source
 * @param {number} at
 * @returns {{block: Block, end: number}}
 */
function readBlock(source, at) {
  const line = source.lines[at] ?? "";
  const fence = FENCE.exec(line);
  if (fence) return readCode(source, at, fence);
  const heading = HEADING.exec(line);
  if (heading) {
    const spans = readInline((heading[2] ?? "").trim(), isOpenAt(source, at + 1));
    return { block: { type: "heading", level: heading[1]?.length ?? 1, spans }, end: at + 1 };
  }
  if (RULE.test(line)) return { block: { type: "rule" }, end: at + 1 };
  if (source.depth < DEPTH_MAX) {
    if (QUOTE.test(line)) return readQuote(source, at);
    const marker = markerOf(line);
    if (marker) return readList(source, at, marker);
  }
  if (isTableStart(source, at) || isTableToBe(source, at)) return readTable(source, at);
  return readParagraph(source, at);
}

/**
 * Whether more text may come to what ends before this line.
 *
 * @param {Source} source
 * @param {number} end
 */
function isOpenAt(source, end) {
  return source.isOpen && end >= source.lines.length;
}

/**
 * @param {Source} source
 * @param {number} at
 * @param {RegExpExecArray} fence
 * @returns {{block: Code, end: number}}
 */
function readCode({ lines, cuts }, at, fence) {
  const marks = fence[1] ?? "```";
  const indent = (lines[at] ?? "").indexOf(marks);
  const language = (fence[2] ?? "").trim().split(/\s/)[0] ?? "";
  let end = at + 1;
  let text = "";
  for (; end < lines.length && !isClosingFence(lines[end] ?? "", marks); end++) {
    const line = lines[end] ?? "";
    if (end > at + 1 && !cuts.has(end)) text += "\n";
    text += indent > 0 ? dedent(line, indent) : line;
  }
  const isClosed = end < lines.length;
  // The line that has not begun yet is not shown as an empty one.
  if (!isClosed && text.endsWith("\n")) text = text.slice(0, -1);
  return { block: { type: "code", language, text, isClosed }, end: isClosed ? end + 1 : end };
}

/**
 * @param {string} line
 * @param {string} marks
 */
function isClosingFence(line, marks) {
  if (!line.includes(marks)) return false;
  const closing = line.trim();
  return [...closing].every((char) => char === marks[0]);
}

/**
 * @param {Source} source
 * @param {number} at
 * @returns {{block: Paragraph, end: number}}
 */
function readParagraph(source, at) {
  const { lines } = source;
  let text = (lines[at] ?? "").trimStart();
  let end = at + 1;
  for (; end < lines.length && !isBlank(lines[end]) && !interrupts(source, end); end++) {
    const line = (lines[end] ?? "").trimStart();
    if (text.length + line.length > BLOCK_CHARS_MAX || source.cuts.has(end)) break;
    text += `\n${line}`;
  }
  const spans = readInline(text.trimEnd(), isOpenAt(source, end));
  return { block: { type: "paragraph", spans }, end };
}

/**
 * Whether a line ends the paragraph before it.
 *
 * @param {Source} source
 * @param {number} at
 */
function interrupts(source, at) {
  const line = source.lines[at] ?? "";
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  const marker = markerOf(line);
  if (marker) return marker.rest !== "" && (!marker.isOrdered || marker.start === 1);
  return isTableStart(source, at);
}

/**
 * @param {Source} source
 * @param {number} at
 * @returns {{block: Quote, end: number}}
 */
function readQuote(source, at) {
  const { lines } = source;
  /** @type {string[]} */
  const inside = [];
  let end = at;
  let length = 0;
  for (; end < lines.length && length < WHOLE_CHARS_MAX; end++) {
    const line = lines[end] ?? "";
    const isMarked = QUOTE.test(line);
    // A line without its mark goes on a paragraph of the quote.
    const isLazy = !isBlank(line) && !isBlank(inside.at(-1)) && !interrupts(source, end);
    if (!isMarked && !isLazy) break;
    inside.push(isMarked ? line.replace(QUOTE, "") : line);
    length += line.length;
  }
  return { block: { type: "quote", blocks: readInside(source, inside, end) }, end };
}

/**
 * @typedef {object} Marker the beginning of a list item
 * @property {number} indent where the marker stands
 * @property {number} content where the item's text stands
 * @property {boolean} isOrdered
 * @property {string} bullet `-`, `*`, `+`, or the sign after the number
 * @property {number} start
 * @property {string} rest
 */

/**
 * @param {string} line
 * @returns {Marker | null}
 */
function markerOf(line) {
  const match = MARKER.exec(line);
  if (!match || RULE.test(line)) return null;
  const [, space = "", sign = "", gap = " ", rest = ""] = match;
  const isOrdered = sign.length > 1;
  const gapWidth = gap.length > 4 ? 1 : gap.length;
  return {
    indent: space.length,
    content: space.length + sign.length + gapWidth,
    isOrdered,
    bullet: sign.slice(-1),
    start: isOrdered ? Number.parseInt(sign, 10) : 0,
    rest,
  };
}

/**
 * @param {Source} source
 * @param {number} at
 * @param {Marker} first
 * @returns {{block: List, end: number}}
 */
function readList(source, at, first) {
  const { lines } = source;
  /** @type {Item[]} */
  const items = [];
  let isTight = true;
  let length = 0;
  let end = at;
  while (end < lines.length && length < BLOCK_CHARS_MAX) {
    const marker = markerOf(lines[end] ?? "");
    if (!marker || !isSameList(marker, first)) break;
    const item = itemLines(source, end, marker);
    items.push(readItem(source, item));
    if (item.hasGap || (items.length > 1 && isBlank(lines[end - 1]))) isTight = false;
    length += item.length;
    end = item.end;
    while (end < lines.length && isBlank(lines[end])) end += 1;
  }
  const { isOrdered, start } = first;
  return { block: { type: "list", isOrdered, start, isTight, items }, end };
}

/**
 * @param {Marker} marker
 * @param {Marker} first
 */
function isSameList(marker, first) {
  const isSameKind = marker.isOrdered === first.isOrdered && marker.bullet === first.bullet;
  return isSameKind && marker.indent < first.indent + 2;
}

/**
 * @param {Source} source
 * @param {{lines: string[], end: number}} item
 * @returns {Item}
 */
function readItem(source, { lines, end }) {
  const first = lines[0] ?? "";
  const task = TASK.exec(first);
  const rest = task ? [first.slice(task[0].length), ...lines.slice(1)] : lines;
  return { task: task ? task[1] !== " " : null, blocks: readInside(source, rest, end) };
}

/**
 * The lines of an item without their indent; blank lines after it are not part of it.
 *
 * @param {Source} source
 * @param {number} at
 * @param {Marker} marker
 * @returns {{lines: string[], end: number, hasGap: boolean, length: number}}
 */
function itemLines(source, at, marker) {
  const out = [marker.rest];
  let end = at + 1;
  let hasGap = false;
  let length = marker.rest.length;
  for (let next = end; next < source.lines.length && length < WHOLE_CHARS_MAX; next++) {
    const line = source.lines[next] ?? "";
    if (isBlank(line)) {
      out.push("");
      continue;
    }
    const isAfterBlank = isBlank(source.lines[next - 1]);
    const ends = isAfterBlank || markerOf(line) !== null || interrupts(source, next);
    if (ends && !isWithin(line, marker)) break;
    if (isAfterBlank) hasGap = true;
    out.push(dedent(line, marker.content));
    end = next + 1;
    length += line.length;
  }
  return { lines: out.slice(0, end - at), end, hasGap, length };
}

/**
 * Whether a line is indented into an item. Models often indent a list within a numbered item by
 * two; that is meant to be inside.
 *
 * @param {string} line
 * @param {Marker} marker
 */
function isWithin(line, marker) {
  const indent = line.length - line.trimStart().length;
  if (indent >= marker.content) return true;
  return indent >= marker.indent + 2 && markerOf(line) !== null;
}

/**
 * @param {string} line
 * @param {number} width
 */
function dedent(line, width) {
  let at = 0;
  while (at < width && line[at] === " ") at += 1;
  return line.slice(at);
}

/**
 * @param {Source} source
 * @param {number} at
 */
function isTableStart({ lines }, at) {
  const rule = lines[at + 1];
  return rule !== undefined && isTable(lines[at] ?? "", rule);
}

/**
 * Whether a block that has just begun looks as if it were to be a table: it is shown as one from
 * its first line on. Within a paragraph that could not be told.
 *
 * @param {Source} source
 * @param {number} at
 */
function isTableToBe(source, at) {
  return isOpenAt(source, at + 2) && mayBeTable(source.lines[at] ?? "", source.lines[at + 1]);
}

/**
 * @param {Source} source
 * @param {number} at
 * @returns {{block: Table, end: number}}
 */
function readTable(source, at) {
  const { lines } = source;
  const cells = cellsOf(lines[at] ?? "");
  const aligns = alignsOf(lines[at + 1] ?? "", cells.length);
  const head = cells.map((cell) => readInline(cell));
  /** @type {Span[][][]} */
  const rows = [];
  let end = at + 2;
  for (let length = 0; end < lines.length && length < WHOLE_CHARS_MAX; end++) {
    if (isBlank(lines[end]) || interrupts(source, end)) break;
    const isOpen = isOpenAt(source, end + 1);
    const cells = cellsOf(lines[end] ?? "");
    rows.push(aligns.map((_, n) => readInline(cells[n] ?? "", isOpen && n === cells.length - 1)));
    length += lines[end]?.length ?? 0;
  }
  return { block: { type: "table", aligns, head, rows }, end };
}

/** @param {string | undefined} line */
function isBlank(line) {
  return line === undefined || line.trim() === "";
}
