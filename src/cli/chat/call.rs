//! Calls of a server that are made until they are answered: each has a key, so that one whose
//! answer was lost is not done twice.

use std::time::Duration;

use anyhow::bail;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::cli::output::say;
use crate::cli::stream::{cannot_connect, root_cause};
use crate::clock::{Clock, monotonic};

/// How long a call is tried again after its connection broke.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pauses between two tries: the first, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// What a server says instead of doing what it is asked to.
#[derive(Debug, thiserror::Error)]
#[error("{detail}{hint}")]
pub(super) struct Refused {
    /// The stable code of the problem.
    pub(super) code: String,
    detail: String,
    hint: &'static str,
}

/// A server, as this command calls it.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    client: reqwest::Client,
    server: String,
    /// Whether it has answered before: then it is waited for.
    pub(super) has_answered: bool,
}

impl Calls {
    pub(super) fn new(client: reqwest::Client, server: String) -> Calls {
        Calls { client, server, has_answered: false }
    }

    /// The address of a path.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    /// The answer to a call.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have been done.
    pub(super) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let (url, key) = (self.url(path), Clock::System.fresh_id());
        let (started, mut pause) = (monotonic(), PAUSE_FIRST);
        loop {
            let request = self.client.request(method.clone(), &url).json(body);
            let why = match request.header("idempotency-key", &key).send().await {
                Err(error) if error.is_connect() && !self.has_answered => {
                    bail!(cannot_connect(&self.server, &error))
                }
                Err(error) => root_cause(&error),
                Ok(response) => {
                    self.has_answered = true;
                    let status = response.status();
                    match response.json::<Value>().await {
                        Ok(answer) if status.is_success() => return Ok(answer),
                        Ok(problem) if is_final(status, &problem) => {
                            return Err(refused(status, &problem).into());
                        }
                        Ok(problem) => refused(status, &problem).to_string(),
                        Err(error) => root_cause(&error),
                    }
                }
            };
            if started.elapsed() > PATIENCE {
                bail!("{} does not answer: {why}", self.server);
            }
            say(&format!("{why}; again in {} ms", pause.as_millis()));
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }
}

/// Whether the same call would be answered in the same way.
fn is_final(status: StatusCode, problem: &Value) -> bool {
    !status.is_server_error() || problem["retryable"] == false
}

fn refused(status: StatusCode, problem: &Value) -> Refused {
    let text = |name: &str| problem[name].as_str().map(str::to_owned);
    let code = text("code").unwrap_or_default();
    let detail = text("detail").or_else(|| text("title"));
    let mut detail = detail.unwrap_or_else(|| format!("the server answers {status}"));
    if let Some(configured) = problem["configured"].as_array() {
        let names: Vec<&str> = configured.iter().filter_map(Value::as_str).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        detail.push_str(&format!("; configured are: {names}"));
    }
    let hint = match code.as_str() {
        "chat_busy" => "; wait for its turn to end, or send with --queue",
        "chat_not_found" => "; leave --chat out to begin one",
        _ => "",
    };
    Refused { code, detail, hint }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let said = |problem: Value| refused(StatusCode::CONFLICT, &problem).to_string();
        let busy = json!({ "code": "chat_busy", "detail": "turn t is open" });
        assert_eq!(said(busy), "turn t is open; wait for its turn to end, or send with --queue");
        let unknown = json!({ "detail": "no such provider", "configured": ["a", "b"] });
        assert_eq!(said(unknown), "no such provider; configured are: a, b");
        assert_eq!(said(Value::Null), "the server answers 409 Conflict");
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        let retryable = json!({ "retryable": true });
        assert!(!is_final(StatusCode::SERVICE_UNAVAILABLE, &retryable));
        assert!(is_final(StatusCode::SERVICE_UNAVAILABLE, &json!({ "retryable": false })));
        assert!(is_final(StatusCode::CONFLICT, &retryable));
    }
}
