//! Approvals and questions of a chat that wait for an answer.
//!
//! A request is gone once it is resolved. What is still pending when its turn ends is dismissed
//! with it: nobody is left to hear the answer.

use scrollback_schema::codec::{CodecError, decode_row, encode_row};
use scrollback_schema::event::{Event, JsonText, Kind, PermissionOption, ToolEvent};
use scrollback_schema::{MessageId, Millis, Recorded, RequestId, Seq, TurnId};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use crate::json::{List, Raw, ToolEventJson, entry_if_some};
use crate::{CannotApply, Projection, Reads, Touch, touches_chat};

/// The projection `requests`.
#[derive(Debug, Clone, Copy)]
pub struct Requests;

/// The pending requests of a chat, the oldest first; a chat that has none has no row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingRequests {
    /// At least one, at most `PENDING_REQUESTS_MAX`: the writer refuses more.
    pub items: Vec<PendingRequest>,
}

/// A request that waits for an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingRequest {
    /// The request.
    pub id: RequestId,
    /// The turn that waits for it.
    pub turn_id: TurnId,
    /// The message that the turn produces.
    pub message_id: MessageId,
    /// What is asked.
    pub ask: Ask,
    /// The event that asked.
    pub requested_seq: Seq,
    /// When that was.
    pub requested_at: Millis,
}

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    /// An approval.
    Permission {
        /// The tool call that waits for it.
        tool: Option<ToolEvent>,
        /// The answers on offer.
        options: Vec<PermissionOption>,
        /// When it expires.
        expires_at: Option<Millis>,
    },
    /// A question.
    Elicitation {
        /// The question.
        message: String,
        /// JSON schema of the answer.
        schema: Option<JsonText>,
    },
}

impl PendingRequests {
    /// The row blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encode_row(self, &mut out);
        out
    }

    /// Reads a row blob back.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the bytes are no requests.
    pub fn decode(blob: &[u8]) -> Result<PendingRequests, CodecError> {
        decode_row(blob)
    }
}

impl Projection for Requests {
    const NAME: &'static str = "requests";
    const VERSION: u32 = 1;
    const SQL: &'static str = include_str!("../sql/requests.sql");

    type Key = Seq;
    type Row = PendingRequests;

    fn reads(kind: Kind) -> Reads {
        match kind {
            Kind::ChatDeleted => Reads::Head,
            Kind::PermissionRequest
            | Kind::PermissionResolved
            | Kind::ElicitationRequest
            | Kind::ElicitationResolved
            | Kind::Complete
            | Kind::Cancelled
            | Kind::Error => Reads::Body,
            _ => Reads::Nothing,
        }
    }

    fn touches(event: &Recorded) -> Touch<Seq> {
        touches_chat(event, Requests::reads)
    }

    fn apply(row: &mut Option<PendingRequests>, event: &Recorded) -> Result<(), CannotApply> {
        match event.event() {
            Some(Event::PermissionRequest(request)) => {
                let ask = Ask::Permission {
                    tool: request.tool.clone(),
                    options: request.options.clone(),
                    expires_at: request.expires_at,
                };
                add(row, event, &request.request_id, ask)
            }
            Some(Event::ElicitationRequest(request)) => {
                let ask = Ask::Elicitation {
                    message: request.message.clone(),
                    schema: request.schema.clone(),
                };
                add(row, event, &request.request_id, ask)
            }
            Some(Event::PermissionResolved(resolved)) => resolve(row, &resolved.request_id),
            Some(Event::ElicitationResolved(resolved)) => resolve(row, &resolved.request_id),
            Some(Event::Complete(_) | Event::Cancelled(_) | Event::Error(_)) => {
                if let (Some(pending), Some(turn)) = (row.as_mut(), &event.turn) {
                    pending.items.retain(|item| item.turn_id != turn.id);
                }
                drop_if_empty(row);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn add(
    row: &mut Option<PendingRequests>,
    event: &Recorded,
    id: &RequestId,
    ask: Ask,
) -> Result<(), CannotApply> {
    let Some(turn) = &event.turn else {
        return Err(CannotApply::because("the request names no turn"));
    };
    if row.as_ref().is_some_and(|pending| pending.items.iter().any(|item| item.id == *id)) {
        return Err(CannotApply::because("the request is pending already"));
    }
    row.get_or_insert_with(|| PendingRequests { items: Vec::new() }).items.push(PendingRequest {
        id: id.clone(),
        turn_id: turn.id.clone(),
        message_id: turn.message.clone(),
        ask,
        requested_seq: event.seq,
        requested_at: event.at,
    });
    Ok(())
}

fn resolve(row: &mut Option<PendingRequests>, id: &RequestId) -> Result<(), CannotApply> {
    let place = row.as_ref().and_then(|pending| pending.items.iter().position(|i| i.id == *id));
    let (Some(pending), Some(place)) = (row.as_mut(), place) else {
        return Err(CannotApply::because("the request is not pending"));
    };
    pending.items.remove(place);
    drop_if_empty(row);
    Ok(())
}

fn drop_if_empty(row: &mut Option<PendingRequests>) {
    if row.as_ref().is_some_and(|pending| pending.items.is_empty()) {
        *row = None;
    }
}

/// A pending request as clients see it; `type` is `permission` or `elicitation`.
#[derive(Debug, Clone, Copy)]
pub struct PendingRequestView<'a>(pub &'a PendingRequest);

impl Serialize for PendingRequestView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let PendingRequest { id, turn_id, message_id, ask, requested_seq, requested_at } = self.0;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("request_id", id.as_str())?;
        match ask {
            Ask::Permission { tool, options, expires_at } => {
                out.serialize_entry("type", "permission")?;
                entry_if_some(&mut out, "tool", tool.as_ref().map(ToolEventJson))?;
                out.serialize_entry("options", &List(options, OptionView))?;
                out.serialize_entry("expires_at", &expires_at.map(|at| at.to_string()))?;
            }
            Ask::Elicitation { message, schema } => {
                out.serialize_entry("type", "elicitation")?;
                out.serialize_entry("message", message)?;
                out.serialize_entry("schema", &schema.as_ref().map(Raw))?;
            }
        }
        out.serialize_entry("turn_id", turn_id.as_str())?;
        out.serialize_entry("message_id", message_id.as_str())?;
        out.serialize_entry("requested_seq", &requested_seq.get())?;
        out.serialize_entry("requested_at", &requested_at.to_string())?;
        out.end()
    }
}

struct OptionView<'a>(&'a PermissionOption);

impl Serialize for OptionView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("option_id", &self.0.option_id)?;
        out.serialize_entry("name", &self.0.name)?;
        out.serialize_entry("kind", &self.0.kind)?;
        out.end()
    }
}
