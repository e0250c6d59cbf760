//! JSON tokens as bytes: strings, numbers, objects.
//!
//! What the tokens mean is left to the modules that write with it.

use crate::event::{JsonText, Patch};

/// Appends `text` as a JSON string, escaped as serde_json escapes.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    while let Some(at) = first_to_escape(rest) {
        out.extend_from_slice(&rest[..at]);
        push_escape(out, rest[at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Appends a whole number.
pub(super) fn push_int(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Appends bytes as a string of hexadecimal digits.
pub(super) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() * 2 + 2);
    out.push(b'"');
    for byte in bytes {
        out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
    }
    out.push(b'"');
}

/// Reads what [`push_hex`] writes between the quotes.
pub(super) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs.map(|pair| Some((digit(pair[0])? << 4) | digit(pair[1])?)).collect()
}

const fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + (nibble - 10),
    }
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Looks at eight bytes at a time: most of a text needs no escape.
fn first_to_escape(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES * 0x80;
    // The high bit of each byte that is below `n`; above the first such byte it may be wrong.
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let words = bytes.chunks_exact(8);
    let tail = words.remainder();
    for (i, word) in words.enumerate() {
        let word = u64::from_le_bytes(word.try_into().expect("a chunk has eight bytes"));
        let found = below(word, 0x20)
            | below(word ^ (ONES * u64::from(b'"')), 1)
            | below(word ^ (ONES * u64::from(b'\\')), 1);
        if found != 0 {
            return Some(i * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\')?;
    Some(bytes.len() - tail.len() + at)
}

/// Writes an object field by field; what is `None` is left out.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl Object<'_> {
    /// Opens an object, lets `fields` fill it, and closes it.
    pub(super) fn write(out: &mut Vec<u8>, fields: impl FnOnce(&mut Object<'_>)) {
        out.push(b'{');
        let mut object = Object { out, is_empty: true };
        fields(&mut object);
        object.out.push(b'}');
    }

    fn key(&mut self, name: &'static str) -> &mut Vec<u8> {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        push_text(self.out, name);
        self.out.push(b':');
        self.out
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        push_text(self.key(name), value);
    }

    pub(super) fn text_if(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn int(&mut self, name: &'static str, value: u64) {
        push_int(self.key(name), value);
    }

    pub(super) fn int_if(&mut self, name: &'static str, value: Option<u64>) {
        if let Some(value) = value {
            self.int(name, value);
        }
    }

    /// JSON has no infinities and no NaN; they are left out.
    pub(super) fn float_if(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            serde_json::to_writer(self.key(name), &value)
                .expect("a finite number is JSON, and a Vec takes every byte");
        }
    }

    pub(super) fn flag(&mut self, name: &'static str, value: bool) {
        self.key(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn flag_if(&mut self, name: &'static str, value: Option<bool>) {
        if let Some(value) = value {
            self.flag(name, value);
        }
    }

    pub(super) fn null(&mut self, name: &'static str) {
        self.key(name).extend_from_slice(b"null");
    }

    /// Free JSON, as its text; `null` reads as absent, so it is left out as well.
    pub(super) fn json_if(&mut self, name: &'static str, value: Option<&JsonText>) {
        if let Some(value) = value.filter(|value| value.as_str() != "null") {
            self.json(name, value);
        }
    }

    /// No line break is within the tokens of a [`JsonText`], so one that is there is white space
    /// that damage or a fault of ours brought in: a stream of lines must survive it.
    fn json(&mut self, name: &'static str, value: &JsonText) {
        let out = self.key(name);
        let start = out.len();
        out.extend_from_slice(value.as_str().as_bytes());
        for byte in &mut out[start..] {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
    }

    pub(super) fn text_patch(&mut self, name: &'static str, value: &Patch<String>) {
        match value {
            Patch::Keep => {}
            Patch::Remove => self.null(name),
            Patch::Set(value) => self.text(name, value),
        }
    }

    pub(super) fn json_patch(&mut self, name: &'static str, value: &Patch<JsonText>) {
        match value {
            Patch::Keep => {}
            Patch::Remove => self.null(name),
            Patch::Set(value) => self.json(name, value),
        }
    }

    pub(super) fn hex(&mut self, name: &'static str, value: &[u8]) {
        push_hex(self.key(name), value);
    }

    pub(super) fn object(&mut self, name: &'static str, fields: impl FnOnce(&mut Object<'_>)) {
        Object::write(self.key(name), fields);
    }

    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        items: &[T],
        mut each: impl FnMut(&mut Vec<u8>, &T),
    ) {
        let out = self.key(name);
        out.push(b'[');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            each(out, item);
        }
        out.push(b']');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_serde_json_does_at_every_offset() {
        let all: String = (0..0x80u8).map(char::from).chain("é€\u{2028}😀".chars()).collect();
        for c in all.chars() {
            for n_before in 0..18 {
                let text = format!("{}{c}{c}tail of it", "a".repeat(n_before));
                let mut out = Vec::new();
                push_text(&mut out, &text);
                assert_eq!(out, serde_json::to_vec(&text).unwrap(), "{text:?}");
            }
        }
    }

    #[test]
    fn hexadecimal_reads_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut out = Vec::new();
        push_hex(&mut out, &bytes);
        let text = std::str::from_utf8(&out[1..out.len() - 1]).unwrap();
        assert_eq!(parse_hex(text), Some(bytes));
        assert_eq!(parse_hex("0"), None);
        assert_eq!(parse_hex("0g"), None);
        assert_eq!(parse_hex("é"), None);
    }
}
