-- name: queue_by_environment
-- What waits and what runs in each environment, and since when the oldest job waits. A depth that somebody reported in
-- the last five minutes outweighs our count: whoever reports one sees a queue that we do not.
SELECT coalesce(counted.environment, reported.environment) AS environment,
       coalesce(reported.depth, counted.pending, 0) AS pending,
       coalesce(counted.active, 0) AS active,
       counted.oldest_pending_at
FROM (
    SELECT j.environment,
           count(*) FILTER (WHERE j.status = 'pending') AS pending,
           count(*) FILTER (WHERE j.status = 'claimed') AS active,
           min(j.created_at) FILTER (WHERE j.status = 'pending') AS oldest_pending_at
    FROM monitor.jobs j
    WHERE j.status IN ('pending', 'claimed')
      AND j.environment = :environment                                                      --? environment
    GROUP BY j.environment
) counted
FULL JOIN (
    SELECT q.environment, q.depth FROM monitor.reported_queues q
    WHERE q.at > now() - interval '5 minutes'
      AND q.environment = :environment                                                      --? environment
) reported ON reported.environment = counted.environment
ORDER BY 1
