-- name: fleet
-- The fleet in numbers, in one reading: robots in each state (silence outweighs what a robot said
-- last); what runs and what waits, and since when (a depth that somebody reported in the last five minutes outweighs our
-- count); the jobs created since `since`, and how long those that have run took on average, in seconds.
SELECT
       robots.*,
       queue.*,
       today.*
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
    SELECT coalesce(sum(coalesce(counted.active, 0)), 0)::bigint,
           coalesce(sum(coalesce(reported.depth, counted.pending, 0)), 0)::bigint,
           min(counted.oldest_pending_at)
    FROM (
        SELECT j.environment,
               count(*) FILTER (WHERE j.status = 'pending') AS pending,
               count(*) FILTER (WHERE j.status = 'claimed') AS active,
               min(j.created_at) FILTER (WHERE j.status = 'pending') AS oldest_pending_at
        FROM monitor.jobs j
        WHERE j.status IN ('pending', 'claimed')
          AND j.environment = :environment                                                  --? environment
        GROUP BY j.environment
    ) counted
    FULL JOIN (
        SELECT q.environment, q.depth FROM monitor.reported_queues q
        WHERE q.at > now() - interval '5 minutes'
          AND q.environment = :environment                                                  --? environment
    ) reported ON reported.environment = counted.environment
) queue
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
