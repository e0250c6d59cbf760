-- Version 2 of log.db: the oldest rows of the log can move into segment files. Never edited once
-- released; a change is a new file.

-- The segment files that hold the oldest part of the log, from seq 1 on without a gap.
-- `checksum` is that of the file's index, which holds those of its blocks.
CREATE TABLE segment (
    first_seq INTEGER PRIMARY KEY,
    last_seq  INTEGER NOT NULL CHECK (last_seq >= first_seq),
    file      TEXT NOT NULL UNIQUE,
    n_bytes   INTEGER NOT NULL,
    checksum  INTEGER NOT NULL
) STRICT;

CREATE TRIGGER segment_insert_dense BEFORE INSERT ON segment
WHEN NEW.first_seq <> coalesce((SELECT max(last_seq) + 1 FROM segment), 1)
BEGIN
    SELECT RAISE(ABORT, 'the archive is dense: a segment follows the last one');
END;

CREATE TRIGGER segment_delete_never BEFORE DELETE ON segment
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: segments are never deleted');
END;

CREATE TRIGGER segment_update_only_to_erase BEFORE UPDATE ON segment
WHEN NOT EXISTS (SELECT 1 FROM erasing)
  OR NEW.first_seq <> OLD.first_seq
  OR NEW.last_seq <> OLD.last_seq
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: segments are changed only to erase payloads');
END;

-- A row leaves the table only once a segment holds it; the last one stays, whatever holds it.
DROP TRIGGER log_delete_never;

CREATE TRIGGER log_delete_only_archived BEFORE DELETE ON log
WHEN OLD.first_seq = (SELECT max(first_seq) FROM log)
  OR NOT EXISTS (
    SELECT 1 FROM segment
    WHERE first_seq <= OLD.first_seq AND last_seq >= OLD.first_seq + OLD.n_events - 1)
BEGIN
    SELECT RAISE(ABORT, 'the log is append-only: rows leave it only for the archive');
END;

-- Until what an open request or a queued message is answered or taken, its events stay in the log.
CREATE INDEX register_open ON register (space, seq) WHERE is_open = 1;
