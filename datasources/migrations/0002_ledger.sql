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

CREATE FUNCTION monitor.ring() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM pg_notify('monitor', TG_ARGV[0]);
    RETURN NULL;
END $$;

CREATE TRIGGER ring AFTER INSERT ON monitor.events FOR EACH STATEMENT EXECUTE FUNCTION monitor.ring('events');
CREATE TRIGGER ring AFTER INSERT OR UPDATE OR DELETE ON monitor.robots FOR EACH STATEMENT
    EXECUTE FUNCTION monitor.ring('robots');
