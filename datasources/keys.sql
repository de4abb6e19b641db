-- name: columns
-- What a key is, all but its secret.
k.key_id, k.name, k.role, k.environments, k.created_at, k.expires_at, k.revoked_at, k.last_used_at

-- name: active_keys
-- The keys that open, with the digests of their secrets; and those that no longer do since today, to tell them so.
SELECT k.secret_sha256, {columns}
FROM monitor.api_keys k
WHERE k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now() - interval '1 day')

-- name: all_keys
-- Every key that there is or was, newest first.
SELECT {columns} FROM monitor.api_keys k ORDER BY k.created_at DESC, k.key_id

-- name: expire_namesakes
-- An expired key gives its name free.
UPDATE monitor.api_keys k SET revoked_at = k.expires_at
WHERE k.name = :name AND k.revoked_at IS NULL AND k.expires_at <= now()

-- name: create_key
-- A new key; no row where there are as many as there may be, or an active one of that name.
INSERT INTO monitor.api_keys (key_id, secret_sha256, name, role, environments, expires_at)
SELECT :key_id, :digest::bytea, :name::text, :role, :environments::text[],
       now() + make_interval(secs => :seconds::float8)
WHERE (SELECT count(*) FROM monitor.api_keys a
       WHERE a.revoked_at IS NULL AND (a.expires_at IS NULL OR a.expires_at > now())) < :most::int
ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING
RETURNING key_id

-- name: revoke_key
-- A key that opens no more, from now on; no row where there is none of that id that does.
UPDATE monitor.api_keys k SET revoked_at = now()
WHERE k.key_id = :key_id AND k.revoked_at IS NULL
RETURNING {columns}

-- name: use_keys
-- When keys were used.
UPDATE monitor.api_keys k SET last_used_at = greatest(k.last_used_at, used.at)
FROM unnest(:key_ids::text[], :ats::timestamptz[]) AS used (key_id, at)
WHERE k.key_id = used.key_id
