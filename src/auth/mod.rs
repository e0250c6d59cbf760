//! Who calls, and what it may see: principals, and the credentials that prove one.
//!
//! Nothing here knows of routes or sockets. `api_key` and `jwt` turn what a client sends into a
//! [`Principal`], `ticket` hands one on to a client that cannot send headers; where it is asked for
//! and what it is refused is `http::gate`'s. No type of this module shows a secret or its hash.

mod api_key;
mod principal;

pub use api_key::{ApiKey, KeyHash, KeyHashError};
pub use principal::{Principal, Role};

use std::sync::Arc;

use crate::config::AuthConfig;

/// What proves who somebody is; without any, everybody who reaches the server is its operator.
#[derive(Debug, Default)]
pub struct Authenticator {
    keys: Vec<(KeyHash, Arc<Principal>)>,
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

/// Why credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {}

impl Authenticator {
    /// Takes the configured credentials.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`], every variant.
    pub fn build(config: &AuthConfig) -> Result<Authenticator, CredentialsError> {
        let principal = |name: &str, role: &Role| Arc::new(Principal::of_key(name, role.clone()));
        let keys = config.keys.iter();
        let keys = keys.map(|key| (key.hash, principal(&key.name, &key.role))).collect();
        Ok(Authenticator { keys })
    }

    /// Whether there is nothing that could prove anybody.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Who sends this token.
    ///
    /// # Errors
    ///
    /// [`Unproven`].
    pub fn prove(&self, token: &str) -> Result<Arc<Principal>, Unproven> {
        let hash = KeyHash::of(token);
        // All of them are compared, in the same time whichever it is.
        let mut found = None;
        for (known, principal) in &self.keys {
            if known.is_same(&hash) {
                found = Some(principal);
            }
        }
        found.cloned().ok_or(Unproven::Unknown)
    }
}
