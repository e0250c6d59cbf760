//! Approvals and questions as a person answers them on a line.

use scrollback_schema::RequestId;
use scrollback_schema::event::{ElicitationRequest, Event, PermissionOption, PermissionRequest};
use serde_json::{Value, json};

/// A request that waits for its answer.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) request: RequestId,
    pub(super) question: String,
    kind: AskedKind,
}

#[derive(Debug, PartialEq)]
enum AskedKind {
    Permission(Vec<PermissionOption>),
    /// Whether the answer is a text, as the schema says.
    Elicitation(bool),
}

impl Asked {
    /// The request that an event is, if it is one.
    pub(super) fn of(event: &Event) -> Option<Asked> {
        match event {
            Event::PermissionRequest(PermissionRequest { request_id, tool, options, .. }) => {
                let title = tool.as_ref().map(|tool| tool.title.as_ref().unwrap_or(&tool.name));
                let question = title.map_or("May it go on?".to_owned(), |t| format!("Allow: {t}?"));
                let kind = AskedKind::Permission(options.clone());
                Some(Asked { request: request_id.clone(), question, kind })
            }
            Event::ElicitationRequest(ElicitationRequest { request_id, message, schema }) => {
                let schema = schema.as_ref().and_then(|json| json.as_str().parse::<Value>().ok());
                let wanted = schema.as_ref().and_then(|schema| schema["type"].as_str());
                let kind = AskedKind::Elicitation(wanted.is_none_or(|wanted| wanted == "string"));
                Some(Asked { request: request_id.clone(), question: message.clone(), kind })
            }
            _ => None,
        }
    }

    /// The answers on offer, a line each.
    pub(super) fn options(&self) -> Vec<String> {
        let AskedKind::Permission(options) = &self.kind else { return Vec::new() };
        let line =
            |(at, option): (usize, &PermissionOption)| format!("  {} {}", at + 1, option.name);
        options.iter().enumerate().map(line).collect()
    }

    /// What stands before the answer.
    pub(super) fn prompt(&self) -> String {
        match &self.kind {
            AskedKind::Permission(options) if options.len() > 1 => {
                format!("1 to {}, or n to deny:", options.len())
            }
            AskedKind::Permission(_) => "1, or n to deny:".to_owned(),
            AskedKind::Elicitation(_) => ">".to_owned(),
        }
    }

    /// The body that answers it; `None` if the line is no answer.
    pub(super) fn answer(&self, line: &str) -> Option<Value> {
        let line = line.trim();
        match &self.kind {
            AskedKind::Permission(options) => {
                if line == "n" {
                    return Some(json!({ "outcome": "denied" }));
                }
                let by_number =
                    line.parse::<usize>().ok().and_then(|n| options.get(n.checked_sub(1)?));
                let by_id = || options.iter().find(|option| option.option_id == line);
                let chosen = by_number.or_else(by_id)?;
                Some(json!({ "option_id": chosen.option_id }))
            }
            AskedKind::Elicitation(_) if line.is_empty() => None,
            AskedKind::Elicitation(true) => Some(json!({ "content": line })),
            AskedKind::Elicitation(false) => {
                let content = line.parse::<Value>().unwrap_or_else(|_| Value::String(line.into()));
                Some(json!({ "content": content }))
            }
        }
    }
}

/// The request that an event ends, and how, if it ends one.
pub(super) fn resolved(event: &Event) -> Option<(&RequestId, &'static str)> {
    match event {
        Event::PermissionResolved(ended) => Some((&ended.request_id, ended.outcome.name())),
        Event::ElicitationResolved(ended) => Some((&ended.request_id, ended.outcome.name())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use scrollback_schema::{Kind, wire};

    use super::*;

    fn asked(kind: Kind, payload: &str) -> Asked {
        Asked::of(&wire::parse_payload(kind, payload).unwrap()).unwrap()
    }

    #[test]
    fn an_approval_is_answered_by_number_or_by_name() {
        let asked = asked(
            Kind::PermissionRequest,
            r#"{"request_id":"p","tool":{"id":"t","name":"rm","title":"Delete build"},
                "options":[{"option_id":"yes","name":"Delete it","kind":"allow_once"},
                           {"option_id":"no","name":"Keep it","kind":"reject_once"}]}"#,
        );
        assert_eq!(asked.question, "Allow: Delete build?");
        assert_eq!(asked.options(), ["  1 Delete it", "  2 Keep it"]);
        assert_eq!(asked.answer("1"), Some(json!({ "option_id": "yes" })));
        assert_eq!(asked.answer(" no\n"), Some(json!({ "option_id": "no" })));
        assert_eq!(asked.answer("n"), Some(json!({ "outcome": "denied" })));
        for unclear in ["", "0", "3", "maybe"] {
            assert_eq!(asked.answer(unclear), None, "{unclear}");
        }
    }

    #[test]
    fn a_question_is_answered_as_its_schema_wants() {
        let text = asked(
            Kind::ElicitationRequest,
            r#"{"request_id":"e","message":"Which?","schema":{"type":"string"}}"#,
        );
        assert_eq!(text.answer("12"), Some(json!({ "content": "12" })));
        assert_eq!(text.answer(" "), None);
        let number = asked(
            Kind::ElicitationRequest,
            r#"{"request_id":"e","message":"How many?","schema":{"type":"integer"}}"#,
        );
        assert_eq!(number.answer("12"), Some(json!({ "content": 12 })));
        assert_eq!(number.answer("a few"), Some(json!({ "content": "a few" })));
    }
}
