//! What an append promises: in order, dense, durable, all or nothing.

use scrollback::log::{Append, AppendError, Idempotency};
use scrollback_schema::event::{CancelReason, RequestOutcome};
use scrollback_schema::{Event, Kind, NewEvent, RequestId, Seq, limits};
use scrollback_test_support::rng::Rng;
use scrollback_test_support::sample::{chat_id, complete, every_kind, of_turn, text, user_text};
use scrollback_test_support::workload::{Step, Workload};

use crate::fixture::{Fixture, assert_whole};

/// What was appended, with the seqs that were answered.
struct Answered {
    step: Step,
    first: Seq,
    last: Seq,
}

async fn run_writer(log: scrollback::log::Log, seed: u64, n_steps: usize) -> Vec<Answered> {
    let mut workload = Workload::new(seed, &format!("w{seed}"), 3);
    let mut answered = Vec::new();
    for _ in 0..n_steps {
        let step = workload.step();
        let appended = crate::fixture::append(&log, step.clone()).await.unwrap();
        answered.push(Answered { step, first: appended.first_seq, last: appended.last_seq });
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_writers_append_is_there_in_order_and_stays() {
    let fixture = Fixture::new("append-many");
    let writers: Vec<_> =
        (0..24).map(|seed| tokio::spawn(run_writer(fixture.log.clone(), seed, 120))).collect();
    let mut answered = Vec::new();
    for writer in writers {
        answered.extend(writer.await.unwrap());
    }
    answered.sort_by_key(|append| append.first);

    let events = fixture.all().await;
    let mut next = Seq::ZERO.next();
    for Answered { step, first, last } in &answered {
        assert_eq!(*first, next, "answers are dense");
        assert_eq!(*last, first.plus(step.events.len() as u64 - 1));
        next = last.next();
        for (new, stored) in step.events.iter().zip(&events[first.get() as usize - 1..]) {
            assert_eq!(stored.event(), Some(&new.event), "seq {}", stored.seq);
            assert_eq!((&stored.chat.id, &stored.message), (&step.chat, &new.message));
            assert_eq!(stored.turn.as_ref().map(|turn| &turn.id), new.turn.as_ref());
        }
    }
    assert_eq!(next.prev(), fixture.log.head());
    assert!(events.is_sorted_by_key(|event| event.at), "time never goes back");

    let fixture = fixture.reopen().await;
    let again = fixture.all().await;
    assert_eq!(again[..events.len()], events[..], "a reopened log says the same");
    let closed = &again[events.len()..];
    assert!(!closed.is_empty(), "turns that nobody runs any more are closed");
    let is_restart = |event: &Event| match event {
        Event::Cancelled(end) => end.reason == CancelReason::Restart,
        _ => false,
    };
    assert!(closed.iter().all(|end| end.event().is_some_and(is_restart)), "{closed:?}");
    assert_whole(fixture.close().await.path());
}

/// Turns a good step into one that breaks a rule; returns the index of the event that does.
fn spoil(rng: &mut Rng, step: &mut Step) -> usize {
    let last = step.events.last().unwrap().clone();
    let of_last_turn = |event: Event| NewEvent { event, ..last.clone() };
    let bad = match (rng.below(4), last.turn.is_some()) {
        (0, true) if last.event.kind() != Kind::StreamStarted => {
            let terminal = of_last_turn(complete());
            if !last.event.kind().is_terminal() {
                step.events.push(terminal.clone());
            }
            terminal
        }
        (1, _) => of_turn("never-started", "nowhere", vec![text("lost")]).remove(0),
        (2, _) => NewEvent::of_chat(Event::PermissionResolved(
            scrollback_schema::event::PermissionResolved {
                request_id: RequestId::parse("never-asked").unwrap(),
                outcome: RequestOutcome::Denied,
                option_id: None,
                by: None,
            },
        )),
        _ => NewEvent::of_chat(Event::ChatCreated(Default::default())),
    };
    step.events.push(bad);
    step.events.len() - 1
}

#[tokio::test]
async fn a_batch_with_one_bad_event_changes_nothing_and_names_it() {
    let fixture = Fixture::new("append-refused");
    let (mut workload, mut rng) = (Workload::new(11, "r", 4), Rng::new(12));
    for _ in 0..400 {
        let good = workload.step();
        let mut bad = good.clone();
        let index = spoil(&mut rng, &mut bad);
        let kind = bad.events[index].event.kind().name();
        let head = fixture.log.head();
        match fixture.append(bad).await {
            Err(AppendError::Refused(refusal)) => {
                assert_eq!((refusal.index, refusal.kind), (index, kind), "{refusal}");
            }
            other => panic!("{kind} was not refused: {other:?}"),
        }
        assert_eq!(fixture.log.head(), head);
        assert_eq!(fixture.append(good).await.unwrap().first_seq, head.next());
    }
    assert_whole(fixture.close().await.path());
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_stored() {
    let fixture = Fixture::new("append-large");
    for step in every_kind() {
        fixture.append(step).await.unwrap();
    }
    let head = fixture.log.head();
    let append = |events| Append::new(chat_id("garden"), events);
    let long = "x".repeat(limits::PAYLOAD_BYTES_MAX);
    let error = append(vec![user_text("u8", "fits"), user_text("u9", &long)]).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { index: 1, .. }), "{error}");
    let viewed = NewEvent::of_chat(Event::ChatViewed(Default::default()));
    let error = append(vec![viewed; limits::APPEND_EVENTS_MAX + 1]).unwrap_err();
    assert!(matches!(error, AppendError::TooMany { .. }), "{error}");
    let page = "x".repeat(limits::PAYLOAD_BYTES_MAX - 100);
    let full = (0..5).map(|i| user_text(&format!("full{i}"), &page)).collect();
    let error = append(full).unwrap_err();
    assert!(matches!(error, AppendError::TooLarge { index: 4, .. }), "{error}");
    assert!(matches!(append(Vec::new()), Err(AppendError::Empty)));
    assert_eq!(fixture.log.head(), head);

    let largest = (0..4).map(|i| user_text(&format!("full{i}"), &page)).collect();
    let appended = fixture.log.append(append(largest).unwrap()).await.unwrap();
    assert_eq!(appended.last_seq, head.plus(4));
    assert_whole(fixture.close().await.path());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_is_one_append_however_often_it_is_sent() {
    let fixture = Fixture::new("append-key");
    fixture.append(every_kind().remove(0)).await.unwrap();
    let keyed = |body: u8| {
        let said = vec![user_text("u8", "once"), user_text("u9", "and for all")];
        let mut append = Append::new(chat_id("garden"), said).unwrap();
        append.idempotency =
            Some(Idempotency { key: [9; 32], body: [body; 32], receipt: "t9".to_owned() });
        append
    };
    let head = fixture.log.head();
    let sent: Vec<_> = (0..32)
        .map(|_| {
            let (log, append) = (fixture.log.clone(), keyed(1));
            tokio::spawn(async move { log.append(append).await.unwrap() })
        })
        .collect();
    let mut n_replayed = 0;
    for answer in sent {
        let appended = answer.await.unwrap();
        assert_eq!(appended.first_seq, head.next());
        n_replayed += usize::from(appended.replayed.as_deref() == Some("t9"));
    }
    assert_eq!(n_replayed, 31, "one appended, the others were told what it said");
    assert_eq!(fixture.log.head(), head.plus(2));
    let other = fixture.log.append(keyed(2)).await;
    assert!(matches!(other, Err(AppendError::IdempotencyMismatch)), "{other:?}");
    let fixture = fixture.reopen().await;
    let again = fixture.log.append(keyed(1)).await.unwrap();
    assert_eq!((again.first_seq, again.replayed.as_deref()), (head.next(), Some("t9")));
    assert_whole(fixture.close().await.path());
}
