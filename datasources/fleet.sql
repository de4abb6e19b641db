-- name: fleet_robots
-- How many robots are in each state; silence outweighs what a robot said last.
SELECT count(*) AS total,
       count(*) FILTER (WHERE r.status = 'busy') AS busy,
       count(*) FILTER (WHERE r.status = 'idle') AS idle,
       count(*) FILTER (WHERE r.status = 'offline') AS offline,
       count(*) FILTER (WHERE r.status = 'failed') AS failed
FROM (
    SELECT CASE WHEN coalesce(r.last_heartbeat, r.registered_at) < now() - make_interval(secs => :offline_after)
                THEN 'offline' ELSE r.status END AS status
    FROM monitor.robots r
    WHERE TRUE
      AND r.environment = :environment                                                      --? environment
) r

-- name: fleet_today
-- Jobs created since `since`, and how long those that have run took on average, in seconds.
SELECT count(*) AS total,
       (avg(j.duration_ms) FILTER (WHERE j.status IN ('completed', 'failed')) / 1000)::float8 AS average_seconds
FROM monitor.jobs j
WHERE j.created_at >= :since
  AND j.environment = :environment                                                          --? environment

-- name: failing_workflows
-- Workflows that fail more often since `since` than in the days before it, by the rule that `fleet.py` tells.
WITH recent AS (
    SELECT j.workflow_id, max(j.workflow_name) AS workflow_name, count(*) AS runs,
           count(*) FILTER (WHERE j.status = 'failed') AS failed
    FROM monitor.jobs j
    WHERE coalesce(j.completed_at, 'infinity') >= :since AND coalesce(j.completed_at, 'infinity') < 'infinity'
      AND j.status IN ('completed', 'failed')
      AND j.environment = :environment                                                      --? environment
    GROUP BY j.workflow_id
    HAVING count(*) >= :least_runs AND count(*) FILTER (WHERE j.status = 'failed') >= :least_failed
    ORDER BY failed DESC, j.workflow_id
    LIMIT :most
), compared AS (
    SELECT recent.workflow_id, recent.workflow_name, recent.runs, recent.failed, past.runs AS past_runs,
           100 * recent.failed / recent.runs::float8 AS rate,
           CASE WHEN past.runs >= :least_past THEN 100 * past.failed / past.runs::float8 END AS baseline
    FROM recent
    CROSS JOIN LATERAL (
        SELECT count(*) AS runs, count(*) FILTER (WHERE j.status = 'failed') AS failed
        FROM monitor.jobs j
        WHERE j.workflow_id = recent.workflow_id AND j.status IN ('completed', 'failed')
          AND coalesce(j.completed_at, 'infinity') >= :past AND coalesce(j.completed_at, 'infinity') < :since
          AND j.environment = :environment                                                  --? environment
    ) past
)
SELECT c.workflow_id, c.workflow_name, c.runs, c.failed, c.rate, c.baseline, c.past_runs
FROM compared c
WHERE c.rate >= greatest(:times * coalesce(c.baseline, 0), coalesce(c.baseline, 0) + :points)
ORDER BY c.rate - coalesce(c.baseline, 0) DESC, c.workflow_id
