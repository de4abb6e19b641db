"""The documents' methods: what one process records through its collector, every collector tells."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from redis_server import until

from datasources.reports.refusals import RefusalCode, ReportOutcome
from subscriptions.collector import RPAMetricsCollector
from subscriptions.integration import broadcast_queue_metrics, close_broadcasts, metrics_collector


@pytest.fixture(autouse=True)
async def environment(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setenv("DATABASE_URL", dsn)
    yield
    await close_broadcasts()


@pytest.fixture
async def here() -> AsyncIterator[RPAMetricsCollector]:
    async with metrics_collector() as collector:
        yield collector


@pytest.fixture
async def there() -> AsyncIterator[RPAMetricsCollector]:
    async with metrics_collector() as collector:
        yield collector


async def both(holds: Callable[[RPAMetricsCollector], object], *collectors: RPAMetricsCollector) -> None:
    await until(lambda: all(holds(collector) for collector in collectors))


async def test_a_jobs_life_is_told_by_every_collector(here: RPAMetricsCollector, there: RPAMetricsCollector) -> None:
    await here.record_job_enqueue("j1", "Invoices", priority=5, environment="production")
    await here.record_job_enqueue("j2", "Invoices", workflow_id="invoices")
    await both(lambda each: each.get_queue_depth() == 2 and each.get_queue_depth("production") == 1, here, there)
    await there.record_job_start("j1", "robot-1")
    await both(lambda each: each.get_queue_depth() == 1, here, there)
    await both(lambda each: list(each.get_active_jobs()) == ["j1"], here, there)
    assert here.get_active_jobs("production")["j1"].robot_id == "robot-1"
    await here.record_job_complete("j1", success=False, error_message="no amount", error_type="FormatError")
    await both(lambda each: not each.get_active_jobs(), here, there)
    metrics = there.get_job_metrics()
    assert (metrics.pending, metrics.active, metrics.today.total) == (1, 0, 2)
    assert metrics.ended[timedelta(minutes=1)].failed == 1
    assert metrics.ended[timedelta(minutes=1)].failure_rate == 100
    await here.record_job_retry("j1", attempt_number=1, reason="the file is there now")
    await both(lambda each: each.get_queue_depth() == 2, here, there)
    assert there.get_job_metrics().ended[timedelta(minutes=15)].total == 0
    await here.record_job_cancel("j1")
    await here.record_job_cancel("j2", reason="nobody wants it")
    await both(lambda each: each.get_job_metrics().ended[timedelta(minutes=1)].cancelled == 2, here, there)


async def test_a_job_has_run_for_as_long_as_whoever_records_its_end_says(here: RPAMetricsCollector) -> None:
    await here.record_job_enqueue("j", "W")
    await here.record_job_start("j")
    await here.record_job_complete("j", True, 0.5)
    await both(lambda each: each.get_job_metrics().today.average_seconds is not None, here)
    assert 0 < (here.get_job_metrics().today.average_seconds or 0) <= 0.5


async def test_a_robot_is_registered_and_gone_again(here: RPAMetricsCollector, there: RPAMetricsCollector) -> None:
    await here.register_robot("robot-1", hostname="desk-7", environment="production", capabilities=["sap"])
    assert (await there.register_robot("robot-1")).outcome is ReportOutcome.UNCHANGED
    await both(lambda each: each.get_robot_metrics("robot-1"), here, there)
    robot = there.get_all_robot_metrics()["robot-1"]
    assert (robot.environment, robot.status, robot.heartbeat_age_seconds) == ("production", "idle", None)
    await there.unregister_robot("robot-1")
    await both(lambda each: not each.get_all_robot_metrics(), here, there)
    refused = await there.unregister_robot("robot-1")
    assert refused.refused[0].code is RefusalCode.UNKNOWN_ROBOT


async def test_a_robot_is_told_with_the_job_and_the_node_it_is_at(here: RPAMetricsCollector) -> None:
    await here.register_robot("robot-1")
    await here.record_job_enqueue("j", "W")
    await here.record_job_start("j", "robot-1")
    await both(lambda each: (robot := each.get_robot_metrics("robot-1")) and robot.current_job_id == "j", here)


async def test_a_step_runs_as_long_as_its_block_and_fails_with_it(here: RPAMetricsCollector) -> None:
    await here.record_job_enqueue("j", "W")
    await here.record_job_start("j")
    async with here.track_node_execution("ClickNode", "click", job_id="j"):
        running = await here.get_node_metrics("ClickNode")
        assert running is not None
        assert (running.running, running.completed) == (1, 0)
    with pytest.raises(RuntimeError, match="no such button"):
        async with here.track_node_execution("ClickNode", "click again", job_id="j"):
            raise RuntimeError("no such button")
    with pytest.raises(asyncio.CancelledError):
        async with here.track_node_execution("WaitNode", "wait", job_id="j"):
            raise asyncio.CancelledError
    steps = await here.get_all_node_metrics()
    assert (steps["ClickNode"].completed, steps["ClickNode"].failed, steps["ClickNode"].running) == (1, 1, 0)
    assert steps["WaitNode"].running == 0
    assert await here.get_node_metrics("NoNode") is None


async def test_healing_is_told_by_its_tier(here: RPAMetricsCollector, there: RPAMetricsCollector) -> None:
    await here.record_job_enqueue("j", "W")
    await here.record_healing_attempt("#pay", "anchor", True, job_id="j", node_id="click")
    await here.record_healing_attempt("#pay", "anchor", False, job_id="j")
    await here.record_healing_attempt("#pay", "vision", True, job_id="j")
    stats = await there.get_healing_stats()
    assert [(tier.tier, tier.attempts, tier.successes) for tier in stats] == [("anchor", 2, 1), ("vision", 1, 1)]
    refused = await here.record_healing_attempt("#pay", "anchor", True, job_id="nobody")
    assert refused.refused[0].code is RefusalCode.UNKNOWN_JOB


async def test_what_cannot_be_is_refused_logged_and_not_counted(
    here: RPAMetricsCollector, caplog: pytest.LogCaptureFixture
) -> None:
    await here.record_job_complete("j", success=True)
    reported = await here.record_job_start("j")
    assert reported.refused[0].code is RefusalCode.ILLEGAL_TRANSITION
    assert "it cannot become claimed" in caplog.text
    await both(lambda each: each.get_job_metrics().today.total == 1, here)
    assert not here.get_active_jobs()


async def test_a_depth_that_somebody_reports_outweighs_what_is_counted(here: RPAMetricsCollector) -> None:
    await here.record_job_enqueue("j", "W")
    await both(lambda each: each.get_queue_depth() == 1, here)
    await broadcast_queue_metrics(depth=42)
    await both(lambda each: each.get_queue_depth() == 42, here)
    assert here.get_queue_depth("production") == 0
