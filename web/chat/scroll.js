/**
 * @module
 * Keeps the reader where the reader is: at the end while text is written, if that is where they
 * are, and else on the same line, whatever comes above it.
 *
 * What is in the scroller is `transcript.js`'s.
 */

/** Pixels from the end that still count as being there. */
const END_PX = 24;

/**
 * @param {HTMLElement} scroller
 * @param {HTMLElement} content what grows inside of it
 * @param {() => void} onScroll
 */
export function createScroll(scroller, content, onScroll) {
  let sticks = true;
  let formerTop = 0;

  const isAtEnd = () =>
    scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight <= END_PX;

  scroller.addEventListener(
    "scroll",
    () => {
      const { scrollTop } = scroller;
      // Going up leaves the end, however little; only arriving there takes hold of it again.
      if (scrollTop < formerTop - 1 && !isAtEnd()) sticks = false;
      else if (isAtEnd()) sticks = true;
      formerTop = scrollTop;
      onScroll();
    },
    { passive: true },
  );
  scroller.addEventListener(
    "wheel",
    (event) => {
      if (event.deltaY < 0 && scroller.scrollTop > 0) sticks = false;
    },
    { passive: true },
  );
  // Pictures of text that were guessed become what they are, the composer grows, a phone turns.
  new ResizeObserver(() => {
    if (sticks) toEnd();
  }).observe(content);
  new ResizeObserver(() => {
    if (sticks) toEnd();
  }).observe(scroller);

  function toEnd() {
    sticks = true;
    scroller.scrollTop = scroller.scrollHeight;
    formerTop = scroller.scrollTop;
  }

  /**
   * Changes what is above the reader without moving the reader.
   *
   * @param {() => void} change
   */
  function hold(change) {
    const anchor = firstVisible(scroller, content);
    const before = anchor?.getBoundingClientRect().top ?? 0;
    change();
    if (!anchor?.isConnected) return;
    const moved = anchor.getBoundingClientRect().top - before;
    if (moved !== 0) scroller.scrollTop += moved;
    formerTop = scroller.scrollTop;
  }

  return { sticks: () => sticks, toEnd, hold, isAtEnd };
}

/**
 * @param {HTMLElement} scroller
 * @param {HTMLElement} content
 */
function firstVisible(scroller, content) {
  const { top } = scroller.getBoundingClientRect();
  for (const child of content.children) {
    if (child.getBoundingClientRect().bottom > top) return child;
  }
  return null;
}
