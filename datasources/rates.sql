-- name: clock
-- The clock that counts is that of the database, which all workers share; only tests bring another.
(SELECT coalesce(:now::float8, extract(epoch FROM clock_timestamp())::float8) AS now) clock,
LATERAL (SELECT floor(clock.now / :seconds::float8)::bigint AS bucket) tick

-- name: past
-- What was spent in each bucket of the window that ends now, newest first. Behind a clock that was set back a little the
-- newest bucket goes on; behind one set back by more than the window everything begins anew.
{clock},
LATERAL (
    SELECT CASE WHEN r.bucket - tick.bucket > :buckets::bigint THEN tick.bucket
           ELSE greatest(r.bucket, tick.bucket) END AS bucket
) newest,
LATERAL (
    SELECT array_agg(coalesce(r.spent[age - (newest.bucket - r.bucket)], 0) ORDER BY age) AS spent
    FROM generate_series(1, :buckets) age
) past

-- name: lease
-- Part of an allowance until the newest bucket ends: what is wished for if there is so much, at least the cost, or
-- nothing. Before, what an earlier lease left comes back, and what was spent without asking is taken off.
INSERT INTO monitor.rates AS r (payer, bucket, spent, granted)
SELECT :payer, tick.bucket, ARRAY[:owed::bigint + granted], granted
FROM {clock},
LATERAL (
    SELECT CASE WHEN :owed + :cost::bigint > :most::bigint THEN 0 ELSE least(:wish::bigint, :most - :owed) END AS granted
) given
ON CONFLICT (payer) DO UPDATE SET (bucket, spent, granted) = (
    SELECT newest.bucket, ARRAY[paid.spent[1] + given.granted] || paid.spent[2:], given.granted
    FROM {past},
    LATERAL (
        SELECT sum(left_over)::bigint AS total, array_agg(left_over ORDER BY age) AS spent
        FROM unnest(past.spent) WITH ORDINALITY AS was (amount, age),
        LATERAL (
            SELECT was.amount + CASE WHEN age = 1 THEN :owed ELSE 0 END
                - CASE WHEN newest.bucket - age + 1 = :returned_to::bigint
                  THEN least(:returned::bigint, was.amount) ELSE 0 END AS left_over
        ) corrected
    ) paid,
    LATERAL (
        SELECT CASE WHEN paid.total + :cost > :most THEN 0 ELSE least(:wish, :most - paid.total) END AS granted
    ) given
)
RETURNING granted, bucket, spent, (SELECT clock.now FROM {clock}) AS now

-- name: spent
-- What was spent in each bucket of the window that ends now.
SELECT 0::bigint AS granted, newest.bucket, past.spent, clock.now
FROM (SELECT :payer::bytea AS payer) asked
LEFT JOIN monitor.rates r USING (payer), {past}

-- name: prune_rates
-- Forget those who spent nothing for longer than the window.
DELETE FROM monitor.rates WHERE payer = ANY(ARRAY(
    SELECT payer FROM monitor.rates
    WHERE bucket < floor(extract(epoch FROM clock_timestamp()) / :seconds::float8) - :buckets::bigint
    LIMIT :limit FOR UPDATE SKIP LOCKED
))
RETURNING 1
