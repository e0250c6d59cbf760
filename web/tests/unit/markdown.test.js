// The grammar of messages: what each construct reads as, that no text becomes markup or a foreign
// link, and that a text read piece by piece reads as the whole. Nodes are the browser tests'.

import assert from "node:assert/strict";
import { test } from "node:test";
import { readInline, safeHref } from "../../page/markdown-inline.js";
import { createReader, readBlocks } from "../../page/markdown.js";

/** @typedef {import("../../page/markdown.js").Block} Block */
/** @typedef {import("../../page/markdown-inline.js").Span} Span */

/**
 * A short writing of spans, so that a test is two pieces of text.
 *
 * @param {readonly Span[]} spans
 * @returns {string}
 */
function spansText(spans) {
  return spans.map((span) => {
    switch (span.type) {
      case "text":
        return span.text;
      case "code":
        return `code(${span.text})`;
      case "break":
        return "br()";
      case "link":
        return `link(${span.href}: ${spansText(span.spans)})`;
      default:
        return `${span.type}(${spansText(span.spans)})`;
    }
  }).join("");
}

/**
 * @param {readonly Block[]} blocks
 * @returns {string}
 */
function blocksText(blocks) {
  return blocks.map(blockText).join(" ");
}

/**
 * @param {Block} block
 * @returns {string}
 */
function blockText(block) {
  switch (block.type) {
    case "paragraph":
      return `p(${spansText(block.spans)})`;
    case "heading":
      return `h${block.level}(${spansText(block.spans)})`;
    case "code":
      return `code:${block.language}${block.isClosed ? "" : "…"}(${block.text})`;
    case "quote":
      return `quote(${blocksText(block.blocks)})`;
    case "rule":
      return "rule()";
    case "list": {
      const name = block.isOrdered ? `ol${block.start}` : "ul";
      const items = block.items.map((item) => {
        const task = item.task === null ? "" : item.task ? "[x]" : "[ ]";
        return `${task}${blocksText(item.blocks)}`;
      });
      return `${name}${block.isTight ? "" : "~"}(${items.join(", ")})`;
    }
    case "table": {
      const rows = [block.head, ...block.rows].map((row) => row.map(spansText).join("|"));
      return `table:${block.aligns.map((align) => align?.[0] ?? "-").join("")}(${rows.join("/")})`;
    }
  }
}

/**
 * @param {string} text
 * @param {string} expected
 */
function checkInline(text, expected) {
  assert.equal(spansText(readInline(text)), expected, text);
}

/**
 * @param {string} text
 * @param {string} expected
 */
function checkBlocks(text, expected) {
  assert.equal(blocksText(readBlocks(text)), expected, text);
}

test("emphasis nests, and is not found inside of words or numbers", () => {
  checkInline("a **b** c *d* ~~e~~", "a strong(b) c em(d) strike(e)");
  checkInline("***both***", "em(strong(both))");
  checkInline("**a *b* c**", "strong(a em(b) c)");
  checkInline("snake_case_name and _this_", "snake_case_name and em(this)");
  checkInline("2 * 3 * 4", "2 * 3 * 4");
  checkInline("**never closed", "**never closed");
  checkInline("\\*not\\* ~one~", "*not* ~one~");
});

test("code keeps what is in it", () => {
  checkInline("`a *b* <c>`", "code(a *b* <c>)");
  checkInline("`` a ` b ``", "code(a ` b)");
  checkInline("` alone", "` alone");
});

test("a line ends where it is said to", () => {
  checkInline("a\nb", "a\nb");
  checkInline("a  \nb", "abr()b");
  checkInline("a\\\nb", "abr()b");
});

test("links go to http, https and mailto only", () => {
  checkInline("[a **b**](https://e.com/x_(y))", "link(https://e.com/x_(y): a strong(b))");
  checkInline('[a](https://e.com "title")', "link(https://e.com/: a)");
  checkInline("![picture](https://e.com/p.png)", "link(https://e.com/p.png: picture)");
  checkInline("see https://e.com/a.", "see link(https://e.com/a: https://e.com/a).");
  checkInline("(https://e.com/a)", "(link(https://e.com/a: https://e.com/a))");
  checkInline("<mailto:a@e.com>", "link(mailto:a@e.com: a@e.com)");
  for (const address of [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>1</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//e.com",
    "/relative",
  ]) {
    assert.equal(safeHref(address), null, address);
    assert.ok(!spansText(readInline(`[a](${address})`)).includes("link("), address);
  }
});

test("HTML is text", () => {
  const evil = '<script>alert(1)</script><img src=x onerror="alert(1)">&amp;';
  checkInline(evil, evil);
  checkBlocks(`<div>\n${evil}\n</div>`, `p(<div>\n${evil}\n</div>)`);
});

test("headings, rules and paragraphs", () => {
  checkBlocks("# One\n### Three ###\n#no", "h1(One) h3(Three) p(#no)");
  checkBlocks("a\n\nb\n---\nc\n***", "p(a) p(b) rule() p(c) rule()");
  checkBlocks("a\r\nb\r\n\r\nc", "p(a\nb) p(c)");
});

test("fenced code, also open and with other fences in it", () => {
  checkBlocks("```js\nlet a;\n\n  b\n```\nc", "code:js(let a;\n\n  b) p(c)");
  checkBlocks("````\n```\n````", "code:(```)");
  checkBlocks("~~~sh\nls\n~~~", "code:sh(ls)");
  checkBlocks("```py\nopen\n", "code:py…(open)");
});

test("lists nest, are tight or loose, and have tasks", () => {
  checkBlocks("- a\n- b\n  - c\n- d", "ul(p(a), p(b) ul(p(c)), p(d))");
  checkBlocks("- a\n\n- b", "ul~(p(a), p(b))");
  checkBlocks("3. a\n4. b", "ol3(p(a), p(b))");
  checkBlocks("1. a\n  - b\n2. c", "ol1(p(a) ul(p(b)), p(c))");
  checkBlocks("1. a\n\n   ```\n   x\n   ```\n2. b", "ol1~(p(a) code:(x), p(b))");
  checkBlocks("- [ ] a\n- [x] b", "ul([ ]p(a), [x]p(b))");
  checkBlocks("- a\n\nb", "ul(p(a)) p(b)");
  checkBlocks("It was 1986.\n1987. Not a list", "p(It was 1986.\n1987. Not a list)");
});

test("tables have alignments and as many cells as their head", () => {
  checkBlocks("|a|b|c|\n|:-|:-:|-:|\n|1|2|3|4|\n|`x`|", "table:lcr(a|b|c/1|2|3/code(x)||)");
  checkBlocks("a | b\n--|--\n1 | 2\\|3", "table:--(a|b/1|2|3)");
  checkBlocks("before\n|a|\n|-|\n|1|\n\nafter", "p(before) table:-(a/1) p(after)");
  checkBlocks("|a|b|\n|-|", "p(|a|b|\n|-|)");
});

test("a table is one from its first line on, while it is being written", () => {
  const whole = "|a|b|\n|-|:-:|\n|1|2|";
  /** @type {string[]} */
  const seen = [];
  for (let end = 1; end <= whole.length; end++) {
    const text = blocksText(readBlocks(whole.slice(0, end), true));
    if (text !== seen.at(-1)) seen.push(text);
  }
  assert.ok(seen.every((text) => text.startsWith("table:")), seen.join("\n"));
  assert.equal(seen.at(-1), "table:-c(a|b/1|2)");
  assert.equal(blocksText(readBlocks("|a|\nno", true)), "p(|a|\nno)");
  checkBlocks("|a|b|", "p(|a|b|)");
});

test("quotes hold blocks and go on lazily", () => {
  checkBlocks("> a\nb\n> - c\n\nd", "quote(p(a\nb) ul(p(c))) p(d)");
});

test("what is open at the end of a growing text counts as closed", () => {
  assert.equal(spansText(readInline("a **b", true)), "a strong(b)");
  assert.equal(spansText(readInline("a *b **c", true)), "a em(b strong(c))");
  assert.equal(spansText(readInline("a `b", true)), "a code(b)");
  assert.equal(spansText(readInline("a **", true)), "a **");
});

const SAMPLE = [
  "# A **title**",
  "One\ntwo *three* `four` https://e.com/five.",
  "- a\n- b\n  1. c\n\n     ```js\n     d\n     ```\n- [x] e",
  "text\n-5 is a number\n- and this a list",
  "| a | b |\n|---|--:|\n| 1 | **2** |",
  "| no\ntable | after all",
  "> quoted\nlazily\n> > twice",
  "---",
  "```sh\nls\n\n```\nafter",
  "1. x\n2. y\n\n\n3. z\n\n   in z\nend",
].join("\n\n");

test("a text read piece by piece reads as the whole, at every length", () => {
  for (const step of [1, 2, 7, 40]) {
    const reader = createReader();
    for (let end = 0; end <= SAMPLE.length; end += step) {
      const text = SAMPLE.slice(0, end);
      const { blocks } = reader.read(text, true);
      assert.deepEqual(blocks, readBlocks(text, true), JSON.stringify(text));
    }
  }
});

test("blocks before the last one are read once", () => {
  const reader = createReader();
  const before = reader.read(`${SAMPLE}\n\nmore\n\nlast`, true);
  const after = reader.read(`${SAMPLE}\n\nmore\n\nlast and on`, true);
  assert.equal(after.blocks.length, before.blocks.length);
  assert.ok(after.kept >= after.blocks.length - 2);
  for (let n = 0; n < after.kept; n++) assert.equal(after.blocks[n], before.blocks[n]);
});

test("a text that is another one is read anew", () => {
  const reader = createReader();
  reader.read("a\n\nb\n\nc", true);
  const { blocks, kept } = reader.read("x", false);
  assert.equal(kept, 0);
  assert.equal(blocksText(blocks), "p(x)");
});

test("no block grows without a bound, and nothing is lost where one is cut", () => {
  const line = "word ".repeat(10_000).trim();
  const [list, lines] = [`- ${"item of a list\n- ".repeat(3_000)}`, "line\n".repeat(9_000)];
  for (const text of [line, list, lines]) {
    const reader = createReader();
    for (let end = 0; end < text.length; end += 997) reader.read(text.slice(0, end), true);
    const { blocks } = reader.read(text, false);
    assert.deepEqual(blocks, readBlocks(text));
    assert.ok(blocks.length > 2, "it is cut");
    const words = blocksText(blocks).match(/word|item|line/g)?.length;
    assert.equal(words, text.match(/word|item|line/g)?.length);
  }
  const code = readBlocks(`\`\`\`\n${line}\n\`\`\``);
  assert.equal(blocksText(code), `code:(${line})`);
});

test("hostile texts are read in a time that grows with their length only", () => {
  const hostile = ["*a ", "[", "**a _b ", "`", "<a", "![](", "> ", "- ", "| ", "_*~~"];
  for (const piece of hostile) {
    const text = piece.repeat(20_000);
    const before = process.cpuUsage();
    readBlocks(text, true);
    // What the machine does besides is not the text's fault.
    const { user } = process.cpuUsage(before);
    assert.ok(user < 2_000_000, `${piece} took ${user} µs`);
  }
});
