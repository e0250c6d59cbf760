//! Looking for wanted events from a place in the log on, forwards and backwards, no further than
//! one call may go.

use std::collections::VecDeque;
use std::time::Instant;

use scrollback_schema::batch::SectionView;
use scrollback_schema::{Recorded, Seq};

use super::plan::{Plan, Stretch};
use crate::clock::monotonic;
use crate::log::PageLimits;
use crate::log::offline::{OfflineError, OfflineLog};

/// What a search found, in the order of the log.
#[derive(Debug)]
pub(crate) struct Found {
    /// The events.
    pub(crate) events: VecDeque<Recorded>,
    /// Where it came to a stop: every wanted event between here and where it began is among them.
    /// Forwards it is the last seq that was looked at, backwards the one before the first.
    pub(crate) stop: Seq,
    /// Bytes of their payloads.
    n_bytes: usize,
}

/// How far a search goes.
#[derive(Debug)]
pub(crate) struct Search {
    /// Events that it finds at most.
    pub(crate) events_max: usize,
    /// Payload bytes of what it found, after which it ends.
    pub(crate) bytes_max: usize,
    /// When it ends though it has found fewer, once it has read a page; never if there is none.
    pub(crate) deadline: Option<Instant>,
}

impl Search {
    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| monotonic() >= deadline)
    }

    /// The first wanted events behind `after`.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if the log cannot be read.
    pub(crate) fn forwards(
        &self,
        log: &mut OfflineLog,
        plan: &Plan,
        after: Seq,
    ) -> Result<Found, OfflineError> {
        let Stretch { scope, until, .. } = &plan.stretch;
        let may_want = |section: &SectionView<'_>| plan.stretch.may_want(section);
        let mut found = Found::from(plan.stretch.after.max(after));
        while found.stop < *until && !found.is_full(self) {
            let after = found.stop;
            let page = log.page_where(scope, after, *until, PageLimits::default(), &may_want)?;
            found.stop = page.through;
            'page: for section in &page.sections {
                for index in section.events_in(after, page.through) {
                    let Some(event) = plan.wanted(section, index)? else { continue };
                    found.events.push_back(event);
                    found.n_bytes += section.payload_at(index).len();
                    if found.is_full(self) {
                        found.stop = section.seq_at(index);
                        break 'page;
                    }
                }
            }
            if self.is_late() {
                break;
            }
        }
        Ok(found)
    }

    /// The last wanted events up to `until`.
    ///
    /// # Errors
    ///
    /// [`OfflineError`] if the log cannot be read.
    pub(crate) fn backwards(
        &self,
        log: &mut OfflineLog,
        plan: &Plan,
        until: Seq,
    ) -> Result<Found, OfflineError> {
        let Stretch { scope, after, .. } = &plan.stretch;
        let may_want = |section: &SectionView<'_>| plan.stretch.may_want(section);
        let mut found = Found::from(plan.stretch.until.min(until));
        while found.stop > *after && !found.is_full(self) {
            let until = found.stop;
            let page =
                log.page_back_where(scope, *after, until, PageLimits::default(), &may_want)?;
            found.stop = page.after;
            'page: for section in &page.sections {
                for index in section.events_in(page.after, until).rev() {
                    let Some(event) = plan.wanted(section, index)? else { continue };
                    found.events.push_front(event);
                    found.n_bytes += section.payload_at(index).len();
                    if found.is_full(self) {
                        found.stop = section.seq_at(index).prev();
                        break 'page;
                    }
                }
            }
            if self.is_late() {
                break;
            }
        }
        Ok(found)
    }
}

impl Found {
    const fn from(stop: Seq) -> Found {
        Found { events: VecDeque::new(), stop, n_bytes: 0 }
    }

    fn is_full(&self, search: &Search) -> bool {
        self.events.len() >= search.events_max || self.n_bytes >= search.bytes_max
    }
}

/// The last `n` events that are wanted, found from the end of the log backwards.
///
/// # Errors
///
/// [`OfflineError`] if the log cannot be read.
pub(crate) fn last_events(
    log: &mut OfflineLog,
    plan: &Plan,
    n: usize,
) -> Result<VecDeque<Recorded>, OfflineError> {
    let search = Search { events_max: n, bytes_max: usize::MAX, deadline: None };
    Ok(search.backwards(log, plan, plan.stretch.until)?.events)
}

#[cfg(test)]
mod tests {
    use scrollback_schema::event::{ChatCreated, Custom};
    use scrollback_schema::{ChatId, Event, NewEvent};

    use super::*;
    use crate::clock::Clock;
    use crate::inspect::Wanted;
    use crate::log::{Append, Log, LogOptions};

    /// A log of several pages.
    fn fill(dir: &std::path::Path) -> OfflineLog {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let log = Log::open(dir, LogOptions::default(), &Clock::System).unwrap();
        let append = |events: Vec<NewEvent>| {
            let append = Append::new(ChatId::parse("c").unwrap(), events).unwrap();
            runtime.block_on(log.append(append)).unwrap();
        };
        append(vec![NewEvent::of_chat(Event::ChatCreated(ChatCreated::default()))]);
        let custom = Event::Custom(Custom { name: "x".repeat(2_000), data: None });
        for _ in 0..20 {
            append(vec![NewEvent::of_chat(custom.clone()); 100]);
        }
        runtime.block_on(log.close());
        OfflineLog::open(dir).unwrap()
    }

    #[test]
    fn a_search_that_is_late_ends_after_a_page_and_says_where() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = fill(dir.path());
        let head = log.head().unwrap();
        let wanted = Wanted { text: Some("nowhere".to_owned()), ..Wanted::default() };
        let plan = wanted.plan(&mut log, head).unwrap();
        let search = Search { events_max: 1, bytes_max: 1, deadline: Some(monotonic()) };
        let (mut stop, mut n_steps) = (Seq::ZERO, 0);
        while stop < head {
            let found = search.forwards(&mut log, &plan, stop).unwrap();
            assert!(found.events.is_empty() && found.stop > stop);
            (stop, n_steps) = (found.stop, n_steps + 1);
        }
        assert!(n_steps > 2, "{n_steps} steps forwards");
        n_steps = 0;
        while stop > Seq::ZERO {
            let found = search.backwards(&mut log, &plan, stop).unwrap();
            assert!(found.events.is_empty() && found.stop < stop);
            (stop, n_steps) = (found.stop, n_steps + 1);
        }
        assert!(n_steps > 2, "{n_steps} steps backwards");
    }
}
