-- name: report_queue
-- The newest word stands; the same again only says that it still holds, a late one nothing.
INSERT INTO monitor.reported_queues AS q (environment, depth, at)
VALUES (:environment, :depth, :at)
ON CONFLICT (environment) DO UPDATE SET depth = excluded.depth, at = excluded.at WHERE q.at < excluded.at
RETURNING xmax = 0 AS created
