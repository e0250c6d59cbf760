// The server under test, and what a test asks of it besides the SDK.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BINARY = fileURLToPath(new URL("../../target/debug/scrollback", import.meta.url));
const SCRIPTS = ["gated", "parts", "failing", "slow"];
/** Milliseconds until it must listen, or something must have come about. */
const WAIT_MS = 60_000;

/** Waits until `probe` gives something. */
export async function until(what, probe) {
  const deadline = performance.now() + WAIT_MS;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`did not come about: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export class Scrollback {
  #dir;
  #process;
  #listen = "127.0.0.1:0";
  url = "";

  static async start() {
    const server = new Scrollback();
    server.#dir = await mkdtemp(join(tmpdir(), "scrollback-ai-sdk-"));
    const file = (name) => fileURLToPath(new URL(`scripts/${name}.toml`, import.meta.url));
    const scripts = JSON.stringify(SCRIPTS.map(file));
    const config = `default_provider = "agent"\n[providers.agent]\nkind = "scripted"\n`;
    await writeFile(join(server.#dir, "config.toml"), `${config}script = ${scripts}\n`);
    await server.launch();
    return server;
  }

  /** Starts it, or starts it again at the same address. */
  async launch() {
    const flags = ["--data", join(this.#dir, "data"), "--config", join(this.#dir, "config.toml")];
    const args = ["serve", ...flags, "--listen", this.#listen, "--durability", "process"];
    const child = spawn(BINARY, args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = child;
    let said = "";
    const read = (piece) => (said += piece);
    child.stdout.setEncoding("utf8").on("data", read);
    child.stderr.setEncoding("utf8").on("data", read);
    const failed = once(child, "error");
    failed.then(([error]) => (said += `${BINARY}: ${error.message}`), () => {});
    this.url = await until("a server that listens", () => {
      if (child.exitCode !== null || child.pid === undefined) throw new Error(said);
      return /listening on (http:\/\/\S+)/.exec(said)?.[1];
    });
    this.#listen = new URL(this.url).host;
  }

  async end(signal) {
    if (this.#process.exitCode !== null) return;
    const gone = once(this.#process, "exit");
    this.#process.kill(signal);
    await gone;
  }

  async stop() {
    await this.end("SIGKILL");
    await rm(this.#dir, { recursive: true, force: true });
  }

  async get(path) {
    const response = await fetch(this.url + path);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async post(path, body) {
    const headers = { "content-type": "application/json" };
    const response = await fetch(this.url + path, {
      method: "POST",
      ...(body && { headers, body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** The messages as the SDK keeps them. */
  messages(chat) {
    return this.get(`/api/chat/${chat}/messages`);
  }

  /** The text of each message in the log, by role. */
  async log(chat) {
    const list = await this.get(`/v1/chats/${chat}/messages`);
    return list.items.map((message) => `${message.role}: ${message.content_text}`);
  }

  async openTurn(chat) {
    return (await this.get(`/v1/chats/${chat}/status`)).open_turn;
  }

  idle(chat) {
    return until(`${chat} is idle`, async () => !(await this.openTurn(chat)));
  }

  /** The request that the gate of a turn waits with. */
  gate(chat) {
    return until("the gate", async () => {
      const response = await fetch(`${this.url}/v1/chats/${chat}/requests`);
      // The first message makes the chat.
      return response.status === 404 ? null : (await response.json()).items[0]?.request_id;
    });
  }

  /** Lets the turn go on. */
  async open(chat) {
    const path = `/v1/chats/${chat}/requests/${await this.gate(chat)}/respond`;
    await this.post(path, { option_id: "go" });
  }
}
