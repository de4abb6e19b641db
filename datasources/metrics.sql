-- name: robots_by_state
-- How many robots of each environment are in each state, and since when the one that spoke last, and the one longest
-- silent, have been silent, in seconds.
SELECT r.environment, r.status, count(*) AS robots, min(r.silence) AS least_silence, max(r.silence) AS most_silence
FROM (
    SELECT r.environment,
           CASE WHEN coalesce(r.last_heartbeat, r.registered_at) < now() - make_interval(secs => :offline_after)
                THEN 'offline' ELSE r.status END AS status,
           extract(epoch FROM now() - r.last_heartbeat)::float8 AS silence
    FROM monitor.robots r
) r
GROUP BY r.environment, r.status
ORDER BY r.environment, r.status

-- name: source_errors
-- How often something of each source could not be taken, by code.
SELECT e.source, e.code, sum(e.times)::bigint AS times
FROM monitor.source_errors e
GROUP BY e.source, e.code
ORDER BY e.source, e.code
LIMIT 200

-- name: runs
-- How long these jobs ran and waited, in seconds.
SELECT j.job_id, j.duration_ms / 1000 AS duration, j.queue_wait_ms / 1000 AS queue_wait
FROM monitor.jobs j
WHERE j.job_id = ANY(:job_ids::text[])
