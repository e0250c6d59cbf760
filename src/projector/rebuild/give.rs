//! Handing rebuilt files over: to the running server, or to the next start.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scrollback_projections::Description;

use super::RebuildError;
use crate::projector::names::{Names, remove_db, rename_db};

/// How often it is looked whether the server has taken a file.
const POLL: Duration = Duration::from_millis(20);

/// How long the server may take: its worker looks every second, and folds what is newer first.
const TAKE_WAIT: Duration = Duration::from_secs(120);

/// Hands the files over; whether a server took them. None if one of them is gone, since a chat was
/// deleted after it was built.
///
/// # Errors
///
/// [`RebuildError`]; a file that was not taken is removed.
pub(super) fn hand_over(
    data_dir: &Path,
    descriptions: &[Description],
) -> Result<Option<bool>, RebuildError> {
    let mut offered = Vec::new();
    let mut by_server = false;
    for description in descriptions {
        fail::fail_point!("rebuild-before-handover");
        let names = Names::new(data_dir, description.name);
        let (built, next) = (names.rebuild(), names.next());
        match rename_db(&built, &next) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(RebuildError::file(&built)(error)),
        }
        let inode = std::fs::metadata(&next).map(|metadata| metadata.ino()).ok();
        offered.push((description.name, names, inode));
    }
    for (projection, names, inode) in offered {
        fail::fail_point!("rebuild-after-handover");
        by_server |= settle_one(data_dir, projection, &names, inode)?;
    }
    Ok(Some(by_server))
}

/// Waits until the server has taken a file, or puts it in its place if there is none.
fn settle_one(
    data_dir: &Path,
    projection: &'static str,
    names: &Names,
    inode: Option<u64>,
) -> Result<bool, RebuildError> {
    let mut waited = Duration::ZERO;
    loop {
        if let Some(lock) = server_lock(data_dir)? {
            put_in_place(names).map_err(RebuildError::file(&names.live(0)))?;
            drop(lock);
            return Ok(false);
        }
        let live = names.live_files().map_err(RebuildError::file(&names.live(0)))?;
        if let ([(_, path)], false) = (&live[..], names.next().exists()) {
            let found = std::fs::metadata(path).map(|metadata| metadata.ino()).ok();
            if found.is_some() && found == inode {
                return Ok(true);
            }
            return Err(RebuildError::NotTaken { projection });
        }
        if waited > TAKE_WAIT {
            let next = names.next();
            remove_db(&next).map_err(RebuildError::file(&next))?;
            return Err(RebuildError::NotTaken { projection });
        }
        std::thread::sleep(POLL);
        waited += POLL;
    }
}

/// The server's lock, if no server has it.
fn server_lock(data_dir: &Path) -> Result<Option<File>, RebuildError> {
    let path = data_dir.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(RebuildError::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(RebuildError::file(&path)(error)),
    }
}

/// Puts a built file under the plain name; at every instant there is a sound one for a start.
fn put_in_place(names: &Names) -> io::Result<()> {
    let next = names.next();
    if !next.exists() {
        // A server that has ended since has taken it.
        return Ok(());
    }
    let before = names.live_files()?;
    let newest = names.live(before.first().map_or(0, |&(generation, _)| generation) + 1);
    rename_db(&next, &newest)?;
    let olds: Vec<PathBuf> = before.into_iter().map(|(_, path)| path).collect();
    olds.iter().try_for_each(|path| remove_db(path))?;
    rename_db(&newest, &names.live(0))
}
