// Debian's Chromium with the example application in it, once for each major of the SDK.

import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { BUILD, serve } from "../../examples/ai-sdk/serve.mjs";

const EXECUTABLE = process.env.CHROMIUM_BIN ?? "/usr/bin/chromium";
/** Milliseconds until a page must show something: much else may run on the machine. */
const WAIT_MS = 60_000;
const HERE = fileURLToPath(new URL(".", import.meta.url));

export function launch() {
  return chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox"] });
}

/** The example as it is, bundled with one major. */
async function script(major) {
  const built = await build({
    ...BUILD,
    absWorkingDir: HERE,
    nodePaths: [`${HERE}node_modules`],
    alias: { "@ai-sdk/react": `ai-sdk-react${major}`, ai: `ai${major}` },
  });
  return built.outputFiles[0].text;
}

/** The example's server, which can be cut off from Scrollback and from its pages. */
export class Site {
  #server;
  #isCut = false;
  url = "";

  static async start(major, target) {
    const site = new Site();
    site.#server = serve(await script(major), () => target.url);
    site.#server.prependListener("request", (asked) => site.#isCut && asked.socket.destroy());
    site.#server.listen(0, "127.0.0.1");
    await once(site.#server, "listening");
    site.url = `http://127.0.0.1:${site.#server.address().port}/`;
    return site;
  }

  /** Cuts every connection, and every one that comes, until `mend`. */
  cut() {
    this.#isCut = true;
    this.#server.closeAllConnections();
  }

  mend() {
    this.#isCut = false;
  }

  stop() {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** A page with the example, and what is seen on it. */
export class Page {
  #page;
  /** What went wrong in the page, which nothing may but a connection that a test cuts. */
  faults = [];

  static async open(browser, site, chat) {
    const page = new Page();
    const context = await browser.newContext();
    page.#page = await context.newPage();
    page.#page.on("pageerror", (error) => page.faults.push(error.message));
    await page.#page.addInitScript(watch);
    await page.#page.goto(`${site.url}#${chat}`);
    return page;
  }

  async send(text) {
    await this.#page.fill("input[name=text]", text);
    await this.#page.click("text=send");
  }

  /** Waits until the page shows exactly these messages in this state. */
  async shows(status, messages) {
    const expected = JSON.stringify([status, ...messages]);
    await this.#page
      .waitForFunction((text) => globalThis.seen?.() === text, expected, { timeout: WAIT_MS })
      .catch(async () => {
        throw new Error(`expected ${expected}\nseen ${await this.#page.evaluate("seen()")}`);
      });
  }

  /** Waits until an answer has begun, and gives what is there of it. */
  async begun() {
    const text = () => document.querySelector("article[data-role=assistant] > p")?.textContent;
    const handle = await this.#page.waitForFunction(text, undefined, { timeout: WAIT_MS });
    return handle.jsonValue();
  }

  async click(name) {
    await this.#page.click(`button:text-is("${name}")`);
  }

  reload() {
    return this.#page.reload();
  }

  close() {
    return this.#page.context().close();
  }
}

/** What `shows` compares: the state, each message, the alert. */
function watch() {
  globalThis.seen = () => {
    const said = (article) =>
      [...article.children].filter((child) => child.matches("p, em")).map((c) => c.textContent);
    const articles = [...document.querySelectorAll("article")];
    const alert = document.querySelector("[role=alert]");
    return JSON.stringify([
      document.querySelector("main")?.dataset.status,
      ...articles.map((article) => `${article.dataset.role}: ${said(article).join("|")}`),
      ...(alert ? [`alert: ${alert.textContent}`] : []),
    ]);
  };
}
