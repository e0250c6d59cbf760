//! The body of an append: what a producer outside the server says within the turn that it leases.
//!
//! Whether the lease holds and the numbers fit is left to the log.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::{self, Fields, Path};
use super::read::{TextJson, ThinkingJson, payload};
use super::{Problem, WireError};
use crate::event::{AssistantText, AssistantThinking, Event, Kind};
use crate::limits::APPEND_EVENTS_MAX;

/// A parsed append.
#[derive(Debug, Clone, PartialEq)]
pub struct AppendBody<'a> {
    /// The lease's token.
    pub lease: Cow<'a, str>,
    /// The number of the first event among the turn's own, from 1.
    pub first_number: u64,
    /// The events, in order; the log refuses an append of none.
    pub events: Vec<Event>,
}

/// The body as nearly every producer writes it, `kind` before `payload`: read in one pass.
///
/// What does not fit goes the long way, which knows the place of every fault.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    #[serde(borrow)]
    lease: Cow<'a, str>,
    first_number: u64,
    #[serde(deserialize_with = "plain_events")]
    events: Vec<Event>,
}

fn plain_events<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Event>, D::Error> {
    struct Events;
    impl<'de> Visitor<'de> for Events {
        type Value = Vec<Event>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("events")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Event>, A::Error> {
            let mut events = Vec::new();
            while let Some(PlainEvent(event)) = list.next_element()? {
                if events.len() == APPEND_EVENTS_MAX {
                    return Err(A::Error::custom("too many events"));
                }
                events.push(event);
            }
            Ok(events)
        }
    }
    list.deserialize_seq(Events)
}

/// One event of a plain body.
struct PlainEvent(Event);

impl<'de> Deserialize<'de> for PlainEvent {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<PlainEvent, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = PlainEvent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PlainEvent, A::Error> {
                let odd = || A::Error::custom("not a plain event");
                let (Some("kind"), name) = (map.next_key::<&str>()?, map.next_value::<&str>()?)
                else {
                    return Err(odd());
                };
                let kind = Kind::from_name(name).filter(|kind| kind.is_appended_by_producer());
                let (Some(kind), Some("payload")) = (kind, map.next_key::<&str>()?) else {
                    return Err(odd());
                };
                let event = match kind {
                    Kind::AssistantText => {
                        let TextJson { text } = map.next_value()?;
                        Event::AssistantText(AssistantText { text })
                    }
                    Kind::AssistantThinking => {
                        let ThinkingJson { thinking } = map.next_value()?;
                        Event::AssistantThinking(AssistantThinking { thinking })
                    }
                    _ => {
                        let json: &RawValue = map.next_value()?;
                        payload(&Path::Root("event"), kind, json.get()).map_err(|_| odd())?
                    }
                };
                if map.next_key::<&str>()?.is_some() {
                    return Err(odd());
                }
                Ok(PlainEvent(event))
            }
        }
        object.deserialize_map(Object)
    }
}

/// Reads `{"lease":…,"first_number":…,"events":[{"kind":…,"payload":…}…]}`.
///
/// # Errors
///
/// [`WireError`]; its index says which event is to blame, if one is.
pub fn parse_append(body: &[u8]) -> Result<AppendBody<'_>, WireError> {
    let root = Path::Root("body");
    let json = std::str::from_utf8(body).map_err(|_| root.shape("JSON in UTF-8"))?;
    if let Ok(Plain { lease, first_number, events }) = serde_json::from_str(json)
        && first_number > 0
        && !lease.is_empty()
    {
        return Ok(AppendBody { lease, first_number, events });
    }
    let fields = Fields::read(&root, json, &["lease", "first_number", "events"])?;
    let first_number = |path: &Path<'_>, json| match fields::int(path, json) {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(path.shape("a whole number of 1 or more")),
    };
    Ok(AppendBody {
        lease: fields.required("lease", fields::name)?.into(),
        first_number: fields.required("first_number", first_number)?,
        events: fields.required("events", events)?,
    })
}

fn events(path: &Path<'_>, json: &str) -> Result<Vec<Event>, WireError> {
    let mut index = 0;
    fields::list_up_to(path, json, APPEND_EVENTS_MAX, |path, json| {
        let event = event(path, json).map_err(|error| WireError { index: Some(index), ..error })?;
        index += 1;
        Ok(event)
    })
}

fn event(path: &Path<'_>, json: &str) -> Result<Event, WireError> {
    let fields = Fields::read(path, json, &["kind", "payload"])?;
    let kind = fields.required("kind", |path, json| {
        let name = fields::text(path, json)?;
        let kind = Kind::from_name(&name).ok_or_else(|| path.error(Problem::UnknownKind))?;
        if kind.is_appended_by_producer() {
            Ok(kind)
        } else {
            Err(path.error(Problem::KindNotAllowed { kind }))
        }
    })?;
    fields.required("payload", |path, json| payload(path, kind, json))
}
