"""What a process without a table of ours says and hears, with the documents' names and arguments."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from redis_server import until

from datasources.postgres import UpstreamUnavailable
from datasources.reports.refusals import RefusalCode, ReportOutcome
from subscriptions import integration
from subscriptions.integration import (
    EventBus,
    broadcast_job_update,
    broadcast_queue_metrics,
    broadcast_robot_status,
    close_broadcasts,
)

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@pytest.fixture(autouse=True)
async def environment(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setenv("DATABASE_URL", dsn)
    yield
    await close_broadcasts()


async def rows(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(statement, timeout=10)]
    finally:
        await connection.close(timeout=5)


async def test_a_jobs_update_is_its_state_and_stands_in_the_ledger(dsn: str) -> None:
    for status in ("pending", "claimed", "completed"):
        await broadcast_job_update(job_id="job-123", status=status)
    assert await rows(dsn, "SELECT status, workflow_id FROM monitor.jobs") == [("completed", "unknown")]
    assert await rows(dsn, "SELECT previous_status, status FROM monitor.events WHERE kind = 'job' ORDER BY seq") == [
        (None, "pending"),
        ("pending", "claimed"),
        ("claimed", "completed"),
    ]


async def test_the_same_update_again_is_no_transition(dsn: str) -> None:
    await broadcast_job_update(job_id="job-123", status="failed")
    assert (await broadcast_job_update(job_id="job-123", status="failed")).outcome is ReportOutcome.UNCHANGED
    assert await rows(dsn, "SELECT count(*) FROM monitor.events") == [(1,)]


async def test_a_known_job_stays_with_its_workflow(dsn: str) -> None:
    await rows(
        dsn,
        """INSERT INTO monitor.jobs (job_id, source, workflow_id, workflow_name, status, raw_status, created_at)
        VALUES ('job-1', 'report', 'invoices', 'Invoices', 'pending', 'pending', now())""",
    )
    await broadcast_job_update(job_id="job-1", status="running")
    found = await rows(dsn, "SELECT status, raw_status, workflow_id, workflow_name FROM monitor.jobs")
    assert found == [("claimed", "running", "invoices", "Invoices")]


async def test_an_update_that_cannot_be_is_refused_and_kept(dsn: str, caplog: pytest.LogCaptureFixture) -> None:
    await broadcast_job_update(job_id="job-123", status="completed")
    reported = await broadcast_job_update(job_id="job-123", status="pending")
    assert reported.refused[0].code is RefusalCode.ILLEGAL_TRANSITION
    assert "it cannot become pending" in caplog.text
    assert await rows(dsn, "SELECT source_key, code FROM monitor.source_errors") == [("job-123", "ILLEGAL_TRANSITION")]


async def test_a_word_that_is_no_status_is_an_error() -> None:
    with pytest.raises(ValueError, match="sleeping"):
        await broadcast_job_update(job_id="job-123", status="sleeping")
    with pytest.raises(ValueError, match="sleeping"):
        await broadcast_robot_status(robot_id="robot-001", status="sleeping", cpu_percent=0, memory_mb=0)


async def test_a_robots_status_makes_it_known_and_is_its_heartbeat(dsn: str) -> None:
    await broadcast_robot_status(robot_id="robot-001", status="busy", cpu_percent=45.2, memory_mb=1024.5)
    await broadcast_robot_status(robot_id="robot-001", status="idle", cpu_percent=1.0, memory_mb=900.0)
    found = await rows(dsn, "SELECT robot_id, status, cpu_percent, memory_mb FROM monitor.robots")
    assert found == [("robot-001", "idle", 1.0, 900.0)]
    assert await rows(dsn, "SELECT count(*) FROM monitor.heartbeats") == [(2,)]
    assert await rows(dsn, "SELECT count(*) FROM monitor.source_errors") == [(0,)]


async def test_a_registered_robot_stays_what_it_said_it_is(dsn: str) -> None:
    await rows(
        dsn, "INSERT INTO monitor.robots (robot_id, hostname, environment) VALUES ('robot-001', 'desk-7', 'prod')"
    )
    await broadcast_robot_status(robot_id="robot-001", status="busy", cpu_percent=45.2, memory_mb=1024.5)
    assert await rows(dsn, "SELECT hostname, environment, status FROM monitor.robots") == [("desk-7", "prod", "busy")]


async def test_the_newest_depth_of_the_queue_stands(dsn: str) -> None:
    for depth in (42, 7):
        await broadcast_queue_metrics(depth=depth)
    assert await rows(dsn, "SELECT environment, depth FROM monitor.reported_queues") == [("default", 7)]
    refused = await broadcast_queue_metrics(depth=-1)
    assert refused.refused[0].code is RefusalCode.INVALID_VALUE
    assert await rows(dsn, "SELECT depth FROM monitor.reported_queues") == [(7,)]


async def test_many_at_once_share_one_pool(dsn: str) -> None:
    await asyncio.gather(*(broadcast_job_update(job_id=f"job-{n}", status="pending") for n in range(50)))
    assert await rows(dsn, "SELECT count(*) FROM monitor.jobs") == [(50,)]
    ours = "SELECT count(*) <= 3 FROM pg_stat_activity WHERE datname = current_database() AND application_name <> ''"
    assert await rows(dsn, ours) == [(True,)]


async def test_a_database_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(UpstreamUnavailable):
        await broadcast_queue_metrics(depth=1)


class Heard:
    """What a handler was called with."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    async def __call__(self, message: dict[str, Any]) -> None:
        self.messages.append(message)


def timeless(message: dict[str, Any]) -> dict[str, Any]:
    """The message without its timestamp, which must be one."""
    assert TIME.fullmatch(message["timestamp"])
    return {name: value for name, value in message.items() if name != "timestamp"}


async def test_a_handler_of_jobs_hears_every_transition_in_the_documents_shape() -> None:
    heard = Heard()
    await broadcast_job_update(job_id="before", status="pending")
    bus = EventBus()
    bus.subscribe("job.status_changed", heard)
    async with bus:
        for status in ("pending", "claimed", "completed"):
            await broadcast_job_update(job_id="job-123", status=status)
        await until(lambda: len(heard.messages) == 3)
    assert [timeless(message) for message in heard.messages] == [
        {"job_id": "job-123", "status": "pending"},
        {"job_id": "job-123", "status": "claimed"},
        {"job_id": "job-123", "status": "completed"},
    ]


async def test_a_handler_of_heartbeats_hears_the_newest_of_each_robot() -> None:
    heard = Heard()
    async with EventBus() as bus:
        bus.subscribe("robot.heartbeat", heard)
        await broadcast_robot_status(robot_id="robot-001", status="busy", cpu_percent=45.2, memory_mb=1024.5)
        await until(lambda: bool(heard.messages))
    assert timeless(heard.messages[-1]) == {
        "robot_id": "robot-001",
        "status": "busy",
        "cpu_percent": 45.2,
        "memory_mb": 1024.5,
    }


async def test_a_handler_of_the_queue_hears_its_depth_at_once_and_when_it_changes() -> None:
    heard = Heard()
    async with EventBus() as bus:
        bus.subscribe("queue.depth_changed", heard)
        await until(lambda: len(heard.messages) == 1)
        await broadcast_job_update(job_id="job-123", status="pending")
        await until(lambda: len(heard.messages) == 2)
    assert [timeless(message) for message in heard.messages] == [{"depth": 0}, {"depth": 1}]


async def test_a_handler_that_raises_or_hangs_stops_nobody_else(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integration, "_HANDLER_SECONDS", 0.05)
    sound, hanging = Heard(), Heard()

    def raises(message: dict[str, Any]) -> None:
        raise RuntimeError("a handler of somebody else's")

    async def hangs(message: dict[str, Any]) -> None:
        await hanging(message)
        await asyncio.Event().wait()

    bus = EventBus()
    for handler in (raises, hangs, sound):
        bus.subscribe("job.status_changed", handler)
    async with bus:
        for n in range(5):
            await broadcast_job_update(job_id=f"job-{n}", status="pending")
        await until(lambda: len(sound.messages) == len(hanging.messages) == 5 and bus.failures == 10)
    assert "a handler of somebody else's" in caplog.text


async def test_a_bus_that_is_left_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    bus = EventBus()
    for event in ("job.status_changed", "robot.heartbeat", "queue.depth_changed"):
        bus.subscribe(event, Heard())
    async with bus:
        assert asyncio.all_tasks() > before
    await until(lambda: asyncio.all_tasks() == before)


def test_an_event_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"robot\.heartbeat"):
        EventBus().subscribe("job.finished", print)  # type: ignore[arg-type]


_LISTENER = """
import asyncio, json
from subscriptions.integration import EventBus

async def main():
    done = asyncio.Event()

    def tell(message):
        print(json.dumps(message), flush=True)
        done.set()

    async with EventBus() as bus:
        bus.subscribe("job.status_changed", tell)
        print("listens", flush=True)
        await asyncio.wait_for(done.wait(), 30)

asyncio.run(main())
"""


async def test_what_one_process_says_another_hears() -> None:
    listener = await asyncio.create_subprocess_exec(sys.executable, "-c", _LISTENER, stdout=PIPE)
    assert listener.stdout is not None
    try:
        assert await asyncio.wait_for(listener.stdout.readline(), 30) == b"listens\n"
        await broadcast_job_update(job_id="job-123", status="completed")
        message = json.loads(await asyncio.wait_for(listener.stdout.readline(), 30))
        assert timeless(message) == {"job_id": "job-123", "status": "completed"}
        assert await asyncio.wait_for(listener.wait(), 30) == 0
    finally:
        if listener.returncode is None:
            listener.kill()
            await listener.wait()
