//! The loop of a reader: pages after its cursor until it has caught up, then wait, then again.
//!
//! Replay and live are this one loop; a reader that comes late and one that never left differ in
//! how often they wait. What it costs is what it receives: a page and the one read ahead of it, no
//! task and no queue of its own. How the bytes reach a client is left to `takeover`.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use scrollback_schema::limits::HEARTBEAT_MS;
use scrollback_schema::{Kind, Seq};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::App;
use super::error::Problem;
use super::expiry::Expiry;
use super::metrics::Reader;
use super::refused::is_damage;
use super::sse::{self, Chunk, Gather};
use crate::auth::Principal;
use crate::log::{Page, PageLimits, ReadError, Scope, Section, Subscription};

/// What one reader takes at a time: large enough that a page costs little more than its events,
/// small enough that a thousand slow readers hold some hundred megabytes.
const LIMITS: PageLimits = PageLimits { events: 1_024, bytes: 256 << 10 };

/// Time between two heartbeats: below the promised one, since timers and sockets are late.
const BEAT: Duration = Duration::from_millis(HEARTBEAT_MS / 3 * 2);

/// When a stream ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Never.
    Forever,
    /// Once everything up to this seq was handed over: no turn was open there.
    Reached(Seq),
    /// After the terminal event of the turn that started at this seq.
    TurnEnds(Seq),
}

/// A reader's stream.
pub(crate) struct Feed {
    app: App,
    scope: Scope,
    /// Everything up to here was handed over.
    cursor: Seq,
    until: Until,
    /// Frames to hand over first.
    opening: Vec<u8>,
    wakes: Subscription,
    beat: Interval,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    expiry: Expiry,
    /// A page that is being read while the one before it is sent, and up to where it asks.
    ahead: Option<(Seq, BoxFuture<'static, Result<Page, ReadError>>)>,
    state: State,
    /// Whether the reader is to be told when it reaches the head.
    owes_caught_up: bool,
    reader: Reader,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Feed { scope, cursor, until, state, .. } = self;
        f.debug_struct("Feed")
            .field("scope", scope)
            .field("cursor", cursor)
            .field("until", until)
            .field("state", state)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There may be more to read.
    Reads,
    /// The head was reached; a wake-up says that there is more.
    Waits,
    /// The last frame was handed over.
    Over,
}

impl Feed {
    /// A reader of `scope` that has everything up to `after`; `opening` is what it gets first. That
    /// it may see the scope was asked before; it ends when the reader stops being known.
    ///
    /// # Errors
    ///
    /// A problem if there are as many streams as the server takes at once.
    pub(crate) fn new(
        app: &App,
        caller: &Principal,
        scope: Scope,
        after: Seq,
        until: Until,
        opening: Vec<u8>,
    ) -> Result<Feed, Problem> {
        let reader = app.admission().stream()?;
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        Ok(Feed {
            // Asked for before the first page is read, so that no commit falls in between.
            wakes: app.log().subscribe(&scope),
            scope,
            cursor: after,
            until,
            opening,
            beat,
            stopping: Box::pin(app.stopping()),
            expiry: Expiry::of(app, caller),
            ahead: None,
            state: State::Reads,
            owes_caught_up: true,
            reader,
            app: app.clone(),
        })
    }

    /// What is to be sent next; waits for it. `None` after the last frame.
    ///
    /// # Cancel safety
    ///
    /// A dropped future loses nothing: the cursor moves only with what is returned.
    pub(crate) async fn next(&mut self) -> Option<Chunk> {
        if !self.opening.is_empty() {
            let opening = std::mem::take(&mut self.opening);
            return Some(Chunk { pieces: vec![Bytes::from(opening)] });
        }
        let mut out = Gather::default();
        loop {
            match self.state {
                State::Over => return None,
                State::Waits => {
                    tokio::select! {
                        biased;
                        () = &mut self.stopping => self.end(&mut out, "shutdown"),
                        () = self.expiry.passed() => self.end(&mut out, "unauthorized"),
                        () = self.wakes.changed() => self.state = State::Reads,
                        _ = self.beat.tick() => self.beat(&mut out),
                    }
                }
                State::Reads => {
                    self.check_signals(&mut out);
                    if self.state == State::Reads {
                        self.read(&mut out).await;
                    }
                }
            }
            let chunk = std::mem::take(&mut out).finish();
            if !chunk.is_empty() {
                self.reader.sent(chunk.len());
                return Some(chunk);
            }
        }
    }

    /// Looks at what a reader that never waits would not hear of.
    fn check_signals(&mut self, out: &mut Gather) {
        if self.stopping.as_mut().now_or_never().is_some() {
            self.end(out, "shutdown");
        } else if self.expiry.has_passed() {
            self.end(out, "unauthorized");
        } else if self.beat.tick().now_or_never().is_some() {
            sse::push_heartbeat(out.buffer());
        }
    }

    /// A quiet connection: shows that it is alive, and that nothing was missed.
    fn beat(&mut self, out: &mut Gather) {
        sse::push_heartbeat(out.buffer());
        self.owes_caught_up = true;
        self.state = State::Reads;
    }

    fn end(&mut self, out: &mut Gather, reason: &str) {
        sse::push_bye(out.buffer(), reason);
        self.state = State::Over;
    }

    /// Reads one page and gathers its frames.
    async fn read(&mut self, out: &mut Gather) {
        let (asked, page) = match &mut self.ahead {
            Some((asked, page)) => (*asked, page.await),
            None => {
                let asked = self.app.log().head();
                (asked, self.app.log().read(&self.scope, self.cursor, asked, LIMITS).await)
            }
        };
        self.ahead = None;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(seq = self.cursor.get(), error = %error, "a page cannot be read");
                let reason = if is_damage(&error) { "log_damaged" } else { "read_failed" };
                return self.end(out, reason);
            }
        };
        if page.through < asked {
            self.owes_caught_up = true;
            self.read_ahead(page.through);
        } else {
            self.state = State::Waits;
        }
        self.gather(&page, out);
        if self.state == State::Over {
            return;
        }
        if self.state == State::Waits && self.owes_caught_up {
            self.owes_caught_up = false;
            sse::push_caught_up(out.buffer(), self.cursor);
        }
        if matches!(self.until, Until::Reached(seq) if self.cursor >= seq) {
            self.end(out, "idle");
        }
    }

    /// Starts to read the page after `after`, so that it comes from disk while this one is sent.
    fn read_ahead(&mut self, after: Seq) {
        let (log, scope, asked) =
            (self.app.log().clone(), self.scope.clone(), self.app.log().head());
        let mut page = async move { log.read(&scope, after, asked, LIMITS).await }.boxed();
        self.ahead = Some((
            asked,
            match (&mut page).now_or_never() {
                Some(page) => std::future::ready(page).boxed(),
                None => page,
            },
        ));
    }

    /// Gathers the frames of a page and moves the cursor to its end, or to where the stream ends.
    fn gather(&mut self, page: &Page, out: &mut Gather) {
        let is_alone = page.sections.len() == 1;
        for section in &page.sections {
            let mut range = section.events_in(self.cursor, page.through);
            let end = self.end_in(section, range.clone());
            if let Some((index, _)) = end {
                range.end = index + 1;
            }
            self.reader.frames(range.len());
            let is_read = if Arc::strong_count(section) == 1 {
                section.write_frames(range, out.buffer()).is_ok()
            } else {
                out.share(section.frames().slice(range.clone()), is_alone);
                range.end <= section.frames().n_readable()
            };
            if !is_read {
                let seq = section.first_seq().get();
                tracing::error!(seq, "an event does not decode; run `scrollback verify`");
                return self.end(out, "log_damaged");
            }
            if let Some((index, reason)) = end {
                self.cursor = section.seq_at(index);
                return self.end(out, reason);
            }
        }
        self.cursor = self.cursor.max(page.through);
    }

    /// Whether the stream ends within these events of a section: after which, and why.
    fn end_in(
        &self,
        section: &Section,
        mut range: std::ops::Range<usize>,
    ) -> Option<(usize, &'static str)> {
        let (last_kind, reason) = match (section.turn(), self.until) {
            (Some(turn), Until::TurnEnds(started)) if turn.started == started => (None, "idle"),
            (None, _) if matches!(self.scope, Scope::Chat(_)) => {
                (Some(Kind::ChatDeleted), "chat_deleted")
            }
            _ => return None,
        };
        let index = range.find(|&index| {
            let kind = Kind::from_number(section.kind_at(index));
            kind.is_some_and(|kind| last_kind.map_or(kind.is_terminal(), |last| last == kind))
        })?;
        Some((index, reason))
    }

    /// The stream as the body of a response, where there is no socket to write to.
    pub(crate) fn into_body(self) -> Body {
        let pieces = futures_util::stream::unfold(
            (self, Vec::new().into_iter()),
            |(mut feed, mut pieces): (Feed, std::vec::IntoIter<Bytes>)| async move {
                loop {
                    if let Some(piece) = pieces.next() {
                        return Some((Ok::<_, std::convert::Infallible>(piece), (feed, pieces)));
                    }
                    pieces = feed.next().await?.pieces.into_iter();
                }
            },
        );
        Body::from_stream(pieces)
    }
}
