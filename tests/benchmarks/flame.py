"""The command behind `make profile`: a flame graph of our server under one question's load, or one topic's."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from datasources.settings import Settings
from tests.benchmarks import cores, loading
from tests.benchmarks.dataset import prepared
from tests.benchmarks.fanout import TOPICS, telling
from tests.benchmarks.load import Work
from tests.benchmarks.processes import Server, postgres, servers
from tests.benchmarks.questions import NAMES, questions

_JOBS, _CONNECTIONS, _SOCKETS, _SECONDS, _WRITE_SECONDS = 100_000, 16, 1000, 10.0, 10.0
_WIDTH, _ROW, _THINNEST = 1400.0, 17, 0.7

Busy = tuple[Server, Callable[[float], object]]  # and what keeps it busy for so many seconds

out = Console(highlight=False)


@dataclass(slots=True)
class Call:
    """A function as it was called from one place: samples in it and below, and what it called."""

    name: str
    samples: int = 0
    own: int = 0
    callees: dict[str, Call] = field(default_factory=dict)


def call_tree(stacks: str) -> Call:
    """The calls in folded stacks, from where they first part."""
    root = Call("everything")
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        call, samples = root, int(count)
        root.samples += samples
        for name in stack.split(";"):
            call = call.callees.setdefault(name, Call(name))
            call.samples += samples
        call.own += samples
    while len(root.callees) == 1 and not root.own:
        (root,) = root.callees.values()
    return root


def by_package(call: Call) -> Counter[str]:
    """The samples that each top-level package has to itself."""
    found = Counter({_package(call.name): call.own})
    for callee in call.callees.values():
        found.update(by_package(callee))
    return found


def svg(root: Call) -> str:
    """The flame graph: callers below, callees above, as wide as their share; a pointer on a box tells its numbers."""
    boxes = list(_boxes(root, root.samples, 0.0, 0))
    height = (1 + max(depth for _, _, depth in boxes)) * _ROW
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{height}" font-family="monospace">']
    for call, x, depth in boxes:
        width, y = _WIDTH * call.samples / root.samples, height - (depth + 1) * _ROW
        share, own = 100 * call.samples / root.samples, 100 * call.own / root.samples
        hue = int(hashlib.sha256(_package(call.name).encode()).hexdigest()[:4], 16) % 360
        label = escape(call.name.partition(":")[2][: int(width / 7)])
        parts.append(
            f"<g><title>{escape(call.name)}: {share:.1f} %, of itself {own:.1f} %</title>"
            f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 1}" fill="hsl({hue} 70% 75%)"/>'
            f'<text x="{x + 2:.1f}" y="{y + 12}" font-size="11">{label}</text></g>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _boxes(call: Call, total: int, x: float, depth: int) -> Iterator[tuple[Call, float, int]]:
    yield call, x, depth
    for callee in sorted(call.callees.values(), key=lambda callee: callee.name):
        width = _WIDTH * callee.samples / total
        if width >= _THINNEST:
            yield from _boxes(callee, total, x, depth + 1)
        x += width


def _package(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]


def _sampled(name: str, stacks: Path) -> str:
    """The stacks of our server under the load of a question, or while it tells what happens."""
    os.environ["BENCH_STACKS"] = str(stacks)
    with ExitStack() as stack:
        server_cores = stack.enter_context(cores.apart())
        dsn = stack.enter_context(postgres(Settings().data_dir / "bench"))
        busy = _asked if name in NAMES else _told
        server, keep_busy = stack.enter_context(busy(name, dsn, server_cores))
        keep_busy(1.0)
        server.process.send_signal(signal.SIGUSR1)
        keep_busy(_SECONDS)
        server.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + _WRITE_SECONDS
        while not stacks.exists():
            if time.monotonic() > deadline:
                raise TimeoutError("the server did not write its stacks")
            time.sleep(0.05)
        return stacks.read_text(encoding="utf-8")


@contextmanager
def _asked(name: str, dsn: str, server_cores: frozenset[int]) -> Iterator[Busy]:
    database = asyncio.run(prepared(dsn, _JOBS, lambda _: None))
    asked = asyncio.run(questions(database))[name].request(graphql=True)
    _, load = loading.found()
    with servers(("executed",), database, server_cores) as running:
        server = running["executed"]
        yield server, lambda seconds: load(Work(asked, server.port, _CONNECTIONS, seconds))


def _told(name: str, dsn: str, server_cores: frozenset[int]) -> AbstractContextManager[Busy]:
    return telling(name, dsn, server_cores, _SOCKETS)


def main(question: str = "q2") -> None:
    """Write the flame graph of a question beside the benchmark's data, and say which packages cost what."""
    known = (*NAMES, *(topic.name for topic in TOPICS))
    if question not in known:
        raise SystemExit(f"{question} is not among {', '.join(known)}")
    with out.status(f"sampling {question}"), TemporaryDirectory(prefix="casare-bench-") as directory:
        root = call_tree(_sampled(question, Path(directory) / "stacks"))
    for package, samples in by_package(root).most_common(12):
        out.print(f"{100 * samples / root.samples:5.1f} %  {package}")
    path = Settings().data_dir / "bench" / f"{question}.svg"
    path.write_text(svg(root), encoding="utf-8")
    out.print(f"{root.samples:,} samples in {path}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
