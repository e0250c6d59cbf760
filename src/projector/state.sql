-- What every view file says about itself, beside the tables of its projection.

-- One row: the rows of the file are what follows from the events of log log_id up to checkpoint.
CREATE TABLE state (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    projection TEXT NOT NULL,
    version    INTEGER NOT NULL,
    log_id     TEXT NOT NULL,
    checkpoint INTEGER NOT NULL
) STRICT;

-- Chats whose rows stand still before an event that could not be applied.
CREATE TABLE parked (
    chat    INTEGER PRIMARY KEY,
    chat_id TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    cause   TEXT NOT NULL
) STRICT;
