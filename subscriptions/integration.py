"""For processes that hold no table of ours: say what has changed, or hear it, with the documents' names and arguments.

What is said goes the way of everything else: a job's or robot's status becomes a row, its transition stands in the
ledger, and every subscriber hears of it. A job that nobody has told of belongs to the workflow `unknown`, a robot runs
on the host `unknown`, until somebody who knows tells. What is refused, such as a completed job that is pending again,
is logged, kept with the other refusals and returned; it raises nothing, since whoever says in passing what has happened
has other things to do. That the database cannot be reached is raised.

Settings come from the environment. The documents call plain functions, so their pools are kept here, one for each event
loop; `close_broadcasts` ends the running loop's.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Literal, Self, assert_never, get_args
from weakref import WeakKeyDictionary

from pydantic import SecretStr

from datasources.embedded import running_dsn
from datasources.jobs import jobs_by_id
from datasources.postgres import Database, UpstreamError, UpstreamUnavailable
from datasources.reports.heartbeats import Heartbeat, report_heartbeats
from datasources.reports.jobs import JobReport, report_job
from datasources.reports.queue import QueueReport, report_queue
from datasources.reports.refusals import Reported
from datasources.reports.robots import Registration, register_robot
from datasources.robots import robots_by_id
from datasources.settings import Settings
from datasources.statuses import JobStatus, RobotStatus
from subscriptions.collector import RPAMetricsCollector
from subscriptions.collector.recorder import UNKNOWN, heeded
from subscriptions.follower import Follower, Missed, Trail
from subscriptions.live import Live

_log = logging.getLogger(__name__)

_OTHER_WORDS = {"running": JobStatus.CLAIMED}  # CasareRPA's own queue says it so
_HANDLER_SECONDS = 10.0  # what a handler may take for one event
_PATIENCE = 1.0  # seconds between two tries to read

Event = Literal["job.status_changed", "robot.heartbeat", "queue.depth_changed"]
Handler = Callable[[dict[str, Any]], Awaitable[Any] | None]

_databases: WeakKeyDictionary[asyncio.AbstractEventLoop, Database] = WeakKeyDictionary()


async def broadcast_job_update(job_id: str, status: str) -> Reported:
    """A job's status has changed: `pending`, `claimed` (or `running`), `completed`, `failed` or `cancelled`."""
    word = _OTHER_WORDS.get(status) or JobStatus(status)
    database, now = await _database(), datetime.now(UTC)
    known = (await jobs_by_id(database, [job_id])).get(job_id)
    workflow_id = UNKNOWN if known is None else known.workflow_id
    report = JobReport(job_id=job_id, workflow_id=workflow_id, status=word, raw_status=status)
    return heeded(await report_job(database, report, now))


async def broadcast_robot_status(robot_id: str, status: str, cpu_percent: float, memory_mb: float) -> Reported:
    """A robot gives a sign of life: `idle`, `busy`, `offline` or `failed`, its CPU in percent, its memory in MB."""
    word = RobotStatus(status)
    settings = Settings()
    database, now = await _database(), datetime.now(UTC)
    if not await robots_by_id(database, [robot_id], settings.offline_after_seconds):
        registered = await register_robot(database, Registration(robot_id, hostname=UNKNOWN), now)
        if registered.refused:
            return heeded(registered)
    heartbeat = Heartbeat(robot_id, word, now, cpu_percent=cpu_percent, memory_mb=memory_mb)
    return heeded(await report_heartbeats(database, [heartbeat], now))


async def broadcast_queue_metrics(depth: int) -> Reported:
    """So many jobs wait."""
    now = datetime.now(UTC)
    return heeded(await report_queue(await _database(), QueueReport(depth, now), now))


async def close_broadcasts() -> None:
    """Give back the connections of this event loop's broadcasts; the next one makes new ones."""
    database = _databases.pop(asyncio.get_running_loop(), None)
    if database is not None:
        await database.close()


async def _database() -> Database:
    loop = asyncio.get_running_loop()
    if (kept := _databases.get(loop)) is not None:
        return kept
    opened, _ = await _opened(Settings())
    kept = _databases.setdefault(loop, opened)
    if kept is not opened:
        await opened.close()
    return kept


async def _opened(settings: Settings) -> tuple[Database, str]:
    dsn = settings.dsn() or running_dsn(settings.data_dir)
    if dsn is None:
        raise UpstreamUnavailable("no DATABASE_URL, and no embedded Postgres runs")
    database = Database(dsn, settings.model_copy(update={"pool_size": min(settings.pool_size, 3)}))
    await database.open()
    return database, dsn


@asynccontextmanager
async def metrics_collector(settings: Settings | None = None) -> AsyncIterator[RPAMetricsCollector]:
    """The live fleet for as long as the block lasts, kept in this process, and the way to record what happens in it."""
    # As a listener of its own it is no candidate for following the ledger for all workers.
    settings = (settings or Settings()).model_copy(update={"bus": SecretStr("memory://")})
    database, dsn = await _opened(settings)
    live = Live(database, dsn, settings)
    try:
        await live.start()
        await live.collector.begun()
        yield live.collector
    finally:
        await live.stop()
        await database.close()


class EventBus:
    """Calls handlers with what changes, as the documents' JSON, between `async with` and its end.

    Of jobs every transition, in the order of the ledger; of robots and the queue first what is, then the newest that
    differs. Each handler goes at its own pace, one event at a time: one that raises, or takes longer than ten seconds,
    is logged and hears the next event. Nothing is queued: who falls behind reads the ledger.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        # A listener of its own follows the ledger by itself: it is no candidate for following it for all workers.
        self._settings = (settings or Settings()).model_copy(update={"bus": SecretStr("memory://")})
        self._subscriptions: list[tuple[Event, Handler]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._database: Database | None = None
        self._live: Live | None = None
        self._listening: tuple[Live, Follower] | None = None
        self.failures = 0

    def subscribe(self, event: Event, handler: Handler) -> None:
        """Call the handler, plain or async, with each event of that name; before `async with` or within it."""
        if event not in get_args(Event):
            raise ValueError(f"{event!r} is none of {', '.join(get_args(Event))}")
        self._subscriptions.append((event, handler))
        if self._listening is not None:
            self._begin(*self._listening, event, handler)

    async def __aenter__(self) -> Self:
        self._database, dsn = await _opened(self._settings)
        self._live = Live(self._database, dsn, self._settings, collecting=False)
        await self._live.start()
        try:
            self._listening = self._live, await self._live.follower()
        except BaseException:
            await self.aclose()
            raise
        for event, handler in self._subscriptions:
            self._begin(*self._listening, event, handler)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Call nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._listening = None
        if self._live is not None:
            await self._live.stop()
        if self._database is not None:
            await self._database.close()

    def _begin(self, live: Live, follower: Follower, event: Event, handler: Handler) -> None:
        news: Callable[[], AsyncGenerator[dict[str, Any], None]]
        match event:
            case "job.status_changed":
                news = partial(_jobs, follower.trail())
            case "robot.heartbeat":
                news = partial(_robots, live)
            case "queue.depth_changed":
                news = partial(_queue, live)
            case _:
                assert_never(event)
        self._tasks.append(asyncio.create_task(self._serve(event, news, handler), name=f"handler of {event}"))

    async def _serve(
        self, event: Event, news: Callable[[], AsyncGenerator[dict[str, Any], None]], handler: Handler
    ) -> None:
        while True:
            try:
                async with aclosing(news()) as messages:
                    async for message in messages:
                        await self._call(event, handler, message)
            except UpstreamError as error:
                _log.warning("%s cannot be followed: %s", event, error)
                await asyncio.sleep(_PATIENCE)

    async def _call(self, event: Event, handler: Handler, message: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(_HANDLER_SECONDS):
                handling = handler(message)
                if inspect.isawaitable(handling):
                    await handling
        except Exception:  # noqa: BLE001  # whatever a handler does, the next event is told
            self.failures += 1
            _log.exception("a handler of %s failed", event)


async def _jobs(trail: Trail) -> AsyncGenerator[dict[str, Any], None]:
    async for item in trail:
        if isinstance(item, Missed):
            _log.warning("events of jobs are gone: %s", item.reason)
        elif item.event.kind == "job":
            yield {"job_id": item.event.job_id, "status": item.event.status, "timestamp": _moment(item.event.at)}


async def _robots(live: Live) -> AsyncGenerator[dict[str, Any], None]:
    told: dict[str, datetime] = {}
    version = 0
    async with live.everything.robots.watching():
        while True:
            changed, version = live.everything.robots.since(version), live.everything.robots.version
            for robot_id, robot in changed:
                if robot.last_heartbeat is not None and told.get(robot_id) != robot.last_heartbeat:
                    told[robot_id] = robot.last_heartbeat
                    yield {
                        "robot_id": robot_id,
                        "status": robot.status.value,
                        "cpu_percent": robot.cpu_percent,
                        "memory_mb": robot.memory_mb,
                        "timestamp": _moment(robot.last_heartbeat),
                    }
            await live.everything.robots.changed(version)


async def _queue(live: Live) -> AsyncGenerator[dict[str, Any], None]:
    told: int | None = None
    async with live.everything.queue.watching():
        while True:
            version = live.everything.queue.version
            depth = sum(queue.pending for _, queue in live.everything.queue.since(0))
            if depth != told:
                told = depth
                yield {"depth": depth, "timestamp": _moment(datetime.now(UTC))}
            await live.everything.queue.changed(version)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
