//! A small language in which tests write events: one a line, so that a test is two pieces of text.
//!
//! ```text
//! chat c1 {"title":"Numbers"}          # created; the lines that follow are about it
//! user m1 "Hello" {"attachments":[…]}
//! start t1 m2 openai/gpt {"user_message_id":"m1"}
//! think "Let me see"
//! text "Hel" x 3                       # three deltas
//! tool c1 read_csv running {"input":{"path":"q3.csv"}}
//! tool c1 read_csv completed {"result":12}
//! plan [{"content":"load","status":"pending","priority":"high"}]
//! suggest ["and by region?"]
//! complete 1200                        # or: cancel user 900; fail provider_timeout "no answer"
//! queue q1 "and then?"
//! + user m3 "and then?"                # in one append with the line before it
//! ```
//!
//! Texts and objects are JSON; an object at the end of a line adds fields to the payload. Any other
//! kind is a line of its wire name and its payload: `chat_viewed {"by":"ada"}`. What belongs to a
//! turn belongs to the last one that started in the chat; `@t1/m2 text "Hel"` names another.
//!
//! - `in c1` goes back to a chat; `wait 500` lets the clock go on by so many milliseconds more than
//!   the second that it goes on at every append; `#` begins a comment.
//! - `erase` erases what the chat holds so far, but for its tombstone; `unknown 300` is an event of
//!   a kind that no version knows yet. Both mean something to [`Script::recorded`] alone.

mod record;

use std::collections::HashMap;
use std::fmt::Write as _;

use scrollback_schema::event::Kind;
use scrollback_schema::{ChatId, Event, MessageId, NewEvent, Recorded, TurnId, wire};
use serde_json::value::RawValue;

pub use record::{APPEND_EVERY_MS, BEGINS_AT, Recorder};

use crate::workload::Step;

/// What a script says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Script {
    /// What happens, in order.
    pub acts: Vec<Act>,
}

/// One thing that happens in a script.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// An append.
    Append(Step),
    /// The clock goes on by so many milliseconds.
    Wait(i64),
    /// What a chat holds so far is erased.
    Erase(ChatId),
    /// An event of a kind that this program does not know.
    Unknown(ChatId, u16),
}

/// A line that is not of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl std::fmt::Display for ScriptError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Reads a script.
///
/// # Errors
///
/// [`ScriptError`] names the first line that is not of the language.
pub fn parse(text: &str) -> Result<Script, ScriptError> {
    let mut parser = Parser::default();
    for (i, line) in text.lines().enumerate() {
        parser.line(line.trim()).map_err(|what| ScriptError { line: i + 1, what })?;
    }
    Ok(parser.script)
}

impl Script {
    /// The appends, for a log that has seqs and a clock of its own.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.acts
            .iter()
            .filter_map(|act| if let Act::Append(step) = act { Some(step) } else { None })
    }

    /// The events as a log records them whose first append this is.
    pub fn recorded(&self) -> Vec<Recorded> {
        let mut recorder = Recorder::default();
        for act in &self.acts {
            match act {
                Act::Append(step) => recorder.append(step),
                Act::Wait(ms) => recorder.wait(*ms),
                Act::Erase(chat) => recorder.erase(chat),
                Act::Unknown(chat, kind) => recorder.unknown(chat, *kind),
            }
        }
        recorder.events
    }
}

#[derive(Default)]
struct Parser {
    script: Script,
    chat: Option<ChatId>,
    turns: HashMap<ChatId, (TurnId, MessageId)>,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn line(&mut self, line: &str) -> Parsed<()> {
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (line, joins) = match line.strip_prefix('+') {
            Some(rest) => (rest.trim_start(), true),
            None => (line, false),
        };
        let mut words = Words { rest: line };
        match words.bare("a verb")? {
            "in" => self.chat = Some(id(words.bare("a chat id")?)?),
            "wait" => {
                let ms = words.number("milliseconds")?.unwrap_or_default();
                self.script.acts.push(Act::Wait(ms as i64));
            }
            "erase" => {
                let chat = self.chat()?;
                self.script.acts.push(Act::Erase(chat));
            }
            "unknown" => {
                let kind = words.number("the number of a kind")?.ok_or("expected a number")?;
                let kind = u16::try_from(kind).map_err(|_| "expected a number below 65536")?;
                let chat = self.chat()?;
                self.script.acts.push(Act::Unknown(chat, kind));
            }
            verb => {
                if verb == "chat" {
                    self.chat = Some(id(words.clone().bare("a chat id")?)?);
                }
                let events = self.events(verb, &mut words)?;
                self.append(events, joins)?;
            }
        }
        words.end()
    }

    fn append(&mut self, events: Vec<NewEvent>, joins: bool) -> Parsed<()> {
        let chat = self.chat()?;
        match self.script.acts.last_mut() {
            Some(Act::Append(step)) if joins && step.chat == chat => step.events.extend(events),
            _ if joins => return Err("no append of this chat is right before it".to_owned()),
            _ => self.script.acts.push(Act::Append(Step { chat, events })),
        }
        Ok(())
    }

    /// The events of a line: one, or as many as a delta is to be repeated.
    fn events(&mut self, verb: &str, words: &mut Words<'_>) -> Parsed<Vec<NewEvent>> {
        let (verb, named) = match verb.strip_prefix('@') {
            Some(turn) => {
                let (turn, message) = turn.split_once('/').ok_or("expected @turn/message")?;
                (words.bare("a verb")?, Some((id(turn)?, id(message)?)))
            }
            None => (verb, None),
        };
        let mut message = None;
        let (kind, payload) = match verb {
            "user" => {
                message = Some(id(words.bare("a message id")?)?);
                (Kind::UserText, object(&[("text", words.json("a text")?)], words.object()))
            }
            "start" => {
                let turn: TurnId = id(words.bare("a turn id")?)?;
                let answer: MessageId = id(words.bare("a message id")?)?;
                self.turns.insert(self.chat()?, (turn, answer));
                (Kind::StreamStarted, start(words))
            }
            _ => content(verb, words)?,
        };
        let event = wire::parse_payload(kind, &payload).map_err(|error| error.to_string())?;
        let n = if words.eat("x") { words.number("a count")?.unwrap_or(1) } else { 1 };
        let turn = named.or_else(|| self.turn_of(kind));
        let (turn, message) = match turn {
            Some((turn, answer)) => (Some(turn), Some(answer)),
            None => (None, message),
        };
        let repeated =
            |event: Event| NewEvent { message: message.clone(), turn: turn.clone(), event };
        Ok((0..n).map(|_| repeated(event.clone())).collect())
    }

    /// The turn that an event of this kind belongs to, unless another is named.
    fn turn_of(&self, kind: Kind) -> Option<(TurnId, MessageId)> {
        let of_turn = kind.is_turn_content() || kind.is_terminal();
        let of_turn = of_turn || matches!(kind, Kind::StreamStarted | Kind::Session);
        self.chat.as_ref().filter(|_| of_turn).and_then(|chat| self.turns.get(chat)).cloned()
    }

    fn chat(&self) -> Parsed<ChatId> {
        self.chat.clone().ok_or_else(|| "expected a line `chat ID` before it".to_owned())
    }
}

fn start(words: &mut Words<'_>) -> String {
    let named = words.word().unwrap_or("scripted");
    let (provider, model) = named.split_once('/').map_or((named, None), |(p, m)| (p, Some(m)));
    let (provider, model) = (quote(provider), model.map(quote));
    let mut fields = vec![("provider", provider.as_str())];
    fields.extend(model.as_deref().map(|model| ("model", model)));
    let more = words.object();
    if !more.is_some_and(|more| more.contains("\"origin\"")) {
        fields.push(("origin", "\"user\""));
    }
    object(&fields, more)
}

/// Kind and payload of the lines that need nothing but themselves.
fn content(verb: &str, words: &mut Words<'_>) -> Parsed<(Kind, String)> {
    Ok(match verb {
        "chat" => {
            words.bare("a chat id")?;
            (Kind::ChatCreated, object(&[], words.object()))
        }
        "text" => (Kind::AssistantText, object(&[("text", words.json("a text")?)], None)),
        "think" => (Kind::AssistantThinking, object(&[("thinking", words.json("a text")?)], None)),
        "tool" => tool(words)?,
        "plan" => (Kind::Plan, object(&[("entries", words.json("a list")?)], None)),
        "suggest" => {
            (Kind::PromptSuggestions, object(&[("suggestions", words.json("a list")?)], None))
        }
        "complete" => {
            let ms = words.number("milliseconds")?.unwrap_or_default().to_string();
            (Kind::Complete, object(&[("status", "\"completed\""), ("duration_ms", &ms)], None))
        }
        "cancel" => {
            let reason = quote(words.bare("a reason")?);
            let ms = words.number("milliseconds")?.unwrap_or_default().to_string();
            let status = ("status", "\"interrupted\"");
            (Kind::Cancelled, object(&[status, ("reason", &reason), ("duration_ms", &ms)], None))
        }
        "fail" => {
            let code = quote(words.bare("a code")?);
            let message = words.json("a text")?;
            (Kind::Error, object(&[("code", &code), ("message", message)], words.object()))
        }
        "queue" => {
            let queued = quote(words.bare("a queued message id")?);
            let fields =
                [("queued_message_id", queued.as_str()), ("content", words.json("a text")?)];
            (Kind::MessageQueued, object(&fields, words.object()))
        }
        name => {
            let kind = Kind::from_name(name).ok_or_else(|| format!("unknown verb {name}"))?;
            (kind, object(&[], words.object()))
        }
    })
}

fn tool(words: &mut Words<'_>) -> Parsed<(Kind, String)> {
    let call = quote(words.bare("a call id")?);
    let name = quote(words.bare("a tool")?);
    let kind = match words.bare("running, completed or failed")? {
        "running" => Kind::ToolStarted,
        "completed" => Kind::ToolCompleted,
        "failed" => Kind::ToolFailed,
        _ => return Err("expected running, completed or failed".to_owned()),
    };
    let tool = object(&[("id", &call), ("name", &name)], words.object());
    Ok((kind, object(&[("tool", &tool)], None)))
}

/// An object of these fields and those of another object.
fn object(fields: &[(&str, &str)], more: Option<&str>) -> String {
    let mut out = String::from("{");
    for (name, json) in fields {
        let comma = if out.len() > 1 { "," } else { "" };
        write!(out, "{comma}\"{name}\":{json}").expect("a String takes every text");
    }
    let more = more.map_or("", |json| json[1..json.len() - 1].trim());
    if out.len() > 1 && !more.is_empty() {
        out.push(',');
    }
    out + more + "}"
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn id<T: std::str::FromStr<Err = scrollback_schema::IdError>>(text: &str) -> Parsed<T> {
    text.parse().map_err(|error: scrollback_schema::IdError| error.to_string())
}

/// The words of a line that are not read yet.
#[derive(Clone)]
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The next word, if it is neither a text nor an object nor a comment.
    fn word(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        if rest.is_empty() || rest.starts_with(['"', '{', '[', '#']) {
            return None;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        self.rest = &rest[end..];
        Some(&rest[..end])
    }

    fn bare(&mut self, what: &str) -> Parsed<&'a str> {
        self.word().ok_or_else(|| format!("expected {what}"))
    }

    /// The next word, if it is this one.
    fn eat(&mut self, word: &str) -> bool {
        let mut ahead = self.clone();
        let is_next = ahead.word() == Some(word);
        if is_next {
            *self = ahead;
        }
        is_next
    }

    /// The next word as a number, if there is one.
    fn number(&mut self, what: &str) -> Parsed<Option<u64>> {
        let number = self.word().map(str::parse).transpose();
        number.map_err(|_| format!("expected {what}"))
    }

    /// The next JSON value, as it is written.
    fn json(&mut self, what: &str) -> Parsed<&'a str> {
        let rest = self.rest.trim_start();
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&'a RawValue>();
        let value = values.next().and_then(Result::ok).ok_or_else(|| format!("expected {what}"))?;
        self.rest = &rest[values.byte_offset()..];
        Ok(value.get())
    }

    /// The object at the end of the line, if there is one.
    fn object(&mut self) -> Option<&'a str> {
        if self.rest.trim_start().starts_with('{') { self.json("an object").ok() } else { None }
    }

    fn end(&self) -> Parsed<()> {
        let rest = self.rest.trim_start();
        if rest.is_empty() || rest.starts_with('#') {
            return Ok(());
        }
        Err(format!("does not understand `{rest}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each event as its seq, time, message, turn, kind and payload.
    #[track_caller]
    fn check(script: &str, expected: &[&str]) {
        let recorded = parse(script).expect("a script").recorded();
        let lines = recorded.iter().map(|recorded| {
            let event = recorded.event().expect("an event that is known");
            let mut payload = Vec::new();
            wire::write_payload(&mut payload, event);
            let payload = String::from_utf8(payload).expect("JSON is UTF-8");
            let time = recorded.at.to_string()[11..19].to_owned();
            let message = recorded.message.as_ref().map_or("-", MessageId::as_str);
            let turn = recorded.turn.as_ref().map_or("-", |turn| turn.id.as_str());
            format!("{} {time} {message} {turn} {} {payload}", recorded.seq, event.kind().name())
        });
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }

    #[track_caller]
    fn check_refused(script: &str, expected: &str) {
        assert_eq!(parse(script).expect_err("no script").to_string(), expected);
    }

    #[test]
    fn a_line_is_an_event() {
        check(
            "chat c1 {\"title\":\"#1\"} # a chat\nuser m1 \"hi\"\nstart t1 m2 openai/gpt\n\
             text \"a b\" x 2\n+ complete 5\nchat_viewed",
            &[
                r##"1 20:52:00 - - chat_created {"title":"#1"}"##,
                r#"2 20:52:01 m1 - user_text {"text":"hi"}"#,
                concat!(
                    r#"3 20:52:02 m2 t1 stream_started "#,
                    r#"{"provider":"openai","model":"gpt","origin":"user"}"#
                ),
                r#"4 20:52:03 m2 t1 assistant_text {"text":"a b"}"#,
                r#"5 20:52:03 m2 t1 assistant_text {"text":"a b"}"#,
                r#"6 20:52:03 m2 t1 complete {"status":"completed","duration_ms":5}"#,
                r#"7 20:52:04 - - chat_viewed {}"#,
            ],
        );
    }

    #[test]
    fn a_line_that_is_not_of_the_language_is_named() {
        check_refused("text \"a\"", "line 1: expected a line `chat ID` before it");
        check_refused("chat c1\n\nsay \"a\"", "line 3: unknown verb say");
        check_refused("chat c1\ntext a", "line 2: expected a text");
        check_refused("chat c1\nchat_viewed {} again", "line 2: does not understand `again`");
        check_refused(
            "chat c1\nin c2\n+ chat_viewed",
            "line 3: no append of this chat is right before it",
        );
    }
}
