-- name: columns
e.seq, e.at, e.kind, e.job_id, e.robot_id, e.position, e.workflow_id, e.environment, e.status, e.previous_status

-- name: identity
-- The name of this ledger.
SELECT l.identity FROM monitor.ledger l

-- name: beyond
-- What can be seen beyond a position: numbers above it, and numbers that it skipped. Only a transaction that has drawn a
-- number can fill a gap, and it holds the numbers' sequence until it ends: those are its writers, read after the events.
SELECT {writers} AS writers,                                                                --? gap_starts
SELECT NULL AS writers,                                                                     --? !gap_starts
       {columns}
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
    SELECT e.* FROM unnest(:gap_starts::bigint[], :gap_ends::bigint[]) AS gap (first, last) --? gap_starts
    JOIN monitor.events e ON e.seq BETWEEN gap.first AND gap.last                           --? gap_starts
    UNION ALL                                                                               --? gap_starts
    (SELECT e.* FROM monitor.events e WHERE e.seq > :high ORDER BY e.seq LIMIT :limit)
    ORDER BY seq LIMIT :limit                                                               --? gap_starts
) e ON TRUE
ORDER BY e.seq

-- name: writers
ARRAY(
    SELECT l.virtualtransaction FROM pg_locks l
    WHERE l.relation = 'monitor.events_seq_seq'::regclass AND l.mode = 'RowExclusiveLock'
      AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
)

-- name: between
-- Numbers that are wanted, oldest first, and how far the ledger was pruned when they were read.
SELECT l.pruned, {columns}
FROM monitor.ledger l
LEFT JOIN LATERAL (
    SELECT e.* FROM monitor.events e
    WHERE e.seq > :start AND e.seq <= :high AND e.seq <@ (SELECT :wanted::text::int8multirange)
    ORDER BY e.seq
    LIMIT :limit
) e ON TRUE
ORDER BY e.seq

-- name: end
-- Where the ledger ends now, with the numbers that are missing between the events of the last hour, or just before them.
SELECT greatest(l.pruned, (SELECT max(e.seq) FROM monitor.events e)) AS high, gaps.starts, gaps.ends
FROM monitor.ledger l, LATERAL (
    SELECT coalesce(array_agg(seen.before + 1 ORDER BY seen.seq), '{}') AS starts,
           coalesce(array_agg(seen.seq - 1 ORDER BY seen.seq), '{}') AS ends
    FROM (
        SELECT e.seq, coalesce(
            lag(e.seq) OVER (ORDER BY e.seq),
            (SELECT max(older.seq) FROM monitor.events older WHERE older.seq < e.seq),
            l.pruned
        ) AS before
        FROM monitor.events e
        WHERE e.seq >= (SELECT first.seq FROM monitor.events first WHERE first.at > now() - interval '1 hour'
                        ORDER BY first.at, first.seq LIMIT 1)
    ) seen
    WHERE seen.seq > seen.before + 1
) gaps

-- name: prune
-- Forget what is older than so many seconds or beyond the newest so many numbers, a piece at a time, and keep in mind
-- how far.
WITH gone AS (
    DELETE FROM monitor.events e
    WHERE e.seq IN (
        SELECT old.seq FROM monitor.events old
        WHERE old.seq <= greatest(
            (SELECT max(newest.seq) FROM monitor.events newest) - :most,
            (SELECT past.seq FROM monitor.events past WHERE past.at < now() - make_interval(secs => :seconds)
             ORDER BY past.at DESC, past.seq DESC LIMIT 1)
        )
        ORDER BY old.seq LIMIT :limit
    )
    RETURNING e.seq
), noted AS (
    UPDATE monitor.ledger l SET pruned = greatest(l.pruned, (SELECT max(gone.seq) FROM gone))
    WHERE EXISTS (SELECT FROM gone)
)
SELECT count(*) AS gone FROM gone
