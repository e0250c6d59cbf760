// Accessibility faults of a page as axe-core finds them.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const SOURCE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * The serious and critical findings, one a line.
 *
 * @param {import("playwright-core").Page} page
 * @returns {Promise<string[]>}
 */
export async function seriousFaults(page) {
  // The page's policy lets no script in; the debugger's door is none of the page's.
  await page.evaluate(SOURCE);
  const results = /** @type {import("axe-core").AxeResults} */ (
    await page.evaluate("axe.run({ resultTypes: ['violations'] })")
  );
  const isSerious = (/** @type {{ impact?: string | null }} */ found) =>
    found.impact === "serious" || found.impact === "critical";
  const serious = results.violations.filter(isSerious);
  return serious.flatMap((found) =>
    found.nodes.map((node) => `${found.id}: ${node.target.join(" ")}: ${node.failureSummary}`),
  );
}
