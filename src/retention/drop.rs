//! Dropping chats: those that are finished, the longest idle first, through the door of deletion.
//!
//! A chat is finished if no turn of it is open and nothing of it waits: no queued message, no
//! request, no schedule that is not paused. It is looked at again right before it goes.

use scrollback_schema::limits::LIST_LIMIT_MAX;
use scrollback_schema::{ChatRef, Millis, Seq};
use tracing::info;

use super::RetentionError;
use crate::config::Retention;
use crate::http::{App, DropError, drop_chat};
use crate::log::{PageLimits, ReadError, Scope};

/// Drops what is due by age, then what is too much; the last seq of what was dropped.
pub(super) async fn drop_chats(
    app: &App,
    retention: &Retention,
    older_than: Option<Millis>,
) -> Result<Option<Seq>, RetentionError> {
    let mut dropped = Dropped::default();
    if let Some(at) = older_than {
        dropped.until(app, at, u64::MAX).await?;
    }
    if let Some(bytes_max) = retention.bytes_max {
        let archived = app.log().archive_totals().await?.n_bytes;
        let n_bytes = app.log().used_bytes().await? + archived;
        if n_bytes > bytes_max {
            // What was erased and is not archived yet stands there as zeroes.
            let n_held = n_bytes.saturating_sub(app.log().erased_bytes().await?);
            let n_over = n_held.saturating_sub(bytes_max);
            if n_over > 0 {
                dropped.until(app, app.clock().now(), n_over).await?;
            }
        }
    }
    if dropped.n_chats > 0 {
        info!(n_chats = dropped.n_chats, n_bytes = dropped.n_bytes, "dropped old chats");
    }
    Ok(dropped.last)
}

/// What was dropped in one look.
#[derive(Debug, Default)]
struct Dropped {
    n_chats: u64,
    n_bytes: u64,
    last: Option<Seq>,
}

impl Dropped {
    /// Drops finished chats that were idle before `at`, until they held `n_bytes`.
    async fn until(&mut self, app: &App, at: Millis, n_bytes: u64) -> Result<(), RetentionError> {
        let (mut after, begun) = (None, self.n_bytes);
        loop {
            let page = app.read_model().idle_chats(at, after, LIST_LIMIT_MAX).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.0);
            for (_, chat) in page {
                if self.n_bytes - begun >= n_bytes || app.is_stopping() {
                    return Ok(());
                }
                self.one(app, &chat, at).await?;
            }
        }
    }

    async fn one(&mut self, app: &App, chat: &ChatRef, at: Millis) -> Result<(), RetentionError> {
        if !is_finished(app, chat).await? {
            return Ok(());
        }
        let n_bytes = bytes_of(app, chat).await?;
        let Some(row) = app.read_model().chat_record(chat).await? else { return Ok(()) };
        if row.last_activity_at >= at {
            return Ok(());
        }
        match drop_chat(app, chat).await {
            Ok(tombstone) => {
                self.n_chats += 1;
                self.n_bytes += n_bytes;
                self.last = self.last.max(Some(row.last_seq));
                tracing::debug!(chat_id = chat.id.as_str(), seq = tombstone.get(), "dropped");
                Ok(())
            }
            // A turn began, or somebody deleted it.
            Err(DropError::InUse) => Ok(()),
            Err(DropError::Failed { code }) => {
                Err(RetentionError::Delete { chat: chat.id.clone(), code })
            }
        }
    }
}

async fn is_finished(app: &App, chat: &ChatRef) -> Result<bool, RetentionError> {
    let status = app.read_model().status(chat).await?;
    if status.open_turn.is_some() || status.queue_length > 0 || status.pending_requests > 0 {
        return Ok(false);
    }
    let (schedules, _) = app.read_model().schedule_items(chat).await?;
    Ok(schedules.iter().all(|schedule| schedule.paused))
}

/// Bytes of a chat's payloads.
async fn bytes_of(app: &App, chat: &ChatRef) -> Result<u64, ReadError> {
    let (scope, until) = (Scope::Chat(chat.created), app.log().head());
    let (mut after, mut n_bytes) = (chat.created.prev(), 0);
    while after < until {
        let page = app.log().read(&scope, after, until, PageLimits::default()).await?;
        n_bytes += page.sections.iter().map(|section| section.n_bytes() as u64).sum::<u64>();
        after = page.through;
    }
    Ok(n_bytes)
}
