// How long a page keeps its main thread busy at a time.
//
// Measured in processor time: what a person feels on a machine that does nothing else, and the
// same on one that does. What the browser calls a long task, by the clock, is `longTasks` in
// `browser.js`.

/** @typedef {{ name: string, pid: number, tid: number, tdur?: number, args: any }} Traced */

/**
 * Watches the main threads of a browser while something runs in it.
 *
 * @param {import("playwright-core").Browser} browser
 * @param {() => Promise<void>} run
 * @returns {Promise<number[]>} The processor time of each task, in milliseconds, longest first.
 */
export async function tasksDuring(browser, run) {
  await browser.startTracing(undefined, { categories: ["toplevel"] });
  let trace;
  try {
    await run();
  } finally {
    trace = await browser.stopTracing();
  }
  /** @type {Traced[]} */
  const events = JSON.parse(trace.toString()).traceEvents;
  const threads = new Set();
  for (const event of events) {
    const isMain = event.name === "thread_name" && event.args.name === "CrRendererMain";
    if (isMain) threads.add(`${event.pid} ${event.tid}`);
  }
  const tasks = events.filter((event) => {
    return event.name.endsWith("::RunTask") && threads.has(`${event.pid} ${event.tid}`);
  });
  return tasks.map((task) => (task.tdur ?? 0) / 1_000).sort((a, b) => b - a);
}
