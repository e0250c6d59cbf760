//! One turn as chunks: what is there so far in one chunk a part, then each event as it comes. Pure.
//!
//! The rules of where a part begins and ends are those of the fold of messages; a client that was
//! sent these chunks has the parts of `ui_message`, whenever it came.

use std::collections::BTreeMap;

use scrollback_projections::message::{
    Current, Failure, Growing, Message, Part, Speaking, StreamStatus, Tool, ToolStatus, UsageTotal,
};
use scrollback_projections::request::{Ask, PendingRequest};
use scrollback_schema::event::{
    CancelReason, Event, JsonText, RequestOutcome, ToolEvent, TurnError,
};
use scrollback_schema::{Recorded, RequestId};
use serde_json::Value;

use super::chunk::{Call, Chunk, Chunks};
use super::ui_message::{
    Metadata, PLAN, SUGGESTIONS, error_text, joined, plan_data, raw, raw_or_null, request_data,
    suggestions_data,
};
use crate::http::answer::with_fields;

/// Where in its message a turn is.
#[derive(Debug)]
pub(super) struct TurnChunks {
    /// What is being said, and the id of its part once something of it was shown.
    speaking: Option<(Speaking, Option<String>)>,
    n_parts: usize,
    tools: BTreeMap<String, ToolSeen>,
    has_plan: bool,
    /// Shown at the end, where the folded message has them.
    suggestions: Vec<String>,
    requests: BTreeMap<RequestId, PendingRequest>,
    usage: Option<UsageTotal>,
    is_over: bool,
}

/// What of a tool call has to be known to go on with it.
#[derive(Debug, Default)]
struct ToolSeen {
    name: String,
    is_running: bool,
    /// What it gave back while it ran.
    result: Option<JsonText>,
}

/// How a turn ended.
struct End<'a> {
    status: StreamStatus,
    duration_ms: Option<u64>,
    interrupted: Option<CancelReason>,
    failure: Option<&'a Failure>,
}

impl TurnChunks {
    /// What is there of a message, and of the requests that wait in it.
    pub(super) fn of(
        message: &Message,
        requests: Vec<PendingRequest>,
        out: &mut Chunks,
    ) -> TurnChunks {
        let head = message.head();
        let mut this = TurnChunks {
            speaking: None,
            n_parts: 0,
            tools: BTreeMap::new(),
            has_plan: false,
            suggestions: Vec::new(),
            requests: BTreeMap::new(),
            usage: head.usage.clone(),
            is_over: false,
        };
        out.push(Chunk::Start {
            message_id: head.id.to_string(),
            message_metadata: Metadata::beginning(head),
        });
        let mut current = message.current();
        for part in message.parts() {
            let is_open = current.as_ref().and_then(|current| current.part);
            if is_open.is_some_and(|open| std::ptr::eq(open, part)) {
                this.current(current.take(), out);
            } else {
                this.part(part, out);
            }
        }
        // What is being said may have shown nothing yet.
        this.current(current, out);
        for request in requests.into_iter().filter(|request| request.message_id == head.id) {
            this.ask(request, out);
        }
        if let Some(turn) = &head.turn
            && head.status != StreamStatus::InProgress
        {
            let end = End {
                status: head.status,
                duration_ms: turn.duration_ms,
                interrupted: turn.interrupted,
                failure: turn.failure.as_ref(),
            };
            this.end(&end, out);
        }
        this
    }

    /// Whether the last chunk was made.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The chat was deleted, and there is nothing more to tell.
    pub(super) fn gone(&mut self, out: &mut Chunks) {
        out.push(Chunk::Error { error_text: "the chat was deleted".to_owned() });
        self.is_over = true;
    }

    /// The next event of the turn.
    pub(super) fn event(&mut self, recorded: &Recorded, out: &mut Chunks) {
        let Some(event) = recorded.event() else { return };
        match event {
            Event::AssistantText(delta) => self.text(&delta.text, out),
            Event::AssistantThinking(delta) => self.thinking(&delta.thinking, out),
            Event::ToolStarted(tool) => self.tool(tool, ToolStatus::Running, out),
            Event::ToolCompleted(tool) => self.tool(tool, ToolStatus::Completed, out),
            Event::ToolFailed(tool) => self.tool(tool, ToolStatus::Failed, out),
            Event::Plan(plan) => {
                if !self.has_plan {
                    self.end_part(out);
                }
                self.has_plan = true;
                out.push(Chunk::DataPlan { id: PLAN, data: plan_data(&plan.entries) });
            }
            Event::PromptSuggestions(offered) => self.suggestions.clone_from(&offered.suggestions),
            Event::Usage(usage) => self.usage.get_or_insert_default().add(usage),
            Event::PermissionRequest(_) | Event::ElicitationRequest(_) => {
                if let Some(request) = asked(recorded, event) {
                    self.ask(request, out);
                }
            }
            Event::PermissionResolved(resolved) => {
                let option = resolved.option_id.as_deref().map(Value::from);
                let more = ("option_id", option.unwrap_or_default());
                self.answered(&resolved.request_id, resolved.outcome, more, out);
            }
            Event::ElicitationResolved(resolved) => {
                let content = resolved.content.as_ref().map(JsonText::as_str).unwrap_or("null");
                let content = serde_json::from_str(content).unwrap_or_default();
                self.answered(&resolved.request_id, resolved.outcome, ("content", content), out);
            }
            Event::Complete(complete) => {
                self.end(&End::of(StreamStatus::Completed, complete.duration_ms), out);
            }
            Event::Cancelled(cancelled) => {
                let end = End::of(StreamStatus::Interrupted, cancelled.duration_ms);
                self.end(&End { interrupted: Some(cancelled.reason), ..end }, out);
            }
            Event::Error(error) => {
                let end = End::of(StreamStatus::Failed, error.duration_ms);
                self.end(&End { failure: Some(&failure(error)), ..end }, out);
            }
            _ => {}
        }
    }

    fn current(&mut self, current: Option<Current<'_>>, out: &mut Chunks) {
        let Some(Current { part, speaking }) = current else { return };
        let text = match part {
            Some(Part::Text(text) | Part::Thinking(text)) => joined(text),
            _ => String::new(),
        };
        let n_held = match &speaking {
            Speaking::Text(growing) => growing.held().len(),
            Speaking::Thinking => 0,
        };
        self.speaking = Some((speaking, None));
        self.show(&text[..text.len() - n_held], out);
    }

    fn part(&mut self, part: &Part, out: &mut Chunks) {
        match part {
            Part::Text(text) => {
                self.speaking = Some((Speaking::Text(Growing::default()), None));
                self.show(&joined(text), out);
                self.end_part(out);
            }
            Part::Thinking(text) => {
                self.speaking = Some((Speaking::Thinking, None));
                self.show(&joined(text), out);
                self.end_part(out);
            }
            Part::Tool(tool) => self.whole_tool(tool, out),
            Part::Plan(entries) => {
                self.has_plan = true;
                out.push(Chunk::DataPlan { id: PLAN, data: plan_data(entries) });
            }
            Part::Suggestions(suggestions) => self.suggestions.clone_from(suggestions),
            Part::Attachments(_) => {}
        }
    }

    fn text(&mut self, delta: &str, out: &mut Chunks) {
        if delta.is_empty() {
            return;
        }
        if !matches!(self.speaking, Some((Speaking::Text(_), _))) {
            self.end_part(out);
        }
        let (speaking, _) =
            self.speaking.get_or_insert_with(|| (Speaking::Text(Growing::default()), None));
        let Speaking::Text(growing) = speaking else { unreachable!("thinking was ended above") };
        let (shown, suggestions) = growing.push(delta);
        if let Some(suggestions) = suggestions {
            self.suggestions = suggestions;
        }
        self.show(&shown, out);
    }

    fn thinking(&mut self, delta: &str, out: &mut Chunks) {
        if delta.is_empty() {
            return;
        }
        if !matches!(self.speaking, Some((Speaking::Thinking, _))) {
            self.end_part(out);
            self.speaking = Some((Speaking::Thinking, None));
        }
        self.show(delta, out);
    }

    /// Shows text of the part that is being said; its first one begins the part.
    fn show(&mut self, text: &str, out: &mut Chunks) {
        let Some((speaking, id)) = &mut self.speaking else { return };
        if text.is_empty() {
            return;
        }
        let is_text = matches!(speaking, Speaking::Text(_));
        if id.is_none() {
            self.n_parts += 1;
            let new = self.n_parts.to_string();
            *id = Some(new.clone());
            out.push(match is_text {
                true => Chunk::TextStart { id: new },
                false => Chunk::ReasoningStart { id: new },
            });
        }
        let (id, delta) = (id.clone().unwrap_or_default(), text.to_owned());
        out.push(match is_text {
            true => Chunk::TextDelta { id, delta },
            false => Chunk::ReasoningDelta { id, delta },
        });
    }

    /// Ends the part that is being said; what was held back of it was no tag.
    fn end_part(&mut self, out: &mut Chunks) {
        if let Some((Speaking::Text(growing), _)) = &mut self.speaking {
            let held = std::mem::take(growing).end();
            self.show(&held, out);
        }
        match self.speaking.take() {
            Some((Speaking::Text(_), Some(id))) => out.push(Chunk::TextEnd { id }),
            Some((Speaking::Thinking, Some(id))) => out.push(Chunk::ReasoningEnd { id }),
            _ => {}
        }
    }

    fn whole_tool(&mut self, tool: &Tool, out: &mut Chunks) {
        let event = ToolEvent {
            id: tool.id().to_owned(),
            name: tool.name().to_owned(),
            title: tool.title().map(str::to_owned),
            parent_id: None,
            input: tool.input().cloned(),
            result: tool.result().cloned(),
            error: tool.error().map(str::to_owned),
        };
        self.tool(&event, tool.status(), out);
    }

    fn tool(&mut self, event: &ToolEvent, status: ToolStatus, out: &mut Chunks) {
        let is_new = !self.tools.contains_key(&event.id);
        if is_new {
            self.end_part(out);
        }
        let seen = self.tools.entry(event.id.clone()).or_default();
        if !event.name.is_empty() {
            seen.name.clone_from(&event.name);
        }
        if event.result.is_some() {
            seen.result.clone_from(&event.result);
        }
        let was_running = std::mem::replace(&mut seen.is_running, status == ToolStatus::Running);
        let result = seen.result.take_if(|_| !seen.is_running);
        let (tool_name, title) = (seen.name.clone(), event.title.clone());
        let call = Call::of(&event.id);
        match &event.input {
            Some(input) => {
                out.push(Chunk::ToolInputAvailable { call, tool_name, title, input: raw(input) });
            }
            None if is_new || (seen.is_running && !was_running) => {
                out.push(Chunk::ToolInputStart { call, tool_name, title });
            }
            // What an event does not name stays as it was.
            None => {}
        }
        out.extend(match status {
            ToolStatus::Running => None,
            ToolStatus::Completed => Some(completed(&event.id, result.as_ref())),
            ToolStatus::Failed => Some(failed(&event.id, event.error.as_deref())),
        });
    }

    fn ask(&mut self, request: PendingRequest, out: &mut Chunks) {
        out.push(Chunk::DataRequest { id: request.id.to_string(), data: request_data(&request) });
        self.requests.insert(request.id.clone(), request);
    }

    fn answered(
        &mut self,
        id: &RequestId,
        outcome: RequestOutcome,
        more: (&str, Value),
        out: &mut Chunks,
    ) {
        let Some(request) = self.requests.remove(id) else { return };
        let outcome = ("outcome", outcome.name().into());
        let data = with_fields(&request_data(&request), &[outcome, more]);
        out.push(Chunk::DataRequest { id: id.to_string(), data });
    }

    /// Ends the parts and the message, in the same way as the fold does.
    fn end(&mut self, end: &End<'_>, out: &mut Chunks) {
        self.end_part(out);
        for (id, seen) in self.tools.iter().filter(|(_, seen)| seen.is_running) {
            out.push(match (end.interrupted, end.failure) {
                (Some(reason), _) => failed(id, Some(&format!("interrupted: {}", reason.name()))),
                (None, Some(failure)) => failed(id, Some(&failure.message)),
                (None, None) => completed(id, seen.result.as_ref()),
            });
        }
        let requests = std::mem::take(&mut self.requests);
        for request in requests.values() {
            let outcome = ("outcome", RequestOutcome::Dismissed.name().into());
            let data = with_fields(&request_data(request), &[outcome]);
            out.push(Chunk::DataRequest { id: request.id.to_string(), data });
        }
        if !self.suggestions.is_empty() {
            let data = suggestions_data(&self.suggestions);
            out.push(Chunk::DataSuggestions { id: SUGGESTIONS, data });
        }
        out.push(Chunk::MessageMetadata {
            message_metadata: Metadata::ending(
                end.status,
                end.duration_ms,
                end.interrupted,
                end.failure,
                self.usage.as_ref(),
            ),
        });
        out.push(match (end.interrupted, end.failure) {
            (Some(reason), _) => Chunk::Abort { reason: reason.name() },
            (None, Some(failure)) => Chunk::Error { error_text: failure.message.clone() },
            (None, None) => Chunk::Finish { finish_reason: "stop" },
        });
        self.is_over = true;
    }
}

impl End<'_> {
    fn of(status: StreamStatus, duration_ms: u64) -> End<'static> {
        End { status, duration_ms: Some(duration_ms), interrupted: None, failure: None }
    }
}

fn completed(tool: &str, result: Option<&JsonText>) -> Chunk {
    Chunk::ToolOutputAvailable { call: Call::of(tool), output: raw_or_null(result) }
}

fn failed(tool: &str, error: Option<&str>) -> Chunk {
    Chunk::ToolOutputError { call: Call::of(tool), error_text: error_text(error) }
}

fn failure(error: &TurnError) -> Failure {
    Failure {
        code: error.code,
        message: error.message.clone(),
        phase: error.phase,
        retryable: error.retryable,
    }
}

/// The request that an event makes, as it is kept while it waits.
fn asked(recorded: &Recorded, event: &Event) -> Option<PendingRequest> {
    let turn = recorded.turn.as_ref()?;
    let (id, ask) = match event {
        Event::PermissionRequest(request) => (
            &request.request_id,
            Ask::Permission {
                tool: request.tool.clone(),
                options: request.options.clone(),
                expires_at: request.expires_at,
            },
        ),
        Event::ElicitationRequest(request) => (
            &request.request_id,
            Ask::Elicitation { message: request.message.clone(), schema: request.schema.clone() },
        ),
        _ => return None,
    };
    Some(PendingRequest {
        id: id.clone(),
        turn_id: turn.id.clone(),
        message_id: turn.message.clone(),
        ask,
        requested_seq: recorded.seq,
        requested_at: recorded.at,
    })
}
