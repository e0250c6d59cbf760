//! The body of a request as it comes in by a socket: within its size, its pace and the room there
//! is.
//!
//! A body has a fixed time and, on top, what its bytes need at the least pace, so that a byte a
//! second does not hold a request for ever. The room of all bodies together is `admission`'s. What
//! the bytes mean is left to `json_body`, which turns an [`IntakeError`] into an answer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use super::admission::{Admission, Admitted};
use super::error::{Code, Problem};
use super::json_body::too_large;
use crate::clock::ticks;

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// It is too large or too slow, or there is no room for it; its request is answered so.
    #[error("the body is refused")]
    Refused(Problem),
    /// The connection broke.
    #[error("the body ended early")]
    Broken(#[source] hyper::Error),
}

/// A body that is bounded.
pub(crate) struct Intake {
    body: Incoming,
    /// `None` for a request that needs no permit.
    admitted: Option<Arc<Admitted>>,
    bytes_max: usize,
    bytes_per_s_min: u64,
    n_bytes: usize,
    /// When it has to be there if no further byte comes.
    due: Instant,
    /// Only a body that is waited for has one.
    timer: Option<Pin<Box<Sleep>>>,
    /// Once it was refused, the rest is read as fast as it comes, and not counted.
    is_refused: bool,
}

impl Intake {
    /// Bounds a body.
    pub(crate) fn new(
        body: Incoming,
        admitted: Option<Arc<Admitted>>,
        admission: &Admission,
    ) -> Intake {
        let limits = admission.limits();
        Intake {
            body,
            admitted,
            bytes_max: limits.body_bytes_max,
            bytes_per_s_min: limits.body_bytes_per_s_min,
            n_bytes: 0,
            due: ticks() + limits.body_timeout,
            timer: None,
            is_refused: false,
        }
    }

    fn refuse(&mut self, problem: Problem) -> Poll<Option<Result<Frame<Bytes>, IntakeError>>> {
        self.is_refused = true;
        Poll::Ready(Some(Err(IntakeError::Refused(problem))))
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = self.due;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }
}

fn too_slow(bytes_per_s_min: u64) -> Problem {
    let detail = format!("the body came too slowly; send {bytes_per_s_min} bytes a second or more");
    Problem::new(Code::BodyTooSlow, detail)
}

impl HttpBody for Intake {
    type Data = Bytes;
    type Error = IntakeError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, IntakeError>>> {
        let this = self.get_mut();
        let is_refused = this.is_refused;
        let bytes_max = this.bytes_max;
        if !is_refused && this.body.size_hint().lower() > bytes_max as u64 {
            return this.refuse(too_large(bytes_max));
        }
        let frame = match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(frame)) => frame.map_err(IntakeError::Broken)?,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending if is_refused => return Poll::Pending,
            Poll::Pending => {
                ready!(this.is_late(cx));
                return this.refuse(too_slow(this.bytes_per_s_min));
            }
        };
        let n_bytes = frame.data_ref().map_or(0, Bytes::len);
        if is_refused {
            return Poll::Ready(Some(Ok(frame)));
        }
        this.n_bytes += n_bytes;
        this.due += Duration::from_secs_f64(n_bytes as f64 / this.bytes_per_s_min as f64);
        if this.n_bytes > bytes_max {
            return this.refuse(too_large(bytes_max));
        }
        let room = this.admitted.as_ref().map_or(Ok(()), |admitted| admitted.make_room(n_bytes));
        if let Err(problem) = room {
            return this.refuse(problem);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
