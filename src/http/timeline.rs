//! `GET …/turns/{turn}`: where the time of a turn went, as `inspect turn` tells it.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use scrollback_schema::limits::TIMELINE_ITEMS_MAX;
use scrollback_schema::{Millis, Seq};
use serde_json::{Value, json};

use super::App;
use super::answer;
use super::error::Problem;
use super::gate::Caller;
use super::request::{Params, TurnPath};
use crate::clock::monotonic;
use crate::inspect::{Run, Timeline};
use crate::log::offline::FoundTurn;
use crate::log::{Log, PageLimits, ReadError, Scope};

/// How long one call reads; then it says where to go on.
const READ_WAIT: Duration = Duration::from_millis(500);

/// Shows a turn as a time line
///
/// Adjacent deltas are one item, other events stand alone; `gap_ms` is the silence before. A page
/// with `next_after_seq` goes on with `after_seq` set to it.
#[utoipa::path(
    get,
    path = "/v1/chats/{chat}/turns/{turn}",
    operation_id = "get_turn",
    params(("after_seq" = Option<i64>, Query, minimum = 0,
        description = "`next_after_seq` of the page before")),
    responses((
        status = 200,
        description = "The turn",
        body = ref("#/components/schemas/TurnTimeline")
    ))
)]
pub(crate) async fn get_turn(
    State(app): State<App>,
    caller: Caller,
    TurnPath(chat, turn): TurnPath,
    params: Params,
) -> Result<Response<Body>, Problem> {
    let after = params.seq("after_seq")?.unwrap_or_default();
    let chat = app.chat(&caller, &chat).await?;
    let (log, head) = (app.log().clone(), app.log().head());
    if after > head {
        return Err(Problem::ahead("after_seq", after, head));
    }
    let body = app
        .look(move |offline| {
            let found = offline.find_turns(&turn, Some(chat.created))?;
            let found = found.first().ok_or_else(|| Problem::turn_not_found(&turn))?;
            Ok(show(&log, found, after, head)?)
        })
        .await?;
    Ok(answer::json(StatusCode::OK, &body))
}

fn show(log: &Log, found: &FoundTurn, after: Seq, head: Seq) -> Result<Value, ReadError> {
    let scope = Scope::Chat(found.chat.created);
    let started = found.turn.started;
    let until = found.ended.unwrap_or(head).min(head);
    let at = |seq: Seq| -> Result<Option<Millis>, ReadError> {
        let page = log.read_blocking(&scope, seq.prev(), seq, PageLimits::default())?;
        let of_turn = |turn: Option<Seq>| turn == Some(started);
        let section = page.sections.first();
        let section = section.filter(|section| of_turn(section.turn().map(|turn| turn.started)));
        Ok(section.map(|section| section.at()))
    };
    let started_at = at(started)?.ok_or(ReadError::Gap { seq: started })?;
    let timeline = match after >= started {
        true => Timeline::resume(started_at, at(after)?),
        false => Timeline::default(),
    };
    let mut pages = Pages { log, scope, started, until, deadline: monotonic() + READ_WAIT };
    let shown = pages.show(timeline, after.max(started.prev()))?;
    Ok(json!({
        "chat_id": found.chat.id.as_str(),
        "turn_id": found.turn.id.as_str(),
        "message_id": found.turn.message.as_str(),
        "started_seq": started.get(),
        "started_at": started_at.to_string(),
        "ended_seq": found.ended.filter(|&ended| ended <= head).map(Seq::get),
        "first_token_ms": shown.first_token_ms,
        "items": shown.items,
        "next_after_seq": shown.next_after.map(Seq::get),
        "as_of_seq": head.get(),
    }))
}

/// The part of the log that a turn is in.
struct Pages<'a> {
    log: &'a Log,
    scope: Scope,
    started: Seq,
    until: Seq,
    deadline: Instant,
}

/// Items of a time line.
#[derive(Default)]
struct Shown {
    items: Vec<Value>,
    first_token_ms: Option<u64>,
    last: Option<Seq>,
    /// Where the next page begins, if there is one.
    next_after: Option<Seq>,
}

impl Shown {
    fn push(&mut self, run: &Run) {
        if run.n_chars.is_some() {
            self.first_token_ms.get_or_insert(run.after_ms);
        }
        self.last = Some(run.last_seq);
        self.items.push(run.json());
    }
}

impl Pages<'_> {
    fn show(&mut self, mut timeline: Timeline, mut after: Seq) -> Result<Shown, ReadError> {
        let mut shown = Shown::default();
        while after < self.until {
            let limits = PageLimits::default();
            let page = self.log.read_blocking(&self.scope, after, self.until, limits)?;
            for section in &page.sections {
                if section.turn().map(|turn| turn.started) != Some(self.started) {
                    continue;
                }
                for index in section.events_in(after, page.through) {
                    timeline.push(section.recorded(index)?).for_each(|run| shown.push(&run));
                    if shown.items.len() >= TIMELINE_ITEMS_MAX {
                        shown.next_after = shown.last.filter(|&last| last < self.until);
                        return Ok(shown);
                    }
                }
            }
            after = page.through;
            if after < self.until && monotonic() >= self.deadline {
                // A run that may go on is told whole by the next page, unless there is no other.
                if shown.items.is_empty() {
                    timeline.end().iter().for_each(|run| shown.push(run));
                }
                shown.next_after = Some(shown.last.unwrap_or(after));
                return Ok(shown);
            }
        }
        timeline.end().iter().for_each(|run| shown.push(run));
        Ok(shown)
    }
}
