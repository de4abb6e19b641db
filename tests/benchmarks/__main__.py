"""The command behind `make bench`."""

from __future__ import annotations

import asyncio
import os
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from datasources.migrate import MigrationError
from datasources.settings import Settings
from tests.benchmarks import cores, loading
from tests.benchmarks.dataset import prepared
from tests.benchmarks.fanout import Idle, Scale, Told, fan_out
from tests.benchmarks.loading import LoadFailed
from tests.benchmarks.measuring import Disagreement, Measurement, Plan, measure
from tests.benchmarks.moving_report import starting, telling
from tests.benchmarks.processes import SERVERS, ProcessDied, postgres, servers
from tests.benchmarks.questions import NAMES, Question, questions
from tests.benchmarks.report import document, results, tables
from tests.benchmarks.starting import Start, starts

_HELP = """Measure the server against stock Strawberry, a plain REST service and the floor.

`questions`: each a page of a dashboard: q1 fleet summary, q2 newest 50 jobs with robot, q3 one job with 20 node
executions, q4 100 robots with current job. `fanout`: one event told to many sockets, of one document and of 100.
`start`: until the server is well, and its memory at rest. docs/performance.md says what the columns mean. What history
costs is measured by `python -m tests.benchmarks.history` and `python -m tests.benchmarks.growth`.
"""
_EXAMPLES = """Examples: `make bench` ·
`make bench ARGS="--questions q2 --servers ours,floor --rounds 3"` ·
`make bench ARGS="--parts fanout,start"` ·
`python -m tests.benchmarks --jobs 1000000 --json bench.json`"""

PARTS = ("questions", "fanout", "start")

out = Console(highlight=False)


def _choice(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    unknown = [part for part in chosen if part not in known]
    if unknown or not chosen:
        raise typer.BadParameter(f"{', '.join(unknown) or 'nothing'} is not among {', '.join(known)}")
    return chosen


def bench(
    parts: Annotated[str, typer.Option(help="What to measure, with commas between.")] = ",".join(PARTS),
    asked: Annotated[str, typer.Option("--questions", help="Which, with commas between.")] = ",".join(NAMES),
    names: Annotated[str, typer.Option("--servers", help="Which, with commas between.")] = ",".join(SERVERS),
    rounds: Annotated[int, typer.Option(help="How often each is measured.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="How long each time.", min=0.05)] = 2.0,
    connections: Annotated[int, typer.Option(help="Clients that ask at once.", min=1, max=1000)] = 16,
    jobs: Annotated[int, typer.Option(help="Jobs in the database.", min=1000)] = 100_000,
    sockets: Annotated[int, typer.Option(help="Sockets that are told each event.", min=100, max=5000)] = 1000,
    events: Annotated[
        float | None, typer.Option(help="A second, to measure delays; else half of a limit.", min=0.5)
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write everything measured to this file, too.")] = None,
) -> None:
    wanted, served, chosen_parts = _choice(asked, NAMES), _choice(names, SERVERS), _choice(parts, PARTS)
    plan, scale = Plan(rounds, seconds, connections), Scale(rounds, seconds, sockets, events)
    data_dir = Settings().data_dir / "bench"
    tool, load = loading.found()
    measurements: list[Measurement] = []
    told: list[Told | Idle] = []
    started: list[Start] = []
    chosen: list[Question] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ExitStack() as stack:
        server_cores = stack.enter_context(cores.apart())
        with out.status("starting Postgres"):
            server = stack.enter_context(postgres(data_dir))
        bar = stack.enter_context(Progress(*columns, console=out, transient=True))
        task = bar.add_task("measuring", total=0)

        def expect(steps: int) -> None:
            bar.update(task, total=(bar.tasks[task].total or 0) + steps)

        def step(at: str) -> None:
            bar.update(task, description=at, advance=1)

        dsn = asyncio.run(prepared(server, jobs, lambda at: bar.update(task, description=f"seeding {at.stage}")))
        if "questions" in chosen_parts:
            known = asyncio.run(questions(dsn))
            chosen = [known[name] for name in wanted]
            expect(plan.steps(len(chosen), len(served)))
            with servers(served, dsn, server_cores) as running:
                measurements.extend(measure(chosen, list(running.values()), plan, load, step))
        if "fanout" in chosen_parts:
            expect(scale.steps)
            told.extend(fan_out(server, server_cores, scale, step))
        if "start" in chosen_parts:
            expect(rounds + 1)
            started.extend(starts(dsn, server_cores, rounds, step))
    shown = [*tables(results(measurements), chosen)]
    shown += telling(told, sockets) if told else []
    shown += [starting(started)] if started else []
    for table in shown:
        out.print(table)
    pinned = f"server on core {min(server_cores)}, the rest on the others" if server_cores else "not pinned"
    out.print(
        f"median (min-max) of {rounds} rounds of {seconds:g} s, {connections} connections, {jobs:,} jobs; "
        f"load by {tool}; {os.cpu_count()} cores, {pinned}"
    )
    if json is not None:
        run = document(measurements, plan, jobs, tool, server_cores)
        run |= {"told": [asdict(each) for each in told], "starts": [asdict(each) for each in started]}
        json.write_bytes(orjson.dumps(run, option=orjson.OPT_INDENT_2))
        out.print(f"written to {json}", markup=False)


def main() -> None:
    app = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
    app.command(help=_HELP, epilog=_EXAMPLES)(bench)
    try:
        app()
    except (ProcessDied, Disagreement, LoadFailed, MigrationError) as error:
        out.print(f"[bold red]error:[/] {type(error).__name__}: ", end="")
        out.print(str(error), markup=False)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
