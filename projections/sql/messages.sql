-- Messages by the seq of their first event. head: a row blob, see `message::Head`; its size does
-- not depend on the length of the message.
CREATE TABLE message (
    first_seq  INTEGER PRIMARY KEY,
    chat       INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    last_seq   INTEGER NOT NULL,
    head       BLOB NOT NULL,
    UNIQUE (chat, message_id)
) STRICT;

CREATE INDEX message_of_chat ON message (chat, first_seq);

-- What a message is made of, in small pieces: a delta rewrites one. kind: see `message::PartKind`.
CREATE TABLE message_chunk (
    message INTEGER NOT NULL,
    part    INTEGER NOT NULL,
    chunk   INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (message, part, chunk)
) STRICT, WITHOUT ROWID;

-- The heads of tool calls (kind 3, chunk 0): all that a fold needs of the parts behind the last.
CREATE INDEX message_tool ON message_chunk (message, part) WHERE kind = 3 AND chunk = 0;
