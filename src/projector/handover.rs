//! Taking over a file that a rebuild has left for the running server.
//!
//! The rebuilt file is folded up to where the worker is before anybody reads it, so that there is
//! no moment in which readers see empty or older rows.

use super::file::{OpenFileError, ViewFile};
use super::names::{remove_db, rename_db};
use super::worker::{Live, WorkError, Worker, expected};

impl Worker {
    /// Takes over the rebuilt file, if there is one; one that does not fit is removed.
    ///
    /// # Errors
    ///
    /// [`WorkError`]; the live file is then as before.
    pub(super) fn take_over_next(&mut self) -> Result<(), WorkError> {
        let next = self.names.next();
        if !next.exists() {
            return Ok(());
        }
        let projection = self.view.description().name;
        let generation = self.live.generation + 1;
        let path = self.names.live(generation);
        rename_db(&next, &path)?;
        let expected = expected(&self.context.log, self.view.description());
        let file = match ViewFile::open(&path, &expected) {
            Ok(file) => file,
            Err(OpenFileError::Open(error)) => return Err(error.into()),
            Err(OpenFileError::Unfit(reason)) => {
                tracing::warn!(projection, %reason, "a rebuilt view does not fit; keeping the old");
                remove_db(&path)?;
                return Ok(());
            }
        };
        let until = self.live.seen;
        match self.catch_up(file, generation) {
            Ok(Some(live)) => self.replace(live)?,
            Ok(None) => return Ok(()),
            Err(error) => {
                remove_db(&path)?;
                return Err(error);
            }
        }
        tracing::info!(projection, seq = until.get(), "took over a rebuilt view");
        Ok(())
    }

    /// Folds a rebuilt file up to where the worker is; none if the worker is to end.
    fn catch_up(&self, file: ViewFile, generation: u32) -> Result<Option<Live>, WorkError> {
        let mut live = Live::new(file, generation, (self.make_fold)())?;
        let log = &self.context.log;
        if !live.fold_until(log, &self.reads, &self.view, self.live.seen, |_, _| {})? {
            return Ok(None);
        }
        live.commit()?;
        fail::fail_point!("rebuild-before-takeover");
        Ok(Some(live))
    }
}
