//! The projections that are kept: their views, and how a fold of each is made.

use std::sync::Arc;

use scrollback_projections::chat::Chats;
use scrollback_projections::chat_events::ChatEvents;
use scrollback_projections::message::Messages;
use scrollback_projections::queue::Queues;
use scrollback_projections::request::Requests;
use scrollback_projections::schedule::Schedules;
use scrollback_projections::search::Search;
use scrollback_projections::{Description, Projection, describe};

use super::documents::{Documents, FromView, SearchFold, Shadow};
use super::fold::{Fold, ViewFold};
use super::source::Source;
use super::view::View;
use super::worker::MakeFold;
use crate::log::Log;

/// Every view of a data directory.
#[derive(Debug, Clone)]
pub(crate) struct Views {
    pub(crate) chat_events: Arc<View>,
    pub(crate) messages: Arc<View>,
    pub(crate) chats: Arc<View>,
    pub(crate) queue: Arc<View>,
    pub(crate) requests: Arc<View>,
    pub(crate) schedules: Arc<View>,
    pub(crate) search: Arc<View>,
}

impl Views {
    /// Views without files.
    pub(crate) fn new() -> Views {
        fn view<P: Projection>() -> Arc<View> {
            Arc::new(View::new(describe::<P>()))
        }
        Views {
            chat_events: view::<ChatEvents>(),
            messages: view::<Messages>(),
            chats: view::<Chats>(),
            queue: view::<Queues>(),
            requests: view::<Requests>(),
            schedules: view::<Schedules>(),
            search: view::<Search>(),
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<View>> {
        [
            &self.chat_events,
            &self.messages,
            &self.chats,
            &self.queue,
            &self.requests,
            &self.schedules,
            &self.search,
        ]
        .into_iter()
    }
}

/// The projection with this name.
pub(crate) fn described(name: &str) -> Option<Description> {
    scrollback_projections::ALL.iter().find(|described| described.name == name).copied()
}

/// How the worker of a projection makes its fold.
pub(crate) fn live_fold(projection: &'static str, views: &Views, log: &Log) -> MakeFold {
    let (views, log) = (views.clone(), log.clone());
    Box::new(move || {
        fold(projection, || {
            let (messages, search) = (Arc::clone(&views.messages), Arc::clone(&views.search));
            Box::new(FromView::new(messages, search, Arc::new(log.clone())))
        })
    })
}

/// A fold for a rebuild, which has no view to ask.
pub(crate) fn rebuild_fold(projection: &str, source: &Arc<dyn Source>) -> Box<dyn ViewFold> {
    fold(projection, || Box::new(Shadow::new(Arc::clone(source))))
}

/// # Panics
///
/// If no projection has this name: names come from `scrollback_projections::ALL`.
fn fold(projection: &str, documents: impl FnOnce() -> Box<dyn Documents>) -> Box<dyn ViewFold> {
    match projection {
        ChatEvents::NAME => Box::new(Fold::<ChatEvents>::new()),
        Messages::NAME => Box::new(Fold::<Messages>::new()),
        Chats::NAME => Box::new(Fold::<Chats>::new()),
        Queues::NAME => Box::new(Fold::<Queues>::new()),
        Requests::NAME => Box::new(Fold::<Requests>::new()),
        Schedules::NAME => Box::new(Fold::<Schedules>::new()),
        Search::NAME => Box::new(SearchFold::new(documents())),
        _ => unreachable!("every projection has a fold here, which a test walks through"),
    }
}

#[cfg(test)]
mod tests {
    use scrollback_schema::Seq;

    use super::super::SourceError;
    use super::*;
    use crate::log::{Page, PageLimits, Scope};

    struct NoSource;

    impl Source for NoSource {
        fn log_id(&self) -> &str {
            "none"
        }

        fn head(&self) -> Result<Seq, SourceError> {
            Ok(Seq::ZERO)
        }

        fn page(
            &self,
            _scope: &Scope,
            _after: Seq,
            _until: Seq,
            _limits: PageLimits,
        ) -> Result<Page, SourceError> {
            unreachable!("making a fold reads nothing")
        }
    }

    #[test]
    fn every_projection_has_a_view_and_a_fold() {
        let source: Arc<dyn Source> = Arc::new(NoSource);
        let views: Vec<_> = Views::new().all().map(|view| view.description()).collect();
        assert_eq!(views, scrollback_projections::ALL);
        for description in scrollback_projections::ALL {
            assert_eq!(rebuild_fold(description.name, &source).description(), *description);
        }
    }
}
