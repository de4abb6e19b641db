-- name: busy_by_robot
-- For how many seconds from `since` to `until` each robot was busy, and online at all, from its turns in the ledger; and
-- from when on the ledger knows them, where it holds no more than its newest numbers.
SELECT r.robot_id,
       coalesce(sum(turn.seconds) FILTER (WHERE turn.status = 'busy'), 0)::float8 AS busy,
       coalesce(sum(turn.seconds) FILTER (WHERE turn.status <> 'offline'), 0)::float8 AS online,
       (
           SELECT CASE WHEN l.pruned > 0
                       AND (SELECT max(newest.seq) FROM monitor.events newest /* unscoped: how long the ledger is */)
                           - l.pruned >= :most
                  THEN (SELECT oldest.at FROM monitor.events oldest /* unscoped: how far the ledger reaches */
                        ORDER BY oldest.seq LIMIT 1) END
           FROM monitor.ledger l /* unscoped: how far the ledger was forgotten */
       ) AS reach
FROM monitor.robots r
LEFT JOIN LATERAL (
    SELECT turns.status,
           greatest(0, extract(epoch FROM coalesce(lead(turns.at) OVER (ORDER BY turns.seq), :until) - turns.at)) AS seconds
    FROM (
        -- What it was doing when the window began: what its first turn ended, or what it is still doing.
        SELECT 0::bigint AS seq, greatest(r.registered_at, :since) AS at,
               CASE WHEN first.seq IS NULL THEN r.status ELSE first.previous_status END AS status
        FROM (VALUES (1)) AS one
        LEFT JOIN LATERAL (
            SELECT e.seq, e.previous_status FROM monitor.events e
            WHERE e.kind = 'robot' AND e.robot_id = r.robot_id AND e.at >= :since
              AND e.seq >= (SELECT early.seq FROM monitor.events early /* unscoped: only where to begin */
                            WHERE early.at >= :since ORDER BY early.at, early.seq LIMIT 1)
            ORDER BY e.seq LIMIT 1
        ) first ON TRUE
        UNION ALL
        SELECT e.seq, e.at, e.status FROM monitor.events e
        WHERE e.kind = 'robot' AND e.robot_id = r.robot_id AND e.at >= :since AND e.at < :until
          AND e.seq >= (SELECT early.seq FROM monitor.events early /* unscoped: only where to begin */
                        WHERE early.at >= :since ORDER BY early.at, early.seq LIMIT 1)
    ) turns
) turn ON TRUE
WHERE r.robot_id = ANY(:robot_ids::text[])
GROUP BY r.robot_id
