-- name: one_registration_at_a_time
-- Two robots that take a queue manager's name at once would both find it free.
SELECT pg_advisory_xact_lock(hashtext('casare-monitor registration'))

-- name: queue_manager_holder
-- The other robot that works as this queue manager.
SELECT r.robot_id, r.environment FROM monitor.robots r
WHERE r.queue_manager_id = :queue_manager_id AND r.robot_id <> :robot_id

-- name: register_robot
-- Registering again updates what changed; a robot that names no queue manager keeps the one it has.
INSERT INTO monitor.robots AS r (robot_id, hostname, environment, capabilities, queue_manager_id)
VALUES (:robot_id, :hostname, :environment, :capabilities, :queue_manager_id)
ON CONFLICT (robot_id) DO UPDATE SET
    hostname = excluded.hostname, environment = excluded.environment, capabilities = excluded.capabilities,
    queue_manager_id = coalesce(excluded.queue_manager_id, r.queue_manager_id)
WHERE (r.hostname, r.environment, r.capabilities, r.queue_manager_id) IS DISTINCT FROM (excluded.hostname,
    excluded.environment, excluded.capabilities, coalesce(excluded.queue_manager_id, r.queue_manager_id))
RETURNING xmax = 0 AS created

-- name: registered
-- What a robot said when it presented itself.
SELECT r.robot_id, r.hostname, r.environment, r.capabilities, r.queue_manager_id
FROM monitor.robots r WHERE r.robot_id = :robot_id

-- name: say_goodbye
-- A robot is offline, so that the ledger tells it.
UPDATE monitor.robots r SET status = 'offline' WHERE r.robot_id = :robot_id RETURNING r.robot_id

-- name: forget_robot
-- A robot is none any more, and its heartbeats are gone with it.
DELETE FROM monitor.robots r WHERE r.robot_id = :robot_id
