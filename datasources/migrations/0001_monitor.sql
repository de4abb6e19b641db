-- The fleet's truth. Everything lies in the schema `monitor`, so that it can live in a database that belongs to
-- somebody else and leave it without a trace. Statuses are checked text, not Postgres enums: clients decode them
-- without asking the catalogue, and a later migration can add a word inside a transaction.

CREATE TABLE monitor.robots (
    robot_id         text PRIMARY KEY,
    hostname         text NOT NULL,
    environment      text NOT NULL DEFAULT 'default',
    status           text NOT NULL DEFAULT 'idle' CHECK (status IN ('idle', 'busy', 'offline', 'failed')),
    capabilities     text[] NOT NULL DEFAULT '{}',
    queue_manager_id text UNIQUE,
    cpu_percent      double precision,
    memory_mb        double precision,
    memory_percent   double precision,
    reported_job_id  text,
    last_heartbeat   timestamptz,
    registered_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN monitor.robots.status IS 'what the robot said last; a silent robot is offline whatever stands here';
COMMENT ON COLUMN monitor.robots.queue_manager_id IS 'the PgQueuer queue manager this robot works as; new at every start of it';
COMMENT ON COLUMN monitor.robots.reported_job_id IS 'the job its last heartbeat named';

CREATE INDEX robots_by_hostname ON monitor.robots (hostname, robot_id);
CREATE INDEX robots_by_last_heartbeat ON monitor.robots ((coalesce(last_heartbeat, registered_at)), robot_id);
CREATE INDEX robots_by_environment ON monitor.robots (environment, robot_id);

CREATE TABLE monitor.heartbeats (
    robot_id       text NOT NULL REFERENCES monitor.robots ON DELETE CASCADE,
    at             timestamptz NOT NULL,
    status         text NOT NULL CHECK (status IN ('idle', 'busy', 'offline', 'failed')),
    cpu_percent    double precision,
    memory_mb      double precision,
    memory_percent double precision,
    job_id         text,
    PRIMARY KEY (robot_id, at)
);

CREATE TABLE monitor.jobs (
    job_id           text PRIMARY KEY,
    source           text NOT NULL,
    workflow_id      text NOT NULL,
    workflow_name    text NOT NULL,
    robot_id         text,
    environment      text NOT NULL DEFAULT 'default',
    status           text NOT NULL CHECK (status IN ('pending', 'claimed', 'completed', 'failed', 'cancelled')),
    raw_status       text NOT NULL,
    priority         integer NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL,
    claimed_at       timestamptz,
    completed_at     timestamptz,
    duration_ms      double precision
        GENERATED ALWAYS AS (extract(epoch FROM completed_at - claimed_at) * 1000) STORED,
    queue_wait_ms    double precision
        GENERATED ALWAYS AS (extract(epoch FROM claimed_at - created_at) * 1000) STORED,
    error_type       text,
    error_message    text,
    retry_count      integer NOT NULL DEFAULT 0,
    max_retries      integer,
    progress_percent double precision CHECK (progress_percent BETWEEN 0 AND 100),
    current_node     text
);
COMMENT ON COLUMN monitor.jobs.raw_status IS 'the status in the words of the source';
COMMENT ON COLUMN monitor.jobs.source IS 'where it is known from: pgqueuer, dbos, or report for robots that tell us themselves';

-- One index for each order, one for each filter in the default order, and for robots and workflows, whose own lists are
-- read for a hundred at once, one in every order: such a page is one short index range. Another filter in another order
-- walks the order or sorts what is filtered, whichever is less.
CREATE INDEX jobs_by_created_at ON monitor.jobs (created_at, job_id);
CREATE INDEX jobs_by_completed_at ON monitor.jobs ((coalesce(completed_at, 'infinity')), job_id);
CREATE INDEX jobs_by_duration ON monitor.jobs ((coalesce(duration_ms, -1)), job_id);
CREATE INDEX jobs_by_status ON monitor.jobs (status, created_at, job_id);
CREATE INDEX jobs_by_workflow ON monitor.jobs (workflow_id, created_at, job_id);
CREATE INDEX jobs_by_workflow_completed_at ON monitor.jobs (workflow_id, (coalesce(completed_at, 'infinity')), job_id);
CREATE INDEX jobs_by_workflow_duration ON monitor.jobs (workflow_id, (coalesce(duration_ms, -1)), job_id);
CREATE INDEX jobs_by_robot ON monitor.jobs (robot_id, created_at, job_id) WHERE robot_id IS NOT NULL;
CREATE INDEX jobs_by_robot_completed_at ON monitor.jobs (robot_id, (coalesce(completed_at, 'infinity')), job_id)
    WHERE robot_id IS NOT NULL;
CREATE INDEX jobs_by_robot_duration ON monitor.jobs (robot_id, (coalesce(duration_ms, -1)), job_id)
    WHERE robot_id IS NOT NULL;
CREATE INDEX jobs_by_environment ON monitor.jobs (environment, created_at, job_id);
CREATE INDEX jobs_by_source ON monitor.jobs (source, created_at, job_id);
CREATE INDEX jobs_by_error_type ON monitor.jobs (error_type, created_at, job_id) WHERE error_type IS NOT NULL;
CREATE INDEX jobs_running ON monitor.jobs (robot_id, claimed_at, job_id) WHERE status = 'claimed';

-- Text search: pg_trgm may already stand in a schema of its owner's choice; it comes into ours only when it is missing.
CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA monitor;
DO $$
DECLARE
    trgm name := (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                  WHERE e.extname = 'pg_trgm');
BEGIN
    EXECUTE format('CREATE INDEX jobs_search_workflow ON monitor.jobs USING gin (workflow_name %I.gin_trgm_ops)', trgm);
    EXECUTE format('CREATE INDEX jobs_search_error ON monitor.jobs USING gin (error_message %I.gin_trgm_ops)
                    WHERE error_message IS NOT NULL', trgm);
END $$;

CREATE TABLE monitor.node_executions (
    job_id        text NOT NULL REFERENCES monitor.jobs ON DELETE CASCADE,
    position      integer NOT NULL,
    node_id       text NOT NULL,
    node_type     text NOT NULL,
    status        text NOT NULL CHECK (status IN ('running', 'completed', 'failed', 'cancelled')),
    started_at    timestamptz,
    completed_at  timestamptz,
    duration_ms   double precision
        GENERATED ALWAYS AS (extract(epoch FROM completed_at - started_at) * 1000) STORED,
    error_type    text,
    error_message text,
    retry_count   integer NOT NULL DEFAULT 0,
    PRIMARY KEY (job_id, position)
);
COMMENT ON COLUMN monitor.node_executions.position IS 'order of the step within its job, as its source counts; a node in a loop has several';

CREATE TABLE monitor.healing_events (
    healing_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    job_id      text NOT NULL REFERENCES monitor.jobs ON DELETE CASCADE,
    node_id     text NOT NULL,
    tier        text NOT NULL,
    success     boolean NOT NULL
);
CREATE INDEX healing_events_by_job ON monitor.healing_events (job_id);
CREATE INDEX healing_events_by_time ON monitor.healing_events (at);

-- The ledger: one row for each transition, written by the transaction that made it. Never updated.
CREATE TABLE monitor.events (
    seq             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind            text NOT NULL CHECK (kind IN ('job', 'node', 'robot')),
    job_id          text,
    robot_id        text,
    position        integer,
    workflow_id     text,
    environment     text NOT NULL,
    status          text NOT NULL,
    previous_status text
);
CREATE INDEX events_by_time ON monitor.events (at, seq);
CREATE INDEX events_by_job ON monitor.events (job_id, seq) WHERE job_id IS NOT NULL;
CREATE INDEX events_by_robot ON monitor.events (robot_id, seq) WHERE kind = 'robot';

-- What a source or a robot told us that could not be taken. One row for each thing, with how often it happened.
CREATE TABLE monitor.source_errors (
    source     text NOT NULL,
    source_key text NOT NULL,
    code       text NOT NULL,
    message    text NOT NULL,
    first_at   timestamptz NOT NULL DEFAULT now(),
    last_at    timestamptz NOT NULL DEFAULT now(),
    times      bigint NOT NULL DEFAULT 1,
    PRIMARY KEY (source, source_key, code)
);

CREATE TABLE monitor.sources (
    name        text PRIMARY KEY,
    version     text NOT NULL,
    attached_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION monitor.record_source_error(source text, source_key text, code text, message text) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, monitor AS $$
    INSERT INTO monitor.source_errors AS e (source, source_key, code, message)
    VALUES (source, source_key, code, left(message, 2000))
    ON CONFLICT ON CONSTRAINT source_errors_pkey
    DO UPDATE SET message = excluded.message, last_at = now(), times = e.times + 1
$$;

CREATE FUNCTION monitor.log_job() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, monitor AS $$
BEGIN
    INSERT INTO monitor.events (kind, job_id, robot_id, workflow_id, environment, status, previous_status)
    VALUES ('job', NEW.job_id, NEW.robot_id, NEW.workflow_id, NEW.environment, NEW.status,
            CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END);
    RETURN NULL;
END $$;

CREATE FUNCTION monitor.log_node() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, monitor AS $$
BEGIN
    INSERT INTO monitor.events (kind, job_id, robot_id, position, workflow_id, environment, status, previous_status)
    SELECT 'node', j.job_id, j.robot_id, NEW.position, j.workflow_id, j.environment, NEW.status,
           CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END
    FROM monitor.jobs j WHERE j.job_id = NEW.job_id;
    RETURN NULL;
END $$;

CREATE FUNCTION monitor.log_robot() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, monitor AS $$
BEGIN
    INSERT INTO monitor.events (kind, robot_id, environment, status, previous_status)
    VALUES ('robot', NEW.robot_id, NEW.environment, NEW.status, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END);
    RETURN NULL;
END $$;

-- `monitor.backfill = on` marks a transaction that copies a past it did not witness: history is not a transition.
CREATE TRIGGER log_insert AFTER INSERT ON monitor.jobs FOR EACH ROW
    WHEN (current_setting('monitor.backfill', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION monitor.log_job();
CREATE TRIGGER log_update AFTER UPDATE OF status ON monitor.jobs FOR EACH ROW
    WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION monitor.log_job();
CREATE TRIGGER log_insert AFTER INSERT ON monitor.node_executions FOR EACH ROW
    WHEN (current_setting('monitor.backfill', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION monitor.log_node();
CREATE TRIGGER log_update AFTER UPDATE OF status ON monitor.node_executions FOR EACH ROW
    WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION monitor.log_node();
CREATE TRIGGER log_insert AFTER INSERT ON monitor.robots FOR EACH ROW
    WHEN (current_setting('monitor.backfill', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION monitor.log_robot();
CREATE TRIGGER log_update AFTER UPDATE OF status ON monitor.robots FOR EACH ROW
    WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION monitor.log_robot();
