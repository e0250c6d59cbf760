/**
 * @module
 * What is said about a turn that did not end well: what happened, and what can be done.
 *
 * Pure words; the codes are the closed list of the contract, and an unknown one is told by its
 * message alone. The buttons are `message.js`'s.
 */

/**
 * @typedef {object} Advice
 * @property {string} happened one sentence
 * @property {string} next what can be done
 */

/** @type {Readonly<Record<string, Advice>>} */
const ADVICE = {
  provider_setup: {
    happened: "The model could not be set up.",
    next: "Check the provider's settings on the server, or choose another one.",
  },
  provider_auth: {
    happened: "The model's provider refused the key.",
    next: "Set the right key in the server's settings, then ask again.",
  },
  provider_rate_limit: {
    happened: "The model's provider asks to come back later.",
    next: "Wait a moment, then try again.",
  },
  provider_timeout: {
    happened: "The model fell silent.",
    next: "Try again.",
  },
  provider_transport: {
    happened: "The connection to the model was lost.",
    next: "Try again.",
  },
  provider_protocol: {
    happened: "The model answered with something that cannot be read.",
    next: "Try again.",
  },
  provider_refused: {
    happened: "The model's provider refused this content.",
    next: "Say it in another way.",
  },
  provider_unavailable: {
    happened: "The model's provider has a fault of its own.",
    next: "Wait a moment, then try again.",
  },
  provider_crashed: {
    happened: "The agent's process ended.",
    next: "Try again.",
  },
  empty_response: {
    happened: "The model answered with nothing at all.",
    next: "Try again.",
  },
  context_overflow: {
    happened: "The conversation is longer than the model can read.",
    next: "Go on in a new chat.",
  },
  output_too_long: {
    happened: "The answer is longer than a message may be.",
    next: "Ask for it in parts.",
  },
  tool_failed: {
    happened: "A tool failed, and the answer with it.",
    next: "Try again.",
  },
  storage: {
    happened: "The answer could not be stored.",
    next: "See that the server's disk has space, then try again.",
  },
  internal: {
    happened: "The server made a mistake.",
    next: "Try again; its log says more.",
  },
};

/**
 * What to say about a failure.
 *
 * @param {{code: string, retryable: boolean}} failure
 * @returns {Advice}
 */
export function adviceOn({ code, retryable }) {
  const advice = ADVICE[code];
  if (advice) return advice;
  return {
    happened: "The answer failed.",
    next: retryable ? "Try again." : "The inspector shows what led to it.",
  };
}

/** @type {Readonly<Record<string, string>>} */
const INTERRUPTED = {
  user: "Stopped by you.",
  send_now: "Stopped to answer what was sent next.",
  shutdown: "The server was shut down in mid-answer.",
  restart: "The server was restarted in mid-answer.",
  lease_expired: "The program that wrote this fell silent.",
};

/**
 * Why an answer was interrupted, in one sentence.
 *
 * @param {string | null} reason
 */
export function interruptedText(reason) {
  return (reason !== null && INTERRUPTED[reason]) || "The answer was interrupted.";
}

/**
 * Why something that the reader asked for was not done.
 *
 * @param {unknown} error
 */
export function refusalText(error) {
  if (!(error instanceof Error)) return "It did not work.";
  if (error.name === "NetworkError") return "The server could not be reached.";
  const text = error.message.charAt(0).toUpperCase() + error.message.slice(1);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
