-- What a fold keeps outside of memory while it goes over the log; gone with the command.

-- Chats by the seq of their chat_created. body: as in the projection `chats`.
CREATE TABLE chat (
    created  INTEGER PRIMARY KEY,
    activity INTEGER NOT NULL,
    body     BLOB NOT NULL
) STRICT;

-- Messages that have ended, as they will be shown.
CREATE TABLE message (
    chat      INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    shown     TEXT NOT NULL,
    PRIMARY KEY (chat, first_seq)
) STRICT, WITHOUT ROWID;
