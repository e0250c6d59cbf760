-- Approvals and questions that wait for an answer: a row a chat that has any.
-- body: a row blob, see `request::PendingRequests`.
CREATE TABLE requests (
    chat    INTEGER PRIMARY KEY,
    n_items INTEGER NOT NULL CHECK (n_items > 0),
    body    BLOB NOT NULL
) STRICT;
