-- name: fleet
-- The fleet in numbers, all that are asked for in one reading: robots in each state (silence outweighs what a robot said
-- last); what runs and what waits, and since when (a depth that somebody reported in the last five minutes outweighs our
-- count); the jobs created since `since`, and how long those that have run took on average, in seconds.
SELECT
       robots.*,                                                                            --? robots
       queue.*,                                                                             --? queue
       today.*,                                                                             --? since
       TRUE AS read
FROM (SELECT) nothing
CROSS JOIN (                                                                                --? robots
    SELECT count(*),                                                                        --? robots
           count(*) FILTER (WHERE r.status = 'busy'),                                       --? robots
           count(*) FILTER (WHERE r.status = 'idle'),                                       --? robots
           count(*) FILTER (WHERE r.status = 'offline'),                                    --? robots
           count(*) FILTER (WHERE r.status = 'failed')                                      --? robots
    FROM (                                                                                  --? robots
        SELECT CASE WHEN coalesce(r.last_heartbeat, r.registered_at)                        --? robots
                         < now() - make_interval(secs => :offline_after)                    --? robots
                    THEN 'offline' ELSE r.status END AS status                              --? robots
        FROM monitor.robots r                                                               --? robots
        WHERE TRUE                                                                          --? robots
          AND r.environment = :environment                                                  --? robots environment
    ) r                                                                                     --? robots
) robots                                                                                    --? robots
CROSS JOIN (                                                                                --? queue
    SELECT coalesce(sum(coalesce(counted.active, 0)), 0)::bigint,                           --? queue
           coalesce(sum(coalesce(reported.depth, counted.pending, 0)), 0)::bigint,          --? queue
           min(counted.oldest_pending_at)                                                   --? queue
    FROM (                                                                                  --? queue
        SELECT j.environment,                                                               --? queue
               count(*) FILTER (WHERE j.status = 'pending') AS pending,                     --? queue
               count(*) FILTER (WHERE j.status = 'claimed') AS active,                      --? queue
               min(j.created_at) FILTER (WHERE j.status = 'pending') AS oldest_pending_at   --? queue
        FROM monitor.jobs j                                                                 --? queue
        WHERE j.status IN ('pending', 'claimed')                                            --? queue
          AND j.environment = :environment                                                  --? queue environment
        GROUP BY j.environment                                                              --? queue
    ) counted                                                                               --? queue
    FULL JOIN (                                                                             --? queue
        SELECT q.environment, q.depth FROM monitor.reported_queues q                        --? queue
        WHERE q.at > now() - interval '5 minutes'                                           --? queue
          AND q.environment = :environment                                                  --? queue environment
    ) reported ON reported.environment = counted.environment                                --? queue
) queue                                                                                     --? queue
CROSS JOIN (                                                                                --? since
    SELECT count(*),                                                                        --? since
           (avg(j.duration_ms) FILTER (WHERE j.status IN ('completed', 'failed')) / 1000)::float8  --? since
    FROM monitor.jobs j                                                                     --? since
    WHERE j.created_at >= :since                                                            --? since
      AND j.environment = :environment                                                      --? since environment
) today                                                                                     --? since

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
