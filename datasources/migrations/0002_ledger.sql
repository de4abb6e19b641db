-- What followers of the ledger need: whose ledger it is, how far it is pruned, and a doorbell. The doorbell only says
-- that it is worth looking; a follower that misses it looks by itself a second later.

CREATE TABLE monitor.ledger (
    identity text NOT NULL DEFAULT left(md5(gen_random_uuid()::text), 12),
    pruned   bigint NOT NULL DEFAULT 0,
    single   boolean PRIMARY KEY DEFAULT true CHECK (single)
);
COMMENT ON TABLE monitor.ledger IS 'one row: the name of this ledger, which tells its cursors from those of another database';
COMMENT ON COLUMN monitor.ledger.pruned IS 'the highest number that was forgotten; those up to it may be gone';
INSERT INTO monitor.ledger DEFAULT VALUES;

-- Postgres lets notifying transactions commit only one after the other, disk and all: eight writers would be five times
-- slower. So one rings at a time, just before it commits, and whoever finds somebody ringing does not: those who hear
-- the doorbell look once more a moment later.
CREATE FUNCTION monitor.ring() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF pg_try_advisory_xact_lock(hashtextextended('casare-monitor rings for ' || TG_ARGV[0], 0)) THEN
        PERFORM pg_notify('monitor', TG_ARGV[0]);
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER ring AFTER INSERT ON monitor.events DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION monitor.ring('events');
CREATE CONSTRAINT TRIGGER ring AFTER INSERT OR UPDATE OR DELETE ON monitor.robots DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION monitor.ring('robots');
