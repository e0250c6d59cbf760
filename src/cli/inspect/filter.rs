//! Which events are wanted, as it is typed; what of the log has to be read for it is left to
//! `inspect`.

use clap::Args;
use scrollback_schema::{ChatId, Kind, MessageId, Seq, TurnId};

use crate::cli::range::{SeqRange, When};
use crate::clock::Clock;
use crate::inspect::{self, Plan, PlanError, Wanted};
use crate::log::offline::OfflineLog;

/// Which events are wanted; all that is given has to hold.
#[derive(Debug, Default, Args)]
pub(crate) struct Filter {
    /// Take the events of this chat
    #[arg(long, value_name = "CHAT")]
    pub(crate) chat: Option<ChatId>,
    /// Take the events of this message
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) message: Option<MessageId>,
    /// Take the events of this turn
    #[arg(long, value_name = "TURN")]
    pub(crate) turn: Option<TurnId>,
    /// Take the events of these kinds, by name or number
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = parse_kind)]
    pub(crate) kind: Vec<u16>,
    /// Take these seqs: 42, 42..99, 42.. or ..99, both ends included
    #[arg(long, value_name = "RANGE", allow_negative_numbers = true)]
    pub(crate) seq: Option<SeqRange>,
    /// Take what was committed at this instant or later: 2026-11-22T20:52:00Z, 2026-11-22, 15m, 2h
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<When>,
    /// Take what was committed at this instant or before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<When>,
    /// Take events whose text contains this, in upper or lower case
    #[arg(long, value_name = "TEXT")]
    pub(crate) text: Option<String>,
}

fn parse_kind(text: &str) -> Result<u16, String> {
    if let Some(kind) = Kind::from_name(text) {
        return Ok(kind.number());
    }
    text.parse().map_err(|_| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("no such kind; known are {}", names.join(", "))
    })
}

impl Filter {
    /// Looks up what the filter names; `head` is the last seq that is wanted.
    pub(crate) fn plan(&self, log: &mut OfflineLog, head: Seq) -> anyhow::Result<Plan> {
        let range = self.seq.unwrap_or(SeqRange::ALL);
        let now = Clock::System.now();
        let wanted = Wanted {
            chat: self.chat.clone(),
            message: self.message.clone(),
            turn: self.turn.clone(),
            kinds: self.kind.clone(),
            after: range.first.prev(),
            until: range.last,
            since: self.since.map(|since| since.resolve(now)),
            before: self.until.map(|until| until.resolve(now).plus_ms(1)),
            text: self.text.clone(),
        };
        wanted.plan(log, head).map_err(advise)
    }
}

/// The number of a chat that has to be there.
pub(crate) fn find_chat(log: &mut OfflineLog, id: &ChatId) -> anyhow::Result<Seq> {
    inspect::find_chat(log, id).map_err(advise)
}

/// The error with what to type next.
fn advise(error: PlanError) -> anyhow::Error {
    let hint = match &error {
        PlanError::NoChat(_) => "`scrollback inspect chats` lists them",
        PlanError::NoTurn(_) => "`scrollback inspect events --kind stream_started` lists them",
        PlanError::Offline(_) => return error.into(),
    };
    anyhow::anyhow!("{error}; {hint}")
}
