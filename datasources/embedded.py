"""A Postgres where there is none: started, watched, restarted and stopped by the one process that owns it.

Of the wheel only the programs are used. Its own server class trusts everybody, and after a `kill -9` of its
user it leaves a server behind that it can no longer stop; here a lock that the owner holds tells an orphan
from a server in use.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from datasources.cluster import DATABASE, USER, Cluster, EmbeddedPostgresError, read_state, write_state

if sys.platform != "win32":
    import fcntl

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "running_dsn"]

_log = logging.getLogger(__name__)

_PROBE_SECONDS = 2.0
_PROBE_TIMEOUT_SECONDS = 3.0
_SILENT_PROBES = 3
_START_SECONDS = 60.0
_LONGEST_BACKOFF_SECONDS = 30.0
_LOG_BYTES = 16 * 1024 * 1024


class EmbeddedPostgres:
    """The Postgres of a data directory, for as long as this process owns it."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._data_dir = data_dir.expanduser().absolute()
        self._durable = durable
        self._owner = 0
        self._lock: int | None = None
        self._cluster: Cluster | None = None
        self._process: psutil.Process | None = None
        self._stopping = threading.Event()
        self._supervisor: threading.Thread | None = None
        self.restarts = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """The database as a URL, with its password; the same at every start while its port is free."""
        if self._cluster is None:
            raise EmbeddedPostgresError("the embedded Postgres is not started")
        return self._cluster.state.dsn

    def start(self) -> str:
        """Bring the server up, or take over one that lost its owner; gives the DSN."""
        if sys.platform == "win32":
            raise EmbeddedPostgresError("the embedded Postgres needs Linux or macOS: set DATABASE_URL")
        if self._lock is not None:
            return self.dsn
        try:
            _make_private(self._data_dir)
            self._lock = _own(self._data_dir)
            self._owner = os.getpid()
            self._stopping.clear()
            self._cluster = Cluster(self._data_dir, durable=self._durable)
            self._process = self._adopt(self._cluster) or self._launch(self._cluster)
        except OSError as error:
            self._release()
            raise EmbeddedPostgresError(f"no embedded Postgres in {self._data_dir}: {error}") from error
        except BaseException:
            self._release()
            raise
        atexit.register(self.stop)
        self._supervisor = threading.Thread(target=self._supervise, name="embedded-postgres", daemon=True)
        self._supervisor.start()
        return self.dsn

    def stop(self) -> None:
        """Let running transactions roll back and the server go; harmless when it is already gone."""
        if self._lock is None or self._owner != os.getpid():
            return
        self._stopping.set()
        if self._supervisor is not None:
            self._supervisor.join(timeout=30)
        if self._process is not None:
            _end(self._process)
        self._release()
        atexit.unregister(self.stop)

    def _release(self) -> None:
        self._process = self._cluster = self._supervisor = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _adopt(self, cluster: Cluster) -> psutil.Process | None:
        orphan = cluster.postmaster()
        if orphan is None:
            return None
        if _answer(cluster.state.port) == b"R":
            _log.warning("took over a Postgres whose owner died, process %d", orphan.pid)
            return orphan
        _log.warning("ending a Postgres whose owner died and which does not answer, process %d", orphan.pid)
        _end(orphan)
        return None

    def _launch(self, cluster: Cluster) -> psutil.Process:
        for remains in cluster.processes():
            _end(remains, signal.SIGKILL)
        port = cluster.state.port
        if self._supervisor is None and not _free(port):
            port = _free_port()
            cluster.state = replace(cluster.state, port=port)
            write_state(self._data_dir, cluster.state)
        path = self._data_dir / "postgres.log"
        with open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as log:
            said_before = log.tell()
            process = psutil.Popen(
                cluster.command(port),
                cwd="/",
                env=cluster.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C in the terminal is for us: we stop the server when we are done with it.
                start_new_session=True,
                **cluster.run_as,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not _ended(process):
            answer = _answer(port)
            if answer == b"R":
                return process
            if answer == b"E":
                # It replays its log after a crash: slow is not stuck.
                deadline = time.monotonic() + _START_SECONDS
            if time.monotonic() > deadline or self._stopping.wait(0.05):
                _end(process, signal.SIGQUIT)
        raise EmbeddedPostgresError(f"Postgres did not start:\n{_last_lines(path, said_before)}")

    def _supervise(self) -> None:
        silent = 0
        while not self._stopping.wait(_PROBE_SECONDS):
            cluster, process = self._cluster, self._process
            if cluster is None or process is None:
                return
            if not _ended(process):
                silent = 0 if _answer(cluster.state.port) else silent + 1
                self._bound_log()
                if silent < _SILENT_PROBES:
                    continue
                _log.error("Postgres did not answer %d probes in a row: ending it", silent)
                _end(process, signal.SIGQUIT)
            silent = 0
            self._restart(cluster)

    def _restart(self, cluster: Cluster) -> None:
        for attempt in count():
            longest = min(_LONGEST_BACKOFF_SECONDS, 0.25 * 2 ** min(attempt, 10))
            if self._stopping.wait(secrets.SystemRandom().uniform(0, longest)):
                return
            try:
                self._process = self._launch(cluster)
            except (EmbeddedPostgresError, OSError, psutil.Error) as error:
                _log.error("Postgres died and did not come back, attempt %d: %s", attempt + 1, error)
                continue
            self.restarts += 1
            _log.warning("Postgres died and was restarted")
            return

    def _bound_log(self) -> None:
        path = self._data_dir / "postgres.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            os.truncate(path, 0)


def running_dsn(data_dir: Path) -> str | None:
    """The DSN of a live server that another process owns, for commands that run beside it."""
    data_dir = data_dir.expanduser().absolute()
    try:
        state = read_state(data_dir)
        if state is None or not _owned(data_dir):
            return None
    except OSError as error:
        raise EmbeddedPostgresError(f"no embedded Postgres in {data_dir}: {error}") from error
    return state.dsn if _answer(state.port) == b"R" else None


def _make_private(data_dir: Path) -> None:
    if not data_dir.exists():
        data_dir.mkdir(parents=True)
        # Root's Postgres runs under another account, which must be able to pass, though not to look.
        data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)


def _own(data_dir: Path) -> int:
    lock = os.open(data_dir / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Somebody who only looks whether it is owned holds the lock for an instant.
            time.sleep(0.05)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock
    owner = os.pread(lock, 20, 0).decode() or "unknown"
    os.close(lock)
    raise EmbeddedPostgresError(f"the embedded Postgres in {data_dir} belongs to process {owner}")


def _owned(data_dir: Path) -> bool:
    try:
        lock = os.open(data_dir / "postgres.lock", os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def _answer(port: int) -> bytes:
    """What is said to a client who knocks: R come in, E not now, and nothing when it is dead or hung."""
    parameters = b"user\0%b\0database\0%b\0\0" % (USER.encode(), DATABASE.encode())
    knock = struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PROBE_TIMEOUT_SECONDS) as client:
            client.sendall(knock)
            return client.recv(1)
    except OSError:
        return b""


def _free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
        return port != 0


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _ended(process: psutil.Process) -> bool:
    try:
        process.wait(timeout=0)
    except psutil.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            return process.status() == psutil.STATUS_ZOMBIE
    return True


def _end(process: psutil.Process, first: signal.Signals = signal.SIGINT) -> None:
    """Fast shutdown, then immediate, then none asked; starting with a later one where haste is due."""
    patience = {signal.SIGINT: 10, signal.SIGQUIT: 5, signal.SIGKILL: 5}
    for number in list(patience)[list(patience).index(first) :]:
        try:
            process.send_signal(number)
            process.wait(timeout=patience[number])
        except psutil.TimeoutExpired:
            continue
        except psutil.NoSuchProcess:
            return
        return


def _last_lines(path: Path, start: int) -> str:
    with open(path, "rb") as log:
        log.seek(max(start, path.stat().st_size - 4000))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-10:])
