// The network between a browser and the server: it can be cut, refuse, stall and come back.
//
// It passes bytes on and changes none. It reads the first line of each request, in order to count
// which paths have a connection open; it knows nothing else of HTTP.

import { connect, createServer } from "node:net";

/** Where a request begins: browsers do not pipeline, so it is at the start of a chunk. */
const REQUEST = /^([A-Z]+) (\S+) HTTP\/1\.1\r\n/;

/** How a body of unknown length ends. */
const LAST_CHUNK = "0\r\n\r\n";

/**
 * @typedef {object} Link One connection of the browser.
 * @property {import("node:net").Socket} near
 * @property {import("node:net").Socket} far
 * @property {string} path The path of its request under way, empty between two.
 */

/** A network for one browser. */
export class Proxy {
  /** @type {Set<Link>} */
  #links = new Set();
  #stalled = false;
  #isMute = false;
  #toPort;
  #server = createServer({ pauseOnConnect: true }, (near) => this.#accept(near));
  #port = 0;
  /** Requests for each path since the beginning, without their queries. */
  requests = /** @type {Map<string, number>} */ (new Map());

  constructor(/** @type {number} */ toPort) {
    this.#toPort = toPort;
  }

  /** A proxy to a port of this machine. */
  static async to(/** @type {number} */ port) {
    const proxy = new Proxy(port);
    await proxy.restore();
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  #accept(/** @type {import("node:net").Socket} */ near) {
    const far = connect(this.#toPort, "127.0.0.1");
    /** @type {Link} */
    const link = { near, far, path: "" };
    this.#links.add(link);
    const end = () => {
      near.destroy();
      far.destroy();
      this.#links.delete(link);
    };
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", end);
      socket.on("close", end);
    }
    near.on("data", (chunk) => {
      const path = REQUEST.exec(String(chunk))?.[2];
      if (path !== undefined) this.#begin(link, path);
      if (!far.write(chunk)) near.pause();
    });
    far.on("data", (chunk) => {
      if (this.#isMute) return;
      if (chunk.slice(-LAST_CHUNK.length).toString() === LAST_CHUNK) link.path = "";
      if (!near.write(chunk)) far.pause();
    });
    near.on("drain", () => this.#stalled || far.resume());
    far.on("drain", () => this.#stalled || near.resume());
    if (this.#stalled) far.pause();
    else near.resume();
  }

  #begin(/** @type {Link} */ link, /** @type {string} */ target) {
    const path = target.split("?")[0] ?? target;
    link.path = path;
    this.requests.set(path, (this.requests.get(path) ?? 0) + 1);
  }

  /** How many connections have a request for this path under way. */
  open(/** @type {string} */ path) {
    return [...this.#links].filter((link) => link.path === path).length;
  }

  /** Ends every connection, as a lost network or a proxy's time limit does; new ones are let in. */
  cut() {
    for (const link of this.#links) {
      link.near.resetAndDestroy();
      link.far.destroy();
    }
    this.#links.clear();
  }

  /** Cuts, and refuses whoever comes until `restore`. */
  async refuse() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.cut();
    await closed;
  }

  /** Passes nothing on in either way, and tells nobody: a cable that was pulled. */
  stall() {
    this.#stalled = true;
    for (const { near, far } of this.#links) {
      near.pause();
      far.pause();
    }
  }

  /** Passes requests on and loses what is answered, until `restore`. */
  mute() {
    this.#isMute = true;
  }

  /** Lets everything through again; what was lost stays lost. */
  async restore() {
    this.#isMute = false;
    if (this.#stalled) {
      this.#stalled = false;
      for (const { near, far } of this.#links) {
        near.resume();
        far.resume();
      }
    }
    if (this.#server.listening) return;
    await new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.#port, "127.0.0.1", () => resolve(undefined));
    });
    const address = this.#server.address();
    if (address && typeof address === "object") this.#port = address.port;
  }

  /** Ends it for good. */
  async close() {
    if (this.#server.listening) await this.refuse();
  }
}
