//! A view file opened for one read, and what is newer than its rows folded on top.

use std::sync::Arc;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::Connection;
use scrollback_schema::Seq;

use super::ReadModelError;
use crate::log::{Log, Scope};
use crate::projector::{
    Fold, FoldOn, LiveFile, PAGE, Parked, ReadsTable, Source, Store, StoreError, View, ViewFold,
    read_parked, read_state, show_page,
};

/// A read transaction on a view file.
pub(super) struct OpenView {
    db: r2d2::PooledConnection<SqliteConnectionManager>,
    /// The rows reflect every event up to here.
    pub(super) from: Seq,
    /// Chats that stand still.
    parked: Vec<Parked>,
    view: Arc<View>,
    /// Keeps the file where it is until the connection is given back.
    _live: Arc<LiveFile>,
}

impl OpenView {
    /// Begins a read transaction.
    pub(super) fn new(view: &Arc<View>) -> Result<OpenView, ReadModelError> {
        let projection = view.name();
        let live = view.live().ok_or(ReadModelError::OutOfService { projection })?;
        let db = live.pool().get().map_err(|source| ReadModelError::Busy { projection, source })?;
        let view = Arc::clone(view);
        let mut open = OpenView { db, from: Seq::ZERO, parked: Vec::new(), view, _live: live };
        let begun = open.begin();
        begun.map_err(|error| open.failed(error))?;
        Ok(open)
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.db.execute_batch("BEGIN")?;
        let checkpoint = read_state(&self.db)?.checkpoint;
        self.parked = read_parked(&self.db)?;
        // What the worker has seen since it wrote this checkpoint does not concern the view.
        let position = self.view.position();
        self.from = if position.committed == checkpoint { position.seen } else { checkpoint };
        Ok(())
    }

    /// The connection within its transaction.
    pub(super) fn db(&self) -> &Connection {
        &self.db
    }

    /// Turns an error of the file into the caller's, and has a damaged file made anew.
    pub(super) fn failed(&self, source: StoreError) -> ReadModelError {
        let projection = self.view.name();
        if source.is_damage() {
            self.view.report_damage();
            return ReadModelError::Damaged { projection, source: Box::new(source) };
        }
        ReadModelError::Store { projection, source: Box::new(source) }
    }

    /// Folds what of `scope` is newer than the rows, up to `until`.
    pub(super) fn fold_on_top<P: Store>(
        &self,
        log: &Log,
        scope: &Scope,
        until: Seq,
        mut fold: Fold<P>,
    ) -> Result<Fold<P>, ReadModelError> {
        fold.reset(self.parked.clone());
        let reads = ReadsTable::of(&fold);
        let mut after = self.from;
        while after < until {
            let page = log.page(scope, after, until, PAGE)?;
            let mut folds = [FoldOn { fold: &mut fold, db: &self.db, after, reads: &reads }];
            show_page(&mut folds, &page, after, until).map_err(|(_, error)| self.failed(error))?;
            after = page.through.max(after.next());
        }
        Ok(fold)
    }
}

impl Drop for OpenView {
    fn drop(&mut self) {
        // A connection that cannot end its transaction is found broken by the pool's next user.
        let _ = self.db.execute_batch("COMMIT");
    }
}
