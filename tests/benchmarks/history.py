"""The page of thirty days, whatever the history: `python -m tests.benchmarks.history --jobs 100000,1000000`.

Each history is seeded once a day and kept. The page is one GraphQL operation over HTTP; beside it the same answers are
asked of the jobs in straight SQL, and compared.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import asyncpg
import httpx
import typer
from rich.console import Console
from rich.table import Table

from datasources.seed import SeedProgress
from datasources.settings import Settings
from tests.benchmarks.dataset import prepared
from tests.benchmarks.measuring import Disagreement
from tests.benchmarks.processes import postgres, servers

PAGE = """{ analytics(window: {last: "P30D"}) {
  totalJobs successRate failureRate averageDurationMs standardDeviationMs
  p50DurationMs p75DurationMs p90DurationMs p95DurationMs p99DurationMs relativeError
  slowestWorkflows { workflowId workflowName averageDurationMs runs }
  errorDistribution { errorType count }
  selfHealingSuccessRate
  timeSeries(measures: [TOTAL_JOBS, FAILED_JOBS, P95_DURATION_MS], step: DAY) { points { start value } }
} }"""
_STRAIGHT = [text.strip() for text in (Path(__file__).parent / "baselines/history.sql").read_text().split(";\n\n")]
_LONGEST = 600.0  # seconds that straight SQL may take

out = Console(highlight=False)


def ask(client: httpx.Client) -> tuple[float, dict[str, Any]]:
    """How long the page took, in milliseconds, and its answer."""
    started = time.perf_counter()
    reply = client.post("/graphql", json={"query": PAGE})
    taken = 1000 * (time.perf_counter() - started)
    body = reply.json()
    if "errors" in body:
        raise Disagreement(str(body["errors"]))
    return taken, body["data"]["analytics"]


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
    table = Table("jobs", "page, ms", "straight SQL, ms", "times faster", title="The page of thirty days")

    def show(at: SeedProgress) -> None:
        if at.done == at.total:
            out.print(f"seeded {at.stage}")

    with postgres(Settings().data_dir / "bench") as server:
        for count in (int(number) for number in jobs.split(",")):
            dsn = asyncio.run(prepared(server, count, show))
            since = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=30)
            with (
                servers(("ours",), dsn, frozenset()) as running,
                httpx.Client(base_url=f"http://127.0.0.1:{running['ours'].port}", timeout=60) as client,
            ):
                for _ in range(3):
                    ask(client)
                measured = [ask(client) for _ in range(rounds)]
            page = median(taken for taken, _ in measured)
            slow, row = asyncio.run(straight(dsn, since))
            agree(measured[-1][1], row)
            table.add_row(f"{count:,}", f"{page:.1f}", f"{slow:,.0f}", f"{slow / page:,.0f}")
            out.print(f"{count:,} jobs: {page:.1f} ms, straight SQL {slow:,.0f} ms")
    out.print(table)


if __name__ == "__main__":
    typer.run(history)
