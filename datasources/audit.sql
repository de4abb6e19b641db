-- name: record
-- Entries, of which those that stand there already happened again. A key that is used has its row for the hour.
INSERT INTO monitor.audit AS a (id, at, kind, code, viewer, address, request_id, detail, times)
SELECT * FROM unnest(
    :ids::bytea[], :ats::timestamptz[], :kinds::text[], :codes::text[], :viewers::text[], :addresses::text[],
    :request_ids::text[], :details::text[], :times::bigint[]
)
ON CONFLICT (id) DO UPDATE SET times = a.times + CASE a.kind WHEN 'key_used' THEN 0 ELSE excluded.times END

-- name: newest
-- The newest entries.
SELECT a.at, a.kind, a.code, a.viewer, a.address, a.request_id, a.detail, a.times
FROM monitor.audit a
WHERE TRUE
  AND a.kind = :kind                                                                        --? kind
ORDER BY a.at DESC, a.id
LIMIT :last

-- name: prune_audit
-- Forget entries older than so many seconds.
DELETE FROM monitor.audit a WHERE a.id = ANY(ARRAY(
    SELECT old.id FROM monitor.audit old WHERE old.at < now() - make_interval(secs => :seconds)
    ORDER BY old.at LIMIT :limit
))
RETURNING 1
