// What a test file plays in: a server, a browser program, and the devices that it asks for.
//
// A device is closed when the test is over that asked for it, and everything else with the file.
// What the pages did wrong fails the test.

import { after, afterEach } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { Device, launch } from "./browser.js";
import { Scrollback } from "./scrollback.js";
import { until } from "./until.js";

/** Milliseconds between two deltas: that of a fast model. */
const DELTA_EVERY_MS = 10;

/** A server, and browsers around it. */
export class Scene {
  /** @type {Device[]} */
  #devices = [];
  #isClosed = false;

  /**
   * @param {Scrollback} server
   * @param {import("playwright-core").Browser} browser
   */
  constructor(server, browser) {
    this.server = server;
    this.browser = browser;
  }

  /**
   * Opens one for the tests of a file.
   *
   * @param {Parameters<typeof Scrollback.start>[0]} [options]
   */
  static async open(options) {
    const [server, browser] = await Promise.all([Scrollback.start(options), launch()]);
    const scene = new Scene(server, browser);
    afterEach(() => scene.#closeDevices());
    after(() => scene.#close());
    return scene;
  }

  get api() {
    return this.server.api;
  }

  /** A browser of its own, until the test is over. */
  async device(/** @type {import("./browser.js").DeviceOptions} */ options = {}) {
    const device = await Device.new(this.browser, this.server.port, options);
    this.#devices.push(device);
    return device;
  }

  /** A chat with an open turn. */
  async turn(/** @type {string} */ chatId, text = "Tell me all of it.") {
    await this.api.createChat(chatId);
    return this.api.turn(chatId, text);
  }

  /**
   * Says deltas at a model's pace, through a crash of the server if need be: an append without an
   * answer is repeated, and its numbers make that harmless.
   *
   * @param {import("./api.js").Turn} turn
   * @param {string[]} deltas
   * @param {number} [everyMs]
   */
  async speak(turn, deltas, everyMs = DELTA_EVERY_MS) {
    for (const delta of deltas) {
      if (this.#isClosed) return;
      await until("a delta is stored", () => turn.say(this.api, delta), 30_000);
      await pause(everyMs);
    }
  }

  async #closeDevices() {
    const ends = await Promise.allSettled(this.#devices.map((device) => device.close()));
    this.#devices = [];
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  async #close() {
    this.#isClosed = true;
    await this.browser.close();
    await this.server.stop();
  }
}
