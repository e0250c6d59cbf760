//! Rows of `search`: documents, and the index over their text; who changes one changes both.
//!
//! A word of which only the beginning is known is looked up among the index's terms, and these are
//! searched for: FTS5 by itself would gather every place of every such term in memory first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, ToSql, params};
use scrollback_projections::search::{Document, DocumentText, Search};
use scrollback_projections::{MessageKey, Projection};
use scrollback_schema::{MessageId, Seq};

use super::{Store, StoreError, Written};
use crate::sqlite;

/// Terms that are searched for in the place of one beginning.
const TERMS_MAX: usize = 4_096;

/// Terms of one query: FTS5 holds a place in the index for each.
const TERMS_AT_ONCE: usize = 64;

impl Store for Search {
    const ROWS_AT_HAND: usize = 0;

    fn chat_of(key: &MessageKey) -> Seq {
        key.chat
    }

    /// Always none: the rules of the log let a message end once, so that no event of its comes
    /// after the one that made it a document.
    fn load(_db: &Connection, _key: &MessageKey) -> Result<Option<Document>, StoreError> {
        Ok(None)
    }

    fn save(db: &Connection, key: &MessageKey, row: &mut Document) -> Result<Written, StoreError> {
        let DocumentText::Known(text) = &row.text else {
            return Err(StoreError::row::<Search>("a document has no text yet"));
        };
        db.prepare_cached(
            "INSERT INTO document (first_seq, chat, message_id, role, at_ms, text)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            row.first_seq.as_i64(),
            key.chat.as_i64(),
            key.message.as_str(),
            row.role.name(),
            row.at.get(),
            text,
        ])?;
        db.prepare_cached("INSERT INTO document_text (rowid, text) VALUES (?1, ?2)")?
            .execute(params![row.first_seq.as_i64(), text])?;
        Ok(Written::row(text.len()))
    }

    fn remove(db: &Connection, key: &MessageKey) -> Result<Written, StoreError> {
        let key = params![key.chat.as_i64(), key.message.as_str()];
        remove_where(db, "chat = ?1 AND message_id = ?2", key)
    }

    fn remove_chat(db: &Connection, chat: Seq) -> Result<Written, StoreError> {
        remove_where(db, "chat = ?1", params![chat.as_i64()])
    }
}

/// Removes documents: first their terms, which are found by their text.
fn remove_where(
    db: &Connection,
    condition: &str,
    values: &[&dyn ToSql],
) -> Result<Written, StoreError> {
    let terms = format!(
        "INSERT INTO document_text (document_text, rowid, text)
         SELECT 'delete', first_seq, text FROM document WHERE {condition}"
    );
    db.prepare_cached(&terms)?.execute(values)?;
    let rows = format!("DELETE FROM document WHERE {condition}");
    let rows = db.prepare_cached(&rows)?.execute(values)?;
    Ok(Written { rows, bytes: 0 })
}

/// A document that holds what was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Its number: the seq of the message's first event.
    pub(crate) first_seq: Seq,
    /// The chat, by the seq of its first event.
    pub(crate) chat: Seq,
    /// The message.
    pub(crate) message: MessageId,
    /// `user` or `assistant`.
    pub(crate) role: String,
    /// The text around what was found.
    pub(crate) snippet: String,
}

/// What is searched for: all of it must be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Wanted {
    /// Words and phrases, as FTS5 takes them.
    pub(crate) phrases: Vec<String>,
    /// Terms that must stand together, of the last of which only the beginning may be known.
    pub(crate) beginning: Vec<String>,
}

impl Wanted {
    /// The queries of FTS5, one of which a document must match.
    fn queries(&self, db: &Connection) -> Result<Vec<String>, rusqlite::Error> {
        let Some((last, before)) = self.beginning.split_last() else {
            let is_empty = self.phrases.is_empty();
            return Ok(if is_empty { vec![] } else { vec![self.phrases.join(" ")] });
        };
        let phrase = |term: &String| match before {
            [] => format!("\"{term}\""),
            _ => format!("\"{} {term}\"", before.join(" ")),
        };
        let one_of = |terms: &[String]| {
            let one = terms.iter().map(phrase).collect::<Vec<_>>().join(" OR ");
            match self.phrases.is_empty() {
                true => one,
                false => format!("{} AND ({one})", self.phrases.join(" ")),
            }
        };
        let terms = terms_that_begin(db, last)?;
        Ok(terms.chunks(TERMS_AT_ONCE).map(one_of).collect())
    }
}

/// The terms that begin so, in the order of their bytes, up to [`TERMS_MAX`] of them.
fn terms_that_begin(db: &Connection, beginning: &str) -> Result<Vec<String>, rusqlite::Error> {
    // The table has a row for each place of a term: from term to term without them.
    let mut next =
        db.prepare_cached("SELECT term FROM document_term WHERE term >= ?1 ORDER BY term LIMIT 1")?;
    let (mut terms, mut from) = (Vec::new(), beginning.to_owned());
    while terms.len() < TERMS_MAX {
        let term = next.query_row([&from], |row| row.get::<_, String>(0)).optional()?;
        let Some(term) = term.filter(|term| term.starts_with(beginning)) else { break };
        // No term has a control character in it.
        from = format!("{term}\u{1}");
        terms.push(term);
    }
    Ok(terms)
}

/// The documents before `before` that match, the latest first, at most `limit`; only those of a
/// JSON list of chats, if it is given: what others said is not even counted.
///
/// # Errors
///
/// [`StoreError`] if SQLite refuses or a row is damaged.
pub(crate) fn found_before(
    db: &Connection,
    wanted: &Wanted,
    chats: Option<&str>,
    before: Seq,
    limit: usize,
) -> Result<Vec<Found>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT d.first_seq
         FROM document_text JOIN document AS d ON d.first_seq = document_text.rowid
         WHERE document_text MATCH ?1 AND document_text.rowid < ?2 AND document_text.rowid > ?5
           AND (?4 IS NULL OR d.chat IN (SELECT value FROM json_each(?4)))
         ORDER BY document_text.rowid DESC LIMIT ?3",
    )?;
    let queries = wanted.queries(db)?;
    let mut latest: BTreeMap<i64, &str> = BTreeMap::new();
    for query in &queries {
        let is_full = latest.len() >= limit;
        let after = latest.first_key_value().filter(|_| is_full).map_or(0, |(&seq, _)| seq);
        let values = params![query, before.as_i64(), limit as i64, chats, after];
        for seq in statement.query_map(values, |row| row.get(0))? {
            latest.entry(seq?).or_insert(query);
        }
        while latest.len() > limit {
            latest.pop_first();
        }
    }
    latest.iter().rev().map(|(&seq, query)| found(db, query, seq)).collect()
}

/// A document, and where in it the query is met.
fn found(db: &Connection, query: &str, seq: i64) -> Result<Found, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT d.first_seq, d.chat, d.message_id, d.role,
                snippet(document_text, 0, '', '', '…', 24)
         FROM document_text JOIN document AS d ON d.first_seq = document_text.rowid
         WHERE document_text MATCH ?1 AND document_text.rowid = ?2",
    )?;
    let row = statement.query_row(params![query, seq], |row| {
        let message: String = row.get(2)?;
        Ok((
            (Seq::from_i64(row.get(0)?), Seq::from_i64(row.get(1)?), MessageId::try_from(message)),
            (row.get(3)?, row.get(4)?),
        ))
    })?;
    match row {
        ((Some(first_seq), Some(chat), Ok(message)), (role, snippet)) => {
            Ok(Found { first_seq, chat, message, role, snippet })
        }
        _ => Err(StoreError::row::<Search>("a document names no message")),
    }
}

/// Splits text into the terms that the index has for it.
#[derive(Debug, Default)]
pub(crate) struct Tokenizer {
    /// An index in memory, empty between two calls; made at the first.
    db: Mutex<Option<Connection>>,
}

impl Tokenizer {
    /// The terms of a text, in its order.
    ///
    /// # Errors
    ///
    /// SQLite's own.
    pub(crate) fn terms(&self, text: &str) -> Result<Vec<String>, rusqlite::Error> {
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        let db = match &mut *db {
            Some(db) => db,
            none => none.insert(empty_index()?),
        };
        // Rolled back: nothing stays of it.
        let tx = db.transaction()?;
        tx.prepare_cached("INSERT INTO document_text (rowid, text) VALUES (1, ?1)")?
            .execute([text])?;
        tx.prepare_cached("SELECT term FROM document_term ORDER BY \"offset\"")?
            .query_map([], |row| row.get(0))?
            .collect()
    }
}

/// The tables of the view, for text that is in no message.
fn empty_index() -> Result<Connection, rusqlite::Error> {
    let db = sqlite::open_transient()?;
    db.execute_batch(Search::SQL)?;
    Ok(db)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A view with these texts, by seq.
    fn view_of(texts: &[String]) -> Connection {
        let db = empty_index().unwrap();
        for (seq, text) in (1..).zip(texts) {
            db.execute(
                "INSERT INTO document VALUES (?1, 1, 'm' || ?1, 'user', 0, ?2)",
                params![seq, text],
            )
            .unwrap();
            db.execute(
                "INSERT INTO document_text (rowid, text) VALUES (?1, ?2)",
                params![seq, text],
            )
            .unwrap();
        }
        db
    }

    fn wanted(phrases: &[&str], beginning: &str) -> Wanted {
        let phrases = phrases.iter().map(|&phrase| phrase.to_owned()).collect();
        Wanted { phrases, beginning: Tokenizer::default().terms(beginning).unwrap() }
    }

    /// The seqs of all pages of so many hits.
    fn seqs(db: &Connection, wanted: &Wanted, limit: usize) -> Vec<u64> {
        let (mut seqs, mut before) = (Vec::new(), Seq::MAX);
        loop {
            let found = found_before(db, wanted, None, before, limit).unwrap();
            seqs.extend(found.iter().map(|found| found.first_seq.get()));
            match found.last() {
                Some(found) if seqs.len().is_multiple_of(limit) => before = found.first_seq,
                _ => return seqs,
            }
        }
    }

    #[test]
    fn a_beginning_of_many_words_finds_what_each_of_them_does_latest_first() {
        // More terms than one query takes, each in three documents that are far apart, and two of
        // them in each document.
        let n_terms = TERMS_AT_ONCE * 2 + 7;
        let texts: Vec<String> = (0..n_terms * 3)
            .map(|n| format!("common word{:03} word{:03} other{n}", n % n_terms, n * 5 % n_terms))
            .collect();
        let db = view_of(&texts);
        let all: Vec<u64> = (1..=texts.len() as u64).rev().collect();
        for limit in [1, 7, 1_000] {
            assert_eq!(seqs(&db, &wanted(&[], "word"), limit), all);
            assert_eq!(seqs(&db, &wanted(&["\"common\""], "WOR"), limit), all);
        }
        let begins_so = |text: &str| text.split(' ').any(|word| word.starts_with("word01"));
        let numbered = all.iter().zip(texts.iter().rev());
        let some: Vec<u64> =
            numbered.filter(|(_, text)| begins_so(text)).map(|(&seq, _)| seq).collect();
        assert_eq!(seqs(&db, &wanted(&[], "word01"), 4), some);
        assert_eq!(seqs(&db, &wanted(&["\"absent\""], "word"), 4), [0; 0]);
        assert_eq!(seqs(&db, &wanted(&[], "words"), 4), [0; 0]);
    }

    #[test]
    fn a_beginning_is_split_and_folded_as_the_index_does() {
        let texts = ["Crème brûlée, s'il vous plaît", "creme de la creme", "brule"];
        let db = view_of(&texts.map(str::to_owned));
        for (phrases, beginning, expected) in [
            (&[][..], "CRÈ", &[2, 1][..]),
            (&[], "crème-brul", &[1]),
            (&[], "s'i", &[1]),
            (&[], "brul", &[3, 1]),
            (&["\"la\"", "\"de\""], "cre", &[2]),
            (&["\"creme\""], "", &[2, 1]),
            (&[], "", &[]),
            (&[], "…", &[]),
        ] {
            assert_eq!(seqs(&db, &wanted(phrases, beginning), 10), expected, "{beginning}");
        }
    }

    #[test]
    fn what_is_shown_is_around_the_word_that_begins_so() {
        let text = format!("{}here is the needlework {}", "hay ".repeat(60), "hay ".repeat(60));
        let db = view_of(&[text]);
        let found = found_before(&db, &wanted(&[], "needle"), None, Seq::MAX, 1).unwrap();
        assert!(found[0].snippet.contains("the needlework"), "{}", found[0].snippet);
    }
}
