-- The page of thirty days as straight SQL over the jobs: what is asked of the graph, without rollups.
SELECT count(*), count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed'),
       avg(duration_ms) FILTER (WHERE status IN ('completed', 'failed')),
       stddev_samp(duration_ms) FILTER (WHERE status IN ('completed', 'failed')),
       percentile_cont(ARRAY[0.5, 0.75, 0.9, 0.95, 0.99]) WITHIN GROUP (ORDER BY duration_ms)
           FILTER (WHERE status IN ('completed', 'failed'))
FROM monitor.jobs WHERE created_at >= $1;

SELECT workflow_id, max(workflow_name), avg(duration_ms), count(*)
FROM monitor.jobs WHERE created_at >= $1 AND status IN ('completed', 'failed')
GROUP BY workflow_id HAVING count(*) >= 3 ORDER BY 3 DESC LIMIT 10;

SELECT coalesce(error_type, 'UnknownError'), count(*)
FROM monitor.jobs WHERE created_at >= $1 AND status = 'failed' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10;

SELECT date_trunc('day', created_at, 'UTC'), count(*), count(*) FILTER (WHERE status = 'failed'),
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE status IN ('completed', 'failed'))
FROM monitor.jobs WHERE created_at >= $1 GROUP BY 1 ORDER BY 1;

SELECT count(*), count(*) FILTER (WHERE h.success)
FROM monitor.healing_events h JOIN monitor.jobs j ON j.job_id = h.job_id WHERE j.created_at >= $1;

SELECT width_bucket(duration_ms, least, most, 20), count(*)
FROM monitor.jobs, (
    SELECT min(duration_ms) AS least, max(duration_ms) + 1 AS most
    FROM monitor.jobs WHERE created_at >= $1 AND status IN ('completed', 'failed')
) range
WHERE created_at >= $1 AND status IN ('completed', 'failed') GROUP BY 1 ORDER BY 1
