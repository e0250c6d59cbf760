/**
 * @module
 * Reads the lines of a table: its cells, the rule below its head, and whether it is one.
 *
 * Pure. What is in a cell is `markdown-inline.js`'s, where a table ends `markdown.js`'s.
 */

/** @typedef {"left" | "center" | "right" | null} Align */

const RULE = /^ {0,3}\|?(?:[ \t]*:?-+:?[ \t]*\|)*[ \t]*:?-+:?[ \t]*\|?[ \t]*$/;
const RULE_BEGUN = /^[ \t|:-]*$/;

/**
 * Whether two lines are the head of a table and its rule.
 *
 * @param {string} head
 * @param {string} rule
 */
export function isTable(head, rule) {
  if (!head.includes("|") || !RULE.test(rule)) return false;
  return cellsOf(head).length === cellsOf(rule).length;
}

/**
 * Whether they may become that while they are being written.
 *
 * @param {string} head
 * @param {string | undefined} rule undefined if it has not begun
 */
export function mayBeTable(head, rule) {
  return /^ {0,3}\|/.test(head) && (rule === undefined || RULE_BEGUN.test(rule));
}

/** @param {string} line */
export function cellsOf(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/**
 * How the columns are aligned; one that the rule does not reach yet is as it comes.
 *
 * @param {string} rule
 * @param {number} n how many there are
 * @returns {Align[]}
 */
export function alignsOf(rule, n) {
  const cells = cellsOf(rule);
  return Array.from({ length: n }, (_, column) => alignOf(cells[column] ?? ""));
}

/**
 * @param {string} cell
 * @returns {Align}
 */
function alignOf(cell) {
  const isLeft = cell.startsWith(":");
  const isRight = cell.endsWith(":") && cell.length > 1;
  if (isRight) return isLeft ? "center" : "right";
  return isLeft ? "left" : null;
}
