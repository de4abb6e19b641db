"""Giving orders to a crowd of sockets, which is a process of its own (see crowd.py)."""

from __future__ import annotations

import selectors
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO, Any

import orjson

from tests.benchmarks.loading import LoadFailed
from tests.benchmarks.processes import CHECKOUT

_PATIENCE = 120.0  # seconds for an order to be carried out
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Report:
    """What a crowd was told, how late in milliseconds, and what listening cost it."""

    p50_ms: float
    p99_ms: float
    deliveries: int
    bytes: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Crowd:
    """The sockets to one server."""

    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def open(self, port: int, sockets: int, documents: Sequence[str]) -> None:
        """So many more sockets, which subscribe to these documents in turn."""
        self._order("open", port=port, sockets=sockets, documents=documents)

    def close(self, sockets: int) -> None:
        """So many sockets fewer."""
        self._order("close", sockets=sockets)

    def forget(self) -> None:
        """Count from nothing."""
        self._order("forget")

    def until(self, each: int) -> float:
        """Wait until every socket has been told so much since it forgot; gives when that was."""
        return float(self._order("until", each=each)["at"])

    def counts(self) -> tuple[int, int]:
        """How often each socket was told something, at the least and at the most."""
        told = self._order("counts")
        return told["least"], told["most"]

    def report(self, published: Sequence[float] = ()) -> Report:
        """What came, and how long after it was published."""
        return Report(**self._order("report", published=published))

    def answers(self) -> list[list[Any]]:
        """The answers to one socket of each document, oldest first."""
        return [[orjson.loads(text)["payload"] for text in texts] for texts in self._order("texts")["texts"]]

    def _order(self, what: str, **details: object) -> dict[str, Any]:
        orders, answers = self.process.stdin, self.process.stdout
        if orders is None or answers is None:
            raise self._failed("has no ear")
        try:
            orders.write(orjson.dumps({"do": what, **details}) + b"\n")
            orders.flush()
        except BrokenPipeError:
            raise self._failed("ended") from None
        with selectors.DefaultSelector() as selector:
            selector.register(answers, selectors.EVENT_READ)
            if not selector.select(_PATIENCE):
                raise self._failed(f"did not {what} within {_PATIENCE:g} s")
        line = answers.readline()
        if not line:
            raise self._failed("ended")
        answer: dict[str, Any] = orjson.loads(line)
        return answer

    def _failed(self, what: str) -> LoadFailed:
        self.said.seek(0)
        return LoadFailed(f"the crowd {what}: {self.said.read().decode(errors='replace')[-2000:]}")


@contextmanager
def crowd() -> Iterator[Crowd]:
    """A crowd without any sockets yet, until the block ends."""
    with TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.crowd"],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,
        )
        with process:
            try:
                yield Crowd(process, said)
            finally:
                if process.stdin is not None:
                    process.stdin.close()
                try:
                    process.wait(_STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    process.kill()
