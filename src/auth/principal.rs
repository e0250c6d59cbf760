//! A principal: who calls, and the few questions that are asked about it.

use std::collections::BTreeSet;
use std::sync::Arc;

use scrollback_schema::{ChatId, Millis};

use crate::log::Owner;

/// Who calls.
///
/// It carries no secret: it can be shown in a trace by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    name: Arc<str>,
    role: Role,
    /// The only chats that it may see, if it was limited to some.
    chats: Option<Arc<BTreeSet<ChatId>>>,
    /// When it stops being one.
    expires_at: Option<Millis>,
}

/// What a principal is to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Operates the server, and sees every chat.
    Admin,
    /// Sees the chats of one owner, and nothing else.
    User(Owner),
}

impl Principal {
    /// Whoever reaches a server that has no credentials.
    pub fn anybody() -> Principal {
        Principal::of_key("anybody", Role::Admin)
    }

    /// The holder of an API key.
    pub fn of_key(name: &str, role: Role) -> Principal {
        Principal { name: Arc::from(name), role, chats: None, expires_at: None }
    }

    /// The same one, limited to some chats if they are given.
    #[must_use]
    pub fn limited_to(self, chats: Option<BTreeSet<ChatId>>) -> Principal {
        Principal { chats: chats.map(Arc::new), ..self }
    }

    /// The same one, until an instant.
    #[must_use]
    pub fn until(self, expires_at: Millis) -> Principal {
        Principal { expires_at: Some(expires_at), ..self }
    }

    /// What it is called in traces, and what its share of the server is counted by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is.
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Whose chats it sees; none if it sees everybody's.
    pub fn owner(&self) -> Option<&Owner> {
        match &self.role {
            Role::Admin => None,
            Role::User(owner) => Some(owner),
        }
    }

    /// The only chats that it may see, if it was limited to some.
    pub fn chats(&self) -> Option<&Arc<BTreeSet<ChatId>>> {
        self.chats.as_ref()
    }

    /// When it stops being one.
    pub fn expires_at(&self) -> Option<Millis> {
        self.expires_at
    }

    /// Whether it may look into the log as a whole, at metrics, and change read models.
    pub fn may_operate(&self) -> bool {
        self.role == Role::Admin && self.chats.is_none()
    }

    /// Whether no chat is kept from it.
    pub fn sees_all(&self) -> bool {
        self.may_operate()
    }

    /// Whether it may see and change a chat with this owner.
    pub fn may_see(&self, owner: Option<&Owner>, chat: &ChatId) -> bool {
        let is_own = match &self.role {
            Role::Admin => true,
            Role::User(own) => owner == Some(own),
        };
        is_own && self.may_name(chat)
    }

    /// Whether it is not limited to other chats than this one.
    pub fn may_name(&self, chat: &ChatId) -> bool {
        self.chats.as_ref().is_none_or(|chats| chats.contains(chat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(id: &str) -> ChatId {
        ChatId::parse(id).unwrap()
    }

    #[test]
    fn a_user_sees_its_own_and_an_admin_everybodys() {
        let (ann, bob) = (Owner::new("ann"), Owner::new("bob"));
        let user = Principal::of_key("k", Role::User(ann.clone()));
        assert!(user.may_see(Some(&ann), &chat("c")));
        assert!(!user.may_see(Some(&bob), &chat("c")) && !user.may_see(None, &chat("c")));
        assert!(!user.may_operate() && !user.sees_all());
        let admin = Principal::anybody();
        assert!(admin.may_see(Some(&ann), &chat("c")) && admin.may_see(None, &chat("c")));
        assert!(admin.may_operate());
    }

    #[test]
    fn a_limited_one_sees_what_it_is_limited_to() {
        let ann = Owner::new("ann");
        let only = Some(BTreeSet::from([chat("c")]));
        let user = Principal::of_key("k", Role::User(ann.clone())).limited_to(only.clone());
        assert!(user.may_see(Some(&ann), &chat("c")) && !user.may_see(Some(&ann), &chat("d")));
        let admin = Principal::anybody().limited_to(only);
        assert!(admin.may_see(None, &chat("c")) && !admin.may_see(None, &chat("d")));
        assert!(!admin.may_operate(), "the log holds other chats too");
    }
}
