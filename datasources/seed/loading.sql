-- name: configure
-- What the session may take for itself: history is not a transition, it is folded day by day rather
-- than job by job, and nothing waits for a lock for long.
SELECT set_config('monitor.backfill', 'on', true), set_config('monitor.rollups', 'off', true),
       set_config('lock_timeout', '10s', true), set_config('maintenance_work_mem', '256MB', true),
       set_config('work_mem', '128MB', true), set_config('search_path', 'pg_catalog', true),
       set_config('statement_timeout', '0', true)

-- name: claim_seeding
SELECT pg_try_advisory_xact_lock(hashtext('casare-monitor seed'))

-- name: seeded
SELECT EXISTS (SELECT FROM monitor.jobs WHERE source = :source AND starts_with(job_id, :prefix)) AS seeded

-- name: last_robot_number
SELECT coalesce(max(substring(robot_id FROM '^robot-([0-9]{1,8})$')::integer), 0) FROM monitor.robots

-- name: no_jobs
SELECT NOT EXISTS (SELECT FROM monitor.jobs)

-- name: lock_jobs
LOCK TABLE monitor.jobs IN ACCESS EXCLUSIVE MODE

-- name: renew_tables
-- A table made anew by this transaction can be filled with rows that are frozen already.
TRUNCATE monitor.jobs, monitor.node_executions, monitor.healing_events

-- name: indexes
-- The indexes that no constraint needs.
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition
FROM pg_index
WHERE indrelid = 'monitor.jobs'::regclass
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
ORDER BY indexrelid

-- name: analyze
ANALYZE monitor.robots, monitor.heartbeats, monitor.jobs, monitor.node_executions, monitor.healing_events

-- name: leave_gaps
-- The days, in UTC, in which this seed has jobs are not folded.
INSERT INTO monitor.rollup_gaps (source, day)
SELECT :source, day FROM generate_series(
    (SELECT date_trunc('day', min(j.created_at), 'UTC') FROM monitor.jobs j
     WHERE j.source = :source AND starts_with(j.job_id, :prefix)),
    (SELECT max(j.created_at) FROM monitor.jobs j WHERE j.source = :source AND starts_with(j.job_id, :prefix)),
    interval '24 hours'
) AS day
WHERE EXISTS (SELECT FROM monitor.jobs j
              WHERE j.source = :source AND starts_with(j.job_id, :prefix)
                AND j.created_at >= day AND j.created_at < day + interval '24 hours')

-- name: analyze_rollups
ANALYZE monitor.rollups, monitor.rollup_sketches, monitor.rollup_errors, monitor.rollup_healing, monitor.rollup_nodes
