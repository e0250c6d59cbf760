//! A chat in a few numbers: where it is, whether it is busy, what waits.

use scrollback_projections::chat_events::{ChatEvents, Chunk};
use scrollback_projections::queue::Queues;
use scrollback_projections::request::Requests;
use scrollback_schema::{ChatRef, MessageId, Seq, TurnId};

use super::open::OpenView;
use super::{ReadModel, ReadModelError, blocking};

/// The state of a chat as of `head_seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatStatus {
    /// The last event of the log.
    pub head_seq: Seq,
    /// The last event of the chat.
    pub last_seq: Seq,
    /// The turn that runs.
    pub open_turn: Option<OpenTurnStatus>,
    /// Messages that wait for their turn.
    pub queue_length: usize,
    /// Approvals and questions that wait for an answer.
    pub pending_requests: usize,
}

/// A turn that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTurnStatus {
    /// The turn.
    pub turn_id: TurnId,
    /// The message that it produces.
    pub message_id: MessageId,
    /// The seq of its first event.
    pub started_seq: Seq,
}

impl ReadModel {
    /// The state of a chat; its parts are all as of one seq.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn status(&self, chat: &ChatRef) -> Result<ChatStatus, ReadModelError> {
        let head = self.log.head();
        let views = &self.views;
        let needed = [&*views.chats, &views.queue, &views.requests, &views.chat_events];
        self.ready(&needed, head).await?;
        let (this, chat) = (self.clone(), chat.created);
        blocking(move || this.status_blocking(chat, head)).await
    }

    fn status_blocking(&self, chat: Seq, head: Seq) -> Result<ChatStatus, ReadModelError> {
        let chats = OpenView::new(&self.views.chats)?;
        let queue = OpenView::new(&self.views.queue)?;
        let requests = OpenView::new(&self.views.requests)?;
        let events = OpenView::new(&self.views.chat_events)?;
        let as_of =
            [&chats, &queue, &requests, &events].iter().map(|open| open.from).fold(head, Seq::max);
        let (row, _) = self.chat_row(&chats, chat, as_of)?;
        let (queue, _) = queue.row_of_chat::<Queues>(&self.log, chat, as_of)?;
        let (requests, _) = requests.row_of_chat::<Requests>(&self.log, chat, as_of)?;
        let (runs, _) = events.row_of_chat::<ChatEvents>(&self.log, chat, as_of)?;
        let open_turn = row.and_then(|row| row.open_turn).map(|turn| OpenTurnStatus {
            turn_id: turn.turn_id,
            message_id: turn.message_id,
            started_seq: turn.started_seq,
        });
        Ok(ChatStatus {
            head_seq: as_of,
            last_seq: runs
                .and_then(|runs| runs.unsaved().last().map(Chunk::last_seq))
                .unwrap_or_default(),
            open_turn,
            queue_length: queue.map_or(0, |queue| queue.items.len()),
            pending_requests: requests.map_or(0, |requests| requests.items.len()),
        })
    }
}
