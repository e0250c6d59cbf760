// The real server under test: the binary with a directory of its own, killed and started at will.
//
// What is said to it is `api.js`; what stands between it and a browser is `proxy.js`.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Api } from "./api.js";

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** Milliseconds until it must listen: a debug build on a busy machine that rebuilds views. */
const START_MS = 30_000;

/** When an imported log begins; its events are a second apart. */
const FIRST_AT = Date.UTC(2026, 10, 1);

/** The binary: the one that was named, else what cargo has built. */
function binary() {
  return process.env["SCROLLBACK_BIN"] ?? join(ROOT, "target/debug/scrollback");
}

/** A script of the scripted provider that is in the repository, by its name. */
export function sample(/** @type {string} */ name) {
  return join(ROOT, `src/provider/scripted/samples/${name}.toml`);
}

/** A server with its directory; `stop` takes both away. */
export class Scrollback {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #process;
  #dir = "";
  #listen = "127.0.0.1:0";
  /** @type {string[]} */
  #flags = [];
  /** Its address, the same after a restart. */
  url = "";
  /** @type {Api} */
  api = new Api("");

  /**
   * Starts one on a free port.
   *
   * @param {object} [options]
   * @param {string} [options.script] The file that the scripted provider plays.
   * @param {object[]} [options.importing] Events of the log that it starts with, as envelopes
   *   without seq and time.
   * @param {string} [options.config] What its configuration file says.
   * @param {number} [options.leaveOutMax] How many of them may be left out since the log's rules
   *   refuse them; none by default.
   */
  static async start({ script, importing, config, leaveOutMax = 0 } = {}) {
    const server = new Scrollback();
    await access(binary()).catch(() => {
      throw new Error(`${binary()} is missing: cargo build --workspace --all-features --locked`);
    });
    server.#dir = await mkdtemp(join(tmpdir(), "scrollback-web-"));
    const agent = ["--provider", "agent.kind=scripted", "--default-provider", "agent"];
    if (script) server.#flags = [...agent, "--provider", `agent.script=${script}`];
    if (config) {
      const file = join(server.#dir, "scrollback.toml");
      await writeFile(file, config);
      server.#flags.push("--config", file);
    }
    if (importing) await server.#import(importing, leaveOutMax);
    await server.#launch();
    return server;
  }

  /** @param {object[]} events @param {number} leaveOutMax */
  async #import(events, leaveOutMax) {
    const file = join(this.#dir, "log.ndjson");
    const data = join(this.#dir, "data");
    const numbered = events.map((event, n) => {
      return { ...event, seq: n + 1, at: new Date(FIRST_AT + n * 1_000).toISOString() };
    });
    await writeFile(file, numbered.map((event) => `${JSON.stringify(event)}\n`).join(""));
    try {
      await promisify(execFile)(binary(), ["--data", data, "import", file]);
    } catch (error) {
      const imported = /(\d+) events were imported .* is refused|(\d+) .* does not exist/;
      const [, n, m] = imported.exec(String(error)) ?? [];
      if (leaveOutMax === 0 || (n ?? m) === undefined) throw error;
      await rm(data, { recursive: true });
      const rest = events.toSpliced(Number(n ?? m), 1);
      await this.#import(rest, leaveOutMax - 1);
    }
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  async #launch() {
    const data = join(this.#dir, "data");
    const args = ["serve", "--data", data, "--listen", this.#listen, "--durability", "process"];
    const child = spawn(binary(), [...args, ...this.#flags], { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    let said = "";
    const listening = new Promise((resolve, reject) => {
      const read = (/** @type {Buffer} */ chunk) => {
        said += chunk.toString();
        const address = /listening on (http:\/\/\S+)/.exec(said)?.[1];
        if (address) resolve(address);
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
      setTimeout(() => reject(new Error(`the server does not listen: ${said}`)), START_MS).unref();
    });
    this.url = String(await listening);
    this.#listen = new URL(this.url).host;
    this.api.close();
    this.api = new Api(this.url);
  }

  /** Kills it as a crash does: nothing is said to anybody, nothing is written. */
  async kill() {
    await this.#end("SIGKILL");
  }

  /** Starts it again, on the same directory and port. */
  async restart() {
    await this.#launch();
  }

  /** Ends it in order. */
  async quit() {
    await this.#end("SIGTERM");
  }

  async #end(/** @type {NodeJS.Signals} */ signal) {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  /** Kills it and removes its directory. */
  async stop() {
    this.api.close();
    await this.kill();
    await rm(this.#dir, { recursive: true, force: true });
  }
}
