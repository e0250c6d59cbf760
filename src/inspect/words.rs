//! What an event says, on one line: for a list, and for who looks for a word.

use std::borrow::Cow;

use scrollback_schema::event::{Event, Kind, Patch, ToolEvent};
use scrollback_schema::{Body, Recorded, wire};

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

/// A length of time as a person reads it: `340 ms`, `3.1 s`, `4 min 10 s`.
pub(crate) fn duration_text(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_on_one_line_and_say_that_they_go_on() {
        assert_eq!(quoted("one\ntwo\u{1b}[31m", 60), "\"one⏎two·[31m\"");
        assert_eq!(quoted("Grüße", 5), "\"Grüße\"");
        assert_eq!(quoted("Grüße!", 5), "\"Grüße…\"");
    }

    #[test]
    fn lengths_of_time_read_well() {
        assert_eq!(
            [duration_text(340), duration_text(3_190), duration_text(250_000)],
            ["340 ms", "3.1 s", "4 min 10 s"]
        );
        assert_eq!(duration_text(7_260_000), "2 h 1 min");
    }
}
