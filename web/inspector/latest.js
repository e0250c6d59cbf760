/**
 * @module
 * Asks for one thing at a time, of which only the last that was asked for is of use.
 *
 * A slider asks for more states than a server can answer: what is overtaken is given up.
 */

/** One question at a time. */
export class Latest {
  #asked = new AbortController();

  /**
   * Gives up the former question and asks this one.
   *
   * @template T
   * @param {(signal: AbortSignal) => Promise<T>} ask
   * @param {(answer: T) => void} onAnswer
   * @param {(error: unknown) => void} onError
   */
  ask(ask, onAnswer, onError) {
    this.#asked.abort();
    const asked = new AbortController();
    this.#asked = asked;
    ask(asked.signal).then(
      (answer) => {
        if (!asked.signal.aborted) onAnswer(answer);
      },
      (error) => {
        if (!asked.signal.aborted) onError(error);
      },
    );
  }

  /** Gives up what was asked. */
  drop() {
    this.#asked.abort();
  }
}
