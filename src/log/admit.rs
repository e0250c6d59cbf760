//! One append within a commit: the lease, the key, the rules, and then its place in the log.
//!
//! Nothing of an append is written until all of its events are admitted. A key can be kept and a
//! lease handed over without an append as well.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use scrollback_schema::codec::encode_payload;
use scrollback_schema::{Event, Kind, Millis, Seq, TurnRef};

use super::append::{
    Answered, Append, AppendError, Appended, Claim, Draft, Idempotency, Lease, Refusal,
};
use super::chats::{Answer, ChatSlot, LeaseState, Tables};
use super::lease::Claimed;
use super::placed::{Context, Contexts, Part, make_section, section_end};
use super::turn_guard::{Candidate, ChatState, Effect, Reason, Rejection, admit};
use super::writer::{Group, Reply, StoredBefore, Writer};

/// Why an append did not join the commit.
#[derive(Debug)]
pub(crate) enum NotAdmitted {
    /// It is refused, alone.
    Refused(AppendError),
    /// The database failed, for all of the commit.
    Db(rusqlite::Error),
}

impl From<AppendError> for NotAdmitted {
    fn from(error: AppendError) -> Self {
        NotAdmitted::Refused(error)
    }
}

impl From<rusqlite::Error> for NotAdmitted {
    fn from(error: rusqlite::Error) -> Self {
        NotAdmitted::Db(error)
    }
}

/// What the rules made of an append: the chat after it, and what to note.
struct Plan {
    slot: ChatSlot,
    contexts: Contexts,
    effects: Vec<(Seq, Effect)>,
    /// When the turns that the append touches began.
    starts: Vec<(Seq, Millis)>,
}

impl Writer {
    /// Admits an append into the open transaction.
    pub(crate) fn admit(
        &mut self,
        group: &mut Group,
        mut append: Append,
    ) -> Result<Reply, NotAdmitted> {
        if let Some(idempotency) = &append.idempotency
            && let Some(answer) = Tables(&self.db).answer(&idempotency.key)?
        {
            if answer.body != idempotency.body {
                return Err(AppendError::IdempotencyMismatch.into());
            }
            return Ok(Reply::Done(self.answer_again(&append, answer)?));
        }
        let slot = self.slot(&append.chat)?;
        if slot.as_ref().is_some_and(|slot| slot.state.deleted.is_some()) {
            return Err(AppendError::ChatDeleted { chat: append.chat }.into());
        }
        let at = group.at_for(&append)?;
        if let Claim::Lease { token, first_number } = &append.claim {
            let slot = slot
                .as_ref()
                .ok_or_else(|| AppendError::ChatNotFound { chat: append.chat.clone() })?;
            let n = append.drafts.len() as u64;
            if let Some(stored) = self.check_lease(slot, token, *first_number, n)? {
                return Ok(Reply::Stored(stored));
            }
            if append.drafts.iter().all(Draft::is_plain_content) {
                // The hot path: the leased turn is open, which is all the rules there are.
                let context = Context { turn: slot.turn.clone(), message: None, defines: false };
                let (slot, contexts) = (slot.clone(), Contexts::All(context));
                let mut plan = Plan { slot, contexts, effects: Vec::new(), starts: Vec::new() };
                return self.store(group, at, append, &mut plan);
            }
            adopt(&mut append.drafts, slot);
        }
        let mut plan = self.plan(group.next_seq(), at, slot, &append)?;
        fill_durations(&mut append, &plan, at);
        self.store(group, at, append, &mut plan)
    }

    /// Runs the rules over the events.
    fn plan(
        &self,
        first_seq: Seq,
        at: Millis,
        slot: Option<ChatSlot>,
        append: &Append,
    ) -> Result<Plan, NotAdmitted> {
        let tables = Tables(&self.db);
        let (turn, lease) = match &slot {
            Some(slot) => (slot.turn.clone(), slot.lease.clone()),
            None => (None, None),
        };
        let was_open = turn.as_ref().map(|turn| turn.started);
        let mut state: Option<ChatState> = slot.map(|slot| slot.state);
        let open = state.as_ref().and_then(|state| state.open.as_ref());
        let mut starts: Vec<_> =
            open.map(|open| (open.started, open.started_at)).into_iter().collect();
        let (mut effects, mut tagged) = (Vec::new(), Vec::new());
        let mut contexts = Vec::with_capacity(append.drafts.len());
        let mut turns: Vec<TurnRef> = turn.into_iter().collect();
        for (index, draft) in append.drafts.iter().enumerate() {
            let seq = first_seq.plus(index as u64);
            let refuse = |reason| {
                let kind = Kind::from_number(draft.kind).map_or("unknown", Kind::name);
                AppendError::Refused(Refusal { index, kind, reason })
            };
            if state.is_none() && draft.kind != Kind::ChatCreated.number() {
                return Err(AppendError::ChatNotFound { chat: append.chat.clone() }.into());
            }
            let candidate = Candidate {
                seq,
                at,
                chat: &append.chat,
                turn: draft.turn.as_ref(),
                message: draft.message.as_ref(),
                kind: draft.kind,
                event: draft.event.as_deref(),
            };
            let n_before = effects.len();
            admit(&mut state, &tables, &mut effects, &candidate).map_err(|error| match error {
                Rejection::Reason(reason) => refuse(reason).into(),
                Rejection::Register(error) => NotAdmitted::Db(error),
            })?;
            tagged.extend(effects[n_before..].iter().map(|effect| (seq, effect.clone())));
            if let Some(Effect::StartTurn { turn, message }) = effects[n_before..].last() {
                let turn = TurnRef { id: turn.clone(), message: message.clone(), started: seq };
                turns.push(turn);
                starts.push((seq, at));
            }
            let created = state.as_ref().map_or(seq, |state| state.created);
            contexts.push(context(&tables, &turns, created, draft, refuse)?);
        }
        let state = state.expect("an append has an event, and its first one made the chat");
        let turn = state
            .open
            .as_ref()
            .and_then(|open| turns.iter().rev().find(|turn| turn.started == open.started).cloned());
        // A lease ends with its turn; another turn started since has none yet.
        let lease =
            lease.filter(|_| was_open.is_some() && turn.as_ref().map(|t| t.started) == was_open);
        let contexts = Contexts::Each(contexts);
        Ok(Plan { slot: ChatSlot { state, turn, lease }, contexts, effects: tagged, starts })
    }

    /// Writes an admitted append: sections, rows that are full, the register, the key.
    fn store(
        &mut self,
        group: &mut Group,
        at: Millis,
        append: Append,
        plan: &mut Plan,
    ) -> Result<Reply, NotAdmitted> {
        let first_seq = group.next_seq();
        let first_number = match &append.claim {
            Claim::Lease { first_number, .. } => Some(*first_number),
            Claim::Server => None,
        };
        group.set_at(&self.db, at)?;
        let chat = plan.slot.chat();
        let payloads = Bytes::from(append.payloads);
        let mut start = 0;
        while start < append.drafts.len() {
            let end = section_end(&append.drafts, &plan.contexts, start);
            let number = first_number.map(|first| first + start as u64);
            let section = make_section(Part {
                chat: &chat,
                at,
                first_seq: first_seq.plus(start as u64),
                first_number: number,
                context: plan.contexts.get(start),
                drafts: &append.drafts[start..end],
                from: start.checked_sub(1).map_or(0, |before| append.drafts[before].end),
                payloads: &payloads,
            });
            group.push(&self.db, section, plan.contexts.get(start).defines)?;
            start = end;
        }
        let last_seq = group.next_seq().prev();
        let tables = Tables(&self.db);
        for (seq, effect) in &plan.effects {
            tables.apply(&chat, *seq, at, append.lease_ms, effect)?;
        }
        self.renew(
            &mut plan.slot,
            append.lease_ms,
            at,
            first_number.map(|n| n + append.drafts.len() as u64),
        );
        let lease = plan.slot.lease.as_ref().map(LeaseState::answer);
        if let Some(mut idempotency) = append.idempotency {
            if let (Claim::Lease { .. }, Some(lease)) = (&append.claim, &lease) {
                // The expiry is a part of the answer, and the next append moves it on.
                idempotency.receipt = lease.expires_at.get().to_string();
            }
            Tables(&self.db).keep_answer(&idempotency, at, first_seq, last_seq)?;
        }
        self.remember(plan.slot.clone());
        Ok(Reply::Done(Appended { first_seq, last_seq, at, lease, replayed: None }))
    }

    /// Starts or renews the lease of the open turn.
    fn renew(
        &self,
        slot: &mut ChatSlot,
        lease_ms: Option<u64>,
        at: Millis,
        next_number: Option<u64>,
    ) {
        if let (Some(lease), Some(next_number)) = (&mut slot.lease, next_number) {
            lease.next_number = next_number;
            lease.renew(at, self.clock.steady());
        }
        if let (Some(lease_ms), Some(turn), None) = (lease_ms, &slot.turn, &slot.lease) {
            let claimed = Claimed { turn: turn.started, epoch: 1 };
            let mut lease = LeaseState {
                epoch: 1,
                lease_ms,
                token: self.key.token(slot.state.created, claimed),
                next_number: 1,
                renewed_at: at,
                runs_out: at,
            };
            lease.renew(at, self.clock.steady());
            slot.lease = Some(lease);
        }
    }

    /// Compares a producer's claim with the lease in force.
    ///
    /// `Some` if the events were stored before, so that only the answer is to be found again.
    fn check_lease(
        &self,
        slot: &ChatSlot,
        token: &str,
        first_number: u64,
        n: u64,
    ) -> Result<Option<StoredBefore>, AppendError> {
        let created = slot.state.created;
        let lease = slot.lease.as_ref();
        if lease.is_none_or(|lease| lease.token != token) {
            let invalid = || AppendError::LeaseInvalid { chat: slot.state.id.clone() };
            let claimed = self.key.read(created, token).ok_or_else(invalid)?;
            let open = slot.turn.as_ref().filter(|turn| turn.started == claimed.turn);
            match (open, lease) {
                (Some(_), Some(lease)) => {
                    return Err(AppendError::LeaseFenced { epoch: lease.epoch });
                }
                // The turn has ended; what it stored can still be answered again.
                _ => {
                    return Ok(Some(StoredBefore {
                        chat: slot.chat(),
                        turn: claimed.turn,
                        first_number,
                        n,
                        lease: None,
                    }));
                }
            }
        }
        let lease = lease.expect("a lease whose token was compared is there");
        let turn = slot.turn.as_ref().expect("a lease is one of an open turn");
        if first_number == lease.next_number {
            return Ok(None);
        }
        if first_number >= 1 && first_number.saturating_add(n) <= lease.next_number {
            return Ok(Some(StoredBefore {
                chat: slot.chat(),
                turn: turn.started,
                first_number,
                n,
                lease: Some(lease.answer()),
            }));
        }
        Err(AppendError::NumberGap { expected: lease.next_number })
    }

    /// The first answer to a key, once more; the token of a lease is computed again.
    fn answer_again(&mut self, append: &Append, answer: Answer) -> Result<Appended, NotAdmitted> {
        if let Claim::Lease { token, .. } = &append.claim {
            return self.leased_answer_again(append, token, &answer);
        }
        let started = append.drafts.iter().position(|d| d.kind == Kind::StreamStarted.number());
        let chat = Tables(&self.db).chat(&append.chat)?;
        let lease = match (append.lease_ms, started, chat) {
            (Some(lease_ms), Some(index), Some((created, _))) => {
                let claimed = Claimed { turn: answer.first_seq.plus(index as u64), epoch: 1 };
                let expires_at = answer.at.plus_ms(i64::try_from(lease_ms).unwrap_or(i64::MAX));
                Some(Lease { token: self.key.token(created, claimed), epoch: 1, expires_at })
            }
            _ => None,
        };
        Ok(Appended {
            first_seq: answer.first_seq,
            last_seq: answer.last_seq,
            at: answer.at,
            lease,
            replayed: Some(answer.receipt),
        })
    }

    /// Likewise for an append to a leased turn: the receipt is when the lease ran out then; it is
    /// empty if the append ended the turn.
    fn leased_answer_again(
        &mut self,
        append: &Append,
        token: &str,
        answer: &Answer,
    ) -> Result<Appended, NotAdmitted> {
        let created = Tables(&self.db).chat(&append.chat)?.map(|(created, _)| created);
        let claimed = created.and_then(|created| self.key.read(created, token));
        let expires_at = answer.receipt.parse().ok().map(Millis::new);
        let lease = claimed.zip(expires_at).map(|(claimed, expires_at)| Lease {
            token: token.to_owned(),
            epoch: claimed.epoch,
            expires_at,
        });
        Ok(Appended {
            first_seq: answer.first_seq,
            last_seq: answer.last_seq,
            at: answer.at,
            lease,
            replayed: Some(String::new()),
        })
    }

    /// Keeps an answer that stands at the head, unless the key has one.
    pub(crate) fn keep(&self, kept: &Idempotency) -> Result<Answered, AppendError> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(AppendError::Poisoned);
        }
        let storage = |error| AppendError::Storage { source: Arc::new(error) };
        let tables = Tables(&self.db);
        if let Some(before) = tables.answer(&kept.key).map_err(storage)? {
            return match before.answered(kept) {
                answered if answered.is_of_same_body => Ok(answered),
                _ => Err(AppendError::IdempotencyMismatch),
            };
        }
        let at = self.clock.now().max(self.last_at);
        tables.keep_answer(kept, at, self.head, self.head).map_err(storage)?;
        Ok(Answered {
            is_of_same_body: true,
            first_seq: self.head,
            last_seq: self.head,
            receipt: kept.receipt.clone(),
        })
    }
}

impl LeaseState {
    pub(crate) fn answer(&self) -> Lease {
        Lease { token: self.token.clone(), epoch: self.epoch, expires_at: self.expires_at() }
    }
}

/// A producer's events belong to the turn that it leases.
fn adopt(drafts: &mut [Draft], slot: &ChatSlot) {
    let Some(turn) = &slot.turn else { return };
    for draft in drafts {
        draft.turn = Some(turn.id.clone());
        draft.message = Some(turn.message.clone());
    }
}

fn context(
    tables: &Tables<'_>,
    turns: &[TurnRef],
    chat: Seq,
    draft: &Draft,
    refuse: impl Fn(Reason) -> AppendError,
) -> Result<Context, NotAdmitted> {
    let turn = match &draft.turn {
        None => None,
        Some(named) => match turns.iter().rev().find(|turn| turn.id == *named) {
            Some(turn) => Some(turn.clone()),
            None => {
                let unknown = || refuse(Reason::NotTheOpenTurn { named: named.clone() });
                Some(tables.turn(chat, named)?.ok_or_else(unknown)?)
            }
        },
    };
    let message =
        draft.message.clone().filter(|own| turn.as_ref().is_none_or(|turn| turn.message != *own));
    let defines =
        draft.kind == Kind::ChatCreated.number() || draft.kind == Kind::StreamStarted.number();
    Ok(Context { turn, message, defines })
}

/// Terminal events say how long the turn took; who does not know leaves 0 and the log fills it in.
fn fill_durations(append: &mut Append, plan: &Plan, at: Millis) {
    let is_open = |draft: &Draft| match draft.event.as_deref() {
        Some(Event::Complete(p)) => p.duration_ms == 0,
        Some(Event::Cancelled(p)) => p.duration_ms == 0,
        Some(Event::Error(p)) => p.duration_ms == 0,
        _ => false,
    };
    if !append.drafts.iter().any(is_open) {
        return;
    }
    let (mut payloads, mut from) = (Vec::with_capacity(append.payloads.len() + 16), 0);
    for (index, draft) in append.drafts.iter_mut().enumerate() {
        let context = plan.contexts.get(index);
        let fill = is_open(draft);
        match (draft.event.as_deref_mut(), &context.turn) {
            (Some(event), Some(turn)) if fill => {
                let started_at = plan.started_at(turn).unwrap_or(at);
                set_duration(event, at.since_ms(started_at));
                encode_payload(event, &mut payloads)
                    .expect("a terminal event fits as it did before");
            }
            _ => payloads.extend_from_slice(&append.payloads[from..draft.end]),
        }
        from = draft.end;
        draft.end = payloads.len();
    }
    append.payloads = payloads;
}

fn set_duration(event: &mut Event, ms: u64) {
    match event {
        Event::Complete(p) => p.duration_ms = ms,
        Event::Cancelled(p) => p.duration_ms = ms,
        Event::Error(p) => p.duration_ms = ms,
        _ => {}
    }
}

impl Plan {
    fn started_at(&self, turn: &TurnRef) -> Option<Millis> {
        self.starts.iter().find(|(started, _)| *started == turn.started).map(|(_, at)| *at)
    }
}
