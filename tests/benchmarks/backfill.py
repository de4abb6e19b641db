"""A backfill that is folded while questions are asked: `python -m tests.benchmarks.backfill --jobs 1000000`.

All days of a seeded history are taken to be not folded, as after a migration, and a folder begins. Meanwhile the same
questions are asked again and again: the answers have to be those of the jobs, before, during and after.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Annotated

import asyncpg
import typer
from rich.console import Console

from datasources.analytics import MetricsAggregator
from datasources.measures import Errors, SlowWorkflow, Totals
from datasources.postgres import Database
from datasources.seed import SeedProgress
from datasources.settings import Settings
from datasources.windows import AnalyticsScope, Step
from subscriptions.folder import Folder
from tests.benchmarks.dataset import prepared
from tests.benchmarks.measuring import Disagreement
from tests.benchmarks.processes import postgres

_GAPS = """
INSERT INTO monitor.rollup_gaps (source, day)
SELECT DISTINCT source, date_trunc('day', created_at, 'UTC') FROM monitor.jobs"""

out = Console(highlight=False)


@dataclass
class Asked:
    """What was answered at first, and how long each answer took, in milliseconds."""

    first: tuple[Totals, list[SlowWorkflow], Errors] | None = None
    taken: list[float] = field(default_factory=list)

    async def ask(self, aggregator: MetricsAggregator, scope: AnalyticsScope) -> None:
        """Ask; raises Disagreement where the answer has changed."""
        started = time.perf_counter()
        [totals], [slowest], [errors] = await asyncio.gather(
            aggregator.totals([scope]), aggregator.slowest([scope]), aggregator.errors([scope])
        )
        self.taken.append(1000 * (time.perf_counter() - started))
        if self.first is None:
            self.first = totals, slowest, errors
        first, workflows, _ = self.first
        counts = (totals.completed, totals.failed, totals.cancelled, totals.runs, totals.shortest, totals.longest)
        if counts != (first.completed, first.failed, first.cancelled, first.runs, first.shortest, first.longest):
            raise Disagreement(f"{totals} while folding, and {first} before")
        if [(one.workflow_id, one.runs) for one in slowest] != [(one.workflow_id, one.runs) for one in workflows]:
            raise Disagreement(f"{slowest} while folding, and {workflows} before")
        if errors != self.first[2]:
            raise Disagreement(f"{errors} while folding, and {self.first[2]} before")


async def run(dsn: str, jobs: int) -> None:
    """Fold all of it while questions are asked."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=300)
    try:
        await connection.execute(_GAPS)
    finally:
        await connection.close(timeout=5)
    database = Database(dsn, Settings(statement_timeout_seconds=60))
    await database.open()
    try:
        now = datetime.now(UTC)
        scope = AnalyticsScope(Step.HOUR.floor(now - timedelta(days=30)), now)
        aggregator, asked, folder = MetricsAggregator(database, now), Asked(), Folder(database)
        await asked.ask(aggregator, scope)
        started = time.perf_counter()
        folding = asyncio.create_task(folder.fold())
        while not folding.done():
            await asked.ask(aggregator, scope)
        await folding
        seconds = time.perf_counter() - started
        during = len(asked.taken) - 1
        await asked.ask(aggregator, scope)
    finally:
        await database.close()
    out.print(
        f"{folder.days} days, {jobs:,} jobs folded in {seconds:.1f} s ({jobs / seconds:,.0f} jobs/s); {during} times "
        f"the same answer meanwhile, in {median(asked.taken[:-1]):,.0f} ms, and in {asked.taken[-1]:,.0f} ms afterwards"
    )


def backfill(jobs: Annotated[int, typer.Option(help="How many jobs.")] = 1_000_000) -> None:
    """Fold a backfill while questions are asked."""

    def show(at: SeedProgress) -> None:
        if at.done == at.total:
            out.print(f"seeded {at.stage}")

    with postgres(Settings().data_dir / "bench") as server:
        asyncio.run(run(asyncio.run(prepared(server, jobs, show)), jobs))


if __name__ == "__main__":
    typer.run(backfill)
