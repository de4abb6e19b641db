"""What holds for a job after any sequence of reports, however absurd."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasources.postgres import Database, fetch
from datasources.reports.executions import NodeReport, report_nodes
from datasources.reports.heartbeats import Heartbeat, report_heartbeats
from datasources.reports.jobs import JobReport, report_job
from datasources.reports.refusals import RefusalCode, ReportOutcome
from datasources.reports.robots import Registration, register_robot
from datasources.settings import Settings
from datasources.sql import Query
from datasources.statuses import JobStatus, NodeStatus, RobotStatus

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ENDED = {"completed", "failed", "cancelled"}
_numbers = count(1)

examples = settings(
    max_examples=80,
    deadline=None,
    # One database serves all examples of a test: each has a job of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """The test's database with two robots."""
    database = Database(dsn, Settings())
    await database.open()
    for robot_id in ("r1", "r2"):
        await register_robot(database, Registration(robot_id, "vm"), NOW)
    yield database
    await database.close()


async def rows(database: Database, statement: str, **parameters: object) -> list[dict[str, Any]]:
    async with database.connection() as connection:
        return [dict(row) for row in await fetch(connection, Query("test", statement), parameters)]


async def everything(database: Database, job_id: str) -> list[list[dict[str, Any]]]:
    """All that is known of a job, and of both robots."""
    return [
        await rows(database, f"SELECT * FROM monitor.{table} t WHERE job_id = :job_id ORDER BY t::text", job_id=job_id)
        for table in ("jobs", "node_executions", "events", "heartbeats")
    ] + [await rows(database, "SELECT * FROM monitor.robots ORDER BY robot_id")]


# Past, a little ahead as clocks are, or far ahead: never at the edge, which moves while a report is sent again.
seconds = st.integers(-90, 50) | st.just(86_400)
moments = st.none() | seconds.map(lambda seconds: NOW + timedelta(seconds=seconds))
job_reports = st.builds(
    dict,
    status=st.sampled_from(JobStatus),
    robot_id=st.sampled_from([None, "r1", "r2"]),
    retry_count=st.sampled_from([None, 0, 1, 2, -1]),
    created_at=moments,
    claimed_at=moments,
    completed_at=moments,
    error_type=st.sampled_from([None, "TimeoutError"]),
    progress_percent=st.sampled_from([None, 0.0, 50.0, 100.5]),
)
plain_job_reports = st.builds(
    dict,
    status=st.sampled_from(JobStatus),
    robot_id=st.sampled_from([None, "r1", "r2"]),
    retry_count=st.sampled_from([None, 0, 1, 2]),
)
sequences = st.lists(st.tuples(job_reports | plain_job_reports, st.integers(0, 30)), min_size=1, max_size=8)


@given(sequence=sequences)
@examples
async def test_any_sequence_of_job_reports_leaves_a_life_that_makes_sense(database, sequence):
    job_id, now, before = f"j{next(_numbers)}", NOW, None
    for words, seconds in sequence:
        now += timedelta(seconds=seconds)
        report = JobReport(job_id, "w", **words)
        reported = await report_job(database, report, now)
        known = await everything(database, job_id)
        again = await report_job(database, report, now + timedelta(seconds=1))
        assert await everything(database, job_id) == known
        assert again.outcome in {ReportOutcome.UNCHANGED, ReportOutcome.REFUSED}
        assert (again.outcome is ReportOutcome.REFUSED) == (reported.outcome is ReportOutcome.REFUSED)

        [jobs, _, events, *_] = known
        if not jobs:
            assert reported.outcome is ReportOutcome.REFUSED
            continue
        [job] = jobs
        if reported.outcome is ReportOutcome.REFUSED:
            assert job == before
        if before is not None and before["status"] in ENDED and job["status"] != before["status"]:
            assert before["status"] == "failed"
            assert job["retry_count"] > before["retry_count"]
        if before is not None and before["status"] == "claimed" and before["robot_id"] not in {None, job["robot_id"]}:
            assert job["retry_count"] > before["retry_count"]
        assert job["retry_count"] >= (before or job)["retry_count"]
        assert (job["completed_at"] is not None) == (job["status"] in ENDED)
        assert job["claimed_at"] is None or job["status"] != "pending"
        assert job["claimed_at"] is not None or job["status"] != "claimed"
        times = [time for time in (job["created_at"], job["claimed_at"], job["completed_at"]) if time is not None]
        assert times == sorted(times)

        events.sort(key=lambda event: event["seq"])
        statuses = [event["status"] for event in events]
        assert [event["previous_status"] for event in events] == [None, *statuses[:-1]]
        assert statuses[-1] == job["status"]
        assert all(event["status"] != event["previous_status"] for event in events)
        before = job


node_reports = st.builds(
    NodeReport,
    position=st.integers(-1, 2),
    node_id=st.sampled_from(["n", ""]),
    node_type=st.just("step"),
    status=st.sampled_from(NodeStatus),
    started_at=moments,
    completed_at=moments,
    retry_count=st.sampled_from([None, 0, 1]),
)


@given(batches=st.lists(st.lists(node_reports, min_size=1, max_size=6), min_size=1, max_size=4))
@examples
async def test_any_batches_of_steps_leave_steps_that_make_sense(database, batches):
    job_id = f"j{next(_numbers)}"
    await report_job(database, JobReport(job_id, "w", JobStatus.CLAIMED), NOW)
    for batch in batches:
        reported = await report_nodes(database, job_id, batch, NOW)
        assert reported.accepted + len(reported.refused) == len(batch)
        assert (reported.outcome is ReportOutcome.REFUSED) == (reported.accepted == 0)
        [_, nodes, events, *_] = await everything(database, job_id)
        for node in nodes:
            assert node["position"] >= 0
            assert (node["completed_at"] is None) == (node["status"] == "running")
            assert (node["duration_ms"] or 0) >= 0
            told = sorted((event for event in events if event["position"] == node["position"]), key=lambda e: e["seq"])
            statuses = [event["status"] for event in told]
            assert [event["previous_status"] for event in told] == [None, *statuses[:-1]]
            assert statuses[-1] == node["status"]


@given(batch=st.lists(node_reports, min_size=1, max_size=6, unique_by=lambda node: node.position))
@examples
async def test_the_same_steps_sent_twice_change_nothing(database, batch):
    job_id = f"j{next(_numbers)}"
    await report_job(database, JobReport(job_id, "w", JobStatus.CLAIMED), NOW)
    await report_nodes(database, job_id, batch, NOW)
    known = await everything(database, job_id)
    again = await report_nodes(database, job_id, batch, NOW + timedelta(seconds=1))
    assert again.outcome in {ReportOutcome.UNCHANGED, ReportOutcome.REFUSED}
    assert await everything(database, job_id) == known


@given(
    beats=st.lists(
        st.builds(
            dict,
            robot_id=st.sampled_from(["r1", "r2"]),
            status=st.sampled_from(RobotStatus),
            seconds=st.integers(0, 20),
            progress_percent=st.none() | st.floats(0, 100),
        ),
        min_size=1,
        max_size=12,
    ),
    order=st.randoms(use_true_random=False),
    size=st.integers(1, 5),
)
@examples
async def test_a_robot_is_what_its_newest_heartbeat_says_in_whatever_order_they_come(database, beats, order, size):
    await rows(database, "DELETE FROM monitor.heartbeats")
    await rows(database, "UPDATE monitor.robots SET last_heartbeat = NULL, status = 'idle'")
    distinct = {(beat["robot_id"], beat["seconds"]): beat for beat in beats}
    heartbeats = [
        Heartbeat(
            beat["robot_id"], beat["status"], NOW + timedelta(seconds=beat["seconds"]), cpu_percent=beat["seconds"]
        )
        for beat in distinct.values()
    ]
    order.shuffle(heartbeats)
    for start in range(0, len(heartbeats), size):
        batch = heartbeats[start : start + size]
        for attempt in (ReportOutcome.UPDATED, ReportOutcome.UNCHANGED):
            reported = await report_heartbeats(database, batch, NOW)
            assert (reported.outcome, reported.accepted) == (attempt, len(batch))
    newest = {heartbeat.robot_id: heartbeat for heartbeat in sorted(heartbeats, key=lambda beat: beat.at)}
    for robot in await rows(database, "SELECT * FROM monitor.robots WHERE last_heartbeat IS NOT NULL"):
        heartbeat = newest.pop(robot["robot_id"])
        assert (robot["status"], robot["last_heartbeat"], robot["cpu_percent"]) == (
            heartbeat.status.value,
            heartbeat.at,
            heartbeat.cpu_percent,
        )
    assert not newest


@given(text=st.text(max_size=300), number=st.integers(-(2**33), 2**33), share=st.floats(width=32))
@examples
async def test_no_value_is_too_strange_to_be_answered(database, text, number, share):
    job = JobReport(
        f"v{text}", text, JobStatus.CLAIMED, priority=number, error_message=text * 300, progress_percent=share
    )
    step = NodeReport(number % 2**31, text, text, NodeStatus.FAILED, error_type=text, error_message=text)
    beat = Heartbeat(text or "r1", RobotStatus.BUSY, NOW, memory_mb=share, current_job_id=text, current_node=text)
    results = [
        await register_robot(database, Registration(f"v{text}", text, text, [text]), NOW),
        await report_job(database, job, NOW),
        await report_nodes(database, job.job_id, [step], NOW),
        await report_heartbeats(database, [beat], NOW),
    ]
    for reported in results:
        assert (reported.outcome is ReportOutcome.REFUSED) == bool(reported.refused)
        assert {refusal.code for refusal in reported.refused} <= {
            RefusalCode.INVALID_VALUE,
            RefusalCode.UNKNOWN_JOB,
            RefusalCode.UNKNOWN_ROBOT,
        }
