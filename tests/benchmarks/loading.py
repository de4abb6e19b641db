"""Putting load on a server: by `wrk` where there is one, else by the bundled client, both in processes of their own."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import orjson

from tests.benchmarks.load import Load, Work
from tests.benchmarks.processes import CHECKOUT

_GRACE_SECONDS = 60.0

Loader = Callable[[Work], Load]


class LoadFailed(RuntimeError):
    """The load could not be put on the server as asked."""


def found() -> tuple[str, Loader]:
    """What puts the load on, and its name."""
    return ("wrk", by_wrk) if shutil.which("wrk") else ("the bundled client", bundled)


def bundled(work: Work) -> Load:
    """Load by `tests.benchmarks.load`."""
    done = _run([sys.executable, "-m", "tests.benchmarks.load"], work, stdin=orjson.dumps(asdict(work)))
    return Load(**orjson.loads(done.stdout))


def by_wrk(work: Work) -> Load:
    """Load by `wrk`, which counts whole seconds only."""
    seconds, script = math.ceil(work.seconds), Path(__file__).with_name("wrk.lua")
    url = f"http://127.0.0.1:{work.port}{work.request.path}"
    command = ["wrk", "-t1", f"-c{work.connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url]
    done = _run(command, work, BENCH_METHOD=work.request.method, BENCH_BODY=work.request.body)
    told = orjson.loads(done.stderr)
    if told["broken"]:
        raise LoadFailed(f"wrk lost {told['broken']} requests")
    return Load(
        answered=told["requests"],
        # It hangs up at the end of its time, when each connection waits for an answer that the server still makes.
        served=told["requests"] + work.connections,
        refused=told["status"],
        received_bytes=told["bytes"],
        seconds=told["microseconds"] / 1e6,
        p50_ms=told["p50"] / 1000,
        p99_ms=told["p99"] / 1000,
    )


def _run(command: list[str], work: Work, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        timeout=work.seconds + _GRACE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise LoadFailed(f"{command[0]} failed: {done.stderr.decode(errors='replace')[-2000:]}")
    return done
