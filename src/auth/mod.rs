//! Who calls, and what it may see: principals, and the credentials that prove one.
//!
//! Nothing here knows of routes or sockets. `api_key` and `jwt` turn what a client sends into a
//! [`Principal`], `ticket` hands one on to a client that cannot send headers; where it is asked for
//! and what it is refused is `http::gate`'s. No type of this module shows a secret or its hash.

mod api_key;
mod jwt;
mod principal;
mod ticket;

pub use api_key::{ApiKey, KeyHash, KeyHashError};
pub use jwt::JwtError;
pub use principal::{Principal, Role};
pub use ticket::TICKET_MS;

use std::sync::Arc;

use scrollback_schema::{ChatId, Millis};

use crate::config::AuthConfig;
use jwt::Jwt;
use ticket::Tickets;

/// What proves who somebody is; without any, everybody who reaches the server is its operator.
#[derive(Debug, Default)]
pub struct Authenticator {
    keys: Vec<(KeyHash, Arc<Principal>)>,
    jwt: Option<Jwt>,
    tickets: Tickets,
}

/// Nobody is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// It is none that this server knows.
    #[error("the token is not one of this server's")]
    Unknown,
    /// It was one.
    #[error("the token has expired")]
    Expired,
}

impl Authenticator {
    /// Takes the configured credentials; `secret` is asked for secrets, by name.
    ///
    /// # Errors
    ///
    /// [`JwtError`], every variant.
    pub fn build(
        config: &AuthConfig,
        secret: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Authenticator, JwtError> {
        let principal = |name: &str, role: &Role| Arc::new(Principal::of_key(name, role.clone()));
        let keys = config.keys.iter();
        let keys = keys.map(|key| (key.hash, principal(&key.name, &key.role))).collect();
        let jwt = config.jwt.as_ref().map(|jwt| Jwt::build(jwt, secret)).transpose()?;
        Ok(Authenticator { keys, jwt, tickets: Tickets::default() })
    }

    /// Whether there is nothing that could prove anybody.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty() && self.jwt.is_none()
    }

    /// Who sends this token at an instant.
    ///
    /// # Errors
    ///
    /// [`Unproven`].
    pub fn prove(&self, token: &str, now: Millis) -> Result<Arc<Principal>, Unproven> {
        let hash = KeyHash::of(token);
        // All of them are compared, in the same time whichever it is.
        let mut found = None;
        for (known, principal) in &self.keys {
            if known.is_same(&hash) {
                found = Some(principal);
            }
        }
        match (found, &self.jwt) {
            (Some(principal), _) => Ok(Arc::clone(principal)),
            (None, Some(jwt)) => jwt.prove(token, now).map(Arc::new),
            (None, None) => Err(Unproven::Unknown),
        }
    }

    /// A ticket for the stream of a chat, or of all chats, and until when it opens it.
    pub fn issue_ticket(
        &self,
        principal: &Principal,
        chat: Option<&ChatId>,
        now: Millis,
    ) -> (String, Millis) {
        let until = now.plus_ms(TICKET_MS);
        let until = principal.expires_at().map_or(until, |at| at.min(until));
        (self.tickets.issue(principal, chat, until), until)
    }

    /// Who sends a ticket for a stream.
    ///
    /// # Errors
    ///
    /// [`Unproven`], also if it is one for another stream.
    pub fn prove_ticket(
        &self,
        ticket: &str,
        chat: Option<&ChatId>,
        now: Millis,
    ) -> Result<Arc<Principal>, Unproven> {
        self.tickets.prove(ticket, chat, now).map(Arc::new)
    }
}
