//! What an agent asks of a person, and the person's answer in the agent's words. Pure.

use scrollback_schema::RequestId;
use scrollback_schema::event::{
    ElicitationRequest, PermissionOption, PermissionRequest, RequestOutcome,
};
use scrollback_schema::limits::LIST_ITEMS_MAX;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::update::{Updates, json_text};
use crate::provider::{Answer, Question};

/// How the answer is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wanted {
    /// One of these options.
    Option(Vec<PermissionOption>),
    /// Content of a form.
    Form,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PermissionParams<'a> {
    #[serde(borrow)]
    tool_call: Option<&'a RawValue>,
    #[serde(default)]
    options: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ElicitationParams<'a> {
    mode: Option<String>,
    message: String,
    #[serde(borrow)]
    requested_schema: Option<&'a RawValue>,
}

/// A request of the agent's as a question; none if it is none, or one that cannot be asked here.
pub(super) fn of_request(
    method: &str,
    params: &RawValue,
    request_id: RequestId,
    updates: &mut Updates,
) -> Option<(Question, Wanted)> {
    match method {
        "session/request_permission" => permission(params, request_id, updates),
        "elicitation/create" => elicitation(params, request_id),
        _ => None,
    }
}

fn permission(
    params: &RawValue,
    request_id: RequestId,
    updates: &mut Updates,
) -> Option<(Question, Wanted)> {
    let params: PermissionParams<'_> = serde_json::from_str(params.get()).ok()?;
    let option = |option: &Value| {
        let option_id = option["optionId"].as_str()?.to_owned();
        let name = option["name"].as_str().unwrap_or(&option_id).to_owned();
        let kind = option["kind"].as_str().unwrap_or_default().to_owned();
        Some(PermissionOption { option_id, name, kind })
    };
    let options: Vec<_> = params.options.iter().filter_map(option).take(LIST_ITEMS_MAX).collect();
    if options.is_empty() {
        return None;
    }
    let tool = params.tool_call.and_then(|call| updates.tool(call));
    let wanted = Wanted::Option(options.clone());
    let request = PermissionRequest { request_id, tool, options, expires_at: None };
    Some((Question::Permission(request), wanted))
}

/// A form; an address to be visited (mode `url`) is not asked for, nor offered in the handshake.
fn elicitation(params: &RawValue, request_id: RequestId) -> Option<(Question, Wanted)> {
    let params: ElicitationParams<'_> = serde_json::from_str(params.get()).ok()?;
    if params.mode.as_deref().is_some_and(|mode| mode != "form") {
        return None;
    }
    let schema = json_text(params.requested_schema);
    let request = ElicitationRequest { request_id, message: params.message, schema };
    Some((Question::Elicitation(request), Wanted::Form))
}

impl Wanted {
    /// The answer in the agent's words; without one, the question was put aside.
    pub(super) fn answer(&self, answer: Option<&Answer>) -> Value {
        match self {
            Wanted::Option(options) => match answer.and_then(|answer| chosen(options, answer)) {
                Some(id) => json!({"outcome": {"outcome": "selected", "optionId": id}}),
                None => json!({"outcome": {"outcome": "cancelled"}}),
            },
            Wanted::Form => match answer.map(|answer| answer.outcome) {
                Some(RequestOutcome::Selected) => {
                    let content = answer.and_then(|answer| answer.content.as_ref());
                    let content: Option<Value> =
                        content.and_then(|json| serde_json::from_str(json.as_str()).ok());
                    json!({"action": "accept", "content": content.unwrap_or_else(|| json!({}))})
                }
                Some(RequestOutcome::Denied) => json!({"action": "decline"}),
                Some(RequestOutcome::Dismissed | RequestOutcome::Expired) | None => {
                    json!({"action": "cancel"})
                }
            },
        }
    }
}

/// The option that the answer stands for; a denial is the mildest refusal on offer, since
/// `cancelled` would tell the agent that the whole turn is. It never selects what allows.
fn chosen<'a>(options: &'a [PermissionOption], answer: &Answer) -> Option<&'a str> {
    let of = |is_it: &dyn Fn(&PermissionOption) -> bool| {
        options.iter().find(|option| is_it(option)).map(|option| option.option_id.as_str())
    };
    let is_named =
        |option: &PermissionOption| answer.option_id.as_deref() == Some(option.option_id.as_str());
    let refuses = |option: &PermissionOption| option.kind.starts_with("reject");
    match answer.outcome {
        RequestOutcome::Selected => of(&is_named),
        RequestOutcome::Denied => of(&|option| is_named(option) && refuses(option))
            .or_else(|| of(&|option| option.kind == "reject_once"))
            .or_else(|| of(&refuses)),
        RequestOutcome::Dismissed | RequestOutcome::Expired => None,
    }
}
