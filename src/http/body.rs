//! The object of a JSON body, field by field.
//!
//! Payloads of events go through `schema::wire`, so that a call and a producer are held to the same
//! rules. An error names the field and what was expected, never what was found: that may be a
//! person's words. Fields that a call does not know are ignored, so that a newer client can talk to
//! an older server.

use std::collections::BTreeMap;

use scrollback_schema::{Event, IdError, Kind, Seq, wire};
use serde_json::value::RawValue;

use super::error::{Code, Problem};

/// The fields of a body, their values not looked into yet.
#[derive(Debug)]
pub(crate) struct Fields<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    /// Reads an object; no body at all is an empty one.
    pub(crate) fn read(body: &'a [u8]) -> Result<Fields<'a>, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Fields(BTreeMap::new()));
        }
        let text = std::str::from_utf8(body)
            .map_err(|_| Problem::new(Code::BadJson, "the body is not UTF-8"))?;
        serde_json::from_str(text).map(Fields).map_err(|error| {
            let place = format!("at line {}, column {}", error.line(), error.column());
            match error.classify() {
                serde_json::error::Category::Data => bad("body", "an object"),
                _ => Problem::new(Code::BadJson, format!("the body is not valid JSON {place}")),
            }
        })
    }

    /// The JSON of a field; `null` is as good as none.
    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|raw| raw.get()).filter(|&json| json != "null")
    }

    /// Whether the field is there, be it `null`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(json) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(json).map(Some).map_err(|_| bad(name, "a string"))
    }

    /// An id.
    pub(crate) fn id<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, IdError>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let named = |error| Problem::new(Code::BadId, format!("{name}: {error}"));
        parse(&text).map(Some).map_err(named)
    }

    /// A whole number within bounds.
    pub(crate) fn int(
        &self,
        name: &str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(json) = self.raw(name) else { return Ok(None) };
        let value = serde_json::from_str(json).ok().filter(|value| bounds.contains(value));
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        value.map(Some).ok_or_else(|| bad(name, &expected))
    }

    /// A position in the log.
    pub(crate) fn seq(&self, name: &str) -> Result<Option<Seq>, Problem> {
        Ok(self.int(name, 0..=Seq::MAX.get())?.and_then(Seq::new))
    }

    /// True or false.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        let Some(json) = self.raw(name) else { return Ok(None) };
        serde_json::from_str(json).map(Some).map_err(|_| bad(name, "true or false"))
    }

    /// One of a few words.
    pub(crate) fn word<'w>(
        &self,
        name: &str,
        words: &'w [&'w str],
    ) -> Result<Option<&'w str>, Problem> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let found = words.iter().find(|word| **word == text);
        found.copied().map(Some).ok_or_else(|| bad(name, &format!("one of {}", words.join(", "))))
    }

    /// The event whose payload has these of the body's fields.
    pub(crate) fn event(&self, kind: Kind, names: &[&str]) -> Result<Event, Problem> {
        self.event_with(kind, names, &[])
    }

    /// The same, with further fields that the caller gives: ids, which need no escapes in JSON.
    pub(crate) fn event_with(
        &self,
        kind: Kind,
        names: &[&str],
        given: &[(&str, &str)],
    ) -> Result<Event, Problem> {
        let mut payload = String::from("{");
        for (name, id) in given {
            if payload.len() > 1 {
                payload.push(',');
            }
            payload.push_str(&format!("\"{name}\":\"{id}\""));
        }
        for name in names {
            let Some(raw) = self.0.get(*name) else { continue };
            if payload.len() > 1 {
                payload.push(',');
            }
            // The names are ours and hold nothing that JSON escapes.
            payload.push_str(&format!("\"{name}\":{}", raw.get()));
        }
        payload.push('}');
        wire::parse_payload(kind, &payload).map_err(|error| {
            let path = error.path.strip_prefix("payload").unwrap_or(&error.path);
            let path = path.strip_prefix('.').unwrap_or(path);
            let path = if path.is_empty() { "body" } else { path };
            Problem::new(Code::BadBody, format!("{path}: {}", error.problem)).with("field", path)
        })
    }
}

/// A field is not what it should be.
pub(crate) fn bad(name: &str, expected: &str) -> Problem {
    Problem::new(Code::BadBody, format!("{name}: expected {expected}")).with("field", name)
}

/// A field is missing.
pub(crate) fn missing(name: &str, expected: &str) -> Problem {
    let detail = format!("{name}: missing; expected {expected}");
    Problem::new(Code::BadBody, detail).with("field", name)
}

#[cfg(test)]
mod tests {
    use scrollback_schema::ChatId;

    use super::*;

    #[test]
    fn a_body_is_an_object_or_nothing() {
        let read = |body: &str| Fields::read(body.as_bytes()).map(|_| ()).map_err(|p| p.code());
        assert_eq!(
            (read(""), read(" \n"), read("{}"), read("{\"x\":1}")),
            (Ok(()), Ok(()), Ok(()), Ok(()))
        );
        assert_eq!(read("{"), Err(Code::BadJson));
        assert_eq!(read("x"), Err(Code::BadJson));
        assert_eq!(read("[]"), Err(Code::BadBody));
        assert_eq!(Fields::read(b"{\"a\":\"\xff\"}").unwrap_err().code(), Code::BadJson);
    }

    #[test]
    fn fields_are_named_where_they_are_wrong_and_never_shown() {
        let body = br#"{"t":"secret","n":5,"id":"a/b","none":null}"#;
        let fields = Fields::read(body).unwrap();
        assert_eq!(fields.text("none"), Ok(None));
        assert_eq!(fields.text("t").unwrap().as_deref(), Some("secret"));
        let details = [
            fields.text("n").unwrap_err(),
            fields.int("t", 0..=9).unwrap_err(),
            fields.int("n", 6..=9).unwrap_err(),
            fields.word("t", &["a", "b"]).unwrap_err(),
            fields.id("id", ChatId::parse).unwrap_err(),
        ]
        .map(|problem| problem.detail().to_owned());
        assert_eq!(
            details,
            [
                "n: expected a string",
                "t: expected a whole number from 0 to 9",
                "n: expected a whole number from 6 to 9",
                "t: expected one of a, b",
                "id: chat id has a character at byte 1 that is not one of A-Z a-z 0-9 . _ : -",
            ]
        );
    }

    #[test]
    fn a_payload_is_read_as_a_producers_would_be() {
        let fields = Fields::read(br#"{"text":"hi","if_busy":"reject"}"#).unwrap();
        let event = fields.event(Kind::UserText, &["text", "attachments"]).unwrap();
        assert_eq!(event.kind(), Kind::UserText);
        let fields = Fields::read(br#"{"title":7}"#).unwrap();
        let problem = fields.event(Kind::ChatUpdated, &["title", "metadata"]).unwrap_err();
        assert_eq!(problem.code(), Code::BadBody);
        assert!(problem.detail().starts_with("title: expected"), "{}", problem.detail());
    }
}
