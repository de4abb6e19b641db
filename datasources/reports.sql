-- name: register_robot
-- Registering again updates what changed; a robot that restarts takes its queue manager's name from nobody else.
INSERT INTO monitor.robots AS r (robot_id, hostname, environment, capabilities, queue_manager_id)
VALUES (:robot_id, :hostname, :environment, :capabilities, nullif(:queue_manager_id, ''))
ON CONFLICT (robot_id) DO UPDATE SET
    hostname = excluded.hostname, environment = excluded.environment, capabilities = excluded.capabilities,
    queue_manager_id = coalesce(excluded.queue_manager_id, r.queue_manager_id)
WHERE (r.hostname, r.environment, r.capabilities, r.queue_manager_id) IS DISTINCT FROM (excluded.hostname,
    excluded.environment, excluded.capabilities, coalesce(excluded.queue_manager_id, r.queue_manager_id))
RETURNING xmax = 0 AS created

-- name: queue_manager_holder
-- The other robot that works as this queue manager.
SELECT r.robot_id FROM monitor.robots r
WHERE r.queue_manager_id = :queue_manager_id AND r.robot_id <> :robot_id

-- name: robots_for_heartbeat
-- The robots that are about to be updated, locked in one order so that two batches never wait for each other.
SELECT r.robot_id FROM monitor.robots r WHERE r.robot_id = ANY(:robot_ids::text[]) ORDER BY r.robot_id FOR UPDATE

-- name: insert_heartbeats
-- The same heartbeat sent twice is one.
INSERT INTO monitor.heartbeats (robot_id, at, status, cpu_percent, memory_mb, memory_percent, job_id)
SELECT * FROM unnest(:robot_ids::text[], :ats::timestamptz[], :statuses::text[], :cpu_percents::float8[],
                     :memory_mbs::float8[], :memory_percents::float8[], :job_ids::text[])
ON CONFLICT DO NOTHING

-- name: apply_heartbeats
-- Each robot becomes what its newest heartbeat says; one that comes late changes nothing.
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
WHERE r.robot_id = h.robot_id AND (r.last_heartbeat IS NULL OR r.last_heartbeat < h.at)

-- name: apply_progress
-- The job a heartbeat names belongs to that robot, and is where the heartbeat says.
UPDATE monitor.jobs j SET
    robot_id = coalesce(j.robot_id, h.robot_id),
    progress_percent = coalesce(h.progress_percent, j.progress_percent),
    current_node = coalesce(h.current_node, j.current_node)
FROM (
    SELECT DISTINCT ON (job_id) *
    FROM unnest(:robot_ids::text[], :ats::timestamptz[], :job_ids::text[], :progress_percents::float8[],
                :current_nodes::text[]) AS t (robot_id, at, job_id, progress_percent, current_node)
    WHERE job_id IS NOT NULL
    ORDER BY job_id, at DESC
) h
WHERE j.job_id = h.job_id AND j.status = 'claimed' AND coalesce(j.robot_id, h.robot_id) = h.robot_id
  AND (j.robot_id, j.progress_percent, j.current_node) IS DISTINCT FROM (h.robot_id,
       coalesce(h.progress_percent, j.progress_percent), coalesce(h.current_node, j.current_node))

-- name: insert_job
-- A job nobody has reported yet; no row where somebody has.
INSERT INTO monitor.jobs AS j (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
    priority, created_at, claimed_at, completed_at, error_type, error_message, retry_count, max_retries,
    progress_percent, current_node)
SELECT * FROM jsonb_to_record(:job::jsonb) AS t (job_id text, source text, workflow_id text, workflow_name text,
    robot_id text, environment text, status text, raw_status text, priority integer, created_at timestamptz,
    claimed_at timestamptz, completed_at timestamptz, error_type text, error_message text, retry_count integer,
    max_retries integer, progress_percent double precision, current_node text)
ON CONFLICT (job_id) DO NOTHING
RETURNING j.job_id

-- name: job_for_update
-- The job as it stands, kept from changing until the transaction ends.
SELECT j.source, j.workflow_id, j.workflow_name, j.robot_id, j.environment, j.status, j.raw_status, j.priority,
       j.created_at, j.claimed_at, j.completed_at, j.error_type, j.error_message, j.retry_count, j.max_retries,
       j.progress_percent, j.current_node
FROM monitor.jobs j WHERE j.job_id = :job_id FOR UPDATE

-- name: update_job
-- What a robot reports of its own job.
UPDATE monitor.jobs j SET
    workflow_id = t.workflow_id, workflow_name = t.workflow_name, robot_id = t.robot_id, environment = t.environment,
    status = t.status, raw_status = t.raw_status, priority = t.priority, claimed_at = t.claimed_at,
    completed_at = t.completed_at, error_type = t.error_type, error_message = t.error_message,
    retry_count = t.retry_count, max_retries = t.max_retries, progress_percent = t.progress_percent,
    current_node = t.current_node
FROM jsonb_to_record(:job::jsonb) AS t (job_id text, workflow_id text, workflow_name text,
    robot_id text, environment text, status text, raw_status text, priority integer,
    claimed_at timestamptz, completed_at timestamptz, error_type text, error_message text, retry_count integer,
    max_retries integer, progress_percent double precision, current_node text)
WHERE j.job_id = t.job_id

-- name: refuse
-- Reports that could not be taken, kept where operators look for them.
SELECT monitor.record_source_error('report', t.key, t.code, t.message)
FROM unnest(:keys::text[], :codes::text[], :messages::text[]) AS t (key, code, message)

-- name: nodes_for_update
-- The reported steps that are known already, kept from changing until the transaction ends.
SELECT n.position, n.node_id, n.node_type, n.status, n.started_at, n.completed_at, n.error_type, n.error_message,
       n.retry_count
FROM monitor.node_executions n WHERE n.job_id = :job_id AND n.position = ANY(:positions::integer[])
ORDER BY n.position FOR UPDATE

-- name: upsert_nodes
-- Steps as their robot tells them.
INSERT INTO monitor.node_executions AS n (job_id, position, node_id, node_type, status, started_at, completed_at,
    error_type, error_message, retry_count)
SELECT :job_id, t.* FROM jsonb_to_recordset(:nodes::jsonb) AS t (position integer, node_id text, node_type text,
    status text, started_at timestamptz, completed_at timestamptz, error_type text, error_message text,
    retry_count integer)
ON CONFLICT (job_id, position) DO UPDATE SET
    node_id = excluded.node_id, node_type = excluded.node_type, status = excluded.status,
    started_at = excluded.started_at, completed_at = excluded.completed_at, error_type = excluded.error_type,
    error_message = excluded.error_message, retry_count = excluded.retry_count
