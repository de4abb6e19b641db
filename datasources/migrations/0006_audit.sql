-- What people did that somebody may want to know later, and what each payer has spent of an allowance lately.

CREATE TABLE monitor.audit (
    id         bytea PRIMARY KEY,
    at         timestamptz NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('authentication_failed', 'key_used', 'operation_refused', 'admin_action')),
    code       text,
    viewer     text,
    address    text,
    request_id text,
    detail     text,
    times      bigint NOT NULL DEFAULT 1
);
COMMENT ON COLUMN monitor.audit.id IS 'a digest of what happened and in which minute: what happens again in it is one row';
COMMENT ON COLUMN monitor.audit.at IS 'when it happened first in that minute';
CREATE INDEX audit_at ON monitor.audit (at);

-- Written at the pace of requests and worth a minute: it need not outlive a crash.
CREATE UNLOGGED TABLE monitor.rates (
    payer   bytea PRIMARY KEY,
    bucket  bigint NOT NULL,
    spent   bigint[] NOT NULL,
    granted bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON COLUMN monitor.rates.payer IS 'a digest of who pays, and from which allowance';
COMMENT ON COLUMN monitor.rates.bucket IS 'the newest bucket, in its lengths since 1970';
COMMENT ON COLUMN monitor.rates.spent IS 'what was granted in that bucket and in those before it, newest first';
COMMENT ON COLUMN monitor.rates.granted IS 'what the newest lease got';
