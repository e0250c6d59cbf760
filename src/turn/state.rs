//! What a turn has said so far, as a pure fold: what more it may say, and what its end still owes.
//!
//! Reading no clock and no log; the runner asks, and appends what it is told.

use scrollback_schema::event::{
    AssistantText, AssistantThinking, CancelReason, Cancelled, Complete, Phase, ToolEvent,
    TurnError,
};
use scrollback_schema::{ErrorCode, Event, Kind, wire};

use crate::provider::ProviderError;

/// Characters of a failure's sentence: a provider may answer with a whole page.
const MESSAGE_LEN_MAX: usize = 2_000;

/// How a turn ends.
#[derive(Debug)]
pub(super) enum End {
    /// The provider had nothing more to say.
    Complete,
    /// It failed.
    Failed(ProviderError),
    /// It was interrupted.
    Interrupted(CancelReason),
}

impl End {
    /// The terminal event; the log fills in how long the turn took.
    pub(super) fn event(&self) -> Event {
        match self {
            End::Complete => Event::Complete(Complete::default()),
            End::Interrupted(reason) => {
                Event::Cancelled(Cancelled { reason: *reason, duration_ms: 0 })
            }
            End::Failed(error) => Event::Error(TurnError {
                code: error.code,
                message: sentence(error),
                phase: error.phase,
                retryable: error.retryable,
                duration_ms: 0,
            }),
        }
    }

    /// What metrics call it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            End::Complete => "completed",
            End::Failed(_) => "failed",
            End::Interrupted(_) => "interrupted",
        }
    }
}

/// What has been said so far.
#[derive(Debug)]
pub(super) struct SaidSoFar {
    bytes_max: usize,
    n_bytes: usize,
    has_answer: bool,
    has_spoken: bool,
    /// Calls that have begun and not ended, in the order in which they began.
    open_tools: Vec<ToolEvent>,
}

/// What becomes of one more thing that a provider says.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// It is to be appended.
    Append(Event),
    /// It says nothing, and is left out.
    Nothing,
    /// The answer is too long: this much of it is still to be appended, then the turn fails.
    TooLong(Option<Event>),
    /// Not a provider's to say.
    NotAllowed(&'static str),
}

impl SaidSoFar {
    /// Nothing was said yet; at most `bytes_max` bytes may be.
    pub(super) const fn new(bytes_max: usize) -> SaidSoFar {
        SaidSoFar {
            bytes_max,
            n_bytes: 0,
            has_answer: false,
            has_spoken: false,
            open_tools: Vec::new(),
        }
    }

    /// Whether anything of the answer was said: bookkeeping is not.
    pub(super) const fn has_spoken(&self) -> bool {
        self.has_spoken
    }

    /// Takes one more event.
    pub(super) fn hear(&mut self, event: Event) -> Heard {
        let kind = event.kind();
        if !(kind.is_turn_content() || matches!(kind, Kind::Session | Kind::Custom)) {
            return Heard::NotAllowed(kind.name());
        }
        let event = match event {
            Event::AssistantText(said) if said.text.is_empty() => return Heard::Nothing,
            Event::AssistantThinking(said) if said.thinking.is_empty() => return Heard::Nothing,
            Event::Usage(usage) => Event::Usage(usage.normalized()),
            event => event,
        };
        if !is_well_formed(&event) {
            return Heard::NotAllowed(kind.name());
        }
        let n_bytes = n_bytes(&event);
        if self.n_bytes + n_bytes > self.bytes_max {
            return Heard::TooLong(self.cut(event));
        }
        self.n_bytes += n_bytes;
        self.note(&event);
        Heard::Append(event)
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Session(_) | Event::Custom(_) | Event::Usage(_) => return,
            Event::AssistantText(said) => {
                self.has_answer = self.has_answer || !said.text.trim().is_empty();
            }
            Event::ToolStarted(tool) => {
                self.has_answer = true;
                match self.open_tools.iter_mut().find(|open| open.id == tool.id) {
                    Some(open) => open.name.clone_from(&tool.name),
                    None => self.open_tools.push(ToolEvent {
                        id: tool.id.clone(),
                        name: tool.name.clone(),
                        ..ToolEvent::default()
                    }),
                }
            }
            Event::ToolCompleted(tool) | Event::ToolFailed(tool) => {
                self.has_answer = true;
                self.open_tools.retain(|open| open.id != tool.id);
            }
            Event::Plan(_) => self.has_answer = true,
            _ => {}
        }
        self.has_spoken = true;
    }

    /// The beginning of a text that still fits; nothing of anything else.
    fn cut(&mut self, event: Event) -> Option<Event> {
        let room = self.bytes_max.saturating_sub(self.n_bytes);
        let beginning = |text: &str| text[..text.floor_char_boundary(room)].to_owned();
        let event = match event {
            Event::AssistantText(said) => {
                Event::AssistantText(AssistantText { text: beginning(&said.text) })
            }
            Event::AssistantThinking(said) => {
                Event::AssistantThinking(AssistantThinking { thinking: beginning(&said.thinking) })
            }
            _ => return None,
        };
        let n_bytes = n_bytes(&event);
        if n_bytes == 0 {
            return None;
        }
        self.n_bytes += n_bytes;
        self.note(&event);
        Some(event)
    }

    /// The end as it is: a good one without any answer is a failure.
    pub(super) fn judge(&self, end: End) -> End {
        match end {
            End::Complete if !self.has_answer => End::Failed(ProviderError::new(
                ErrorCode::EmptyResponse,
                Phase::Stream,
                "the provider ended the turn without an answer",
            )),
            end => end,
        }
    }

    /// What is appended before the end: the end of each call that is still open.
    ///
    /// It says what the read model would conclude, so that who reads events alone sees it too.
    pub(super) fn closing(&self, end: &End) -> Vec<Event> {
        let close = |tool: &ToolEvent| match end {
            End::Complete => Event::ToolCompleted(tool.clone()),
            End::Failed(error) => failed(tool, sentence(error)),
            End::Interrupted(reason) => failed(tool, format!("interrupted: {}", reason.name())),
        };
        self.open_tools.iter().map(close).collect()
    }
}

/// What a person reads of a failure: the provider's own words, within bounds.
fn sentence(error: &ProviderError) -> String {
    let mut message: String = error.message.chars().take(MESSAGE_LEN_MAX).collect();
    if let Some(wait) = error.retry_after {
        let seconds = wait.as_secs_f64().ceil();
        message.push_str(&format!(" (try again in {seconds} s)"));
    }
    message
}

fn failed(tool: &ToolEvent, error: String) -> Event {
    Event::ToolFailed(ToolEvent { error: Some(error), ..tool.clone() })
}

/// Whether an event is held to the rules that producers outside are: texts are, by their type.
fn is_well_formed(event: &Event) -> bool {
    if matches!(event, Event::AssistantText(_) | Event::AssistantThinking(_)) {
        return true;
    }
    let mut json = Vec::new();
    wire::write_payload(&mut json, event);
    let text = std::str::from_utf8(&json);
    text.is_ok_and(|text| wire::parse_payload(event.kind(), text).is_ok())
}

/// Bytes of what an event says, about.
pub(super) fn n_bytes(event: &Event) -> usize {
    let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match event {
        Event::AssistantText(said) => said.text.len(),
        Event::AssistantThinking(said) => said.thinking.len(),
        Event::ToolStarted(tool) | Event::ToolCompleted(tool) | Event::ToolFailed(tool) => {
            let json = [&tool.input, &tool.result].into_iter().flatten();
            let json: usize = json.map(|json| json.as_str().len()).sum();
            tool.id.len() + tool.name.len() + len(&tool.title) + len(&tool.error) + json
        }
        Event::Plan(plan) => plan.entries.iter().map(|entry| 32 + entry.content.len()).sum(),
        Event::PromptSuggestions(offered) => offered.suggestions.iter().map(String::len).sum(),
        Event::PermissionRequest(asked) => 64 + asked.options.len() * 64,
        Event::ElicitationRequest(asked) => {
            asked.message.len() + asked.schema.as_ref().map_or(0, |json| json.as_str().len())
        }
        Event::Session(session) => session.data.as_ref().map_or(64, |json| json.as_str().len()),
        Event::Custom(custom) => custom.data.as_ref().map_or(64, |json| json.as_str().len()),
        _ => 64,
    }
}

#[cfg(test)]
mod tests {
    use scrollback_schema::event::{Plan, Session, Usage};

    use super::*;

    fn text(text: &str) -> Event {
        Event::AssistantText(AssistantText { text: text.to_owned() })
    }

    fn tool(id: &str) -> ToolEvent {
        ToolEvent { id: id.to_owned(), name: "read".to_owned(), ..ToolEvent::default() }
    }

    fn judged(said: &SaidSoFar) -> &'static str {
        match said.judge(End::Complete) {
            End::Failed(error) => error.code.name(),
            end => end.name(),
        }
    }

    #[test]
    fn an_end_without_an_answer_is_a_failure() {
        let after = |events: Vec<Event>| {
            let mut said = SaidSoFar::new(1_000);
            events.into_iter().for_each(|event| drop(said.hear(event)));
            judged(&said)
        };
        let thinking = AssistantThinking { thinking: "hm".to_owned() };
        assert_eq!(after(vec![]), "empty_response");
        assert_eq!(after(vec![text(""), text(" \n")]), "empty_response");
        assert_eq!(after(vec![Event::AssistantThinking(thinking)]), "empty_response");
        assert_eq!(after(vec![Event::Usage(Usage::default())]), "empty_response");
        assert_eq!(after(vec![text("a")]), "completed");
        assert_eq!(after(vec![Event::ToolStarted(tool("x"))]), "completed");
        assert_eq!(after(vec![Event::Plan(Plan::default())]), "completed");
    }

    #[test]
    fn an_interruption_stays_one_without_an_answer() {
        let end = SaidSoFar::new(9).judge(End::Interrupted(CancelReason::User));
        assert_eq!(end.name(), "interrupted");
    }

    #[test]
    fn a_text_is_cut_at_the_limit_between_two_characters() {
        let mut said = SaidSoFar::new(6);
        assert_eq!(said.hear(text("abc")), Heard::Append(text("abc")));
        assert_eq!(said.hear(text("déé")), Heard::TooLong(Some(text("dé"))));
        assert_eq!(said.hear(text("x")), Heard::TooLong(None));
        assert_eq!(said.hear(Event::ToolStarted(tool("long-one"))), Heard::TooLong(None));
    }

    #[test]
    fn calls_that_are_open_are_closed_as_the_turn_ends() {
        let mut said = SaidSoFar::new(1_000);
        for event in [
            Event::ToolStarted(tool("a")),
            Event::ToolStarted(tool("b")),
            Event::ToolStarted(tool("a")),
            Event::ToolCompleted(tool("b")),
            Event::ToolStarted(tool("c")),
        ] {
            assert!(matches!(said.hear(event), Heard::Append(_)));
        }
        let completed = [Event::ToolCompleted(tool("a")), Event::ToolCompleted(tool("c"))];
        assert_eq!(said.closing(&End::Complete), completed);
        let stopped = said.closing(&End::Interrupted(CancelReason::User));
        let error = Some("interrupted: user".to_owned());
        assert_eq!(stopped[0], Event::ToolFailed(ToolEvent { error, ..tool("a") }));
    }

    #[test]
    fn a_failure_is_told_within_bounds_and_with_the_wait() {
        let error =
            ProviderError::new(ErrorCode::ProviderRateLimit, Phase::Setup, "é".repeat(9_000))
                .with_retry_after(Some(std::time::Duration::from_millis(1_500)));
        let Event::Error(told) = End::Failed(error).event() else { panic!("a failure") };
        assert!(told.message.ends_with("é (try again in 2 s)"), "{}", told.message);
        assert_eq!(told.message.chars().count(), MESSAGE_LEN_MAX + " (try again in 2 s)".len());
        assert!(told.retryable);
    }

    #[test]
    fn only_what_is_a_providers_to_say_is_taken() {
        let mut said = SaidSoFar::new(1_000);
        let complete = Event::Complete(Complete::default());
        assert_eq!(said.hear(complete), Heard::NotAllowed("complete"));
        let nameless = Event::ToolStarted(tool(""));
        assert_eq!(said.hear(nameless), Heard::NotAllowed("tool_started"));
        let session = Event::Session(Session::default());
        assert!(matches!(said.hear(session), Heard::Append(_)));
        assert!(!said.has_spoken());
        drop(said.hear(text("a")));
        assert!(said.has_spoken());
    }
}
