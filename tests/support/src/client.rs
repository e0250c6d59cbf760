//! A client of the HTTP interface as the contract describes it: thin, and strict where it helps.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use scrollback_schema::{Event, wire};
use serde_json::{Value, json};

/// Speaks with one server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// An answer, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The media type, without its parameters.
    pub media_type: String,
    /// The body; text that is no JSON is a JSON string.
    pub body: Value,
}

impl Answer {
    /// The body of an answer with the expected status.
    ///
    /// # Panics
    ///
    /// If the status is another one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// The stable code of a refusal with the expected status.
    ///
    /// # Panics
    ///
    /// If it is no problem document, or the status is another one.
    #[track_caller]
    pub fn problem(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.media_type, "application/problem+json", "{}", self.body);
        assert!(self.body["retryable"].is_boolean(), "{}", self.body);
        self.body["code"].as_str().expect("a problem has a code").to_owned()
    }
}

/// An external turn that was started.
#[derive(Debug, Clone)]
pub struct ExternalTurn {
    /// The chat.
    pub chat: String,
    /// The turn.
    pub turn: String,
    /// The message that it produces.
    pub message: String,
    /// The user's message.
    pub user_message: String,
    /// The lease's token.
    pub token: String,
    /// A reader that starts here sees the whole turn.
    pub resume_after: u64,
    /// The producer's number of its next event.
    pub next_number: u64,
}

impl ExternalTurn {
    /// The turn that an answer to its start tells of.
    ///
    /// # Panics
    ///
    /// If the answer is not the contract's.
    pub fn of_answer(answer: &Value) -> ExternalTurn {
        let text = |value: &Value| value.as_str().expect("an id is a text").to_owned();
        ExternalTurn {
            chat: text(&answer["chat_id"]),
            turn: text(&answer["turn_id"]),
            message: text(&answer["message_id"]),
            user_message: text(&answer["user_message_id"]),
            token: text(&answer["lease"]["token"]),
            resume_after: answer["resume_after_seq"].as_u64().expect("a seq"),
            next_number: 1,
        }
    }
}

impl Client {
    /// A client of the server at `base`, for example `http://127.0.0.1:7878`.
    ///
    /// # Panics
    ///
    /// If the client cannot be made.
    pub fn new(base: &str) -> Client {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            .build()
            .expect("a client without options can be made");
        Client { http, base: base.to_owned() }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// A request to be filled in by the caller.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// Sends a request; an error means that no whole answer came.
    ///
    /// # Errors
    ///
    /// [`reqwest::Error`].
    pub async fn try_send(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let status = response.status().as_u16();
        let media_type = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .unwrap_or_default()
            .to_owned();
        let bytes = response.bytes().await?;
        let as_text = || Value::String(String::from_utf8_lossy(&bytes).into_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| as_text());
        Ok(Answer { status, media_type, body })
    }

    /// Sends a request that is answered.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub async fn send(request: RequestBuilder) -> Answer {
        Client::try_send(request).await.expect("the server answers")
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        Client::send(self.request(Method::GET, path)).await
    }

    /// `POST` of a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Client::send(self.request(Method::POST, path).json(body)).await
    }

    /// `POST` of a JSON body with an idempotency key.
    pub async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).header("idempotency-key", key);
        Client::send(request.json(body)).await
    }

    /// `PATCH` of a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        Client::send(self.request(Method::PATCH, path).json(body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        Client::send(self.request(Method::DELETE, path)).await
    }

    /// Makes a chat with this id.
    pub async fn create_chat(&self, chat: &str) {
        self.post("/v1/chats", &json!({ "chat_id": chat })).await.expect(201);
    }

    /// Starts a turn that this client produces.
    pub async fn start_external_turn(&self, chat: &str, text: &str) -> ExternalTurn {
        self.start_leased_turn(chat, &json!({ "text": text, "provider": "external" })).await
    }

    /// Starts a turn that this client produces, with a body of the caller's.
    ///
    /// # Panics
    ///
    /// If the answer is not the contract's.
    pub async fn start_leased_turn(&self, chat: &str, body: &Value) -> ExternalTurn {
        let answer = self.post(&format!("/v1/chats/{chat}/turns"), body).await.expect(202);
        ExternalTurn::of_answer(&answer)
    }

    /// The request that appends events to a turn, numbered from `first_number`.
    pub fn append_request(
        &self,
        turn: &ExternalTurn,
        first_number: u64,
        events: &[Event],
    ) -> RequestBuilder {
        let body = json!({
            "lease": turn.token,
            "first_number": first_number,
            "events": events.iter().map(wire_event).collect::<Vec<Value>>(),
        });
        self.request(Method::POST, &format!("/v1/chats/{}/events", turn.chat)).json(&body)
    }

    /// Appends events to a turn and counts them; returns the first and the last seq.
    ///
    /// # Panics
    ///
    /// If the server refuses them.
    pub async fn append(&self, turn: &mut ExternalTurn, events: &[Event]) -> (u64, u64) {
        let request = self.append_request(turn, turn.next_number, events);
        let answer = Client::send(request).await.expect(200);
        turn.next_number += events.len() as u64;
        let seq = |name: &str| answer[name].as_u64().expect("a seq");
        (seq("first_seq"), seq("last_seq"))
    }

    /// The seq of the last committed event, as the chat's status says.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub async fn head(&self, chat: &str) -> u64 {
        let status = self.get(&format!("/v1/chats/{chat}/status")).await.expect(200);
        status["head_seq"].as_u64().expect("a seq")
    }
}

/// An event as a producer sends it: `{kind, payload}`.
///
/// # Panics
///
/// If the wire form is no JSON.
pub fn wire_event(event: &Event) -> Value {
    let mut payload = Vec::new();
    wire::write_payload(&mut payload, event);
    let payload: Value = serde_json::from_slice(&payload).expect("the wire form is JSON");
    json!({ "kind": event.kind().name(), "payload": payload })
}
