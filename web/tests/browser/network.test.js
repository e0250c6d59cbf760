// The harness itself: a network that cuts, refuses and stalls, and a server that outlives a kill.
//
// What the other tests conclude from them is worth as much as what is shown here.

import assert from "node:assert/strict";
import { get } from "node:http";
import { test } from "node:test";
import { STREAM } from "../harness/browser.js";
import { numbered } from "../harness/api.js";
import { Proxy } from "../harness/proxy.js";
import { Scrollback } from "../harness/scrollback.js";
import { until } from "../harness/until.js";

/**
 * Follows the combined feed with a bare request.
 *
 * @param {string} url
 */
function follow(url) {
  const seen = { text: "", ended: false, error: "" };
  const request = get(`${url}${STREAM}?after_seq=0`, (response) => {
    response.on("data", (chunk) => (seen.text += String(chunk)));
    response.on("error", () => {});
    response.on("close", () => (seen.ended = true));
  });
  request.on("error", (error) => (seen.error = error.message));
  return seen;
}

test("the network can be cut, refused and stalled, and the server killed", async (t) => {
  const server = await Scrollback.start();
  t.after(() => server.stop());
  const proxy = await Proxy.to(server.port);
  t.after(() => proxy.close());
  await server.api.createChat("c");
  const turn = await server.api.turn("c", "hi");
  await turn.say(server.api, ...numbered("w", 0, 50));

  const cut = follow(proxy.url);
  await until("the first stream has all", () => cut.text.includes("w49"));
  assert.equal(proxy.open(STREAM), 1);
  proxy.cut();
  await until("the cut ends it", () => cut.ended);
  assert.equal(proxy.open(STREAM), 0);

  await proxy.refuse();
  const refused = follow(proxy.url);
  await until("nobody is let in", () => refused.error.includes("ECONNREFUSED"));
  await proxy.restore();

  const stalled = follow(proxy.url);
  const other = follow(server.url);
  await until("the second stream has all", () => stalled.text.includes("w49"));
  proxy.stall();
  await turn.say(server.api, "while stalled");
  await until("others get it", () => other.text.includes("while stalled"));
  assert.ok(!stalled.text.includes("while stalled"));
  assert.ok(!stalled.ended);
  await proxy.restore();
  await until("it comes after all", () => stalled.text.includes("while stalled"));

  await server.kill();
  await until("the kill ends it", () => stalled.ended);
  await server.restart();
  await turn.say(server.api, "afterwards");
  await turn.complete(server.api);
  const message = await server.api.lastMessage("c");
  assert.equal(message["stream_status"], "completed");
  assert.ok(message["content_text"].endsWith("while stalledafterwards"));
});
