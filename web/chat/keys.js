/**
 * @module
 * The keys of the page that hold wherever the focus is. Those of a field are the field's.
 */

/**
 * @typedef {object} Keys
 * @property {() => void} search `/`
 * @property {() => void} newChat `n`
 * @property {() => void} stop `Esc`
 * @property {(step: 1 | -1) => void} moveInList `↑` and `↓`
 * @property {() => void} inspect `g i`
 */

/** How long after `g` an `i` still belongs to it. */
const PAIR_MS = 1_500;

/** @param {Keys} keys */
export function listenToKeys(keys) {
  let pairUntil = 0;

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape") {
      keys.stop();
      return;
    }
    if (isWriting(event.target)) return;
    const isPair = event.key === "i" && event.timeStamp < pairUntil;
    pairUntil = event.key === "g" ? event.timeStamp + PAIR_MS : 0;
    if (isPair) act(event, keys.inspect);
    else if (event.key === "/") act(event, keys.search);
    else if (event.key === "n") act(event, keys.newChat);
    else if (scrolls(event.target)) return;
    else if (event.key === "ArrowDown") act(event, () => keys.moveInList(1));
    else if (event.key === "ArrowUp") act(event, () => keys.moveInList(-1));
  });
}

/**
 * @param {KeyboardEvent} event
 * @param {() => void} action
 */
function act(event, action) {
  event.preventDefault();
  action();
}

/** @param {EventTarget | null} target */
function isWriting(target) {
  return target instanceof Element && target.matches("input, textarea, select, [contenteditable]");
}

/**
 * Whether the arrows scroll what has the focus.
 *
 * @param {EventTarget | null} target
 */
function scrolls(target) {
  return target instanceof Element && target.matches("[role='log'], pre, .table, summary");
}
