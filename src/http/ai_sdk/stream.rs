//! A reader of one turn: what is there, then its events until it ends.
//!
//! The loop is that of every reader, `log::Tail`: it costs a page, and who leaves changes nothing.
//! A stream that cannot be finished breaks off without a last chunk, so that its client knows that
//! it was cut and resumes; what the SDK calls an error is the turn's.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response};
use bytes::Bytes;
use scrollback_projections::message::Message;
use scrollback_schema::limits::HEARTBEAT_MS;
use scrollback_schema::{ChatRef, Kind, Seq};
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::chunk::Chunks;
use super::turn_chunks::TurnChunks;
use crate::auth::Principal;
use crate::http::App;
use crate::http::error::Problem;
use crate::http::expiry::Expiry;
use crate::http::metrics::Reader;
use crate::http::sse;
use crate::log::{Page, ReadError, Scope, Step, Tail};

/// Says which protocol the chunks are of.
const PROTOCOL: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-vercel-ai-ui-message-stream"), HeaderValue::from_static("v1"));

/// Time between two heartbeats, as on every stream.
const BEAT: Duration = Duration::from_millis(HEARTBEAT_MS / 3 * 2);

/// A reader's stream.
struct Follow {
    tail: Tail,
    /// Everything up to here was told.
    after: Seq,
    /// The seq of the turn's first event.
    started: Seq,
    chunks: TurnChunks,
    /// What is to be sent first.
    opening: Vec<u8>,
    beat: Interval,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    expiry: Expiry,
    reader: Reader,
}

/// The stream of a message as of a seq: what is there at once, and what comes after it.
pub(super) async fn answer(
    app: &App,
    caller: &Principal,
    chat: &ChatRef,
    message: &Message,
    as_of: Seq,
) -> Result<Response<Body>, Problem> {
    // Newer than the message, or of the same time: what was asked since is told twice, as one.
    let requests = app.read_model().pending_requests(chat).await?;
    let mut out = Chunks::default();
    let chunks = TurnChunks::of(message, requests, &mut out);
    let mut opening = Vec::new();
    out.write(&mut opening);
    let body = if chunks.is_over() {
        Chunks::write_done(&mut opening);
        Body::from(opening)
    } else {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        follow(Follow {
            tail: Tail::new(app.log(), Scope::Chat(chat.created), as_of, Default::default()),
            after: as_of,
            started: message.head().first_seq,
            chunks,
            opening,
            beat,
            stopping: Box::pin(app.stopping()),
            expiry: Expiry::of(app, caller),
            reader: app.admission().stream()?,
        })
    };
    let mut response = Response::new(body);
    response.headers_mut().extend(sse::HEADERS);
    response.headers_mut().extend([PROTOCOL]);
    Ok(response)
}

fn follow(follow: Follow) -> Body {
    let pieces = futures_util::stream::unfold(follow, |mut follow| async move {
        let piece = follow.next().await.transpose()?;
        if let Ok(piece) = &piece {
            follow.reader.sent(piece.len());
        }
        Some((piece.map(Bytes::from), follow))
    });
    Body::from_stream(pieces)
}

impl Follow {
    /// What is to be sent next; waits for it. `None` after the last chunk.
    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !self.opening.is_empty() {
            return Ok(Some(std::mem::take(&mut self.opening)));
        }
        while !self.chunks.is_over() {
            let mut piece = Vec::new();
            tokio::select! {
                biased;
                () = &mut self.stopping => return Err(io::Error::other("the server stops")),
                () = self.expiry.passed() => return Err(io::Error::other("the token expired")),
                step = self.tail.next() => match step.map_err(cannot_read)? {
                    Step::Page(page) => self.page(&page, &mut piece).map_err(cannot_read)?,
                    Step::CaughtUp(_) => {}
                },
                _ = self.beat.tick() => sse::push_heartbeat(&mut piece),
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// The chunks of the turn's events in a page.
    fn page(&mut self, page: &Page, piece: &mut Vec<u8>) -> Result<(), ReadError> {
        let mut out = Chunks::default();
        for section in &page.sections {
            let is_ours = match section.turn() {
                Some(turn) => turn.started == self.started,
                None => true,
            };
            for index in section.events_in(self.after, page.through) {
                if !is_ours || self.chunks.is_over() {
                    break;
                }
                let recorded = section.recorded(index)?;
                if recorded.kind() == Some(Kind::ChatDeleted) {
                    self.chunks.gone(&mut out);
                } else if recorded.turn.is_some() {
                    self.chunks.event(&recorded, &mut out);
                }
            }
        }
        self.after = self.after.max(page.through);
        out.write(piece);
        if self.chunks.is_over() {
            Chunks::write_done(piece);
        }
        Ok(())
    }
}

fn cannot_read(error: ReadError) -> io::Error {
    tracing::error!(error = %error, "a page cannot be read");
    io::Error::other(error)
}
