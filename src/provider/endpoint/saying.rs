//! An endpoint's stream of events as what a provider says; the protocol itself is a [`Reply`].
//!
//! Nothing is read ahead: the next packet is asked for when all events of the last one were taken.
//! Dropping the stream closes the connection.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use reqwest::header::CONTENT_TYPE;
use scrollback_schema::event::Phase;
use scrollback_schema::{ErrorCode, Event, limits};
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;

use super::failure::{in_stream, too_long};
use super::sse::{Decoder, SseEvent};
use super::{Answer, Asked, body_of};
use crate::provider::{ProviderError, Said, Saying};

/// How long the end of the stream may take after the model has finished: usage comes last, and some
/// servers forget to close.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// Events that were heard and not yet passed on.
pub(in crate::provider) type Heard = VecDeque<Event>;

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) enum Progress {
    /// More is to come.
    Going,
    /// The model has finished; what follows is bookkeeping and may be missing.
    Finished,
    /// This was the last event.
    Done,
}

/// A protocol's answer, taken event by event: decides what they mean, and reads nothing itself.
pub(in crate::provider) trait Reply: Send + 'static {
    /// Takes an event of the stream.
    fn take(&mut self, event: &SseEvent, heard: &mut Heard) -> Result<Progress, ProviderError>;

    /// Takes an answer that came whole, as JSON.
    fn take_whole(&mut self, body: &[u8], heard: &mut Heard) -> Result<(), ProviderError>;

    /// What is left to say at the end, good or bad: usage.
    fn last_words(&mut self, heard: &mut Heard);

    /// Whether an answer that has come to its end was cut at a limit of tokens. It is told after
    /// the end, so that it takes nothing away that follows: text, tools, usage.
    fn is_cut(&self) -> bool;
}

/// What the provider says, from an answer's head on.
///
/// An endpoint that answers with JSON instead of a stream is heard too.
///
/// # Errors
///
/// In set-up: `provider_protocol` if the answer is neither, or what a JSON answer says.
pub(in crate::provider) async fn saying(
    answer: Answer,
    mut reply: impl Reply,
    stop: CancellationToken,
) -> Result<Saying, ProviderError> {
    let Answer { response, asked } = answer;
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    match media_type.to_ascii_lowercase().as_str() {
        // Proxies lose the type, or make it plain text.
        "text/event-stream" | "text/plain" | "" => {
            let packets = response.bytes_stream();
            let packets = packets.map(|packet| packet.map_err(|_| Broken)).boxed();
            Ok(stream_of(Listener::new(packets, reply, asked, stop)))
        }
        "application/json" => {
            let mut heard = Heard::new();
            let body = body_of(response, limits::PROVIDER_FRAME_BYTES_MAX).await;
            let body = body.ok_or_else(|| {
                let message = format!("{} sent no whole JSON answer", asked.place);
                ProviderError::new(ErrorCode::ProviderProtocol, Phase::Setup, message)
            })?;
            let mut failure = reply.take_whole(&body, &mut heard).err();
            if heard.is_empty()
                && let Some(error) = failure
            {
                return Err(ProviderError { phase: Phase::Setup, ..error });
            }
            reply.last_words(&mut heard);
            if failure.is_none() && reply.is_cut() {
                failure = Some(too_long(&asked.place));
            }
            let said = heard.into_iter().map(|event| Ok(Said::Event(event)));
            Ok(stream::iter(said.chain(failure.map(Err))).boxed())
        }
        other => {
            let known = ["text/html", "application/x-ndjson", "application/octet-stream"];
            let what = known.iter().find(|&&known| known == other).unwrap_or(&"another type");
            let message =
                format!("{} answered with {what}, not a stream; check base_url", asked.place);
            Err(ProviderError::new(ErrorCode::ProviderProtocol, Phase::Setup, message))
        }
    }
}

/// The connection broke.
struct Broken;

struct Listener<R> {
    /// None once the connection is let go of.
    packets: Option<BoxStream<'static, Result<Bytes, Broken>>>,
    /// What is left of the last packet.
    packet: Bytes,
    decoder: Decoder,
    reply: R,
    heard: Heard,
    /// What is said after everything that was heard.
    failure: Option<ProviderError>,
    /// Runs from the model's end on.
    linger: Option<Pin<Box<Sleep>>>,
    asked: Asked,
    stop: CancellationToken,
}

fn stream_of<R: Reply>(listener: Listener<R>) -> Saying {
    let next = |mut listener: Listener<R>| async move {
        let said = listener.next().await?;
        Some((said, listener))
    };
    stream::unfold(listener, next).boxed()
}

impl<R: Reply> Listener<R> {
    fn new(
        packets: BoxStream<'static, Result<Bytes, Broken>>,
        reply: R,
        asked: Asked,
        stop: CancellationToken,
    ) -> Listener<R> {
        Listener {
            packets: Some(packets),
            packet: Bytes::new(),
            decoder: Decoder::new(limits::PROVIDER_FRAME_BYTES_MAX),
            reply,
            heard: Heard::new(),
            failure: None,
            linger: None,
            asked,
            stop,
        }
    }

    /// The next thing that is said; `None` at the end, good or bad.
    async fn next(&mut self) -> Option<Result<Said, ProviderError>> {
        loop {
            if let Some(event) = self.heard.pop_front() {
                return Some(Ok(Said::Event(event)));
            }
            if let Some(failure) = self.failure.take() {
                return Some(Err(failure));
            }
            self.packets.as_ref()?;
            match self.decoder.next(&mut self.packet) {
                Ok(Some(event)) => self.take(&event),
                Ok(None) => self.read().await,
                Err(_) => {
                    let message = format!("{} sent a chunk without an end", self.asked.place);
                    self.end(Some(in_stream(ErrorCode::ProviderProtocol, message)));
                }
            }
        }
    }

    fn take(&mut self, event: &SseEvent) {
        let outcome = self.reply.take(event, &mut self.heard);
        self.go_on(outcome);
    }

    fn go_on(&mut self, outcome: Result<Progress, ProviderError>) {
        match outcome {
            Ok(Progress::Going) => {}
            Ok(Progress::Finished) => {
                self.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_MAX)));
            }
            Ok(Progress::Done) => self.end(None),
            Err(failure) => self.end(Some(failure)),
        }
    }

    /// Waits for a packet, for the end, or for the turn to be stopped.
    async fn read(&mut self) {
        let Some(packets) = &mut self.packets else { return };
        let linger = async {
            match &mut self.linger {
                Some(linger) => linger.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            // Whoever stopped the turn knows that it did: there is nothing to say.
            () = self.stop.cancelled() => self.packets = None,
            () = linger => self.end(None),
            packet = packets.next() => match packet {
                Some(Ok(packet)) => self.packet = packet,
                Some(Err(Broken)) => self.closed("broke off in the middle of its answer"),
                None => self.closed("ended its answer before it was finished"),
            },
        }
    }

    /// The stream is over. What the model has finished is whole, however the connection ended.
    fn closed(&mut self, how: &str) {
        if let Some(event) = self.decoder.finish() {
            match self.reply.take(&event, &mut self.heard) {
                // Half of a chunk is what a cut leaves.
                Err(error) if error.code == ErrorCode::ProviderProtocol => {}
                outcome => self.go_on(outcome),
            }
        }
        if self.packets.is_none() {
            return;
        }
        if self.linger.is_some() {
            return self.end(None);
        }
        let place = &self.asked.place;
        let failure = match self.decoder.has_strange_lines() {
            true => {
                let message = format!("{place} sent something that is no event stream");
                in_stream(ErrorCode::ProviderProtocol, message)
            }
            false => in_stream(ErrorCode::ProviderTransport, format!("{place} {how}")),
        };
        self.end(Some(failure));
    }

    fn end(&mut self, failure: Option<ProviderError>) {
        self.reply.last_words(&mut self.heard);
        let cut = || self.reply.is_cut().then(|| too_long(&self.asked.place));
        self.failure = failure.or_else(cut);
        // What is left of a body that ends here is read by the client, which keeps the connection.
        self.packets = None;
    }
}
