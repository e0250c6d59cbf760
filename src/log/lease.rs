//! Lease tokens: what a producer outside shows to append to its turn.
//!
//! A token is `TURN.EPOCH.MAC`, its MAC an HMAC-SHA-256 under a key that lives in log.db alone. So
//! the log stores no token, a restart forgets none, and an idempotent answer gives it again.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use scrollback_schema::Seq;
use sha2::Sha256;

/// The key of a log's tokens.
pub(crate) struct LeaseKey([u8; 32]);

/// What a token says, its MAC found right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// Seq of the turn's `stream_started`.
    pub(crate) turn: Seq,
    /// The lease's epoch.
    pub(crate) epoch: u64,
}

impl LeaseKey {
    pub(crate) fn new(key: [u8; 32]) -> LeaseKey {
        LeaseKey(key)
    }

    fn mac(&self, chat: Seq, claimed: Claimed) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in [chat.get(), claimed.turn.get(), claimed.epoch] {
            mac.update(&part.to_le_bytes());
        }
        mac
    }

    /// The token of a turn's lease.
    pub(crate) fn token(&self, chat: Seq, claimed: Claimed) -> String {
        let mac = self.mac(chat, claimed).finalize().into_bytes();
        format!("{}.{}.{}", claimed.turn, claimed.epoch, URL_SAFE_NO_PAD.encode(mac))
    }

    /// What a token says, if it is one of this chat's.
    pub(crate) fn read(&self, chat: Seq, token: &str) -> Option<Claimed> {
        let mut parts = token.splitn(3, '.');
        let turn = parts.next()?.parse().ok()?;
        let epoch = parts.next()?.parse().ok()?;
        let mac = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        let claimed = Claimed { turn, epoch };
        self.mac(chat, claimed).verify_slice(&mac).ok()?;
        Some(claimed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_chat_turn_and_key_only() {
        let (key, other) = (LeaseKey::new([1; 32]), LeaseKey::new([2; 32]));
        let chat = Seq::ZERO.next();
        let claimed = Claimed { turn: chat.plus(7), epoch: 3 };
        let token = key.token(chat, claimed);
        assert_eq!(key.read(chat, &token), Some(claimed));
        assert_eq!(key.read(chat.next(), &token), None);
        assert_eq!(other.read(chat, &token), None);
        assert_eq!(key.read(chat, &token.replacen(".3.", ".4.", 1)), None);
        assert_eq!(key.read(chat, "x"), None);
    }
}
