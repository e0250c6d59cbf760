// What agents say in the pictures: events of a turn that put a page into a state worth seeing.

/** @typedef {{ kind: string, payload: Record<string, any> }} Said */

/** @returns {Said} */
const text = (/** @type {string} */ said) => ({ kind: "assistant_text", payload: { text: said } });

/** @returns {Said} */
const think = (/** @type {string} */ thinking) => ({
  kind: "assistant_thinking",
  payload: { thinking },
});

/** @returns {Said} */
const started = (/** @type {Record<string, any>} */ tool) => ({
  kind: "tool_started",
  payload: { tool },
});

const SIZE = { id: "size", name: "run", title: "Ask the database for its size" };

/** Thinking, a plan, a tool that is done, one that failed and one that runs. @returns {Said[]} */
export function working() {
  const entries = [
    { content: "Look at the size of the database", status: "completed", priority: "high" },
    { content: "Replicate it while the shop runs", status: "in_progress", priority: "high" },
    { content: "Rehearse the switch with a copy", status: "pending", priority: "medium" },
  ];
  const disk = { id: "disk", name: "run", title: "Look at the free space" };
  return [
    think("The database is the only thing that changes while it is copied, so the order matters."),
    { kind: "plan", payload: { entries } },
    started({ ...SIZE, input: { command: "SELECT pg_size_pretty(pg_database_size('shop'))" } }),
    { kind: "tool_completed", payload: { tool: { ...SIZE, result: { rows: ["182 GB"] } } } },
    started({ ...disk, input: { host: "new-1" } }),
    { kind: "tool_failed", payload: { tool: { ...disk, error: "new-1 does not answer" } } },
    text("The database has **182 GB**, so I would rather replicate than copy it. "),
    started({ id: "start", name: "run", title: "Start the replication", input: { slots: 1 } }),
  ];
}

/** A tool that needs an approval. @returns {Said[]} */
export function asking() {
  const title = "Send “Maintenance on Sunday” to 214 people";
  const tool = { id: "send", name: "send_mail", title };
  const options = [
    { option_id: "send", name: "Send it", kind: "allow_once" },
    { option_id: "no", name: "Do not send", kind: "reject_once" },
  ];
  return [
    text("The draft is ready. A mail cannot be taken back, so I would like a yes first."),
    started({ ...tool, input: { list: "customers-eu" } }),
    { kind: "permission_request", payload: { request_id: "send-mail", tool, options } },
  ];
}

/** The beginning of an answer. @returns {Said[]} */
export function streaming() {
  return [
    text("## Why the nightly import got slower\n\nIn short: **nothing is broken, one step "),
    text("outgrew its index.** The import took 11 minutes in June and takes 47 now, and almost "),
  ];
}

/** A whole answer. @returns {Said[]} */
export function report() {
  const table = [
    "| step | June | November |",
    "|---|---:|---:|",
    "| fetch the files | 2 min 10 s | 2 min 25 s |",
    "| match customers | 3 min 20 s | **38 min 50 s** |",
  ];
  const code = ["```sql", "CREATE INDEX CONCURRENTLY customers_email_lower"];
  return [
    think("Only one step has grown faster than the number of rows."),
    ...streaming(),
    text(`all of it is in one query.\n\n${table.join("\n")}\n\n`),
    text(`${code.join("\n")}\n    ON customers (lower(email));\n\`\`\`\n\n`),
    text("1. Build the index; reads and writes go on meanwhile.\n2. Measure again.\n\n"),
    text("> It takes about 90 MB and two minutes.\n"),
    {
      kind: "usage",
      payload: { input_tokens: 3180, output_tokens: 611, context_window: 128000, cost_usd: 0.0187 },
    },
    { kind: "prompt_suggestions", payload: { suggestions: ["Write the migration", "Measure it"] } },
  ];
}

/** @returns {Said[]} */
export const halfASentence = () => [
  think("There are two stories about it, and only one of them is true."),
  text("The keeper's log ends in the middle of a line. What he wanted to write was"),
];

/** Why turns fail. */
export const REASONS = {
  provider_transport: "the connection to the model was lost in the middle of the answer",
  provider_auth: "the model's server does not accept the key",
};

/** The end of a turn that goes well. @returns {Said[]} */
export const end = () => [
  { kind: "complete", payload: { status: "completed", duration_ms: 4_200 } },
];
