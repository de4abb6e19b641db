-- What the migrations make of an empty database; `make schema` writes it. Never edited by hand.

CREATE SCHEMA monitor;

CREATE FUNCTION monitor.belongings(job text) RETURNS TABLE(kind text, status text, duration_ms double precision, subject text, subject_type text, success boolean)
    LANGUAGE sql STABLE
    AS $$
    SELECT 'node', n.status, n.duration_ms, n.node_id, n.node_type, NULL::boolean
    FROM monitor.node_executions n WHERE n.job_id = job AND n.status <> 'running'
    UNION ALL
    SELECT 'healing', NULL, NULL, h.tier, NULL, h.success FROM monitor.healing_events h WHERE h.job_id = job
$$;

CREATE FUNCTION monitor.keep_heartbeat_days(seconds double precision) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'monitor'
    SET lock_timeout TO '500ms'
    AS $_$
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
END $_$;

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

CREATE FUNCTION monitor.note_belongings() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'monitor'
    AS $$
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

CREATE FUNCTION monitor.note_healing() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'monitor'
    AS $$
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

CREATE FUNCTION monitor.note_job() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'monitor'
    AS $$
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

CREATE FUNCTION monitor.note_node() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'monitor'
    AS $$
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

CREATE FUNCTION monitor.note_robot() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'monitor'
    AS $$
BEGIN
    NEW.status_since := greatest(OLD.status_since, clock_timestamp());
    INSERT INTO monitor.rollup_deltas (kind, sign, at, until, environment, robot_id, status)
    VALUES ('robot', 1, OLD.status_since, NEW.status_since, OLD.environment, OLD.robot_id, OLD.status);
    RETURN NEW;
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

CREATE FUNCTION monitor.sketch_bin(value double precision) RETURNS smallint
    LANGUAGE sql IMMUTABLE
    RETURN (CASE WHEN (abs(value) < (0.0005)::double precision) THEN (0)::double precision ELSE (sign(value) * ((400)::double precision + ceil((ln(LEAST(abs(value), ('100000000000000000'::numeric)::double precision)) / (0.019802627296179713)::double precision)))) END)::smallint;

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
    robot_id text CONSTRAINT heartbeats_robot_id_not_null1 NOT NULL,
    at timestamp with time zone CONSTRAINT heartbeats_at_not_null1 NOT NULL,
    status text CONSTRAINT heartbeats_status_not_null1 NOT NULL,
    cpu_percent double precision,
    memory_mb double precision,
    memory_percent double precision,
    job_id text,
    CONSTRAINT heartbeats_status_check CHECK ((status = ANY (ARRAY['idle'::text, 'busy'::text, 'offline'::text, 'failed'::text])))
)
PARTITION BY RANGE (at);

CREATE TABLE monitor.heartbeats_other (
    robot_id text CONSTRAINT heartbeats_robot_id_not_null NOT NULL,
    at timestamp with time zone CONSTRAINT heartbeats_at_not_null NOT NULL,
    status text CONSTRAINT heartbeats_status_not_null NOT NULL,
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
    status_since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT robots_status_check CHECK ((status = ANY (ARRAY['idle'::text, 'busy'::text, 'offline'::text, 'failed'::text])))
);

COMMENT ON COLUMN monitor.robots.status IS 'what the robot said last; a silent robot is offline whatever stands here';

COMMENT ON COLUMN monitor.robots.queue_manager_id IS 'the PgQueuer queue manager this robot works as; new at every start of it';

COMMENT ON COLUMN monitor.robots.reported_job_id IS 'the job its last heartbeat named';

COMMENT ON COLUMN monitor.robots.status_since IS 'since when it stands in this status and environment';

CREATE TABLE monitor.rollup_deltas (
    seq bigint NOT NULL,
    kind text NOT NULL,
    sign smallint NOT NULL,
    at timestamp with time zone NOT NULL,
    until timestamp with time zone,
    environment text NOT NULL,
    source text DEFAULT ''::text NOT NULL,
    workflow_id text,
    workflow_name text,
    robot_id text,
    status text,
    duration_ms double precision,
    queue_wait_ms double precision,
    subject text,
    subject_type text,
    success boolean,
    CONSTRAINT rollup_deltas_kind_check CHECK ((kind = ANY (ARRAY['job'::text, 'node'::text, 'healing'::text, 'robot'::text]))),
    CONSTRAINT rollup_deltas_sign_check CHECK ((sign = ANY (ARRAY['-1'::integer, 1])))
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='20000');

COMMENT ON TABLE monitor.rollup_deltas IS 'what ended, was corrected or deleted, and is not folded into the rollups yet';

COMMENT ON COLUMN monitor.rollup_deltas.at IS 'when the job was created; of a robot, since when it was in this status';

COMMENT ON COLUMN monitor.rollup_deltas.until IS 'of a robot, when it left this status';

COMMENT ON COLUMN monitor.rollup_deltas.subject IS 'of a job its error type, of a step its node, of a healing its tier';

ALTER TABLE monitor.rollup_deltas ALTER COLUMN seq ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME monitor.rollup_deltas_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE monitor.rollup_errors (
    dimension text NOT NULL,
    key text NOT NULL,
    grain text NOT NULL,
    bucket timestamp with time zone NOT NULL,
    environment text NOT NULL,
    source text NOT NULL,
    error_type text NOT NULL,
    failed bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE monitor.rollup_gaps (
    gap bigint NOT NULL,
    source text NOT NULL,
    day timestamp with time zone NOT NULL
);

COMMENT ON TABLE monitor.rollup_gaps IS 'days of a source that are not folded';

COMMENT ON COLUMN monitor.rollup_gaps.day IS 'start of the day, in UTC, on which the jobs were created';

ALTER TABLE monitor.rollup_gaps ALTER COLUMN gap ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME monitor.rollup_gaps_gap_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE monitor.rollup_healing (
    dimension text NOT NULL,
    key text NOT NULL,
    grain text NOT NULL,
    bucket timestamp with time zone NOT NULL,
    environment text NOT NULL,
    source text NOT NULL,
    tier text NOT NULL,
    attempts bigint NOT NULL,
    successes bigint NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE monitor.rollup_nodes (
    workflow_id text NOT NULL,
    grain text NOT NULL,
    bucket timestamp with time zone NOT NULL,
    environment text NOT NULL,
    source text NOT NULL,
    node_id text NOT NULL,
    node_type text NOT NULL,
    ended bigint NOT NULL,
    failed bigint NOT NULL,
    runs bigint NOT NULL,
    run_ms numeric NOT NULL,
    bins smallint[] NOT NULL,
    counts integer[] NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE monitor.rollup_robots (
    dimension text NOT NULL,
    key text NOT NULL,
    grain text NOT NULL,
    bucket timestamp with time zone NOT NULL,
    environment text NOT NULL,
    status text NOT NULL,
    seconds numeric NOT NULL
)
WITH (fillfactor='70');

COMMENT ON COLUMN monitor.rollup_robots.bucket IS 'start of the hour or day, in UTC, that these seconds belong to';

CREATE TABLE monitor.rollup_sketches (
    measure text NOT NULL,
    dimension text NOT NULL,
    key text NOT NULL,
    grain text NOT NULL,
    bucket timestamp with time zone NOT NULL,
    environment text NOT NULL,
    source text NOT NULL,
    bins text NOT NULL,
    counts text NOT NULL,
    CONSTRAINT rollup_sketches_measure_check CHECK ((measure = ANY (ARRAY['run'::text, 'wait'::text])))
)
WITH (fillfactor='50', toast_tuple_target='8160');

COMMENT ON TABLE monitor.rollup_sketches IS 'numbers with commas between: an array is sent and read by a call for each number';

CREATE TABLE monitor.rollups (
    dimension text NOT NULL,
    key text NOT NULL,
    grain text NOT NULL,
    bucket timestamp with time zone NOT NULL,
    environment text NOT NULL,
    source text NOT NULL,
    name text,
    completed bigint NOT NULL,
    failed bigint NOT NULL,
    cancelled bigint NOT NULL,
    runs bigint NOT NULL,
    run_ms numeric NOT NULL,
    run_ms_squared double precision NOT NULL,
    shortest_run_ms double precision,
    longest_run_ms double precision,
    waits bigint NOT NULL,
    wait_ms numeric NOT NULL,
    longest_wait_ms double precision,
    CONSTRAINT rollups_dimension_check CHECK ((dimension = ANY (ARRAY['fleet'::text, 'workflow'::text, 'robot'::text]))),
    CONSTRAINT rollups_grain_check CHECK ((grain = ANY (ARRAY['hour'::text, 'day'::text])))
)
WITH (fillfactor='70');

COMMENT ON COLUMN monitor.rollups.bucket IS 'start of the hour or day, in UTC, in which the jobs were created';

COMMENT ON COLUMN monitor.rollups.runs IS 'jobs that completed or failed and have a duration';

COMMENT ON COLUMN monitor.rollups.run_ms IS 'their sum: exact, so that what is taken away again leaves nothing';

COMMENT ON COLUMN monitor.rollups.waits IS 'jobs that ended and had been claimed';

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

ALTER TABLE ONLY monitor.heartbeats ATTACH PARTITION monitor.heartbeats_other DEFAULT;

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

ALTER TABLE ONLY monitor.heartbeats_other
    ADD CONSTRAINT heartbeats_other_pkey PRIMARY KEY (robot_id, at);

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

ALTER TABLE ONLY monitor.rollup_deltas
    ADD CONSTRAINT rollup_deltas_pkey PRIMARY KEY (seq);

ALTER TABLE ONLY monitor.rollup_errors
    ADD CONSTRAINT rollup_errors_pkey PRIMARY KEY (dimension, key, grain, bucket, environment, source, error_type);

ALTER TABLE ONLY monitor.rollup_gaps
    ADD CONSTRAINT rollup_gaps_pkey PRIMARY KEY (gap);

ALTER TABLE ONLY monitor.rollup_healing
    ADD CONSTRAINT rollup_healing_pkey PRIMARY KEY (dimension, key, grain, bucket, environment, source, tier);

ALTER TABLE ONLY monitor.rollup_nodes
    ADD CONSTRAINT rollup_nodes_pkey PRIMARY KEY (workflow_id, grain, bucket, environment, source, node_id, node_type);

ALTER TABLE ONLY monitor.rollup_robots
    ADD CONSTRAINT rollup_robots_pkey PRIMARY KEY (dimension, key, grain, bucket, environment, status);

ALTER TABLE ONLY monitor.rollup_sketches
    ADD CONSTRAINT rollup_sketches_pkey PRIMARY KEY (measure, dimension, key, grain, bucket, environment, source);

ALTER TABLE ONLY monitor.rollups
    ADD CONSTRAINT rollups_pkey PRIMARY KEY (dimension, key, grain, bucket, environment, source);

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

CREATE INDEX rollup_nodes_by_bucket ON monitor.rollup_nodes USING btree (grain, bucket);

CREATE INDEX rollups_by_bucket ON monitor.rollups USING btree (dimension, grain, bucket);

ALTER INDEX monitor.heartbeats_pkey ATTACH PARTITION monitor.heartbeats_other_pkey;

CREATE TRIGGER log_insert AFTER INSERT ON monitor.jobs FOR EACH ROW WHEN ((current_setting('monitor.backfill'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION monitor.log_job();

CREATE TRIGGER log_insert AFTER INSERT ON monitor.node_executions FOR EACH ROW WHEN ((current_setting('monitor.backfill'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION monitor.log_node();

CREATE TRIGGER log_insert AFTER INSERT ON monitor.robots FOR EACH ROW WHEN ((current_setting('monitor.backfill'::text, true) IS DISTINCT FROM 'on'::text)) EXECUTE FUNCTION monitor.log_robot();

CREATE TRIGGER log_update AFTER UPDATE OF status ON monitor.jobs FOR EACH ROW WHEN ((old.status <> new.status)) EXECUTE FUNCTION monitor.log_job();

CREATE TRIGGER log_update AFTER UPDATE OF status ON monitor.node_executions FOR EACH ROW WHEN ((old.status <> new.status)) EXECUTE FUNCTION monitor.log_node();

CREATE TRIGGER log_update AFTER UPDATE OF status ON monitor.robots FOR EACH ROW WHEN ((old.status <> new.status)) EXECUTE FUNCTION monitor.log_robot();

CREATE CONSTRAINT TRIGGER ring AFTER INSERT ON monitor.events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION monitor.ring('events');

CREATE TRIGGER ring AFTER INSERT OR UPDATE ON monitor.reported_queues FOR EACH STATEMENT EXECUTE FUNCTION monitor.ring('queue');

CREATE CONSTRAINT TRIGGER ring AFTER INSERT OR DELETE OR UPDATE ON monitor.robots DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION monitor.ring('robots');

CREATE TRIGGER roll_up_change AFTER DELETE OR UPDATE ON monitor.healing_events FOR EACH ROW WHEN ((current_setting('monitor.rollups'::text, true) IS DISTINCT FROM 'off'::text)) EXECUTE FUNCTION monitor.note_healing();

CREATE TRIGGER roll_up_delete BEFORE DELETE ON monitor.jobs FOR EACH ROW WHEN ((current_setting('monitor.rollups'::text, true) IS DISTINCT FROM 'off'::text)) EXECUTE FUNCTION monitor.note_job();

CREATE TRIGGER roll_up_delete AFTER DELETE ON monitor.node_executions FOR EACH ROW WHEN (((old.status <> 'running'::text) AND (current_setting('monitor.rollups'::text, true) IS DISTINCT FROM 'off'::text))) EXECUTE FUNCTION monitor.note_node();

CREATE TRIGGER roll_up_delete_belongings BEFORE DELETE ON monitor.jobs FOR EACH ROW WHEN ((current_setting('monitor.rollups'::text, true) IS DISTINCT FROM 'off'::text)) EXECUTE FUNCTION monitor.note_belongings();

CREATE TRIGGER roll_up_insert AFTER INSERT ON monitor.healing_events FOR EACH ROW WHEN ((current_setting('monitor.rollups'::text, true) IS DISTINCT FROM 'off'::text)) EXECUTE FUNCTION monitor.note_healing();

CREATE TRIGGER roll_up_insert AFTER INSERT ON monitor.jobs FOR EACH ROW WHEN (((new.status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) AND (current_setting('monitor.rollups'::text, true) IS DISTINCT FROM 'off'::text))) EXECUTE FUNCTION monitor.note_job();

CREATE TRIGGER roll_up_insert AFTER INSERT ON monitor.node_executions FOR EACH ROW WHEN (((new.status <> 'running'::text) AND (current_setting('monitor.rollups'::text, true) IS DISTINCT FROM 'off'::text))) EXECUTE FUNCTION monitor.note_node();

CREATE TRIGGER roll_up_move AFTER UPDATE ON monitor.jobs FOR EACH ROW WHEN ((((((old.created_at IS DISTINCT FROM new.created_at) OR (old.environment IS DISTINCT FROM new.environment)) OR (old.source IS DISTINCT FROM new.source)) OR (old.workflow_id IS DISTINCT FROM new.workflow_id)) OR (old.robot_id IS DISTINCT FROM new.robot_id))) EXECUTE FUNCTION monitor.note_belongings();

CREATE TRIGGER roll_up_status BEFORE UPDATE OF status, environment ON monitor.robots FOR EACH ROW WHEN (((old.status <> new.status) OR (old.environment <> new.environment))) EXECUTE FUNCTION monitor.note_robot();

CREATE TRIGGER roll_up_update AFTER UPDATE ON monitor.jobs FOR EACH ROW WHEN ((((old.status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text])) OR (new.status = ANY (ARRAY['completed'::text, 'failed'::text, 'cancelled'::text]))) AND (((((((((old.created_at IS DISTINCT FROM new.created_at) OR (old.environment IS DISTINCT FROM new.environment)) OR (old.source IS DISTINCT FROM new.source)) OR (old.workflow_id IS DISTINCT FROM new.workflow_id)) OR (old.robot_id IS DISTINCT FROM new.robot_id)) OR (old.status IS DISTINCT FROM new.status)) OR (old.duration_ms IS DISTINCT FROM new.duration_ms)) OR (old.queue_wait_ms IS DISTINCT FROM new.queue_wait_ms)) OR (old.error_type IS DISTINCT FROM new.error_type)))) EXECUTE FUNCTION monitor.note_job();

CREATE TRIGGER roll_up_update AFTER UPDATE ON monitor.node_executions FOR EACH ROW WHEN ((((old.status <> 'running'::text) OR (new.status <> 'running'::text)) AND ((((old.status IS DISTINCT FROM new.status) OR (old.duration_ms IS DISTINCT FROM new.duration_ms)) OR (old.node_id IS DISTINCT FROM new.node_id)) OR (old.node_type IS DISTINCT FROM new.node_type)))) EXECUTE FUNCTION monitor.note_node();

ALTER TABLE ONLY monitor.healing_events
    ADD CONSTRAINT healing_events_job_id_fkey FOREIGN KEY (job_id) REFERENCES monitor.jobs(job_id) ON DELETE CASCADE;

ALTER TABLE monitor.heartbeats
    ADD CONSTRAINT heartbeats_robot_id_fkey1 FOREIGN KEY (robot_id) REFERENCES monitor.robots(robot_id) ON DELETE CASCADE;

ALTER TABLE ONLY monitor.node_executions
    ADD CONSTRAINT node_executions_job_id_fkey FOREIGN KEY (job_id) REFERENCES monitor.jobs(job_id) ON DELETE CASCADE;
