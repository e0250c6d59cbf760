//! The tables, indexes and triggers of log.db as the migrations make them, and of a view as its
//! projection does, and whether a file has just these.
//!
//! Their texts stand in the file like rows do, and SQLite believes whatever it finds there: a
//! trigger with a flipped bit guards nothing any more, and no checksum covers it.

use std::sync::OnceLock;

use rusqlite::Connection;
use scrollback_schema::migrations::MIGRATIONS;

use super::open_scratch;

/// One of them: its type, its name, the table that it is of, and its text.
type Definition = (String, String, String, Option<String>);

/// What is defined once the migrations up to each version are done, from version 0 on.
static EXPECTED: OnceLock<Vec<Vec<Definition>>> = OnceLock::new();

/// Whether a database defines just what these statements do.
///
/// # Errors
///
/// SQLite's own, also where the file defines nothing that it can read.
pub(crate) fn is_defined_by(db: &Connection, sql: &[&str]) -> Result<bool, rusqlite::Error> {
    let made = open_scratch()?;
    sql.iter().try_for_each(|sql| made.execute_batch(sql))?;
    let (mut expected, mut found) = (definitions(&made)?, definitions(db)?);
    expected.sort();
    found.sort();
    Ok(found == expected)
}

/// Names what a log.db of this version defines otherwise than its migrations do.
///
/// # Errors
///
/// SQLite's own, also where the file defines nothing that it can read.
pub(crate) fn strange_definitions(
    db: &Connection,
    version: u32,
) -> Result<Vec<String>, rusqlite::Error> {
    let found = definitions(db)?;
    let expected = match EXPECTED.get() {
        Some(expected) => expected,
        None => {
            let made = expected_definitions()?;
            EXPECTED.get_or_init(|| made)
        }
    };
    let Some(expected) = expected.get(version as usize) else { return Ok(Vec::new()) };
    let missing = expected.iter().filter(|definition| !found.contains(definition));
    let surplus = found.iter().filter(|definition| !expected.contains(definition));
    // What is defined otherwise is both; it is named as it should be.
    let is_named = |(_, name, ..): &&Definition| !expected.iter().any(|(_, n, ..)| n == name);
    Ok(missing
        .chain(surplus.filter(is_named))
        .map(|(kind, name, ..)| format!("{kind} {name}"))
        .collect())
}

fn definitions(db: &Connection) -> Result<Vec<Definition>, rusqlite::Error> {
    db.prepare_cached("SELECT type, name, tbl_name, sql FROM sqlite_schema")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect()
}

fn expected_definitions() -> Result<Vec<Vec<Definition>>, rusqlite::Error> {
    let db = open_scratch()?;
    let mut expected = vec![Vec::new()];
    for migration in MIGRATIONS {
        db.execute_batch(migration.sql)?;
        expected.push(definitions(&db)?);
    }
    Ok(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migrated() -> Connection {
        let db = open_scratch().unwrap();
        MIGRATIONS.iter().for_each(|migration| db.execute_batch(migration.sql).unwrap());
        db
    }

    #[test]
    fn what_is_defined_otherwise_is_named() {
        let version = MIGRATIONS.last().unwrap().version;
        let check = |sql: &str, expected: &[&str]| {
            let db = migrated();
            db.execute_batch(sql).unwrap();
            assert_eq!(strange_definitions(&db, version).unwrap(), expected, "{sql}");
        };
        check("", &[]);
        check("DROP TRIGGER log_delete_only_archived", &["trigger log_delete_only_archived"]);
        check("CREATE TABLE more (x)", &["table more"]);
        check(
            "DROP INDEX turn_open; CREATE INDEX turn_open ON turn (chat) WHERE ended_seq = 1",
            &["index turn_open"],
        );
    }
}
