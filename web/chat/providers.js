/**
 * @module
 * Asks the server which providers there are to choose from.
 *
 * A server that does not say has one, as far as the page is concerned: then there is no choice.
 */

/** @typedef {import("./composer.js").Provider} Provider */

/**
 * @param {typeof globalThis.fetch} fetch
 * @returns {Promise<Provider[]>}
 */
export async function readProviders(fetch) {
  try {
    const response = await fetch("/v1/providers", { headers: { accept: "application/json" } });
    return response.ok ? providersOf(await response.json()) : [];
  } catch {
    return [];
  }
}

/**
 * @param {unknown} answer
 * @returns {Provider[]}
 */
export function providersOf(answer) {
  const items = memberOf(answer, "items");
  if (!Array.isArray(items)) return [];
  return items.flatMap((item) => {
    const name = memberOf(item, "name");
    if (typeof name !== "string") return [];
    const models = memberOf(item, "models");
    const model = Array.isArray(models) && typeof models[0] === "string" ? models[0] : null;
    return [{ name, model, isDefault: memberOf(item, "is_default") === true }];
  });
}

/**
 * @param {unknown} value
 * @param {string} name
 * @returns {unknown}
 */
function memberOf(value, name) {
  if (typeof value !== "object" || value === null) return undefined;
  return /** @type {Record<string, unknown>} */ (value)[name];
}
