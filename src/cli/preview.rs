//! An event on one line: seq, time, chat, turn, kind, and the beginning of what it says.

use std::borrow::Cow;

use scrollback_schema::{Millis, Recorded};

use crate::inspect::{kind_name, text_of};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_their_end() {
        assert_eq!(short_id("c1"), "c1");
        assert_eq!(short_id("0192f3c4-8a53-7d10-b54c-2f6a7c3f9a1b"), "…f6a7c3f9a1b");
    }
}
