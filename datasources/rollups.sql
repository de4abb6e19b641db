-- name: alone
-- Whether no other worker is folding; until the transaction ends no other will. The planner does not know how much there
-- is to fold, and would rather sort it than hash it, which takes twice as long.
SELECT pg_try_advisory_xact_lock(hashtext('casare-monitor fold')) AS alone, {hashing}

-- name: hashing
set_config('enable_sort', 'off', true)

-- name: claim
-- Wait until no worker is folding, and keep all from it until the transaction ends.
SELECT pg_advisory_xact_lock(hashtext('casare-monitor fold')), {hashing}

-- name: unfolded
-- How much is not folded yet: changes, and whole days of sources.
SELECT (SELECT count(*) FROM monitor.rollup_deltas d) AS changes,
       (SELECT count(*) FROM (SELECT DISTINCT g.source, g.day FROM monitor.rollup_gaps g) gap) AS days

-- name: oldest
-- The changes that have waited for longest; they are gone with the transaction that folds them.
DELETE FROM monitor.rollup_deltas d
WHERE d.seq <= (SELECT max(old.seq) FROM (SELECT o.seq FROM monitor.rollup_deltas o ORDER BY o.seq LIMIT :limit) old)
RETURNING d.*

-- name: next_gap
-- The latest day of a source that is not folded, for that is asked for most; such a day may hold some hundred thousand jobs, and is folded in
-- one go.
SELECT g.source, g.day AS start, g.day + interval '24 hours' AS stop,
       set_config('statement_timeout', :milliseconds, true), set_config('work_mem', '64MB', true)
FROM monitor.rollup_gaps g ORDER BY g.day DESC, g.source LIMIT 1

-- name: clear_gap
-- Take the day of a source out of the rollups. Nobody but who folds writes there, and only one does.
WITH gone AS (
    DELETE FROM monitor.rollups r
    WHERE r.dimension IN ('fleet', 'workflow', 'robot') AND r.grain IN ('hour', 'day')
      AND r.bucket >= :start AND r.bucket < :stop AND r.source = :source
    RETURNING r.dimension, r.key, r.grain, r.bucket, r.environment, r.source
), sketches AS (
    DELETE FROM monitor.rollup_sketches s USING gone g
    WHERE s.measure IN ('run', 'wait') AND (s.dimension, s.key, s.grain, s.bucket, s.environment, s.source)
        = (g.dimension, g.key, g.grain, g.bucket, g.environment, g.source)
), errors AS (
    DELETE FROM monitor.rollup_errors e USING gone g
    WHERE (e.dimension, e.key, e.grain, e.bucket, e.environment, e.source)
        = (g.dimension, g.key, g.grain, g.bucket, g.environment, g.source)
), healing AS (
    DELETE FROM monitor.rollup_healing h WHERE h.bucket >= :start AND h.bucket < :stop AND h.source = :source
)
DELETE FROM monitor.rollup_nodes n
WHERE n.grain IN ('hour', 'day') AND n.bucket >= :start AND n.bucket < :stop AND n.source = :source

-- name: of_gap
-- What ended of the jobs of a source's day, their steps and healings.
SELECT 'job' AS kind, 1 AS sign, c.created_at AS at, NULL::timestamptz AS until, c.environment, c.source, c.workflow_id,
       c.workflow_name, c.robot_id, c.status, c.duration_ms, c.queue_wait_ms, c.error_type AS subject,
       NULL AS subject_type, NULL::boolean AS success
FROM monitor.jobs c
WHERE c.created_at >= :start AND c.created_at < :stop AND c.source = :source
  AND c.status IN ('completed', 'failed', 'cancelled')
UNION ALL
SELECT 'node', 1, c.created_at, NULL, c.environment, c.source, c.workflow_id, NULL, c.robot_id, n.status, n.duration_ms,
       NULL, n.node_id, n.node_type, NULL
FROM monitor.node_executions n JOIN monitor.jobs c ON c.job_id = n.job_id
WHERE c.created_at >= :start AND c.created_at < :stop AND c.source = :source AND n.status <> 'running'
UNION ALL
SELECT 'healing', 1, c.created_at, NULL, c.environment, c.source, c.workflow_id, NULL, c.robot_id, NULL, NULL, NULL,
       h.tier, NULL, h.success
FROM monitor.healing_events h JOIN monitor.jobs c ON c.job_id = h.job_id
WHERE c.created_at >= :start AND c.created_at < :stop AND c.source = :source

-- name: merged
-- Two sketches added, without the bins that this leaves empty.
SELECT coalesce(array_agg(m.bin), '{}'), coalesce(array_agg(m.count), '{}')
FROM (
    SELECT u.bin, sum(u.count)::integer AS count
    FROM (SELECT * FROM unnest(s.bins, s.counts) UNION ALL SELECT * FROM unnest(excluded.bins, excluded.counts))
         AS u (bin, count)
    GROUP BY u.bin HAVING sum(u.count) <> 0
) m

-- name: folding
one AS MATERIALIZED (
    SELECT c.*, date_trunc('hour', c.at, 'UTC') AS bucket, date_trunc('day', c.at, 'UTC') AS day,
           monitor.sketch_bin(m.run) AS run_bin, monitor.sketch_bin(m.wait) AS wait_bin, m.run, m.wait
    FROM change c
    CROSS JOIN LATERAL (
        SELECT CASE WHEN c.status <> 'cancelled' AND abs(c.duration_ms) < 9e15 THEN c.duration_ms END AS run,
               CASE WHEN abs(c.queue_wait_ms) < 9e15 THEN c.queue_wait_ms END AS wait
        OFFSET 0
    ) m
    WHERE c.kind IN ('job', 'healing') AND isfinite(c.at)
),
ended AS (
    SELECT c.kind, c.sign, place.dimension, place.key, c.bucket, c.day, c.environment, c.source, c.workflow_name,
           c.status, c.subject, c.success, c.run, c.wait, c.run_bin, c.wait_bin
    FROM one c
    CROSS JOIN LATERAL (VALUES ('fleet', ''), ('workflow', c.workflow_id), ('robot', c.robot_id)) AS place (dimension, key)
    WHERE place.key IS NOT NULL
),
hours AS MATERIALIZED (
    SELECT dimension, key, bucket, environment, source,
           CASE dimension WHEN 'workflow' THEN max(workflow_name) END AS name,
           coalesce(sum(sign) FILTER (WHERE status = 'completed'), 0) AS completed,
           coalesce(sum(sign) FILTER (WHERE status = 'failed'), 0) AS failed,
           coalesce(sum(sign) FILTER (WHERE status = 'cancelled'), 0) AS cancelled,
           coalesce(sum(sign) FILTER (WHERE run IS NOT NULL), 0) AS runs,
           coalesce(sum(sign * round(run * 1000)::bigint), 0) * 0.001 AS run_ms,
           coalesce(sum(sign * run * run), 0) AS run_ms_squared,
           min(run) FILTER (WHERE sign > 0) AS shortest_run_ms,
           max(run) FILTER (WHERE sign > 0) AS longest_run_ms,
           coalesce(sum(sign) FILTER (WHERE wait IS NOT NULL), 0) AS waits,
           coalesce(sum(sign * round(wait * 1000)::bigint), 0) * 0.001 AS wait_ms,
           max(wait) FILTER (WHERE sign > 0) AS longest_wait_ms,
           bool_or(sign < 0) AS corrected
    FROM ended WHERE kind = 'job'
    GROUP BY dimension, key, bucket, environment, source
),
into_rollups AS (
    INSERT INTO monitor.rollups AS r
    SELECT dimension, key, 'hour', bucket, environment, source, name, completed, failed, cancelled, runs, run_ms,
           run_ms_squared, shortest_run_ms, longest_run_ms, waits, wait_ms, longest_wait_ms
    FROM hours
    UNION ALL
    SELECT dimension, key, 'day', date_trunc('day', bucket, 'UTC') AS day, environment, source, max(name),
           sum(completed), sum(failed), sum(cancelled), sum(runs), sum(run_ms), sum(run_ms_squared),
           min(shortest_run_ms), max(longest_run_ms), sum(waits), sum(wait_ms), max(longest_wait_ms)
    FROM hours GROUP BY dimension, key, day, environment, source
    ON CONFLICT (dimension, key, grain, bucket, environment, source) DO UPDATE SET
        name = coalesce(excluded.name, r.name), completed = r.completed + excluded.completed,
        failed = r.failed + excluded.failed, cancelled = r.cancelled + excluded.cancelled,
        runs = r.runs + excluded.runs, run_ms = r.run_ms + excluded.run_ms,
        run_ms_squared = r.run_ms_squared + excluded.run_ms_squared,
        shortest_run_ms = least(r.shortest_run_ms, excluded.shortest_run_ms),
        longest_run_ms = greatest(r.longest_run_ms, excluded.longest_run_ms),
        waits = r.waits + excluded.waits, wait_ms = r.wait_ms + excluded.wait_ms,
        longest_wait_ms = greatest(r.longest_wait_ms, excluded.longest_wait_ms)
),
-- Robots have sketches by the day only: by the hour there would be almost one for every job.
bins AS MATERIALIZED (
    SELECT measured.measure, e.dimension, e.key,
           CASE e.dimension WHEN 'robot' THEN e.day ELSE e.bucket END AS bucket, e.environment, e.source, measured.bin,
           sum(e.sign) AS count
    FROM ended e CROSS JOIN LATERAL (VALUES ('run', e.run_bin), ('wait', e.wait_bin)) AS measured (measure, bin)
    WHERE e.kind = 'job' AND measured.bin IS NOT NULL
    GROUP BY measured.measure, e.dimension, e.key, 4, e.environment, e.source, measured.bin
),
into_sketches AS (
    INSERT INTO monitor.rollup_sketches AS s
    SELECT measure, dimension, key, grain, bucket, environment, source,
           array_agg(bin), array_agg(count::integer)
    FROM (
        SELECT measure, dimension, key, 'hour' AS grain, bucket, environment, source, bin, count
        FROM bins WHERE dimension <> 'robot'
        UNION ALL
        SELECT measure, dimension, key, 'day', date_trunc('day', bucket, 'UTC') AS day, environment, source, bin,
               sum(count)
        FROM bins GROUP BY measure, dimension, key, day, environment, source, bin
    ) both_grains
    GROUP BY measure, dimension, key, grain, bucket, environment, source
    ON CONFLICT (measure, dimension, key, grain, bucket, environment, source) DO UPDATE SET
        (bins, counts) = ({merged})
),
into_errors AS (
    INSERT INTO monitor.rollup_errors AS r
    SELECT dimension, key, grain, CASE grain WHEN 'day' THEN day ELSE bucket END AS starts,
           environment, source, coalesce(subject, 'UnknownError') AS error_type, sum(sign)
    FROM ended CROSS JOIN (VALUES ('hour'), ('day')) AS g (grain)
    WHERE kind = 'job' AND status = 'failed'
    GROUP BY dimension, key, grain, starts, environment, source, error_type
    ON CONFLICT (dimension, key, grain, bucket, environment, source, error_type) DO UPDATE SET
        failed = r.failed + excluded.failed
),
into_healing AS (
    INSERT INTO monitor.rollup_healing AS r
    SELECT dimension, key, grain, CASE grain WHEN 'day' THEN day ELSE bucket END AS starts,
           environment, source, subject, sum(sign), coalesce(sum(sign) FILTER (WHERE success), 0)
    FROM ended CROSS JOIN (VALUES ('hour'), ('day')) AS g (grain)
    WHERE kind = 'healing'
    GROUP BY dimension, key, grain, starts, environment, source, subject
    ON CONFLICT (dimension, key, grain, bucket, environment, source, tier) DO UPDATE SET
        attempts = r.attempts + excluded.attempts, successes = r.successes + excluded.successes
),
node_bins AS MATERIALIZED (
    SELECT c.workflow_id, date_trunc('hour', c.at, 'UTC') AS bucket, c.environment, c.source, c.subject AS node_id,
           c.subject_type AS node_type, monitor.sketch_bin(run) AS bin, sum(c.sign) AS ended,
           coalesce(sum(c.sign) FILTER (WHERE c.status = 'failed'), 0) AS failed,
           coalesce(sum(c.sign * round(run * 1000)::bigint), 0) * 0.001 AS run_ms
    FROM change c CROSS JOIN LATERAL (SELECT CASE WHEN abs(c.duration_ms) < 9e15 THEN c.duration_ms END AS run) one
    WHERE c.kind = 'node' AND isfinite(c.at)
    GROUP BY c.workflow_id, 2, c.environment, c.source, c.subject, c.subject_type, 7
),
into_nodes AS (
    INSERT INTO monitor.rollup_nodes AS s
    SELECT workflow_id, grain, bucket, environment, source, node_id, node_type, sum(ended), sum(failed),
           coalesce(sum(ended) FILTER (WHERE bin IS NOT NULL), 0), sum(run_ms),
           coalesce(array_agg(bin) FILTER (WHERE bin IS NOT NULL), '{}'),
           coalesce(array_agg(ended::integer) FILTER (WHERE bin IS NOT NULL), '{}')
    FROM (
        SELECT workflow_id, 'hour' AS grain, bucket, environment, source, node_id, node_type, bin, ended, failed, run_ms
        FROM node_bins
        UNION ALL
        SELECT workflow_id, 'day', date_trunc('day', bucket, 'UTC') AS day, environment, source, node_id, node_type, bin,
               sum(ended), sum(failed), sum(run_ms)
        FROM node_bins GROUP BY workflow_id, day, environment, source, node_id, node_type, bin
    ) both_grains
    GROUP BY workflow_id, grain, bucket, environment, source, node_id, node_type
    ON CONFLICT (workflow_id, grain, bucket, environment, source, node_id, node_type) DO UPDATE SET
        ended = s.ended + excluded.ended, failed = s.failed + excluded.failed, runs = s.runs + excluded.runs,
        run_ms = s.run_ms + excluded.run_ms, (bins, counts) = ({merged})
),
into_robots AS (
    INSERT INTO monitor.rollup_robots AS r
    SELECT place.dimension, place.key, g.grain, date_trunc(g.grain, hour, 'UTC') AS starts, c.environment, c.status,
           sum(c.sign * extract(epoch FROM least(c.until, hour + interval '1 hour') - greatest(c.at, hour)))
    FROM change c
    CROSS JOIN LATERAL generate_series(date_trunc('hour', c.at, 'UTC'), c.until, interval '1 hour') AS hour
    CROSS JOIN LATERAL (VALUES ('fleet', ''), ('robot', c.robot_id)) AS place (dimension, key)
    CROSS JOIN (VALUES ('hour'), ('day')) AS g (grain)
    WHERE c.kind = 'robot' AND isfinite(c.at) AND isfinite(c.until)
    GROUP BY place.dimension, place.key, g.grain, starts, c.environment, c.status
    ON CONFLICT (dimension, key, grain, bucket, environment, status) DO UPDATE SET
        seconds = r.seconds + excluded.seconds
)
SELECT (SELECT count(*) FROM change) AS folded, h.dimension, h.key, h.bucket, h.environment, h.source
FROM (VALUES (1)) AS one LEFT JOIN hours h ON h.corrected

-- name: fold
-- Fold the changes that have waited for longest: first by the hour, then what the hours say to the days. Gives how many
-- changes there were, and the hours whose least or greatest value may have gone.
WITH change AS MATERIALIZED ({oldest}),
{folding}

-- name: fold_gap
-- Fold a day of a source from its jobs, and with it what was noted of them. All in one statement and so in one snapshot:
-- whoever corrects a job meanwhile is in it with the job and the note, or with neither.
WITH noted AS (
    DELETE FROM monitor.rollup_deltas d
    WHERE d.kind <> 'robot' AND d.source = :source AND d.at >= :start AND d.at < :stop
),
closed AS (
    DELETE FROM monitor.rollup_gaps g WHERE g.source = :source AND g.day = :start
),
change AS MATERIALIZED ({of_gap}),
{folding}

-- name: repair_hours
-- What a correction took from these hours may have been their least or greatest: their jobs know.
UPDATE monitor.rollups r
SET shortest_run_ms = known.shortest, longest_run_ms = known.longest, longest_wait_ms = known.longest_wait
FROM unnest(:dimensions::text[], :keys::text[], :buckets::timestamptz[], :environments::text[], :sources::text[])
         AS hour (dimension, key, bucket, environment, source),
LATERAL (
    SELECT min(run) AS shortest, max(run) AS longest, max(c.queue_wait_ms) AS longest_wait
    FROM monitor.jobs c
    CROSS JOIN LATERAL (SELECT CASE WHEN c.status <> 'cancelled' THEN c.duration_ms END AS run) one
    WHERE c.created_at >= hour.bucket AND c.created_at < hour.bucket + interval '1 hour'
      AND c.environment = hour.environment AND c.source = hour.source
      AND c.status IN ('completed', 'failed', 'cancelled')
      AND (hour.dimension <> 'workflow' OR c.workflow_id = hour.key)
      AND (hour.dimension <> 'robot' OR c.robot_id = hour.key)
) known
WHERE r.grain = 'hour' AND (r.dimension, r.key, r.bucket, r.environment, r.source)
    = (hour.dimension, hour.key, hour.bucket, hour.environment, hour.source)

-- name: repair_days
-- The least and the greatest of a day are those of its hours.
UPDATE monitor.rollups r
SET shortest_run_ms = known.shortest, longest_run_ms = known.longest, longest_wait_ms = known.longest_wait
FROM (
    SELECT DISTINCT dimension, key, date_trunc('day', bucket, 'UTC') AS bucket, environment, source
    FROM unnest(:dimensions::text[], :keys::text[], :buckets::timestamptz[], :environments::text[], :sources::text[])
             AS hour (dimension, key, bucket, environment, source)
) day,
LATERAL (
    SELECT min(h.shortest_run_ms) AS shortest, max(h.longest_run_ms) AS longest, max(h.longest_wait_ms) AS longest_wait
    FROM monitor.rollups h
    WHERE h.dimension = day.dimension AND h.key = day.key AND h.grain = 'hour' AND h.bucket >= day.bucket
      AND h.bucket < day.bucket + interval '1 day' AND h.environment = day.environment AND h.source = day.source
) known
WHERE r.grain = 'day' AND (r.dimension, r.key, r.bucket, r.environment, r.source)
    = (day.dimension, day.key, day.bucket, day.environment, day.source)

-- name: set_aside
-- What cannot be folded must not keep the rest from it: it is recorded, and gone.
WITH broken AS (
    DELETE FROM monitor.rollup_deltas d
    WHERE d.seq = (SELECT o.seq FROM monitor.rollup_deltas o ORDER BY o.seq LIMIT 1)
    RETURNING d.*
)
SELECT monitor.record_source_error('rollups', coalesce(b.workflow_id, b.robot_id, ''), :code, :message)
FROM broken b
