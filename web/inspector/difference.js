/**
 * @module
 * What changed in a message between two seqs: its fields, its entries, and the words within them.
 *
 * Pure. Entries are told apart by what they are, so that a tool that was updated in its place is
 * one entry that changed and not one that went and one that came.
 */

/** @typedef {import("../client/wire.js").RenderEntry} RenderEntry */

/** @typedef {{ op: "same" | "added" | "removed", text: string }} Part */

/**
 * @typedef {object} EntryChange
 * @property {"same" | "changed" | "added" | "removed"} change
 * @property {string} label
 * @property {readonly Part[]} parts
 */

/** @typedef {{ name: string, before: string, after: string }} FieldChange */

/** What is shown as entries, and what says how to go on from a state. */
const NOT_FIELDS = new Set(["content_render", "content_text", "tail", "as_of_seq"]);

/** Pairs of words that are compared at most, some milliseconds of work; beyond, all is replaced. */
const PAIRS_MAX = 1_000_000;

/**
 * The fields of two states that differ.
 *
 * @param {Record<string, unknown>} before
 * @param {Record<string, unknown>} after
 * @returns {FieldChange[]}
 */
export function fieldChanges(before, after) {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  const changes = [];
  for (const name of names) {
    const [was, is] = [valueText(before[name]), valueText(after[name])];
    if (!NOT_FIELDS.has(name) && was !== is) changes.push({ name, before: was, after: is });
  }
  return changes;
}

/**
 * The entries of two states, in the order of the later one, each with what changed in it.
 *
 * @param {readonly RenderEntry[]} before
 * @param {readonly RenderEntry[]} after
 * @returns {EntryChange[]}
 */
export function entryChanges(before, after) {
  const was = keyed(before);
  const is = keyed(after);
  /** @type {EntryChange[]} */
  const changes = [];
  for (const [key, entry] of was) {
    if (!is.has(key)) changes.push(wholly("removed", entry));
  }
  for (const [key, entry] of is) {
    const former = was.get(key);
    if (!former) {
      changes.push(wholly("added", entry));
      continue;
    }
    const parts = wordChanges(entryText(former), entryText(entry));
    const isSame = parts.every((part) => part.op === "same");
    changes.push({ change: isSame ? "same" : "changed", label: labelOf(entry), parts });
  }
  return changes;
}

/**
 * The words of two texts, each as kept, added or removed.
 *
 * @param {string} before
 * @param {string} after
 * @returns {Part[]}
 */
export function wordChanges(before, after) {
  const [was, is] = [wordsOf(before), wordsOf(after)];
  let start = 0;
  while (start < was.length && start < is.length && was[start] === is[start]) start++;
  let [wasEnd, isEnd] = [was.length, is.length];
  while (wasEnd > start && isEnd > start && was[wasEnd - 1] === is[isEnd - 1]) {
    wasEnd--;
    isEnd--;
  }
  const middle = middleChanges(was.slice(start, wasEnd), is.slice(start, isEnd));
  const same = (/** @type {string[]} */ words) => ({ op: /** @type {const} */ ("same"), words });
  return joined([same(is.slice(0, start)), ...middle, same(is.slice(isEnd))]);
}

/** @typedef {{ op: Part["op"], words: string[] }} Words */

/**
 * @param {string[]} was
 * @param {string[]} is
 * @returns {Words[]}
 */
function middleChanges(was, is) {
  /** @type {Words[]} */
  const replaced = [{ op: "removed", words: was }, { op: "added", words: is }];
  if (was.length === 0 || is.length === 0 || was.length * is.length > PAIRS_MAX) return replaced;
  const lengths = commonLengths(was, is);
  const width = is.length + 1;
  /** @type {Words[]} */
  const changes = [];
  let [i, j] = [0, 0];
  while (i < was.length || j < is.length) {
    const down = lengths[(i + 1) * width + j] ?? -1;
    const right = lengths[i * width + j + 1] ?? -1;
    if (i < was.length && j < is.length && was[i] === is[j]) {
      changes.push({ op: "same", words: [was[i++] ?? ""] });
      j++;
    } else if (j >= is.length || (i < was.length && down >= right)) {
      changes.push({ op: "removed", words: [was[i++] ?? ""] });
    } else {
      changes.push({ op: "added", words: [is[j++] ?? ""] });
    }
  }
  return changes;
}

/**
 * The length of the longest common subsequence of what follows, for every pair of places.
 *
 * @param {string[]} was
 * @param {string[]} is
 */
function commonLengths(was, is) {
  const width = is.length + 1;
  const lengths = new Int32Array((was.length + 1) * width);
  for (let i = was.length - 1; i >= 0; i--) {
    for (let j = is.length - 1; j >= 0; j--) {
      const here = i * width + j;
      lengths[here] =
        was[i] === is[j]
          ? 1 + (lengths[here + width + 1] ?? 0)
          : Math.max(lengths[here + width] ?? 0, lengths[here + 1] ?? 0);
    }
  }
  return lengths;
}

/**
 * @param {readonly Words[]} changes
 * @returns {Part[]}
 */
function joined(changes) {
  /** @type {Part[]} */
  const parts = [];
  for (const { op, words } of changes) {
    const [text, last] = [words.join(""), parts.at(-1)];
    if (last?.op === op) last.text += text;
    else if (text !== "") parts.push({ op, text });
  }
  return parts;
}

/** @param {string} text */
function wordsOf(text) {
  return text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];
}

/**
 * Entries by what they are: a tool by its id, the others by their turn among those of their kind.
 *
 * @param {readonly RenderEntry[]} entries
 */
function keyed(entries) {
  /** @type {Map<string, RenderEntry>} */
  const byKey = new Map();
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const entry of entries) {
    const isError = entry.type === "assistant_text" && entry.error !== undefined;
    const kind = entry.type === "tool" ? `tool ${entry.tool.id}` : isError ? "error" : entry.type;
    const n = counts.get(kind) ?? 0;
    counts.set(kind, n + 1);
    byKey.set(`${kind} ${n}`, entry);
  }
  return byKey;
}

/**
 * @param {"added" | "removed"} change
 * @param {RenderEntry} entry
 * @returns {EntryChange}
 */
function wholly(change, entry) {
  return { change, label: labelOf(entry), parts: [{ op: change, text: entryText(entry) }] };
}

/** @param {RenderEntry} entry */
export function labelOf(entry) {
  if (entry.type === "tool") return `tool ${entry.tool.name}`;
  if (entry.type === "assistant_text" && entry.error) return "error";
  return entry.type.replace("assistant_", "").replaceAll("_", " ");
}

/**
 * An entry as text.
 *
 * @param {RenderEntry} entry
 * @returns {string}
 */
export function entryText(entry) {
  switch (entry.type) {
    case "user_text":
    case "assistant_text":
      return entry.text;
    case "assistant_thinking":
      return entry.thinking;
    case "tool":
      return JSON.stringify(entry.tool, null, 2);
    case "plan":
      return entry.entries.map(({ status, content }) => `[${status}] ${content}`).join("\n");
    case "prompt_suggestions":
      return entry.suggestions.join("\n");
    default:
      return JSON.stringify(entry, null, 2);
  }
}

/** @param {unknown} value */
function valueText(value) {
  if (value === undefined || value === null) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}
