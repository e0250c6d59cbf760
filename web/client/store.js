/**
 * @module
 * A value that changes, and those who want to hear of it.
 */

/**
 * @template Value
 * @typedef {object} Readable
 * @property {() => Value} get The value as it is: the same object until it changes.
 * @property {(listener: () => void) => () => void} subscribe Calls back after each change, until
 *   the returned function is called.
 */

/**
 * A value that its owner sets and others read.
 *
 * @template Value
 */
export class Store {
  #value;
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** @param {Value} value */
  constructor(value) {
    this.#value = value;
  }

  // Bound, so that they can be handed on as they are.
  get = () => this.#value;

  /** @param {() => void} listener */
  subscribe = (listener) => {
    // An object of its own, so that the same function can be subscribed twice.
    const entry = () => listener();
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  };

  /** @param {Value} value Listeners hear of it unless it is the same. */
  set(value) {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) {
      // One that was dropped by another one just now is not called any more.
      if (this.#listeners.has(listener)) callListener(listener);
    }
  }

  /** Forgets every listener. */
  close() {
    this.#listeners.clear();
  }
}

/**
 * A listener that throws is its owner's fault and stops nobody else.
 *
 * @param {() => void} listener
 */
function callListener(listener) {
  try {
    listener();
  } catch (error) {
    if (typeof reportError === "function") reportError(error);
    else console.error(error);
  }
}
