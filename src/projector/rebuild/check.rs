//! Whether a live view is what a rebuild gives, row by row.

use std::cmp::Ordering;
use std::fmt::Write;
use std::path::PathBuf;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Rows};
use scrollback_projections::Description;
use scrollback_schema::Seq;

use super::build::{self, Builder};
use super::{Job, RebuildError, Stopped};
use crate::projector::file::read_state;
use crate::projector::names::{Names, remove_db};
use crate::projector::store::StoreError;
use crate::sqlite;

/// Rows that are compared between two looks whether to stop.
const ROWS_UNWATCHED_MAX: u32 = 4_096;

/// Bytes of a key that are shown.
const KEY_BYTES_MAX: usize = 160;

/// The first place at which a live view is not what its log says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The projection.
    pub projection: &'static str,
    /// The table.
    pub table: String,
    /// The row's key.
    pub key: String,
    /// What of the row differs.
    pub what: What,
    /// The last event that both reflect.
    pub at_seq: Seq,
}

/// How two rows differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// This column has another value.
    Column(String),
    /// The live view does not have the row.
    Missing,
    /// The rebuilt view does not have the row.
    TooMany,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Difference { projection, table, key, what, at_seq } = self;
        write!(f, "{projection}: table {table}, row {key}: ")?;
        match what {
            What::Column(column) => write!(f, "column {column} differs")?,
            What::Missing => f.write_str("the live view does not have it")?,
            What::TooMany => f.write_str("only the live view has it")?,
        }
        write!(f, " (both at seq {at_seq})")
    }
}

/// Folds one view into a scratch file and compares.
///
/// # Errors
///
/// [`RebuildError`].
pub(super) fn check_one(
    job: &Job<'_>,
    description: Description,
) -> Result<Option<Difference>, RebuildError> {
    let scratch = Names::new(job.data_dir, description.name).scratch();
    remove_db(&scratch).map_err(RebuildError::file(&scratch))?;
    let checked = fold_and_compare(job, description, &scratch);
    remove_db(&scratch).map_err(RebuildError::file(&scratch))?;
    checked
}

fn fold_and_compare(
    job: &Job<'_>,
    description: Description,
    scratch: &std::path::Path,
) -> Result<Option<Difference>, RebuildError> {
    let no_view = || RebuildError::NoView { projection: description.name };
    let source = job.source()?;
    let mut builders = [Builder::resume(scratch, description, &source)?];
    let report = |through: Seq, head: Seq| {
        (job.on_progress)(super::Progress { through, head });
        job.go_on()
    };
    // Twice: first far, then the rest within the transaction in which the live view is read, so
    // that it stands still no longer than it must.
    let fold = |builders: &mut [Builder], until: Seq| {
        let stopped = build::run(builders, &*source, until, job.page, &|seq| report(seq, until));
        match stopped {
            // A deletion removes scratch files too; this one is open, and goes on without a name.
            Ok(()) | Err(Stopped::FileGone) => Ok(()),
            Err(Stopped::Failed(error)) => Err(error),
        }
    };
    let live = open_live(job, description)?;
    let first = read_state(&live).map_err(|_| no_view())?;
    if first.version != description.version || first.log_id != source.log_id() {
        return Err(no_view());
    }
    fold(&mut builders, first.checkpoint)?;
    let failed = RebuildError::view(description.name);
    let begun = live.execute_batch("BEGIN").map_err(StoreError::from);
    if let Err(error) = begun {
        return Err(failed(error));
    }
    let state = read_state(&live).map_err(|_| no_view())?;
    fold(&mut builders, state.checkpoint)?;
    let [builder] = &builders;
    let is_stopped = || job.go_on().is_break();
    let Compared::Whole(found) = compare(&live, builder.db(), &is_stopped).map_err(failed)? else {
        return Err(RebuildError::Stopped);
    };
    Ok(found.map(|(table, key, what)| Difference {
        projection: description.name,
        table,
        key,
        what,
        at_seq: state.checkpoint,
    }))
}

fn open_live(job: &Job<'_>, description: Description) -> Result<Connection, RebuildError> {
    let names = Names::new(job.data_dir, description.name);
    let files = names.live_files().map_err(RebuildError::file(&names.live(0)))?;
    let newest: Option<PathBuf> = files.into_iter().next().map(|(_, path)| path);
    let path = newest.ok_or(RebuildError::NoView { projection: description.name })?;
    Ok(sqlite::open_view_reader(&path)?)
}

type Found = (String, String, What);

/// How far two views were compared.
enum Compared {
    /// To the end or to the first difference.
    Whole(Option<Found>),
    /// No further than to where it was stopped.
    Stopped,
}

/// The first row of any table that is not the same in both.
fn compare(
    live: &Connection,
    rebuilt: &Connection,
    is_stopped: &dyn Fn() -> bool,
) -> Result<Compared, StoreError> {
    for query in queries(rebuilt)? {
        let (mut left, mut right) = (live.prepare(&query.sql)?, rebuilt.prepare(&query.sql)?);
        let (left, right) = (left.query([])?, right.query([])?);
        let mut is_stopped = stops_every(ROWS_UNWATCHED_MAX, is_stopped);
        match first_difference(left, right, &query, &mut is_stopped)? {
            Compared::Whole(None) => {}
            ended => return Ok(ended),
        }
    }
    Ok(Compared::Whole(None))
}

/// How the rows of a table are read, in the order of their key.
struct Query {
    table: String,
    sql: String,
    columns: Vec<String>,
    /// Columns of the key, which come first.
    n_key: usize,
    /// Whether text of the key is a message's, which is not shown.
    is_of_text: bool,
}

fn queries(db: &Connection) -> Result<Vec<Query>, StoreError> {
    let mut statement =
        db.prepare("SELECT name, type FROM pragma_table_list WHERE schema = 'main'")?;
    let tables = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, String)>, _>>()?;
    let mut queries = Vec::new();
    for (table, kind) in tables {
        match kind.as_str() {
            "table" if !table.starts_with("sqlite_") => queries.push(query_of(db, table)?),
            "virtual" => queries.extend(terms_of(db, table)?),
            // The tables in which an index keeps itself depend on when it was written.
            _ => {}
        }
    }
    queries.sort_by(|a, b| a.table.cmp(&b.table));
    Ok(queries)
}

fn query_of(db: &Connection, table: String) -> Result<Query, StoreError> {
    let mut statement = db.prepare("SELECT name, pk FROM pragma_table_info(?1)")?;
    let mut columns = statement
        .query_map([&table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(String, i64)>, _>>()?;
    // The key first, in its own order.
    columns.sort_by_key(|&(_, pk)| if pk == 0 { i64::MAX } else { pk });
    let n_key = columns.iter().filter(|&&(_, pk)| pk > 0).count();
    let columns: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
    let sql = format!(
        "SELECT {} FROM {table} ORDER BY {}",
        columns.join(", "),
        columns[..n_key].join(", ")
    );
    Ok(Query { table, sql, columns, n_key, is_of_text: false })
}

/// The index of a full text has no rows of its own: the table of its terms has.
fn terms_of(db: &Connection, table: String) -> Result<Option<Query>, StoreError> {
    let has_terms =
        db.prepare("SELECT 1 FROM pragma_table_info(?1) WHERE name = 'term'")?.exists([&table])?;
    let columns = ["term", "doc", "col", "offset"].map(str::to_owned).to_vec();
    let sql = format!("SELECT {} FROM {table}", columns.join(", "));
    Ok(has_terms.then_some(Query { table, sql, columns, n_key: 4, is_of_text: true }))
}

fn first_difference(
    mut live: Rows<'_>,
    mut rebuilt: Rows<'_>,
    query: &Query,
    is_stopped: &mut dyn FnMut() -> bool,
) -> Result<Compared, StoreError> {
    let found = |key, what| Ok(Compared::Whole(Some((query.table.clone(), key, what))));
    loop {
        if is_stopped() {
            return Ok(Compared::Stopped);
        }
        let (left, right) = match (live.next()?, rebuilt.next()?) {
            (None, None) => return Ok(Compared::Whole(None)),
            (Some(left), None) => return found(key(left, query)?, What::TooMany),
            (None, Some(right)) => return found(key(right, query)?, What::Missing),
            (Some(left), Some(right)) => (left, right),
        };
        for index in 0..query.columns.len() {
            let (a, b) = (left.get_ref(index)?, right.get_ref(index)?);
            if a == b {
                continue;
            }
            return if index >= query.n_key {
                found(key(left, query)?, What::Column(query.columns[index].clone()))
            } else if order(a, b) == Ordering::Less {
                found(key(left, query)?, What::TooMany)
            } else {
                found(key(right, query)?, What::Missing)
            };
        }
    }
}

/// Asks once every so many times.
fn stops_every<'a>(n: u32, is_stopped: &'a dyn Fn() -> bool) -> impl FnMut() -> bool + 'a {
    let mut left = n;
    move || {
        left -= 1;
        left == 0 && {
            left = n;
            is_stopped()
        }
    }
}

/// The order in which SQLite gives keys: numbers before texts before blobs.
fn order(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    match (a, b) {
        (ValueRef::Integer(a), ValueRef::Integer(b)) => a.cmp(&b),
        (ValueRef::Text(a), ValueRef::Text(b)) | (ValueRef::Blob(a), ValueRef::Blob(b)) => a.cmp(b),
        (ValueRef::Integer(_), _) => Ordering::Less,
        _ => Ordering::Greater,
    }
}

fn key(row: &Row<'_>, query: &Query) -> Result<String, StoreError> {
    let mut shown = String::from("(");
    for index in 0..query.n_key {
        let separator = if index == 0 { "" } else { ", " };
        let name = &query.columns[index];
        let value = match row.get_ref(index)? {
            ValueRef::Integer(n) => n.to_string(),
            // Words of an index are text of a chat, and stay untold.
            ValueRef::Text(text) if !query.is_of_text => String::from_utf8_lossy(text).into_owned(),
            ValueRef::Text(_) => "…".to_owned(),
            ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => "?".to_owned(),
        };
        // Writing to a string cannot fail.
        let _ = write!(shown, "{separator}{name} {value}");
        if shown.len() > KEY_BYTES_MAX {
            let end = shown.floor_char_boundary(KEY_BYTES_MAX);
            shown.truncate(end);
            shown.push('…');
            break;
        }
    }
    shown.push(')');
    Ok(shown)
}
