-- The text of finished messages, by the seq of their first event.
CREATE TABLE document (
    first_seq  INTEGER PRIMARY KEY,
    chat       INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    role       TEXT NOT NULL,
    at_ms      INTEGER NOT NULL,
    text       TEXT NOT NULL
) STRICT;

CREATE INDEX document_of_chat ON document (chat, first_seq);

-- Who writes a document writes its terms: a trigger would have the index write out what it gathers
-- after every single document.
CREATE VIRTUAL TABLE document_text USING fts5 (
    text,
    content = 'document',
    content_rowid = 'first_seq',
    tokenize = 'unicode61 remove_diacritics 2'
);

-- The terms of the index in order, for words of which only the beginning is known.
CREATE VIRTUAL TABLE document_term USING fts5vocab (document_text, instance);

-- Terms of a deleted document leave the index at once, not at some later merge.
INSERT INTO document_text (document_text, rank) VALUES ('secure-delete', 1);
