// Follows a stream with the npm package `eventsource`, as it is: it reconnects by itself and sends
// the last id that it saw. Prints `ID DATA` for each event of the log, and ends when the server
// says that the turn is over.
//
// usage: node reader.mjs URL

import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);

source.addEventListener("stream", (event) => {
  process.stdout.write(`${event.lastEventId} ${event.data}\n`);
});

source.addEventListener("bye", (event) => {
  // Any other reason, such as a shutdown, is one to come back after.
  if (JSON.parse(event.data).reason === "idle") source.close();
});

source.addEventListener("error", (event) => {
  process.stderr.write(`cut: ${event.message ?? event.code ?? "the stream ended"}\n`);
  if (source.readyState === source.CLOSED) process.exitCode = 2;
});
