-- Schedules: a row a chat that has any.
-- body: a row blob, see `schedule::ChatSchedules`.
CREATE TABLE schedules (
    chat    INTEGER PRIMARY KEY,
    n_items INTEGER NOT NULL CHECK (n_items > 0),
    body    BLOB NOT NULL
) STRICT;
