-- API keys of machines. Only a digest of a key's secret is here: who reads this table can use none of them.

CREATE TABLE monitor.api_keys (
    key_id        text PRIMARY KEY CHECK (key_id ~ '^[0-9a-f]{12}$'),
    secret_sha256 bytea NOT NULL CHECK (length(secret_sha256) = 32),
    name          text NOT NULL,
    role          text NOT NULL CHECK (role IN ('viewer', 'operator', 'developer', 'admin', 'robot')),
    environments  text[],
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    revoked_at    timestamptz,
    last_used_at  timestamptz
);
COMMENT ON COLUMN monitor.api_keys.name IS 'whose it is; what it does is done in that name';
COMMENT ON COLUMN monitor.api_keys.environments IS 'what it sees; null for everything';
COMMENT ON COLUMN monitor.api_keys.last_used_at IS 'to the minute';

CREATE UNIQUE INDEX api_keys_by_name ON monitor.api_keys (name) WHERE revoked_at IS NULL;
