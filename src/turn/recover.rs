//! At start: queued messages go on. The turns of the process that ended were closed by the log as
//! it was opened, before anything else.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;

use super::{Shared, TurnsError};

/// Chats whose queues are taken up at once: their hand-offs share commits.
const AT_ONCE: usize = 64;

impl Shared {
    /// Starts what waits in chats that are idle, and watches those whose turn a producer outside
    /// still runs.
    pub(super) async fn resume(self: Arc<Self>) -> Result<(), TurnsError> {
        let chats = self.read_model.chats_with_queue().await?;
        let n_chats = chats.len();
        stream::iter(chats)
            .for_each_concurrent(AT_ONCE, |chat| {
                let shared = Arc::clone(&self);
                async move {
                    let gate = shared.gates.enter(&chat.id).await;
                    if let Err(error) = shared.wait_for_way(&gate, &chat).await {
                        let error = &error as &dyn std::error::Error;
                        tracing::error!(error, chat_id = %chat.id, "a queue does not go on");
                        shared.watch(&gate, &chat);
                    }
                }
            })
            .await;
        if n_chats > 0 {
            tracing::info!(n_chats, "queues go on");
        }
        Ok(())
    }
}
