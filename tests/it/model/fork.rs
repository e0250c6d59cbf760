//! The model's forks: a prefix under other names, with what was open closed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::history::{Proto, is_terminal};
use super::world::{Expected, World};

impl World {
    pub(super) fn fork(&mut self, source: &str, body: &Value) -> Result<Expected, Expected> {
        let fork = body["chat_id"].as_str().unwrap();
        let room = self.chat(source)?.clone();
        let at_seq = body["at_seq"].as_u64().unwrap_or(self.head);
        if at_seq > self.head {
            return Err(Expected::problem(416, "position_ahead"));
        }
        if at_seq < room.created() {
            return Err(Expected::problem(422, "fork_too_early"));
        }
        match self.chats.get(fork) {
            Some(taken) if taken.is_deleted() => {
                return Err(Expected::problem(410, "chat_deleted"));
            }
            Some(_) => return Err(Expected::problem(409, "chat_exists")),
            None => {}
        }
        let prefix = room.at_seq(at_seq);
        let mut names = BTreeMap::new();
        let mut stored: Vec<Proto> = Vec::new();
        for event in &prefix.events {
            let mut copy = event.said.clone();
            copy.chat = fork.to_owned();
            copy.message = copy.message.map(|id| self.renamed(&mut names, id));
            copy.turn = copy.turn.map(|id| self.renamed(&mut names, id));
            for name in ["user_message_id", "assistant_message_id", "turn_id", "prior_turn_id"] {
                if let Some(id) = copy.payload[name].as_str() {
                    copy.payload[name] = json!(self.renamed(&mut names, id.to_owned()));
                }
            }
            if copy.kind == "chat_created" {
                copy.payload["parent_chat_id"] = json!(source);
                copy.payload["forked_at_seq"] = json!(at_seq);
            }
            stored.push(copy);
        }
        if let Some(open) = prefix.open() {
            let start = stored.iter().rev().find(|copy| copy.kind == "stream_started").unwrap();
            debug_assert!(!stored.last().is_some_and(|last| is_terminal(last.kind)), "it is open");
            let took_ms = prefix.events.last().unwrap().at - open.at;
            let payload = json!({
                "status": "interrupted", "reason": "user", "duration_ms": took_ms,
            });
            stored.push(Proto { kind: "cancelled", payload, ..start.clone() });
        }
        let mut waiting: Vec<String> = prefix.queue().into_iter().map(|item| item.id).collect();
        waiting.sort();
        for id in waiting {
            let payload = json!({ "queued_message_id": id });
            stored.push(Proto::of_chat(fork, "queue_removed", payload));
        }
        let answer = json!({
            "chat_id": fork, "seq": self.head + 1, "last_seq": self.head + stored.len() as u64,
            "parent_chat_id": source, "forked_at_seq": at_seq,
        });
        Ok(Expected::ok(201, answer, stored))
    }

    /// The fork's name for what the source calls `id`.
    fn renamed(&mut self, names: &mut BTreeMap<String, String>, id: String) -> String {
        if let Some(name) = names.get(&id) {
            return name.clone();
        }
        let name = self.fresh();
        names.insert(id, name.clone());
        name
    }
}
