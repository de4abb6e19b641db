"""Shared executions and kept answers, with the snapshots of a real database."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from datasources.scope import EVERYTHING, Scope
from datasources.snapshots import Snapshots
from graph.engine.answers import Answer
from graph.engine.lasting import Lasting
from graph.engine.sharing import Asked, SharedAnswers

ERROR = {"message": "no", "extensions": {"code": "INTERNAL"}}


def asked(number: int = 0, scope: Scope = EVERYTHING) -> Asked:
    return Asked("{ a question }", None, b"%d" % number, scope)


class Work:
    """Something to be done for an answer, that waits at a gate."""

    def __init__(self, body: dict[str, object] | None = None, *, gate: bool = False) -> None:
        self.body = {"data": 1} if body is None else body
        self.begun = self.cancelled = 0
        self.gate = asyncio.Event()
        if not gate:
            self.gate.set()

    async def __call__(self) -> Answer:
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Answer(self.body, executed=True)


@pytest.fixture
async def still(dsn: str, snapshots: Snapshots) -> Callable[[], Awaitable[None]]:
    """Wait until the server of the database has nothing to do of itself."""

    async def wait() -> None:
        async with asyncio.timeout(20):
            while len({await snapshots.latest() for _ in range(5)}) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    return wait


@pytest.fixture
def shared(snapshots: Snapshots) -> SharedAnswers:
    return SharedAnswers(snapshots, longest=30)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def give(shared: SharedAnswers, work: Work, lasting: Lasting = Lasting.UNTIL_CHANGED) -> asyncio.Task[Answer]:
    return asyncio.create_task(shared.give(asked(), lasting, work))


async def commit(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=10)
    await connection.execute("INSERT INTO monitor.sources (name, version) VALUES ('s' || random(), '1')")
    await connection.close(timeout=5)


async def test_all_who_wait_get_one_answer(shared: SharedAnswers, still) -> None:
    await still()
    work = Work(gate=True)
    waiting = [give(shared, work) for _ in range(20)]
    await until(lambda: shared.counts["shared"] == 19)
    work.gate.set()
    assert {id(answer) for answer in await asyncio.gather(*waiting)} == {id(await waiting[0])}
    assert work.begun == 1


async def test_the_first_may_go_and_the_others_get_the_answer(shared: SharedAnswers, still) -> None:
    await still()
    work = Work(gate=True)
    first = give(shared, work)
    await until(lambda: work.begun)
    second = give(shared, work)
    await until(lambda: shared.counts["shared"])
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    work.gate.set()
    assert (await second).body == {"data": 1}
    assert work.begun == 1
    assert not work.cancelled


async def test_it_ends_with_the_last_who_waits(shared: SharedAnswers, still) -> None:
    await still()
    work = Work(gate=True)
    waiting = [give(shared, work) for _ in range(3)]
    await until(lambda: shared.counts["shared"] == 2)
    for task in waiting:
        task.cancel()
    await until(lambda: work.cancelled)
    assert len(shared) == 0


async def test_each_has_a_deadline_of_their_own(shared: SharedAnswers, still) -> None:
    await still()
    work = Work(gate=True)

    async def hasty() -> Answer:
        async with asyncio.timeout(0.05):
            return await shared.give(asked(), Lasting.UNTIL_CHANGED, work)

    first = asyncio.create_task(hasty())
    second = give(shared, work)
    with pytest.raises(TimeoutError):
        await first
    work.gate.set()
    assert (await second).body == {"data": 1}


async def test_nobody_joins_what_goes_on_for_long(snapshots: Snapshots, still) -> None:
    shared, work = SharedAnswers(snapshots, longest=0), Work(gate=True)
    await still()
    waiting = [give(shared, work) for _ in range(2)]
    await until(lambda: work.begun == 2)
    work.gate.set()
    await asyncio.gather(*waiting)


async def test_who_comes_after_a_commit_does_not_join_what_began_before(dsn: str, shared: SharedAnswers, still) -> None:
    await still()
    before, after = Work({"data": "before"}, gate=True), Work({"data": "after"})
    first = give(shared, before)
    await until(lambda: before.begun)
    await commit(dsn)
    assert (await give(shared, after)).body == {"data": "after"}
    before.gate.set()
    assert (await first).body == {"data": "before"}
    await still()
    assert (await give(shared, Work({"data": "later"}))).body in ({"data": "after"}, {"data": "later"})


async def test_what_is_kept_is_given_until_something_is_committed(dsn: str, shared: SharedAnswers, still) -> None:
    await still()
    for _ in range(3):
        assert (await give(shared, Work())).body == {"data": 1}
    assert (shared.counts["executed"], shared.counts["reused"]) == (1, 2)
    await commit(dsn)
    assert (await give(shared, Work({"data": 2}))).body == {"data": 2}
    assert shared.counts["outdated"] == 1


async def test_what_is_for_the_moment_is_not_kept(shared: SharedAnswers) -> None:
    for _ in range(2):
        await give(shared, Work(), Lasting.A_MOMENT)
    assert shared.counts["executed"] == 2
    assert len(shared) == 0


async def test_errors_are_not_kept(shared: SharedAnswers) -> None:
    for _ in range(2):
        assert (await give(shared, Work({"errors": [ERROR], "data": None}))).code == "INTERNAL"
    assert shared.counts["executed"] == 2
    assert len(shared) == 0


async def test_what_fails_fails_for_all_and_is_forgotten(shared: SharedAnswers, still) -> None:
    async def failing() -> Answer:
        raise LookupError("a defect")

    await still()
    found = await asyncio.gather(
        *(shared.give(asked(), Lasting.UNTIL_CHANGED, failing) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in found] == [LookupError] * 3
    assert len(shared) == 0


async def test_another_scope_or_masking_is_another_question(shared: SharedAnswers) -> None:
    for scope in (EVERYTHING, Scope(masked=True), Scope(frozenset("a")), Scope(frozenset("ab"))):
        await shared.give(asked(scope=scope), Lasting.UNTIL_CHANGED, Work())
    assert shared.counts["executed"] == 4


async def test_they_take_so_much_memory_and_no_more(shared: SharedAnswers, still) -> None:
    await still()
    for number in range(100):
        body = {"data": "x" * 400_000}
        await shared.give(asked(number), Lasting.UNTIL_CHANGED, Work(body))
    await until(lambda: shared.counts["kept"] == shared.counts["executed"])
    assert shared.size <= 16 * 2**20
    assert shared.counts["displaced"] == shared.counts["kept"] - len(shared) > 0


async def test_a_large_answer_is_not_kept(shared: SharedAnswers) -> None:
    await give(shared, Work({"data": "x" * 600_000}))
    assert (len(shared), shared.size) == (0, 0)


async def test_without_a_snapshot_everybody_works_for_themselves(dsn: str) -> None:
    shared, work = SharedAnswers(Snapshots(dsn, 60), longest=30), Work(gate=True)
    waiting = [give(shared, work) for _ in range(3)]
    await until(lambda: work.begun == 3)
    work.gate.set()
    await asyncio.gather(*waiting)
    assert shared.counts["unverified"] == 3
    assert len(shared) == 0
