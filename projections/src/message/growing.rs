//! Text of an open message as it may be shown while it grows: a tag never flashes up in it.
//!
//! A reader that is sent deltas cannot take back what it was shown. Text that a tag may yet take
//! away is therefore held back, at most as much as a tag can have, until it is known not to be one
//! or the part ends. What is shown joins to the text of the folded message.

use super::tag::{OPEN, Scan};
use super::text::Voice;
use super::{Message, Part};

/// The text of the part that a message ends with, from where it stands on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Growing {
    scan: Scan,
    /// Bytes of the text so far, without the tags that left it.
    bytes: u64,
    /// The end of them, which a tag may take away.
    held: String,
}

impl Growing {
    /// Appends a delta: what of the text may now be shown, and the suggestions of the last tag that
    /// was closed in it.
    pub fn push(&mut self, delta: &str) -> (String, Option<Vec<String>>) {
        let (mut shown, mut suggestions, mut rest) = (String::new(), None, delta);
        while let Some(tag) = self.scan.next_tag(self.bytes, rest.as_bytes()) {
            let (head, tail) = rest.split_at(tag.end);
            self.hold(head);
            let from = self.held.len() - (self.bytes - tag.start) as usize;
            let body = &self.held[from + OPEN.len()..from + OPEN.len() + tag.body_bytes];
            suggestions = serde_json::from_str(body).ok().or(suggestions);
            self.held.truncate(from);
            self.bytes = tag.start;
            rest = tail;
        }
        self.hold(rest);
        let open = self.scan.open_since().map_or(0, |start| (self.bytes - start) as usize);
        let free = self.held.len() - open;
        shown.push_str(&self.held[..free]);
        self.held.drain(..free);
        (shown, suggestions)
    }

    /// What is held back; text ends with it as long as it is not shown.
    pub fn held(&self) -> &str {
        &self.held
    }

    /// What was held back until the part ended.
    pub fn end(self) -> String {
        self.held
    }

    fn hold(&mut self, piece: &str) {
        self.held.push_str(piece);
        self.bytes += piece.len() as u64;
    }
}

/// What an open message is in the middle of saying.
#[derive(Debug, Clone)]
pub struct Current<'a> {
    /// The last part, unless it is empty so far.
    pub part: Option<&'a Part>,
    /// How it goes on.
    pub speaking: Speaking,
}

/// How a part goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaking {
    /// Text.
    Text(Growing),
    /// Thinking, which is shown as it comes.
    Thinking,
}

impl Message {
    /// What an open message is in the middle of saying.
    ///
    /// # Panics
    ///
    /// If not all of the message is in memory.
    pub fn current(&self) -> Option<Current<'_>> {
        assert!(self.is_whole, "a message is shown when all of it was loaded");
        let tail = self.head.tail.as_ref()?;
        let part = self.parts.get(&tail.part);
        let open = tail.scan.open_since().map_or(0, |start| (tail.bytes - start) as usize);
        let speaking = match (tail.voice, part) {
            (Voice::Thinking, _) => Speaking::Thinking,
            (Voice::Text, Some(Part::Text(text))) => {
                let held = text.last_bytes(open);
                Speaking::Text(Growing { scan: tail.scan.clone(), bytes: tail.bytes, held })
            }
            (Voice::Text, _) => Speaking::Text(Growing::default()),
        };
        Some(Current { part, speaking })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The deltas, separated by `|`, and what is shown after each of them and at the end.
    fn check(deltas: &str, expected: &str) {
        let mut growing = Growing::default();
        let (mut shown, mut offered) = (Vec::new(), Vec::new());
        for delta in deltas.split('|') {
            let (text, suggestions) = growing.push(delta);
            shown.push(text);
            offered.extend(suggestions.unwrap_or_default());
        }
        shown.push(growing.end());
        let offered = offered.iter().map(|text| format!(" +{text}")).collect::<String>();
        assert_eq!(format!("{}{offered}", shown.join("|")), expected);
    }

    #[test]
    fn text_is_shown_at_once_and_a_tag_never() {
        check("Hel|lo", "Hel|lo|");
        check("a <|b> c", "a |<b> c|");
        check("Hi <prompt_sugg|estions>[\"x\"]</prompt_|suggestions> there", "Hi || there| +x");
        check("a<prompt_suggestions>[\"x\"]</prompt_suggestions>b|c", "ab|c| +x");
    }

    #[test]
    fn what_is_no_tag_comes_in_the_end() {
        check("a <prompt_suggestions>[|b", "a ||<prompt_suggestions>[b");
        check("x <|", "x ||<");
        check("a<prompt_suggestions>no json</prompt_suggestions>b", "ab|");
        check("é<é|", "é<é||");
    }

    #[test]
    fn a_tag_that_is_too_long_is_text() {
        let long = "x".repeat(scrollback_schema::limits::SUGGESTIONS_TAG_BYTES_MAX);
        let mut growing = Growing::default();
        assert_eq!(growing.push("<prompt_suggestions>"), (String::new(), None));
        assert_eq!(growing.push(&long), (String::new(), None));
        let (shown, _) = growing.push("y");
        assert_eq!(shown.len(), long.len() + "<prompt_suggestions>".len() + 1);
    }
}
