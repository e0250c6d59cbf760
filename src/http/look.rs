//! Looks into the log file for the inspector: a few at a time, each on a thread that may block.

use std::sync::Arc;

use scrollback_schema::limits::LOOKS_MAX;
use tokio::sync::Semaphore;

use super::App;
use super::error::{Code, Problem};
use crate::log::offline::OfflineLog;

/// The right to look, of which there are [`LOOKS_MAX`]; who comes then waits its turn.
#[derive(Debug)]
pub(super) struct Looks(Arc<Semaphore>);

impl Default for Looks {
    fn default() -> Looks {
        Looks(Arc::new(Semaphore::new(LOOKS_MAX)))
    }
}

impl App {
    /// Looks into the log, as `inspect` does, on another thread.
    ///
    /// # Cancel safety
    ///
    /// A look that has begun goes on to its end, and counts until then.
    pub(super) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&mut OfflineLog) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let looks = Arc::clone(&self.0.looks.0);
        let permit = looks.acquire_owned().await.expect("nobody closes it");
        let dir = self.log().dir().to_owned();
        let looked = tokio::task::spawn_blocking(move || {
            let found = look(&mut OfflineLog::beside_server(&dir)?);
            drop(permit);
            found
        });
        looked.await.unwrap_or_else(|error| {
            Err(Problem::fault(Code::Internal, "a look into the log was interrupted", &error))
        })
    }
}
