//! What an endpoint's refusal means: a status and an error object in, a typed failure out. Pure.
//!
//! An endpoint's own message may quote the conversation or the key, so it is looked into and never
//! passed on. What is passed on are the status and the words of its `type`, `code` and `param`.

use scrollback_schema::ErrorCode;
use serde_json::Value;

/// An error object, as far as anybody agrees on one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::provider) struct Refusal {
    /// The HTTP status, or the one that the object names.
    pub(in crate::provider) status: Option<u16>,
    /// Words such as `rate_limit_exceeded`, in lower case.
    words: Vec<String>,
    /// The message, in lower case.
    message: String,
}

/// What it means for the turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) struct Meaning {
    /// The code of the failure.
    pub(in crate::provider) code: ErrorCode,
    /// Whether the same turn may succeed later.
    pub(in crate::provider) retryable: bool,
    /// What the endpoint did, as the rest of a sentence that begins with its name.
    pub(in crate::provider) did: &'static str,
}

impl Refusal {
    /// Reads a body; one that is no JSON says nothing but the status.
    pub(in crate::provider) fn of_body(status: u16, body: &[u8]) -> Refusal {
        let object = serde_json::from_slice(body).unwrap_or_default();
        Refusal { status: Some(status), ..Refusal::of_value(&object) }
    }

    /// Reads an error object, or what contains one: `{"error": {…}}`, `{"error": "…"}`,
    /// `{"detail": …}`, `{"message": …, "type": …}`, or one of these in an array.
    pub(in crate::provider) fn of_value(value: &Value) -> Refusal {
        let value = value.get(0).unwrap_or(value);
        let error = match &value["error"] {
            Value::Null if !value["detail"].is_null() => &value["detail"],
            Value::Null => value,
            error => error,
        };
        let mut refusal = Refusal::default();
        let inner = &error["innererror"];
        for word in
            [&error["type"], &error["code"], &error["status"], &error["param"], &inner["code"]]
        {
            match word {
                Value::String(word) if is_word(word) => refusal.words.push(word.to_lowercase()),
                Value::Number(_) => {}
                _ => continue,
            }
            let number = word.as_u64().or_else(|| word.as_str()?.parse().ok());
            let status = number.and_then(|n| u16::try_from(n).ok());
            refusal.status = refusal.status.or(status.filter(|n| (400..600).contains(n)));
        }
        let message = error.as_str().or_else(|| error["message"].as_str());
        refusal.message = match message {
            Some(message) => message.to_lowercase(),
            // Validation errors come as lists and objects of many shapes.
            None => error.to_string().to_lowercase(),
        };
        refusal
    }

    /// What it means.
    pub(in crate::provider) fn meaning(&self) -> Meaning {
        let Refusal { status, .. } = *self;
        let known = self.by_word(WORDS).or_else(|| self.by_message());
        let by_status = || status.map(by_status);
        // An error within a stream has no status, and nearly always the model's server made it.
        known.or_else(by_status).or_else(|| self.by_word(LATE_WORDS)).unwrap_or(UNAVAILABLE)
    }

    /// The status and the words, for the end of a sentence; words that `is_secret` are left out.
    pub(in crate::provider) fn details(&self, is_secret: impl Fn(&str) -> bool) -> String {
        let status = self.status.map(|status| format!("HTTP {status}"));
        let words = self.words.iter().filter(|word| !is_secret(word)).cloned();
        let details: Vec<String> = status.into_iter().chain(words).collect();
        if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) }
    }

    fn by_word(&self, table: &[(&[&str], Meaning)]) -> Option<Meaning> {
        let has = |words: &[&str]| self.words.iter().any(|word| words.contains(&word.as_str()));
        table.iter().find(|(words, _)| has(words)).map(|(_, meaning)| *meaning)
    }

    fn by_message(&self) -> Option<Meaning> {
        let says = |texts: &[&str]| texts.iter().any(|text| self.message.contains(text));
        // Who is asked to slow down is not told what is wrong with the conversation.
        if !matches!(self.status, None | Some(400 | 403 | 404 | 413 | 422 | 500)) {
            return None;
        }
        if says(OVERFLOW_TEXTS) {
            return Some(OVERFLOW);
        }
        if says(&["content management policy", "content policy", "content filter", "moderation"]) {
            return Some(REFUSED);
        }
        let unknown =
            ["not found", "not exist", "unknown model", "invalid model", "not a valid model"];
        (says(&["model"]) && says(&unknown)).then_some(MODEL)
    }
}

/// Words that mean the same whatever the status. The first row that fits stands: some endpoints
/// send a limit on tokens a minute as a request that is too large.
const WORDS: &[(&[&str], Meaning)] = &[
    (&["insufficient_quota", "billing_error", "insufficient_balance"], NO_CREDIT),
    (&["rate_limit_exceeded", "rate_limit_error", "resource_exhausted"], RATE_LIMIT),
    (&["context_length_exceeded", "exceed_context_size_error", "request_too_large"], OVERFLOW),
    (&["content_filter", "content_policy_violation", "responsibleaipolicyviolation"], REFUSED),
    (&["authentication_error", "invalid_api_key", "permission_error", "unauthenticated"], AUTH),
    (&["model_not_found", "invalid_model", "model_not_exist", "unknown_model"], MODEL),
];

/// Words that a status says better, where there is one.
const LATE_WORDS: &[(&[&str], Meaning)] =
    &[(&["invalid_request_error"], SETUP), (&["timeout_error"], TIMEOUT)];

/// How OpenAI, vLLM, llama.cpp, Anthropic, Mistral, Gemini and others say it, in lower case.
const OVERFLOW_TEXTS: &[&str] = &[
    "context length",
    "context window",
    "context size",
    "context limit",
    "maximum context",
    "maximum model length",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input token count",
    "reduce the length of the",
];

const fn meaning(code: ErrorCode, did: &'static str) -> Meaning {
    Meaning { code, retryable: code.is_retryable(), did }
}

const AUTH: Meaning = meaning(ErrorCode::ProviderAuth, "refused the key");
const MODEL: Meaning = meaning(ErrorCode::ProviderSetup, "does not know the model");
const OVERFLOW: Meaning =
    meaning(ErrorCode::ContextOverflow, "says that the conversation is longer than its window");
const RATE_LIMIT: Meaning = meaning(ErrorCode::ProviderRateLimit, "asks to come back later");
const NO_CREDIT: Meaning = Meaning {
    retryable: false,
    ..meaning(ErrorCode::ProviderRateLimit, "says that the account's quota is used up")
};
const REFUSED: Meaning = meaning(ErrorCode::ProviderRefused, "refused the content");
const TIMEOUT: Meaning = meaning(ErrorCode::ProviderTimeout, "gave up waiting for its model");
const UNAVAILABLE: Meaning = meaning(ErrorCode::ProviderUnavailable, "failed on its own side");
const NOT_THERE: Meaning =
    meaning(ErrorCode::ProviderSetup, "serves nothing under this path; check base_url");
const REDIRECT: Meaning =
    meaning(ErrorCode::ProviderSetup, "redirects to another address; set base_url to that one");
const SETUP: Meaning = meaning(ErrorCode::ProviderSetup, "refused the request");
const STRANGE: Meaning = meaning(ErrorCode::ProviderProtocol, "answered with a strange status");

fn by_status(status: u16) -> Meaning {
    match status {
        401 | 403 => AUTH,
        402 => NO_CREDIT,
        404 => NOT_THERE,
        413 => OVERFLOW,
        429 => RATE_LIMIT,
        408 | 504 | 524 => TIMEOUT,
        300..=399 => REDIRECT,
        400..=499 => SETUP,
        500..=599 => UNAVAILABLE,
        _ => STRANGE,
    }
}

/// Whether a text is an identifier and no sentence.
fn is_word(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_mean_what_the_providers_say() {
        let cases = include_str!("refusal_cases.txt").lines().filter(|line| !line.starts_with('#'));
        for case in cases {
            let mut parts = case.splitn(4, ' ');
            let mut part = || parts.next().unwrap_or_default();
            let (status, code, retryable, body) = (part(), part(), part(), part());
            let refusal = match status {
                "200" => Refusal::of_value(&serde_json::from_str(body).unwrap()),
                status => Refusal::of_body(status.parse().unwrap(), body.as_bytes()),
            };
            let meaning = refusal.meaning();
            let found = format!("{} {}", meaning.code.name(), meaning.retryable);
            assert_eq!(found, format!("{code} {retryable}"), "{case}");
        }
    }

    #[test]
    fn details_are_words_and_no_secrets() {
        let error = serde_json::json!({
            "message": "sk-hush said: hello", "type": "sk-hush",
            "code": "not a word", "param": "messages[3]",
        });
        let refusal = Refusal::of_body(400, error.to_string().as_bytes());
        assert_eq!(refusal.details(|word| word == "sk-hush"), " (HTTP 400, messages[3])");
        assert_eq!(Refusal::default().details(|_| false), "");
    }
}
