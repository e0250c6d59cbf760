// Serves the example: the page, bundled at start, and everything else from Scrollback.
//
// A page that is served by something else needs the same: /api and /v1 of its own origin go to
// Scrollback, unbuffered. usage: node serve.mjs [PORT [SCROLLBACK_URL]]

import { createServer, request } from "node:http";
import { fileURLToPath, pathToFileURL } from "node:url";

const PAGE = `<!doctype html><meta charset="utf-8"><title>Chat</title>
<link rel="icon" href="data:,">
<body><script type="module" src="/app.js"></script>`;

/** How esbuild makes the page's script. */
export const BUILD = {
  entryPoints: [fileURLToPath(new URL("app.jsx", import.meta.url))],
  bundle: true,
  format: "esm",
  jsx: "automatic",
  write: false,
  define: { "process.env.NODE_ENV": '"production"' },
};

/** A server for the page; `target()` is Scrollback's address. */
export function serve(script, target) {
  return createServer((asked, answer) => {
    if (asked.url === "/") return answer.setHeader("content-type", "text/html").end(PAGE);
    if (asked.url === "/app.js") {
      return answer.setHeader("content-type", "text/javascript").end(script);
    }
    const { method, headers } = asked;
    const passed = request(new URL(asked.url, target()), { method, headers }, (response) => {
      answer.writeHead(response.statusCode, response.headers);
      response.pipe(answer);
      // What breaks off there breaks off here, so that the page knows.
      response.on("error", () => answer.destroy());
    });
    passed.on("error", () => answer.destroy());
    answer.on("close", () => passed.destroy());
    asked.pipe(passed);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [port = "3000", url = "http://127.0.0.1:7878"] = process.argv.slice(2);
  const { build } = await import("esbuild");
  const server = serve((await build(BUILD)).outputFiles[0].text, () => url);
  server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`));
}
