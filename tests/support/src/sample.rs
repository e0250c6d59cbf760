//! Two chats in which every kind of event happens, written by hand: small enough to look at each
//! seq of it.

use scrollback_schema::error_code::ErrorCode;
use scrollback_schema::event::{
    AssistantText, AssistantThinking, Attachment, CancelReason, CancelRequested, Cancelled,
    ChatCreated, ChatDeleted, ChatUpdated, ChatViewed, Complete, Custom, ElicitationRequest,
    ElicitationResolved, JsonText, MessageQueued, Origin, Patch, PermissionOption,
    PermissionRequest, PermissionResolved, Phase, Plan, PlanEntry, PromptSuggestions, QueueEdited,
    QueueProcessing, QueueRemoved, QueueSendNow, RequestOutcome, ScheduleCreated, ScheduleFired,
    ScheduleRemoved, ScheduleUpdated, Session, StreamStarted, Timing, ToolEvent, TurnError, Usage,
    UserText,
};
use scrollback_schema::{
    ChatId, Event, MessageId, Millis, NewEvent, QueuedMessageId, RequestId, ScheduleId, TurnId,
};

use crate::workload::Step;

/// The chat that stays.
pub const CHAT: &str = "garden";
/// The chat that is deleted in the end.
pub const DELETED_CHAT: &str = "secret";

/// An id from a text that is one.
///
/// # Panics
///
/// If it is none.
pub fn chat_id(text: &str) -> ChatId {
    ChatId::parse(text).expect("a chat id")
}

/// An id from a text that is one.
///
/// # Panics
///
/// If it is none.
pub fn message_id(text: &str) -> MessageId {
    MessageId::parse(text).expect("a message id")
}

/// An id from a text that is one.
///
/// # Panics
///
/// If it is none.
pub fn turn_id(text: &str) -> TurnId {
    TurnId::parse(text).expect("a turn id")
}

fn queued(text: &str) -> QueuedMessageId {
    QueuedMessageId::parse(text).expect("a queued message id")
}

fn json(text: &str) -> Option<JsonText> {
    Some(JsonText::parse(text).expect("valid JSON"))
}

/// A user's message.
pub fn user_text(message: &str, text: &str) -> NewEvent {
    let event = Event::UserText(UserText { text: text.to_owned(), attachments: Vec::new() });
    NewEvent { message: Some(message_id(message)), turn: None, event }
}

/// The start of a turn.
pub fn started(turn: &str, message: &str, origin: Origin) -> NewEvent {
    let event = Event::StreamStarted(StreamStarted {
        provider: "scripted".to_owned(),
        model: Some("sample-1".to_owned()),
        user_message_id: None,
        origin,
    });
    NewEvent::of_turn(turn_id(turn), message_id(message), event)
}

/// A piece of an answer.
pub fn text(text: &str) -> Event {
    Event::AssistantText(AssistantText { text: text.to_owned() })
}

/// A piece of reasoning.
pub fn thinking(text: &str) -> Event {
    Event::AssistantThinking(AssistantThinking { thinking: text.to_owned() })
}

/// The good end of a turn.
pub fn complete() -> Event {
    Event::Complete(Complete { duration_ms: 1_250 })
}

/// Events of one turn.
pub fn of_turn(turn: &str, message: &str, events: Vec<Event>) -> Vec<NewEvent> {
    let of = |event| NewEvent::of_turn(turn_id(turn), message_id(message), event);
    events.into_iter().map(of).collect()
}

fn step(chat: &str, events: Vec<NewEvent>) -> Step {
    Step { chat: chat_id(chat), events }
}

fn of_chat(events: Vec<Event>) -> Step {
    step(CHAT, events.into_iter().map(NewEvent::of_chat).collect())
}

/// Every kind of event, in appends that a log takes one after the other.
pub fn every_kind() -> Vec<Step> {
    let mut steps = vec![opening()];
    steps.extend(answer());
    steps.extend(tools_and_requests());
    steps.extend(queue());
    steps.extend(schedules());
    steps.extend(deleted());
    steps
}

fn opening() -> Step {
    let created = Event::ChatCreated(ChatCreated {
        owner: Some("ada".to_owned()),
        title: Some("A garden \u{1f33f}".to_owned()),
        parent_chat_id: None,
        forked_at_seq: None,
        metadata: json(r#"{"folder":"home","n":1.50}"#),
    });
    let attachment = Attachment {
        id: "f1".to_owned(),
        name: "beds.png".to_owned(),
        media_type: "image/png".to_owned(),
        url: "https://example.org/beds.png".to_owned(),
        size_bytes: 48_213,
    };
    let mut asked = user_text("u1", "What can I plant\nin the shade?");
    if let Event::UserText(user) = &mut asked.event {
        user.attachments.push(attachment);
    }
    let events = vec![NewEvent::of_chat(created), asked, started("t1", "a1", Origin::User)];
    step(CHAT, events)
}

fn answer() -> Vec<Step> {
    let session = Event::Session(Session {
        session_id: Some("s-1".to_owned()),
        cwd: Some("/srv/garden".to_owned()),
        data: json(r#"{"turns":1}"#),
    });
    let batches = vec![
        vec![session, thinking("Shade, "), thinking("so ferns\u{2026}")],
        vec![text("Try ")],
        vec![text("ferns"), text(" and \"hostas\".\r\n"), text("data: not a frame\n\n")],
        vec![
            text("<prompt_sugg"),
            text("estions>[\"And in the sun?\"]</prompt_"),
            text("suggestions>"),
        ],
    ];
    batches.into_iter().map(|events| step(CHAT, of_turn("t1", "a1", events))).collect()
}

fn tool(id: &str, input: Option<&str>) -> ToolEvent {
    ToolEvent {
        id: id.to_owned(),
        name: "look_up".to_owned(),
        input: input.and_then(json),
        ..ToolEvent::default()
    }
}

fn tools() -> Vec<Event> {
    let entry = |content: &str, status: &str| PlanEntry {
        content: content.to_owned(),
        status: status.to_owned(),
        priority: "medium".to_owned(),
    };
    let found = ToolEvent {
        title: Some("Look up ferns".to_owned()),
        result: json(r#"["Dryopteris","Athyrium"]"#),
        ..tool("call-1", Some(r#"{"plant":"fern"}"#))
    };
    let failed = ToolEvent {
        parent_id: Some("call-1".to_owned()),
        error: Some("no such plant".to_owned()),
        ..tool("call-2", None)
    };
    vec![
        Event::ToolStarted(tool("call-1", None)),
        Event::Plan(Plan { entries: vec![entry("find plants", "in_progress")] }),
        Event::ToolStarted(tool("call-1", Some(r#"{"plant":"fern"}"#))),
        Event::ToolCompleted(found),
        Event::ToolStarted(tool("call-2", None)),
        Event::ToolFailed(failed),
        Event::Plan(Plan {
            entries: vec![entry("find plants", "completed"), entry("draw", "pending")],
        }),
        Event::ToolStarted(tool("call-3", Some("null"))),
    ]
}

fn requests() -> Vec<Event> {
    let request_id = |text: &str| RequestId::parse(text).expect("a request id");
    let option = |id: &str, kind: &str| PermissionOption {
        option_id: id.to_owned(),
        name: id.to_uppercase(),
        kind: kind.to_owned(),
    };
    vec![
        Event::PermissionRequest(PermissionRequest {
            request_id: request_id("r1"),
            tool: Some(tool("call-3", None)),
            options: vec![option("yes", "allow_once"), option("no", "reject_once")],
            expires_at: Some(Millis::new(1_795_380_720_123)),
        }),
        Event::ElicitationRequest(ElicitationRequest {
            request_id: request_id("r2"),
            message: "How large is the bed?".to_owned(),
            schema: json(r#"{"type":"number"}"#),
        }),
        Event::PermissionResolved(PermissionResolved {
            request_id: request_id("r1"),
            outcome: RequestOutcome::Selected,
            option_id: Some("yes".to_owned()),
            by: Some("ada".to_owned()),
        }),
        Event::ElicitationResolved(ElicitationResolved {
            request_id: request_id("r2"),
            outcome: RequestOutcome::Dismissed,
            content: None,
            by: None,
        }),
    ]
}

fn tools_and_requests() -> Vec<Step> {
    let usage = Event::Usage(Usage {
        input_tokens: Some(1_200),
        output_tokens: Some(80),
        context_window: Some(8_000),
        percentage: Some(16.0),
        cost_usd: Some(0.001_25),
    });
    let suggestions = Event::PromptSuggestions(PromptSuggestions {
        suggestions: vec!["And in the sun?".to_owned(), "Draw it".to_owned()],
    });
    let mut asked = requests();
    let resolved = asked.split_off(2);
    vec![
        step(CHAT, of_turn("t1", "a1", tools())),
        step(CHAT, of_turn("t1", "a1", asked)),
        of_chat(resolved),
        step(CHAT, of_turn("t1", "a1", vec![usage, suggestions])),
    ]
}

fn hand_off(item: &str, turn: &str, n: u32, prior: Option<&str>, origin: Origin) -> Vec<NewEvent> {
    let (user, assistant) = (format!("u{n}"), format!("a{n}"));
    let processing = Event::QueueProcessing(QueueProcessing {
        queued_message_id: queued(item),
        user_message_id: message_id(&user),
        assistant_message_id: message_id(&assistant),
        turn_id: turn_id(turn),
        prior_turn_id: prior.map(turn_id),
        prior_duration_ms: prior.map(|_| 900),
    });
    let asked = user_text(&user, "from the queue");
    vec![NewEvent::of_chat(processing), asked, started(turn, &assistant, origin)]
}

fn queue() -> Vec<Step> {
    let put = |item: &str| {
        Event::MessageQueued(MessageQueued {
            queued_message_id: queued(item),
            content: format!("then {item}"),
            attachments: Vec::new(),
            provider: None,
            model: Some("sample-1".to_owned()),
        })
    };
    let edited = Event::QueueEdited(QueueEdited {
        queued_message_id: queued("q1"),
        content: Some("then q1, edited".to_owned()),
        provider: Patch::Set("scripted".to_owned()),
        model: Patch::Remove,
    });
    let by = || Some("ada".to_owned());
    let removed = Event::QueueRemoved(QueueRemoved { queued_message_id: queued("q3"), by: by() });
    let jumped = Event::QueueSendNow(QueueSendNow { queued_message_id: queued("q2"), by: by() });
    let stop = Event::CancelRequested(CancelRequested { turn_id: turn_id("t1"), by: by() });
    let ended = Event::Cancelled(Cancelled { reason: CancelReason::SendNow, duration_ms: 900 });
    let mut to_q2 = of_turn("t1", "a1", vec![ended]);
    to_q2.extend(hand_off("q2", "t2", 2, Some("t1"), Origin::SendNow));
    let failed = Event::Error(TurnError {
        code: ErrorCode::ProviderTransport,
        message: "the connection to the provider was lost".to_owned(),
        phase: Phase::Stream,
        retryable: true,
        duration_ms: 300,
    });
    vec![
        of_chat(vec![put("q1"), put("q2"), put("q3"), edited]),
        of_chat(vec![removed, jumped, stop]),
        step(CHAT, to_q2),
        step(CHAT, of_turn("t2", "a2", vec![text("Half an ans"), failed])),
        step(CHAT, hand_off("q1", "t3", 3, None, Origin::Queue)),
        step(CHAT, of_turn("t3", "a3", vec![text("All of it.")])),
        step(CHAT, of_turn("t3", "a3", vec![complete()])),
    ]
}

fn schedules() -> Vec<Step> {
    let schedule_id = ScheduleId::parse("weekly").expect("a schedule id");
    let created = Event::ScheduleCreated(ScheduleCreated {
        schedule_id: schedule_id.clone(),
        timing: Timing::Cron {
            expression: "0 9 * * 1".to_owned(),
            time_zone: "Europe/Lisbon".to_owned(),
        },
        prompt: "What is to do this week?".to_owned(),
        provider: Some("scripted".to_owned()),
        model: None,
        paused: false,
    });
    let updated = Event::ScheduleUpdated(ScheduleUpdated {
        schedule_id: schedule_id.clone(),
        timing: Some(Timing::Interval { every_ms: 604_800_000 }),
        prompt: None,
        provider: Patch::Keep,
        model: Patch::Set("sample-2".to_owned()),
        paused: Some(true),
    });
    let fired = Event::ScheduleFired(ScheduleFired {
        schedule_id: schedule_id.clone(),
        due_at: Millis::new(1_795_380_720_000),
        turn_id: None,
        n_missed: 2,
        error: Some("the provider is not configured".to_owned()),
    });
    let renamed = Event::ChatUpdated(ChatUpdated {
        title: Patch::Set("The shady bed".to_owned()),
        metadata: Patch::Remove,
    });
    let custom = Event::Custom(Custom { name: "pinned".to_owned(), data: json(r#"{"at":[1,2]}"#) });
    let viewed = Event::ChatViewed(ChatViewed { by: Some("ada".to_owned()) });
    let removed = Event::ScheduleRemoved(ScheduleRemoved { schedule_id, by: None });
    vec![
        of_chat(vec![created, updated]),
        of_chat(vec![fired]),
        of_chat(vec![removed, renamed, custom, viewed]),
    ]
}

fn deleted() -> Vec<Step> {
    let created = Event::ChatCreated(ChatCreated::default());
    let said = vec![NewEvent::of_chat(created), user_text("u1", "forget this: xyzzy-42")];
    let tombstone = Event::ChatDeleted(ChatDeleted { by: Some("ada".to_owned()) });
    vec![step(DELETED_CHAT, said), step(DELETED_CHAT, vec![NewEvent::of_chat(tombstone)])]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use scrollback_schema::Kind;

    use super::every_kind;

    #[test]
    fn every_kind_happens() {
        let steps = every_kind();
        let seen: BTreeSet<Kind> =
            steps.iter().flat_map(|step| &step.events).map(|new| new.event.kind()).collect();
        let missing: Vec<&Kind> = Kind::ALL.iter().filter(|kind| !seen.contains(kind)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
