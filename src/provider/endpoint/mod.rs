//! An HTTP endpoint of a model: one client, a key, calls, and their failures as typed errors.
//!
//! What is said over it is left to `openai` and `anthropic`, which share this module: settings,
//! the stream of events ([`sse`], [`saying`]) and what a refusal means ([`refusal`]).
//!
//! Redirects are not followed: they would carry the key to an address nobody configured.

mod failure;
mod key;
mod meter;
mod model;
mod offer;
mod refusal;
mod saying;
mod settings;
mod sse;

pub(super) use failure::in_stream;
pub(super) use meter::{Counted, Meter};
pub(super) use model::{Dialect, Model};
pub(super) use refusal::Refusal;
pub(super) use saying::{Heard, Progress, Reply, saying};
pub(super) use settings::{Habits, Settings};
pub(super) use sse::SseEvent;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName};
use reqwest::{Method, RequestBuilder, Response, Url};
use scrollback_schema::event::Phase;
use scrollback_schema::{ErrorCode, limits};
use serde_json::Value;

use self::failure::{NameNotFound, no_answer, retry_after};
use self::key::{Key, Opened};
use super::{ProviderError, Secrets};
use crate::clock::Clock;

/// How long an idle connection is kept for the next turn: many servers close theirs after 5 s, and
/// a request that crosses the close is lost.
const IDLE_MAX: Duration = Duration::from_secs(4);

/// How long the body of a refusal may take.
const REFUSAL_MAX: Duration = Duration::from_secs(2);

/// How long a check waits for the whole answer.
const CHECK_MAX: Duration = Duration::from_secs(20);

/// Speaks with one endpoint.
pub(super) struct Endpoint {
    client: reqwest::Client,
    base: Url,
    /// Scheme, host and port, for messages.
    place: String,
    key: Key,
    key_header: HeaderName,
    headers: HeaderMap,
    connect_timeout: Duration,
    clock: Clock,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("place", &self.place).finish_non_exhaustive()
    }
}

/// An answer that is no refusal, and what messages about it need.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) asked: Asked,
}

/// Who was asked: names it in messages, and keeps its key out of them.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Scheme, host and port.
    pub(super) place: String,
    secret: Arc<Opened>,
}

impl Asked {
    /// The typed failure for a refusal.
    pub(super) fn refused(&self, refusal: &Refusal, phase: Phase) -> ProviderError {
        let meaning = refusal.meaning();
        let is_secret =
            |word: &str| self.secret.secret.as_ref().is_some_and(|secret| secret.is_in(word));
        let message = format!("{} {}{}", self.place, meaning.did, refusal.details(is_secret));
        let error = ProviderError::new(meaning.code, phase, message);
        ProviderError { retryable: meaning.retryable, ..error }
    }
}

impl Endpoint {
    /// An endpoint as its settings say.
    ///
    /// # Errors
    ///
    /// A sentence, if there is no client with this machine's certificates.
    pub(super) fn new(settings: &Settings, secrets: Secrets<'_>) -> Result<Endpoint, String> {
        let url = &settings.base_url;
        let mut client = reqwest::Client::builder()
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .pool_idle_timeout(IDLE_MAX)
            .dns_resolver(Arc::new(Resolver));
        // A proxy of the environment is for the world outside, whatever NO_PROXY says.
        if is_loopback(url) {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|_| "has no client: this machine's certificates cannot be read".to_owned())?;
        Ok(Endpoint {
            client,
            base: url.clone(),
            place: place_of(url),
            key: Key::find(settings.key.clone(), secrets),
            key_header: settings.key_header.clone(),
            headers: settings.headers.clone(),
            connect_timeout: settings.connect_timeout,
            clock: Clock::System,
        })
    }

    /// Scheme, host and port.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Sends a request whose answer is a stream, and waits for the answer's head.
    ///
    /// # Errors
    ///
    /// In set-up: no key, no connection, or a refusal.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, ProviderError> {
        let request = self
            .client
            .request(Method::POST, self.url(path))
            .header(ACCEPT, "text/event-stream")
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        let answer = self.exchange(request).await?;
        match answer.response.status().as_u16() {
            200 => Ok(answer),
            status => Err(self.refused(status, answer.response, &answer.asked).await),
        }
    }

    /// Fetches the list of models; `None` where the endpoint has no such list.
    ///
    /// # Errors
    ///
    /// In set-up: no key, no connection, a refusal, or no JSON.
    pub(super) async fn models(&self) -> Result<Option<Value>, ProviderError> {
        let request =
            self.client.request(Method::GET, self.url("models")).header(ACCEPT, "application/json");
        let fetch = async {
            let Answer { response, asked } = self.exchange(request).await?;
            let status = response.status().as_u16();
            match status {
                200 => {}
                404 | 405 | 501 => return Ok(None),
                _ => return Err(self.refused(status, response, &asked).await),
            }
            let body = body_of(response, limits::PROVIDER_FRAME_BYTES_MAX).await;
            let list = body.and_then(|body| serde_json::from_slice(&body).ok());
            list.map(Some).ok_or_else(|| {
                let message = format!("{} answered with no JSON; check base_url", self.place);
                ProviderError::new(ErrorCode::ProviderProtocol, Phase::Setup, message)
            })
        };
        self.within_check(fetch).await
    }

    /// Bounds a check in time; turns are bounded by their runner.
    pub(super) async fn within_check<T>(
        &self,
        check: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        tokio::time::timeout(CHECK_MAX, check).await.unwrap_or_else(|_| {
            let message = format!("{} gave no answer within {CHECK_MAX:?}", self.place);
            Err(ProviderError::new(ErrorCode::ProviderTimeout, Phase::Setup, message))
        })
    }

    /// The path of a call goes between the path and the query of the address.
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}/{path}", self.base.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    /// Sends a request with the key, and waits for the head of any answer.
    async fn exchange(&self, request: RequestBuilder) -> Result<Answer, ProviderError> {
        let opened = self.key.open(&self.key_header).await?;
        let mut headers = self.headers.clone();
        if let Some(value) = &opened.header {
            headers.insert(self.key_header.clone(), value.clone());
        }
        let response = request
            .headers(headers)
            .send()
            .await
            .map_err(|error| no_answer(&error, &self.place, self.connect_timeout))?;
        let asked = Asked { place: self.place.clone(), secret: Arc::new(opened) };
        Ok(Answer { response, asked })
    }

    async fn refused(&self, status: u16, response: Response, asked: &Asked) -> ProviderError {
        let wait = retry_after(response.headers(), self.clock.now());
        // Its words are a help, not a need: an endpoint that never ends its refusal refused too.
        let body = body_of(response, limits::PROVIDER_REFUSAL_BYTES_MAX);
        let body = tokio::time::timeout(REFUSAL_MAX, body).await;
        let refusal = Refusal::of_body(status, &body.ok().flatten().unwrap_or_default());
        let mut error = asked.refused(&refusal, Phase::Setup).with_retry_after(wait);
        if error.code == ErrorCode::ProviderAuth {
            error.message = format!("{}; check {}", error.message, self.key.place());
        }
        error
    }
}

/// A body of at most `bytes_max`; `None` if it is longer or cut.
pub(super) async fn body_of(mut response: Response, bytes_max: usize) -> Option<Bytes> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        if body.len() + chunk.len() > bytes_max {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body.into())
}

fn place_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The system's resolver; its failures get a type of their own.
struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let addresses: Vec<SocketAddr> = found.map_err(|_| NameNotFound)?.collect();
            if addresses.is_empty() {
                return Err(NameNotFound.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
