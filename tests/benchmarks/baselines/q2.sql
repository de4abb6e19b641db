-- The newest 50 jobs with their robots; $1 is the silence in seconds that makes a robot offline.
SELECT j.job_id, j.workflow_name, upper(j.status), j.priority, j.created_at, j.claimed_at, j.duration_ms, j.error_type,
       r.robot_id, r.hostname,
       CASE WHEN coalesce(r.last_heartbeat, r.registered_at) < now() - make_interval(secs => $1)
            THEN 'OFFLINE' ELSE upper(r.status) END
FROM (SELECT * FROM monitor.jobs ORDER BY created_at DESC, job_id DESC LIMIT 50) j
LEFT JOIN monitor.robots r USING (robot_id)
ORDER BY j.created_at DESC, j.job_id DESC
