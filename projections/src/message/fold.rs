//! What each event does to a message.

use scrollback_schema::event::{
    Event, PlanEntry, StreamStarted, ToolEvent, TurnError, Usage, UserText,
};
use scrollback_schema::{Millis, Recorded};

use super::head::{Failure, Head, Role, StreamStatus, TurnHead};
use super::stored::Unsaved;
use super::text::{Tail, Text, Voice};
use super::tool::{self, Tool, ToolStatus};
use super::{Message, Part};
use crate::CannotApply;

/// The place of the suggestions: after every other part.
const SUGGESTIONS: u32 = u32::MAX;

pub(super) fn apply(row: &mut Option<Message>, event: &Recorded) -> Result<(), CannotApply> {
    let Some(said) = event.event() else { return Ok(()) };
    match said {
        Event::UserText(user_text) => begin(row, || user_message(event, user_text)),
        Event::StreamStarted(started) => begin(row, || assistant_message(event, started)),
        _ => {
            let message = open_message(row, event)?;
            message.say(said, event.at);
            message.head.last_seq = event.seq;
            Ok(())
        }
    }
}

fn begin(
    row: &mut Option<Message>,
    message: impl FnOnce() -> Result<Message, CannotApply>,
) -> Result<(), CannotApply> {
    if row.is_some() {
        return Err(CannotApply::because("the message exists already"));
    }
    *row = Some(message()?);
    Ok(())
}

/// The message, if the event may be said in it.
fn open_message<'a>(
    row: &'a mut Option<Message>,
    event: &Recorded,
) -> Result<&'a mut Message, CannotApply> {
    let Some(message) = row else {
        return Err(CannotApply::because("the message does not exist"));
    };
    let Some(turn) = &message.head.turn else {
        return Err(CannotApply::because("the message is a user's and takes no events of a turn"));
    };
    if event.turn.as_ref().is_none_or(|named| named.id != turn.id) {
        return Err(CannotApply::because("the message belongs to another turn"));
    }
    if message.head.status != StreamStatus::InProgress {
        return Err(CannotApply::because("the turn of the message has ended"));
    }
    Ok(message)
}

fn user_message(event: &Recorded, user_text: &UserText) -> Result<Message, CannotApply> {
    let mut message = empty_message(event, Role::User, None)?;
    if !user_text.text.is_empty() {
        let text = Text::new(&user_text.text);
        (0..text.n_chunks()).for_each(|chunk| message.unsaved.put(0, chunk));
        message.parts.insert(0, Part::Text(text));
        message.head.n_parts = 1;
    }
    if !user_text.attachments.is_empty() {
        message.place(Part::Attachments(user_text.attachments.clone()));
    }
    Ok(message)
}

fn assistant_message(event: &Recorded, started: &StreamStarted) -> Result<Message, CannotApply> {
    let Some(turn) = &event.turn else {
        return Err(CannotApply::because("the start of a turn names no turn"));
    };
    let turn = TurnHead {
        id: turn.id.clone(),
        user_message_id: started.user_message_id.clone(),
        origin: started.origin,
        provider: started.provider.clone(),
        model: started.model.clone(),
        ended_at: None,
        duration_ms: None,
        failure: None,
        interrupted: None,
    };
    empty_message(event, Role::Assistant, Some(turn))
}

fn empty_message(
    event: &Recorded,
    role: Role,
    turn: Option<TurnHead>,
) -> Result<Message, CannotApply> {
    let Some(id) = &event.message else {
        return Err(CannotApply::because("the event names no message"));
    };
    let status = if turn.is_some() { StreamStatus::InProgress } else { StreamStatus::Completed };
    let head = Head {
        id: id.clone(),
        chat: event.chat.created,
        chat_id: event.chat.id.clone(),
        role,
        status,
        turn,
        usage: None,
        first_seq: event.seq,
        last_seq: event.seq,
        created_at: event.at,
        n_parts: 0,
        plan: None,
        tail: None,
    };
    Ok(Message {
        head,
        parts: Default::default(),
        tools: Default::default(),
        is_whole: true,
        unsaved: Unsaved::default(),
    })
}

impl Message {
    /// Folds an event of the message's open turn.
    fn say(&mut self, said: &Event, at: Millis) {
        match said {
            Event::AssistantText(delta) => self.append(Voice::Text, &delta.text),
            Event::AssistantThinking(delta) => self.append(Voice::Thinking, &delta.thinking),
            Event::ToolStarted(tool) => self.tool(tool, ToolStatus::Running),
            Event::ToolCompleted(tool) => self.tool(tool, ToolStatus::Completed),
            Event::ToolFailed(tool) => self.tool(tool, ToolStatus::Failed),
            Event::Plan(plan) => self.plan(&plan.entries),
            Event::PromptSuggestions(offered) => self.suggest(offered.suggestions.clone()),
            Event::Usage(usage) => self.usage(usage),
            Event::Complete(complete) => {
                self.close_tools(ToolStatus::Completed, None);
                self.end(StreamStatus::Completed, at, complete.duration_ms);
            }
            Event::Cancelled(cancelled) => {
                let reason = format!("interrupted: {}", cancelled.reason.name());
                self.close_tools(ToolStatus::Failed, Some(&reason));
                self.turn().interrupted = Some(cancelled.reason);
                self.end(StreamStatus::Interrupted, at, cancelled.duration_ms);
            }
            Event::Error(error) => self.fail(error, at),
            // Not among the kinds that the projection reads.
            _ => {}
        }
    }

    fn append(&mut self, voice: Voice, delta: &str) {
        if delta.is_empty() {
            return;
        }
        let mut tail = match self.head.tail.take() {
            Some(tail) if tail.voice == voice => tail,
            _ => {
                self.head.n_parts += 1;
                Tail::new(self.head.n_parts - 1, voice)
            }
        };
        let part = self.parts.entry(tail.part).or_insert_with(|| match voice {
            Voice::Text => Part::Text(Text::starting_at(tail.n_chunks)),
            Voice::Thinking => Part::Thinking(Text::starting_at(tail.n_chunks)),
        });
        let (Part::Text(text) | Part::Thinking(text)) = part else {
            unreachable!("the tail is the place of a text");
        };
        let suggestions = tail.append(text, delta, &mut self.unsaved);
        if tail.n_chunks == 0 {
            self.parts.remove(&tail.part);
        }
        self.head.tail = Some(tail);
        if let Some(suggestions) = suggestions {
            self.suggest(suggestions);
        }
    }

    fn tool(&mut self, event: &ToolEvent, status: ToolStatus) {
        let named = [(tool::INPUT, event.input.is_some()), (tool::RESULT, event.result.is_some())];
        let place = self.tools.get(&event.id).copied();
        let place = match place.and_then(|place| Some((place, self.parts.get_mut(&place)?))) {
            Some((place, Part::Tool(tool))) => {
                tool.update(event, status);
                self.unsaved.put(place, tool::HEAD);
                place
            }
            _ => {
                let place = self.place(Part::Tool(Box::new(Tool::new(event, status))));
                self.tools.insert(event.id.clone(), place);
                place
            }
        };
        for (chunk, _) in named.into_iter().filter(|&(_, is_named)| is_named) {
            self.unsaved.put(place, chunk);
        }
    }

    fn plan(&mut self, entries: &[PlanEntry]) {
        let plan = Part::Plan(entries.to_vec());
        match self.head.plan {
            Some(place) => {
                self.parts.insert(place, plan);
                self.unsaved.put(place, 0);
            }
            None => self.head.plan = Some(self.place(plan)),
        }
    }

    fn suggest(&mut self, suggestions: Vec<String>) {
        if suggestions.is_empty() {
            self.parts.remove(&SUGGESTIONS);
            self.unsaved.drop_from(SUGGESTIONS, 0);
        } else {
            self.parts.insert(SUGGESTIONS, Part::Suggestions(suggestions));
            self.unsaved.put(SUGGESTIONS, 0);
        }
    }

    fn usage(&mut self, usage: &Usage) {
        self.head.usage.get_or_insert_default().add(usage);
    }

    fn fail(&mut self, error: &TurnError, at: Millis) {
        self.close_tools(ToolStatus::Failed, Some(&error.message));
        self.turn().failure = Some(Failure {
            code: error.code,
            message: error.message.clone(),
            phase: error.phase,
            retryable: error.retryable,
        });
        self.end(StreamStatus::Failed, at, error.duration_ms);
    }

    /// Puts a new part after those that are there; its place.
    fn place(&mut self, part: Part) -> u32 {
        let place = self.head.n_parts;
        self.head.n_parts += 1;
        self.head.tail = None;
        self.parts.insert(place, part);
        self.unsaved.put(place, 0);
        place
    }

    /// Ends the calls that are still running as their turn ends.
    fn close_tools(&mut self, status: ToolStatus, error: Option<&str>) {
        for (&place, part) in &mut self.parts {
            if let Part::Tool(tool) = part
                && tool.head.status == ToolStatus::Running
            {
                tool.head.status = status;
                tool.head.error = error.map(str::to_owned);
                self.unsaved.put(place, tool::HEAD);
            }
        }
    }

    fn end(&mut self, status: StreamStatus, at: Millis, duration_ms: u64) {
        self.head.status = status;
        self.head.tail = None;
        let turn = self.turn();
        turn.ended_at = Some(at);
        turn.duration_ms = Some(duration_ms);
    }

    fn turn(&mut self) -> &mut TurnHead {
        self.head.turn.as_mut().expect("an open message belongs to a turn")
    }
}
