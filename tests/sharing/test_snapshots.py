"""Snapshots: two equal ones say that nothing was committed in between."""

import asyncio

from datasources.snapshots import Snapshots

NEW = """INSERT INTO monitor.robots (robot_id, hostname, last_heartbeat)
    VALUES ($1, 'h', now() - make_interval(secs => $2))"""


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_it_stays_the_same_while_nothing_is_committed(snapshots: Snapshots, connection) -> None:
    async def twice() -> bool:  # other databases of the server are left alone for a moment now and then
        return await snapshots.latest() == await snapshots.latest()

    await until(twice)
    await connection.fetch("SELECT * FROM monitor.robots")
    await until(twice)


async def test_whatever_is_committed_makes_another(snapshots: Snapshots, connection) -> None:
    await connection.execute(NEW, "r1", 0.0)
    for statement in (
        "UPDATE monitor.robots SET cpu_percent = 7",
        "DELETE FROM monitor.robots",
        "CREATE TABLE public.strange ()",
        "TRUNCATE monitor.jobs CASCADE",
    ):
        before = await snapshots.latest()
        await connection.execute(statement)
        assert await snapshots.latest() != before


async def test_a_transaction_that_was_open_at_both_looks_does_not_hide_its_end(
    snapshots: Snapshots, connection
) -> None:
    async with connection.transaction():
        await connection.execute(NEW, "r1", 0.0)
        open_then = await snapshots.latest()
    assert await snapshots.latest() != open_then


async def test_a_robot_that_falls_silent_makes_another(snapshots: Snapshots, connection) -> None:
    await connection.execute(NEW, "r1", 59.0)
    before = await snapshots.latest()
    assert before.oldest_sign is not None

    async def silent() -> bool:
        return (await snapshots.latest()).oldest_sign is None

    await until(silent)
    await connection.execute(NEW, "r2", 1.0)
    assert (await snapshots.latest()).oldest_sign is not None


async def test_of_another_connection_it_is_another(snapshots: Snapshots, connection) -> None:
    before = await snapshots.latest()
    await connection.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'casare-monitor snapshots' AND datname = current_database()"
    )

    async def back() -> bool:
        found = await snapshots.latest()
        return found is not None and found.session > before.session

    await until(back)


async def test_all_who_ask_at_once_share_a_look_or_two(snapshots: Snapshots) -> None:
    assert len({id(found) for found in await asyncio.gather(*(snapshots.latest() for _ in range(100)))}) <= 2
