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
  return busiest(tasks).sort((a, b) => b - a);
}

/**
 * The page's tasks: those of the thread that had the most to do. The browser starts renderers in
 * advance, and their first tasks hold nobody up.
 *
 * @param {Traced[]} tasks
 */
function busiest(tasks) {
  /** @type {Map<number, number[]>} */
  const byProcess = new Map();
  for (const task of tasks) {
    const times = byProcess.get(task.pid) ?? [];
    times.push((task.tdur ?? 0) / 1_000);
    byProcess.set(task.pid, times);
  }
  const total = (/** @type {number[]} */ times) => times.reduce((sum, ms) => sum + ms, 0);
  return [...byProcess.values()].sort((a, b) => total(b) - total(a))[0] ?? [];
}
