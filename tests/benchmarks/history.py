"""The page of thirty days, whatever the history: `python -m tests.benchmarks.history --jobs 100000,1000000`.

Each history is seeded once a day and kept. The page is one GraphQL operation over HTTP, asked of each history in turns,
so that the machine's moods meet them all; beside it the same is asked of the jobs in straight SQL, and compared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import asyncpg
import httpx
import psutil
import typer
from rich.console import Console
from rich.table import Table

from datasources.seed import SeedProgress
from datasources.settings import Settings
from tests.benchmarks.dataset import prepared
from tests.benchmarks.measuring import Disagreement
from tests.benchmarks.processes import Server, postgres, servers

PAGE = """{ analytics(window: {last: "P30D"}) {
  totalJobs successRate failureRate averageDurationMs standardDeviationMs
  p50DurationMs p75DurationMs p90DurationMs p95DurationMs p99DurationMs relativeError
  slowestWorkflows { workflowId workflowName averageDurationMs runs }
  errorDistribution { errorType count }
  selfHealingSuccessRate
  timeSeries(measures: [TOTAL_JOBS, FAILED_JOBS, P95_DURATION_MS], step: DAY) { points { start value } }
  distribution(bins: 20) { fromMs toMs count }
} }"""
_STRAIGHT = [text.strip() for text in (Path(__file__).parent / "baselines/history.sql").read_text().split(";\n\n")]
_WARM_UP = 5  # pages
_LONGEST = 600.0  # seconds that straight SQL may take

out = Console(highlight=False)


@dataclass
class History:
    """A history, the server that answers from it, and what the page of it took, in milliseconds."""

    jobs: int
    dsn: str
    server: Server
    client: httpx.Client
    backends: list[psutil.Process]
    taken: list[float] = field(default_factory=list)
    cpu: float = 0.0
    page: dict[str, Any] = field(default_factory=dict)

    def ask(self) -> None:
        """Ask for the page, and note what it took, in processor time of the server and of its database too."""
        used = self._cpu()
        started = time.perf_counter()
        body = self.client.post("/graphql", json={"query": PAGE}).json()
        self.taken.append(1000 * (time.perf_counter() - started))
        self.cpu += 1000 * (self._cpu() - used)
        if "errors" in body:
            raise Disagreement(str(body["errors"]))
        self.page = body["data"]["analytics"]

    def forget(self) -> None:
        """Begin to measure."""
        self.taken, self.cpu = [], 0.0

    def _cpu(self) -> float:
        times = [backend.cpu_times() for backend in self.backends]
        return self.server.cpu_seconds() + sum(time.user + time.system for time in times)


@contextmanager
def histories(server: str, sizes: list[int], show: Callable[[SeedProgress], None]) -> Iterator[list[History]]:
    """Histories of these sizes, each with a server that is warm."""
    with ExitStack() as stack:
        found = []
        for jobs in sizes:
            dsn = asyncio.run(prepared(server, jobs, show))
            ours = stack.enter_context(servers(("executed",), dsn, frozenset()))["executed"]
            client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{ours.port}", timeout=60))
            found.append(History(jobs, dsn, ours, client, []))
        for history in found:
            for _ in range(_WARM_UP):
                history.ask()
            history.backends = asyncio.run(backends(history.dsn))
            history.forget()
        yield found


async def backends(dsn: str) -> list[psutil.Process]:
    """The database's processes that work for its clients."""
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        rows = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        return [psutil.Process(row["pid"]) for row in rows]
    finally:
        await connection.close(timeout=5)


async def straight(dsn: str, since: datetime) -> tuple[float, asyncpg.Record]:
    """How long straight SQL takes for the same, in milliseconds, and its first row."""
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=_LONGEST, server_settings={"jit": "off"})
    try:
        started = time.perf_counter()
        answers = [await connection.fetch(statement, since) for statement in _STRAIGHT]
        return 1000 * (time.perf_counter() - started), answers[0][0]
    finally:
        await connection.close(timeout=5)


def agree(page: dict[str, Any], row: asyncpg.Record) -> None:
    """Raise Disagreement where the page is further from the truth than it says."""
    told = [page[f"p{percent}DurationMs"] for percent in (50, 75, 90, 95, 99)]
    off = max(abs(near - true) / true for near, true in zip(told, row[5], strict=True))
    if page["totalJobs"] != row[0] or off > page["relativeError"] or abs(page["averageDurationMs"] / row[3] - 1) > 1e-9:
        raise Disagreement(f"{page['totalJobs']} jobs against {row[0]}, percentiles off by {off:.2%}")


def history(
    jobs: Annotated[str, typer.Option(help="How many jobs, with commas between.")] = "100000,1000000",
    rounds: Annotated[int, typer.Option(help="How often the page is asked for.", min=1)] = 30,
) -> None:
    """Measure the page of thirty days over histories of several sizes, in one run."""
    table = Table("jobs", "page, ms", "CPU, ms", "straight SQL, ms", "times faster", title="The page of thirty days")

    def show(at: SeedProgress) -> None:
        if at.done == at.total:
            out.print(f"seeded {at.stage}")

    sizes = [int(number) for number in jobs.split(",")]
    with postgres(Settings().data_dir / "bench") as server, histories(server, sizes, show) as found:
        for _ in range(rounds):
            for history in found:
                history.ask()
        for history in found:
            since = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=30)
            slow, row = asyncio.run(straight(history.dsn, since))
            agree(history.page, row)
            page = median(history.taken)
            table.add_row(
                f"{history.jobs:,}", f"{page:.1f}", f"{history.cpu / rounds:.1f}", f"{slow:,.0f}", f"{slow / page:,.0f}"
            )
    out.print(table)


if __name__ == "__main__":
    typer.run(history)
