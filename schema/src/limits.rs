//! Every bound of the system in one place, each with its unit and its reason.

/// Characters of an id: fits a UUID with any prefix an application may want.
pub const ID_LEN_MAX: usize = 128;

/// Bytes of one stored payload: a tool result of a few thousand lines, not a file.
pub const PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// Bytes of one row blob of a read model: a full queue of the largest messages; SQLite itself takes
/// a billion.
pub const ROW_BYTES_MAX: usize = 512 << 20;

/// Events in one append: a long import page; larger ones hold the writer for too long.
pub const APPEND_EVENTS_MAX: usize = 10_000;

/// Bytes of one append's payloads: at most four of the largest events.
pub const APPEND_BYTES_MAX: usize = 16 << 20;

/// Bytes of one HTTP request body: the largest append as JSON, escapes included.
pub const HTTP_BODY_BYTES_MAX: usize = 20 << 20;

/// Events copied by one fork; the copy is one transaction, which holds the writer.
pub const FORK_EVENTS_MAX: usize = 200_000;

/// Payload bytes copied by one fork.
pub const FORK_BYTES_MAX: usize = 64 << 20;

/// Payload bytes after which a record batch is closed and the commit continues in a next row:
/// what a reader of one chat has to read of its neighbours is bounded by it.
pub const BATCH_BYTES_SOFT: usize = 64 << 10;

/// Bytes of appended payload that one commit gathers before it syncs.
pub const COMMIT_BYTES_MAX: usize = 8 << 20;

/// Appends that one commit gathers.
pub const COMMIT_APPENDS_MAX: usize = 4_096;

/// Appends waiting for the writer; one more waits in its own task.
pub const APPEND_QUEUE_MAX: usize = 4_096;

/// Connections at once unless told otherwise: ten thousand readers, and room for
/// those who come and go.
pub const CONNECTIONS_DEFAULT: usize = 16_384;

/// Connections that a server can be told to take at once.
pub const CONNECTIONS_MAX: usize = 1_000_000;

/// Streams at once unless told otherwise; the other connections are left to calls.
pub const STREAMS_DEFAULT: usize = 12_000;

/// Requests at once unless told otherwise, streams not counted: each holds an answer.
pub const REQUESTS_DEFAULT: usize = 2_048;

/// Requests among them that may write: what they append waits for the writer.
pub const WRITES_DEFAULT: usize = 1_024;

/// Bytes of all bodies that are held at once unless told otherwise.
pub const BODIES_BYTES_DEFAULT: usize = 256 << 20;

/// Callers whose rate is remembered; who was not heard of for longest is forgotten first.
pub const RATED_CALLERS_MAX: usize = 65_536;

/// Events in one page of a read; with [`PAGE_BYTES_MAX`] the bound of what a reader holds.
pub const PAGE_EVENTS_MAX: usize = 4_096;

/// Payload bytes after which a page of a read ends; a single larger event is a page of its own.
pub const PAGE_BYTES_MAX: usize = 512 << 10;

/// Items in one page of an HTTP list.
pub const LIST_LIMIT_MAX: usize = 500;

/// Items in one page of an HTTP list unless the client asks otherwise.
pub const LIST_LIMIT_DEFAULT: usize = 50;

/// Events in one page of `GET …/events`.
pub const EVENTS_LIMIT_MAX: usize = 1_000;

/// Looks into the log for the inspector at once; each is on a thread for a fraction of a second.
pub const LOOKS_MAX: usize = 4;

/// Payload bytes of the events that one look finds, after which it ends.
pub const LOOK_BYTES_MAX: usize = 4 << 20;

/// Items in one page of a turn's time line.
pub const TIMELINE_ITEMS_MAX: usize = 1_000;

/// Chats that one combined feed may name.
pub const FEED_CHATS_MAX: usize = 1_000;

/// Approvals and questions that one chat may have pending: a person answers them one by one.
pub const PENDING_REQUESTS_MAX: usize = 64;

/// Messages in one chat's queue.
pub const QUEUE_LENGTH_MAX: usize = 100;

/// Schedules of one chat.
pub const SCHEDULES_MAX: usize = 100;

/// Runs of a schedule that its read model keeps; the log keeps all. A chat's schedules are one row,
/// which each run rewrites.
pub const SCHEDULE_RUNS_KEPT: usize = 20;

/// Shortest distance in milliseconds from one run of a schedule to the next.
pub const SCHEDULE_EVERY_MS_MIN: u64 = 1_000;

/// Longest distance in milliseconds from one run of a schedule to the next: a year.
pub const SCHEDULE_EVERY_MS_MAX: u64 = 366 * 24 * 60 * 60 * 1_000;

/// Missed runs that are counted one by one: a minute's schedule over ten weeks; more are said to be
/// as many.
pub const SCHEDULE_MISSED_MAX: u64 = 100_000;

/// Characters of a title.
pub const TITLE_LEN_MAX: usize = 1_000;

/// Items of a list within one payload: attachments, options, entries of a plan, suggestions.
pub const LIST_ITEMS_MAX: usize = 1_000;

/// Levels to which free JSON in a payload may nest: with what is around it in an envelope or a read
/// model, it stays below the 128 at which common parsers give up.
pub const JSON_DEPTH_MAX: usize = 100;

/// Bytes of an `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_LEN_MAX: usize = 255;

/// Milliseconds for which an idempotency key is remembered: a day, as the field does.
pub const IDEMPOTENCY_TTL_MS: i64 = 24 * 60 * 60 * 1_000;

/// Shortest lease in milliseconds.
pub const LEASE_MS_MIN: u64 = 100;

/// Lease in milliseconds unless the producer asks otherwise: longer than a model's pauses.
pub const LEASE_MS_DEFAULT: u64 = 60_000;

/// Longest lease in milliseconds.
pub const LEASE_MS_MAX: u64 = 60 * 60 * 1_000;

/// Milliseconds between two heartbeats of a quiet stream; proxies cut at 30 s and more.
pub const HEARTBEAT_MS: u64 = 15_000;

/// Bytes of recent batches kept in memory for live readers; older ones are read from the file.
pub const RECENT_BYTES_MAX: usize = 64 << 20;

/// Bytes of a stored chunk of message text: a delta rewrites one chunk, never the message.
pub const TEXT_CHUNK_BYTES: usize = 4 << 10;

/// Bytes between the two ends of `<prompt_suggestions>` within which it is taken for a tag.
pub const SUGGESTIONS_TAG_BYTES_MAX: usize = 16 << 10;

/// Turns that the server runs at once unless told otherwise: each is a connection or a process.
pub const TURNS_RUNNING_DEFAULT: usize = 256;

/// Turns that the server can be told to run at once.
pub const TURNS_RUNNING_MAX: usize = 10_000;

/// Turns that wait for one of those to end; one more is refused.
pub const TURNS_WAITING_MAX: usize = 4_096;

/// Events of a turn that wait in memory while an append is on its way; the provider then waits.
pub const SAID_EVENTS_MAX: usize = 512;

/// Bytes of a turn's events after which no more wait in memory; one larger event is let in.
pub const SAID_BYTES_MAX: usize = 256 << 10;

/// Bytes of an answer unless told otherwise: a thick book.
pub const OUTPUT_BYTES_DEFAULT: usize = 4 << 20;

/// Bytes to which an answer can be allowed to grow: a reader of a snapshot holds all of it.
pub const OUTPUT_BYTES_MAX: usize = 64 << 20;

/// Messages of a chat that a model is told, the latest ones.
pub const HISTORY_MESSAGES_MAX: usize = 2_000;

/// Bytes of text that a model is told: more than any model's window.
pub const HISTORY_BYTES_MAX: usize = 8 << 20;

/// Characters of a title that is made of a user's first message.
pub const TITLE_MADE_LEN_MAX: usize = 60;

/// Bytes of one event, line or unstreamed answer from a model's endpoint: a whole tool call, far
/// above any delta, and what an endpoint gone wild costs a turn.
pub const PROVIDER_FRAME_BYTES_MAX: usize = 2 << 20;

/// Bytes of the arguments of all tool calls of one model's answer.
pub const PROVIDER_TOOL_INPUT_BYTES_MAX: usize = 2 << 20;

/// Tool calls of one model's answer.
pub const PROVIDER_TOOL_CALLS_MAX: usize = 256;

/// Bytes that are read of an endpoint's refusal: its words stand at the beginning.
pub const PROVIDER_REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Bytes of one line that an agent's process writes: the largest event in JSON, escapes included,
/// and a file within a replayed session.
pub const AGENT_LINE_BYTES_MAX: usize = 16 << 20;

/// Bytes of answers that wait for an agent which does not read them.
pub const AGENT_UNREAD_BYTES_MAX: usize = 1 << 20;

/// Bytes of the conversation so far that an agent without a session of it is told: agents put it
/// into their context whole.
pub const AGENT_CONTEXT_BYTES_MAX: usize = 256 << 10;

/// Tool calls of one turn whose names are remembered; later ones have to name themselves.
pub const AGENT_TOOL_CALLS_MAX: usize = 10_000;

const _: () = {
    assert!(PAYLOAD_BYTES_MAX < AGENT_LINE_BYTES_MAX, "a line holds the largest event");
    assert!(PROVIDER_FRAME_BYTES_MAX < PAYLOAD_BYTES_MAX, "a frame's text is one event");
    assert!(PAYLOAD_BYTES_MAX <= APPEND_BYTES_MAX, "an append holds its largest event");
    assert!(APPEND_BYTES_MAX < HTTP_BODY_BYTES_MAX, "a body holds its largest append");
    assert!(BATCH_BYTES_SOFT <= COMMIT_BYTES_MAX, "a commit holds a batch");
    assert!(
        WRITES_DEFAULT <= APPEND_QUEUE_MAX,
        "the writer's queue holds every append of a client"
    );
    assert!(WRITES_DEFAULT < REQUESTS_DEFAULT, "writers leave room for readers");
    assert!(
        STREAMS_DEFAULT + REQUESTS_DEFAULT < CONNECTIONS_DEFAULT,
        "streams leave room for calls"
    );
    assert!(HTTP_BODY_BYTES_MAX <= BODIES_BYTES_DEFAULT, "the largest body fits");
    assert!(EVENTS_LIMIT_MAX <= PAGE_EVENTS_MAX, "one read answers an events call");
    assert!(
        LEASE_MS_MIN < LEASE_MS_DEFAULT && LEASE_MS_DEFAULT < LEASE_MS_MAX,
        "leases are ordered"
    );
    assert!(LIST_LIMIT_DEFAULT <= LIST_LIMIT_MAX, "a default page is a legal page");
    assert!(
        2 * (SAID_BYTES_MAX + PAYLOAD_BYTES_MAX) <= APPEND_BYTES_MAX,
        "what waits in memory and what could not be stored end in one append"
    );
    assert!(TITLE_MADE_LEN_MAX <= TITLE_LEN_MAX, "a made title is a legal title");
};
