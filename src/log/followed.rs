//! Owners that readers follow: which chats they have, and the last sections of all of them.
//!
//! A reader of an owner's chats costs what it receives: it is woken by those chats alone, finds
//! their sections in one place, and a chat that is made meanwhile is among them by itself. All of
//! it lives within `recent`, under its lock, and only for as long as somebody follows.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use scrollback_schema::{Event, Seq};
use tokio::sync::Notify;

use super::Owner;
use super::section::Section;

/// All owners that are followed.
#[derive(Debug, Default)]
pub(super) struct Followed {
    owners: HashMap<Owner, OwnerTail>,
    /// Whose a chat is, if it is followed.
    chats: HashMap<Seq, Owner>,
}

#[derive(Debug)]
struct OwnerTail {
    chats: BTreeSet<Seq>,
    /// The same as a list, until there is one more.
    listed: Option<Arc<[Seq]>>,
    /// Whether the chats that were there before are among them.
    is_known: bool,
    /// Every section of the chats after this seq is here.
    from: Seq,
    sections: VecDeque<Arc<Section>>,
    readers: HashMap<u64, Arc<Notify>>,
}

impl Followed {
    /// Adds a reader.
    pub(super) fn follow(&mut self, owner: &Owner, reader: u64, head: Seq) -> Arc<Notify> {
        let tail = self.owners.entry(owner.clone()).or_insert_with(|| OwnerTail {
            chats: BTreeSet::new(),
            listed: None,
            is_known: false,
            from: head,
            sections: VecDeque::new(),
            readers: HashMap::new(),
        });
        let notify = Arc::new(Notify::new());
        tail.readers.insert(reader, Arc::clone(&notify));
        notify
    }

    /// Takes a reader away, and with the last one all that is kept for it.
    pub(super) fn unfollow(&mut self, reader: u64, owner: &Owner) {
        let Some(tail) = self.owners.get_mut(owner) else { return };
        tail.readers.remove(&reader);
        if tail.readers.is_empty() {
            for chat in &tail.chats {
                self.chats.remove(chat);
            }
            self.owners.remove(owner);
        }
    }

    /// Whether the chats that were there before an owner was followed are known.
    pub(super) fn knows(&self, owner: &Owner) -> bool {
        self.owners.get(owner).is_some_and(|tail| tail.is_known)
    }

    /// Adds chats that were there before.
    pub(super) fn learn(&mut self, owner: &Owner, chats: &[Seq], head: Seq) {
        let Some(tail) = self.owners.get_mut(owner).filter(|tail| !tail.is_known) else { return };
        tail.is_known = true;
        tail.listed = None;
        tail.chats.extend(chats);
        self.chats.extend(tail.chats.iter().map(|chat| (*chat, owner.clone())));
        // What came of them meanwhile was not kept.
        tail.from = head;
        tail.sections.clear();
    }

    /// The chats of an owner, in ascending order.
    pub(super) fn chats(&mut self, owner: &Owner) -> Arc<[Seq]> {
        let Some(tail) = self.owners.get_mut(owner) else { return Arc::new([]) };
        let list = || tail.chats.iter().copied().collect();
        Arc::clone(tail.listed.get_or_insert_with(list))
    }

    /// The last sections of an owner's chats, and the seq after which these are all.
    pub(super) fn tail(&self, owner: &Owner) -> Option<(&VecDeque<Arc<Section>>, Seq)> {
        self.owners.get(owner).map(|tail| (&tail.sections, tail.from))
    }

    /// Takes a committed section, and names the readers to wake for it.
    pub(super) fn publish(&mut self, section: &Arc<Section>, wake: &mut Vec<Arc<Notify>>) {
        if self.owners.is_empty() {
            return;
        }
        let chat = section.chat().created;
        if section.first_seq() == chat
            && let Some(owner) = owner_of(section)
            && let Some(tail) = self.owners.get_mut(&owner)
        {
            tail.chats.insert(chat);
            tail.listed = None;
            self.chats.insert(chat, owner);
        }
        let tail = self.chats.get(&chat).and_then(|owner| self.owners.get_mut(owner));
        if let Some(tail) = tail {
            tail.sections.push_back(Arc::clone(section));
            wake.extend(tail.readers.values().cloned());
        }
    }

    /// Lets go of a section, the oldest of all.
    pub(super) fn evict(&mut self, section: &Arc<Section>) {
        let owner = self.chats.get(&section.chat().created);
        let Some(tail) = owner.and_then(|owner| self.owners.get_mut(owner)) else { return };
        if tail.sections.front().is_some_and(|front| Arc::ptr_eq(front, section)) {
            tail.sections.pop_front();
            tail.from = section.last_seq();
        }
    }

    /// Names every reader, since it is not known whose events were stored; a chat that was made by
    /// them is found by the next reader that begins to follow.
    pub(super) fn doubt(&mut self, wake: &mut Vec<Arc<Notify>>) {
        for tail in self.owners.values_mut() {
            tail.is_known = false;
            wake.extend(tail.readers.values().cloned());
        }
    }

    /// Lets go of all sections.
    pub(super) fn forget(&mut self, head: Seq) {
        for tail in self.owners.values_mut() {
            tail.sections.clear();
            tail.from = head;
        }
    }
}

/// The owner that a chat's first event names.
fn owner_of(section: &Section) -> Option<Owner> {
    match section.recorded(0).ok()?.event() {
        Some(Event::ChatCreated(created)) => created.owner.as_deref().map(Owner::new),
        _ => None,
    }
}
