"""The command `casare-monitor`."""

from __future__ import annotations

import asyncio
import difflib
import os
import signal
from importlib.metadata import version as installed_version
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from datasources.migrate import uninstall
from datasources.seed import AlreadySeeded, SeedingElsewhere, SeedProgress
from datasources.seed import seed as seed_past
from datasources.settings import Settings
from datasources.sources import attach as attach_source
from datasources.sources import detach as detach_source
from datasources.sources import names
from graph.commands.access import keys, token
from graph.commands.administration import told
from graph.commands.audited import audit
from graph.commands.console import FAILED, explained, fail, load_settings, out, place, settings_table
from graph.commands.serving import database, migrated
from graph.commands.serving import serve as serve_app
from graph.commands.trusting import documents
from graph.schema import sdl

_EXITS = "Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 database unavailable."

cli = typer.Typer(
    name="casare-monitor",
    help="One GraphQL API that answers every question about a fleet of RPA robots.\n\n"
    "Settings are environment variables; `casare-monitor config` lists them with their values.",
    epilog=_EXITS,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

Host = Annotated[str | None, typer.Option(help="Address to listen on.  [default: 127.0.0.1]", show_default=False)]
Port = Annotated[int | None, typer.Option(help="Port to listen on.  [default: 8000]", min=0, max=65535)]
Workers = Annotated[int | None, typer.Option(help="Server processes.  [default: 1]", min=1, max=64)]


def _known(source: str) -> str:
    if source not in names():
        raise typer.BadParameter(f"there is no source {source!r}; choose one of: {', '.join(names())}.")
    return source


Source = Annotated[
    str, typer.Argument(help=f"One of: {', '.join(names())}.", metavar="SOURCE", callback=_known, show_default=False)
]


def _version(asked: bool) -> None:
    if asked:
        out.print(f"casare-monitor {installed_version('casare-monitor')}")
        raise typer.Exit


@cli.callback()
def _root(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    return


def _settings(host: str | None = None, port: int | None = None, workers: int | None = None) -> Settings:
    """The settings, where options outweigh the environment: also in the processes that are started from here."""
    for name, value in (("CASARE_HOST", host), ("CASARE_PORT", port), ("CASARE_WORKERS", workers)):
        if value is not None:
            os.environ[name] = str(value)
    return load_settings()


@cli.command(epilog="Example: `casare-monitor serve --port 9000 --workers 2`")
def serve(host: Host = None, port: Port = None, workers: Workers = None) -> None:
    """Serve the graph, on the configured database or an embedded one."""
    with explained():
        serve_app(_settings(host, port, workers))


@cli.command(epilog="Example: `casare-monitor demo --robots 6`")
def demo(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    robots: Annotated[int, typer.Option(help="Robots that work.", min=1, max=50)] = 4,
    rate: Annotated[float, typer.Option(help="How much work arrives; 1 keeps the robots busy.", min=0.01)] = 1.0,
) -> None:
    """Serve the graph beside a fleet of real robots that do real work."""
    with explained():
        serve_app(_settings(host, port, workers), demo_robots=robots, demo_rate=rate)


@cli.command(epilog="Example: `DATABASE_URL=postgresql://me@db/rpa casare-monitor migrate`")
def migrate(
    remove: Annotated[bool, typer.Option("--remove", help="Take everything of ours out of the database.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")] = False,
) -> None:
    """Bring the database up to date, or take the schema `monitor` out of it again."""
    with explained(), database(load_settings()) as dsn:
        if not remove:
            applied = migrated(dsn)
            if applied:
                told(dsn, "MIGRATED", f"to {applied[-1]}")
            for name in applied:
                out.print(f"applied {name}")
            out.print(f"{place(dsn)} is up to date", markup=False)
            return
        if not yes:
            typer.confirm(f"Remove the schema `monitor` and all it holds from {place(dsn)}?", abort=True)
        asyncio.run(uninstall(dsn))
        out.print(f"nothing of ours is left in {place(dsn)}", markup=False)


@cli.command(epilog="Example: `casare-monitor attach pgqueuer`")
def attach(
    source: Source,
    place: Annotated[
        str | None,
        typer.Option("--in", help="Where its tables are, if in several places: schema, or schema.table of the queue."),
    ] = None,
) -> None:
    """Follow a system that already holds jobs: its rows become ours, from now on and from its past."""
    with explained(), database(load_settings()) as dsn:
        migrated(dsn)
        with out.status(f"copying what {source} holds"):
            report = asyncio.run(attach_source(dsn, source, place=place))
        told(dsn, "SOURCE_ATTACHED", f"{report.source} {report.version}")
        out.print(
            f"{report.source} {report.version} is attached: {report.jobs} jobs, "
            f"{report.node_executions} node executions copied, {report.errors} rows could not be mapped"
        )


@cli.command(epilog="Example: `casare-monitor detach dbos`")
def detach(source: Source) -> None:
    """Follow a source no longer, leaving nothing in its tables; what is known of its jobs stays."""
    with explained(), database(load_settings()) as dsn:
        if not asyncio.run(detach_source(dsn, source)):
            raise fail(f"{source} is not attached")
        told(dsn, "SOURCE_DETACHED", source)
        out.print(f"{source} is detached")


cli.command(epilog="Example: `casare-monitor audit --last 20 --kind operation_refused`")(audit)
cli.command(epilog="Example: `casare-monitor token --role viewer --env production --ttl 1h`")(token)
cli.add_typer(keys, name="keys")
cli.add_typer(documents, name="documents")


@cli.command(epilog="Example: `casare-monitor seed --robots 200 --jobs 1000000 --days 30`")
def seed(
    robots: Annotated[int, typer.Option(help="Robots to make.")] = 50,
    jobs: Annotated[int, typer.Option(help="Jobs to make.")] = 100_000,
    days: Annotated[float, typer.Option(help="Over how many days.")] = 30,
    number: Annotated[int, typer.Option("--seed", help="The same number makes the same past.")] = 1,
) -> None:
    """Fill the database with a plausible past."""
    with explained(), database(load_settings()) as dsn:
        migrated(dsn)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=out) as bar:
            stages: dict[str, TaskID] = {}

            def show(progress: SeedProgress) -> None:
                if progress.stage not in stages:
                    stages[progress.stage] = bar.add_task(str(progress.stage), total=progress.total)
                bar.update(stages[progress.stage], completed=progress.done, total=progress.total)

            try:
                report = asyncio.run(seed_past(dsn, robots=robots, jobs=jobs, days=days, seed=number, progress=show))
            except (AlreadySeeded, SeedingElsewhere) as error:
                raise fail(str(error)) from error
        told(dsn, "SEEDED", f"{report.robots} robots, {report.jobs} jobs")
        rate = report.jobs / report.seconds
        out.print(
            f"{report.robots:,} robots, {report.jobs:,} jobs, {report.node_executions:,} node executions "
            f"in {report.seconds:.1f} s ({rate:,.0f} jobs/s); history folded in {report.folding_seconds:.1f} s"
        )


@cli.command(epilog="Example: `casare-monitor schema --check schema.graphql`")
def schema(
    output: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    check: Annotated[Path | None, typer.Option(help="Compare it with this file; exit 1 if it differs.")] = None,
) -> None:
    """Print the GraphQL schema."""
    text = sdl()
    if check is not None:
        try:
            written = check.read_text(encoding="utf-8")
        except OSError as error:
            raise fail(f"{check}: {error.strerror}") from error
        if written != text:
            lines = difflib.unified_diff(written.splitlines(), text.splitlines(), str(check), "schema", lineterm="")
            for line in lines:
                out.print(line, markup=False, soft_wrap=True)
            raise fail(f"{check} is not the schema: run `make schema`", FAILED)
    elif output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise fail(f"{output}: {error.strerror}") from error
    else:
        typer.echo(text, nl=False)


@cli.command(epilog="Example: `CASARE_PORT=9000 casare-monitor config`")
def config() -> None:
    """List every setting with its value and where it came from; secrets are hidden."""
    out.print(settings_table(load_settings()))


def main() -> None:
    """Run the command line; to be told to end, or to lose the terminal, is a Ctrl-C: every `finally` is run."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    cli(prog_name="casare-monitor")


def _interrupt(_number: int, frame: FrameType | None) -> None:
    interrupted = signal.getsignal(signal.SIGINT)  # asyncio's own while it runs: it cancels, and lets all clean up
    if callable(interrupted):
        interrupted(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt
