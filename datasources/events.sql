-- name: columns
e.seq, e.at, e.kind, e.job_id, e.robot_id, e.position, e.workflow_id, e.environment, e.status, e.previous_status

-- name: identity
-- The name of this ledger.
SELECT l.identity FROM monitor.ledger l

-- name: beyond
-- What can be seen beyond a position: numbers above it, and numbers that it skipped; with the snapshot that saw them.
SELECT pg_current_snapshot()::text AS snapshot, {columns}
FROM (VALUES (1)) AS one
LEFT JOIN LATERAL (
    SELECT e.* FROM unnest(:gap_starts::bigint[], :gap_ends::bigint[]) AS gap (first, last)
    JOIN monitor.events e ON e.seq BETWEEN gap.first AND gap.last
    UNION ALL
    (SELECT e.* FROM monitor.events e WHERE e.seq > :high ORDER BY e.seq LIMIT :limit)
) e ON TRUE
ORDER BY e.seq

-- name: between
-- What one position covers and an earlier one does not, oldest first.
SELECT {columns}
FROM monitor.events e
WHERE e.seq > :start AND e.seq <= :high
  AND (e.seq > :from_high OR EXISTS (
        SELECT FROM unnest(:from_starts::bigint[], :from_ends::bigint[]) AS gap (first, last)
        WHERE e.seq BETWEEN gap.first AND gap.last))
  AND NOT EXISTS (
        SELECT FROM unnest(:gap_starts::bigint[], :gap_ends::bigint[]) AS gap (first, last)
        WHERE e.seq BETWEEN gap.first AND gap.last)
  AND e.kind = ANY(:kinds::text[])                                                          --? kinds
  AND e.job_id = :job_id                                                                    --? job_id
ORDER BY e.seq
LIMIT :limit

-- name: end
-- Where the ledger ends now, with the numbers of the last hour that are missing below it.
SELECT pg_current_snapshot()::text AS snapshot,
       (SELECT coalesce(max(e.seq), 0) FROM monitor.events e) AS high,
       gaps.starts, gaps.ends
FROM (
    SELECT coalesce(array_agg(seen.before + 1 ORDER BY seen.seq), '{}') AS starts,
           coalesce(array_agg(seen.seq - 1 ORDER BY seen.seq), '{}') AS ends
    FROM (
        SELECT e.seq, lag(e.seq) OVER (ORDER BY e.seq) AS before
        FROM monitor.events e WHERE e.at > now() - interval '1 hour'
    ) seen
    WHERE seen.seq > seen.before + 1
) gaps

-- name: oldest
-- The oldest number that is still kept; null in an empty ledger.
SELECT min(e.seq) AS seq FROM monitor.events e

-- name: prune
-- Forget what is older than so many seconds or beyond the newest so many, a piece at a time. The newest one stays, since
-- it tells how far the ledger had come.
DELETE FROM monitor.events e
WHERE e.seq IN (
    SELECT old.seq
    FROM monitor.events old, (SELECT max(newest.seq) AS seq FROM monitor.events newest) newest
    WHERE old.seq < newest.seq
      AND (old.at < now() - make_interval(secs => :seconds) OR old.seq <= newest.seq - :most)
    ORDER BY old.seq LIMIT :limit
)
RETURNING 1
