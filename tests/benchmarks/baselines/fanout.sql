-- Transitions of jobs behind number $1, with job and robot; $2 is the silence in seconds that makes a robot offline.
SELECT e.seq, e.job_id, upper(e.status), upper(e.previous_status),
       j.workflow_name, upper(j.status), j.priority, j.created_at, j.claimed_at, j.duration_ms,
       r.robot_id, r.hostname, r.environment,
       CASE WHEN coalesce(r.last_heartbeat, r.registered_at) < now() - make_interval(secs => $2)
            THEN 'OFFLINE' ELSE upper(r.status) END,
       r.cpu_percent
FROM monitor.events e
JOIN monitor.jobs j USING (job_id)
LEFT JOIN monitor.robots r ON r.robot_id = j.robot_id
WHERE e.seq > $1 AND e.kind = 'job'
ORDER BY e.seq
