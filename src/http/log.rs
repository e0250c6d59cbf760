//! `/v1/log`: the log as a whole, over all chats, for who looks into it: its state, its events, and
//! one event as it is stored.
//!
//! What is wanted and found is `inspect`'s, as on the command line. Deleted chats may be named, and
//! an event that was erased with its chat is shown as erased: its place stays.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawPathParams, State};
use axum::http::{Response, StatusCode};
use scrollback_schema::batch::PayloadState;
use scrollback_schema::limits::{LIST_LIMIT_MAX, LOOK_BYTES_MAX};
use scrollback_schema::migrations::MIGRATIONS;
use scrollback_schema::{ChatId, IdError, Kind, MessageId, Recorded, Seq, TurnId, wire};
use serde_json::{Value, json};

use super::App;
use super::answer;
use super::error::{Code, Problem};
use super::request::{Params, parse_cursor};
use crate::clock::monotonic;
use crate::inspect::{Found, Search, Wanted};
use crate::log::offline::{OfflineLog, StoredForm};
use crate::log::{PageLimits, ReadError, Scope};
use crate::projector::VIEWS_DIR;

/// How long one call looks for events that are rare; then it says where to go on.
const SEARCH_WAIT: Duration = Duration::from_millis(250);

/// Bytes of a payload that are shown as they are stored.
const PAYLOAD_SHOWN_MAX: usize = 16 << 10;

/// Says how the log is
///
/// `appended_total` and `readers` are of this server since it started: the events that it has
/// committed, and the streams that are open.
#[utoipa::path(
    get,
    path = "/v1/log",
    operation_id = "get_log",
    responses((
        status = 200,
        description = "The log",
        body = ref("#/components/schemas/LogState")
    ))
)]
pub(crate) async fn get_log(State(app): State<App>) -> Result<Response<Body>, Problem> {
    let (log, head) = (app.log(), app.log().head());
    let page = log.read(&Scope::All, head.prev(), head, PageLimits::default()).await?;
    let head_at = page.sections.last().map(|section| section.at().to_string());
    let dir = log.dir().to_owned();
    let sizes = tokio::task::spawn_blocking(move || sizes(&dir)).await.unwrap_or_default();
    let [log_bytes, wal_bytes, views_bytes] = sizes;
    let body = json!({
        "log_id": log.log_id(),
        "head_seq": head.get(),
        "head_at": head_at,
        "log_bytes": log_bytes,
        "wal_bytes": wal_bytes,
        "views_bytes": views_bytes,
        "readers": app.metrics().n_readers(),
        "appended_total": app.metrics().n_events(),
        "sqlite_version": rusqlite::version(),
        "format_version": MIGRATIONS.last().map_or(0, |migration| migration.version),
        "server_version": env!("CARGO_PKG_VERSION"),
    });
    Ok(answer::json(StatusCode::OK, &body))
}

/// Bytes of log.db, of its WAL and of all views; 0 for what is not there.
fn sizes(dir: &Path) -> [u64; 3] {
    let size = |name: &str| std::fs::metadata(dir.join(name)).map_or(0, |file| file.len());
    let views = std::fs::read_dir(dir.join(VIEWS_DIR)).into_iter().flatten();
    let views = views.filter_map(|entry| entry.ok()?.metadata().ok()).map(|file| file.len());
    [size("log.db"), size("log.db-wal"), views.sum()]
}

/// Lists events over all chats, the newest page unless a position is given
///
/// Items are in the order of the log, and are envelopes; one that was erased with its chat has
/// `erased` and no payload. A page can have fewer items than asked for, or none, before all was
/// looked through: it goes on with `after_seq` set to `next_after_seq`, or backwards with
/// `before_seq` set to `next_before_seq`, which is null at the beginning of what is wanted.
#[utoipa::path(
    get,
    path = "/v1/log/events",
    operation_id = "list_log_events",
    params(
        ("after_seq" = Option<i64>, Query, minimum = 0,
            description = "Take the first events behind this seq"),
        ("before_seq" = Option<i64>, Query, minimum = 0,
            description = "Take the last events before this seq; not together with `after_seq`"),
        ("limit" = Option<i32>, Query, minimum = 1, maximum = 500,
            description = "Items in the page at most; 50 by default"),
        ("chat" = Option<String>, Query, description = "Take the events of this chat"),
        ("message" = Option<String>, Query, description = "Take the events of this message"),
        ("turn" = Option<String>, Query, description = "Take the events of this turn"),
        ("kind" = Option<String>, Query,
            description = "Kinds of events to take, by name or number, separated by commas"),
        ("text" = Option<String>, Query,
            description = "Take events whose text contains this, in upper or lower case"),
    ),
    responses((
        status = 200,
        description = "A page",
        body = ref("#/components/schemas/LogEventPage")
    ))
)]
pub(crate) async fn list_log_events(
    State(app): State<App>,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let head = app.log().head();
    let (wanted, place) = (wanted(&params)?, Place::of(&params, head)?);
    let events_max = params.limit(LIST_LIMIT_MAX)?;
    let text = app
        .look(move |log| {
            let plan = wanted.plan(log, head)?;
            let deadline = Some(monotonic() + SEARCH_WAIT);
            let search = Search { events_max, bytes_max: LOOK_BYTES_MAX, deadline };
            let found = match place {
                Place::After(after) => search.forwards(log, &plan, after)?,
                Place::Before(before) => search.backwards(log, &plan, before.prev())?,
            };
            let bounds = (plan.stretch.after, plan.stretch.until);
            Ok(page(&found, &place, bounds, head))
        })
        .await?;
    Ok(answer::json_text(StatusCode::OK, text))
}

/// Where a page is.
enum Place {
    /// It begins behind this seq.
    After(Seq),
    /// It ends before this seq.
    Before(Seq),
}

impl Place {
    fn of(params: &Params, head: Seq) -> Result<Place, Problem> {
        match (params.seq("after_seq")?, params.seq("before_seq")?) {
            (Some(_), Some(_)) => {
                let detail = "parameters after_seq and before_seq exclude each other";
                Err(Problem::new(Code::BadQuery, detail))
            }
            (Some(after), None) if after > head => Err(Problem::ahead("after_seq", after, head)),
            (Some(after), None) => Ok(Place::After(after)),
            (None, Some(before)) if before > head.next() => {
                Err(Problem::ahead("before_seq", before, head))
            }
            (None, Some(before)) => Ok(Place::Before(before)),
            (None, None) => Ok(Place::Before(head.next())),
        }
    }
}

fn wanted(params: &Params) -> Result<Wanted, Problem> {
    fn id<T>(
        params: &Params,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>, Problem> {
        let named = |error| Problem::new(Code::BadId, format!("{name}: {error}"));
        params.text(name).map(parse).transpose().map_err(named)
    }
    Ok(Wanted {
        chat: id(params, "chat", ChatId::parse)?,
        message: id(params, "message", MessageId::parse)?,
        turn: id(params, "turn", TurnId::parse)?,
        kinds: params.text("kind").map_or(Ok(Vec::new()), kinds)?,
        text: params.text("text").map(str::to_owned),
        ..Wanted::default()
    })
}

/// The stored numbers of kinds that are named; numbers too, since a newer program may have more.
fn kinds(text: &str) -> Result<Vec<u16>, Problem> {
    let number = |name: &str| {
        let known = Kind::from_name(name).map(Kind::number);
        known.or_else(|| name.parse().ok()).ok_or_else(|| {
            let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
            let detail = format!("parameter kind names no kind; known are: {}", known.join(", "));
            Problem::new(Code::BadQuery, detail)
        })
    };
    text.split(',').map(|name| number(name.trim())).collect()
}

/// The answer; what is wanted lies within `bounds`, so that whoever comes there has seen all of it.
fn page(found: &Found, place: &Place, bounds: (Seq, Seq), head: Seq) -> Vec<u8> {
    let (first, last) = (found.events.front(), found.events.back());
    let (next_after, next_before, through) = match place {
        Place::After(after) => {
            let through = if found.stop >= bounds.1 { head } else { found.stop };
            let before = Some(after.next()).filter(|_| *after > bounds.0);
            (through, before, through)
        }
        Place::Before(before) => {
            let next = Some(found.stop.next()).filter(|_| found.stop > bounds.0);
            let through = next.unwrap_or(Seq::ZERO.next()).min(before.prev());
            (before.prev(), next, through)
        }
    };
    let mut json = b"{\"items\":[".to_vec();
    for (index, event) in found.events.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        write_envelope(&mut json, event);
    }
    let rest = json!({
        "first_seq": first.map(|event| event.seq.get()),
        "last_seq": last.map(|event| event.seq.get()),
        "next_after_seq": next_after.get(),
        "next_before_seq": next_before.map(Seq::get),
        "scanned_through": through.get(),
        "head_seq": head.get(),
    });
    json.extend_from_slice(b"],");
    json.extend_from_slice(&rest.to_string().as_bytes()[1..]);
    json
}

/// The envelope as `inspect events --json` prints it.
fn write_envelope(out: &mut Vec<u8>, event: &Recorded) {
    wire::write_line(out, event);
    out.truncate(out.trim_ascii_end().len());
}

/// Shows an event and how it is stored
///
/// The payload is shown as far as it reaches; a payload that does not decode is told as
/// `unreadable`, with the reason.
#[utoipa::path(
    get,
    path = "/v1/log/events/{seq}",
    operation_id = "get_log_event",
    params(("seq" = i64, Path, minimum = 1, description = "The seq of the event")),
    responses((
        status = 200,
        description = "The event",
        body = ref("#/components/schemas/LogEvent")
    ))
)]
pub(crate) async fn get_log_event(
    State(app): State<App>,
    path: RawPathParams,
) -> Result<Response<Body>, Problem> {
    let text = path.iter().find(|(name, _)| *name == "seq").map_or("", |(_, text)| text);
    let seq = parse_cursor("seq", text)?;
    if seq == Seq::ZERO {
        return Err(Problem::new(Code::BadCursor, "seq: the first event has seq 1"));
    }
    let head = app.log().head();
    if seq > head {
        return Err(Problem::ahead("seq", seq, head));
    }
    let body = app.look(move |log| event(log, seq)).await?;
    Ok(answer::json(StatusCode::OK, &body))
}

fn event(log: &mut OfflineLog, seq: Seq) -> Result<Value, Problem> {
    let stored = log.stored(seq)?.ok_or(ReadError::Gap { seq })?;
    let page = log.page(&Scope::All, seq.prev(), seq, PageLimits { events: 1, bytes: 1 })?;
    let section = page.sections.first().ok_or(ReadError::Gap { seq })?;
    let index = section.events_in(seq.prev(), seq).start;
    let (envelope, unreadable) = match section.recorded(index) {
        Ok(event) => {
            let mut json = Vec::new();
            write_envelope(&mut json, &event);
            let json = String::from_utf8(json).expect("an envelope is text");
            let json = serde_json::from_str::<Value>(&json).expect("an envelope is JSON");
            (Some(json), None)
        }
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(json!({
        "envelope": envelope,
        "unreadable": unreadable,
        "stored": stored_value(&stored),
    }))
}

fn stored_value(stored: &StoredForm) -> Value {
    let state = match stored.state {
        PayloadState::Intact => "intact",
        PayloadState::Erased => "erased",
        PayloadState::Damaged => "damaged",
    };
    let shown = &stored.payload[..stored.payload.len().min(PAYLOAD_SHOWN_MAX)];
    json!({
        "kind_number": stored.kind,
        "version": stored.version,
        "format_byte": stored.payload.first(),
        "payload_bytes": stored.payload.len(),
        "payload_hex": hex(shown),
        "is_payload_cut": shown.len() < stored.payload.len(),
        "erased": stored.state == PayloadState::Erased,
        "payload_state": state,
        "batch": {
            "batch_id": hex(&stored.batch.head.batch_id),
            "first_seq": stored.batch.head.first_seq.get(),
            "n_events": stored.batch.head.n_events,
            "bytes": stored.batch.n_bytes,
            "checksum": format!("{:08x}", stored.batch.checksum),
            "at": stored.batch.head.at.to_string(),
        },
    })
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("text can be written");
    }
    text
}
