-- name: newest
-- A workflow is known from its jobs, and named as its newest job names it.
SELECT j.workflow_id, j.workflow_name, j.created_at AS last_run_at
FROM monitor.jobs j
WHERE j.workflow_id = known.workflow_id
ORDER BY j.created_at DESC, j.job_id DESC
LIMIT 1

-- name: known
-- Every workflow after `start`: one index probe for each, never a scan of its jobs.
RECURSIVE known AS (
    (SELECT j.workflow_id FROM monitor.jobs j /* unscoped: those without a job in scope fall out by their newest */
     WHERE TRUE
       AND j.workflow_id > :start_id                                                        --? start_id
     ORDER BY j.workflow_id LIMIT 1)
    UNION ALL
    SELECT (SELECT j.workflow_id FROM monitor.jobs j /* unscoped: as above */ WHERE j.workflow_id > known.workflow_id
            ORDER BY j.workflow_id LIMIT 1)
    FROM known WHERE known.workflow_id IS NOT NULL
)

-- name: workflows_page
-- One page of workflows in the order of their ids, which is that of the recursion: sorting would first find them all.
WITH
{known}
SELECT w.workflow_id, w.workflow_name, w.last_run_at
FROM known CROSS JOIN LATERAL ({newest}) w
WHERE TRUE
  AND (w.workflow_id ILIKE :pattern OR w.workflow_name ILIKE :pattern)                      --? pattern
LIMIT :limit

-- name: workflows_count
-- How many workflows match.
WITH
{known}
SELECT count(*) AS total
FROM known CROSS JOIN LATERAL ({newest}) w
WHERE TRUE
  AND (w.workflow_id ILIKE :pattern OR w.workflow_name ILIKE :pattern)                      --? pattern

-- name: workflows_by_id
-- The workflows with these ids.
SELECT w.workflow_id, w.workflow_name, w.last_run_at
FROM unnest(:workflow_ids::text[]) AS known (workflow_id) CROSS JOIN LATERAL ({newest}) w
