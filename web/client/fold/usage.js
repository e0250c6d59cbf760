/**
 * @module
 * Adds up tokens and money, as the server does.
 *
 * Each report replaces the counts that it names; prices add up. Sums lose precision above 2^53.
 */

/** @typedef {import("../wire.js").Usage} Usage */

/** @returns {Usage} What a turn has used before its first report. */
export function noUsage() {
  return {
    input_tokens: null,
    output_tokens: null,
    context_window: null,
    percentage: 0,
    cost_usd: null,
  };
}

/**
 * Adds what one `usage` event says.
 *
 * @param {Usage} usage
 * @param {Record<string, any>} said
 * @returns {Usage}
 */
export function addUsage(usage, said) {
  const percentage = said["percentage"] ?? 0;
  const saysHowFull = (said["context_window"] ?? 0) > 0 || percentage > 0;
  const cost = said["cost_usd"] ?? null;
  return {
    input_tokens: said["input_tokens"] ?? usage.input_tokens,
    output_tokens: said["output_tokens"] ?? usage.output_tokens,
    context_window: said["context_window"] ?? usage.context_window,
    percentage: saysHowFull ? percentage : usage.percentage,
    cost_usd: cost === null ? usage.cost_usd : (usage.cost_usd ?? 0) + cost,
  };
}
