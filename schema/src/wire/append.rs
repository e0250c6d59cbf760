//! The body of an append: what a producer outside the server says within the turn that it leases.
//!
//! Whether the lease holds and the numbers fit is left to the log.

use std::borrow::Cow;

use super::fields::{self, Fields, Path};
use super::read::payload;
use super::{Problem, WireError};
use crate::event::{Event, Kind};
use crate::limits::APPEND_EVENTS_MAX;

/// A parsed append.
#[derive(Debug, Clone, PartialEq)]
pub struct AppendBody<'a> {
    /// The lease's token.
    pub lease: Cow<'a, str>,
    /// The number of the first event among the turn's own, from 1.
    pub first_number: u64,
    /// The events, in order; may be empty, which only renews the lease.
    pub events: Vec<Event>,
}

/// Reads `{"lease":…,"first_number":…,"events":[{"kind":…,"payload":…}…]}`.
///
/// # Errors
///
/// [`WireError`]; its index says which event is to blame, if one is.
pub fn parse_append(body: &[u8]) -> Result<AppendBody<'_>, WireError> {
    let root = Path::Root("body");
    let json = std::str::from_utf8(body).map_err(|_| root.shape("JSON in UTF-8"))?;
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
