//! What a model is told when its turn begins: the conversation, and the session of its agent.

use scrollback_projections::message::Role as SpokenRole;
use scrollback_schema::event::Session;
use scrollback_schema::{ChatRef, Event, Kind, MessageId, Seq};

use super::Shared;
use crate::log::{PageLimits, ReadError, Scope};
use crate::provider::{Past, Role};
use crate::read_model::ReadModelError;

/// The conversation up to the user's message that is to be answered, oldest first.
///
/// Suggestions and the failures of turns are left out; what a turn said before it failed or was
/// interrupted stays.
pub(super) async fn conversation(
    shared: &Shared,
    chat: &ChatRef,
    until: &MessageId,
) -> Result<Vec<Past>, ReadModelError> {
    let mut spoken = shared.read_model.conversation(chat).await?;
    if let Some(at) = spoken.iter().position(|said| said.message == *until) {
        spoken.truncate(at + 1);
    }
    let past = spoken.into_iter().map(|said| Past {
        role: match said.role {
            SpokenRole::User => Role::User,
            SpokenRole::Assistant => Role::Assistant,
        },
        text: said.text,
        attachments: said.attachments,
    });
    Ok(past.collect())
}

/// What the agent noted last about its session, in turns that this provider ran.
///
/// Looked for in the log, since no projection folds it, and remembered: each chat is searched once
/// after a start of the server.
pub(super) async fn session(
    shared: &Shared,
    chat: &ChatRef,
    provider: &str,
) -> Result<Option<Session>, ReadError> {
    let key = (chat.created, provider.to_owned());
    if let Some(found) = shared.sessions().get(&key) {
        return Ok(found.clone());
    }
    let found = search(shared, chat, provider).await?;
    shared.sessions().put(key, found.clone());
    Ok(found)
}

async fn search(
    shared: &Shared,
    chat: &ChatRef,
    provider: &str,
) -> Result<Option<Session>, ReadError> {
    let (mut after, head) = (chat.created.prev(), shared.log.head());
    let (mut found, mut is_ours) = (None, false);
    while after < head {
        let page =
            shared.log.read(&Scope::Chat(chat.created), after, head, PageLimits::default()).await?;
        for section in &page.sections {
            for index in section.events_in(Seq::ZERO, head) {
                let kind = section.kind_at(index);
                if kind != Kind::Session.number() && kind != Kind::StreamStarted.number() {
                    continue;
                }
                match section.recorded(index)?.event() {
                    Some(Event::StreamStarted(started)) => is_ours = started.provider == provider,
                    Some(Event::Session(session)) if is_ours => found = Some(session.clone()),
                    _ => {}
                }
            }
        }
        after = page.through.max(after.next());
    }
    Ok(found)
}
