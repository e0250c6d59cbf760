//! What the writer knows of each chat: the guard's state and the lease, from memory or from log.db.
//!
//! The tables `chat`, `turn`, `register` and `idempotency` are written here and nowhere else, in
//! the transaction that appends.

use rusqlite::{Connection, OptionalExtension, params};
use scrollback_schema::{ChatId, ChatRef, MessageId, Millis, Seq, TurnId, TurnRef};

use super::append::{Answered, Idempotency};
use super::reader::{Flow, live_rows_after};
use super::turn_guard::{ChatState, Effect, Entry, OpenTurn, Register, Space};

/// A chat in the writer's memory.
#[derive(Debug, Clone)]
pub(crate) struct ChatSlot {
    pub(crate) state: ChatState,
    pub(crate) turn: Option<TurnRef>,
    pub(crate) lease: Option<LeaseState>,
}

/// The lease of the open turn.
#[derive(Debug, Clone)]
pub(crate) struct LeaseState {
    pub(crate) epoch: u64,
    pub(crate) lease_ms: u64,
    /// The token in force, kept so that an append compares and does not compute.
    pub(crate) token: String,
    /// The number that the producer's next event has.
    pub(crate) next_number: u64,
    /// When the producer last appended.
    pub(crate) renewed_at: Millis,
    /// When the turn is closed unless it appends before, on the clock that does not jump.
    pub(crate) runs_out: Millis,
}

impl LeaseState {
    /// Lets it run from now on: `now` on the clock that people read, `steady` on the one that does
    /// not jump.
    pub(crate) fn renew(&mut self, now: Millis, steady: Millis) {
        self.renewed_at = now;
        self.runs_out = steady.plus_ms(i64::try_from(self.lease_ms).unwrap_or(i64::MAX));
    }

    /// Lets it run for what was left of it: a clock that has jumped meanwhile makes that nothing,
    /// or all of it.
    pub(crate) fn resume(&mut self, now: Millis, steady: Millis) {
        let whole = i64::try_from(self.lease_ms).unwrap_or(i64::MAX);
        let left = self.expires_at().get().saturating_sub(now.get()).clamp(0, whole);
        self.runs_out = steady.plus_ms(left);
    }

    pub(crate) fn expires_at(&self) -> Millis {
        self.renewed_at.plus_ms(i64::try_from(self.lease_ms).unwrap_or(i64::MAX))
    }
}

impl ChatSlot {
    pub(crate) fn chat(&self) -> ChatRef {
        ChatRef { id: self.state.id.clone(), created: self.state.created }
    }
}

/// The tables of log.db that the guard asks.
pub(crate) struct Tables<'a>(pub(crate) &'a Connection);

impl Register for Tables<'_> {
    type Error = rusqlite::Error;

    fn entry(&self, chat: Seq, space: Space, id: &str) -> Result<Option<Entry>, Self::Error> {
        self.0
            .prepare_cached(
                "SELECT is_open FROM register WHERE chat = ?1 AND space = ?2 AND id = ?3",
            )?
            .query_row(params![chat.as_i64(), space as u8, id], |row| {
                Ok(Entry { is_open: row.get(0)? })
            })
            .optional()
    }

    fn has_turn(&self, chat: Seq, turn: &TurnId) -> Result<bool, Self::Error> {
        Ok(self.turn(chat, turn)?.is_some())
    }
}

fn column<T, E>(index: usize, parsed: Result<T, E>) -> Result<T, rusqlite::Error>
where
    E: std::error::Error + Send + Sync + 'static,
{
    parsed.map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, error.into())
    })
}

fn seq(row: &rusqlite::Row<'_>, index: usize) -> Result<Seq, rusqlite::Error> {
    let value = row.get(index)?;
    Seq::from_i64(value).ok_or(rusqlite::Error::IntegralValueOutOfRange(index, value))
}

impl Tables<'_> {
    /// A chat's number and tombstone.
    pub(crate) fn chat(&self, id: &ChatId) -> Result<Option<(Seq, Option<Seq>)>, rusqlite::Error> {
        self.0
            .prepare_cached("SELECT created_seq, deleted_seq FROM chat WHERE chat_id = ?1")?
            .query_row([id.as_str()], |row| {
                let deleted: Option<i64> = row.get(1)?;
                Ok((seq(row, 0)?, deleted.and_then(Seq::from_i64)))
            })
            .optional()
    }

    /// A turn of a chat, open or ended.
    pub(crate) fn turn(
        &self,
        chat: Seq,
        turn: &TurnId,
    ) -> Result<Option<TurnRef>, rusqlite::Error> {
        self.0
            .prepare_cached(
                "SELECT started_seq, message_id FROM turn WHERE chat = ?1 AND turn_id = ?2",
            )?
            .query_row(params![chat.as_i64(), turn.as_str()], |row| {
                let message: String = row.get(1)?;
                let message = column(1, MessageId::parse(&message))?;
                Ok(TurnRef { id: turn.clone(), message, started: seq(row, 0)? })
            })
            .optional()
    }

    /// Loads a chat: its state, and where its producer's numbers stand.
    pub(crate) fn load(&self, id: &ChatId) -> Result<Option<ChatSlot>, rusqlite::Error> {
        let Some((created, deleted)) = self.chat(id)? else { return Ok(None) };
        let count = |space: Space| -> Result<usize, rusqlite::Error> {
            self.0
                .prepare_cached(
                    "SELECT count(*) FROM register WHERE chat = ?1 AND space = ?2 AND is_open = 1",
                )?
                .query_row(params![created.as_i64(), space as u8], |row| {
                    Ok(usize::try_from(row.get::<_, i64>(0)?).unwrap_or_default())
                })
        };
        let mut slot = ChatSlot {
            state: ChatState {
                created,
                id: id.clone(),
                deleted,
                open: None,
                n_queued: count(Space::Queued)?,
                n_schedules: count(Space::Schedule)?,
            },
            turn: None,
            lease: None,
        };
        self.load_open_turn(&mut slot)?;
        Ok(Some(slot))
    }

    fn load_open_turn(&self, slot: &mut ChatSlot) -> Result<(), rusqlite::Error> {
        let created = slot.state.created;
        let found = self
            .0
            .prepare_cached(
                "SELECT started_seq, turn_id, message_id, started_at_ms, lease_ms, lease_epoch
                 FROM turn WHERE chat = ?1 AND ended_seq IS NULL",
            )?
            .query_row([created.as_i64()], |row| {
                let (turn, message): (String, String) = (row.get(1)?, row.get(2)?);
                let open = OpenTurn {
                    started: seq(row, 0)?,
                    started_at: Millis::new(row.get(3)?),
                    id: column(1, TurnId::parse(&turn))?,
                    message: column(2, MessageId::parse(&message))?,
                    pending: Vec::new(),
                };
                let lease: Option<i64> = row.get(4)?;
                Ok((open, lease, row.get::<_, i64>(5)?))
            })
            .optional()?;
        let Some((mut open, lease_ms, epoch)) = found else { return Ok(()) };
        open.pending = self
            .0
            .prepare_cached(
                "SELECT id FROM register
                 WHERE chat = ?1 AND space = ?2 AND is_open = 1 ORDER BY seq",
            )?
            .query_map(params![created.as_i64(), Space::Request as u8], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        slot.turn = Some(TurnRef {
            id: open.id.clone(),
            message: open.message.clone(),
            started: open.started,
        });
        if let Some(lease_ms) = lease_ms {
            let (next_number, renewed_at) = self.producer_position(&open)?;
            slot.lease = Some(LeaseState {
                epoch: epoch.unsigned_abs(),
                lease_ms: lease_ms.unsigned_abs(),
                token: String::new(),
                next_number,
                renewed_at,
                runs_out: Millis::new(0),
            });
        }
        slot.state.open = Some(open);
        Ok(())
    }

    /// Where a producer stands, read from the log itself: the next number, the last append.
    fn producer_position(&self, open: &OpenTurn) -> Result<(u64, Millis), rusqlite::Error> {
        let (mut next_number, mut renewed_at) = (1, open.started_at);
        live_rows_after::<rusqlite::Error>(self.0, open.started.prev(), |row| {
            let at = row.head.at;
            for view in scrollback_schema::batch::sections(&row.records).map_while(Result::ok) {
                if let (Some(turn), Some(first)) = (view.head.turn, view.head.first_number)
                    && turn == open.started
                {
                    next_number = first + view.n_events;
                    renewed_at = at;
                }
            }
            Ok(Flow::Go)
        })?;
        Ok((next_number, renewed_at))
    }

    /// Chats with an open turn.
    pub(crate) fn chats_with_open_turn(&self) -> Result<Vec<ChatId>, rusqlite::Error> {
        self.0
            .prepare_cached(
                "SELECT chat_id FROM chat WHERE created_seq IN
                 (SELECT chat FROM turn WHERE ended_seq IS NULL) ORDER BY created_seq",
            )?
            .query_map([], |row| {
                let id: String = row.get(0)?;
                column(0, ChatId::parse(&id))
            })?
            .collect()
    }

    /// Notes what an admitted event changes.
    pub(crate) fn apply(
        &self,
        chat: &ChatRef,
        seq: Seq,
        at: Millis,
        lease_ms: Option<u64>,
        effect: &Effect,
    ) -> Result<(), rusqlite::Error> {
        let (number, seq) = (chat.created.as_i64(), seq.as_i64());
        match effect {
            Effect::CreateChat => self
                .0
                .prepare_cached("INSERT INTO chat (created_seq, chat_id) VALUES (?1, ?2)")?
                .execute(params![seq, chat.id.as_str()])?,
            Effect::DeleteChat => self
                .0
                .prepare_cached("UPDATE chat SET deleted_seq = ?2 WHERE created_seq = ?1")?
                .execute(params![number, seq])?,
            Effect::StartTurn { turn, message } => self
                .0
                .prepare_cached(
                    "INSERT INTO turn (started_seq, chat, turn_id, message_id, started_at_ms,
                                       lease_ms, lease_epoch)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    seq,
                    number,
                    turn.as_str(),
                    message.as_str(),
                    at.get(),
                    lease_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
                    i64::from(lease_ms.is_some()),
                ])?,
            Effect::EndTurn { started } => self
                .0
                .prepare_cached("UPDATE turn SET ended_seq = ?2 WHERE started_seq = ?1")?
                .execute(params![started.as_i64(), seq])?,
            Effect::Open { space, id, is_open } => self
                .0
                .prepare_cached(
                    "INSERT INTO register (chat, space, id, seq, is_open)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?
                .execute(params![number, *space as u8, id, seq, is_open])?,
            Effect::Close { space, id } => self
                .0
                .prepare_cached(
                    "UPDATE register SET is_open = 0 WHERE chat = ?1 AND space = ?2 AND id = ?3",
                )?
                .execute(params![number, *space as u8, id])?,
        };
        Ok(())
    }

    /// Raises the epoch of an open turn's lease.
    pub(crate) fn set_epoch(&self, turn: Seq, epoch: u64) -> Result<(), rusqlite::Error> {
        self.0
            .prepare_cached("UPDATE turn SET lease_epoch = ?2 WHERE started_seq = ?1")?
            .execute(params![turn.as_i64(), i64::try_from(epoch).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    /// The answer given to a key before.
    pub(crate) fn answer(&self, key: &[u8; 32]) -> Result<Option<Answer>, rusqlite::Error> {
        self.0
            .prepare_cached(
                "SELECT body, at_ms, first_seq, last_seq, receipt FROM idempotency WHERE key = ?1",
            )?
            .query_row([key], |row| {
                Ok(Answer {
                    body: row.get(0)?,
                    at: Millis::new(row.get(1)?),
                    first_seq: seq(row, 2)?,
                    last_seq: seq(row, 3)?,
                    receipt: row.get(4)?,
                })
            })
            .optional()
    }

    /// Keeps the answer to a key.
    pub(crate) fn keep_answer(
        &self,
        idempotency: &Idempotency,
        at: Millis,
        first_seq: Seq,
        last_seq: Seq,
    ) -> Result<(), rusqlite::Error> {
        self.0
            .prepare_cached(
                "INSERT INTO idempotency (key, body, at_ms, first_seq, last_seq, receipt)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                idempotency.key,
                idempotency.body,
                at.get(),
                first_seq.as_i64(),
                last_seq.as_i64(),
                idempotency.receipt,
            ])?;
        Ok(())
    }

    /// Forgets answers older than `before`.
    pub(crate) fn forget_answers(&self, before: Millis) -> Result<(), rusqlite::Error> {
        self.0
            .prepare_cached("DELETE FROM idempotency WHERE at_ms < ?1")?
            .execute([before.get()])?;
        Ok(())
    }
}

/// An answer kept under a key.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: [u8; 32],
    pub(crate) at: Millis,
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    pub(crate) receipt: String,
}

impl Answer {
    /// The answer as it is told to who repeats a call.
    pub(crate) fn answered(self, kept: &Idempotency) -> Answered {
        Answered {
            is_of_same_body: self.body == kept.body,
            first_seq: self.first_seq,
            last_seq: self.last_seq,
            receipt: self.receipt,
        }
    }
}
