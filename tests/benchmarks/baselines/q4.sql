-- The first 100 robots with what they run; $1 is the silence in seconds that makes a robot offline.
SELECT r.robot_id, r.hostname, r.environment,
       CASE WHEN coalesce(r.last_heartbeat, r.registered_at) < now() - make_interval(secs => $1)
            THEN 'OFFLINE' ELSE upper(r.status) END,
       r.cpu_percent, r.memory_mb, r.last_heartbeat,
       j.job_id, j.workflow_name, upper(j.status), j.progress_percent, j.claimed_at
FROM (SELECT * FROM monitor.robots ORDER BY robot_id LIMIT 100) r
LEFT JOIN LATERAL (
    SELECT * FROM monitor.jobs j
    WHERE j.robot_id = r.robot_id AND j.status = 'claimed'
    ORDER BY j.claimed_at DESC, j.job_id DESC LIMIT 1
) j ON true
ORDER BY r.robot_id
