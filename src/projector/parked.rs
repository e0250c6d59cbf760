//! The chats that stand still in the views of a data directory, read without a server.
//!
//! Nothing is written, neither to the view files nor beside them.

use std::path::Path;

use scrollback_projections::Description;

use super::file::read_parked;
use super::names::{Names, file_beside};
use super::{Parked, StateError};
use crate::sqlite::{self, OfflineMode, OpenDbError};

/// Why it cannot be said which chats are parked in a projection.
#[derive(Debug, thiserror::Error)]
pub enum ParkedError {
    /// The files cannot be looked at.
    #[error("its files cannot be looked at")]
    Files(#[from] std::io::Error),
    /// The file has commits that cannot be read without writing.
    #[error("its file was not closed well; a start of the server mends it")]
    NoIndex,
    /// SQLite refuses.
    #[error(transparent)]
    Open(#[from] OpenDbError),
    /// The file does not say.
    #[error("its file is damaged; a start of the server makes it anew")]
    Damaged,
}

impl From<StateError> for ParkedError {
    fn from(_: StateError) -> ParkedError {
        ParkedError::Damaged
    }
}

/// The chats that are parked in each projection, whether a server runs or not; none in one that has
/// no file yet.
pub fn parked_offline(
    data_dir: &Path,
) -> impl Iterator<Item = (&'static str, Result<Vec<Parked>, ParkedError>)> + '_ {
    scrollback_projections::ALL
        .iter()
        .map(|description| (description.name, parked_in(data_dir, *description)))
}

fn parked_in(data_dir: &Path, description: Description) -> Result<Vec<Parked>, ParkedError> {
    let live = Names::new(data_dir, description.name).live_files()?;
    let Some((_, path)) = live.first() else { return Ok(Vec::new()) };
    let wal = std::fs::metadata(file_beside(path, "-wal")).map_or(0, |wal| wal.len());
    let mode = match (wal, file_beside(path, "-shm").exists()) {
        (0, _) => OfflineMode::AtRest,
        (_, true) => OfflineMode::Beside,
        (_, false) => return Err(ParkedError::NoIndex),
    };
    Ok(read_parked(&sqlite::open_offline(path, mode)?)?)
}
