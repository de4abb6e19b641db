-- name: latest
-- What is committed: two equal snapshots say that no transaction that wrote has ended between them, in whatever table or
-- worker. And the oldest sign of life that still counts, since robots fall silent without anybody writing that down: of
-- the same robots, the same sign is the oldest as long as the same are silent.
SELECT pg_current_snapshot()::text AS committed, (
    SELECT coalesce(r.last_heartbeat, r.registered_at)
    FROM monitor.robots r /* unscoped: it is compared with itself, and shown to nobody */
    WHERE coalesce(r.last_heartbeat, r.registered_at) >= now() - make_interval(secs => :offline_after)
    ORDER BY coalesce(r.last_heartbeat, r.registered_at), r.robot_id LIMIT 1
) AS oldest_sign
