//! Retention: the task that archives or drops what is too old or too much, as `[retention]` says.
//!
//! It decides when, and how fast: one small step at a time, with a pause behind each that is longer
//! than the step kept appends waiting. What an archive is, and what may go there, is left to `log`;
//! deleting a chat to `http::delete`, the one door that there is for it. Choosing chats to drop is
//! in `drop`.

mod drop;

use std::time::Duration;

use scrollback_schema::Seq;
use tracing::{debug, info, warn};

use crate::config::{Retention, RetentionAction};
use crate::http::App;
use crate::log::{ArchiveBounds, ArchiveError, ArchiveStep, Fill, ReadError};
use crate::read_model::ReadModelError;

/// The writer has at least so many times the time of a step for appends, before the next step.
const PAUSE_FACTOR: u32 = 4;

/// The least pause between two steps.
const PAUSE_MIN: Duration = Duration::from_millis(20);

/// Why a look was given up; the next one begins anew.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetentionError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Nothing could be archived.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The list of chats could not be read.
    #[error(transparent)]
    ReadModel(#[from] ReadModelError),
    /// A chat could not be deleted.
    #[error("chat {chat} could not be deleted: {code}")]
    Delete {
        /// The chat.
        chat: scrollback_schema::ChatId,
        /// The code of the problem.
        code: String,
    },
}

/// Looks again and again until the server stops, and ends what it was at.
///
/// # Cancel safety
///
/// A step that was begun is done or not done; a deletion goes on at the next start.
pub(crate) async fn run(app: App, retention: Retention) {
    loop {
        if let Err(error) = look(&app, &retention).await {
            let error = &error as &dyn std::error::Error;
            warn!(error, "retention is taken up again at its next look");
        }
        if stops_within(&app, retention.check_every).await {
            return;
        }
    }
}

/// Waits, but no longer than until the server stops; whether it does.
async fn stops_within(app: &App, pause: Duration) -> bool {
    tokio::time::timeout(pause, app.stopping()).await.is_ok()
}

/// Does what is due by now.
async fn look(app: &App, retention: &Retention) -> Result<(), RetentionError> {
    let older_than = retention.age_max.map(|age| {
        let ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        app.clock().now().plus_ms(-ms)
    });
    if retention.action == RetentionAction::Drop {
        let dropped = drop::drop_chats(app, retention, older_than).await?;
        if let Some(through) = dropped {
            let bounds = ArchiveBounds { before: Some(through.next()), older_than: None };
            archive(app, retention, bounds, 0).await?;
        }
    }
    if older_than.is_some() {
        let bounds = ArchiveBounds { before: None, older_than };
        archive(app, retention, bounds, 0).await?;
    }
    if let (RetentionAction::Archive, Some(bytes_max)) = (retention.action, retention.bytes_max) {
        archive(app, retention, ArchiveBounds::default(), bytes_max).await?;
    }
    Ok(())
}

/// Archives whole segments within the bounds, for as long as log.db holds more than so many bytes.
async fn archive(
    app: &App,
    retention: &Retention,
    bounds: ArchiveBounds,
    log_bytes_max: u64,
) -> Result<(), RetentionError> {
    let plan = app.log().archive_plan(bounds).await?;
    let through: Seq = plan.through;
    debug!(seq = through.get(), n_events = plan.n_events(), "may be archived");
    if plan.n_events() == 0 {
        return Ok(());
    }
    while !app.is_stopping() && app.log().used_bytes().await? > log_bytes_max {
        let step = ArchiveStep { through, bytes: retention.segment_bytes, fill: Fill::Whole };
        let Some(archived) = app.log().archive_step(step).await? else { break };
        info!(
            seq = archived.segment.last_seq.get(),
            n_bytes = archived.segment.n_bytes,
            elapsed_ms = archived.recording.as_millis() as u64,
            "archived a segment"
        );
        stops_within(app, (archived.recording * PAUSE_FACTOR).max(PAUSE_MIN)).await;
    }
    Ok(())
}
