-- name: subjects
FROM unnest(:subjects::text[]) AS subject (key)

-- name: matching
FROM monitor.jobs j
WHERE j.created_at >= :since AND j.created_at < :until
  AND j.workflow_id = subject.key                                                           --? of_workflows
  AND j.robot_id = :robot_id                                                                --? robot_id

-- name: totals
-- How the jobs created in the window went; the average in milliseconds, of those that ran to an end.
SELECT subject.key, t.*
{subjects} CROSS JOIN LATERAL (
    SELECT count(*) AS total,
           count(*) FILTER (WHERE j.status = 'completed') AS completed,
           count(*) FILTER (WHERE j.status = 'failed') AS failed,
           count(*) FILTER (WHERE j.status = 'cancelled') AS cancelled,
           avg(j.duration_ms) FILTER (WHERE j.status IN ('completed', 'failed')) AS average_duration_ms
    {matching}
) t

-- name: percentiles
-- Run times in milliseconds, interpolated, of the jobs that ran to an end.
SELECT subject.key, t.p
{subjects} CROSS JOIN LATERAL (
    SELECT percentile_cont(ARRAY[0.5, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY j.duration_ms) AS p
    {matching}
      AND j.status IN ('completed', 'failed')
) t

-- name: slowest
-- The workflows with the longest average run, of those that ran at least three times.
SELECT subject.key, t.*
{subjects} CROSS JOIN LATERAL (
    SELECT j.workflow_id,
           max(j.workflow_name) AS workflow_name,
           avg(j.duration_ms) AS average_duration_ms,
           count(*) AS runs
    {matching}
      AND j.status IN ('completed', 'failed') AND j.duration_ms IS NOT NULL
    GROUP BY j.workflow_id
    HAVING count(*) >= 3
    ORDER BY avg(j.duration_ms) DESC, j.workflow_id
    LIMIT :limit
) t

-- name: errors
-- What the failed jobs failed with, most frequent first.
SELECT subject.key, t.*
{subjects} CROSS JOIN LATERAL (
    SELECT coalesce(j.error_type, 'UnknownError') AS error_type, count(*) AS count
    {matching}
      AND j.status = 'failed'
    GROUP BY 1
    ORDER BY count(*) DESC, 1
    LIMIT :limit
) t

-- name: healing
-- How often a broken step was tried to be healed in these jobs, and how often it succeeded.
SELECT subject.key, t.*
{subjects} CROSS JOIN LATERAL (
    SELECT count(*) AS attempts, count(*) FILTER (WHERE h.success) AS successes
    FROM monitor.healing_events h JOIN monitor.jobs j ON j.job_id = h.job_id
    WHERE j.created_at >= :since AND j.created_at < :until
      AND j.workflow_id = subject.key                                                       --? of_workflows
      AND j.robot_id = :robot_id                                                            --? robot_id
) t
