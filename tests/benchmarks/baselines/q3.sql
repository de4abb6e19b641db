-- The job with the id $1 and its first 20 steps.
SELECT j.job_id, j.workflow_name, upper(j.status), j.created_at, j.duration_ms, j.robot_id,
       n.node_id, n.node_type, n.position, upper(n.status),
       CASE WHEN n.status <> 'running' THEN n.status = 'completed' END,
       n.started_at, n.completed_at, n.duration_ms, n.error_type, n.error_message, n.retry_count
FROM monitor.jobs j
LEFT JOIN monitor.node_executions n USING (job_id)
WHERE j.job_id = $1
ORDER BY n.position
LIMIT 20
