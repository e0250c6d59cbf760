/**
 * @module
 * Cuts a growing text into the sentences that a screen reader is told of.
 *
 * Pure. A sentence is told once, when it has ended; code and the rules of tables are left out,
 * since nobody wants to hear them while they are being written. Speaking is `announce.js`'s.
 */

/** Longer ones are cut, so that one without a full stop is heard, too. */
const SENTENCE_CHARS_MAX = 280;

const END = /[.!?…][)\]"'*_`]*(?=\s)|\n/g;

/**
 * @returns {{take: (text: string) => string[], rest: (text: string) => string[]}} `take` answers
 *   what has been completed since the last call; `rest` also what has not
 */
export function createSentences() {
  let saidTo = 0;
  let isInCode = false;

  /**
   * @param {string} text
   * @param {boolean} isWhole
   */
  function read(text, isWhole) {
    if (text.length < saidTo) saidTo = text.length;
    /** @type {string[]} */
    const sentences = [];
    for (let end = endOf(text, saidTo, isWhole); end > saidTo; end = endOf(text, saidTo, isWhole)) {
      const piece = text.slice(saidTo, end).trim();
      saidTo = end;
      if (piece.startsWith("```")) {
        isInCode = !isInCode;
        if (isInCode) sentences.push("Code.");
      } else if (!isInCode) {
        const plain = plainText(piece);
        if (plain !== "") sentences.push(plain);
      }
    }
    return sentences;
  }

  return {
    take: (text) => read(text, false),
    rest: (text) => read(text, true),
  };
}

/**
 * @param {string} text
 * @param {number} from
 * @param {boolean} isWhole
 */
function endOf(text, from, isWhole) {
  END.lastIndex = from;
  const match = END.exec(text);
  if (match) return match.index + match[0].length;
  if (isWhole) return text.length;
  if (text.length - from < SENTENCE_CHARS_MAX) return from;
  const space = text.lastIndexOf(" ", from + SENTENCE_CHARS_MAX);
  return space > from ? space : text.length;
}

/** @param {string} text */
function plainText(text) {
  if (/^[|\s:-]+$/.test(text)) return "";
  return text
    .replace(/^(?:#{1,6}|>|[-*+]|\d+[.)])\s+/, "")
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/\s*\|\s*/g, ", ")
    .replace(/[*_`~]/g, "")
    .replace(/^[,\s]+|[,\s]+$/g, "")
    .trim();
}
