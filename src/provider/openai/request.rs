//! The body of a chat-completions request.

use serde_json::{Map, Value, json};

use crate::provider::conversation::{Picture, turns_of};
use crate::provider::endpoint::Settings;
use crate::provider::{Past, Role};

/// Fields that the provider sets itself.
pub(super) const OWN_FIELDS: &[&str] = &["model", "messages", "stream", "stream_options", "n"];

/// A request for a streamed answer.
pub(super) fn body(settings: &Settings, model: &str, history: &[Past]) -> Value {
    let mut body: Map<String, Value> = settings.request.clone();
    body.insert("model".to_owned(), model.into());
    body.insert("messages".to_owned(), messages(settings, history).into());
    body.insert("stream".to_owned(), true.into());
    if settings.include_usage {
        body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
    }
    body.into()
}

fn messages(settings: &Settings, history: &[Past]) -> Vec<Value> {
    let system = settings.system_prompt.iter();
    let system = system.map(|prompt| json!({ "role": "system", "content": prompt }));
    let turns = turns_of(history, settings.send_images).into_iter().map(|turn| {
        let role = match turn.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        json!({ "role": role, "content": content(&turn.text, &turn.pictures) })
    });
    system.chain(turns).collect()
}

/// Text alone stays a text: many servers know no parts.
fn content(text: &str, pictures: &[Picture]) -> Value {
    if pictures.is_empty() {
        return text.into();
    }
    let words = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
    let images = pictures
        .iter()
        .map(|picture| json!({ "type": "image_url", "image_url": { "url": picture.url } }));
    words.into_iter().chain(images).collect()
}
