//! API keys: made once, shown once, and known to the server by their hash alone.
//!
//! A key is 32 random bytes, so that its SHA-256 can be kept as it is: nobody guesses it, and a
//! salt or a slow hash would protect nothing more.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::clock::random_bytes;

/// What every key begins with, so that a scanner for secrets finds one that was lost.
const PREFIX: &str = "sbk_";

/// A key as its holder sends it; shown by [`ApiKey::reveal`] alone.
pub struct ApiKey(String);

impl ApiKey {
    /// A fresh one.
    pub fn fresh() -> ApiKey {
        ApiKey(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>())))
    }

    /// The text, for the one who asked for a key.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What a configuration knows it by.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0)
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

/// The text is no SHA-256; it is not shown, since it may be a key by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hexadecimal digits; `scrollback token` prints them together with the key")]
pub struct KeyHashError;

impl KeyHash {
    /// The hash of a key's text.
    pub fn of(key: &str) -> KeyHash {
        KeyHash(Sha256::digest(key.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// [`KeyHashError`] if they are anything else.
    pub fn parse(hex: &str) -> Result<KeyHash, KeyHashError> {
        if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(KeyHashError);
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| KeyHashError)?;
        }
        Ok(KeyHash(bytes))
    }

    /// The digits that a configuration has.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Compares in a time that does not depend on where they differ.
    pub fn is_same(&self, other: &KeyHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_hash_and_shows_itself_nowhere() {
        let (key, other) = (ApiKey::fresh(), ApiKey::fresh());
        assert!(key.reveal().starts_with("sbk_") && key.reveal().len() == 4 + 43);
        let hash = KeyHash::parse(&key.hash().hex()).unwrap();
        assert!(hash.is_same(&KeyHash::of(key.reveal())) && !hash.is_same(&other.hash()));
        let shown = format!("{key:?} {hash:?}");
        assert!(!shown.contains(key.reveal()) && !shown.contains(&hash.hex()), "{shown}");
        for text in ["", "abc", key.reveal(), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(KeyHash::parse(text), Err(KeyHashError));
        }
    }
}
