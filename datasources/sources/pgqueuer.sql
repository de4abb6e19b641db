-- PgQueuer deletes a row when its job has ended and tells the outcome to a log that knows neither payload nor worker.
-- It does both in one statement, and a row trigger runs after the whole statement: so one trigger on the queue, which
-- looks into the log, sees all of it. The functions take no row types of PgQueuer and the triggers name no columns, for
-- either would stop PgQueuer from changing or dropping its own tables.

-- name: find
-- Every PgQueuer installation, however it was prefixed and wherever it lies.
SELECT format('%s.%s', n.nspname, q.relname) AS place,
       format('%I.%I', n.nspname, q.relname) AS queue, format('%I.%I', n.nspname, l.relname) AS log
FROM pg_class q
JOIN pg_namespace n ON n.oid = q.relnamespace
JOIN pg_class l ON l.relnamespace = q.relnamespace AND l.relname = q.relname || '_log'
WHERE q.relname ~ 'pgqueuer$' AND q.relkind = 'r'
ORDER BY place

-- name: version
-- PgQueuer keeps no version: its columns and status words tell it.
WITH shape AS (
    SELECT attrelid, string_agg(attname, ' ' ORDER BY attname) AS columns FROM pg_attribute
    WHERE attrelid IN (to_regclass(:queue), to_regclass(:log)) AND attnum > 0 AND NOT attisdropped
    GROUP BY attrelid
), installed AS (
    SELECT queue.columns AS queue, log.columns AS log,
        (SELECT string_agg(enumlabel, ' ' ORDER BY enumlabel)
         FROM pg_attribute a JOIN pg_enum e ON e.enumtypid = a.atttypid
         WHERE a.attrelid = queue.attrelid AND a.attname = 'status') AS statuses
    FROM shape queue, shape log
    WHERE queue.attrelid = to_regclass(:queue) AND log.attrelid = to_regclass(:log)
)
SELECT CASE WHEN queue = 'attempts created dedupe_key entrypoint execute_after headers heartbeat id payload priority '
                         'queue_manager_id slot status updated'
             AND log = 'aggregated created entrypoint id job_id priority status traceback'
             AND statuses = 'canceled deleted exception failed picked queued successful'
            THEN '1.6' END AS version,
       format('a queue of (%s), a log of (%s) and the statuses (%s)', queue, log, statuses) AS found
FROM installed

-- name: functions
CREATE OR REPLACE FUNCTION monitor.pgqueuer_status(word text) RETURNS text LANGUAGE sql IMMUTABLE AS $source$
    SELECT CASE word
        WHEN 'queued' THEN 'pending'
        WHEN 'picked' THEN 'claimed'
        WHEN 'successful' THEN 'completed'
        WHEN 'exception' THEN 'failed'
        WHEN 'failed' THEN 'failed'
        WHEN 'canceled' THEN 'cancelled'
        WHEN 'deleted' THEN 'cancelled'
    END
$source$;

-- What the enqueuer says of the job: each word from the headers, else from a payload that is a JSON object. Anything
-- else is nobody's mistake: a payload belongs to its worker.
CREATE OR REPLACE FUNCTION monitor.pgqueuer_details(headers jsonb, payload bytea) RETURNS jsonb
LANGUAGE plpgsql SET search_path = pg_catalog, monitor, pg_temp AS $source$
DECLARE
    said jsonb := '{}';
BEGIN
    IF length(payload) BETWEEN 2 AND 1048576 THEN
        BEGIN
            said := convert_from(payload, 'UTF8')::jsonb;
        EXCEPTION WHEN data_exception OR program_limit_exceeded OR statement_too_complex THEN
            said := '{}';
        END;
    END IF;
    RETURN (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM (
        SELECT key, coalesce(nullif(headers ->> key, ''), nullif(said ->> key, '')) AS value
        FROM unnest(ARRAY['job_id', 'workflow_id', 'workflow_name', 'environment']) AS key
    ) AS word WHERE value IS NOT NULL);
END $source$;

CREATE OR REPLACE FUNCTION monitor.map_pgqueuer(
    id bigint, details jsonb, entrypoint text, priority integer, word text, created timestamptz, claimed timestamptz,
    completed timestamptz, attempts integer, queue_manager text, traceback jsonb
) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, monitor, pg_temp AS $source$
BEGIN
    IF monitor.pgqueuer_status(word) IS NULL THEN
        RAISE EXCEPTION 'unknown PgQueuer status %', word USING ERRCODE = 'data_exception';
    END IF;
    INSERT INTO monitor.jobs AS j (job_id, source, workflow_id, workflow_name, robot_id, environment, status, raw_status,
        priority, created_at, claimed_at, completed_at, error_type, error_message, retry_count)
    VALUES (
        coalesce(details ->> 'job_id', 'pgqueuer:' || id), 'pgqueuer',
        coalesce(details ->> 'workflow_id', entrypoint), coalesce(details ->> 'workflow_name', entrypoint),
        (SELECT r.robot_id FROM monitor.robots r WHERE r.queue_manager_id = queue_manager),
        coalesce(details ->> 'environment', 'default'), monitor.pgqueuer_status(word), word, priority,
        created, claimed, completed,
        left(traceback ->> 'exception_type', 200), left(traceback ->> 'exception_message', 2000), attempts
    )
    ON CONFLICT (job_id) DO UPDATE SET
        source = 'pgqueuer', workflow_id = excluded.workflow_id, workflow_name = excluded.workflow_name,
        -- Nobody holds a job that waits; one that another worker has picked up is not its former robot's any more.
        robot_id = CASE WHEN excluded.status = 'pending' THEN NULL
            WHEN j.source = 'pgqueuer' AND j.status = 'claimed' AND excluded.status = 'claimed'
                AND j.claimed_at <> excluded.claimed_at THEN excluded.robot_id
            ELSE coalesce(excluded.robot_id, j.robot_id) END,
        environment = excluded.environment, status = excluded.status, raw_status = excluded.raw_status,
        priority = excluded.priority, created_at = excluded.created_at,
        -- A worker that picks its own job again has not begun again, though the row says so.
        claimed_at = CASE excluded.status WHEN 'pending' THEN NULL WHEN 'claimed' THEN excluded.claimed_at
            ELSE coalesce(j.claimed_at, excluded.claimed_at) END,
        completed_at = excluded.completed_at,
        error_type = CASE excluded.status WHEN 'failed' THEN coalesce(excluded.error_type, j.error_type) END,
        error_message = CASE excluded.status WHEN 'failed' THEN coalesce(excluded.error_message, j.error_message) END,
        retry_count = excluded.retry_count;
END $source$;

-- Never fails and hardly waits. What cannot be mapped is recorded, what cannot be recorded is told to the server's log,
-- and a transaction that has waited for us once in vain does not wait again.
CREATE OR REPLACE FUNCTION monitor.pgqueuer_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, monitor, pg_temp SET lock_timeout = '200ms' AS $source$
DECLARE
    row_id bigint;
    outcome record;
BEGIN
    IF current_setting('monitor.stalled', true) = 'on' THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE monitor.jobs SET status = 'cancelled', raw_status = 'deleted', completed_at = now()
        WHERE source = 'pgqueuer' AND status IN ('pending', 'claimed');
        RETURN NULL;
    ELSIF TG_OP = 'DELETE' THEN
        row_id := OLD.id;
        -- A job that failed and was kept has had its outcome, whoever clears it away.
        IF OLD.status::text <> 'failed' THEN
            -- + 0: over its key alone, the planner would walk the whole log backwards.
            SELECT l.status::text AS word, l.created, l.traceback INTO outcome
            FROM {log} l WHERE l.job_id = OLD.id ORDER BY l.id + 0 DESC LIMIT 1;
            IF outcome.word IS NULL OR outcome.word IN ('queued', 'picked') THEN
                SELECT 'deleted' AS word, now() AS created, NULL::jsonb AS traceback INTO outcome;
            END IF;
            PERFORM monitor.map_pgqueuer(OLD.id, monitor.pgqueuer_details(OLD.headers, OLD.payload), OLD.entrypoint,
                OLD.priority, outcome.word, OLD.created, CASE OLD.status::text WHEN 'picked' THEN OLD.updated END,
                outcome.created, OLD.attempts, OLD.queue_manager_id::text, outcome.traceback);
        END IF;
        RETURN NULL;
    END IF;
    row_id := NEW.id;
    -- A heartbeat, or a worker that picks its own job again.
    IF TG_OP = 'UPDATE' AND (OLD.status, OLD.queue_manager_id, OLD.attempts, OLD.priority)
            IS NOT DISTINCT FROM (NEW.status, NEW.queue_manager_id, NEW.attempts, NEW.priority) THEN
        RETURN NULL;
    END IF;
    IF NEW.status::text = 'failed' THEN
        SELECT l.traceback INTO outcome FROM {log} l WHERE l.job_id = NEW.id ORDER BY l.id + 0 DESC LIMIT 1;
    ELSE
        SELECT NULL::jsonb AS traceback INTO outcome;
    END IF;
    PERFORM monitor.map_pgqueuer(NEW.id, monitor.pgqueuer_details(NEW.headers, NEW.payload), NEW.entrypoint, NEW.priority,
        NEW.status::text, NEW.created,
        CASE WHEN NEW.status::text = 'picked' THEN NEW.updated
             WHEN NEW.status::text = 'failed' AND TG_OP = 'UPDATE' AND OLD.status::text = 'picked' THEN OLD.updated END,
        CASE NEW.status::text WHEN 'failed' THEN NEW.updated END,
        NEW.attempts, NEW.queue_manager_id::text, outcome.traceback);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE = '55P03' THEN
        PERFORM set_config('monitor.stalled', 'on', true);
    END IF;
    BEGIN
        PERFORM monitor.record_source_error('pgqueuer', coalesce(row_id::text, TG_OP), SQLSTATE, SQLERRM);
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'casare-monitor: PgQueuer row % was neither mapped nor recorded: %', row_id, SQLERRM;
    END;
    RETURN NULL;
END $source$;
-- It writes as its owner: nobody else may hang it on a table of their own.
REVOKE EXECUTE ON FUNCTION monitor.pgqueuer_changed() FROM PUBLIC;

-- A robot may tell its queue manager's name after that has claimed jobs already.
CREATE OR REPLACE FUNCTION monitor.pgqueuer_robot_named() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, monitor, pg_temp SET lock_timeout = '500ms' AS $source$
BEGIN
    UPDATE monitor.jobs j SET robot_id = NEW.robot_id
    FROM {queue} q
    WHERE q.queue_manager_id::text = NEW.queue_manager_id AND q.status::text = 'picked'
      AND j.job_id = coalesce(monitor.pgqueuer_details(q.headers, q.payload) ->> 'job_id', 'pgqueuer:' || q.id)
      AND j.source = 'pgqueuer' AND j.status = 'claimed' AND j.robot_id IS NULL;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    PERFORM monitor.record_source_error('pgqueuer', NEW.robot_id, SQLSTATE, SQLERRM);
    RETURN NULL;
END $source$;
REVOKE EXECUTE ON FUNCTION monitor.pgqueuer_robot_named() FROM PUBLIC;

-- Jobs that ended before anybody watched are known from the log alone: their outcome and times, but not their payload.
-- They may be copied while PgQueuer works; what is in the queue only once it stands still, under the triggers' lock.
CREATE OR REPLACE FUNCTION monitor.backfill_pgqueuer(
    still boolean, OUT jobs bigint, OUT node_executions bigint, OUT errors bigint
) LANGUAGE plpgsql SET search_path = pg_catalog, monitor, pg_temp AS $source$
DECLARE
    task record;
    waiting text[] := ARRAY(
        SELECT coalesce(monitor.pgqueuer_details(q.headers, q.payload) ->> 'job_id', 'pgqueuer:' || q.id)
        FROM {queue} q WHERE still
    );
BEGIN
    jobs := 0;
    node_executions := 0;
    errors := 0;
    FOR task IN
        WITH ended AS MATERIALIZED (
            SELECT DISTINCT ON (l.job_id) l.job_id AS id, l.entrypoint, l.priority, l.status::text AS word,
                min(l.created) OVER job AS created,
                max(l.created) FILTER (WHERE l.status::text = 'picked') OVER job AS claimed,
                l.created AS completed,
                count(*) FILTER (WHERE l.status::text = 'queued' AND l.traceback IS NOT NULL) OVER job AS attempts,
                l.traceback
            FROM {log} l
            WHERE NOT EXISTS (SELECT FROM {queue} q WHERE q.id = l.job_id)
            WINDOW job AS (PARTITION BY l.job_id)
            ORDER BY l.job_id, l.id DESC
        ), missed AS (
            -- Seen in the queue before a detach, ended after it: the time it was made tells which, if it was alone.
            SELECT ended.id,
                count(*) OVER (PARTITION BY ended.id) AS jobs, count(*) OVER (PARTITION BY j.job_id) AS rows,
                jsonb_build_object('job_id', j.job_id, 'workflow_id', j.workflow_id, 'workflow_name', j.workflow_name,
                                   'environment', j.environment) AS details
            FROM ended JOIN monitor.jobs j ON j.created_at = ended.created
            WHERE still AND j.source = 'pgqueuer' AND j.status IN ('pending', 'claimed')
              AND NOT EXISTS (SELECT FROM unnest(waiting) AS w (job_id) WHERE w.job_id = j.job_id)
        )
        SELECT ended.*, missed.details, NULL::jsonb AS headers, NULL::bytea AS payload, NULL::text AS queue_manager
        FROM ended LEFT JOIN missed ON missed.id = ended.id AND missed.jobs = 1 AND missed.rows = 1
        -- Known already, or one that the second pass may find to have been missed.
        WHERE ended.word NOT IN ('queued', 'picked') AND NOT EXISTS (
            SELECT FROM monitor.jobs j
            WHERE j.source = 'pgqueuer' AND j.created_at = ended.created
              AND (j.completed_at = ended.completed OR NOT still AND j.status IN ('pending', 'claimed'))
        )
        UNION ALL
        SELECT q.id, q.entrypoint, q.priority, q.status::text, q.created,
            CASE q.status::text WHEN 'picked' THEN q.updated WHEN 'failed' THEN log.claimed END,
            CASE q.status::text WHEN 'failed' THEN q.updated END,
            q.attempts, CASE q.status::text WHEN 'failed' THEN log.traceback END,
            NULL, q.headers, q.payload, q.queue_manager_id::text
        FROM {queue} q CROSS JOIN LATERAL (
            SELECT max(l.created) FILTER (WHERE l.status::text = 'picked') AS claimed,
                (array_agg(l.traceback ORDER BY l.id DESC) FILTER (WHERE l.status::text = 'failed'))[1] AS traceback
            FROM {log} l WHERE q.status::text = 'failed' AND l.job_id = q.id
        ) log
        WHERE still
    LOOP
        BEGIN
            PERFORM monitor.map_pgqueuer(task.id,
                coalesce(task.details, monitor.pgqueuer_details(task.headers, task.payload)), task.entrypoint,
                task.priority, task.word, task.created, task.claimed, task.completed, task.attempts::integer,
                task.queue_manager, task.traceback);
            jobs := jobs + 1;
        EXCEPTION WHEN OTHERS THEN
            PERFORM monitor.record_source_error('pgqueuer', task.id::text, SQLSTATE, SQLERRM);
            errors := errors + 1;
        END;
    END LOOP;
    -- Gone from the queue without an outcome that could be told.
    UPDATE monitor.jobs j SET status = 'cancelled', raw_status = 'deleted', completed_at = now()
    WHERE still AND j.source = 'pgqueuer' AND j.status IN ('pending', 'claimed')
      AND NOT EXISTS (SELECT FROM unnest(waiting) AS w (job_id) WHERE w.job_id = j.job_id);
END $source$;

-- name: triggers
CREATE OR REPLACE TRIGGER monitor_changed AFTER INSERT OR UPDATE OR DELETE ON {queue}
    FOR EACH ROW EXECUTE FUNCTION monitor.pgqueuer_changed();
CREATE OR REPLACE TRIGGER monitor_truncated AFTER TRUNCATE ON {queue}
    FOR EACH STATEMENT EXECUTE FUNCTION monitor.pgqueuer_changed();

CREATE OR REPLACE TRIGGER monitor_pgqueuer_robot_named AFTER INSERT OR UPDATE OF queue_manager_id ON monitor.robots
    FOR EACH ROW WHEN (NEW.queue_manager_id IS NOT NULL) EXECUTE FUNCTION monitor.pgqueuer_robot_named();

-- name: backfill
SELECT jobs, node_executions, errors FROM monitor.backfill_pgqueuer(:still)

-- name: remove
-- The triggers go with their function.
DROP FUNCTION IF EXISTS monitor.pgqueuer_changed CASCADE;
DROP FUNCTION IF EXISTS monitor.pgqueuer_robot_named CASCADE;
DROP FUNCTION IF EXISTS monitor.backfill_pgqueuer;
DROP FUNCTION IF EXISTS monitor.map_pgqueuer;
DROP FUNCTION IF EXISTS monitor.pgqueuer_details;
DROP FUNCTION IF EXISTS monitor.pgqueuer_status;
