//! The body of a Messages request.

use serde_json::{Map, Value, json};

use crate::provider::conversation::{Picture, turns_of};
use crate::provider::endpoint::Settings;
use crate::provider::{Past, Role};

/// Fields that the provider sets itself.
pub(super) const OWN_FIELDS: &[&str] = &["model", "messages", "system", "stream"];

/// The API wants a bound on the answer: one that all of its models allow.
const MAX_TOKENS_DEFAULT: u64 = 8_192;

/// A request for a streamed answer.
pub(super) fn body(settings: &Settings, model: &str, history: &[Past]) -> Value {
    let mut body: Map<String, Value> = settings.request.clone();
    body.entry("max_tokens").or_insert_with(|| MAX_TOKENS_DEFAULT.into());
    body.insert("model".to_owned(), model.into());
    body.insert("stream".to_owned(), true.into());
    if let Some(prompt) = &settings.system_prompt {
        body.insert("system".to_owned(), prompt.as_str().into());
    }
    let turns = turns_of(history, settings.send_images).into_iter().map(|turn| {
        let role = match turn.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        json!({ "role": role, "content": content(&turn.text, &turn.pictures) })
    });
    body.insert("messages".to_owned(), turns.collect());
    body.into()
}

fn content(text: &str, pictures: &[Picture]) -> Value {
    if pictures.is_empty() {
        return text.into();
    }
    let images = pictures.iter().map(|picture| {
        let source = match picture.url.split_once(";base64,") {
            Some((start, data)) if start.starts_with("data:") => json!({
                "type": "base64", "media_type": picture.media_type, "data": data,
            }),
            _ => json!({ "type": "url", "url": picture.url }),
        };
        json!({ "type": "image", "source": source })
    });
    let words = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
    images.chain(words).collect()
}
