"""Bringing the server up: its database, its socket, its processes, and everything down again at the end."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from multiprocessing.process import BaseProcess
from tempfile import TemporaryDirectory

import asyncpg
import uvicorn
from fastapi import FastAPI
from rich.markup import escape
from uvicorn.supervisors import Multiprocess

from datasources.embedded import EmbeddedPostgres, EmbeddedPostgresError, running_dsn
from datasources.migrate import migrate
from datasources.settings import Settings
from datasources.sources import attach, renew
from graph.app import from_environment
from graph.console import fail, out, place
from graph.logs import configure
from graph.metrics import DIRECTORY
from graph.wire import SERVED_BY

_log = logging.getLogger(__name__)

_PATIENCE = 30.0  # seconds for a database that is still starting
_THRESHOLDS = 20_000, 20, 20  # an answer of a hundred rows makes some thousand objects
_EVERY = 1.0  # seconds between two looks whether its owner has ended


@contextmanager
def database(settings: Settings, *, inherit: bool = False) -> Iterator[str]:
    """The DSN to work with: the configured database, the embedded one that runs already, or one started for us.

    Who stays longer than the owner of one that runs already is to `inherit` it.
    """
    dsn = settings.dsn()
    if dsn is None and (dsn := running_dsn(settings.data_dir)) is not None and inherit:
        with _inheriting(settings, dsn):
            yield dsn
        return
    if dsn is not None:
        yield dsn
        return
    with out.status("starting the embedded Postgres"), ExitStack() as stack:
        dsn = stack.enter_context(EmbeddedPostgres(settings.data_dir)).dsn
        keep = stack.pop_all()
    with keep:
        yield dsn


@contextmanager
def _inheriting(settings: Settings, dsn: str) -> Iterator[None]:
    """Run the embedded Postgres ourselves as soon as its owner has ended."""
    out.print("the embedded Postgres belongs to another server; this one takes it over when that one ends")
    server, over = EmbeddedPostgres(settings.data_dir), threading.Event()

    def wait() -> None:
        while not over.wait(_EVERY):
            try:
                taken = server.start()
            except EmbeddedPostgresError as error:
                _log.debug("not taken over: %s", error)
                continue
            if taken == dsn:
                _log.warning("took over the embedded Postgres, since its owner has ended")
            else:
                _log.error("the embedded Postgres could not come back on its port: start this server again")
            return

    heir = threading.Thread(target=wait, name="embedded-postgres-heir", daemon=True)
    heir.start()
    try:
        yield
    finally:
        over.set()
        heir.join(timeout=_PATIENCE)
        server.stop()


def migrated(dsn: str) -> list[str]:
    """Bring the database up to date, waiting for one that is still starting; gives the names applied."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            applied = asyncio.run(migrate(dsn))
            if applied:
                asyncio.run(renew(dsn))
            return applied
        except (OSError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
            if time.monotonic() > deadline:
                raise
        with out.status(f"waiting for {escape(place(dsn))}"):
            time.sleep(1)


def serve(settings: Settings, *, demo_robots: int | None = None, demo_rate: float = 1.0) -> None:
    """Serve until told to stop; with `demo_robots`, beside a fleet that really works."""
    if demo_robots is not None and "log_level" not in settings.model_fields_set:
        settings = settings.model_copy(update={"log_level": "warning"})  # the robots' reports are many
        os.environ["CASARE_LOG_LEVEL"] = settings.log_level
    configure(settings)
    listener = _listen(settings)
    with listener, _until_interrupted(), database(settings, inherit=True) as dsn:
        migrated(dsn)
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        with ExitStack() as stack:
            if demo_robots is not None:
                stack.enter_context(_demo_fleet(dsn, f"{url}/graphql", demo_robots, demo_rate))
            _announce(settings, url, dsn, demo_robots)
            _run(settings, dsn, listener)


def _run(settings: Settings, dsn: str, listener: socket.socket) -> None:
    os.environ["DATABASE_URL"] = dsn  # how the worker processes learn of it
    config = uvicorn.Config(
        "graph.serving:worker",
        factory=True,
        workers=settings.workers,
        log_level="warning" if settings.log_level == "info" else settings.log_level,
        log_config=None,
        access_log=False,
        **SERVED_BY,
        server_header=False,
    )
    server = uvicorn.Server(config)
    if settings.workers == 1:
        server.run(sockets=[listener])
        return
    with TemporaryDirectory(prefix="casare-monitor-metrics-", ignore_cleanup_errors=True) as directory:
        os.environ[DIRECTORY] = directory
        _Workers(config, sockets=[listener]).run()


class _Workers(Multiprocess):
    """The worker processes; a terminal that is gone is no reason to start them anew, but to end."""

    def handle_hup(self) -> None:
        """End, as one process does."""
        self.should_exit.set()


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]
        if error.errno == errno.EADDRINUSE:
            reason += ". Another copy may be running; choose another port with --port or CASARE_PORT"
        raise fail(f"cannot listen on {settings.host}:{settings.port}: {reason}.") from error
    listener.set_inheritable(True)
    return listener


@contextmanager
def _until_interrupted() -> Iterator[None]:
    """To be stopped is how a server ends: no failure, and nothing to explain."""
    with suppress(KeyboardInterrupt):
        yield
    out.print("stopped")


def worker() -> FastAPI:
    """The application of a server process; a worker ends with its supervisor, or it would keep the port for ever."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_end_with, args=(supervisor,), name="supervisor-watch", daemon=True).start()
    app = from_environment()
    _collect_less()
    return app


def _collect_less() -> None:
    """What is there from the start stays: the garbage collector need not look at it, nor at each page of rows."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def _end_with(supervisor: BaseProcess) -> None:
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _demo_fleet(dsn: str, url: str, robots: int, rate: float) -> Iterator[None]:
    """The robots of `clients/demo_fleet`, a program of its own that talks to us over the wire."""
    command = [sys.executable, "-m", "clients.demo_fleet"]
    environment = {**os.environ, "CASARE_DEMO_DSN": dsn}
    with out.status("preparing the queue of the demo fleet"):
        installed = subprocess.run([*command, "install"], env=environment, check=False, timeout=120)  # noqa: S603
    if installed.returncode != 0:
        raise fail("the demo fleet could not be prepared. It is part of the repository: run `make demo` there.")
    for source in ("pgqueuer", "dbos"):
        asyncio.run(attach(dsn, source))
    arguments = ["run", "--url", url, "--robots", str(robots), "--rate", str(rate)]
    fleet = subprocess.Popen([*command, *arguments], env=environment, start_new_session=True)  # noqa: S603
    try:
        yield
    finally:
        fleet.terminate()
        try:
            fleet.wait(timeout=8)
        except subprocess.TimeoutExpired:
            os.killpg(fleet.pid, signal.SIGKILL)
            fleet.wait(timeout=5)


def _announce(settings: Settings, url: str, dsn: str, demo_robots: int | None) -> None:
    embedded = settings.dsn() is None
    out.print(f"[bold]CasareRPA monitoring graph[/]  {url}/graphql", soft_wrap=True)
    out.print(f"  GraphiQL  {url}/graphql   REST  {url}/api/v1   health  {url}/health", soft_wrap=True)
    if settings.spa_dir is not None:
        out.print(f"  pages     {url}/, from {escape(str(settings.spa_dir))}", soft_wrap=True)
    traced = f", traces to {escape(place(settings.otlp_endpoint))}" if settings.otlp_endpoint else ""
    out.print(f"  metrics   {url}/metrics{traced}", soft_wrap=True)
    where = f"embedded, in {settings.data_dir}" if embedded else escape(place(dsn))
    out.print(f"  database  {where}", soft_wrap=True)
    bus = settings.bus.get_secret_value()
    alone = "none, each worker follows the ledger by itself"
    out.print(f"  bus       {alone if bus.startswith('memory:') else escape(place(bus))}", soft_wrap=True)
    if demo_robots is not None:
        out.print(f"  fleet     {demo_robots} robots that run PgQueuer jobs as DBOS workflows")
    out.print(
        f"  limits    {settings.operation_timeout_seconds:g} s and cost {settings.max_query_cost:,} an operation, "
        f"{settings.max_body_bytes:,} bytes a request; pages of {', '.join(settings.cors_origins) or 'nobody else'}",
        soft_wrap=True,
    )
    if _is_loopback(settings.host):
        out.print("  open to everybody on this machine; nobody else can reach it")
    else:
        out.print(f"  [bold yellow]open to everybody who can reach {settings.host}: there is no authentication yet[/]")
    out.print("  Ctrl-C stops it")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
