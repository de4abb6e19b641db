-- name: refuse
-- Reports that could not be taken.
SELECT monitor.record_source_error(:source, t.key, t.code, t.message)
FROM unnest(:keys::text[], :codes::text[], :messages::text[]) AS t (key, code, message)

-- name: environment_of_robot
-- Where a robot belongs.
SELECT r.environment FROM monitor.robots r WHERE r.robot_id = :robot_id
