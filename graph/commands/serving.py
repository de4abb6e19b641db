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
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
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
from datasources.sources import renew
from graph.access.authentication import verification_keys
from graph.access.hosts import is_loopback
from graph.app import from_environment
from graph.commands.announcement import announce
from graph.commands.console import USAGE, fail, out, place
from graph.commands.demo import demo_fleet
from graph.operating.logs import configure
from graph.operating.metrics import DIRECTORY
from graph.transports.wire import SERVED_BY

_log = logging.getLogger(__name__)

_OPEN_TO_STRANGERS = (
    "no key is configured, so that whoever reaches {host} could do everything. Set CASARE_JWT_SECRET to a secret of "
    'your own, made with `python -c "import secrets; print(secrets.token_urlsafe(32))"` (or CASARE_JWT_PUBLIC_KEY, or '
    "CASARE_JWKS_URL, or CASARE_AUTH=required for API keys alone), or listen on 127.0.0.1."
)
_PATIENCE = 30.0  # seconds for a database that is still starting
# At `debug` it would write down requests as they come, with all their credentials.
_UVICORN_TELLS = {"debug": "info", "info": "warning"}
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
    verification_keys(settings)  # what is no key ends us here, rather than each worker
    configure(settings)
    listener = _listen(settings)
    host, port = listener.getsockname()[:2]
    if settings.open and not is_loopback(host):
        listener.close()
        raise fail(_OPEN_TO_STRANGERS.format(host=settings.host), USAGE)
    with listener, _until_interrupted(), database(settings, inherit=True) as dsn:
        migrated(dsn)
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        with ExitStack() as stack:
            if demo_robots is not None:
                stack.enter_context(demo_fleet(settings, dsn, f"{url}/graphql", demo_robots, demo_rate))
            announce(settings, url, dsn, demo_robots)
            _run(settings, dsn, listener)


def _run(settings: Settings, dsn: str, listener: socket.socket) -> None:
    os.environ["DATABASE_URL"] = dsn  # how the worker processes learn of it
    config = uvicorn.Config(
        "graph.commands.serving:worker",
        factory=True,
        workers=settings.workers,
        log_level=_UVICORN_TELLS.get(settings.log_level, settings.log_level),
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
