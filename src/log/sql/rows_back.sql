-- Rows from the one that holds ?1 on, in reverse.
SELECT first_seq, n_events, at_ms, batch_id, checksum, records
FROM log
WHERE first_seq <= ?1
ORDER BY first_seq DESC
