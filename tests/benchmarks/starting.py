"""Starting: how long our server takes until it answers that it is well, and what memory it needs when nobody asks."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from datasources.postmaster import free_port
from tests.benchmarks.measuring import settled_cpu
from tests.benchmarks.processes import Server, serving

_LOOK_EVERY = 0.01  # seconds
_REST_SECONDS = 3.0  # its background work begins after it has started


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a server: seconds until it was well, processor time of that, and its memory at rest, in MB."""

    round: int
    seconds: float
    cpu_seconds: float
    rest_mb: float


def starts(dsn: str, cores: frozenset[int], rounds: int, step: Callable[[str], None]) -> Iterator[Start]:
    """As many starts as there are rounds, with a database that is up to date; the one before them warms the disk."""
    for number in range(rounds + 1):
        step("start, " + (f"round {number}" if number else "warm-up"))
        port = free_port(0)
        begun = time.perf_counter()
        with serving("ours", port, dsn, cores) as process:
            process.wait_until(lambda port=port: _well(port), every=_LOOK_EVERY)  # type: ignore[misc]  # bound now
            seconds, server = time.perf_counter() - begun, Server("ours", port, process.popen)
            cpu = server.cpu_seconds()
            time.sleep(_REST_SECONDS)
            settled_cpu(server)
            if number:
                yield Start(number, seconds, cpu, process.popen.memory_info().rss / 1e6)


def _well(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
