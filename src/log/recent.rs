//! The last committed sections in memory, the head, and who waits for more.
//!
//! A cache of the file and nothing else: what is here was committed, what is not is read from disk.
//! Wake-ups carry no data; a woken reader reads again.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use scrollback_schema::limits::RECENT_BYTES_MAX;
use scrollback_schema::{Kind, Seq};
use tokio::sync::{Notify, watch};

use super::followed::Followed;
use super::section::Section;
use super::{Owner, Page, PageLimits, Scope};

/// The recent end of the log.
#[derive(Debug)]
pub(crate) struct Recent {
    inner: Mutex<Inner>,
    /// `Inner::head`, read without the lock.
    head_now: AtomicU64,
    /// The last tombstone, or 0.
    last_deletion: AtomicU64,
    head: watch::Sender<Seq>,
    /// For threads, which cannot await the watch.
    grown: Condvar,
}

#[derive(Debug)]
struct Inner {
    /// Every section after this seq is here.
    from: Seq,
    head: Seq,
    sections: VecDeque<Arc<Section>>,
    chats: HashMap<Seq, ChatTail>,
    n_bytes: usize,
    next_reader: u64,
    followed: Followed,
}

#[derive(Debug, Default)]
struct ChatTail {
    sections: VecDeque<Arc<Section>>,
    readers: HashMap<u64, Arc<Notify>>,
}

impl Recent {
    /// Nothing in memory, the head where the file ends, and where in it a chat was last deleted.
    pub(crate) fn new(head: Seq, last_deletion: Seq) -> Recent {
        Recent {
            inner: Mutex::new(Inner {
                from: head,
                head,
                sections: VecDeque::new(),
                chats: HashMap::new(),
                n_bytes: 0,
                next_reader: 0,
                followed: Followed::default(),
            }),
            head_now: AtomicU64::new(head.get()),
            last_deletion: AtomicU64::new(last_deletion.get()),
            head: watch::Sender::new(head),
            grown: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The last committed seq.
    pub(crate) fn head(&self) -> Seq {
        Seq::new(self.head_now.load(Ordering::Acquire)).unwrap_or(Seq::MAX)
    }

    /// The seq of the last tombstone; zero if there is none.
    pub(crate) fn last_deletion(&self) -> Seq {
        Seq::new(self.last_deletion.load(Ordering::Acquire)).unwrap_or(Seq::MAX)
    }

    /// A watch of the head.
    pub(crate) fn watch_head(&self) -> watch::Receiver<Seq> {
        self.head.subscribe()
    }

    /// Waits on this thread until the head is above `seq`, at most `timeout`; returns the head.
    pub(crate) fn wait_head_above(&self, seq: Seq, timeout: Duration) -> Seq {
        let inner = self.lock();
        let (inner, _) = self
            .grown
            .wait_timeout_while(inner, timeout, |inner| inner.head <= seq)
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        inner.head
    }

    /// Wakes every thread that waits for the head, so that it can see that it should stop.
    pub(crate) fn wake_threads(&self) {
        let _inner = self.lock();
        self.grown.notify_all();
    }

    /// Shows committed sections: the only way in, called by the writer after COMMIT.
    ///
    /// Who waits is woken by the value returned, once the writer has answered.
    #[must_use = "readers are woken by it"]
    pub(crate) fn publish(&self, sections: Vec<Arc<Section>>, head: Seq) -> Wakes<'_> {
        let mut readers: Vec<Arc<Notify>> = Vec::new();
        let mut inner = self.lock();
        let mut last_chat = None;
        for section in sections {
            inner.n_bytes += section.weight();
            let chat = section.chat().created;
            let tail = inner.chats.entry(chat).or_default();
            tail.sections.push_back(Arc::clone(&section));
            if last_chat != Some(chat) {
                readers.extend(tail.readers.values().cloned());
                last_chat = Some(chat);
            }
            // Nothing comes after a tombstone, in its section either.
            if section.kind_at(section.len() - 1) == Kind::ChatDeleted.number() {
                self.last_deletion.store(section.last_seq().get(), Ordering::Release);
            }
            inner.followed.publish(&section, &mut readers);
            inner.sections.push_back(section);
        }
        inner.head = head;
        self.head_now.store(head.get(), Ordering::Release);
        inner.evict();
        Wakes { recent: self, head, readers }
    }

    /// Drops what is in memory, so that every reader goes back to the file.
    pub(crate) fn forget(&self) {
        self.lock().forget();
    }

    /// Moves the head on over what is in the file and was never in memory.
    ///
    /// Every reader is woken by the value returned: nobody knows whose events these are.
    #[must_use = "readers are woken by it"]
    pub(crate) fn skip_to(&self, head: Seq) -> Wakes<'_> {
        let mut inner = self.lock();
        inner.head = head;
        inner.forget();
        self.head_now.store(head.get(), Ordering::Release);
        let mut readers: Vec<Arc<Notify>> =
            inner.chats.values().flat_map(|tail| tail.readers.values().cloned()).collect();
        inner.followed.doubt(&mut readers);
        Wakes { recent: self, head, readers }
    }

    /// A page, if all of the scope after `after` is in memory.
    pub(crate) fn page(
        &self,
        scope: &Scope,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Option<Page> {
        let inner = self.lock();
        if after < inner.from {
            return None;
        }
        Some(match scope {
            Scope::All => inner.sections_after(&inner.sections, after, until, limits),
            Scope::Chat(chat) => match inner.chats.get(chat) {
                Some(tail) => inner.sections_after(&tail.sections, after, until, limits),
                None => Page { sections: Vec::new(), through: until },
            },
            Scope::Owner(owner) => match inner.followed.tail(owner)? {
                (sections, from) if after >= from => {
                    inner.sections_after(sections, after, until, limits)
                }
                _ => return None,
            },
            Scope::Chats(chats) => {
                let pages = chats.iter().filter_map(|chat| {
                    let tail = inner.chats.get(chat)?;
                    Some(inner.sections_after(&tail.sections, after, until, limits))
                });
                Page::merge(pages, until, limits)
            }
        })
    }

    /// Asks to be woken when one of the chats has more.
    pub(crate) fn register(&self, chats: &[Seq]) -> (u64, Arc<Notify>) {
        let (notify, mut inner) = (Arc::new(Notify::new()), self.lock());
        inner.next_reader += 1;
        let reader = inner.next_reader;
        for chat in chats {
            inner.chats.entry(*chat).or_default().readers.insert(reader, Arc::clone(&notify));
        }
        (reader, notify)
    }

    /// Asks to be woken when a chat of the owner has more, or a new one is made.
    pub(crate) fn follow(&self, owner: &Owner) -> (u64, Arc<Notify>) {
        let mut inner = self.lock();
        inner.next_reader += 1;
        let (reader, head) = (inner.next_reader, inner.head);
        (reader, inner.followed.follow(owner, reader, head))
    }

    /// Takes the request back.
    pub(crate) fn unfollow(&self, reader: u64, owner: &Owner) {
        self.lock().followed.unfollow(reader, owner);
    }

    /// Whether all chats of an owner that is followed are known.
    pub(crate) fn knows_chats_of(&self, owner: &Owner) -> bool {
        self.lock().followed.knows(owner)
    }

    /// Adds chats that an owner had before it was followed.
    pub(crate) fn learn_chats_of(&self, owner: &Owner, chats: &[Seq]) {
        let mut inner = self.lock();
        let head = inner.head;
        inner.followed.learn(owner, chats, head);
    }

    /// The chats of an owner that is followed, in ascending order.
    pub(crate) fn chats_of(&self, owner: &Owner) -> Arc<[Seq]> {
        self.lock().followed.chats(owner)
    }

    /// Takes the request back.
    pub(crate) fn unregister(&self, reader: u64, chats: &[Seq]) {
        let mut inner = self.lock();
        for chat in chats {
            if let Some(tail) = inner.chats.get_mut(chat) {
                tail.readers.remove(&reader);
                if tail.readers.is_empty() && tail.sections.is_empty() {
                    inner.chats.remove(chat);
                }
            }
        }
    }
}

/// Who waits for what was published.
pub(crate) struct Wakes<'a> {
    recent: &'a Recent,
    head: Seq,
    readers: Vec<Arc<Notify>>,
}

impl Wakes<'_> {
    /// Wakes every reader that has more to read, and whoever watches the head.
    pub(crate) fn wake(self) {
        self.recent.head.send_replace(self.head);
        self.recent.grown.notify_all();
        for reader in self.readers {
            reader.notify_one();
        }
    }
}

impl Inner {
    fn forget(&mut self) {
        self.from = self.head;
        self.n_bytes = 0;
        self.sections.clear();
        for tail in self.chats.values_mut() {
            tail.sections.clear();
        }
        self.chats.retain(|_, tail| !tail.readers.is_empty());
        self.followed.forget(self.head);
    }

    fn sections_after(
        &self,
        sections: &VecDeque<Arc<Section>>,
        after: Seq,
        until: Seq,
        limits: PageLimits,
    ) -> Page {
        let start = sections.partition_point(|section| section.last_seq() <= after);
        let mut page = Page { sections: Vec::new(), through: until };
        let mut filled = limits.start();
        for section in sections.range(start..) {
            if section.first_seq() > until {
                break;
            }
            if filled.is_full() {
                page.through = section.first_seq().prev();
                break;
            }
            filled.add(section);
            page.sections.push(Arc::clone(section));
        }
        page
    }

    fn evict(&mut self) {
        while self.n_bytes > RECENT_BYTES_MAX {
            let Some(section) = self.sections.pop_front() else { return };
            self.n_bytes -= section.weight();
            self.from = section.last_seq();
            let chat = section.chat().created;
            self.followed.evict(&section);
            if let Some(tail) = self.chats.get_mut(&chat) {
                tail.sections.pop_front();
                if tail.sections.is_empty() && tail.readers.is_empty() {
                    self.chats.remove(&chat);
                }
            }
        }
    }
}
