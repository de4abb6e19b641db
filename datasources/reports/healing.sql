-- name: insert_healing
-- An attempt to heal a step of a job that is known; no row where it is not.
INSERT INTO monitor.healing_events AS h (at, job_id, node_id, tier, success)
SELECT :at::timestamptz, j.job_id, :node_id::text, :tier::text, :success::boolean
FROM monitor.jobs j WHERE j.job_id = :job_id FOR KEY SHARE
RETURNING h.healing_id
