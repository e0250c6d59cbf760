//! A strict reader of JSON objects: known fields only, each once, and errors that name the place.
//!
//! serde's own errors quote what they found, which may be a person's words, and do not say where;
//! so objects are taken apart here, and each value is read by a function that knows its place.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Problem, WireError};
use crate::event::{JsonText, Patch};
use crate::id::{IdError, Seq};
use crate::limits::{JSON_DEPTH_MAX, LIST_ITEMS_MAX, TITLE_LEN_MAX};
use crate::time::Millis;

/// A place in a text, kept on the stack until somebody needs it as text.
#[derive(Clone, Copy)]
pub(super) enum Path<'p> {
    /// The whole text, and what to call it.
    Root(&'static str),
    /// A field of an object.
    Field(&'p Path<'p>, &'p str),
    /// An item of a list.
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root(name) => f.write_str(name),
            Path::Field(Path::Root(_), name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Item(parent, i) => write!(f, "{parent}[{i}]"),
        }
    }
}

impl Path<'_> {
    pub(super) fn error(&self, problem: Problem) -> WireError {
        WireError { path: self.to_string(), index: None, problem }
    }

    pub(super) fn shape(&self, expected: impl Into<Cow<'static, str>>) -> WireError {
        self.error(Problem::Shape { expected: expected.into() })
    }

    /// The error for a text that the JSON parser refused, or found to be of another type.
    fn refused(&self, error: &serde_json::Error, expected: &'static str) -> WireError {
        if error.is_data() {
            return self.shape(expected);
        }
        self.error(Problem::Syntax { line: error.line(), column: error.column() })
    }
}

/// Fields that one object may have.
const FIELDS_MAX: usize = 12;

/// The fields of one object, each still unread.
pub(super) struct Fields<'j, 'p> {
    path: &'p Path<'p>,
    known: &'static [&'static str],
    values: [Option<&'j RawValue>; FIELDS_MAX],
}

impl<'j, 'p> Fields<'j, 'p> {
    /// Takes an object apart; `known` are the fields that it may have.
    pub(super) fn read(
        path: &'p Path<'p>,
        json: &'j str,
        known: &'static [&'static str],
    ) -> Result<Fields<'j, 'p>, WireError> {
        assert!(known.len() <= FIELDS_MAX, "an object has at most FIELDS_MAX fields");
        let mut values = [None; FIELDS_MAX];
        let mut odd = None;
        let mut parser = serde_json::Deserializer::from_str(json);
        let collect = Collect { known, values: &mut values, odd: &mut odd };
        parser
            .deserialize_map(collect)
            .and_then(|()| parser.end())
            .map_err(|error| path.refused(&error, "an object"))?;
        match odd {
            Some(Odd::Unknown(name)) => {
                let problem = Problem::UnknownField { known };
                Err(match &name {
                    Some(name) => Path::Field(path, name).error(problem),
                    None => path.error(problem),
                })
            }
            Some(Odd::Duplicate(i)) => Err(Path::Field(path, known[i]).error(Problem::Duplicate)),
            None => Ok(Fields { path, known, values }),
        }
    }

    fn given(&self, name: &'static str) -> Option<&'j str> {
        let i = self.known.iter().position(|&known| known == name);
        self.values[i.expect("a field is read under a name that it is known by")].map(RawValue::get)
    }

    /// The field's text, unless it is absent or null.
    pub(super) fn raw(&self, name: &'static str) -> Option<&'j str> {
        self.given(name).filter(|&json| json != "null")
    }

    /// Reads a field that may be absent.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        value: impl FnOnce(&Path<'_>, &'j str) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        self.raw(name).map(|json| value(&Path::Field(self.path, name), json)).transpose()
    }

    /// Reads a field that has to be there: no value is read from `null`, so the error is the same.
    pub(super) fn required<T>(
        &self,
        name: &'static str,
        value: impl FnOnce(&Path<'_>, &'j str) -> Result<T, WireError>,
    ) -> Result<T, WireError> {
        value(&Path::Field(self.path, name), self.raw(name).unwrap_or("null"))
    }

    /// Reads a change: absent keeps, null removes.
    pub(super) fn patch<T>(
        &self,
        name: &'static str,
        value: impl FnOnce(&Path<'_>, &'j str) -> Result<T, WireError>,
    ) -> Result<Patch<T>, WireError> {
        match self.given(name) {
            None => Ok(Patch::Keep),
            Some("null") => Ok(Patch::Remove),
            Some(json) => value(&Path::Field(self.path, name), json).map(Patch::Set),
        }
    }

    /// Reads a list that may be absent, which is the same as empty.
    pub(super) fn list<T>(
        &self,
        name: &'static str,
        each: impl FnMut(&Path<'_>, &'j str) -> Result<T, WireError>,
    ) -> Result<Vec<T>, WireError> {
        let read = |path: &Path<'_>, json| list(path, json, each);
        self.optional(name, read).map(Option::unwrap_or_default)
    }

    /// Refuses a field that is there with another value than this word.
    pub(super) fn constant(&self, name: &'static str, word: &'static str) -> Result<(), WireError> {
        let same = |text: &str| (text == word).then_some(());
        self.optional(name, |path, json| one_of(path, json, same, &[word])).map(drop)
    }
}

/// Something that an object should not have.
enum Odd {
    /// A field that is not known; its name, if that is a name and not a text.
    Unknown(Option<String>),
    /// The known field at this index, again.
    Duplicate(usize),
}

struct Collect<'f, 'j> {
    known: &'static [&'static str],
    values: &'f mut [Option<&'j RawValue>; FIELDS_MAX],
    odd: &'f mut Option<Odd>,
}

impl<'de> Visitor<'de> for Collect<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(found) = map.next_key_seed(FieldName(self.known))? {
            let odd = match found {
                Ok(i) if self.values[i].is_none() => {
                    self.values[i] = Some(map.next_value()?);
                    continue;
                }
                Ok(i) => Odd::Duplicate(i),
                Err(name) => Odd::Unknown(name),
            };
            self.odd.get_or_insert(odd);
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Reads a field's name: its index among the known ones, or the name if it may be repeated.
struct FieldName(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Result<usize, Option<String>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Result<usize, Option<String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        let is_name = name.len() <= 40
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let found = self.0.iter().position(|&known| known == name);
        Ok(found.ok_or_else(|| is_name.then(|| name.to_owned())))
    }
}

/// Reads a list of at most [`LIST_ITEMS_MAX`] items.
pub(super) fn list<'j, T>(
    path: &Path<'_>,
    json: &'j str,
    each: impl FnMut(&Path<'_>, &'j str) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    list_up_to(path, json, LIST_ITEMS_MAX, each)
}

/// Reads a list of at most `max` items.
pub(super) fn list_up_to<'j, T>(
    path: &Path<'_>,
    json: &'j str,
    max: usize,
    mut each: impl FnMut(&Path<'_>, &'j str) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let mut items: Vec<&'j RawValue> = Vec::new();
    let mut parser = serde_json::Deserializer::from_str(json);
    let n_items = parser
        .deserialize_seq(Items { items: &mut items, max })
        .map_err(|error| path.refused(&error, "a list"))?;
    if n_items > max {
        return Err(path.error(Problem::TooMany { max }));
    }
    let read = |(i, item): (usize, &'j RawValue)| each(&Path::Item(path, i), item.get());
    items.into_iter().enumerate().map(read).collect()
}

struct Items<'f, 'j> {
    items: &'f mut Vec<&'j RawValue>,
    max: usize,
}

impl<'de> Visitor<'de> for Items<'_, 'de> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<usize, A::Error> {
        while self.items.len() < self.max {
            let Some(item) = seq.next_element()? else { return Ok(self.items.len()) };
            self.items.push(item);
        }
        let mut n_items = self.max;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            n_items += 1;
        }
        Ok(n_items)
    }
}

/// Reads a string.
pub(super) fn text(path: &Path<'_>, json: &str) -> Result<String, WireError> {
    serde_json::from_str(json).map_err(|_| path.shape("a string of valid Unicode"))
}

/// Reads a string that has at least one character.
pub(super) fn name(path: &Path<'_>, json: &str) -> Result<String, WireError> {
    text(path, json)
        .ok()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| path.shape("a string of one character or more"))
}

/// Reads a title.
pub(super) fn title(path: &Path<'_>, json: &str) -> Result<String, WireError> {
    text(path, json)
        .ok()
        .filter(|title| title.chars().nth(TITLE_LEN_MAX).is_none())
        .ok_or_else(|| path.shape(format!("a string of at most {TITLE_LEN_MAX} characters")))
}

/// Reads an id.
pub(super) fn id<T: FromStr<Err = IdError>>(path: &Path<'_>, json: &str) -> Result<T, WireError> {
    serde_json::from_str::<Cow<'_, str>>(json)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| path.shape("an id of 1 to 128 characters of A-Z a-z 0-9 . _ : -"))
}

/// Reads a whole number.
pub(super) fn int(path: &Path<'_>, json: &str) -> Result<u64, WireError> {
    json.parse().map_err(|_| path.shape("a whole number of 0 or more"))
}

/// Reads a position in the log.
pub(super) fn seq(path: &Path<'_>, json: &str) -> Result<Seq, WireError> {
    json.parse().map_err(|_| path.shape("a seq: a whole number of 0 to 9223372036854775807"))
}

/// Reads a number, to the last bit: the standard library's parser rounds correctly.
pub(super) fn float(path: &Path<'_>, json: &str) -> Result<f64, WireError> {
    json.parse()
        .ok()
        .filter(|n: &f64| n.is_finite() && *n >= 0.0)
        .ok_or_else(|| path.shape("a number of 0 or more"))
}

/// Reads `true` or `false`.
pub(super) fn flag(path: &Path<'_>, json: &str) -> Result<bool, WireError> {
    json.parse().map_err(|_| path.shape("true or false"))
}

/// Reads an instant.
pub(super) fn time(path: &Path<'_>, json: &str) -> Result<Millis, WireError> {
    serde_json::from_str::<Cow<'_, str>>(json)
        .ok()
        .and_then(|text| Millis::parse(&text).ok())
        .ok_or_else(|| path.shape("an RFC 3339 instant such as 2026-11-22T20:52:00.123Z"))
}

/// Takes any JSON.
pub(super) fn json(path: &Path<'_>, json: &str) -> Result<JsonText, WireError> {
    JsonText::parse(json).map_err(|_| {
        path.shape(format!("JSON of valid Unicode that nests at most {JSON_DEPTH_MAX} levels"))
    })
}

/// Reads a word of a closed list.
pub(super) fn one_of<T>(
    path: &Path<'_>,
    json: &str,
    from_name: impl FnOnce(&str) -> Option<T>,
    names: &[&'static str],
) -> Result<T, WireError> {
    serde_json::from_str::<Cow<'_, str>>(json)
        .ok()
        .and_then(|text| from_name(&text))
        .ok_or_else(|| path.shape(format!("one of: {}", names.join(", "))))
}
