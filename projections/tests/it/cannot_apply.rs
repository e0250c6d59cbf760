//! What does not fit a row is refused with a cause, and the row is as before.

use crate::shown::Shown;
use scrollback_test_support::script;

/// The causes, in the order of the events: `seq projection: cause`.
#[track_caller]
fn check(script: &str, expected: &[&str]) {
    let shown = Shown::of(&script::parse(script).unwrap().recorded());
    let causes = shown.failures.iter();
    let causes = causes.map(|f| format!("{} {}: {}", f.seq, f.projection, f.cause));
    assert_eq!(causes.collect::<Vec<_>>(), expected);
}

#[test]
fn a_delta_for_a_message_that_does_not_exist() {
    check("chat c1\n@t1/m1 text \"secret\"", &["2 messages: the message does not exist"]);
}

#[test]
fn an_event_of_a_turn_that_has_ended() {
    check(
        "chat c1\nstart t1 m1\ncomplete\ntext \"secret\"\ncancel user",
        &[
            "4 messages: the turn of the message has ended",
            "5 messages: the turn of the message has ended",
            "5 chats: the event's turn is not the chat's open turn",
            "5 search: the message is a document already",
        ],
    );
}

#[test]
fn an_event_of_another_turn() {
    check(
        "chat c1\nstart t1 m1\n@t2/m1 text \"secret\"\n@t2/m1 usage {\"input_tokens\":1}",
        &[
            "3 messages: the message belongs to another turn",
            "4 messages: the message belongs to another turn",
            "4 chats: the event's turn is not the chat's open turn",
        ],
    );
}

#[test]
fn a_turn_in_a_users_message() {
    check(
        "chat c1\nuser m1 \"hi\"\n@t1/m1 text \"secret\"",
        &["3 messages: the message is a user's and takes no events of a turn"],
    );
}

#[test]
fn what_exists_already() {
    check(
        "chat c1\nuser m1 \"hi\"\nuser m1 \"hi\"\nstart t1 m2\nstart t2 m2\nchat c1",
        &[
            "3 messages: the message exists already",
            "3 search: the message is a document already",
            "5 messages: the message exists already",
            "5 chats: the chat has an open turn already",
            "6 chats: the chat exists already",
        ],
    );
}

#[test]
fn what_is_not_there() {
    check(
        concat!(
            "chat c1\n",
            "queue_edited {\"queued_message_id\":\"q1\",\"content\":\"secret\"}\n",
            "permission_resolved {\"request_id\":\"r1\",\"outcome\":\"denied\"}\n",
            "schedule_removed {\"schedule_id\":\"s1\"}\n",
        ),
        &[
            "2 queue: the message is not in the queue",
            "3 requests: the request is not pending",
            "4 schedules: the schedule does not exist",
        ],
    );
}

#[test]
fn an_item_that_is_there_already() {
    check(
        concat!(
            "chat c1\nstart t1 m1\n",
            "queue q1 \"a\"\nqueue q1 \"b\"\n",
            "elicitation_request {\"request_id\":\"r1\",\"message\":\"secret\"}\n",
            "elicitation_request {\"request_id\":\"r1\",\"message\":\"secret\"}\n",
            r#"schedule_created {"schedule_id":"s1","timing":{"every_ms":1},"prompt":"p"}"#,
            "\n",
            r#"schedule_created {"schedule_id":"s1","timing":{"every_ms":1},"prompt":"p"}"#,
            "\n",
        ),
        &[
            "4 queue: the message is in the queue already",
            "6 requests: the request is pending already",
            "8 schedules: the schedule exists already",
        ],
    );
}

#[test]
fn a_chat_that_was_never_created() {
    // As after its first events were erased while the rest was not yet.
    check(
        "chat c1\nuser m1 \"hi\"\nerase\nuser m2 \"secret\"",
        &["3 chats: the chat does not exist"],
    );
}
