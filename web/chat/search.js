/**
 * @module
 * The search over all chats: asks once typing pauses, and shows only the latest answer.
 */

/** @typedef {import("./list.js").Found} Found */

/**
 * @typedef {object} Search
 * @property {string} text what is looked for; empty if nothing is
 * @property {"idle" | "asking" | "found" | "failed"} phase
 * @property {readonly Found[]} rows what the last answer held
 */

/** How long typing pauses before the server is asked. */
const PAUSE_MS = 180;

/**
 * @param {HTMLInputElement} field
 * @param {(text: string, signal: AbortSignal) => Promise<readonly Found[]>} ask
 * @param {() => void} onChange
 */
export function createSearch(field, ask, onChange) {
  /** @type {Search} */
  let search = { text: "", phase: "idle", rows: [] };
  let asking = new AbortController();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {Search} next */
  function set(next) {
    search = next;
    onChange();
  }

  async function run() {
    const { text } = search;
    const { signal } = asking;
    try {
      const rows = await ask(text, signal);
      if (!signal.aborted) set({ text, phase: "found", rows });
    } catch {
      if (!signal.aborted) set({ text, phase: "failed", rows: [] });
    }
  }

  function read() {
    const text = field.value.trim();
    if (text === search.text) return;
    asking.abort();
    asking = new AbortController();
    clearTimeout(timer);
    set({ text, phase: text === "" ? "idle" : "asking", rows: text === "" ? [] : search.rows });
    if (text !== "") timer = setTimeout(run, PAUSE_MS);
  }

  field.addEventListener("input", read);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    field.value = "";
    read();
    field.blur();
  });
  return { get: () => search };
}
