"""Lists and jobs, whatever the history: `python -m tests.benchmarks.growth --jobs 100000,10000000`.

The questions Q2 and Q3, and the 1st, the 100th and the 10,000th page of jobs by their cursors, are asked of each
history in turns, one request at a time. Each history is seeded once a day and kept: ten million jobs take about 20 GB,
and go with the directory `bench` under CASARE_DATA_DIR.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Annotated

import asyncpg
import httpx
import orjson
import psutil
import typer
from rich.console import Console
from rich.table import Table

from datasources.seed import SeedProgress
from datasources.settings import Settings
from tests.benchmarks.dataset import prepared
from tests.benchmarks.history import backends
from tests.benchmarks.load import Work
from tests.benchmarks.loading import bundled
from tests.benchmarks.measuring import Disagreement
from tests.benchmarks.processes import Server, postgres, servers
from tests.benchmarks.questions import Request, questions

_PAGES = (1, 100, 10_000)
_FIRST = 10  # jobs of a page, so that 100,000 jobs have 10,000 pages
_PAGE = """query ($first: Int!, $after: String) { jobs(first: $first, after: $after) {
  nodes { jobId workflowName status createdAt durationMs robot { robotId hostname } }
  pageInfo { endCursor hasNextPage }
} }"""
_LAST_BEFORE = "SELECT created_at, job_id FROM monitor.jobs ORDER BY created_at DESC, job_id DESC OFFSET $1 LIMIT 1"
_WARM_UP_SECONDS = 0.5

out = Console(highlight=False)


@dataclass
class Place:
    """A history with the server that answers from it, what is asked, and what each took: ms, and ms of processors."""

    jobs: int
    dsn: str
    server: Server
    asked: dict[str, Request]
    backends: list[psutil.Process] = field(default_factory=list)
    taken: dict[str, list[float]] = field(default_factory=dict)
    worked: dict[str, list[float]] = field(default_factory=dict)

    def ask(self, name: str, seconds: float) -> None:
        """Ask one thing again and again for so long, and note what it took."""
        used = self._cpu()
        came = bundled(Work(self.asked[name], self.server.port, 1, seconds))
        if came.refused:
            raise Disagreement(f"{name} was refused")
        self.taken.setdefault(name, []).append(came.p50_ms)
        self.worked.setdefault(name, []).append(1000 * (self._cpu() - used) / came.served)

    def warm_up(self) -> None:
        """Ask everything once, and find out who works for it."""
        for name in self.asked:
            self.ask(name, _WARM_UP_SECONDS)
        self.backends = asyncio.run(backends(self.dsn))
        self.taken, self.worked = {}, {}

    def _cpu(self) -> float:
        times = [backend.cpu_times() for backend in self.backends]
        return self.server.cpu_seconds() + sum(time.user + time.system for time in times)


@contextmanager
def places(server: str, sizes: list[int], show: Callable[[SeedProgress], None]) -> Iterator[list[Place]]:
    """Histories of these sizes, each with a server that is warm."""
    with ExitStack() as stack:
        found = []
        for jobs in sizes:
            dsn = asyncio.run(prepared(server, jobs, show))
            ours = stack.enter_context(servers(("executed",), dsn, frozenset()))["executed"]
            known = asyncio.run(questions(dsn))
            asked = {f"{name.upper()} {known[name].title}": known[name].request(graphql=True) for name in ("q2", "q3")}
            found.append(Place(jobs, dsn, ours, asked | _pages(dsn, ours.port)))
        for place in found:
            place.warm_up()
        yield found


def _pages(dsn: str, port: int) -> dict[str, Request]:
    """Each page, asked for by the cursor of the job before it."""
    first = _answer(port, None)["pageInfo"]["endCursor"]
    pages = {"page 1": _request(None)}
    for page in _PAGES[1:]:
        created_at, job_id = asyncio.run(_row(dsn, (page - 1) * _FIRST - 1))
        list_name, _, _ = orjson.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
        place = orjson.dumps([list_name, created_at.isoformat(), job_id])
        cursor = base64.urlsafe_b64encode(place).decode().rstrip("=")
        if len(_answer(port, cursor)["nodes"]) < _FIRST:
            raise Disagreement(f"there is no page {page:,}")
        pages[f"page {page:,}"] = _request(cursor)
    return pages


def _request(cursor: str | None) -> Request:
    asked = {"query": _PAGE, "variables": {"first": _FIRST, "after": cursor}}
    return Request("POST", "/graphql", orjson.dumps(asked).decode())


def _answer(port: int, cursor: str | None) -> dict[str, dict[str, str]]:
    response = httpx.post(
        f"http://127.0.0.1:{port}/graphql", content=_request(cursor).body, headers={"Content-Type": "application/json"}
    )
    body = response.json()
    if "errors" in body:
        raise Disagreement(str(body["errors"]))
    answer: dict[str, dict[str, str]] = body["data"]["jobs"]
    return answer


async def _row(dsn: str, offset: int) -> asyncpg.Record:
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=300)
    try:
        [row] = await connection.fetch(_LAST_BEFORE, offset)
        return row
    finally:
        await connection.close(timeout=5)


def growth(
    jobs: Annotated[str, typer.Option(help="How many jobs, with commas between.")] = "100000,10000000",
    rounds: Annotated[int, typer.Option(help="How often each is measured.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="How long each time.", min=0.05)] = 1.0,
) -> None:
    """Measure the same questions over histories of several sizes, in one run."""
    table = Table("asked", "jobs", "p50 ms", "CPU ms", "x the smallest", title="Whatever the history")

    def show(at: SeedProgress) -> None:
        if at.done == at.total:
            out.print(f"seeded {at.stage}")

    sizes = sorted(int(number) for number in jobs.split(","))
    with postgres(Settings().data_dir / "bench") as server, places(server, sizes, show) as found:
        for _ in range(rounds):
            for name in found[0].asked:
                for place in found:
                    place.ask(name, seconds)
        for name in found[0].asked:
            for place in found:
                least = zip(place.worked[name], found[0].worked[name], strict=True)
                times = median(cost / smallest for cost, smallest in least)
                p50, worked = median(place.taken[name]), median(place.worked[name])
                table.add_row(name, f"{place.jobs:,}", f"{p50:.2f}", f"{worked:.2f}", f"{times:.2f}")
    out.print(table)


if __name__ == "__main__":
    typer.run(growth)
