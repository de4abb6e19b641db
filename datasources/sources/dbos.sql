-- DBOS keeps a row for each workflow; a step's row appears when the step has ended. Payloads and most errors are Python
-- pickles, which nobody should ever unpickle: only errors written as JSON are read. The functions take no row types of
-- DBOS and the triggers name no columns, for either would stop DBOS from migrating its own tables.

-- name: find
-- Every schema with system tables of DBOS.
SELECT n.nspname::text AS place, format('%I', n.nspname) AS schema
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'dbos_migrations' AND c.relkind = 'r'
ORDER BY place

-- name: version
SELECT CASE max(version) WHEN 125 THEN '3.4' END AS version,
       'migration ' || coalesce(max(version)::text, 'none') AS found
FROM {schema}.dbos_migrations

-- name: functions
CREATE OR REPLACE FUNCTION monitor.dbos_status(word text) RETURNS text LANGUAGE sql IMMUTABLE AS $source$
    SELECT CASE word
        WHEN 'ENQUEUED' THEN 'pending'
        WHEN 'DELAYED' THEN 'pending'
        WHEN 'PENDING' THEN 'claimed'
        WHEN 'SUCCESS' THEN 'completed'
        WHEN 'ERROR' THEN 'failed'
        WHEN 'MAX_RECOVERY_ATTEMPTS_EXCEEDED' THEN 'failed'
        WHEN 'CANCELLED' THEN 'cancelled'
    END
$source$;

CREATE OR REPLACE FUNCTION monitor.dbos_time(milliseconds bigint) RETURNS timestamptz LANGUAGE sql STABLE
SET search_path = pg_catalog AS $source$
    SELECT timestamptz '1970-01-01 00:00:00+00' + milliseconds * interval '1 millisecond'
$source$;

-- What went wrong, where it is JSON: {"name", "message"}, as portable workflows and those of other languages write it.
-- A pickle is counted under a name that no Python error has.
CREATE OR REPLACE FUNCTION monitor.dbos_error(
    error text, serialization text, OUT error_type text, OUT error_message text
) LANGUAGE plpgsql SET search_path = pg_catalog, monitor, pg_temp AS $source$
DECLARE
    said jsonb;
BEGIN
    IF error IS NULL THEN
        RETURN;
    END IF;
    IF serialization <> 'py_pickle' AND length(error) <= 1048576 THEN
        BEGIN
            said := error::jsonb;
            said := coalesce(said -> 'json', said);
        EXCEPTION WHEN data_exception OR program_limit_exceeded OR statement_too_complex THEN
            said := NULL;
        END;
    END IF;
    error_type := left(coalesce(nullif(said ->> 'name', ''), 'OpaqueError'), 200);
    error_message := left(coalesce(said ->> 'message', format(
        'DBOS keeps this error as %s, which is not read: its portable serializer makes it readable', serialization
    )), 2000);
END $source$;

-- One step of a workflow, or an operation of DBOS's own, as a node of its job.
CREATE OR REPLACE FUNCTION monitor.map_dbos_step(workflow text, step integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, monitor, pg_temp AS $source$
DECLARE
    taken record;
    ended text;
    ended_at bigint;
    wrong record;
BEGIN
    SELECT o.function_name, o.error, o.serialization, o.started_at_epoch_ms AS started_at,
        o.completed_at_epoch_ms AS completed_at, w.status AS word,
        CASE WHEN o.function_name NOT LIKE 'DBOS.%' THEN o.child_workflow_id END AS child
    INTO taken
    FROM {schema}.operation_outputs o JOIN {schema}.workflow_status w ON w.workflow_uuid = o.workflow_uuid
    WHERE o.workflow_uuid = workflow AND o.function_id = step;
    IF taken.word IS NULL THEN
        RETURN;
    END IF;
    ended := CASE WHEN taken.error IS NULL THEN 'completed' ELSE 'failed' END;
    ended_at := taken.completed_at;
    SELECT * INTO wrong FROM monitor.dbos_error(taken.error, taken.serialization);
    IF taken.child IS NOT NULL THEN
        -- The row tells of the launch only; the child itself tells how it went.
        SELECT CASE monitor.dbos_status(c.status) WHEN 'pending' THEN 'running' WHEN 'claimed' THEN 'running'
                    ELSE monitor.dbos_status(c.status) END,
            CASE WHEN monitor.dbos_status(c.status) IN ('completed', 'failed', 'cancelled') THEN c.completed_at END,
            failure.error_type, failure.error_message
        INTO ended, ended_at, wrong.error_type, wrong.error_message
        FROM {schema}.workflow_status c
        LEFT JOIN {schema}.workflow_output o ON o.workflow_uuid = c.workflow_uuid
        CROSS JOIN monitor.dbos_error(o.error, c.serialization) failure
        WHERE c.workflow_uuid = taken.child;
        IF NOT FOUND THEN
            ended := 'completed';
            ended_at := taken.completed_at;
        END IF;
    ELSIF taken.function_name = 'DBOS.sleep' AND monitor.dbos_time(taken.completed_at) > clock_timestamp() THEN
        -- Written as it begins, with the time at which it will wake.
        ended := CASE WHEN monitor.dbos_status(taken.word) IN ('pending', 'claimed') THEN 'running'
                      ELSE 'cancelled' END;
        ended_at := NULL;
    END IF;
    INSERT INTO monitor.node_executions AS n
        (job_id, position, node_id, node_type, status, started_at, completed_at, error_type, error_message)
    VALUES (workflow, step, taken.function_name,
        CASE WHEN taken.child IS NOT NULL THEN 'child_workflow'
             WHEN taken.function_name NOT LIKE 'DBOS.%' THEN 'step'
             ELSE lower(regexp_replace(split_part(substr(taken.function_name, 6), '-', 1),
                                       '([a-z])([A-Z])', '\1_\2', 'g')) END,
        ended, monitor.dbos_time(taken.started_at), monitor.dbos_time(ended_at), wrong.error_type, wrong.error_message)
    ON CONFLICT (job_id, position) DO UPDATE SET
        node_id = excluded.node_id, node_type = excluded.node_type, status = excluded.status,
        started_at = excluded.started_at, completed_at = excluded.completed_at,
        error_type = excluded.error_type, error_message = excluded.error_message;
END $source$;

CREATE OR REPLACE FUNCTION monitor.map_dbos_workflow(workflow text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, monitor, pg_temp AS $source$
DECLARE
    taken record;
    known monitor.jobs;
    wrong record;
    now_is text;
BEGIN
    SELECT * INTO known FROM monitor.jobs j WHERE j.job_id = workflow;
    SELECT w.status AS word, w.name, w.priority, w.created_at, w.started_at_epoch_ms AS started_at, w.completed_at,
        w.updated_at, w.queue_name, w.recovery_attempts, w.parent_workflow_id AS parent, w.serialization,
        w.attributes ->> 'environment' AS environment, coalesce(o.error, w.error) AS error
    INTO taken
    FROM {schema}.workflow_status w LEFT JOIN {schema}.workflow_output o ON o.workflow_uuid = w.workflow_uuid
    WHERE w.workflow_uuid = workflow;
    IF NOT FOUND THEN
        UPDATE monitor.jobs SET status = 'cancelled', raw_status = 'DELETED', completed_at = now()
        WHERE job_id = workflow AND source = 'dbos' AND status IN ('pending', 'claimed');
        RETURN;
    END IF;
    now_is := monitor.dbos_status(taken.word);
    IF now_is IS NULL THEN
        RAISE EXCEPTION 'unknown DBOS status %', taken.word USING ERRCODE = 'data_exception';
    END IF;
    SELECT * INTO wrong FROM monitor.dbos_error(CASE now_is WHEN 'failed' THEN taken.error END, taken.serialization);
    IF taken.word = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED' THEN
        wrong.error_type := 'MaxRecoveryAttemptsExceededError';
        wrong.error_message := format('given up after %s attempts to recover it', taken.recovery_attempts);
    END IF;
    IF known.source = 'pgqueuer' THEN
        -- The queue tells of its own job's life; DBOS only adds an error it can read where the queue has none.
        UPDATE monitor.jobs SET error_type = wrong.error_type, error_message = wrong.error_message
        WHERE job_id = workflow AND status IN ('claimed', 'failed') AND error_type IS NULL
          AND wrong.error_type <> 'OpaqueError';
    ELSE
        INSERT INTO monitor.jobs AS j (job_id, source, workflow_id, workflow_name, environment, status, raw_status,
            priority, created_at, claimed_at, completed_at, error_type, error_message, retry_count)
        VALUES (
            workflow, 'dbos', coalesce(taken.name, 'unnamed'), coalesce(taken.name, 'unnamed'),
            coalesce(nullif(taken.environment, ''), 'default'), now_is, taken.word, taken.priority,
            monitor.dbos_time(taken.created_at),
            -- Only a workflow that came through a queue has a start of its own; the others start as they are made.
            -- One that was cancelled has lost what it had.
            CASE WHEN now_is <> 'pending' THEN monitor.dbos_time(coalesce(taken.started_at,
                CASE WHEN taken.queue_name IS NULL AND taken.word IN ('PENDING', 'SUCCESS', 'ERROR')
                     THEN taken.created_at END)) END,
            CASE WHEN now_is IN ('completed', 'failed', 'cancelled')
                 THEN monitor.dbos_time(coalesce(taken.completed_at, taken.updated_at)) END,
            wrong.error_type, wrong.error_message, greatest(taken.recovery_attempts - 1, 0)
        )
        ON CONFLICT (job_id) DO UPDATE SET
            source = 'dbos', workflow_id = excluded.workflow_id, workflow_name = excluded.workflow_name,
            robot_id = CASE WHEN excluded.status <> 'pending' THEN j.robot_id END,
            environment = excluded.environment, status = excluded.status, raw_status = excluded.raw_status,
            priority = excluded.priority, created_at = excluded.created_at,
            claimed_at = CASE WHEN excluded.status <> 'pending' THEN coalesce(excluded.claimed_at, j.claimed_at) END,
            completed_at = excluded.completed_at, error_type = excluded.error_type,
            error_message = excluded.error_message, retry_count = excluded.retry_count
        WHERE j.source <> 'pgqueuer';
    END IF;
    IF now_is IN ('pending', 'claimed') AND known.status IN ('completed', 'failed', 'cancelled') THEN
        -- It runs again: the steps that DBOS has forgotten will be taken anew.
        DELETE FROM monitor.node_executions n WHERE n.job_id = workflow AND NOT EXISTS (
            SELECT FROM {schema}.operation_outputs o WHERE o.workflow_uuid = workflow AND o.function_id = n.position);
    ELSIF now_is IN ('completed', 'failed', 'cancelled') THEN
        PERFORM monitor.map_dbos_step(workflow, n.position) FROM monitor.node_executions n
        WHERE n.job_id = workflow AND n.node_type = 'sleep' AND n.status = 'running';
    END IF;
    -- A backfill comes to the parent's steps when it has all workflows.
    IF taken.parent IS NOT NULL AND current_setting('monitor.backfill', true) IS DISTINCT FROM 'on' THEN
        PERFORM monitor.map_dbos_step(o.workflow_uuid, o.function_id) FROM {schema}.operation_outputs o
        WHERE o.workflow_uuid = taken.parent AND o.child_workflow_id = workflow AND o.function_name NOT LIKE 'DBOS.%';
    END IF;
END $source$;

-- Never fails and hardly waits. What cannot be mapped is recorded, what cannot be recorded is told to the server's log,
-- and a transaction that has waited for us once in vain does not wait again.
CREATE OR REPLACE FUNCTION monitor.dbos_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, monitor, pg_temp SET lock_timeout = '200ms' AS $source$
DECLARE
    row_key text := TG_OP;
BEGIN
    IF current_setting('monitor.stalled', true) = 'on' THEN
        PERFORM set_config('lock_timeout', '1ms', true);
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        UPDATE monitor.jobs SET status = 'cancelled', raw_status = 'DELETED', completed_at = now()
        WHERE source = 'dbos' AND status IN ('pending', 'claimed');
    ELSIF TG_TABLE_NAME = 'operation_outputs' THEN
        row_key := NEW.workflow_uuid || '/' || NEW.function_id;
        IF NOT EXISTS (SELECT FROM monitor.jobs j WHERE j.job_id = NEW.workflow_uuid) THEN
            PERFORM monitor.map_dbos_workflow(NEW.workflow_uuid);
        END IF;
        PERFORM monitor.map_dbos_step(NEW.workflow_uuid, NEW.function_id);
        -- No row says that a sleep is over; the next step does. It lies close by, so a long history costs nothing here.
        PERFORM monitor.map_dbos_step(n.job_id, n.position) FROM monitor.node_executions n
        WHERE n.job_id = NEW.workflow_uuid AND n.position BETWEEN NEW.function_id - 50 AND NEW.function_id - 1
          AND n.node_type = 'sleep' AND n.status = 'running';
    ELSIF TG_OP = 'DELETE' THEN
        row_key := OLD.workflow_uuid;
        PERFORM monitor.map_dbos_workflow(OLD.workflow_uuid);
    ELSE
        row_key := NEW.workflow_uuid;
        IF TG_OP = 'INSERT' OR
                (OLD.status, OLD.started_at_epoch_ms, OLD.completed_at, OLD.recovery_attempts, OLD.priority, OLD.attributes)
                IS DISTINCT FROM
                (NEW.status, NEW.started_at_epoch_ms, NEW.completed_at, NEW.recovery_attempts, NEW.priority, NEW.attributes)
        THEN
            PERFORM monitor.map_dbos_workflow(NEW.workflow_uuid);
        END IF;
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    IF SQLSTATE = '55P03' THEN
        PERFORM set_config('monitor.stalled', 'on', true);
    END IF;
    BEGIN
        PERFORM monitor.record_source_error('dbos', row_key, SQLSTATE, SQLERRM);
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'casare-monitor: DBOS row % was neither mapped nor recorded: %', row_key, SQLERRM;
    END;
    RETURN NULL;
END $source$;
-- It writes as its owner: nobody else may hang it on a table of their own.
REVOKE EXECUTE ON FUNCTION monitor.dbos_changed() FROM PUBLIC;

-- What differs from what is known. Ended workflows may be copied while DBOS works; the others only once it stands
-- still, under the triggers' lock.
CREATE OR REPLACE FUNCTION monitor.backfill_dbos(
    still boolean, OUT jobs bigint, OUT node_executions bigint, OUT errors bigint
) LANGUAGE plpgsql SET search_path = pg_catalog, monitor, pg_temp AS $source$
DECLARE
    task record;
BEGIN
    jobs := 0;
    node_executions := 0;
    errors := 0;
    FOR task IN
        SELECT w.workflow_uuid AS workflow, w.workflow_uuid AS row_key, NULL::integer AS step
        FROM {schema}.workflow_status w LEFT JOIN monitor.jobs j ON j.job_id = w.workflow_uuid
        WHERE (still OR w.status NOT IN ('ENQUEUED', 'DELAYED', 'PENDING'))
          AND (j.job_id IS NULL OR j.source <> 'pgqueuer' AND (j.source, j.raw_status, j.completed_at)
               IS DISTINCT FROM ('dbos', w.status, monitor.dbos_time(w.completed_at)))
        UNION ALL
        SELECT j.job_id, j.job_id, NULL FROM monitor.jobs j
        WHERE still AND j.source = 'dbos' AND j.status IN ('pending', 'claimed')
          AND NOT EXISTS (SELECT FROM {schema}.workflow_status w WHERE w.workflow_uuid = j.job_id)
    LOOP
        BEGIN
            PERFORM monitor.map_dbos_workflow(task.workflow);
            jobs := jobs + 1;
        EXCEPTION WHEN OTHERS THEN
            PERFORM monitor.record_source_error('dbos', task.row_key, SQLSTATE, SQLERRM);
            errors := errors + 1;
        END;
    END LOOP;
    FOR task IN
        SELECT o.workflow_uuid AS workflow, o.workflow_uuid || '/' || o.function_id AS row_key, o.function_id AS step
        FROM {schema}.operation_outputs o
        JOIN monitor.jobs j ON j.job_id = o.workflow_uuid
        LEFT JOIN monitor.node_executions n ON n.job_id = o.workflow_uuid AND n.position = o.function_id
        WHERE (still OR j.status NOT IN ('pending', 'claimed')) AND coalesce(n.status, 'running') = 'running'
    LOOP
        BEGIN
            PERFORM monitor.map_dbos_step(task.workflow, task.step);
            node_executions := node_executions + 1;
        EXCEPTION WHEN OTHERS THEN
            PERFORM monitor.record_source_error('dbos', task.row_key, SQLSTATE, SQLERRM);
            errors := errors + 1;
        END;
    END LOOP;
END $source$;

-- name: triggers
CREATE OR REPLACE TRIGGER monitor_changed AFTER INSERT OR UPDATE OR DELETE ON {schema}.workflow_status
    FOR EACH ROW EXECUTE FUNCTION monitor.dbos_changed();
CREATE OR REPLACE TRIGGER monitor_truncated AFTER TRUNCATE ON {schema}.workflow_status
    FOR EACH STATEMENT EXECUTE FUNCTION monitor.dbos_changed();
CREATE OR REPLACE TRIGGER monitor_changed AFTER INSERT ON {schema}.operation_outputs
    FOR EACH ROW EXECUTE FUNCTION monitor.dbos_changed();

-- name: backfill
SELECT jobs, node_executions, errors FROM monitor.backfill_dbos(:still)

-- name: remove
-- The triggers go with their function.
DROP FUNCTION IF EXISTS monitor.dbos_changed CASCADE;
DROP FUNCTION IF EXISTS monitor.backfill_dbos;
DROP FUNCTION IF EXISTS monitor.map_dbos_workflow;
DROP FUNCTION IF EXISTS monitor.map_dbos_step;
DROP FUNCTION IF EXISTS monitor.dbos_error;
DROP FUNCTION IF EXISTS monitor.dbos_time;
DROP FUNCTION IF EXISTS monitor.dbos_status;
