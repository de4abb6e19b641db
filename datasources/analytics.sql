-- name: spanned
-- Rollups of the window's whole hours and days.
{placed}
  AND {folded}

-- name: placed
r.dimension = :dimension AND r.grain = span.grain AND r.bucket >= span.start AND r.bucket < span.stop
  AND r.key = ANY(:keys::text[])                                                            --? keys
  AND r.environment = :environment                                                          --? environment

-- name: folded
-- A day of a source that is in a gap is read from its jobs instead.
NOT EXISTS (SELECT FROM {gaps} WHERE gap.source = r.source AND gap.day = date_trunc('day', r.bucket, 'UTC'))

-- name: gaps
monitor.rollup_gaps gap /* unscoped: a day is or is not folded for everybody */

-- name: spans
unnest(:span_grains::text[], :span_starts::timestamptz[], :span_ends::timestamptz[]) AS span (grain, start, stop)

-- name: drawn
-- The same spans for sketches, of which some are taken away again.
unnest(:drawn_grains::text[], :drawn_starts::timestamptz[], :drawn_ends::timestamptz[], :drawn_signs::integer[])
    AS span (grain, start, stop, sign)

-- name: noted
-- What has changed since the rollups of this window were folded.
monitor.rollup_deltas c
WHERE EXISTS (SELECT FROM {spans} WHERE c.at >= span.start AND c.at < span.stop)
  AND NOT EXISTS (SELECT FROM {gaps} WHERE gap.source = c.source AND gap.day = date_trunc('day', c.at, 'UTC'))
{meant}

-- name: unfolded
-- Jobs of broken hours at the window's ends, and of days within it that are not folded. The offset keeps the planner from
-- beginning with the jobs, of which it expects to need many.
(
    SELECT edge.start, edge.stop, NULL AS source
    FROM unnest(:edge_starts::timestamptz[], :edge_ends::timestamptz[]) AS edge (start, stop)
    UNION ALL
    SELECT greatest(day.start, span.start), least(day.start + interval '24 hours', span.stop), day.source
    FROM {spans}
    JOIN (SELECT DISTINCT gap.source, gap.day AS start FROM {gaps}) day
      ON day.start < span.stop AND day.start > span.start - interval '24 hours'
) part
CROSS JOIN LATERAL (
    SELECT c.* FROM monitor.jobs c
    WHERE c.created_at >= part.start AND c.created_at < part.stop AND c.source = coalesce(part.source, c.source)
{meant}
    OFFSET 0
) c

-- name: meant
  AND c.workflow_id = ANY(:workflow_ids::text[])                                            --? workflow_ids
{robots_meant}

-- name: key
CASE :dimension WHEN 'workflow' THEN c.workflow_id WHEN 'robot' THEN c.robot_id ELSE '' END

-- name: loose
-- Ended jobs that no rollup of this window holds.
SELECT {key} AS key, c.at, c.sign, c.workflow_id, c.workflow_name, c.status, c.subject AS error_type, c.queue_wait_ms,
       CASE WHEN c.status <> 'cancelled' THEN c.duration_ms END AS duration_ms
FROM {noted}
  AND c.kind = 'job'
UNION ALL
SELECT {key}, c.created_at, 1, c.workflow_id, c.workflow_name, c.status, c.error_type, c.queue_wait_ms,
       CASE WHEN c.status <> 'cancelled' THEN c.duration_ms END
FROM {unfolded}
WHERE c.status IN ('completed', 'failed', 'cancelled')

-- name: totals
-- How the jobs created in the window, or in each step of it, went.
SELECT t.key,
       date_trunc(:step, t.at, 'UTC') AS start,                                             --? step
       NULL::timestamptz AS start,                                                          --? !step
       sum(t.alive)::bigint AS alive, sum(t.completed)::bigint AS completed, sum(t.failed)::bigint AS failed,
       sum(t.cancelled)::bigint AS cancelled, sum(t.runs)::bigint AS runs, sum(t.run_ms)::float8 AS run_ms,
       CASE WHEN sum(t.runs) > 1
            THEN (sum(t.run_ms_squared) - (sum(t.run_ms) * sum(t.run_ms) / sum(t.runs))::float8)
                 / (sum(t.runs) - 1)::float8
       END AS variance,
       min(t.shortest_run_ms) AS shortest, max(t.longest_run_ms) AS longest,
       sum(t.waits)::bigint AS waits, sum(t.wait_ms)::float8 AS wait_ms, max(t.longest_wait_ms) AS longest_wait
FROM (
    SELECT r.key, r.bucket AS at, 0 AS alive, r.completed, r.failed, r.cancelled, r.runs, r.run_ms, r.run_ms_squared,
           r.shortest_run_ms, r.longest_run_ms, r.waits, r.wait_ms, r.longest_wait_ms
    FROM {spans} JOIN monitor.rollups r ON
{spanned}
    UNION ALL
    SELECT l.key, l.at, 0, CASE l.status WHEN 'completed' THEN l.sign ELSE 0 END,
           CASE l.status WHEN 'failed' THEN l.sign ELSE 0 END, CASE l.status WHEN 'cancelled' THEN l.sign ELSE 0 END,
           CASE WHEN l.duration_ms IS NULL THEN 0 ELSE l.sign END, coalesce(l.sign * l.duration_ms::numeric, 0),
           coalesce(l.sign * l.duration_ms * l.duration_ms, 0),
           CASE WHEN l.sign > 0 THEN l.duration_ms END, CASE WHEN l.sign > 0 THEN l.duration_ms END,
           CASE WHEN l.queue_wait_ms IS NULL THEN 0 ELSE l.sign END, coalesce(l.sign * l.queue_wait_ms::numeric, 0),
           CASE WHEN l.sign > 0 THEN l.queue_wait_ms END
    FROM (
{loose}
    ) l
    UNION ALL
    SELECT {key}, c.created_at, 1, 0, 0, 0, 0, 0, 0, NULL, NULL, 0, 0, NULL
    FROM monitor.jobs c
    WHERE c.status IN ('pending', 'claimed') AND c.created_at >= :since AND c.created_at < :until
{meant}
) t
GROUP BY 1, 2

-- name: measured
-- Values that no sketch of this window holds.
SELECT l.key, l.at, l.sign, l.value
FROM (
    SELECT l.key, l.at, l.sign, CASE :measure WHEN 'wait' THEN l.queue_wait_ms ELSE l.duration_ms END AS value
    FROM (
{loose}
    ) l
) l
WHERE l.value IS NOT NULL

-- name: pieces
-- The window's sketches as they lie there. They are added by who asks: Postgres would make a row of every bin for that.
SELECT r.key, r.bins, r.counts, span.sign,
       date_trunc(:step, r.bucket, 'UTC') AS start                                          --? step
       NULL::timestamptz AS start                                                           --? !step
FROM {drawn} JOIN monitor.rollup_sketches r ON r.measure = :measure AND
{spanned}
UNION ALL
SELECT b.key, array_to_string(array_agg(b.bin), ','), array_to_string(array_agg(b.count), ','), 1, b.start
FROM (
    SELECT m.key, monitor.sketch_bin(m.value) AS bin, sum(m.sign)::integer AS count,
           date_trunc(:step, m.at, 'UTC') AS start                                          --? step
           NULL::timestamptz AS start                                                       --? !step
    FROM (
{measured}
    ) m
    GROUP BY 1, 2, 4
) b
GROUP BY b.key, b.start

-- name: sketches
-- Pieces of sketches.
{pieces}

-- name: percentiles
-- Pieces of each key's sketch, and what the jobs themselves say where all of them are few enough to be read, the
-- smallest first.
SELECT e.key, p.bins, p.counts, p.sign, p.start, e.total, e.read, e.values
FROM (
    SELECT s.*, jobs.*
    FROM (
        SELECT t.key, sum(t.count) AS total, sum(sum(t.count)) OVER (ORDER BY sum(t.count), t.key) <= :most AS few
        FROM (
            SELECT r.key, CASE :measure WHEN 'wait' THEN r.waits ELSE r.runs END AS count
            FROM {spans} JOIN monitor.rollups r ON
{spanned}
            UNION ALL
            SELECT m.key, m.sign
            FROM (
{measured}
            ) m
        ) t
        GROUP BY t.key HAVING sum(t.count) > 0
    ) s
    LEFT JOIN LATERAL (
        SELECT count(*) AS read, percentile_cont(:fractions::float8[]) WITHIN GROUP (ORDER BY l.value) AS values
        FROM (
            SELECT CASE WHEN :measure = 'wait' THEN c.queue_wait_ms WHEN c.status <> 'cancelled' THEN c.duration_ms END
                   AS value
            FROM monitor.jobs c
            WHERE s.few AND c.created_at >= :since AND c.created_at < :until
              AND c.workflow_id = s.key                                                     --? workflow_ids
              AND c.robot_id = ANY(:robot_ids::text[])                                      --? robot_ids workflow_ids
              AND c.robot_id = s.key                                                        --? robot_ids !workflow_ids
              AND c.environment = :environment                                              --? environment
              AND c.status IN ('completed', 'failed', 'cancelled')
        ) l
        WHERE l.value IS NOT NULL
    ) jobs ON s.few
    OFFSET 0  -- or the jobs are read once for each piece
) e
JOIN (
{pieces}
) p ON p.key = e.key

-- name: slowest
-- The workflows with the longest average run, of those that ran at least three times.
SELECT w.key, w.workflow_id, w.workflow_name, w.run_ms / w.runs AS average_duration_ms, w.runs
FROM (
    SELECT w.*, row_number() OVER (PARTITION BY w.key ORDER BY w.run_ms / w.runs DESC, w.workflow_id) AS place
    FROM (
        SELECT t.key, t.workflow_id, max(t.workflow_name) AS workflow_name, sum(t.run_ms)::float8 AS run_ms,
               sum(t.runs)::bigint AS runs
        FROM (
            SELECT CASE :dimension WHEN 'fleet' THEN '' ELSE r.key END AS key, r.key AS workflow_id,
                   r.name AS workflow_name, r.run_ms, r.runs
            FROM {spans} JOIN monitor.rollups r ON r.dimension = 'workflow' AND r.grain = span.grain
              AND r.bucket >= span.start AND r.bucket < span.stop AND {folded}
              AND r.key = ANY(:keys::text[])                                                --? keys
              AND r.environment = :environment                                              --? environment
            UNION ALL
            SELECT l.key, l.workflow_id, l.workflow_name, l.sign * l.duration_ms::numeric, l.sign
            FROM (
{loose}
            ) l
            WHERE l.duration_ms IS NOT NULL
        ) t
        GROUP BY t.key, t.workflow_id HAVING sum(t.runs) >= 3
    ) w
) w
WHERE w.place <= :limit
ORDER BY w.key, w.place

-- name: errors
-- What the failed jobs failed with, most frequent first, and how many kinds of it there are.
SELECT e.key, e.error_type, e.failed, e.kinds
FROM (
    SELECT e.*, row_number() OVER (PARTITION BY e.key ORDER BY e.failed DESC, e.error_type) AS place,
           count(*) OVER (PARTITION BY e.key) AS kinds
    FROM (
        SELECT t.key, t.error_type, sum(t.failed)::bigint AS failed
        FROM (
            SELECT r.key, r.error_type, r.failed FROM {spans} JOIN monitor.rollup_errors r ON
{spanned}
            UNION ALL
            SELECT l.key, coalesce(l.error_type, 'UnknownError'), l.sign
            FROM (
{loose}
            ) l
            WHERE l.status = 'failed'
        ) t
        GROUP BY t.key, t.error_type HAVING sum(t.failed) > 0
    ) e
) e
WHERE e.place <= :limit
ORDER BY e.key, e.place

-- name: healing
-- How often a broken step of these jobs was tried to be healed by each tier, and how often that succeeded.
SELECT t.key, t.tier, sum(t.attempts)::bigint AS attempts, sum(t.successes)::bigint AS successes
FROM (
    SELECT r.key, r.tier, r.attempts, r.successes FROM {spans} JOIN monitor.rollup_healing r ON
{spanned}
    UNION ALL
    SELECT {key}, c.subject, c.sign, CASE WHEN c.success THEN c.sign ELSE 0 END
    FROM {noted}
      AND c.kind = 'healing'
    UNION ALL
    SELECT {key}, h.tier, 1, CASE WHEN h.success THEN 1 ELSE 0 END
    FROM {unfolded}
    JOIN monitor.healing_events h ON h.job_id = c.job_id
) t
GROUP BY t.key, t.tier HAVING sum(t.attempts) > 0
ORDER BY t.key, t.tier

-- name: bottlenecks
-- The steps that took most of the time of these jobs' steps, with the sketch of each.
WITH piece AS MATERIALIZED (
    SELECT CASE :dimension WHEN 'fleet' THEN '' ELSE r.workflow_id END AS key, r.workflow_id, r.node_id, r.node_type,
           r.ended, r.failed, r.runs, r.run_ms, r.bins, r.counts
    FROM {spans} JOIN monitor.rollup_nodes r ON r.grain = span.grain AND r.bucket >= span.start AND r.bucket < span.stop
      AND {folded}
      AND r.workflow_id = ANY(:keys::text[])                                                --? keys
      AND r.environment = :environment                                                      --? environment
    UNION ALL
    SELECT l.key, l.workflow_id, l.node_id, l.node_type, l.sign, CASE l.status WHEN 'failed' THEN l.sign ELSE 0 END,
           CASE WHEN l.duration_ms IS NULL THEN 0 ELSE l.sign END, coalesce(l.sign * l.duration_ms::numeric, 0),
           CASE WHEN l.duration_ms IS NULL THEN '{}' ELSE ARRAY[monitor.sketch_bin(l.duration_ms)] END,
           CASE WHEN l.duration_ms IS NULL THEN '{}' ELSE ARRAY[l.sign::integer] END
    FROM (
        SELECT {key} AS key, c.sign, c.workflow_id, c.subject AS node_id, c.subject_type AS node_type, c.status,
               c.duration_ms
        FROM {noted}
          AND c.kind = 'node'
        UNION ALL
        SELECT {key}, 1, c.workflow_id, n.node_id, n.node_type, n.status, n.duration_ms
        FROM {unfolded}
        JOIN monitor.node_executions n ON n.job_id = c.job_id
        WHERE n.status <> 'running'
    ) l
), node AS (
    SELECT p.key, p.workflow_id, p.node_id, p.node_type, sum(p.ended)::bigint AS ended, sum(p.failed)::bigint AS failed,
           sum(p.runs)::bigint AS runs, sum(p.run_ms)::float8 AS run_ms,
           (sum(sum(p.run_ms)) OVER (PARTITION BY p.key))::float8 AS all_ms,
           row_number() OVER (PARTITION BY p.key ORDER BY sum(p.run_ms) DESC, p.workflow_id, p.node_id, p.node_type)
           AS place
    FROM piece p
    GROUP BY p.key, p.workflow_id, p.node_id, p.node_type HAVING sum(p.runs) > 0
)
SELECT n.*, s.bins, s.counts
FROM node n
LEFT JOIN (
    SELECT b.key, b.workflow_id, b.node_id, b.node_type, array_agg(b.bin) AS bins,
           array_agg(b.count) AS counts
    FROM (
        SELECT p.key, p.workflow_id, p.node_id, p.node_type, u.bin, sum(u.count)::bigint AS count
        FROM (SELECT * FROM node WHERE place <= :limit) top
        JOIN piece p USING (key, workflow_id, node_id, node_type)
        CROSS JOIN LATERAL unnest(p.bins, p.counts) AS u (bin, count)
        GROUP BY 1, 2, 3, 4, 5 HAVING sum(u.count) > 0
    ) b
    GROUP BY 1, 2, 3, 4
) s USING (key, workflow_id, node_id, node_type)
WHERE n.place <= :limit
ORDER BY n.key, n.place

-- name: robots_meant
  AND c.robot_id = ANY(:robot_ids::text[])                                                  --? robot_ids
  AND c.environment = :environment                                                          --? environment

-- name: robot_time
-- How many seconds of the window's whole hours robots spent in each status, those that they still are in included.
SELECT t.key, t.status, sum(t.seconds)::float8 AS seconds
FROM (
    SELECT r.key, r.status, r.seconds FROM {spans} JOIN monitor.rollup_robots r ON
{placed}
    UNION ALL
    SELECT CASE :dimension WHEN 'robot' THEN s.robot_id ELSE '' END, s.status,
           extract(epoch FROM least(s.until, :until) - greatest(s.at, :since))
    FROM (
        SELECT c.robot_id, c.status, c.at, c.until FROM monitor.rollup_deltas c
        WHERE c.kind = 'robot' AND c.at < :until AND c.until > :since
{robots_meant}
        UNION ALL
        SELECT c.robot_id, c.status, c.status_since, :now::timestamptz FROM monitor.robots c
        WHERE c.status_since < least(:until, :now::timestamptz)
{robots_meant}
    ) s
    WHERE least(s.until, :until) > greatest(s.at, :since)
) t
GROUP BY t.key, t.status

-- name: first_job
-- When the first job was created that anything is known of.
SELECT least((SELECT min(c.created_at) FROM monitor.jobs c),
             (SELECT min(r.bucket) FROM monitor.rollups r WHERE r.dimension = 'fleet' AND r.grain = 'hour')) AS at
