-- Where the events of each chat are in the log: a chunk of runs a row.
-- runs: a row blob of (first seq, number of events) in ascending order, see `chat_events::Chunk`.
-- The last chunk of a chat grows until it is full; the ones before never change.
CREATE TABLE chat_events (
    chat      INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    runs      BLOB NOT NULL,
    PRIMARY KEY (chat, first_seq)
) STRICT, WITHOUT ROWID;
