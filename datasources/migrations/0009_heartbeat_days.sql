-- Heartbeats by the day: a day that nobody needs is dropped as a whole, rather than row by row. What there was before, and
-- whatever comes while no partition for its day could be made, lies in the default partition.

ALTER TABLE monitor.heartbeats RENAME TO heartbeats_other;
ALTER TABLE monitor.heartbeats_other RENAME CONSTRAINT heartbeats_pkey TO heartbeats_other_pkey;

CREATE TABLE monitor.heartbeats (
    robot_id       text NOT NULL REFERENCES monitor.robots ON DELETE CASCADE,
    at             timestamptz NOT NULL,
    status         text NOT NULL CONSTRAINT heartbeats_status_check
                   CHECK (status IN ('idle', 'busy', 'offline', 'failed')),
    cpu_percent    double precision,
    memory_mb      double precision,
    memory_percent double precision,
    job_id         text,
    PRIMARY KEY (robot_id, at)
) PARTITION BY RANGE (at);
ALTER TABLE monitor.heartbeats ATTACH PARTITION monitor.heartbeats_other DEFAULT;

-- Make partitions for today and the next two days, and drop those that ended longer ago than so many seconds; gives how
-- many were dropped. It needs the table for itself for a moment: where it does not get that at once, the next time will do.
CREATE FUNCTION monitor.keep_heartbeat_days(seconds double precision) RETURNS integer LANGUAGE plpgsql
SET search_path = pg_catalog, monitor SET lock_timeout = '500ms' AS $$
DECLARE
    today date := (now() AT TIME ZONE 'UTC')::date;
    dropped integer := 0;
    partition text;
    day date;
BEGIN
    FOR day IN SELECT today + ahead FROM generate_series(0, 2) AS ahead LOOP
        partition := 'heartbeats_' || to_char(day, 'YYYYMMDD');
        CONTINUE WHEN to_regclass('monitor.' || partition) IS NOT NULL OR EXISTS (
            SELECT FROM monitor.heartbeats_other o WHERE o.at >= day::timestamp AT TIME ZONE 'UTC'
                AND o.at < (day + 1)::timestamp AT TIME ZONE 'UTC');
        EXECUTE format('CREATE TABLE monitor.%I PARTITION OF monitor.heartbeats FOR VALUES FROM (%L) TO (%L)', partition,
                       day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
    END LOOP;
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'monitor.heartbeats'::regclass AND c.relname ~ '^heartbeats_[0-9]{8}$'
          AND (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC'
              < now() - make_interval(secs => seconds)
    LOOP
        EXECUTE format('DROP TABLE monitor.%I', partition);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN
    RETURN 0;
END $$;
