-- The one door: a record batch at the end of the log.
INSERT INTO log (first_seq, n_events, at_ms, batch_id, checksum, records)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
