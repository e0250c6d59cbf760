-- Messages that wait for their turn: a row a chat that has any.
-- body: a row blob, see `queue::Queue`.
CREATE TABLE queue (
    chat    INTEGER PRIMARY KEY,
    n_items INTEGER NOT NULL CHECK (n_items > 0),
    body    BLOB NOT NULL
) STRICT;
