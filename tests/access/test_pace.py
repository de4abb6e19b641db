"""Rate limits: what all workers together let through, over a real Postgres."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasources.postgres import Database
from datasources.settings import Settings
from graph.limits.pace import Allowance, Pace, RateLimited, network

LIMIT = 1000
numbers = count(1)
COSTS = Allowance("cost", LIMIT, "That was enough.")


class Clock:
    """A clock that goes when it is told to; the database goes by it, too."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def workers(dsn: str, number: int, clock: Callable[[], float] | None = None) -> AsyncIterator[list[Pace]]:
    """So many workers, each with its own way to the database."""
    chosen = Settings(rate_limits="on", workers=number, pool_size=3)
    databases = [Database(dsn, chosen) for _ in range(number)]
    for database in databases:
        await database.open()
    try:
        yield [Pace(database, chosen, clock) for database in databases]
    finally:
        for database in databases:
            await database.close()


async def let_through(spending: Awaitable[None]) -> bool:
    """Whether that was not too much."""
    try:
        await spending
    except RateLimited:
        return False
    return True


steps = st.lists(
    st.tuples(st.integers(0, 2), st.integers(1, 400), st.sampled_from([0.0, 0.0, 0.1, 1.0, 4.9, 5.0, 13.0, 59.0])),
    max_size=60,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
async def test_no_minute_sees_more_than_the_limit_whoever_works(dsn, steps):
    clock, passed = Clock(), []
    async with workers(dsn, 3, clock) as paces:
        somebody = f"viewer {next(numbers)}"
        for worker, cost, wait in steps:
            if await let_through(paces[worker].spend(somebody, cost, COSTS)):
                passed.append((clock.now, cost))
            clock.now += wait
    for start, _ in passed:
        assert sum(cost for at, cost in passed if start <= at < start + 60) <= LIMIT


async def test_at_once_all_workers_let_through_no_more_than_the_limit(dsn):
    async with workers(dsn, 3) as paces:
        asked = [let_through(pace.spend("somebody", 7, COSTS)) for _ in range(100) for pace in paces]
        passed = sum(await asyncio.gather(*asked))
    # What other workers hold cannot be spent, which is a twentieth each at most.
    assert LIMIT - 3 * LIMIT // 20 - 7 <= passed * 7 <= LIMIT


async def test_most_operations_ask_the_database_nothing(dsn):
    async with workers(dsn, 1, Clock()) as [pace]:
        for _ in range(400):
            await pace.spend("somebody", 1, COSTS)
    assert pace.counts["leases"] < 20


async def test_what_is_left_of_a_lease_is_given_back(dsn):
    clock = Clock()
    async with workers(dsn, 1, clock) as [pace]:
        for _ in range(12):
            for _ in range(10):
                await pace.spend("somebody", 8, COSTS)
            clock.now += 5
        standing = await pace.status("somebody", COSTS)
    assert standing is not None
    # 960 were spent within the minute; what remains may be in the last lease.
    assert standing.remaining == LIMIT - 960


async def test_somebody_who_is_refused_fits_again_after_the_seconds_they_were_told(dsn):
    clock = Clock()
    async with workers(dsn, 2, clock) as [one, other]:
        await one.spend("somebody", 600, COSTS)
        clock.now += 20
        await other.spend("somebody", 400, COSTS)
        with pytest.raises(RateLimited, match="Try again in") as refused:
            await other.spend("somebody", 500, COSTS)
        clock.now += refused.value.retry_after - 6
        assert not await let_through(other.spend("somebody", 500, COSTS))
        clock.now += 6
        await other.spend("somebody", 500, COSTS)


async def test_a_storm_of_refusals_asks_the_database_once(dsn):
    async with workers(dsn, 1, Clock()) as [pace]:
        await pace.spend("somebody", LIMIT, COSTS)
        leases = pace.counts["leases"]
        for _ in range(50):
            assert not await let_through(pace.spend("somebody", 5, COSTS))
    assert pace.counts["leases"] == leases + 1
    assert pace.counts["refusals"] == 50


async def test_less_is_let_through_where_more_was_refused(dsn):
    async with workers(dsn, 1, Clock()) as [pace]:
        await pace.spend("somebody", 900, COSTS)
        assert not await let_through(pace.spend("somebody", 200, COSTS))
        await pace.spend("somebody", 100, COSTS)


async def test_viewers_and_allowances_do_not_share(dsn):
    async with workers(dsn, 1) as [pace]:
        await pace.spend("one", LIMIT, COSTS)
        await pace.spend("other", LIMIT, COSTS)
        await pace.spend("one", 20, Allowance("analytics", 20, ""))


async def test_what_costs_more_than_the_limit_takes_all_of_it(dsn):
    async with workers(dsn, 1) as [pace]:
        await pace.spend("somebody", LIMIT * 2, COSTS)
        assert not await let_through(pace.spend("somebody", 1, COSTS))


async def test_without_the_database_each_worker_goes_on_with_its_share(dsn):
    clock = Clock()
    async with workers(dsn.replace("@127.0.0.1", "@127.0.0.9"), 2, clock) as [one, other]:
        for pace in (one, other):
            passed = sum([await let_through(pace.spend("somebody", 10, COSTS)) for _ in range(100)])
            assert passed == 50
            assert pace.counts["failures"] >= 1
        clock.now += 65
        await one.spend("somebody", 10, COSTS)


async def test_what_was_spent_without_the_database_is_told_to_it_afterwards(dsn):
    clock = Clock()
    async with workers(dsn, 1, clock) as [pace]:
        connection = await asyncpg.connect(dsn, timeout=10)
        await connection.execute("ALTER TABLE monitor.rates RENAME TO hidden")
        await pace.spend("somebody", 700, COSTS)
        await connection.execute("ALTER TABLE monitor.hidden RENAME TO rates")
        await connection.close(timeout=5)
        clock.now += 3
        assert not await let_through(pace.spend("somebody", 400, COSTS))
        await pace.spend("somebody", 300, COSTS)


async def test_a_worker_knows_ten_thousand_payers_and_forgets_who_paid_longest_ago(dsn):
    async with workers(dsn.replace("@127.0.0.1", "@127.0.0.9"), 1) as [pace]:
        for name in range(10_050):
            await pace.spend(f"viewer {name}", 1, COSTS)
        assert len(pace._purses) == 10_000


@pytest.mark.parametrize(
    ("address", "who"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
        (None, "-"),
    ],
)
def test_an_address_stands_for_its_network(address, who):
    assert network(address) == who
