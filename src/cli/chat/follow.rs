//! The way of one message: sent once, its turn followed to the end, its requests answered.

use std::collections::VecDeque;

use anyhow::{Context, bail};
use reqwest::Method;
use scrollback_schema::wire::parse_line;
use scrollback_schema::{Body, Event, QueuedMessageId, RequestId, Seq, TurnId};
use serde_json::{Value, json};

use super::Session;
use super::ask::{Asked, resolved};
use super::call::Refused;
use super::screen::Screen;
use crate::cli::output::{Format, Out, say};
use crate::cli::stream::{Heard, Reader, StreamOptions};

/// How the turn of a message ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Completed,
    Failed,
    /// Or nobody stayed to see its end.
    Interrupted,
}

/// What became of the message so far.
#[derive(Debug, Clone, PartialEq)]
enum Sent {
    Started(TurnId),
    Queued(QueuedMessageId),
}

/// Sends a message and follows its turn.
pub(super) async fn follow(
    session: &mut Session<'_>,
    text: &str,
    out: &mut Out,
) -> anyhow::Result<Ended> {
    let sent = tokio::select! {
        biased;
        _ = session.interrupts.recv() => None,
        sent = send(&mut session.calls, session.args, &session.chat, text) => Some(sent?),
    };
    let Some((sent, after)) = sent else {
        say("left while the message was on its way");
        return Ok(Ended::Interrupted);
    };
    let url = session.calls.url(&format!("/v1/chats/{}/stream", session.chat));
    let options = StreamOptions { url, after, is_until_idle: false };
    let reader = Reader::new(session.client.clone(), options);
    let is_json = out.format == Format::Json;
    let screen = Screen::new(out);
    if let Sent::Queued(_) = &sent {
        say("the chat is busy: the message waits in its queue");
    }
    let asked = VecDeque::new();
    let follow =
        Follow { session, sent, reader, screen, is_json, asked, answered: None, n_interrupts: 0 };
    follow.run().await
}

async fn send(
    calls: &mut super::Calls,
    args: &super::Chat,
    chat: &scrollback_schema::ChatId,
    text: &str,
) -> anyhow::Result<(Sent, Seq)> {
    let mut body = json!({ "text": text });
    if let Some(provider) = &args.provider {
        body["provider"] = json!(provider);
    }
    if let Some(model) = &args.model {
        body["model"] = json!(model);
    }
    if args.queue {
        body["if_busy"] = json!("queue");
    }
    let path = format!("/v1/chats/{chat}/turns");
    let answer = calls.call(Method::POST, &path, &body).await?;
    let seq = |name: &str| answer[name].as_u64().and_then(Seq::new).context("a seq is missing");
    match (answer["turn_id"].as_str(), answer["queued_message_id"].as_str()) {
        (Some(turn), _) => Ok((Sent::Started(TurnId::parse(turn)?), seq("resume_after_seq")?)),
        (None, Some(queued)) => Ok((Sent::Queued(QueuedMessageId::parse(queued)?), seq("seq")?)),
        (None, None) => bail!("the server names no turn"),
    }
}

struct Follow<'a, 's, 'o> {
    session: &'a mut Session<'s>,
    sent: Sent,
    reader: Reader,
    screen: Screen<'o>,
    is_json: bool,
    /// Requests that wait; the first one is being asked for.
    asked: VecDeque<Asked>,
    /// The one that this program has answered, and whose end it waits for.
    answered: Option<RequestId>,
    n_interrupts: usize,
}

impl Follow<'_, '_, '_> {
    async fn run(mut self) -> anyhow::Result<Ended> {
        loop {
            let is_asked = self.is_asked();
            tokio::select! {
                biased;
                _ = self.session.interrupts.recv() => {
                    if self.interrupt() {
                        return Ok(Ended::Interrupted);
                    }
                }
                heard = self.reader.next() => match heard? {
                    Heard::Event(envelope) => {
                        if let Some(ended) = self.hear(&envelope)? {
                            return Ok(ended);
                        }
                    }
                    Heard::OtherLog => bail!("the server has another log; the turn is not in it"),
                    Heard::End => return Ok(Ended::Interrupted),
                },
                line = self.session.input.line(), if is_asked => self.line(line),
            }
        }
    }

    /// Whether a line of the person's would be an answer.
    fn is_asked(&self) -> bool {
        self.asked.front().is_some_and(|asked| self.answered.as_ref() != Some(&asked.request))
    }

    /// Stops the turn; true if it is time to leave.
    fn interrupt(&mut self) -> bool {
        self.n_interrupts += 1;
        let chat = &self.session.chat;
        match &self.sent {
            Sent::Started(turn) if self.n_interrupts == 1 => {
                self.screen.say("stopping the turn; Ctrl-C again leaves at once");
                let path = format!("/v1/chats/{chat}/turns/{turn}/stop");
                self.spawn_call(path, json!({}));
                false
            }
            Sent::Started(turn) => {
                self.screen.say(&format!("left; turn {turn} may go on"));
                true
            }
            Sent::Queued(queued) => {
                self.screen.say(&format!("left; message {queued} stays in the queue"));
                true
            }
        }
    }

    /// Shows an event; the end of the turn ends it all.
    fn hear(&mut self, envelope: &str) -> anyhow::Result<Option<Ended>> {
        if self.is_json {
            self.screen.envelope(envelope)?;
        }
        // A newer server may say more than this program reads.
        let Ok(event) = parse_line(envelope) else { return Ok(None) };
        let Body::Event(said) = &event.body else { return Ok(None) };
        let turn = match &self.sent {
            Sent::Started(turn) => turn,
            Sent::Queued(queued) => {
                match said {
                    Event::QueueProcessing(p) if p.queued_message_id == *queued => {
                        self.sent = Sent::Started(p.turn_id.clone());
                    }
                    Event::QueueRemoved(p) if p.queued_message_id == *queued => {
                        self.screen.say("the message was removed from the queue");
                        return Ok(Some(Ended::Interrupted));
                    }
                    _ => {}
                }
                return Ok(None);
            }
        };
        if event.turn.as_ref() != Some(turn) && resolved(said).is_none() {
            return Ok(None);
        }
        let ended = match said {
            Event::Complete(_) => Ended::Completed,
            Event::Error(_) => Ended::Failed,
            Event::Cancelled(_) => Ended::Interrupted,
            _ => {
                if !self.is_json {
                    self.screen.event(said)?;
                    self.requests(said);
                }
                return Ok(None);
            }
        };
        if !self.is_json {
            match said {
                Event::Complete(end) => self.screen.completed(end.duration_ms)?,
                Event::Error(error) => self.screen.failed(error)?,
                Event::Cancelled(end) => self.screen.interrupted(end.reason.name())?,
                _ => {}
            }
        }
        Ok(Some(ended))
    }

    /// Keeps the list of what is asked, and asks for the first of it.
    fn requests(&mut self, said: &Event) {
        if let Some(asked) = Asked::of(said) {
            self.asked.push_back(asked);
            if self.asked.len() == 1 {
                self.ask();
            }
        }
        if let Some((request, outcome)) = resolved(said)
            && let Some(at) = self.asked.iter().position(|asked| asked.request == *request)
        {
            let asked = self.asked.remove(at);
            let question = asked.map(|asked| asked.question).unwrap_or_default();
            self.screen.say(&format!("{question} {outcome}"));
            if at == 0 {
                self.ask();
            }
        }
    }

    fn ask(&mut self) {
        if let Some(asked) = self.asked.front() {
            self.screen.ask(&asked.question, &asked.options(), &asked.prompt());
        }
    }

    /// A line that answers what is asked; its event comes by the stream, as everybody's does.
    fn line(&mut self, line: Option<String>) {
        let Some(asked) = self.asked.front() else { return };
        let Some(line) = line else {
            let request = &asked.request;
            let words = format!(
                "nobody can answer here; answer request {request} elsewhere, or \
                                 stop the turn with Ctrl-C"
            );
            self.screen.say(&words);
            self.asked.clear();
            return;
        };
        match asked.answer(&line) {
            Some(body) => {
                let chat = &self.session.chat;
                let path = format!("/v1/chats/{chat}/requests/{}/respond", asked.request);
                self.answered = Some(asked.request.clone());
                self.spawn_call(path, body);
            }
            None => self.ask(),
        }
    }

    /// Makes a call beside the stream; what comes of it is seen there.
    fn spawn_call(&self, path: String, body: Value) {
        let mut calls = self.session.calls.clone();
        tokio::spawn(async move {
            if let Err(error) = calls.call(Method::POST, &path, &body).await {
                let was_answered = error
                    .downcast_ref::<Refused>()
                    .is_some_and(|refused| refused.code == "request_answered");
                if !was_answered {
                    say(&format!("scrollback: {error:#}"));
                }
            }
        });
    }
}
