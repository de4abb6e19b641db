-- name: columns
-- Each where it is read, in the order of JobRow.
j.job_id
, j.source                                                                                  --? reads_source
, j.workflow_id                                                                             --? reads_workflow_id
, j.workflow_name                                                                           --? reads_workflow_name
, j.robot_id                                                                                --? reads_robot_id
, j.environment                                                                             --? reads_environment
, j.status                                                                                  --? reads_status
, j.raw_status                                                                              --? reads_raw_status
, j.priority                                                                                --? reads_priority
, j.created_at                                                                              --? reads_created_at
, j.claimed_at                                                                              --? reads_claimed_at
, j.completed_at                                                                            --? reads_completed_at
, j.duration_ms                                                                             --? reads_duration_ms
, j.queue_wait_ms                                                                           --? reads_queue_wait_ms
, j.error_type                                                                              --? reads_error_type
, j.error_message                                                                           --? reads_error_message !masked
, NULL::text AS error_message                                                               --? reads_error_message masked
, j.retry_count                                                                             --? reads_retry_count
, j.max_retries                                                                             --? reads_max_retries
, j.progress_percent                                                                        --? reads_progress_percent
, j.current_node                                                                            --? reads_current_node

-- name: matching
-- The filters of a list of jobs. `apart` walks each of several statuses as a short range of its own index; in another
-- order, or within a scope, the planner must see which they are, as it sorts the few that wait and walks the many that
-- ended.
FROM monitor.jobs j
WHERE TRUE
  AND j.robot_id = parent.key                                                               --? of_robots
  AND j.workflow_id = parent.key                                                            --? of_workflows
  AND j.status = :status                                                                    --? status
  AND j.status = wanted.status                                                              --? statuses apart
  AND j.status = ANY(:statuses::text[])                                                     --? statuses !apart
  AND j.workflow_id = :workflow_id                                                          --? workflow_id
  AND j.robot_id = :robot_id                                                                --? robot_id
  AND j.environment = :environment                                                          --? environment
  AND j.error_type = :error_type                                                            --? error_type
  AND j.source = :source                                                                    --? source
  AND j.created_at >= :created_from                                                         --? created_from
  AND j.created_at < :created_to                                                            --? created_to
  AND coalesce(j.completed_at, 'infinity') >= :completed_from                               --? completed_from
  AND coalesce(j.completed_at, 'infinity') < 'infinity'                                     --? completed_from !completed_to
  AND coalesce(j.completed_at, 'infinity') < :completed_to                                  --? completed_to
  AND (j.workflow_name ILIKE :pattern OR j.error_message ILIKE :pattern)                    --? pattern !masked
  AND j.workflow_name ILIKE :pattern                                                        --? pattern masked

-- name: jobs_page
-- One page of jobs, for the whole list or for each parent: a short range of one index, however deep the page lies.
SELECT {columns}
    , parent.key AS parent                                                                  --? parents
FROM unnest(:parents::text[]) AS parent (key) CROSS JOIN LATERAL (                          --? parents
FROM (                                                                                      --? !parents
    SELECT j.* FROM unnest(:statuses::text[]) AS wanted (status) CROSS JOIN LATERAL (       --? statuses apart
    SELECT {columns}
    {matching}
      AND ({key}, j.job_id) {beyond} (:start::text::{type}, :start_id::text)                --? start
      AND ({key}, j.job_id) {within} (:stop::text::{type}, :stop_id::text)                  --? stop
    ORDER BY {key} {direction}, j.job_id {direction}
    LIMIT :limit
    ) j ORDER BY {key} {direction}, j.job_id {direction} LIMIT :limit                       --? statuses apart
) j
ORDER BY parent.key, {key} {direction}, j.job_id {direction}                                --? parents

-- name: jobs_count
-- How many jobs the whole list has, or each parent's.
SELECT parent.key AS parent, matched.total                                                  --? parents
SELECT NULL AS parent, matched.total                                                        --? !parents
FROM unnest(:parents::text[]) AS parent (key) CROSS JOIN LATERAL (                          --? parents
FROM (                                                                                      --? !parents
    SELECT count(*) AS total
    {matching}
) matched

-- name: jobs_by_id
-- The jobs with these ids.
SELECT {columns}
FROM monitor.jobs j
WHERE j.job_id = ANY(:job_ids::text[])
