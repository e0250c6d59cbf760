//! What an agent is told: the user's message, and the conversation before it if it has none. Pure.

use scrollback_schema::event::Attachment;
use scrollback_schema::limits::AGENT_CONTEXT_BYTES_MAX;
use serde_json::{Value, json};

use crate::provider::{Past, Role};

/// Whether the agent remembers the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// Its session was resumed.
    Kept,
    /// Its session is new.
    None,
}

/// The blocks of a prompt: what was said before (for an agent that does not know), the user's last
/// message, its files as links.
pub(super) fn blocks(history: &[Past], memory: Memory) -> Vec<Value> {
    let Some((asked, before)) = history.split_last() else { return Vec::new() };
    let mut blocks = Vec::new();
    if memory == Memory::None
        && let Some(text) = transcript(before)
    {
        blocks.push(json!({"type": "text", "text": text}));
    }
    if !asked.text.is_empty() || asked.attachments.is_empty() {
        blocks.push(json!({"type": "text", "text": asked.text}));
    }
    blocks.extend(asked.attachments.iter().map(link));
    blocks
}

fn link(file: &Attachment) -> Value {
    json!({
        "type": "resource_link",
        "uri": file.url,
        "name": file.name,
        "mimeType": file.media_type,
        "size": file.size_bytes,
    })
}

/// The conversation so far as one text, the latest messages that fit; none if there is none.
fn transcript(before: &[Past]) -> Option<String> {
    let said: Vec<&Past> = before.iter().filter(|past| !past.text.trim().is_empty()).collect();
    if said.is_empty() {
        return None;
    }
    let mut n_bytes = 0;
    let fits = said.iter().rev().take_while(|past| {
        n_bytes += past.text.len();
        n_bytes <= AGENT_CONTEXT_BYTES_MAX
    });
    let n_told = fits.count();
    let mut text = "The conversation so far, for you to go on from".to_owned();
    if n_told < said.len() {
        text.push_str("; its beginning is left out");
    }
    text.push_str(":\n");
    for past in &said[said.len() - n_told..] {
        let who = match past.role {
            Role::User => "User",
            Role::Assistant => "Assistant",
        };
        text.push_str(&format!("\n{who}: {}\n", past.text));
    }
    text.push_str("\nWhat follows is the user's new message.");
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(role: Role, text: &str) -> Past {
        Past { role, text: text.to_owned(), attachments: Vec::new() }
    }

    #[test]
    fn a_new_session_is_told_what_was_said_and_a_resumed_one_is_not() {
        let history = [
            past(Role::User, "one"),
            past(Role::Assistant, "two"),
            past(Role::Assistant, " "),
            past(Role::User, "three"),
        ];
        let [before, asked] = &blocks(&history, Memory::None)[..] else { panic!("two blocks") };
        assert_eq!(
            before["text"],
            "The conversation so far, for you to go on from:\n\nUser: one\n\nAssistant: two\n\n\
             What follows is the user's new message."
        );
        assert_eq!(asked["text"], "three");
        let alone = std::slice::from_ref(asked);
        assert_eq!(blocks(&history, Memory::Kept), alone);
        assert_eq!(blocks(&history[3..], Memory::None), alone);
    }

    #[test]
    fn of_a_long_conversation_the_latest_part_is_told() {
        let long = "x".repeat(AGENT_CONTEXT_BYTES_MAX - 2);
        let history = [past(Role::User, "old"), past(Role::User, &long), past(Role::User, "new")];
        let told = blocks(&history, Memory::None)[0]["text"].as_str().unwrap().to_owned();
        assert!(told.contains("its beginning is left out") && !told.contains("old"));
        let long = &long[1..];
        let history = [past(Role::User, long), past(Role::User, "old"), past(Role::User, "new")];
        assert!(!blocks(&history, Memory::None)[0]["text"].as_str().unwrap().contains("left out"));
    }

    #[test]
    fn files_are_links() {
        let file = Attachment {
            id: "f".to_owned(),
            name: "a.png".to_owned(),
            media_type: "image/png".to_owned(),
            url: "https://h/a.png".to_owned(),
            size_bytes: 9,
        };
        let asked = Past { role: Role::User, text: String::new(), attachments: vec![file] };
        let link = json!({"type": "resource_link", "uri": "https://h/a.png", "name": "a.png",
            "mimeType": "image/png", "size": 9});
        assert_eq!(blocks(&[asked], Memory::None), [link]);
    }
}
