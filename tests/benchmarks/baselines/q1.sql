-- The fleet in numbers; $1 is the silence in seconds that makes a robot offline.
SELECT robots.*, queue.*, today.*
FROM (
    SELECT count(*),
           count(*) FILTER (WHERE r.status = 'busy'),
           count(*) FILTER (WHERE r.status = 'idle'),
           count(*) FILTER (WHERE r.status = 'offline'),
           count(*) FILTER (WHERE r.status = 'failed')
    FROM (
        SELECT CASE WHEN coalesce(r.last_heartbeat, r.registered_at) < now() - make_interval(secs => $1)
                    THEN 'offline' ELSE r.status END AS status
        FROM monitor.robots r
    ) r
) robots
CROSS JOIN (
    SELECT count(*) FILTER (WHERE j.status = 'claimed'), count(*) FILTER (WHERE j.status = 'pending')
    FROM monitor.jobs j
    WHERE j.status IN ('pending', 'claimed')
) queue
CROSS JOIN (
    SELECT count(*), (avg(j.duration_ms) FILTER (WHERE j.status IN ('completed', 'failed')) / 1000)::float8
    FROM monitor.jobs j
    WHERE j.created_at >= date_trunc('day', now(), 'UTC')
) today
