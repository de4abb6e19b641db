-- name: columns
j.job_id, j.environment, j.workflow_id, j.status, j.robot_id, j.current_node, j.created_at, j.claimed_at,
j.completed_at, (j.duration_ms * 1000)::bigint AS duration_us

-- name: jobs_now
-- What is counted of these jobs.
SELECT {columns}
FROM monitor.jobs j
WHERE j.job_id = ANY(:job_ids::text[])

-- name: beyond
-- The transitions that can be seen, and that a position does not cover.
(
    SELECT e.seq, e.kind, e.job_id FROM monitor.events e WHERE e.seq > :high
    UNION ALL
    SELECT e.seq, e.kind, e.job_id
    FROM unnest(:gap_starts::bigint[], :gap_ends::bigint[]) AS gap (first, last)
    JOIN monitor.events e ON e.seq BETWEEN gap.first AND gap.last
)

-- name: heard_of
-- The numbers that can be seen, and that a position does not cover.
SELECT beyond.seq FROM {beyond} AS beyond

-- name: open
-- How many jobs of each workflow wait or run in each environment, and when the first of them was created.
SELECT j.environment, j.status, j.workflow_id, count(*) AS jobs, min(j.created_at) AS since
FROM monitor.jobs j
WHERE j.status IN ('pending', 'claimed')
GROUP BY 1, 2, 3

-- name: jobs_counted
-- The oldest jobs that wait, the oldest that run, and the newest of those that ended since `since`.
(
    SELECT {columns} FROM monitor.jobs j WHERE j.status = 'pending' ORDER BY j.created_at, j.job_id LIMIT :most_open
) UNION ALL (
    SELECT {columns} FROM monitor.jobs j WHERE j.status = 'claimed' ORDER BY j.created_at, j.job_id LIMIT :most_open
) UNION ALL (
    SELECT {columns}
    FROM monitor.jobs j
    WHERE j.status IN ('completed', 'failed', 'cancelled')
      AND coalesce(j.completed_at, 'infinity') >= :since AND coalesce(j.completed_at, 'infinity') < 'infinity'
    ORDER BY coalesce(j.completed_at, 'infinity') DESC, j.job_id DESC
    LIMIT :most_ended
)

-- name: ended
-- How the jobs ended that ended since `since`, by environment and second, with how long they ran, in microseconds.
SELECT j.environment, floor(extract(epoch FROM j.completed_at))::bigint AS second,
       count(*) FILTER (WHERE j.status = 'completed') AS completed,
       count(*) FILTER (WHERE j.status = 'failed') AS failed,
       count(*) FILTER (WHERE j.status = 'cancelled') AS cancelled,
       count(j.duration_ms) FILTER (WHERE j.status IN ('completed', 'failed')) AS timed,
       coalesce(sum((j.duration_ms * 1000)::bigint) FILTER (WHERE j.status IN ('completed', 'failed')), 0)::bigint
           AS micros
FROM monitor.jobs j
WHERE j.status IN ('completed', 'failed', 'cancelled')
  AND coalesce(j.completed_at, 'infinity') >= :since AND coalesce(j.completed_at, 'infinity') < 'infinity'
GROUP BY 1, 2

-- name: created
-- The jobs created since `since`, by environment and day, with how long those ran that completed or failed.
SELECT j.environment, j.created_at::date AS day, count(*) AS total,
       count(j.duration_ms) FILTER (WHERE j.status IN ('completed', 'failed')) AS timed,
       coalesce(sum((j.duration_ms * 1000)::bigint) FILTER (WHERE j.status IN ('completed', 'failed')), 0)::bigint
           AS micros
FROM monitor.jobs j
WHERE j.created_at >= :since
GROUP BY 1, 2

-- name: totals
-- What is to be counted of each environment, but for the jobs that transitions beyond a position name; and those.
WITH named AS MATERIALIZED (
    SELECT DISTINCT beyond.job_id FROM {beyond} AS beyond WHERE beyond.kind = 'job'
), counted AS (
    SELECT j.environment,
           count(*) FILTER (WHERE j.status = 'pending') AS pending,
           count(*) FILTER (WHERE j.status = 'claimed') AS active,
           count(*) FILTER (WHERE j.created_at >= :midnight) AS total,
           count(j.duration_ms) FILTER (WHERE j.created_at >= :midnight AND j.status IN ('completed', 'failed'))
               AS timed,
           coalesce(sum((j.duration_ms * 1000)::bigint)
               FILTER (WHERE j.created_at >= :midnight AND j.status IN ('completed', 'failed')), 0)::bigint AS micros,
           coalesce(sum(floor(extract(epoch FROM j.completed_at)))
               FILTER (WHERE j.completed_at >= :since AND j.status IN ('completed', 'failed', 'cancelled')), 0)::bigint
               AS moments
    FROM monitor.jobs j
    WHERE (j.status IN ('pending', 'claimed') OR j.created_at >= :midnight
           OR (coalesce(j.completed_at, 'infinity') >= :since AND coalesce(j.completed_at, 'infinity') < 'infinity'))
      AND NOT EXISTS (SELECT FROM named WHERE named.job_id = j.job_id)
    GROUP BY j.environment
)
SELECT counted.environment, counted.pending, counted.active, counted.total, counted.timed, counted.micros,
       counted.moments, (SELECT coalesce(array_agg(named.job_id), '{}') FROM named) AS named
FROM (VALUES (1)) AS one LEFT JOIN counted ON TRUE

-- name: reported
-- The depths that somebody reported in the last five minutes, by environment.
SELECT q.environment, q.depth, q.at FROM monitor.reported_queues q WHERE q.at > now() - interval '5 minutes'

-- name: nodes
-- The steps of the jobs that run or ended since `since`, by type; of a type that is named, or of all.
SELECT n.node_type,
       count(*) FILTER (WHERE n.status = 'running') AS running,
       count(*) FILTER (WHERE n.status = 'completed') AS completed,
       count(*) FILTER (WHERE n.status = 'failed') AS failed,
       avg(n.duration_ms) FILTER (WHERE n.status IN ('completed', 'failed')) AS average_duration_ms
FROM (
    SELECT j.job_id FROM monitor.jobs j WHERE j.status = 'claimed'
    UNION ALL
    SELECT j.job_id FROM monitor.jobs j
    WHERE j.status IN ('completed', 'failed', 'cancelled')
      AND coalesce(j.completed_at, 'infinity') >= :since AND coalesce(j.completed_at, 'infinity') < 'infinity'
) job
JOIN monitor.node_executions n ON n.job_id = job.job_id
WHERE TRUE
  AND n.node_type = :node_type                                                              --? node_type
GROUP BY n.node_type
ORDER BY n.node_type

-- name: healing
-- The attempts to heal a step since `since`, by tier.
SELECT h.tier, count(*) AS attempts, count(*) FILTER (WHERE h.success) AS successes
FROM monitor.healing_events h
WHERE h.at >= :since
GROUP BY h.tier
ORDER BY h.tier
