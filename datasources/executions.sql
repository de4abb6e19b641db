-- name: executions_by_job
-- The steps of each job in their order, from a position on; no more than `most` of all of them. Columns where they are
-- read, in the order of NodeExecutionRow.
SELECT n.job_id
     , n.position                                                                           --? reads_position
     , n.node_id                                                                            --? reads_node_id
     , n.node_type                                                                          --? reads_node_type
     , n.status                                                                             --? reads_status
     , n.started_at                                                                         --? reads_started_at
     , n.completed_at                                                                       --? reads_completed_at
     , n.duration_ms                                                                        --? reads_duration_ms
     , n.error_type                                                                         --? reads_error_type
     , n.error_message                                                                      --? reads_error_message !masked
     , NULL::text AS error_message                                                          --? reads_error_message masked
     , n.retry_count                                                                        --? reads_retry_count
FROM (
    SELECT step.*
    FROM unnest(:job_ids::text[]) AS parent (key)
    CROSS JOIN LATERAL (
        SELECT * FROM monitor.node_executions n
        WHERE n.job_id = parent.key AND n.position > :after
        ORDER BY n.position
        LIMIT :limit
    ) step
    LIMIT :most
) n
ORDER BY n.job_id, n.position
