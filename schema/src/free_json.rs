//! JSON that somebody else defined: whether it can be kept, and without the white space.
//!
//! The type that carries it is [`crate::event::JsonText`].

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::limits::JSON_DEPTH_MAX;

/// Whether every common parser can read the text.
pub(crate) fn check(json: &str) -> Result<(), serde_json::Error> {
    let mut parser = serde_json::Deserializer::from_str(json);
    Readable { depth_left: JSON_DEPTH_MAX }.deserialize(&mut parser)?;
    parser.end()
}

/// Drops the white space between the tokens of valid JSON.
pub(crate) fn compact(json: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(at) = rest.find(|c: char| c == '"' || c.is_ascii_whitespace()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let n = if from.starts_with('"') { string_len(from) } else { 1 };
        if n > 1 {
            out.push_str(&from[..n]);
        }
        rest = &from[n..];
    }
    out.push_str(rest);
    out
}

/// Bytes of the JSON string that `json` starts with, quotes included.
fn string_len(json: &str) -> usize {
    let mut is_escaped = false;
    let end = json.bytes().skip(1).position(|b| {
        let is_end = b == b'"' && !is_escaped;
        is_escaped = b == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(json.len(), |end| end + 2)
}

/// Reads any JSON to its last token and keeps nothing.
///
/// serde's `IgnoredAny` is no check: it skips strings and numbers that cannot be read, and has no
/// bound on depth.
struct Readable {
    depth_left: usize,
}

impl Readable {
    fn inner<E: Error>(&self) -> Result<Readable, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Readable { depth_left }),
            None => Err(E::custom("nests too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Readable {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self.inner()?)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(self.inner()?)?.is_some() {
            map.next_value_seed(self.inner()?)?;
        }
        Ok(())
    }
}
