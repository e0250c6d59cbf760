//! Refuses sections that cannot hold a text, by their bytes, without decoding an event of them.
//!
//! A payload holds its text as UTF-8, so a run of ASCII of what is looked for has to be among its
//! bytes, in upper or lower case. That holds for the kinds that are most of a log and whose text is
//! shown as it is; the others, and whatever this program does not know, are let through. Which of
//! the events that pass are wanted is left to `plan`.

use scrollback_schema::Kind;
use scrollback_schema::batch::SectionView;
use scrollback_schema::codec::PAYLOAD_VERSION;

/// How an erased event reads, whatever it was.
const ERASED: &str = "(erased)";

/// The only characters outside of ASCII that are ASCII in lower case, at least in part: `İ` and the
/// Kelvin sign. A test goes over all characters.
pub(super) const LOWERED_TO_ASCII: [(char, u8); 2] = [('\u{130}', b'i'), ('\u{212a}', b'k')];

/// A text to look for.
#[derive(Debug)]
pub(crate) struct Sieve {
    /// The longest run that has to be among the bytes, in lower case.
    run: Needle,
    /// Other spellings of a character of the run: a section that has one is let through.
    others: Vec<Needle>,
}

impl Sieve {
    /// A sieve for a text in lower case; none if every section would pass it.
    pub(crate) fn of(text: &str) -> Option<Sieve> {
        if ERASED.contains(text) {
            return None;
        }
        // A quotation mark can be one of those that stand around the text where it is shown.
        let runs = text.split(|c: char| !c.is_ascii() || c == '"');
        let run = runs.max_by_key(|run| run.len()).filter(|run| !run.is_empty())?;
        let others = LOWERED_TO_ASCII
            .iter()
            .filter(|(_, lowered)| run.as_bytes().contains(lowered))
            .map(|(other, _)| Needle::new(other.encode_utf8(&mut [0; 4]).as_bytes()))
            .collect();
        Some(Sieve { run: Needle::new(run.as_bytes()), others })
    }

    /// Whether an event of the section may hold the text.
    pub(crate) fn lets_through(&self, section: &SectionView<'_>) -> bool {
        section.events().any(|(head, _)| !is_plain(head.kind, head.version))
            || self.run.is_in(section.payloads)
            || self.others.iter().any(|other| other.is_in(section.payloads))
    }
}

/// Whether an event of this kind reads as the one text that its payload holds.
fn is_plain(kind: u16, version: u8) -> bool {
    let text = [Kind::UserText, Kind::AssistantText, Kind::AssistantThinking];
    version == PAYLOAD_VERSION && text.iter().any(|plain| plain.number() == kind)
}

/// Bytes to look for, ASCII in upper or lower case: compared from behind, and where they differ
/// skipping as far as no match can begin (Horspool).
#[derive(Debug)]
struct Needle {
    bytes: Vec<u8>,
    /// For each byte that may be under the needle's end: how far it can be moved on.
    steps: [u8; 256],
}

impl Needle {
    fn new(bytes: &[u8]) -> Needle {
        // A needle that is too long to count its steps is found by its beginning as well.
        let bytes: Vec<u8> =
            bytes.iter().take(usize::from(u8::MAX)).map(u8::to_ascii_lowercase).collect();
        let n_bytes = bytes.len() as u8;
        let mut steps = [n_bytes; 256];
        for (index, byte) in bytes.iter().enumerate().take(bytes.len() - 1) {
            let step = n_bytes - 1 - index as u8;
            steps[usize::from(*byte)] = step;
            steps[usize::from(byte.to_ascii_uppercase())] = step;
        }
        Needle { bytes, steps }
    }

    fn is_in(&self, hay: &[u8]) -> bool {
        let mut end = self.bytes.len();
        while end <= hay.len() {
            if hay[end - self.bytes.len()..end].eq_ignore_ascii_case(&self.bytes) {
                return true;
            }
            end += usize::from(self.steps[usize::from(hay[end - 1])]);
        }
        false
    }
}
