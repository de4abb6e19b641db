-- name: insert_job
-- A job nobody has told of yet; no row where somebody has, but its row is held, so that it is still there to be read.
INSERT INTO monitor.jobs AS j (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
    priority, created_at, claimed_at, completed_at, error_type, error_message, retry_count, max_retries,
    progress_percent, current_node)
SELECT t.job_id, t.source, t.workflow_id, t.workflow_name, t.robot_id, t.environment, t.status, t.raw_status,
    t.priority, t.created_at, t.claimed_at, t.completed_at, t.error_type, t.error_message, t.retry_count, t.max_retries,
    t.progress_percent, t.current_node
FROM jsonb_populate_record(NULL::monitor.jobs, :job::jsonb) AS t
ON CONFLICT (job_id) DO UPDATE SET raw_status = j.raw_status WHERE FALSE
RETURNING j.job_id

-- name: held_job
-- The job as it stands, kept from changing until the transaction ends.
SELECT j.job_id, j.source, j.workflow_id, j.workflow_name, j.robot_id, j.environment, j.status, j.raw_status, j.priority,
       j.created_at, j.claimed_at, j.completed_at, j.error_type, j.error_message, j.retry_count, j.max_retries,
       j.progress_percent, j.current_node
FROM monitor.jobs j WHERE j.job_id = :job_id FOR NO KEY UPDATE

-- name: update_job
-- What a robot reports of its own job.
UPDATE monitor.jobs j SET
    workflow_id = t.workflow_id, workflow_name = t.workflow_name, robot_id = t.robot_id, environment = t.environment,
    status = t.status, raw_status = t.raw_status, priority = t.priority, created_at = t.created_at,
    claimed_at = t.claimed_at, completed_at = t.completed_at, error_type = t.error_type,
    error_message = t.error_message, retry_count = t.retry_count, max_retries = t.max_retries,
    progress_percent = t.progress_percent, current_node = t.current_node
FROM jsonb_populate_record(NULL::monitor.jobs, :job::jsonb) AS t
WHERE j.job_id = t.job_id
