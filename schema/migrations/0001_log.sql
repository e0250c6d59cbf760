-- Version 1 of log.db. Never edited once released; a change is a new file.

-- What the file says about itself: log_id, lease_key.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The log: a record batch a row, ordered by seq and by nothing else. A commit is one row or more,
-- all with its batch_id.
CREATE TABLE log (
    first_seq INTEGER PRIMARY KEY,
    n_events  INTEGER NOT NULL CHECK (n_events > 0),
    at_ms     INTEGER NOT NULL,
    batch_id  BLOB NOT NULL CHECK (length(batch_id) = 16),
    checksum  INTEGER NOT NULL,
    records   BLOB NOT NULL
) STRICT;

-- Chats whose payloads are being erased: while one is here, records may be replaced by records of
-- the same length. The row goes in the transaction that erases the last of them.
CREATE TABLE erasing (
    chat INTEGER PRIMARY KEY
) STRICT;

CREATE TRIGGER log_insert_dense BEFORE INSERT ON log
WHEN NEW.first_seq <> coalesce(
    (SELECT first_seq + n_events FROM log ORDER BY first_seq DESC LIMIT 1), 1)
BEGIN
    SELECT RAISE(ABORT, 'the log is dense: the first seq of a row follows the last one');
END;

CREATE TRIGGER log_delete_never BEFORE DELETE ON log
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: rows are never deleted');
END;

CREATE TRIGGER log_update_only_to_erase BEFORE UPDATE ON log
WHEN NOT EXISTS (SELECT 1 FROM erasing)
  OR NEW.first_seq <> OLD.first_seq
  OR NEW.n_events <> OLD.n_events
  OR NEW.at_ms <> OLD.at_ms
  OR NEW.batch_id <> OLD.batch_id
  OR NEW.checksum <> OLD.checksum
  OR length(NEW.records) <> length(OLD.records)
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: rows are changed only to erase payloads');
END;

-- What the writer needs to know to refuse: a fold of the log, kept in the transaction that appends.
-- `verify` compares it with the log.

-- Chats by the seq of their chat_created.
CREATE TABLE chat (
    created_seq INTEGER PRIMARY KEY,
    chat_id     TEXT NOT NULL UNIQUE,
    deleted_seq INTEGER,
    erased      INTEGER NOT NULL DEFAULT 0 CHECK (erased IN (0, 1))
) STRICT;

-- Turns by the seq of their stream_started. lease_ms is null for a turn that the server runs.
CREATE TABLE turn (
    started_seq   INTEGER PRIMARY KEY,
    chat          INTEGER NOT NULL,
    turn_id       TEXT NOT NULL,
    message_id    TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    ended_seq     INTEGER,
    lease_ms      INTEGER,
    lease_epoch   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (chat, turn_id)
) STRICT;

CREATE INDEX turn_open ON turn (chat) WHERE ended_seq IS NULL;

-- Ids that a chat has used, by what they name: message, request, queued message, schedule.
-- is_open: still pending, queued, or scheduled.
CREATE TABLE register (
    chat    INTEGER NOT NULL,
    space   INTEGER NOT NULL,
    id      TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    is_open INTEGER NOT NULL CHECK (is_open IN (0, 1)),
    PRIMARY KEY (chat, space, id)
) STRICT, WITHOUT ROWID;

-- Answers by idempotency key; both are SHA-256. No text of a chat is kept here.
CREATE TABLE idempotency (
    key       BLOB PRIMARY KEY CHECK (length(key) = 32),
    body      BLOB NOT NULL CHECK (length(body) = 32),
    at_ms     INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    receipt   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_age ON idempotency (at_ms);
