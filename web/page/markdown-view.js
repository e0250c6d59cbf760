/**
 * @module
 * Shows blocks as nodes, and changes as few of them as it can while a text grows.
 *
 * A block becomes a small tree of plain data first; the nodes of the former tree are patched to the
 * new one, so that a growing paragraph is an append to one text node and a selection above it
 * stays. Nothing here knows the grammar; that is `markdown.js`'s.
 */

import { h, setText, strokes } from "./dom.js";
import { CHECK, COPY } from "./icons.js";
import { createReader } from "./markdown.js";

/**
 * @typedef {import("./markdown.js").Block} Block
 * @typedef {import("./markdown.js").Code} Code
 * @typedef {import("./markdown.js").List} List
 * @typedef {import("./markdown.js").Table} Table
 * @typedef {import("./markdown.js").Item} Item
 * @typedef {import("./markdown-inline.js").Span} Span
 *
 * @typedef {{tag: keyof HTMLElementTagNameMap, props: Record<string, string>, children: Tree[]}}
 *   Branch
 * @typedef {Branch | Code | string} Tree text is a string; code has more to it than a tree says
 */

/** The lines of code that share one element: a browser lays them out anew only together. */
const CHUNK_LINES = 100;

/**
 * The blocks that share one element, for the same reason: what is below costs as much in a text of
 * a thousand paragraphs as in one of ten, and a part that is out of sight is not painted.
 */
const PART_BLOCKS = 32;

/** How long a copy button says that it has copied. */
const COPIED_MS = 1_500;

/**
 * Shows a text that may grow in `parent`, which must hold nothing else.
 *
 * @param {HTMLElement} parent
 * @returns {(text: string, isOpen: boolean) => void} shows the text as it is now
 */
export function markdownIn(parent) {
  const reader = createReader();
  /** @type {{tree: Tree, node: ChildNode}[]} */
  let shown = [];
  /** @type {HTMLElement[]} */
  const parts = [];
  let formerText = "";
  let formerOpen = false;

  /** @param {number} n Of a block. */
  function partOf(n) {
    const part = parts[Math.floor(n / PART_BLOCKS)];
    if (part) return part;
    const next = h("div", { class: "part" });
    parts.push(next);
    parent.append(next);
    return next;
  }

  return (text, isOpen) => {
    if (text === formerText && isOpen === formerOpen) return;
    formerText = text;
    formerOpen = isOpen;
    const { blocks, kept } = reader.read(text, isOpen);
    for (const gone of shown.splice(blocks.length)) gone.node.remove();
    for (const gone of parts.splice(Math.ceil(blocks.length / PART_BLOCKS))) gone.remove();
    for (let n = Math.min(kept, shown.length); n < blocks.length; n++) {
      const tree = treeOf(/** @type {Block} */ (blocks[n]));
      const former = shown[n];
      if (former) {
        shown[n] = { tree, node: patch(former.node, former.tree, tree) };
      } else {
        const node = build(tree);
        partOf(n).append(node);
        shown.push({ tree, node });
      }
    }
  };
}

/**
 * @param {Block} block
 * @returns {Tree}
 */
function treeOf(block) {
  switch (block.type) {
    case "paragraph":
      return branch("p", {}, block.spans.map(treeOfSpan));
    case "heading":
      // A message stands under the heading of its chat.
      return branch(headingTag(block.level), {}, block.spans.map(treeOfSpan));
    case "code":
      return block;
    case "quote":
      return branch("blockquote", {}, block.blocks.map(treeOf));
    case "rule":
      return branch("hr", {}, []);
    case "list":
      return treeOfList(block);
    case "table":
      return treeOfTable(block);
  }
}

/** @param {number} level */
function headingTag(level) {
  return /** @type {const} */ (["h2", "h3", "h4", "h5", "h6"])[level - 1] ?? "h6";
}

/**
 * @param {List} list
 * @returns {Tree}
 */
function treeOfList(list) {
  const items = list.items.map((item) => treeOfItem(item, list.isTight));
  if (!list.isOrdered) return branch("ul", {}, items);
  return branch("ol", list.start === 1 ? {} : { start: String(list.start) }, items);
}

/**
 * @param {Item} item
 * @param {boolean} isTight
 */
function treeOfItem(item, isTight) {
  const children = item.blocks.flatMap((block) =>
    isTight && block.type === "paragraph" ? block.spans.map(treeOfSpan) : [treeOf(block)],
  );
  if (item.task === null) return branch("li", {}, children);
  const mark = { class: item.task ? "task done" : "task", role: "img" };
  const box = branch("span", { ...mark, "aria-label": item.task ? "done" : "to do" }, []);
  return branch("li", { class: "has-task" }, [box, branch("div", {}, children)]);
}

/**
 * @param {Table} table
 * @returns {Tree}
 */
function treeOfTable(table) {
  /**
   * @param {"th" | "td"} tag
   * @param {Span[][]} cells
   */
  const row = (tag, cells) =>
    branch("tr", {}, cells.map((spans, n) => {
      const align = table.aligns[n];
      return branch(tag, align ? { class: align } : {}, spans.map(treeOfSpan));
    }));
  const head = branch("thead", {}, [row("th", table.head)]);
  const body = branch("tbody", {}, table.rows.map((cells) => row("td", cells)));
  const scroll = { class: "table", tabindex: "0", role: "group", "aria-label": "table" };
  return branch("div", scroll, [branch("table", {}, [head, body])]);
}

/**
 * @param {Span} span
 * @returns {Tree}
 */
function treeOfSpan(span) {
  switch (span.type) {
    case "text":
      return span.text;
    case "code":
      return branch("code", {}, [span.text]);
    case "break":
      return branch("br", {}, []);
    case "link": {
      const props = { href: span.href, target: "_blank", rel: "noopener noreferrer" };
      return branch("a", props, span.spans.map(treeOfSpan));
    }
    default:
      return branch(span.type === "strike" ? "s" : span.type, {}, span.spans.map(treeOfSpan));
  }
}

/**
 * @param {keyof HTMLElementTagNameMap} tag
 * @param {Record<string, string>} props
 * @param {Tree[]} children
 * @returns {Branch}
 */
function branch(tag, props, children) {
  return { tag, props, children };
}

/**
 * @param {Tree} tree
 * @returns {ChildNode}
 */
function build(tree) {
  if (typeof tree === "string") return document.createTextNode(tree);
  if ("type" in tree) return buildCode(tree);
  return h(tree.tag, tree.props, tree.children.map(build));
}

/**
 * Makes the node of one tree that of another.
 *
 * @param {ChildNode} node
 * @param {Tree} former
 * @param {Tree} tree
 * @returns {ChildNode} the same node, or the one that has taken its place
 */
function patch(node, former, tree) {
  if (typeof tree === "string" || typeof former === "string") {
    if (tree === former) return node;
    if (typeof tree === "string" && typeof former === "string") {
      patchText(/** @type {Text} */ (node), former, tree);
      return node;
    }
  } else if ("type" in tree || "type" in former) {
    const isCode = "type" in tree && "type" in former;
    if (isCode && patchCode(/** @type {HTMLElement} */ (node), former, tree)) return node;
  } else if (tree.tag === former.tag && isSame(tree.props, former.props)) {
    patchChildren(/** @type {HTMLElement} */ (node), former.children, tree.children);
    return node;
  }
  const other = build(tree);
  node.replaceWith(other);
  return other;
}

/**
 * @param {HTMLElement} element
 * @param {readonly Tree[]} former
 * @param {readonly Tree[]} children
 */
function patchChildren(element, former, children) {
  while (element.childNodes.length > children.length) element.lastChild?.remove();
  children.forEach((child, n) => {
    const node = element.childNodes[n];
    const tree = former[n];
    if (node && tree !== undefined) patch(node, tree, child);
    else element.append(build(child));
  });
}

/**
 * @param {Text} node
 * @param {string} former
 * @param {string} text
 */
function patchText(node, former, text) {
  if (text.startsWith(former)) node.appendData(text.slice(former.length));
  else node.data = text;
}

/**
 * @param {Record<string, string>} a
 * @param {Record<string, string>} b
 */
function isSame(a, b) {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

/** @param {Code} code */
function buildCode(code) {
  // A label of the page, not of the text: it is not selected, copied or searched with the code.
  const label = h("span", { class: "language", "data-language": code.language || "text" });
  const lines = h("code");
  const figure = h(
    "figure",
    { class: "code" },
    h("figcaption", null, label, copyButton("copy the code", () => lines.textContent ?? "")),
    h("pre", { tabindex: "0", role: "group", "aria-label": "code" }, lines),
  );
  appendLines(lines, code.text);
  return figure;
}

/**
 * @param {HTMLElement} figure
 * @param {Code} former
 * @param {Code} code
 * @returns {boolean} whether it could be patched
 */
function patchCode(figure, former, code) {
  if (code.language !== former.language || !code.text.startsWith(former.text)) return false;
  const lines = figure.querySelector("pre > code");
  if (!(lines instanceof HTMLElement)) return false;
  appendLines(lines, code.text.slice(former.text.length));
  return true;
}

/**
 * Appends code, in chunks of whole lines.
 *
 * @param {HTMLElement} lines
 * @param {string} text
 */
function appendLines(lines, text) {
  for (let from = 0; from < text.length; ) {
    let chunk = lines.lastElementChild;
    let count = Number(lines.dataset["lines"] ?? "0");
    if (!chunk || count >= CHUNK_LINES) {
      chunk = h("span", { class: "chunk" }, "");
      chunk.append(document.createTextNode(""));
      lines.append(chunk);
      count = 0;
    }
    let to = from;
    for (; to < text.length && count < CHUNK_LINES; count++) {
      const newline = text.indexOf("\n", to);
      if (newline < 0) {
        to = text.length;
        break;
      }
      to = newline + 1;
    }
    /** @type {Text} */ (chunk.firstChild).appendData(text.slice(from, to));
    lines.dataset["lines"] = String(count);
    from = to;
  }
}

/**
 * A button that copies a text.
 *
 * @param {string} label
 * @param {() => string} text
 */
export function copyButton(label, text) {
  const said = h("span");
  const picture = h("span", { class: "picture" }, strokes(COPY));
  const props = { type: "button", class: "quiet copy", title: label, "aria-label": label };
  const button = h("button", props, picture, said);
  /**
   * @param {string} word
   * @param {readonly string[]} paths
   */
  const say = (word, paths) => {
    picture.replaceChildren(strokes(paths));
    setText(said, word);
    button.setAttribute("aria-label", word || label);
  };
  button.addEventListener("click", async () => {
    if (await copy(text())) say("copied", CHECK);
    else say("not allowed", COPY);
    setTimeout(() => say("", COPY), COPIED_MS);
  });
  return button;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
