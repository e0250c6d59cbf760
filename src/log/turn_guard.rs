//! The rules that an event has to keep, as a pure fold: what a chat is, and what may happen next.
//!
//! The writer asks before it stores, `verify` asks again of what is stored. Where the ids of a chat
//! are kept is left to the one who asks: see [`Register`].

use std::fmt;

use scrollback_schema::limits::{PENDING_REQUESTS_MAX, QUEUE_LENGTH_MAX, SCHEDULES_MAX};
use scrollback_schema::{ChatId, Event, Kind, MessageId, Millis, Seq, TurnId};

/// What an id of a chat names; the numbers are stored in log.db.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Space {
    /// A message of the user's or of the assistant's.
    Message = 1,
    /// An approval or a question.
    Request = 2,
    /// An item of the queue.
    Queued = 3,
    /// A schedule.
    Schedule = 4,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Space::Message => "message",
            Space::Request => "request",
            Space::Queued => "queued message",
            Space::Schedule => "schedule",
        })
    }
}

/// Which rule an event breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The chat id is taken.
    #[error("the chat exists already")]
    ChatExists,
    /// An event of a turn, and no turn is open.
    #[error("no turn is open in this chat")]
    NoOpenTurn,
    /// An event of a turn that is not the open one.
    #[error("turn {named} is not the open turn")]
    NotTheOpenTurn {
        /// The turn it names.
        named: TurnId,
    },
    /// A second turn, while one is open.
    #[error("turn {open} is open; a chat has one at a time")]
    TurnBusy {
        /// The open turn.
        open: TurnId,
    },
    /// The turn id is taken.
    #[error("turn {turn} exists already")]
    TurnExists {
        /// The id.
        turn: TurnId,
    },
    /// The event names no turn, or no message, though its kind needs one.
    #[error("the kind needs a {what}")]
    Missing {
        /// `turn` or `message`.
        what: &'static str,
    },
    /// The event names a message that is not the turn's.
    #[error("the turn's message is {expected}")]
    NotTheTurnsMessage {
        /// The message of the open turn.
        expected: MessageId,
    },
    /// An id that the chat has used before.
    #[error("{space} {id} exists already")]
    IdTaken {
        /// What it names.
        space: Space,
        /// The id.
        id: String,
    },
    /// An id that the chat does not know.
    #[error("{space} {id} is unknown in this chat")]
    IdUnknown {
        /// What it names.
        space: Space,
        /// The id.
        id: String,
    },
    /// A request that was answered, a queued message that has left, a schedule that was removed.
    #[error("{space} {id} is no longer open")]
    IdClosed {
        /// What it names.
        space: Space,
        /// The id.
        id: String,
    },
    /// More open ones than a chat may have.
    #[error("the chat has {max} open {space}s, which is the limit")]
    TooMany {
        /// What they are.
        space: Space,
        /// The bound.
        max: usize,
    },
    /// A chat is deleted with a turn open.
    #[error("turn {open} has to end first")]
    TurnStillOpen {
        /// The open turn.
        open: TurnId,
    },
    /// The kind is not for a producer outside, or not known.
    #[error("the kind cannot be appended here")]
    KindNotAllowed,
}

/// The turn that is open in a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurn {
    /// Seq of its `stream_started`.
    pub started: Seq,
    /// When it started.
    pub started_at: Millis,
    /// Its id.
    pub id: TurnId,
    /// The message that it produces.
    pub message: MessageId,
    /// Requests of it that wait for an answer.
    pub pending: Vec<String>,
}

/// What the rules need to know of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatState {
    /// Seq of its `chat_created`.
    pub created: Seq,
    /// Its id.
    pub id: ChatId,
    /// Seq of its tombstone.
    pub deleted: Option<Seq>,
    /// Its open turn.
    pub open: Option<OpenTurn>,
    /// Items in its queue.
    pub n_queued: usize,
    /// Its schedules.
    pub n_schedules: usize,
}

/// What the register says of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Still pending, queued, or scheduled.
    pub is_open: bool,
}

/// Where the ids that a chat has used are looked up.
pub trait Register {
    /// Why a look-up can fail.
    type Error;

    /// Looks an id up.
    ///
    /// # Errors
    ///
    /// The register's own.
    fn entry(&self, chat: Seq, space: Space, id: &str) -> Result<Option<Entry>, Self::Error>;

    /// Whether the chat has had a turn of this id.
    ///
    /// # Errors
    ///
    /// The register's own.
    fn has_turn(&self, chat: Seq, turn: &TurnId) -> Result<bool, Self::Error>;
}

/// What an event changes in the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A chat came into being.
    CreateChat,
    /// A chat was deleted.
    DeleteChat,
    /// A turn started; its message is a new id as well.
    StartTurn {
        /// Its id.
        turn: TurnId,
        /// The message that it produces.
        message: MessageId,
    },
    /// The turn that started at this seq has ended.
    EndTurn {
        /// Seq of its `stream_started`.
        started: Seq,
    },
    /// An id is used for the first time.
    Open {
        /// What it names.
        space: Space,
        /// The id.
        id: String,
        /// Whether it stays open.
        is_open: bool,
    },
    /// An id is closed.
    Close {
        /// What it names.
        space: Space,
        /// The id.
        id: String,
    },
}

/// An event as the rules see it: the payload only where it was given and not erased.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Where it would stand.
    pub seq: Seq,
    /// When it would be committed.
    pub at: Millis,
    /// The chat that it names.
    pub chat: &'a ChatId,
    /// The turn that it names.
    pub turn: Option<&'a TurnId>,
    /// The message that it names.
    pub message: Option<&'a MessageId>,
    /// Stored number of its kind.
    pub kind: u16,
    /// Its content, where a rule looks into it.
    pub event: Option<&'a Event>,
}

/// Why an event was not admitted.
#[derive(Debug)]
pub enum Rejection<E> {
    /// A rule refuses it.
    Reason(Reason),
    /// The register could not be read.
    Register(E),
}

impl<E> From<Reason> for Rejection<E> {
    fn from(reason: Reason) -> Self {
        Rejection::Reason(reason)
    }
}

/// Admits one event: moves `state` on and pushes what the register has to note.
///
/// `state` is `None` for a chat that does not exist. The caller has refused events of a deleted
/// chat. Effects of events before this one that are not in the register yet must be in `effects`.
///
/// # Errors
///
/// [`Rejection`]; `state` and `effects` may then be half changed and are to be thrown away.
pub fn admit<R: Register>(
    state: &mut Option<ChatState>,
    register: &R,
    effects: &mut Vec<Effect>,
    candidate: &Candidate<'_>,
) -> Result<(), Rejection<R::Error>> {
    let kind = Kind::from_number(candidate.kind);
    let Some(chat) = state else {
        if kind != Some(Kind::ChatCreated) {
            return Err(Reason::KindNotAllowed.into());
        }
        *state = Some(ChatState {
            created: candidate.seq,
            id: candidate.chat.clone(),
            deleted: None,
            open: None,
            n_queued: 0,
            n_schedules: 0,
        });
        effects.push(Effect::CreateChat);
        return Ok(());
    };
    // A kind that this version does not know is carried by an import; a named turn has to be open.
    let Some(kind) = kind else {
        return check_named_turn(chat, candidate).map_err(Into::into);
    };
    let mut step = Step { chat, register, effects, candidate };
    match kind {
        Kind::ChatCreated => Err(Reason::ChatExists.into()),
        Kind::ChatUpdated | Kind::ChatViewed => Ok(()),
        Kind::ChatDeleted => step.delete(),
        Kind::UserText => step.user_text(),
        Kind::StreamStarted => step.start_turn(),
        Kind::Complete | Kind::Cancelled | Kind::Error => step.end_turn(),
        Kind::CancelRequested => step.cancel_requested(),
        Kind::Session | Kind::Custom => check_named_turn(step.chat, candidate).map_err(Into::into),
        _ if kind.is_turn_content() => step.turn_content(),
        _ => step.listed(),
    }
}

fn check_named_turn(chat: &ChatState, candidate: &Candidate<'_>) -> Result<(), Reason> {
    match candidate.turn {
        None => Ok(()),
        Some(_) => check_open_turn(chat, candidate).map(|_| ()),
    }
}

fn check_open_turn<'c>(
    chat: &'c ChatState,
    candidate: &Candidate<'_>,
) -> Result<&'c OpenTurn, Reason> {
    let named = candidate.turn.ok_or(Reason::Missing { what: "turn" })?;
    let open = chat.open.as_ref().ok_or(Reason::NoOpenTurn)?;
    if open.id != *named {
        return Err(Reason::NotTheOpenTurn { named: named.clone() });
    }
    if candidate.message != Some(&open.message) {
        return Err(Reason::NotTheTurnsMessage { expected: open.message.clone() });
    }
    Ok(open)
}

struct Step<'a, R: Register> {
    chat: &'a mut ChatState,
    register: &'a R,
    effects: &'a mut Vec<Effect>,
    candidate: &'a Candidate<'a>,
}

type Admitted<R> = Result<(), Rejection<<R as Register>::Error>>;

impl<R: Register> Step<'_, R> {
    /// The register's word, with what this append has already changed.
    fn entry(&self, space: Space, id: &str) -> Result<Option<Entry>, Rejection<R::Error>> {
        for effect in self.effects.iter().rev() {
            match effect {
                Effect::Open { space: s, id: i, is_open } if *s == space && i == id => {
                    return Ok(Some(Entry { is_open: *is_open }));
                }
                Effect::Close { space: s, id: i } if *s == space && i == id => {
                    return Ok(Some(Entry { is_open: false }));
                }
                _ => {}
            }
        }
        self.register.entry(self.chat.created, space, id).map_err(Rejection::Register)
    }

    fn open(&mut self, space: Space, id: &str, is_open: bool) -> Admitted<R> {
        if self.entry(space, id)?.is_some() {
            return Err(Reason::IdTaken { space, id: id.to_owned() }.into());
        }
        self.effects.push(Effect::Open { space, id: id.to_owned(), is_open });
        Ok(())
    }

    fn must_be_open(&self, space: Space, id: &str) -> Admitted<R> {
        match self.entry(space, id)? {
            None => Err(Reason::IdUnknown { space, id: id.to_owned() }.into()),
            Some(Entry { is_open: false }) => {
                Err(Reason::IdClosed { space, id: id.to_owned() }.into())
            }
            Some(Entry { is_open: true }) => Ok(()),
        }
    }

    fn close(&mut self, space: Space, id: &str) -> Admitted<R> {
        self.must_be_open(space, id)?;
        self.effects.push(Effect::Close { space, id: id.to_owned() });
        Ok(())
    }

    fn delete(&mut self) -> Admitted<R> {
        if let Some(open) = &self.chat.open {
            return Err(Reason::TurnStillOpen { open: open.id.clone() }.into());
        }
        self.chat.deleted = Some(self.candidate.seq);
        self.effects.push(Effect::DeleteChat);
        Ok(())
    }

    fn user_text(&mut self) -> Admitted<R> {
        let message = self.candidate.message.ok_or(Reason::Missing { what: "message" })?;
        self.open(Space::Message, message.as_str(), false)
    }

    fn start_turn(&mut self) -> Admitted<R> {
        let turn = self.candidate.turn.ok_or(Reason::Missing { what: "turn" })?;
        let message = self.candidate.message.ok_or(Reason::Missing { what: "message" })?;
        if let Some(open) = &self.chat.open {
            return Err(Reason::TurnBusy { open: open.id.clone() }.into());
        }
        let is_new_here = |effect: &Effect| match effect {
            Effect::StartTurn { turn: started, .. } => started != turn,
            _ => true,
        };
        if !self.effects.iter().all(is_new_here)
            || self.register.has_turn(self.chat.created, turn).map_err(Rejection::Register)?
        {
            return Err(Reason::TurnExists { turn: turn.clone() }.into());
        }
        self.open(Space::Message, message.as_str(), false)?;
        self.chat.open = Some(OpenTurn {
            started: self.candidate.seq,
            started_at: self.candidate.at,
            id: turn.clone(),
            message: message.clone(),
            pending: Vec::new(),
        });
        self.effects.push(Effect::StartTurn { turn: turn.clone(), message: message.clone() });
        Ok(())
    }

    fn end_turn(&mut self) -> Admitted<R> {
        check_open_turn(self.chat, self.candidate)?;
        let open = self.chat.open.take().expect("the turn was found open just above");
        for id in open.pending {
            self.effects.push(Effect::Close { space: Space::Request, id });
        }
        self.effects.push(Effect::EndTurn { started: open.started });
        Ok(())
    }

    fn cancel_requested(&mut self) -> Admitted<R> {
        let Some(Event::CancelRequested(asked)) = self.candidate.event else { return Ok(()) };
        match &self.chat.open {
            None => Err(Reason::NoOpenTurn.into()),
            Some(open) if open.id != asked.turn_id => {
                Err(Reason::NotTheOpenTurn { named: asked.turn_id.clone() }.into())
            }
            Some(_) => check_named_turn(self.chat, self.candidate).map_err(Into::into),
        }
    }

    fn turn_content(&mut self) -> Admitted<R> {
        check_open_turn(self.chat, self.candidate)?;
        let id = match self.candidate.event {
            Some(Event::PermissionRequest(asked)) => asked.request_id.as_str(),
            Some(Event::ElicitationRequest(asked)) => asked.request_id.as_str(),
            _ => return Ok(()),
        };
        self.open(Space::Request, id, true)?;
        let open = self.chat.open.as_mut().expect("the turn was found open just above");
        if open.pending.len() >= PENDING_REQUESTS_MAX {
            return Err(Reason::TooMany { space: Space::Request, max: PENDING_REQUESTS_MAX }.into());
        }
        open.pending.push(id.to_owned());
        Ok(())
    }

    /// Kinds that open, change or close an item of the chat's lists.
    fn listed(&mut self) -> Admitted<R> {
        let Some(event) = self.candidate.event else { return Ok(()) };
        match event {
            Event::PermissionResolved(p) => self.resolve(p.request_id.as_str()),
            Event::ElicitationResolved(p) => self.resolve(p.request_id.as_str()),
            Event::MessageQueued(p) => {
                let max = QUEUE_LENGTH_MAX;
                if self.chat.n_queued >= max {
                    return Err(Reason::TooMany { space: Space::Queued, max }.into());
                }
                self.chat.n_queued += 1;
                self.open(Space::Queued, p.queued_message_id.as_str(), true)
            }
            Event::QueueEdited(p) => self.must_be_open(Space::Queued, p.queued_message_id.as_str()),
            Event::QueueSendNow(p) => {
                self.must_be_open(Space::Queued, p.queued_message_id.as_str())
            }
            Event::QueueRemoved(p) => self.unqueue(p.queued_message_id.as_str()),
            Event::QueueProcessing(p) => self.unqueue(p.queued_message_id.as_str()),
            Event::ScheduleCreated(p) => {
                let max = SCHEDULES_MAX;
                if self.chat.n_schedules >= max {
                    return Err(Reason::TooMany { space: Space::Schedule, max }.into());
                }
                self.chat.n_schedules += 1;
                self.open(Space::Schedule, p.schedule_id.as_str(), true)
            }
            Event::ScheduleUpdated(p) => self.must_be_open(Space::Schedule, p.schedule_id.as_str()),
            Event::ScheduleFired(p) => self.must_be_open(Space::Schedule, p.schedule_id.as_str()),
            Event::ScheduleRemoved(p) => {
                self.chat.n_schedules = self.chat.n_schedules.saturating_sub(1);
                self.close(Space::Schedule, p.schedule_id.as_str())
            }
            _ => Err(Reason::KindNotAllowed.into()),
        }
    }

    fn resolve(&mut self, id: &str) -> Admitted<R> {
        self.close(Space::Request, id)?;
        if let Some(open) = &mut self.chat.open {
            open.pending.retain(|pending| pending != id);
        }
        Ok(())
    }

    fn unqueue(&mut self, id: &str) -> Admitted<R> {
        self.chat.n_queued = self.chat.n_queued.saturating_sub(1);
        self.close(Space::Queued, id)
    }
}
