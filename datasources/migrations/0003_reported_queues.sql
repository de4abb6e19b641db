-- What somebody tells of a queue whose jobs we do not see: its depth, which is a gauge. The newest word stands.
CREATE TABLE monitor.reported_queues (
    environment text PRIMARY KEY,
    depth       integer NOT NULL CHECK (depth >= 0),
    at          timestamptz NOT NULL
);

CREATE TRIGGER ring AFTER INSERT OR UPDATE ON monitor.reported_queues FOR EACH STATEMENT
    EXECUTE FUNCTION monitor.ring('queue');
