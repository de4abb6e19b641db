"""A Postgres where there is none: started, watched, restarted and stopped by the one process that owns it.

Of the wheel only the programs are used. Its own server class trusts everybody, and after a `kill -9` of its
user it leaves a server behind that it can no longer stop; here a lock that the owner holds tells an orphan
from a server in use.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from datasources.backoff import backoff
from datasources.cluster import (
    DATABASE,
    USER,
    Cluster,
    EmbeddedPostgresError,
    State,
    read_state,
)
from datasources.postmaster import Answer, end, ended, free_port, knock, postmaster_pid, processes

if sys.platform != "win32":
    import fcntl

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "running_dsn", "throwaway"]

_log = logging.getLogger(__name__)

_PROBE_SECONDS = 2.0
_SILENT_PROBES = 3
_START_SECONDS = 60.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 30.0
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
            self._process = self._adopt(self._cluster)
            if self._process is None:
                self._cluster.move_to(free_port(self._cluster.state.port))
                self._process = self._launch(self._cluster)
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
        if self._process is not None and self._cluster is not None:
            end(self._process)
            for remains in processes(self._cluster.directory):
                end(remains, signal.SIGKILL)
        self._release()
        atexit.unregister(self.stop)

    def _release(self) -> None:
        self._process = self._cluster = self._supervisor = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _adopt(self, cluster: Cluster) -> psutil.Process | None:
        pid = postmaster_pid(cluster.directory)
        orphan = next((found for found in processes(cluster.directory) if found.pid == pid), None)
        if orphan is None:
            return None
        if _answer(cluster.state) is Answer.READY:
            _log.warning("took over a Postgres whose owner died, process %d", orphan.pid)
            return orphan
        _log.warning("ending a Postgres whose owner died and which does not answer, process %d", orphan.pid)
        end(orphan, signal.SIGQUIT)
        return None

    def _launch(self, cluster: Cluster) -> psutil.Process:
        for remains in processes(cluster.directory):
            end(remains, signal.SIGKILL)
        path = self._data_dir / "postgres.log"
        with open(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as log:
            said_before = log.tell()
            process = psutil.Popen(
                cluster.command(),
                cwd="/",
                env=cluster.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C in the terminal is for us: we stop the server when we are done with it.
                start_new_session=True,
                **cluster.run_as,
            )
        try:
            if self._wait_until_ready(cluster, process):
                return process
        except BaseException:
            end(process, signal.SIGQUIT)
            raise
        end(process, signal.SIGQUIT)
        raise EmbeddedPostgresError(f"Postgres did not start:\n{_last_lines(path, said_before)}")

    def _wait_until_ready(self, cluster: Cluster, process: psutil.Process) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while not ended(process) and time.monotonic() < deadline and not self._stopping.wait(0.05):
            answer = _answer(cluster.state)
            # Somebody else's server could answer on this port: only the pid tells ours.
            if answer is Answer.READY and postmaster_pid(cluster.directory, ready=True) == process.pid:
                return True
            if answer is Answer.NOT_NOW:
                # It replays its log after a crash: slow is not stuck.
                deadline = time.monotonic() + _START_SECONDS
        return False

    def _supervise(self) -> None:
        silent = 0
        while not self._stopping.wait(_PROBE_SECONDS):
            cluster, process = self._cluster, self._process
            if cluster is None or process is None:
                return
            if not ended(process):
                silent = silent + 1 if _answer(cluster.state) is Answer.SILENCE else 0
                self._bound_log()
                if silent < _SILENT_PROBES:
                    continue
                _log.error("Postgres did not answer %d probes in a row: ending it", silent)
                end(process, signal.SIGQUIT)
            silent = 0
            self._restart(cluster)

    def _restart(self, cluster: Cluster) -> None:
        for attempt in count(1):
            if self._stopping.wait(backoff(attempt, _FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS)):
                return
            try:
                self._process = self._launch(cluster)
            except (EmbeddedPostgresError, OSError, psutil.Error) as error:
                _log.error("Postgres died and did not come back, attempt %d: %s", attempt, error)
                continue
            self.restarts += 1
            _log.warning("Postgres died and was restarted")
            return

    def _bound_log(self) -> None:
        path = self._data_dir / "postgres.log"
        if path.exists() and path.stat().st_size > _LOG_BYTES:
            os.truncate(path, 0)


@contextmanager
def throwaway() -> Iterator[EmbeddedPostgres]:
    """A server for a test or a measurement: careless of power cuts, which makes it fast, and gone with the block."""
    with tempfile.TemporaryDirectory(prefix="casare-monitor-") as directory:
        data_dir = Path(directory)
        data_dir.chmod(0o711)
        try:
            with EmbeddedPostgres(data_dir, durable=False) as server:
                yield server
        finally:
            state = read_state(data_dir)
            if state is not None and state.elsewhere is not None:
                shutil.rmtree(state.elsewhere)


def running_dsn(data_dir: Path) -> str | None:
    """The DSN of a live server that another process owns, for commands that run beside it."""
    data_dir = data_dir.expanduser().absolute()
    try:
        state = read_state(data_dir)
        if state is None or not _owned(data_dir):
            return None
    except OSError as error:
        raise EmbeddedPostgresError(f"no embedded Postgres in {data_dir}: {error}") from error
    return state.dsn if _answer(state) is Answer.READY else None


def _make_private(data_dir: Path) -> None:
    if not data_dir.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
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


def _answer(state: State) -> Answer:
    return knock(state.port, USER, DATABASE)


def _last_lines(path: Path, start: int) -> str:
    with open(path, "rb") as log:
        log.seek(max(start, path.stat().st_size - 4000))
        return "\n".join(log.read().decode(errors="replace").splitlines()[-10:])
