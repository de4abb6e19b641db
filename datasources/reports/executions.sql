-- name: held_source
-- Where the job is known from, and the job kept from changing until the transaction ends.
SELECT j.source FROM monitor.jobs j
WHERE j.job_id = :job_id
  AND j.environment = ANY(:environments::text[])                                            --? environments
FOR NO KEY UPDATE

-- name: known_nodes
-- The reported steps that are known already; their job's row keeps them from changing.
SELECT n.job_id, n.position, n.node_id, n.node_type, n.status, n.started_at, n.completed_at, n.error_type,
       n.error_message, n.retry_count
FROM monitor.node_executions n WHERE n.job_id = :job_id AND n.position = ANY(:positions::integer[])

-- name: upsert_nodes
-- Steps as their robot tells them.
INSERT INTO monitor.node_executions AS n (job_id, position, node_id, node_type, status, started_at, completed_at,
    error_type, error_message, retry_count)
SELECT t.job_id, t.position, t.node_id, t.node_type, t.status, t.started_at, t.completed_at, t.error_type,
    t.error_message, t.retry_count
FROM jsonb_populate_recordset(NULL::monitor.node_executions, :nodes::jsonb) AS t
ON CONFLICT (job_id, position) DO UPDATE SET
    node_id = excluded.node_id, node_type = excluded.node_type, status = excluded.status,
    started_at = excluded.started_at, completed_at = excluded.completed_at,
    error_type = excluded.error_type, error_message = excluded.error_message, retry_count = excluded.retry_count

-- name: next_position
-- The position behind the steps of a job that are known.
SELECT coalesce(max(n.position) + 1, 0) AS position FROM monitor.node_executions n WHERE n.job_id = :job_id
