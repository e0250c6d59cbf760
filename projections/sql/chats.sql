-- Chats by the seq of their chat_created. body: a row blob, see `chat::Chat`; the columns repeat
-- what lists select and sort by.
CREATE TABLE chat (
    created_seq      INTEGER PRIMARY KEY,
    chat_id          TEXT NOT NULL UNIQUE,
    owner            TEXT,
    title            TEXT,
    last_activity_ms INTEGER NOT NULL,
    open_turn_seq    INTEGER,
    body             BLOB NOT NULL
) STRICT;

CREATE INDEX chat_by_activity ON chat (last_activity_ms, created_seq);
CREATE INDEX chat_by_owner ON chat (owner, last_activity_ms, created_seq);
CREATE INDEX chat_open ON chat (open_turn_seq) WHERE open_turn_seq IS NOT NULL;
