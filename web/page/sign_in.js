/**
 * @module
 * Asks for the access token where a server wants one: a dialog that stays until there is one.
 *
 * The page is loaded anew with the token, so that nothing that was begun without it goes on. What a
 * token is kept and sent by is `session.js`'s.
 */

import { h } from "./dom.js";
import { createSession } from "./session.js";

/**
 * The session of this page; its dialog opens when the server first wants to know who calls.
 *
 * @returns {import("./session.js").Session}
 */
export function openSession() {
  const session = createSession({
    fetch: (...args) => fetch(...args),
    storage: storageOfTab(),
    ask: () => showDialog(session),
  });
  return session;
}

/** @returns {Storage | null} */
function storageOfTab() {
  try {
    return globalThis.sessionStorage;
  } catch {
    // The browser keeps nothing for this page.
    return null;
  }
}

/** @param {import("./session.js").Session} session */
function showDialog(session) {
  const field = h("input", {
    ...{ id: "token", name: "token", type: "password", required: true, spellcheck: "false" },
    ...{ autocomplete: "current-password", "aria-describedby": "token-help token-problem" },
  });
  const problem = h("p", { id: "token-problem", class: "problem small", role: "alert" });
  const submit = h("button", { class: "primary", type: "submit" }, "Sign in");
  const form = h(
    "form",
    { method: "dialog" },
    h("label", { for: "token" }, "Access token"),
    field,
    h(
      "p",
      { id: "token-help", class: "small muted" },
      "This server asks who calls. Whoever runs it makes a token with ",
      h("code", null, "scrollback token"),
      ". It is forgotten when this tab closes.",
    ),
    problem,
    submit,
  );
  const title = h("h2", { id: "sign-in-title" }, "Sign in");
  const dialog = h("dialog", { class: "sign-in", "aria-labelledby": "sign-in-title" }, title, form);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    problem.textContent = await refusal(session, field.value.trim());
    submit.disabled = false;
    if (problem.textContent === "") location.reload();
    else field.select();
  });
  document.body.append(dialog);
  dialog.showModal();
  field.focus();
}

/**
 * @param {import("./session.js").Session} session
 * @param {string} token
 * @returns {Promise<string>} Why the token is of no use; empty if it is good.
 */
async function refusal(session, token) {
  try {
    const isGood = await session.signIn(token);
    return isGood ? "" : "The server does not know this token, or it has expired.";
  } catch {
    return "The server cannot be reached. Try again.";
  }
}
