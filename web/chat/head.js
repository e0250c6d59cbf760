/**
 * @module
 * The head of the page: which chat this is, how the connection is, and what can be done with both.
 *
 * The words of the connection are `connection_text.js`'s; what renaming and deleting do, the
 * caller's.
 */

import { find, setAttribute, setText, strokes } from "../page/dom.js";
import { MOON, SCREEN, SUN } from "../page/icons.js";
import { chooseTheme, chosenTheme } from "../page/theme.js";
import { numberText } from "../page/time.js";
import { connectionText, missedText } from "./connection_text.js";

/**
 * @typedef {import("../client/index.js").ConnectionState} ConnectionState
 * @typedef {import("../page/theme.js").Theme} Theme
 *
 * @typedef {object} HeadActions
 * @property {() => (() => void)} pullThePlug
 * @property {(title: string) => void} rename
 * @property {() => void} remove
 * @property {() => void} redraw
 *
 * @typedef {object} HeadState
 * @property {string} name
 * @property {boolean} isSaved whether there is a chat to rename and delete
 * @property {ConnectionState} connection
 * @property {number} nowMs
 */

/** How long it is said what a cut has cost. */
const MISSED_MS = 6_000;

/** The themes in the order of the switch. @type {readonly Theme[]} */
const THEMES = ["system", "light", "dark"];

/**
 * @param {HTMLElement} head
 * @param {HeadActions} actions
 */
export function createHead(head, actions) {
  const status = find(head, ".connection", HTMLElement);
  const phase = find(status, ".phase", HTMLElement);
  const seq = find(status, ".seq", HTMLElement);
  const missed = find(head, ".missed", HTMLElement);
  const plug = holdPlug(find(head, ".plug", HTMLButtonElement), actions);
  const title = editTitle(head, actions);
  const remove = find(head, ".delete", HTMLButtonElement);
  remove.addEventListener("click", actions.remove);
  switchTheme(find(head, ".theme", HTMLButtonElement));
  /** When the last cut was over. @type {number | null} */
  let mendedAt = null;

  return {
    rename: title.begin,
    /** @param {HeadState} state */
    show({ name, isSaved, connection, nowMs }) {
      const isHeld = plug.isHeld();
      title.show(name, isSaved);
      remove.hidden = !isSaved;
      setAttribute(status, "data-phase", connection.phase);
      setText(phase, connectionText(connection, nowMs));
      setText(seq, connection.seq === 0 ? "" : `seq ${numberText(connection.seq)}`);
      if (plug.wasReleased() && connection.phase === "live") {
        plug.forget();
        mendedAt = nowMs;
        setText(missed, missedText(connection.missed));
      }
      if (isHeld || (mendedAt !== null && nowMs - mendedAt > MISSED_MS)) {
        mendedAt = null;
        setText(missed, "");
      }
      setAttribute(head, "data-held", isHeld ? "true" : null);
    },
  };
}

/**
 * Cuts the connection for as long as the button is held, by pointer or by key.
 *
 * @param {HTMLButtonElement} button
 * @param {HeadActions} actions
 */
function holdPlug(button, actions) {
  /** @type {(() => void) | null} */
  let release = null;
  let wasReleased = false;

  function pull() {
    if (release) return;
    wasReleased = false;
    release = actions.pullThePlug();
    button.setAttribute("aria-pressed", "true");
    actions.redraw();
  }

  function letGo() {
    if (!release) return;
    release();
    release = null;
    wasReleased = true;
    button.setAttribute("aria-pressed", "false");
    actions.redraw();
  }

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    pull();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) {
    button.addEventListener(end, letGo);
  }
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("keydown", (event) => {
    if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      pull();
    }
  });
  button.addEventListener("keyup", letGo);
  return {
    isHeld: () => release !== null,
    wasReleased: () => wasReleased,
    forget: () => {
      wasReleased = false;
    },
  };
}

/**
 * @param {HTMLElement} head
 * @param {HeadActions} actions
 */
function editTitle(head, actions) {
  const heading = find(head, "h1", HTMLElement);
  const field = find(head, ".title-field", HTMLInputElement);
  const button = find(head, ".rename", HTMLButtonElement);
  let name = "";
  let isSaved = false;

  function begin() {
    if (!isSaved) return;
    field.value = name;
    field.hidden = false;
    heading.classList.add("aloud");
    button.hidden = true;
    field.focus();
    field.select();
  }

  /** @param {boolean} isKept */
  function end(isKept) {
    if (field.hidden) return;
    const value = field.value.trim();
    field.hidden = true;
    heading.classList.remove("aloud");
    button.hidden = !isSaved;
    if (isKept && value !== "" && value !== name) actions.rename(value);
  }

  button.addEventListener("click", begin);
  field.addEventListener("blur", () => end(true));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    end(event.key === "Enter");
    button.focus();
  });

  return {
    begin,
    /**
     * @param {string} newName
     * @param {boolean} newSaved
     */
    show(newName, newSaved) {
      name = newName;
      isSaved = newSaved;
      setText(heading, name);
      if (field.hidden) button.hidden = !isSaved;
      document.title = `${name} · Scrollback`;
    },
  };
}

/** @param {HTMLButtonElement} button */
function switchTheme(button) {
  const pictures = { system: SCREEN, light: SUN, dark: MOON };
  const show = () => {
    const theme = chosenTheme();
    const label = theme === "system" ? "theme: as the system" : `theme: ${theme}`;
    button.replaceChildren(strokes(pictures[theme]));
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(chosenTheme()) + 1) % THEMES.length] ?? "system";
    chooseTheme(next);
    show();
  });
  show();
}
