-- Rows from the one that holds ?1 on, in order.
SELECT first_seq, n_events, at_ms, batch_id, checksum, records
FROM log
WHERE first_seq >= coalesce((SELECT max(first_seq) FROM log WHERE first_seq <= ?1), 0)
ORDER BY first_seq
