//! An event on one line: seq, time, chat, turn, kind, and the beginning of what it says.

use std::borrow::Cow;

use scrollback_schema::event::{Event, Kind, Patch, ToolEvent};
use scrollback_schema::{Body, Millis, Recorded, wire};

use super::output::duration_text;

/// Characters of a text that a line shows.
const TEXT_CHARS: usize = 60;

/// Columns of an id that a line shows.
const ID_CHARS: usize = 12;

/// Columns of the longest kind that is common.
const KIND_CHARS: usize = 18;

/// How much of an event a line shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// As much as fits beside others.
    Short,
    /// Ids and texts as they are.
    Full,
}

/// Makes lines of events that stand under each other.
#[derive(Debug)]
pub(crate) struct Lines {
    extent: Extent,
    seq_width: usize,
    day: String,
}

impl Lines {
    /// Lines wide enough for seqs up to `last`.
    pub(crate) fn new(extent: Extent, last: scrollback_schema::Seq) -> Lines {
        Lines { extent, seq_width: last.to_string().len(), day: String::new() }
    }

    /// The line of an event; before the first event of a day, the day on a line of its own.
    pub(crate) fn event(&mut self, event: &Recorded) -> String {
        let at = event.at.to_string();
        let (day, time) = (&at[..10], time_of(&at));
        let mut line = String::new();
        if self.day != day {
            day.clone_into(&mut self.day);
            line = format!("-- {day} UTC --\n");
        }
        let turn = event.turn.as_ref().map(|turn| turn.id.as_str());
        let owner = turn.or(event.message.as_ref().map(|message| message.as_str()));
        let (chat, owner) = match self.extent {
            Extent::Short => (short_id(event.chat.id.as_str()), short_id(owner.unwrap_or("-"))),
            Extent::Full => (event.chat.id.as_str().into(), owner.unwrap_or("-").into()),
        };
        let text = match self.extent {
            Extent::Short => text_of(event, TEXT_CHARS),
            Extent::Full => text_of(event, usize::MAX),
        };
        let (kind, width) = (kind_name(event.body.kind_number()), self.seq_width);
        line += &format!(
            "{:>width$} {time} {chat:<ID_CHARS$} {owner:<ID_CHARS$} {kind:<KIND_CHARS$} {text}",
            event.seq.get(),
        );
        line.truncate(line.trim_end().len());
        line
    }
}

/// Hours to milliseconds of an instant in RFC 3339.
fn time_of(at: &str) -> &str {
    &at[11..23]
}

/// Day and time to the second.
pub(crate) fn day_text(at: Millis) -> String {
    let at = at.to_string();
    format!("{} {}", &at[..10], &at[11..19])
}

/// The end of an id that is too long for its column: ids made from the clock begin alike.
pub(crate) fn short_id(id: &str) -> Cow<'_, str> {
    // Ids are ASCII, but what a damaged file holds need not be.
    let n_chars = id.chars().count();
    if n_chars <= ID_CHARS {
        return Cow::Borrowed(id);
    }
    let end: String = id.chars().skip(n_chars - (ID_CHARS - 1)).collect();
    Cow::Owned(format!("…{end}"))
}

/// The name of a kind; its number, where this program knows none.
pub(crate) fn kind_name(number: u16) -> Cow<'static, str> {
    match Kind::from_number(number) {
        Some(kind) => Cow::Borrowed(kind.name()),
        None => Cow::Owned(format!("kind {number}")),
    }
}

/// A text in quotes on one line, cut after so many characters.
pub(crate) fn quoted(text: &str, n_chars: usize) -> String {
    let mut out = String::from("\"");
    for (index, c) in text.chars().enumerate() {
        if index == n_chars {
            out.push('…');
            break;
        }
        match c {
            '\n' => out.push('⏎'),
            c if c.is_control() => out.push('·'),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Plain words on one line, cut after so many characters.
fn clipped(text: &str, n_chars: usize) -> String {
    let quoted = quoted(text, n_chars);
    quoted[1..quoted.len() - 1].to_owned()
}

/// What an event says, on one line of about so many characters.
pub(crate) fn text_of(event: &Recorded, n_chars: usize) -> String {
    let event = match &event.body {
        Body::Event(event) => event,
        Body::Erased { .. } => return "(erased)".to_owned(),
        Body::Unknown { version, payload, .. } => {
            return format!("(version {version}, {} bytes, not known here)", payload.len());
        }
        Body::Unread { .. } => return String::new(),
    };
    match event {
        Event::UserText(p) => quoted(&p.text, n_chars),
        Event::AssistantText(p) => quoted(&p.text, n_chars),
        Event::AssistantThinking(p) => quoted(&p.thinking, n_chars),
        Event::ChatCreated(p) => {
            p.title.as_deref().map_or(String::new(), |title| quoted(title, n_chars))
        }
        Event::ChatUpdated(p) => match &p.title {
            Patch::Set(title) => quoted(title, n_chars),
            _ => payload(event, n_chars),
        },
        Event::StreamStarted(p) => match &p.model {
            Some(model) => format!("{} {model}", p.provider),
            None => p.provider.clone(),
        },
        Event::ToolStarted(p) | Event::ToolCompleted(p) | Event::ToolFailed(p) => {
            tool_text(p, n_chars)
        }
        Event::Plan(p) => {
            let entries: Vec<&str> = p.entries.iter().map(|entry| entry.content.as_str()).collect();
            clipped(&entries.join(" · "), n_chars)
        }
        Event::PromptSuggestions(p) => clipped(&p.suggestions.join(" · "), n_chars),
        Event::MessageQueued(p) => quoted(&p.content, n_chars),
        Event::ElicitationRequest(p) => quoted(&p.message, n_chars),
        Event::Complete(p) => duration_text(p.duration_ms),
        Event::Cancelled(p) => {
            format!("{} after {}", p.reason.name(), duration_text(p.duration_ms))
        }
        Event::Error(p) => format!("{} {}", p.code.name(), quoted(&p.message, n_chars)),
        Event::Custom(p) => clipped(&p.name, n_chars),
        _ => payload(event, n_chars),
    }
}

fn tool_text(tool: &ToolEvent, n_chars: usize) -> String {
    let words = [Some(tool.name.as_str()), tool.title.as_deref(), tool.error.as_deref()];
    clipped(&words.into_iter().flatten().collect::<Vec<_>>().join(" · "), n_chars)
}

/// The payload as clients see it, without its braces.
fn payload(event: &Event, n_chars: usize) -> String {
    let mut json = Vec::new();
    wire::write_payload(&mut json, event);
    let json = String::from_utf8_lossy(&json);
    clipped(json.trim_start_matches('{').trim_end_matches('}'), n_chars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_on_one_line_and_say_that_they_go_on() {
        assert_eq!(quoted("one\ntwo\u{1b}[31m", 60), "\"one⏎two·[31m\"");
        assert_eq!(quoted("Grüße", 5), "\"Grüße\"");
        assert_eq!(quoted("Grüße!", 5), "\"Grüße…\"");
        assert_eq!(short_id("c1"), "c1");
        assert_eq!(short_id("0192f3c4-8a53-7d10-b54c-2f6a7c3f9a1b"), "…f6a7c3f9a1b");
    }
}
