-- name: columns
-- Each where it is read, in the order of RobotRow.
r.robot_id
, r.hostname                                                                                --? reads_hostname
, r.environment                                                                             --? reads_environment
, {status} AS status                                                                        --? reads_status
, to_json(r.capabilities)::text AS capabilities_json                                        --? reads_capabilities_json
, r.cpu_percent                                                                             --? reads_cpu_percent
, r.memory_mb                                                                               --? reads_memory_mb
, r.memory_percent                                                                          --? reads_memory_percent
, r.last_heartbeat                                                                          --? reads_last_heartbeat
, r.registered_at                                                                           --? reads_registered_at
-- Of a job that nobody has told of yet there is the id that a heartbeat named; not within a scope, where who sees such
-- ids could tell those that are taken outside by their absence.
, coalesce(                                                                                        --? reads_current_job_id
    (SELECT j.job_id FROM monitor.jobs j WHERE j.robot_id = r.robot_id AND j.status = 'claimed'    --? reads_current_job_id
     ORDER BY j.claimed_at DESC, j.job_id DESC LIMIT 1)                                            --? reads_current_job_id
    , (SELECT r.reported_job_id WHERE NOT EXISTS (                                                 --? reads_current_job_id !scope
        SELECT FROM monitor.jobs j WHERE j.job_id = r.reported_job_id                              --? reads_current_job_id !scope
    ))                                                                                             --? reads_current_job_id !scope
) AS current_job_id                                                                                --? reads_current_job_id

-- name: status
-- Silence outweighs whatever the robot said last.
CASE WHEN coalesce(r.last_heartbeat, r.registered_at) < now() - make_interval(secs => :offline_after)
     THEN 'offline' ELSE r.status END

-- name: matching
FROM monitor.robots r
WHERE TRUE
  AND {status} = ANY(:statuses::text[])                                                     --? statuses
  AND r.environment = :environment                                                          --? environment
  AND :capability = ANY(r.capabilities)                                                     --? capability
  AND (r.robot_id ILIKE :pattern OR r.hostname ILIKE :pattern)                              --? pattern

-- name: robots_page
-- One page of robots.
SELECT {columns}
{matching}
  AND ({key}, r.robot_id) {beyond} (:start::text::{type}, :start_id::text)                  --? start
  AND ({key}, r.robot_id) {within} (:stop::text::{type}, :stop_id::text)                    --? stop
ORDER BY {key} {direction}, r.robot_id {direction}
LIMIT :limit

-- name: robots_count
-- How many robots match.
SELECT count(*) AS total
{matching}

-- name: robots_by_id
-- The robots with these ids.
SELECT {columns}
FROM monitor.robots r
WHERE r.robot_id = ANY(:robot_ids::text[])

-- name: robots_all
-- Every robot, for those who watch them all.
SELECT {columns}
FROM monitor.robots r

-- name: robots_today
-- What each robot finished since `since`, and how long its runs took on average, in milliseconds.
SELECT j.robot_id,
       count(*) FILTER (WHERE j.status = 'completed') AS completed,
       count(*) FILTER (WHERE j.status = 'failed') AS failed,
       avg(j.duration_ms) FILTER (WHERE j.status IN ('completed', 'failed')) AS average_duration_ms
FROM monitor.jobs j
WHERE j.robot_id = ANY(:robot_ids::text[])
  AND coalesce(j.completed_at, 'infinity') >= :since AND coalesce(j.completed_at, 'infinity') < 'infinity'
GROUP BY j.robot_id

-- name: heartbeats_by_robot
-- The newest heartbeats of each robot, newest first.
SELECT h.robot_id, h.at, h.status, h.cpu_percent, h.memory_mb, h.memory_percent,
       h.job_id                                                                             --? !scope
       (SELECT j.job_id FROM monitor.jobs j WHERE j.job_id = h.job_id) AS job_id            --? scope
FROM unnest(:robot_ids::text[]) AS parent (key)
CROSS JOIN LATERAL (
    SELECT * FROM monitor.heartbeats h WHERE h.robot_id = parent.key ORDER BY h.at DESC LIMIT :last
) h
ORDER BY h.robot_id, h.at DESC
