-- name: fleet
-- Robots in each state (silence outweighs what a robot said last), the jobs created since `since`, and how long those that
-- have run took on average, in seconds.
SELECT robots.*, today.*
FROM (
    SELECT count(*),
           count(*) FILTER (WHERE r.status = 'busy'),
           count(*) FILTER (WHERE r.status = 'idle'),
           count(*) FILTER (WHERE r.status = 'offline'),
           count(*) FILTER (WHERE r.status = 'failed')
    FROM (
        SELECT CASE WHEN coalesce(r.last_heartbeat, r.registered_at)
                         < now() - make_interval(secs => :offline_after)
                    THEN 'offline' ELSE r.status END AS status
        FROM monitor.robots r
        WHERE TRUE
          AND r.environment = :environment                                                  --? environment
    ) r
) robots
CROSS JOIN (
    SELECT count(*),
           (avg(j.duration_ms) FILTER (WHERE j.status IN ('completed', 'failed')) / 1000)::float8
    FROM monitor.jobs j
    WHERE j.created_at >= :since
      AND j.environment = :environment                                                      --? environment
) today

-- name: recent_failures
-- The workflows with the most jobs that failed since `since`, of those in which so many ended.
SELECT j.workflow_id, max(j.workflow_name) AS workflow_name, count(*) AS ended,
       count(*) FILTER (WHERE j.status = 'failed') AS failed
FROM monitor.jobs j
WHERE coalesce(j.completed_at, 'infinity') >= :since AND coalesce(j.completed_at, 'infinity') < 'infinity'
  AND j.status IN ('completed', 'failed', 'cancelled')
  AND j.environment = :environment                                                          --? environment
GROUP BY j.workflow_id
HAVING count(*) >= :least_ended AND count(*) FILTER (WHERE j.status = 'failed') >= :least_failed
ORDER BY failed DESC, j.workflow_id
LIMIT :most
