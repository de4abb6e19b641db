-- name: alone
-- Whether no other worker is sweeping; until the transaction ends no other will.
SELECT pg_try_advisory_xact_lock(hashtext('casare-monitor sweep')) AS alone

-- name: silent_robots
-- Robots whose heartbeats stopped but who do not stand as offline. One that somebody is writing is reporting just now.
SELECT r.robot_id FROM monitor.robots r
WHERE r.status <> 'offline' AND coalesce(r.last_heartbeat, r.registered_at) < now() - make_interval(secs => :seconds)
LIMIT :limit
FOR NO KEY UPDATE SKIP LOCKED

-- name: turn_offline
-- The robots are offline.
UPDATE monitor.robots r SET status = 'offline' WHERE r.robot_id = ANY(:robot_ids::text[])

-- name: keep_heartbeat_days
-- Drop the days of heartbeats that ended longer ago, and make room for those to come.
SELECT monitor.keep_heartbeat_days(:seconds) AS dropped

-- name: prune_heartbeats
-- Forget heartbeats older than so many seconds that lie in no day's partition; the oldest of each robot stand first in
-- its part of the index.
DELETE FROM monitor.heartbeats_other h
USING (
    SELECT old.robot_id, old.at FROM monitor.robots r, LATERAL (
        SELECT o.robot_id, o.at FROM monitor.heartbeats_other o
        WHERE o.robot_id = r.robot_id AND o.at < now() - make_interval(secs => :seconds)
        ORDER BY o.at LIMIT :limit
    ) old
    LIMIT :limit
) past
WHERE h.robot_id = past.robot_id AND h.at = past.at
RETURNING 1

-- name: keep_history
-- In this transaction jobs are forgotten rather than taken back: what they did stays in the rollups.
SELECT set_config('monitor.rollups', 'off', true)

-- name: prune_jobs
-- Forget jobs that ended and were created before a day, and with them their steps. What is not folded is only known from
-- them.
DELETE FROM monitor.jobs j
WHERE j.job_id IN (
    SELECT old.job_id FROM monitor.jobs old
    WHERE old.created_at < date_trunc('day', now() - make_interval(secs => :seconds), 'UTC')
      AND old.status IN ('completed', 'failed', 'cancelled')
      AND NOT EXISTS (SELECT FROM monitor.rollup_gaps gap
                      WHERE gap.source = old.source AND gap.day = date_trunc('day', old.created_at, 'UTC'))
    ORDER BY old.created_at LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
RETURNING 1

-- name: prune_source_errors
-- Forget what could not be taken and has not happened again since.
DELETE FROM monitor.source_errors e
WHERE (e.source, e.source_key, e.code) IN (
    SELECT old.source, old.source_key, old.code FROM monitor.source_errors old
    WHERE old.last_at < now() - make_interval(secs => :seconds)
    ORDER BY old.last_at LIMIT :limit
)
RETURNING 1
