"""The processes of a benchmark: a server, or the Postgres behind all of them. They end with whoever started them.

Each holds its standard input open and takes its end as the order to stop: it comes when the harness asks, and also
when the harness is killed, whom no `finally` would help.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import uvicorn

from datasources.embedded import EmbeddedPostgres
from tests.benchmarks.sampling import Sampler

_GRACE_SECONDS = 10.0


def _end_with_harness() -> None:
    def wait() -> None:
        sys.stdin.buffer.read()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os._exit(1)

    threading.Thread(target=wait, name="harness", daemon=True).start()


def _postgres(data_dir: Path) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with EmbeddedPostgres(data_dir, durable=False):
        stop.wait()


def main(role: str, place: str, cores: str = "") -> None:
    """Play a role: `postgres` in a data directory, or a server on a port; on these cores, if any are named."""
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(",")))
    _end_with_harness()
    if role == "postgres":
        _postgres(Path(place))
    elif role in {"ours", "executed"}:
        if stacks := os.environ.get("BENCH_STACKS"):
            Sampler(Path(stacks)).install()
        # Only here: what a process imports, its garbage collector walks, and the others have no use for it.
        from graph.commands.cli import main as casare_monitor

        sys.argv = ["casare-monitor", "serve", "--port", place]
        casare_monitor()
    else:
        uvicorn.run(
            f"tests.benchmarks.baselines.{role}:create_app",
            factory=True,
            port=int(place),
            log_level="warning",
            access_log=False,
            server_header=False,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
