-- name: refuse
-- Reports that could not be taken.
SELECT monitor.record_source_error(:source, t.key, t.code, t.message)
FROM unnest(:keys::text[], :codes::text[], :messages::text[]) AS t (key, code, message)

-- name: robot_outside
-- The robot, where it belongs to none of these environments.
SELECT r.robot_id FROM monitor.robots r WHERE r.robot_id = :robot_id AND r.environment <> ALL(:environments::text[])
