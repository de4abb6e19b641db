-- History by the hour and by the day, so that a question about a month costs the same whatever the month held. A row's
-- own transaction only appends what changed to `rollup_deltas`: it waits for nobody. One worker folds those into the
-- rollups and deletes them in the same transaction, so each counts exactly once. A question adds what is not folded yet.
-- Nothing is summed over environments, since a viewer may be allowed to see only some of them.

CREATE TABLE monitor.rollup_deltas (
    seq           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('job', 'node', 'healing', 'robot')),
    sign          smallint NOT NULL CHECK (sign IN (-1, 1)),
    at            timestamptz NOT NULL,
    until         timestamptz,
    environment   text NOT NULL,
    source        text NOT NULL DEFAULT '',
    workflow_id   text,
    workflow_name text,
    robot_id      text,
    status        text,
    duration_ms   double precision,
    queue_wait_ms double precision,
    subject       text,
    subject_type  text,
    success       boolean
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);
COMMENT ON TABLE monitor.rollup_deltas IS 'what ended, was corrected or deleted, and is not folded into the rollups yet';
COMMENT ON COLUMN monitor.rollup_deltas.at IS 'when the job was created; of a robot, since when it was in this status';
COMMENT ON COLUMN monitor.rollup_deltas.until IS 'of a robot, when it left this status';
COMMENT ON COLUMN monitor.rollup_deltas.subject IS 'of a job its error type, of a step its node, of a healing its tier';

-- Of what comes in bulk, or was there before, nothing is noted but the day and the source. Until that is folded as a
-- whole, questions read its jobs, and neither its rollups nor its deltas. Rows are added and taken away, never shared: who
-- adds jobs to a day that is being folded leaves a row that is there afterwards.
CREATE TABLE monitor.rollup_gaps (
    gap    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    day    timestamptz NOT NULL
);
COMMENT ON TABLE monitor.rollup_gaps IS 'days of a source that are not folded';
COMMENT ON COLUMN monitor.rollup_gaps.day IS 'start of the day, in UTC, on which the jobs were created';

-- The same jobs three times over: all together, by workflow and by robot, since crossing them would make as many rows
-- as there are jobs. `key` is the workflow or the robot; the fleet has none.
CREATE TABLE monitor.rollups (
    dimension       text NOT NULL CHECK (dimension IN ('fleet', 'workflow', 'robot')),
    key             text NOT NULL,
    grain           text NOT NULL CHECK (grain IN ('hour', 'day')),
    bucket          timestamptz NOT NULL,
    environment     text NOT NULL,
    source          text NOT NULL,
    name            text,
    completed       bigint NOT NULL,
    failed          bigint NOT NULL,
    cancelled       bigint NOT NULL,
    runs            bigint NOT NULL,
    run_ms          numeric NOT NULL,
    run_ms_squared  double precision NOT NULL,
    shortest_run_ms double precision,
    longest_run_ms  double precision,
    waits           bigint NOT NULL,
    wait_ms         numeric NOT NULL,
    longest_wait_ms double precision,
    PRIMARY KEY (dimension, key, grain, bucket, environment, source)
) WITH (fillfactor = 70);
COMMENT ON COLUMN monitor.rollups.bucket IS 'start of the hour or day, in UTC, in which the jobs were created';
COMMENT ON COLUMN monitor.rollups.runs IS 'jobs that completed or failed and have a duration';
COMMENT ON COLUMN monitor.rollups.run_ms IS 'their sum: exact, so that what is taken away again leaves nothing';
COMMENT ON COLUMN monitor.rollups.waits IS 'jobs that ended and had been claimed';
CREATE INDEX rollups_by_bucket ON monitor.rollups (dimension, grain, bucket);

-- Quantile sketches: how many values lie in each of the bins that `sketch_bin` names.
CREATE TABLE monitor.rollup_sketches (
    measure     text NOT NULL CHECK (measure IN ('run', 'wait')),
    dimension   text NOT NULL,
    key         text NOT NULL,
    grain       text NOT NULL,
    bucket      timestamptz NOT NULL,
    environment text NOT NULL,
    source      text NOT NULL,
    bins        text NOT NULL,
    counts      text NOT NULL,
    PRIMARY KEY (measure, dimension, key, grain, bucket, environment, source)
) WITH (fillfactor = 50, toast_tuple_target = 8160);
COMMENT ON TABLE monitor.rollup_sketches IS 'numbers with commas between: an array is sent and read by a call for each number';

CREATE TABLE monitor.rollup_errors (
    dimension   text NOT NULL,
    key         text NOT NULL,
    grain       text NOT NULL,
    bucket      timestamptz NOT NULL,
    environment text NOT NULL,
    source      text NOT NULL,
    error_type  text NOT NULL,
    failed      bigint NOT NULL,
    PRIMARY KEY (dimension, key, grain, bucket, environment, source, error_type)
) WITH (fillfactor = 70);

CREATE TABLE monitor.rollup_healing (
    dimension   text NOT NULL,
    key         text NOT NULL,
    grain       text NOT NULL,
    bucket      timestamptz NOT NULL,
    environment text NOT NULL,
    source      text NOT NULL,
    tier        text NOT NULL,
    attempts    bigint NOT NULL,
    successes   bigint NOT NULL,
    PRIMARY KEY (dimension, key, grain, bucket, environment, source, tier)
) WITH (fillfactor = 70);

CREATE TABLE monitor.rollup_nodes (
    workflow_id text NOT NULL,
    grain       text NOT NULL,
    bucket      timestamptz NOT NULL,
    environment text NOT NULL,
    source      text NOT NULL,
    node_id     text NOT NULL,
    node_type   text NOT NULL,
    ended       bigint NOT NULL,
    failed      bigint NOT NULL,
    runs        bigint NOT NULL,
    run_ms      numeric NOT NULL,
    bins        smallint[] NOT NULL,
    counts      integer[] NOT NULL,
    PRIMARY KEY (workflow_id, grain, bucket, environment, source, node_id, node_type)
) WITH (fillfactor = 50);
CREATE INDEX rollup_nodes_by_bucket ON monitor.rollup_nodes (grain, bucket);

CREATE TABLE monitor.rollup_robots (
    dimension   text NOT NULL,
    key         text NOT NULL,
    grain       text NOT NULL,
    bucket      timestamptz NOT NULL,
    environment text NOT NULL,
    status      text NOT NULL,
    seconds     numeric NOT NULL,
    PRIMARY KEY (dimension, key, grain, bucket, environment, status)
) WITH (fillfactor = 70);
COMMENT ON COLUMN monitor.rollup_robots.bucket IS 'start of the hour or day, in UTC, that these seconds belong to';

-- Bins grow by 2 percent, so the middle of one is within 1 percent of all its values. A microsecond, the least that times
-- can differ by, is bin 52; bins of negative values mirror those of positive ones.
CREATE FUNCTION monitor.sketch_bin(value double precision) RETURNS smallint LANGUAGE sql IMMUTABLE
RETURN CASE WHEN abs(value) < 0.0005 THEN 0
            ELSE sign(value) * (400 + ceil(ln(least(abs(value), 1e17)) / 0.019802627296179713)) END::smallint;

-- `monitor.rollups = off` marks a transaction that leaves gaps where it writes, or prunes what history keeps.
CREATE FUNCTION monitor.note_job() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, monitor AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.status IN ('completed', 'failed', 'cancelled') THEN
        INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, source, workflow_id, workflow_name, robot_id,
                                           status, duration_ms, queue_wait_ms, subject)
        VALUES ('job', -1, OLD.created_at, OLD.environment, OLD.source, OLD.workflow_id, OLD.workflow_name,
                OLD.robot_id, OLD.status, OLD.duration_ms, OLD.queue_wait_ms, OLD.error_type);
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status IN ('completed', 'failed', 'cancelled') THEN
        INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, source, workflow_id, workflow_name, robot_id,
                                           status, duration_ms, queue_wait_ms, subject)
        VALUES ('job', 1, NEW.created_at, NEW.environment, NEW.source, NEW.workflow_id, NEW.workflow_name,
                NEW.robot_id, NEW.status, NEW.duration_ms, NEW.queue_wait_ms, NEW.error_type);
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;

-- What belongs to a job is counted where the job is, and moves or goes with it. Whoever writes a step or a healing holds
-- the job's row or is alone with it, so that neither changes behind the other's back.
CREATE FUNCTION monitor.note_belongings() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, monitor AS $$
BEGIN
    INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, source, workflow_id, robot_id, status, duration_ms,
                                       subject, subject_type, success)
    SELECT b.kind, -1, OLD.created_at, OLD.environment, OLD.source, OLD.workflow_id, OLD.robot_id, b.status,
           b.duration_ms, b.subject, b.subject_type, b.success
    FROM monitor.belongings(OLD.job_id) b;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, source, workflow_id, robot_id, status, duration_ms,
                                       subject, subject_type, success)
    SELECT b.kind, 1, NEW.created_at, NEW.environment, NEW.source, NEW.workflow_id, NEW.robot_id, b.status,
           b.duration_ms, b.subject, b.subject_type, b.success
    FROM monitor.belongings(OLD.job_id) b;
    RETURN NEW;
END $$;

CREATE FUNCTION monitor.belongings(job text) RETURNS TABLE (
    kind text, status text, duration_ms double precision, subject text, subject_type text, success boolean
) LANGUAGE sql STABLE AS $$
    SELECT 'node', n.status, n.duration_ms, n.node_id, n.node_type, NULL::boolean
    FROM monitor.node_executions n WHERE n.job_id = job AND n.status <> 'running'
    UNION ALL
    SELECT 'healing', NULL, NULL, h.tier, NULL, h.success FROM monitor.healing_events h WHERE h.job_id = job
$$;

CREATE FUNCTION monitor.note_node() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, monitor AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.status <> 'running' THEN
        INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, source, workflow_id, robot_id, status,
                                           duration_ms, subject, subject_type)
        SELECT 'node', -1, j.created_at, j.environment, j.source, j.workflow_id, j.robot_id, OLD.status,
               OLD.duration_ms, OLD.node_id, OLD.node_type
        FROM monitor.jobs j WHERE j.job_id = OLD.job_id;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.status <> 'running' THEN
        INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, source, workflow_id, robot_id, status,
                                           duration_ms, subject, subject_type)
        SELECT 'node', 1, j.created_at, j.environment, j.source, j.workflow_id, j.robot_id, NEW.status,
               NEW.duration_ms, NEW.node_id, NEW.node_type
        FROM monitor.jobs j WHERE j.job_id = NEW.job_id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION monitor.note_healing() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, monitor AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, source, workflow_id, robot_id, subject, success)
        SELECT 'healing', -1, j.created_at, j.environment, j.source, j.workflow_id, j.robot_id, OLD.tier, OLD.success
        FROM monitor.jobs j WHERE j.job_id = OLD.job_id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO monitor.rollup_deltas (kind, sign, at, environment, source, workflow_id, robot_id, subject, success)
        SELECT 'healing', 1, j.created_at, j.environment, j.source, j.workflow_id, j.robot_id, NEW.tier, NEW.success
        FROM monitor.jobs j WHERE j.job_id = NEW.job_id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER roll_up_insert AFTER INSERT ON monitor.jobs FOR EACH ROW
    WHEN (NEW.status IN ('completed', 'failed', 'cancelled')
          AND current_setting('monitor.rollups', true) IS DISTINCT FROM 'off')
    EXECUTE FUNCTION monitor.note_job();
CREATE TRIGGER roll_up_update AFTER UPDATE ON monitor.jobs FOR EACH ROW
    WHEN ((OLD.status IN ('completed', 'failed', 'cancelled') OR NEW.status IN ('completed', 'failed', 'cancelled'))
          AND (OLD.created_at, OLD.environment, OLD.source, OLD.workflow_id, OLD.robot_id, OLD.status, OLD.duration_ms,
               OLD.queue_wait_ms, OLD.error_type)
           IS DISTINCT FROM
              (NEW.created_at, NEW.environment, NEW.source, NEW.workflow_id, NEW.robot_id, NEW.status, NEW.duration_ms,
               NEW.queue_wait_ms, NEW.error_type))
    EXECUTE FUNCTION monitor.note_job();
CREATE TRIGGER roll_up_move AFTER UPDATE ON monitor.jobs FOR EACH ROW
    WHEN ((OLD.created_at, OLD.environment, OLD.source, OLD.workflow_id, OLD.robot_id)
          IS DISTINCT FROM (NEW.created_at, NEW.environment, NEW.source, NEW.workflow_id, NEW.robot_id))
    EXECUTE FUNCTION monitor.note_belongings();
-- Before, since afterwards the job's steps and healings are gone already.
CREATE TRIGGER roll_up_delete BEFORE DELETE ON monitor.jobs FOR EACH ROW
    WHEN (current_setting('monitor.rollups', true) IS DISTINCT FROM 'off')
    EXECUTE FUNCTION monitor.note_job();
CREATE TRIGGER roll_up_delete_belongings BEFORE DELETE ON monitor.jobs FOR EACH ROW
    WHEN (current_setting('monitor.rollups', true) IS DISTINCT FROM 'off')
    EXECUTE FUNCTION monitor.note_belongings();
CREATE TRIGGER roll_up_insert AFTER INSERT ON monitor.node_executions FOR EACH ROW
    WHEN (NEW.status <> 'running' AND current_setting('monitor.rollups', true) IS DISTINCT FROM 'off')
    EXECUTE FUNCTION monitor.note_node();
CREATE TRIGGER roll_up_update AFTER UPDATE ON monitor.node_executions FOR EACH ROW
    WHEN ((OLD.status <> 'running' OR NEW.status <> 'running')
          AND (OLD.status, OLD.duration_ms, OLD.node_id, OLD.node_type)
              IS DISTINCT FROM (NEW.status, NEW.duration_ms, NEW.node_id, NEW.node_type))
    EXECUTE FUNCTION monitor.note_node();
CREATE TRIGGER roll_up_delete AFTER DELETE ON monitor.node_executions FOR EACH ROW
    WHEN (OLD.status <> 'running' AND current_setting('monitor.rollups', true) IS DISTINCT FROM 'off')
    EXECUTE FUNCTION monitor.note_node();
CREATE TRIGGER roll_up_insert AFTER INSERT ON monitor.healing_events FOR EACH ROW
    WHEN (current_setting('monitor.rollups', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION monitor.note_healing();
CREATE TRIGGER roll_up_change AFTER UPDATE OR DELETE ON monitor.healing_events FOR EACH ROW
    WHEN (current_setting('monitor.rollups', true) IS DISTINCT FROM 'off') EXECUTE FUNCTION monitor.note_healing();

-- How long a robot was in which status: closed spans are noted as they end, the open one is told by its row.
ALTER TABLE monitor.robots ADD COLUMN status_since timestamptz NOT NULL DEFAULT now();
COMMENT ON COLUMN monitor.robots.status_since IS 'since when it stands in this status and environment';

CREATE FUNCTION monitor.note_robot() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, monitor AS $$
BEGIN
    NEW.status_since := greatest(OLD.status_since, clock_timestamp());
    INSERT INTO monitor.rollup_deltas (kind, sign, at, until, environment, robot_id, status)
    VALUES ('robot', 1, OLD.status_since, NEW.status_since, OLD.environment, OLD.robot_id, OLD.status);
    RETURN NEW;
END $$;
CREATE TRIGGER roll_up_status BEFORE UPDATE OF status, environment ON monitor.robots FOR EACH ROW
    WHEN (OLD.status <> NEW.status OR OLD.environment <> NEW.environment) EXECUTE FUNCTION monitor.note_robot();

-- What was there before is folded by the day; one probe of an index finds each.
INSERT INTO monitor.rollup_gaps (source, day)
WITH RECURSIVE first AS (
    (SELECT j.source, j.created_at FROM monitor.jobs j ORDER BY j.source, j.created_at LIMIT 1)
    UNION ALL
    SELECT next.source, next.created_at
    FROM first f
    CROSS JOIN LATERAL (
        SELECT j.source, j.created_at FROM monitor.jobs j
        WHERE (j.source, j.created_at) >= (f.source, date_trunc('day', f.created_at, 'UTC') + interval '24 hours')
          AND (j.source, j.created_at) > (f.source, f.created_at)  -- of infinity there is no next day
        ORDER BY j.source, j.created_at LIMIT 1
    ) next
)
SELECT f.source, date_trunc('day', f.created_at, 'UTC') FROM first f WHERE isfinite(f.created_at);
INSERT INTO monitor.rollup_deltas (kind, sign, at, until, environment, robot_id, status)
SELECT 'robot', 1, e.at, e.until, e.environment, e.robot_id, e.status
FROM (SELECT e.*, lead(e.at) OVER (PARTITION BY e.robot_id ORDER BY e.at, e.seq) AS until
      FROM monitor.events e WHERE e.kind = 'robot') e
WHERE e.until > e.at;
UPDATE monitor.robots r SET status_since = last.at
FROM (SELECT e.robot_id, max(e.at) AS at FROM monitor.events e WHERE e.kind = 'robot' GROUP BY e.robot_id) last
WHERE last.robot_id = r.robot_id;
