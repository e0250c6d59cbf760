//! The key of an endpoint: where it comes from, and never what it is.

use std::fmt;
use std::path::PathBuf;

use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use scrollback_schema::ErrorCode;
use scrollback_schema::event::Phase;
use tokio::io::AsyncReadExt;

use super::settings::KeySource;
use crate::provider::{ProviderError, Secrets};

/// Bytes of a file with a key: a signed token, not a document.
const KEY_FILE_BYTES_MAX: u64 = 64 << 10;

/// A key; its text is in no output of this program.
pub(super) struct Secret(String);

impl Secret {
    fn new(text: &str) -> Option<Secret> {
        let text = text.trim();
        (!text.is_empty()).then(|| Secret(text.to_owned()))
    }

    /// Whether `word` would give away a part of the key that is worth having.
    pub(super) fn is_in(&self, word: &str) -> bool {
        word.contains(&self.0) || word.len() >= 4 && self.0.contains(word)
    }

    /// The header that carries it.
    fn header(&self, name: &HeaderName) -> Option<HeaderValue> {
        let text = match *name == AUTHORIZATION {
            true => format!("Bearer {}", self.0),
            false => self.0.clone(),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A key's place, and what was found there when the server started.
#[derive(Debug)]
pub(super) enum Key {
    /// The endpoint wants none.
    None,
    /// What the variable holds; variables of a process do not change.
    Variable { name: String, secret: Option<Secret> },
    /// Read for every turn.
    File(PathBuf),
}

/// A key in use.
#[derive(Debug)]
pub(super) struct Opened {
    /// The key itself, to keep it out of messages.
    pub(super) secret: Option<Secret>,
    /// The header to send.
    pub(super) header: Option<HeaderValue>,
}

impl Key {
    /// Looks the variable up; a missing one is an error of the turns, not of the server's start.
    pub(super) fn find(source: KeySource, secrets: Secrets<'_>) -> Key {
        match source {
            KeySource::Nowhere => Key::None,
            KeySource::File(path) => Key::File(path),
            KeySource::Variable(name) => {
                let secret = secrets(&name).as_deref().and_then(Secret::new);
                Key::Variable { name, secret }
            }
        }
    }

    /// The key, ready to be sent in the header `name`.
    ///
    /// # Errors
    ///
    /// `provider_auth`, and what to set.
    pub(super) async fn open(&self, header: &HeaderName) -> Result<Opened, ProviderError> {
        let secret = match self {
            Key::None => return Ok(Opened { secret: None, header: None }),
            Key::Variable { name, secret: None } => {
                return Err(refused(format!("no key: set the environment variable {name}")));
            }
            Key::Variable { secret: Some(secret), .. } => Secret(secret.0.clone()),
            Key::File(path) => {
                let text = read(path).await.map_err(|error| {
                    refused(format!("no key: {} cannot be read: {error}", path.display()))
                })?;
                let empty = || refused(format!("no key: {} is empty", path.display()));
                Secret::new(&text).ok_or_else(empty)?
            }
        };
        let Some(value) = secret.header(header) else {
            return Err(refused(format!("the key of {} is no header's value", self.place())));
        };
        Ok(Opened { secret: Some(secret), header: Some(value) })
    }

    /// Where to look if the endpoint refuses it.
    pub(super) fn place(&self) -> String {
        match self {
            Key::None => "api_key_env, which is not configured".to_owned(),
            Key::Variable { name, .. } => format!("the environment variable {name}"),
            Key::File(path) => format!("the file {}", path.display()),
        }
    }
}

fn refused(message: String) -> ProviderError {
    ProviderError::new(ErrorCode::ProviderAuth, Phase::Setup, message)
}

async fn read(path: &PathBuf) -> std::io::Result<String> {
    let mut text = String::new();
    let file = tokio::fs::File::open(path).await?;
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).await?;
    Ok(text)
}
