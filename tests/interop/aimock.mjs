// A scripted model server that we did not write, with one message for each way to answer or fail.
// Prints its address, and ends with its standard input.
import { LLMock } from "@copilotkit/aimock";

const mock = new LLMock({ port: 0, logLevel: "silent" });
const on = (userMessage, response, options) => mock.on({ userMessage }, response, options);
const fail = (userMessage, status, type, code, message = "no") =>
  on(userMessage, { error: { message, type, code }, status });
const long = { content: "This sentence will never come to its end." };

on("say hello", { content: "Hello, how can I help you today?" }, { chunkSize: 4 });
on("think", { reasoning: "first I think", content: "then I say" }, { chunkSize: 5 });
const toolCalls = [
  { name: "look", arguments: { q: "weather" } },
  { name: "go", arguments: {} },
];
on("use tools", { toolCalls }, { chunkSize: 3 });
fail("be locked", 401, "authentication_error", "invalid_api_key");
fail("be unknown", 404, "not_found_error", "model_not_found");
const full = "prompt is too long: 210000 tokens > 200000 maximum";
fail("be full", 400, "invalid_request_error", "context_length_exceeded", full);
fail("be busy", 429, "rate_limit_error", "rate_limit_exceeded");
fail("be broken", 500, "server_error", null);
fail("be overloaded", 529, "overloaded_error", null);
on("be cut", long, { chunkSize: 2, latency: 20, truncateAfterChunks: 6 });
on("be disconnected", long, { chunkSize: 2, latency: 50, disconnectAfterMs: 300 });
on("be malformed", long, { chaos: { malformedRate: 1 } });
on("be dropped", long, { chaos: { dropRate: 1 } });
on("be hung up", long, { chaos: { disconnectRate: 1 } });
on("be limited", long, { chaos: { rateLimitRate: 1 } });

await mock.start();
console.log(mock.url);
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
