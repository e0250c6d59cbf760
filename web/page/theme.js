/**
 * @module
 * Light or dark: what the reader chose, else what the system says.
 *
 * Imported by a script that blocks rendering, so that no page flashes in the other theme first. The
 * colours are in `base.css`.
 */

/** @typedef {"system" | "light" | "dark"} Theme */

const KEY = "scrollback.theme";

apply(chosenTheme());
window.addEventListener("storage", (event) => {
  if (event.key === KEY) apply(chosenTheme());
});

/** @returns {Theme} */
export function chosenTheme() {
  const stored = read();
  return stored === "light" || stored === "dark" ? stored : "system";
}

/**
 * Chooses a theme, here and in the other tabs.
 *
 * @param {Theme} theme
 */
export function chooseTheme(theme) {
  try {
    if (theme === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, theme);
  } catch {
    // Storage may be refused by the browser; then the choice holds until the page is left.
  }
  apply(theme);
}

/** @param {Theme} theme */
function apply(theme) {
  if (theme === "system") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.setAttribute("data-theme", theme);
}

function read() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}
