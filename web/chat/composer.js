/**
 * @module
 * Where the user writes: the field, send, stop, and the choice of a provider if there is one.
 *
 * What is half written belongs to its chat and survives a reload. Sending is the caller's.
 */

import { find, setAttribute, setText } from "../page/dom.js";

/**
 * @typedef {object} ComposerActions
 * @property {(text: string, provider: string | null) => void} send
 * @property {() => void} stop
 *
 * @typedef {object} ComposerState
 * @property {string} key of the chat, or of a new one
 * @property {boolean} isRunning whether an answer is being written
 * @property {boolean} isStopping
 * @property {boolean} isOffline
 * @property {boolean} isUsable
 *
 * @typedef {{name: string, model: string | null, isDefault: boolean}} Provider
 */

const DRAFT = "scrollback.draft.";

/**
 * @param {HTMLFormElement} form
 * @param {ComposerActions} actions
 */
export function createComposer(form, actions) {
  const field = find(form, "textarea", HTMLTextAreaElement);
  const send = find(form, ".send", HTMLButtonElement);
  const sendWord = find(form, ".send span", HTMLElement);
  const stop = find(form, ".stop", HTMLButtonElement);
  const hint = find(form, ".hint", HTMLElement);
  const select = find(form, "select", HTMLSelectElement);
  const choice = find(form, ".provider", HTMLElement);
  /** @type {string | null} */
  let key = null;
  let isUsable = true;

  function submit() {
    const text = field.value.trim();
    if (text === "" || !isUsable) return;
    field.value = "";
    store();
    grow();
    actions.send(text, choice.hidden || select.value === "" ? null : select.value);
  }

  /** Grows with its text, up to what the sheet allows. */
  function grow() {
    send.disabled = field.value.trim() === "" || !isUsable;
    if (CSS.supports("field-sizing", "content")) return;
    field.style.height = "auto";
    field.style.height = `${field.scrollHeight}px`;
  }

  function store() {
    if (key === null) return;
    try {
      if (field.value === "") sessionStorage.removeItem(DRAFT + key);
      else sessionStorage.setItem(DRAFT + key, field.value);
    } catch {
      // Without storage a draft lasts as long as the page.
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  field.addEventListener("input", () => {
    store();
    grow();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  stop.addEventListener("click", () => {
    actions.stop();
    field.focus();
  });

  return {
    focus: () => field.focus(),
    /** @param {string} text */
    put(text) {
      field.value = field.value.trim() === "" ? text : `${text}\n${field.value}`;
      store();
      grow();
      field.focus();
    },
    /** @param {readonly Provider[]} providers */
    offer(providers) {
      choice.hidden = providers.length < 2;
      select.replaceChildren(
        ...providers.map(({ name, model, isDefault }) =>
          new Option(model ? `${name} · ${model}` : name, name, isDefault, isDefault),
        ),
      );
    },
    /** @param {ComposerState} state */
    show(state) {
      isUsable = state.isUsable;
      if (state.key !== key) {
        key = state.key;
        field.value = draftOf(key);
        grow();
      }
      if (!state.isRunning && document.activeElement === stop) field.focus();
      stop.hidden = !state.isRunning;
      setAttribute(stop, "aria-disabled", state.isStopping ? "true" : null);
      setText(sendWord, state.isRunning ? "queue" : "send");
      setText(hint, hintOf(state));
      form.hidden = !state.isUsable;
      send.disabled = field.value.trim() === "" || !isUsable;
    },
  };
}

/** @param {ComposerState} state */
function hintOf(state) {
  if (state.isStopping) return "stopping";
  if (state.isOffline) return "What you send goes out once the server can be reached.";
  if (state.isRunning) return "Enter queues it for after this answer · Esc stops the answer";
  return "Enter sends · Shift+Enter begins a line";
}

/** @param {string} key */
function draftOf(key) {
  try {
    return sessionStorage.getItem(DRAFT + key) ?? "";
  } catch {
    return "";
  }
}
