//! What was said in a chat, as a model is told it: text alone, within bounds.

use scrollback_projections::message::{Message, Part, Role};
use scrollback_schema::event::Attachment;
use scrollback_schema::limits::{HISTORY_BYTES_MAX, HISTORY_MESSAGES_MAX};
use scrollback_schema::{ChatRef, MessageId, Seq};

use super::messages::MessagesAt;
use super::open::OpenView;
use super::{ReadModel, ReadModelError, blocking};

/// Messages read at once: whole ones, with the results of their tools.
const PAGE_MESSAGES: usize = 50;

/// What one message said, without suggestions and without the failure of its turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Spoken {
    /// The message.
    pub message: MessageId,
    /// Who said it.
    pub role: Role,
    /// The joined text.
    pub text: String,
    /// Files that went with it.
    pub attachments: Vec<Attachment>,
}

impl Spoken {
    fn of(message: &Message) -> Spoken {
        let attachments = message.parts().filter_map(|part| match part {
            Part::Attachments(attachments) => Some(attachments.clone()),
            _ => None,
        });
        Spoken {
            message: message.head().id.clone(),
            role: message.head().role,
            text: message.text(),
            attachments: attachments.flatten().collect(),
        }
    }
}

impl ReadModel {
    /// What was said in a chat, oldest first: the latest messages that have a text or a file, as
    /// many as fit into the bounds of `schema::limits`.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`].
    pub async fn conversation(&self, chat: &ChatRef) -> Result<Vec<Spoken>, ReadModelError> {
        let head = self.log.head();
        self.ready(&[&self.views.messages], head).await?;
        let (this, chat) = (self.clone(), chat.created);
        blocking(move || {
            let open = OpenView::new(&this.views.messages)?;
            let at = MessagesAt::new(&this, &open, chat, head.max(open.from))?;
            let (mut spoken, mut n_bytes, mut before) = (Vec::new(), 0, Seq::MAX);
            loop {
                let (page, has_more) = at.page(before, PAGE_MESSAGES)?;
                for message in page.iter().rev() {
                    before = message.head().first_seq;
                    let said = Spoken::of(message);
                    n_bytes += said.text.len();
                    if n_bytes > HISTORY_BYTES_MAX || spoken.len() >= HISTORY_MESSAGES_MAX {
                        return Ok(oldest_first(spoken));
                    }
                    if !said.text.is_empty() || !said.attachments.is_empty() {
                        spoken.push(said);
                    }
                }
                if !has_more {
                    return Ok(oldest_first(spoken));
                }
            }
        })
        .await
    }
}

fn oldest_first(mut spoken: Vec<Spoken>) -> Vec<Spoken> {
    spoken.reverse();
    spoken
}
