//! A provider that says what the test lets it say, when the test lets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use scrollback::provider::{Ask, Provider, ProviderError, Question, Said, Saying, TurnRequest};
use scrollback_schema::event::Phase;
use scrollback_schema::{ErrorCode, Event, Kind, wire};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// What is let out next.
#[derive(Debug)]
pub(super) enum Word {
    Event(Box<Event>),
    /// The good end.
    End,
    Failure(&'static str),
}

type Line = (mpsc::UnboundedSender<Word>, Option<mpsc::UnboundedReceiver<Word>>);

/// The chat and the turn, by the server's names.
pub(super) type Place = (String, String);

/// A provider whose turns are held; cloning shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<Mutex<HashMap<Place, Line>>>);

impl Held {
    fn line<T>(&self, turn: Place, of: impl FnOnce(&mut Line) -> T) -> T {
        let mut lines = self.0.lock().unwrap();
        of(lines.entry(turn).or_insert_with(|| {
            let (says, hears) = mpsc::unbounded_channel();
            (says, Some(hears))
        }))
    }

    /// Lets a turn say something, now or once it has begun.
    pub(super) fn let_say(&self, turn: &Place, word: Word) {
        // A turn that is over hears nothing, as the model knows.
        let _ = self.line(turn.clone(), |line| line.0.send(word));
    }
}

/// An event from its kind and its JSON.
pub(super) fn event(kind: &str, payload: &Value) -> Event {
    wire::parse_payload(Kind::from_name(kind).unwrap(), &payload.to_string()).unwrap()
}

impl Provider for Held {
    fn start(&self, request: TurnRequest) -> BoxFuture<'_, Result<Saying, ProviderError>> {
        let place = (request.chat.as_str().to_owned(), request.turn.as_str().to_owned());
        let hears = self.line(place, |line| line.1.take()).expect("it starts once");
        let stop = request.stop;
        // The receivers of answers: whoever drops one is not asked any more.
        let asked: Vec<oneshot::Receiver<scrollback::provider::Answer>> = Vec::new();
        let words =
            stream::unfold((hears, stop, asked), |(mut hears, stop, mut asked)| async move {
                let word = tokio::select! {
                    biased;
                    () = stop.cancelled() => None,
                    word = hears.recv() => word,
                };
                let said = match word? {
                    Word::End => return None,
                    Word::Failure(sentence) => {
                        let code = ErrorCode::ProviderTransport;
                        Err(ProviderError::new(code, Phase::Stream, sentence))
                    }
                    Word::Event(event) => Ok(said(*event, &mut asked)),
                };
                Some((said, (hears, stop, asked)))
            });
        Box::pin(std::future::ready(Ok(words.boxed())))
    }

    fn check(&self) -> BoxFuture<'_, Result<String, ProviderError>> {
        Box::pin(std::future::ready(Ok(String::new())))
    }
}

fn said(event: Event, asked: &mut Vec<oneshot::Receiver<scrollback::provider::Answer>>) -> Said {
    let question = match event {
        Event::PermissionRequest(asked) => Question::Permission(asked),
        Event::ElicitationRequest(asked) => Question::Elicitation(asked),
        event => return Said::Event(event),
    };
    let (answer, answered) = oneshot::channel();
    asked.push(answered);
    Said::Ask(Ask { question, answer })
}
