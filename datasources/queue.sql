-- name: queue_by_environment
-- What waits and what runs in each environment, and since when the oldest job waits.
SELECT j.environment,
       count(*) FILTER (WHERE j.status = 'pending') AS pending,
       count(*) FILTER (WHERE j.status = 'claimed') AS active,
       min(j.created_at) FILTER (WHERE j.status = 'pending') AS oldest_pending_at
FROM monitor.jobs j
WHERE j.status IN ('pending', 'claimed')
GROUP BY j.environment
ORDER BY j.environment
