-- name: robots_for_heartbeat
-- The robots that are about to be updated, locked in one order so that two batches never wait for each other.
SELECT r.robot_id, r.last_heartbeat FROM monitor.robots r
WHERE r.robot_id = ANY(:robot_ids::text[])
  AND r.environment = ANY(:environments::text[])                                            --? environments
ORDER BY r.robot_id FOR NO KEY UPDATE

-- name: insert_heartbeats
-- The same heartbeat sent twice is one.
INSERT INTO monitor.heartbeats AS h (robot_id, at, status, cpu_percent, memory_mb, memory_percent, job_id)
SELECT * FROM unnest(:robot_ids::text[], :ats::timestamptz[], :statuses::text[], :cpu_percents::float8[],
                     :memory_mbs::float8[], :memory_percents::float8[], :job_ids::text[])
ON CONFLICT DO NOTHING
RETURNING h.robot_id

-- name: apply_heartbeats
-- Each robot becomes what the newest of these heartbeats says.
UPDATE monitor.robots r SET
    status = h.status, cpu_percent = h.cpu_percent, memory_mb = h.memory_mb, memory_percent = h.memory_percent,
    reported_job_id = h.job_id, last_heartbeat = h.at
FROM (
    SELECT DISTINCT ON (robot_id) *
    FROM unnest(:robot_ids::text[], :ats::timestamptz[], :statuses::text[], :cpu_percents::float8[],
                :memory_mbs::float8[], :memory_percents::float8[], :job_ids::text[])
        AS t (robot_id, at, status, cpu_percent, memory_mb, memory_percent, job_id)
    ORDER BY robot_id, at DESC
) h
WHERE r.robot_id = h.robot_id

-- name: apply_progress
-- The job a heartbeat names belongs to that robot, and is where the heartbeat says. A job that somebody else is writing
-- is left to the next heartbeat: a source's long transaction must not make its robots look dead.
WITH said AS (
    SELECT * FROM unnest(:robot_ids::text[], :ats::timestamptz[], :job_ids::text[], :progress_percents::float8[],
                         :current_nodes::text[]) AS t (robot_id, at, job_id, progress_percent, current_node)
), running AS (
    SELECT j.job_id, j.robot_id, j.progress_percent, j.current_node FROM monitor.jobs j
    WHERE j.job_id = ANY(:job_ids::text[]) AND j.status = 'claimed'
      AND j.environment = ANY(:environments::text[])                                        --? environments
    FOR NO KEY UPDATE SKIP LOCKED
), newest AS (
    SELECT DISTINCT ON (job_id) job_id, said.robot_id,
        coalesce(said.progress_percent, running.progress_percent) AS progress_percent,
        coalesce(said.current_node, running.current_node) AS current_node
    FROM said JOIN running USING (job_id)
    WHERE coalesce(running.robot_id, said.robot_id) = said.robot_id
    ORDER BY job_id, at DESC
)
UPDATE monitor.jobs j SET
    robot_id = newest.robot_id, progress_percent = newest.progress_percent, current_node = newest.current_node
FROM newest
WHERE j.job_id = newest.job_id AND (j.robot_id, j.progress_percent, j.current_node)
    IS DISTINCT FROM (newest.robot_id, newest.progress_percent, newest.current_node)
