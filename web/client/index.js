/**
 * @module
 * What the package offers.
 */

export { connect, Client } from "./client.js";
export { Chat, ChatQueue } from "./chat.js";
export { NetworkError, ProblemError } from "./calls.js";
export { WireError } from "./wire.js";
export * as state from "./state.js";

/** @typedef {import("./client.js").Options} Options */
/** @typedef {import("./link.js").ConnectionState} ConnectionState */
/** @typedef {import("./open_chats.js").ChatView} ChatView */
/** @typedef {import("./outbox.js").Sending} Sending */
/** @typedef {import("./outbox.js").SendOptions} SendOptions */
/** @typedef {import("./wire.js").ChatRow} ChatRow */
/** @typedef {import("./wire.js").MessageRow} MessageRow */
/** @typedef {import("./wire.js").QueueRow} QueueRow */
/** @typedef {import("./wire.js").RequestRow} RequestRow */
