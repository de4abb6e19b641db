-- name: columns
e.seq, e.at, {type} AS type, e.kind, e.job_id, e.robot_id, e.position, e.workflow_id, e.environment, e.status,
e.previous_status

-- name: type
-- What a feed of activity calls it; nothing for robots that take turns, for steps, and for jobs that are queued.
CASE e.kind
    WHEN 'job' THEN CASE e.status WHEN 'claimed' THEN 'job_started' WHEN 'completed' THEN 'job_completed'
                                  WHEN 'failed' THEN 'job_failed' WHEN 'cancelled' THEN 'job_cancelled' END
    WHEN 'robot' THEN CASE WHEN e.status = 'offline' THEN 'robot_offline' WHEN e.status = 'failed' THEN 'robot_failed'
                           WHEN coalesce(e.previous_status, 'offline') = 'offline' THEN 'robot_online' END
END

-- name: matching
FROM monitor.events e
WHERE TRUE
  AND e.at >= :since                                                                        --? since
  AND e.kind = ANY(:kinds::text[])                                                          --? kinds
  AND {type} = ANY(:types::text[])                                                          --? types

-- name: activity_page
-- One page of what happened, newest first.
SELECT {columns}
{matching}
  AND (e.at, e.seq) < (:start::text::timestamptz, :start_id::text::bigint)                  --? start
ORDER BY e.at DESC, e.seq DESC
LIMIT :limit

-- name: activity_count
-- How much happened.
SELECT count(*) AS total
{matching}
