// Debian's Chromium: browsers of their own, their tabs, and what went wrong in them.
//
// A `Device` is what a person has in front of them: one browser with its storage, locks and
// channels, behind a network of its own. What its pages show is `chat_page.js`.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { Proxy } from "./proxy.js";
import { ROOT } from "./scrollback.js";

/** @typedef {import("playwright-core").Page} Page */
/** @typedef {import("playwright-core").Browser} Browser */

/** The browser of the distribution, unless another one is named. */
const EXECUTABLE = process.env["CHROMIUM_BIN"] ?? "/usr/bin/chromium";

/** Milliseconds until an element must be there, and be ready for what is done to it. */
const ACTION_MS = 15_000;

/** Where screenshots go. */
const SCREENSHOTS = join(ROOT, "target/screenshots");

/** The path of the one stream that a browser may have open. */
export const STREAM = "/v1/stream";

/** Starts the browser; a test file needs one. */
export function launch() {
  // Within a container there is no sandbox to be had; the pages are ours.
  const args = ["--no-sandbox", "--js-flags=--expose-gc"];
  return chromium.launch({ executablePath: EXECUTABLE, headless: true, args });
}

/** Runs in every page before its own scripts: notes what the browser reports once. */
function observe() {
  const seen = { longTasks: /** @type {{ at: number, ms: number }[]} */ ([]), violations: "" };
  Object.defineProperty(globalThis, "observed", { value: seen });
  new PerformanceObserver((list) => {
    const entries = list.getEntries();
    seen.longTasks.push(...entries.map((entry) => ({ at: entry.startTime, ms: entry.duration })));
  }).observe({ type: "longtask" });
  document.addEventListener("securitypolicyviolation", (event) => {
    seen.violations += `${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}\n`;
  });
}

/**
 * @typedef {object} DeviceOptions
 * @property {"light" | "dark"} [theme]
 * @property {{ width: number, height: number }} [viewport]
 * @property {boolean} [reducedMotion]
 */

/** One browser of one person. */
export class Device {
  /** What no page may do: throw, report an error, or offend against its security policy. */
  faults = /** @type {string[]} */ ([]);

  /**
   * @param {import("playwright-core").BrowserContext} context
   * @param {Proxy} proxy
   */
  constructor(context, proxy) {
    this.context = context;
    this.proxy = proxy;
  }

  /**
   * A browser without a past.
   *
   * @param {Browser} browser
   * @param {number} serverPort
   * @param {DeviceOptions} [options]
   */
  static async new(browser, serverPort, { theme = "light", viewport, reducedMotion } = {}) {
    const context = await browser.newContext({
      colorScheme: theme,
      reducedMotion: reducedMotion ? "reduce" : "no-preference",
      viewport: viewport ?? { width: 1200, height: 800 },
    });
    context.setDefaultTimeout(ACTION_MS);
    await context.addInitScript(observe);
    return new Device(context, await Proxy.to(serverPort));
  }

  /** Opens a tab. */
  async tab(/** @type {string} */ path) {
    const page = await this.context.newPage();
    page.on("pageerror", (error) => this.faults.push(`thrown: ${error.stack ?? error.message}`));
    page.on("console", (message) => {
      // The browser itself writes down each request that failed: with a network cut, that is none
      // of the page's faults.
      const own = !message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && own) this.faults.push(`console: ${message.text()}`);
    });
    await page.goto(this.proxy.url + path);
    return page;
  }

  /** How many streams this browser has open, over all of its tabs. */
  get streams() {
    return this.proxy.open(STREAM);
  }

  /** Ends it, and tells what its pages did wrong. */
  async close() {
    for (const page of this.context.pages()) {
      const seen = await page.evaluate("observed.violations").catch(() => "");
      if (seen) this.faults.push(`security policy: ${seen}`);
    }
    await this.context.close();
    await this.proxy.close();
    if (this.faults.length > 0) throw new Error(`the pages did:\n${this.faults.join("\n")}`);
  }
}

/** The tasks of a page that held up its user for 50 ms or more. */
export function longTasks(/** @type {Page} */ page) {
  return /** @type {Promise<{ at: number, ms: number }[]>} */ (
    page.evaluate("observed.longTasks")
  );
}

/** Bytes of script objects that a page holds on to, garbage collected first. */
export async function heapBytes(/** @type {Page} */ page) {
  const session = await page.context().newCDPSession(page);
  await session.send("HeapProfiler.enable");
  await session.send("HeapProfiler.collectGarbage");
  const { usedSize } = await session.send("Runtime.getHeapUsage");
  await session.detach();
  return usedSize;
}

/** Writes what a page shows to `target/screenshots/NAME.png`. */
export async function screenshot(/** @type {Page} */ page, /** @type {string} */ name) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
}
