"""A Postgres server as a process: knock at its port, tell whether it has ended, end it."""

from __future__ import annotations

import signal
import socket
import struct
from contextlib import suppress
from enum import Enum
from pathlib import Path

import psutil

_PROBE_SECONDS = 3.0
# A checkpoint may take longer than a server has to end: cut short, it is made good at the next start, from the log.
_PATIENCE_SECONDS = {signal.SIGINT: 3, signal.SIGQUIT: 5, signal.SIGKILL: 5}


class Answer(Enum):
    """What a server says to a client who knocks."""

    READY = b"R"
    NOT_NOW = b"E"
    SILENCE = b""


def knock(port: int, user: str, database: str) -> Answer:
    """Ask for a session and leave before the password: what `pg_isready` does, within a few seconds."""
    parameters = b"user\0%b\0database\0%b\0\0" % (user.encode(), database.encode())
    message = struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PROBE_SECONDS) as client:
            client.sendall(message)
            # All of it is read: a hang-up on unread bytes is a reset, which the server puts in its log each time.
            return Answer(client.recv(4096)[:1])
    except (OSError, ValueError):
        return Answer.SILENCE


def free_port(preferred: int) -> int:
    """A port on 127.0.0.1 that nobody listens on: the preferred one where that can be."""
    for port in (preferred, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                listener.bind(("127.0.0.1", port))
                return int(listener.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def postmaster_pid(directory: Path, *, ready: bool = False) -> int | None:
    """The process that says it serves this cluster, or only one that says it is ready to."""
    try:
        lines = (directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return int(lines[0]) if not ready or lines[7].strip() == "ready" else None
    except (FileNotFoundError, IndexError, ValueError):
        return None


def processes(directory: Path) -> list[psutil.Process]:
    """Every process that works in this cluster; some outlive a postmaster that was killed."""
    found = []
    for process in psutil.process_iter(["name"]):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if (process.info["name"] or "").startswith("postgres") and Path(process.cwd()) == directory.resolve():
                found.append(process)
    return found


def ended(process: psutil.Process) -> bool:
    """Whether the process is gone, whoever is to collect it."""
    try:
        process.wait(timeout=0)
    except psutil.TimeoutExpired:
        with suppress(psutil.NoSuchProcess):
            return process.status() == psutil.STATUS_ZOMBIE
    return True


def end(process: psutil.Process, first: signal.Signals = signal.SIGINT) -> None:
    """Fast shutdown, then immediate, then none asked; from a later one on where haste is due."""
    order = list(_PATIENCE_SECONDS)
    for number in order[order.index(first) :]:
        with suppress(psutil.TimeoutExpired):
            try:
                process.send_signal(number)
                process.wait(timeout=_PATIENCE_SECONDS[number])
            except psutil.NoSuchProcess:
                pass
            return
