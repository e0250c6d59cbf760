//! Providers that were told to stop: they may finish their goodbye for a short grace, unheard.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;

use super::Shared;
use super::runner::Job;
use crate::provider::{ProviderError, Saying};

/// How far a provider is that leaves.
pub(super) enum Leaving {
    /// It is still being set up.
    Starting(BoxFuture<'static, Result<Saying, ProviderError>>),
    /// It speaks.
    Saying(Saying),
}

/// Lets a provider leave, at the latest after the grace; the chat's next turn waits for that.
///
/// The turn's end does not: who stopped it sees it stopped at once.
pub(super) fn farewell(shared: &Arc<Shared>, job: &Arc<Job>, leaving: Leaving) {
    let gone = shared.registry.leave(&job.chat.id);
    let (keeper, job, grace) = (Arc::clone(shared), Arc::clone(job), shared.config.stop_grace);
    shared.tasks.spawn(async move {
        let leave = async move {
            let mut saying = match leaving {
                Leaving::Saying(saying) => saying,
                Leaving::Starting(starting) => match starting.await {
                    Ok(saying) => saying,
                    Err(_) => return,
                },
            };
            while saying.next().await.is_some() {}
        };
        tokio::select! {
            biased;
            () = leave => {}
            () = tokio::time::sleep(grace) => {
                tracing::debug!(turn_id = %job.turn, "a provider was dropped that did not stop");
            }
        }
        keeper.registry.left(&job.chat.id, &gone);
    });
}
