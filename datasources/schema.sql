-- What the migrations make of an empty database; `make schema` writes it. Never edited by hand.

CREATE SCHEMA monitor;

CREATE FUNCTION monitor.log_job() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'monitor'
    AS $$
BEGIN
    INSERT INTO monitor.events (kind, job_id, robot_id, workflow_id, environment, status, previous_status)
    VALUES ('job', NEW.job_id, NEW.robot_id, NEW.workflow_id, NEW.environment, NEW.status,
            CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END);
    RETURN NULL;
END $$;

CREATE FUNCTION monitor.log_node() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'monitor'
    AS $$
BEGIN
    INSERT INTO monitor.events (kind, job_id, robot_id, position, workflow_id, environment, status, previous_status)
    SELECT 'node', j.job_id, j.robot_id, NEW.position, j.workflow_id, j.environment, NEW.status,
           CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END
    FROM monitor.jobs j WHERE j.job_id = NEW.job_id;
    RETURN NULL;
END $$;

CREATE FUNCTION monitor.log_robot() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'monitor'
    AS $$
BEGIN
    INSERT INTO monitor.events (kind, robot_id, environment, status, previous_status)
    VALUES ('robot', NEW.robot_id, NEW.environment, NEW.status, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END);
    RETURN NULL;
END $$;

CREATE FUNCTION monitor.record_source_error(source text, source_key text, code text, message text) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'monitor'
    AS $$
    INSERT INTO monitor.source_errors AS e (source, source_key, code, message)
    VALUES (source, source_key, code, left(message, 2000))
    ON CONFLICT ON CONSTRAINT source_errors_pkey
    DO UPDATE SET message = excluded.message, last_at = now(), times = e.times + 1
$$;

CREATE FUNCTION monitor.ring() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    IF pg_try_advisory_xact_lock(hashtextextended('casare-monitor rings for ' || TG_ARGV[0], 0)) THEN
        PERFORM pg_notify('monitor', TG_ARGV[0]);
    END IF;
    RETURN NULL;
END $$;

CREATE TABLE monitor.api_keys (
    key_id text NOT NULL,
    secret_sha256 bytea NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    environments text[],
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT api_keys_key_id_check CHECK ((key_id ~ '^[0-9a-f]{12}$'::text)),
    CONSTRAINT api_keys_role_check CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'developer'::text, 'admin'::text, 'robot'::text]))),
    CONSTRAINT api_keys_secret_sha256_check CHECK ((length(secret_sha256) = 32))
);

COMMENT ON COLUMN monitor.api_keys.name IS 'whose it is; what it does is done in that name';

COMMENT ON COLUMN monitor.api_keys.environments IS 'what it sees; null for everything';

COMMENT ON COLUMN monitor.api_keys.last_used_at IS 'to the minute';

CREATE TABLE monitor.audit (
    id bytea NOT NULL,
    at timestamp with time zone NOT NULL,
    kind text NOT NULL,
    code text,
    viewer text,
    address text,
    request_id text,
    detail text,
    times bigint DEFAULT 1 NOT NULL,
    CONSTRAINT audit_kind_check CHECK ((kind = ANY (ARRAY['authentication_failed'::text, 'key_used'::text, 'operation_refused'::text, 'admin_action'::text])))
);

COMMENT ON COLUMN monitor.audit.id IS 'a digest of what happened and in which minute: what happens again in it is one row';

COMMENT ON COLUMN monitor.audit.at IS 'when it happened first in that minute';

CREATE TABLE monitor.documents (
    id text NOT NULL,
    sha256 text NOT NULL,
    text text NOT NULL,
    registered_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT documents_id_check CHECK ((id <> ''::text)),
    CONSTRAINT documents_sha256_check CHECK ((sha256 ~ '^[0-9a-f]{64}$'::text))
);

CREATE TABLE monitor.events (
    seq bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    kind text NOT NULL,
    job_id text,
    robot_id text,
    "position" integer,
    workflow_id text,
    environment text NOT NULL,
    status text NOT NULL,
    previous_status text,
    CONSTRAINT events_kind_check CHECK ((kind = ANY (ARRAY['job'::text, 'node'::text, 'robot'::text])))
);

ALTER TABLE monitor.events ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME monitor.events_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE monitor.healing_events (
    healing_id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    job_id text NOT NULL,
    node_id text NOT NULL,
    tier text NOT NULL,
    success boolean NOT NULL
);

ALTER TABLE monitor.healing_events ALTER COLUMN healing_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME monitor.healing_events_healing_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE monitor.heartbeats (
    robot_id text NOT NULL,
    at timestamp with time zone NOT NULL,
    status text NOT NULL,
    cpu_percent double precision,
    memory_mb double precision,
    memory_percent double precision,
    job_id text,
    CONSTRAINT heartbeats_status_check CHECK ((status = ANY (ARRAY['idle'::text, 'busy'::text, 'offline'::text, 'failed'::text])))
);

CREATE TABLE monitor.jobs (
    job_id text NOT NULL,
    source text NOT NULL,
    workflow_id text NOT NULL,
    workflow_name text NOT NULL,
    robot_id text,
    environment text DEFAULT 'default'::text NOT NULL,
    status text NOT NULL,
    raw_status text NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone,
    completed_at timestamp with time zone,
    duration_ms double precision GENERATED ALWAYS AS ((EXTRACT(epoch FROM (completed_at - claimed_at)) * (1000)::numeric)) STORED,
    queue_wait_ms double precision GENERATED ALWAYS AS ((EXTRACT(epoch FROM (claimed_at - created_at)) * (1000)::numeric)) STORED,
    error_type text,
    error_message text,
    retry_count integer DEFAULT 0 NOT NULL,
    max_retries integer,
    progress_percent double precision,
    current_node text,
    CONSTRAINT jobs_progress_percent_check CHECK (((progress_percent >= (0)::double precision) AND (progress_percent <= (100)::double precision))),
    CONSTRAINT jobs_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'claimed'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
);

COMMENT ON COLUMN monitor.jobs.source IS 'where it is known from: pgqueuer, dbos, or report for robots that tell us themselves';

COMMENT ON COLUMN monitor.jobs.raw_status IS 'the status in the words of the source';

CREATE TABLE monitor.ledger (
    identity text DEFAULT "left"(md5((gen_random_uuid())::text), 12) NOT NULL,
    pruned bigint DEFAULT 0 NOT NULL,
    single boolean DEFAULT true NOT NULL,
    CONSTRAINT ledger_single_check CHECK (single)
);

COMMENT ON TABLE monitor.ledger IS 'one row: the name of this ledger, which tells its cursors from those of another database';

COMMENT ON COLUMN monitor.ledger.pruned IS 'the highest number that was forgotten; those up to it may be gone';

CREATE TABLE monitor.migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE monitor.node_executions (
    job_id text NOT NULL,
    "position" integer NOT NULL,
    node_id text NOT NULL,
    node_type text NOT NULL,
    status text NOT NULL,
    started_at timestamp with time zone,
    completed_at timestamp with time zone,
    duration_ms double precision GENERATED ALWAYS AS ((EXTRACT(epoch FROM (completed_at - started_at)) * (1000)::numeric)) STORED,
    error_type text,
    error_message text,
    retry_count integer DEFAULT 0 NOT NULL,
    CONSTRAINT node_executions_status_check CHECK ((status = ANY (ARRAY['running'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
);

COMMENT ON COLUMN monitor.node_executions."position" IS 'order of the step within its job, as its source counts; a node in a loop has several';

CREATE UNLOGGED TABLE monitor.rates (
    payer bytea NOT NULL,
    bucket bigint NOT NULL,
    spent bigint[] NOT NULL,
    granted bigint NOT NULL
)
WITH (fillfactor='50');

COMMENT ON COLUMN monitor.rates.payer IS 'a digest of who pays, and from which allowance';

COMMENT ON COLUMN monitor.rates.bucket IS 'the newest bucket, in its lengths since 1970';

COMMENT ON COLUMN monitor.rates.spent IS 'what was granted in that bucket and in those before it, newest first';

COMMENT ON COLUMN monitor.rates.granted IS 'what the newest lease got';

CREATE TABLE monitor.reported_queues (
    environment text NOT NULL,
    depth integer NOT NULL,
    at timestamp with time zone NOT NULL,
    CONSTRAINT reported_queues_depth_check CHECK ((depth >= 0))
);

CREATE TABLE monitor.robots (
    robot_id text NOT NULL,
    hostname text NOT NULL,
    environment text DEFAULT 'default'::text NOT NULL,
    status text DEFAULT 'idle'::text NOT NULL,
    capabilities text[] DEFAULT '{}'::text[] NOT NULL,
    queue_manager_id text,
    cpu_percent double precision,
    memory_mb double precision,
    memory_percent double precision,
    reported_job_id text,
    last_heartbeat timestamp with time zone,
    registered_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT robots_status_check CHECK ((status = ANY (ARRAY['idle'::text, 'busy'::text, 'offline'::text, 'failed'::text])))
);

COMMENT ON COLUMN monitor.robots.status IS 'what the robot said last; a silent robot is offline whatever stands here';

COMMENT ON COLUMN monitor.robots.queue_manager_id IS 'the PgQueuer queue manager this robot works as; new at every start of it';

COMMENT ON COLUMN monitor.robots.reported_job_id IS 'the job its last heartbeat named';

CREATE TABLE monitor.source_errors (
    source text NOT NULL,
    source_key text NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    first_at timestamp with time zone DEFAULT now() NOT NULL,
    last_at timestamp with time zone DEFAULT now() NOT NULL,
    times bigint DEFAULT 1 NOT NULL
);

CREATE TABLE monitor.sources (
    name text NOT NULL,
    version text NOT NULL,
    attached_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY monitor.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (key_id);

ALTER TABLE ONLY monitor.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY monitor.documents
    ADD CONSTRAINT documents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY monitor.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (seq);

ALTER TABLE ONLY monitor.healing_events
    ADD CONSTRAINT healing_events_pkey PRIMARY KEY (healing_id);

ALTER TABLE ONLY monitor.heartbeats
    ADD CONSTRAINT heartbeats_pkey PRIMARY KEY (robot_id, at);

ALTER TABLE ONLY monitor.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (job_id);

ALTER TABLE ONLY monitor.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (single);

ALTER TABLE ONLY monitor.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY monitor.node_executions
    ADD CONSTRAINT node_executions_pkey PRIMARY KEY (job_id, "position");

ALTER TABLE ONLY monitor.rates
    ADD CONSTRAINT rates_pkey PRIMARY KEY (payer);

ALTER TABLE ONLY monitor.reported_queues
    ADD CONSTRAINT reported_queues_pkey PRIMARY KEY (environment);

ALTER TABLE ONLY monitor.robots
    ADD CONSTRAINT robots_pkey PRIMARY KEY (robot_id);

ALTER TABLE ONLY monitor.robots
    ADD CONSTRAINT robots_queue_manager_id_key UNIQUE (queue_manager_id);

ALTER TABLE ONLY monitor.source_errors
    ADD CONSTRAINT source_errors_pkey PRIMARY KEY (source, source_key, code);

ALTER TABLE ONLY monitor.sources
    ADD CONSTRAINT sources_pkey PRIMARY KEY (name);

CREATE UNIQUE INDEX api_keys_by_name ON monitor.api_keys USING btree (name) WHERE (revoked_at IS NULL);

CREATE INDEX audit_at ON monitor.audit USING btree (at);

CREATE INDEX events_by_job ON monitor.events USING btree (job_id, seq) WHERE (job_id IS NOT NULL);

CREATE INDEX events_by_robot ON monitor.events USING btree (robot_id, seq) WHERE (kind = 'robot'::text);

CREATE INDEX events_by_time ON monitor.events USING btree (at, seq);

CREATE INDEX healing_events_by_job ON monitor.healing_events USING btree (job_id);

CREATE INDEX healing_events_by_time ON monitor.healing_events USING btree (at);

CREATE INDEX jobs_by_completed_at ON monitor.jobs USING btree (COALESCE(completed_at, 'infinity'::timestamp with time zone), job_id);

CREATE INDEX jobs_by_created_at ON monitor.jobs USING btree (created_at, job_id);

CREATE INDEX jobs_by_duration ON monitor.jobs USING btree (COALESCE(duration_ms, ('-1'::integer)::double precision), job_id);

CREATE INDEX jobs_by_environment ON monitor.jobs USING btree (environment, created_at, job_id);

CREATE INDEX jobs_by_error_type ON monitor.jobs USING btree (error_type, created_at, job_id) WHERE (error_type IS NOT NULL);

CREATE INDEX jobs_by_robot ON monitor.jobs USING btree (robot_id, created_at, job_id) WHERE (robot_id IS NOT NULL);

CREATE INDEX jobs_by_robot_completed_at ON monitor.jobs USING btree (robot_id, COALESCE(completed_at, 'infinity'::timestamp with time zone), job_id) WHERE (robot_id IS NOT NULL);

CREATE INDEX jobs_by_robot_duration ON monitor.jobs USING btree (robot_id, COALESCE(duration_ms, ('-1'::integer)::double precision), job_id) WHERE (robot_id IS NOT NULL);

CREATE INDEX jobs_by_source ON monitor.jobs USING btree (source, created_at, job_id);

CREATE INDEX jobs_by_status ON monitor.jobs USING btree (status, created_at, job_id);

CREATE INDEX jobs_by_workflow ON monitor.jobs USING btree (workflow_id, created_at, job_id);

CREATE INDEX jobs_by_workflow_completed_at ON monitor.jobs USING btree (workflow_id, COALESCE(completed_at, 'infinity'::timestamp with time zone), job_id);

CREATE INDEX jobs_by_workflow_duration ON monitor.jobs USING btree (workflow_id, COALESCE(duration_ms, ('-1'::integer)::double precision), job_id);

CREATE INDEX jobs_by_workflow_environment ON monitor.jobs USING btree (workflow_id, environment, created_at, job_id);

CREATE INDEX jobs_running ON monitor.jobs USING btree (robot_id, claimed_at, job_id) WHERE (status = 'claimed'::text);

CREATE INDEX jobs_search_error ON monitor.jobs USING gin (error_message monitor.gin_trgm_ops) WHERE (error_message IS NOT NULL);

CREATE INDEX jobs_search_workflow ON monitor.jobs USING gin (workflow_name monitor.gin_trgm_ops);

CREATE INDEX robots_by_environment ON monitor.robots USING btree (environment, robot_id);

CREATE INDEX robots_by_hostname ON monitor.robots USING btree (hostname, robot_id);

CREATE INDEX robots_by_last_heartbeat ON monitor.robots USING btree (COALESCE(last_heartbeat, registered_at), robot_id);

CREATE TRIGGER log_insert AFTER INSERT ON monitor.jobs FOR EACH ROW WHEN ((current_setting('monitor.backfill'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION monitor.log_job();

CREATE TRIGGER log_insert AFTER INSERT ON monitor.node_executions FOR EACH ROW WHEN ((current_setting('monitor.backfill'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION monitor.log_node();

CREATE TRIGGER log_insert AFTER INSERT ON monitor.robots FOR EACH ROW WHEN ((current_setting('monitor.backfill'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION monitor.log_robot();

CREATE TRIGGER log_update AFTER UPDATE OF status ON monitor.jobs FOR EACH ROW WHEN ((old.status <> new.status)) EXECUTE FUNCTION monitor.log_job();

CREATE TRIGGER log_update AFTER UPDATE OF status ON monitor.node_executions FOR EACH ROW WHEN ((old.status <> new.status)) EXECUTE FUNCTION monitor.log_node();

CREATE TRIGGER log_update AFTER UPDATE OF status ON monitor.robots FOR EACH ROW WHEN ((old.status <> new.status)) EXECUTE FUNCTION monitor.log_robot();

CREATE CONSTRAINT TRIGGER ring AFTER INSERT ON monitor.events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION monitor.ring('events');

CREATE TRIGGER ring AFTER INSERT OR UPDATE ON monitor.reported_queues FOR EACH STATEMENT EXECUTE FUNCTION monitor.ring('queue');

CREATE CONSTRAINT TRIGGER ring AFTER INSERT OR DELETE OR UPDATE ON monitor.robots DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION monitor.ring('robots');

ALTER TABLE ONLY monitor.healing_events
    ADD CONSTRAINT healing_events_job_id_fkey FOREIGN KEY (job_id) REFERENCES monitor.jobs(job_id) ON DELETE CASCADE;

ALTER TABLE ONLY monitor.heartbeats
    ADD CONSTRAINT heartbeats_robot_id_fkey FOREIGN KEY (robot_id) REFERENCES monitor.robots(robot_id) ON DELETE CASCADE;

ALTER TABLE ONLY monitor.node_executions
    ADD CONSTRAINT node_executions_job_id_fkey FOREIGN KEY (job_id) REFERENCES monitor.jobs(job_id) ON DELETE CASCADE;
