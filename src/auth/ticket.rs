//! Stream tickets: for clients that cannot send headers, such as a browser's `EventSource`.
//!
//! A ticket goes into an address, and addresses end up in logs; so it opens one stream alone, and
//! for a minute. Once it has, the stream lives as long as whoever asked for the ticket. It says who
//! that is and is sealed by a key that lives and dies with the process.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use scrollback_schema::{ChatId, Millis};
use serde::{Deserialize, Serialize};

use super::{Principal, Role, Unproven};
use crate::clock::random_bytes;
use crate::log::Owner;

/// How long a ticket opens its stream.
pub const TICKET_MS: i64 = 60_000;

/// What every ticket begins with.
const PREFIX: &str = "sbt_";

/// Makes and reads tickets.
pub(super) struct Tickets(hmac::Key);

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets(..)")
    }
}

impl Default for Tickets {
    fn default() -> Tickets {
        Tickets(hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()))
    }
}

/// What a ticket says.
#[derive(Serialize, Deserialize)]
struct Said {
    name: String,
    /// None for an admin.
    owner: Option<String>,
    chats: Option<BTreeSet<ChatId>>,
    expires_at: Option<i64>,
    /// The chat whose stream it opens; none for the stream of all chats.
    chat: Option<ChatId>,
    until: i64,
}

impl Tickets {
    /// A ticket for the stream of a chat, or of all chats.
    pub(super) fn issue(&self, of: &Principal, chat: Option<&ChatId>, until: Millis) -> String {
        let said = Said {
            name: of.name().to_owned(),
            owner: of.owner().map(|owner| owner.as_str().to_owned()),
            chats: of.chats().map(|chats| (**chats).clone()),
            expires_at: of.expires_at().map(Millis::get),
            chat: chat.cloned(),
            until: until.get(),
        };
        let said = serde_json::to_vec(&said).expect("names and numbers are JSON");
        let seal = hmac::sign(&self.0, &said);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        format!("{PREFIX}{}.{}", encode(&said), encode(seal.as_ref()))
    }

    /// Who a ticket speaks for, if it opens this stream at this instant.
    pub(super) fn prove(
        &self,
        ticket: &str,
        chat: Option<&ChatId>,
        now: Millis,
    ) -> Result<Principal, Unproven> {
        let said = self.read(ticket).ok_or(Unproven::Unknown)?;
        if said.chat.as_ref() != chat {
            return Err(Unproven::Unknown);
        }
        let expires_at = said.expires_at.map(Millis::new);
        if said.until <= now.get() || expires_at.is_some_and(|at| at <= now) {
            return Err(Unproven::Expired);
        }
        let role = said.owner.map_or(Role::Admin, |owner| Role::User(Owner::new(&owner)));
        let principal = Principal::of_key(&said.name, role).limited_to(said.chats);
        Ok(match expires_at {
            Some(at) => principal.until(at),
            None => principal,
        })
    }

    fn read(&self, ticket: &str) -> Option<Said> {
        let (said, seal) = ticket.strip_prefix(PREFIX)?.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let (said, seal) = (decode(said)?, decode(seal)?);
        hmac::verify(&self.0, &said, &seal).ok()?;
        serde_json::from_slice(&said).ok()
    }
}
