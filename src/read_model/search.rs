//! Full text over finished messages.

use std::time::Duration;

use scrollback_schema::{ChatRef, MessageId, Seq};
use serde_json::value::RawValue;

use super::chats::ChatFilter;
use super::open::OpenView;
use super::{ReadModel, ReadModelError, blocking, json};
use crate::projector::{Found, Wanted, found_before};

/// How long a search waits for the index to get to the head.
const INDEX_WAIT: Duration = Duration::from_secs(5);

/// Times that a search goes on when what it found was deleted meanwhile.
const ROUNDS_MAX: usize = 8;

/// Words of a query; more make it no better.
const WORDS_MAX: usize = 32;

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchQuery {
    /// Words that must all be there; words in double quotes must stand together.
    pub text: String,
    /// In which chats.
    pub filter: ChatFilter,
    /// Where the page before ended.
    pub cursor: Option<Seq>,
    /// Hits at most.
    pub limit: usize,
}

/// A page of hits, the latest message first.
#[derive(Debug)]
pub struct SearchPage {
    /// The hits.
    pub items: Vec<SearchHit>,
    /// Where the next page begins, if there may be one.
    pub next_cursor: Option<Seq>,
    /// The seq that the page reflects.
    pub as_of_seq: Seq,
}

/// A message that was found.
#[derive(Debug)]
pub struct SearchHit {
    /// Its chat.
    pub chat: ChatRef,
    /// The chat as clients see it.
    pub chat_view: Box<RawValue>,
    /// The message.
    pub message_id: MessageId,
    /// The seq of its first event.
    pub first_seq: Seq,
    /// `user` or `assistant`.
    pub role: String,
    /// The text around what was found.
    pub snippet: String,
}

impl ReadModel {
    /// The messages that hold all the words, the latest first.
    ///
    /// # Errors
    ///
    /// [`ReadModelError::Behind`] if the index does not get to the head in time, and others.
    pub async fn search(&self, query: SearchQuery) -> Result<SearchPage, ReadModelError> {
        let as_of = self.log.head();
        self.ready(&[&self.views.chats], as_of).await?;
        let view = &self.views.search;
        view.ring();
        if !view.wait_until(INDEX_WAIT, |position| position.seen >= as_of).await {
            let lag_events = as_of.get().saturating_sub(view.position().seen.get());
            return Err(ReadModelError::Behind { projection: view.name(), lag_events });
        }
        let this = self.clone();
        blocking(move || this.search_blocking(&query, as_of)).await
    }

    fn search_blocking(
        &self,
        query: &SearchQuery,
        as_of_seq: Seq,
    ) -> Result<SearchPage, ReadModelError> {
        let (phrases, beginning) = to_fts(&query.text);
        if phrases.is_empty() && beginning.is_empty() {
            return Ok(SearchPage { items: Vec::new(), next_cursor: None, as_of_seq });
        }
        let (index, chats) =
            (OpenView::new(&self.views.search)?, OpenView::new(&self.views.chats)?);
        let terms = self.tokenizer.terms(&beginning);
        let beginning = terms.map_err(|error| index.failed(error.into()))?;
        let wanted = Wanted { phrases, beginning };
        let own = match query.filter.is_all() {
            true => None,
            false => Some(json_list(&self.admitted(&chats, &query.filter, as_of_seq)?)),
        };
        let (mut items, mut cursor) = (Vec::new(), query.cursor.unwrap_or(Seq::MAX));
        for _ in 0..ROUNDS_MAX {
            let missing = query.limit - items.len();
            let found = found_before(index.db(), &wanted, own.as_deref(), cursor, missing)
                .map_err(|error| index.failed(error))?;
            let is_last = found.len() < missing;
            for found in found {
                cursor = found.first_seq;
                items.extend(self.hit(&chats, found, query, as_of_seq)?);
            }
            if is_last {
                return Ok(SearchPage { items, next_cursor: None, as_of_seq });
            }
            if items.len() == query.limit {
                break;
            }
        }
        Ok(SearchPage { items, next_cursor: Some(cursor), as_of_seq })
    }

    /// A hit with its chat, unless the caller may not see it.
    fn hit(
        &self,
        chats: &OpenView,
        found: Found,
        query: &SearchQuery,
        as_of: Seq,
    ) -> Result<Option<SearchHit>, ReadModelError> {
        let (chat, _) = self.chat_row(chats, found.chat, as_of)?;
        Ok(chat.filter(|chat| query.filter.admits(chat)).map(|chat| SearchHit {
            chat_view: json(&chat.view()),
            chat: ChatRef { id: chat.id, created: found.chat },
            message_id: found.message,
            first_seq: found.first_seq,
            role: found.role,
            snippet: found.snippet,
        }))
    }
}

/// Seqs as a JSON list, for SQL.
fn json_list(seqs: &[Seq]) -> String {
    let seqs: Vec<String> = seqs.iter().map(ToString::to_string).collect();
    format!("[{}]", seqs.join(","))
}

/// The words and quoted phrases of a query, as FTS5 takes them; and apart from them the last word,
/// if it may be the beginning of one: empty if there is none.
fn to_fts(text: &str) -> (Vec<String>, String) {
    let mut terms: Vec<&str> = Vec::new();
    for (index, piece) in text.split('"').enumerate() {
        let is_quoted = index % 2 == 1;
        if is_quoted {
            terms.push(piece.trim());
        } else {
            terms.extend(piece.split_whitespace());
        }
    }
    // A term without a letter or digit has no token, and FTS5 would find nothing for it.
    terms.retain(|term| term.chars().any(char::is_alphanumeric));
    terms.truncate(WORDS_MAX);
    let is_open = !text.ends_with(['"', ' ']);
    let beginning = if is_open { terms.pop() } else { None };
    let phrases = terms.into_iter().map(|term| format!("\"{term}\"")).collect();
    (phrases, beginning.unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_phrases_become_a_query_and_operators_become_words() {
        let cases: [(&str, &[&str], &str); 9] = [
            ("hello", &[], "hello"),
            ("hello wor", &[r#""hello""#], "wor"),
            ("hello ", &[r#""hello""#], ""),
            (r#"say "good day" now"#, &[r#""say""#, r#""good day""#], "now"),
            (r#""good day""#, &[r#""good day""#], ""),
            ("a AND NEAR(b) OR -c^", &[r#""a""#, r#""AND""#, r#""NEAR(b)""#, r#""OR""#], "-c^"),
            (r#"un"closed"#, &[r#""un""#], "closed"),
            ("  ", &[], ""),
            ("*** \"\"", &[], ""),
        ];
        for (text, phrases, beginning) in cases {
            assert_eq!(
                to_fts(text),
                (phrases.iter().map(|&p| p.into()).collect(), beginning.into()),
                "{text}"
            );
        }
    }
}
