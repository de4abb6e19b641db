"""Where a server spends its processor time: its Python stack, every few milliseconds of work.

The signal that takes a sample arrives between two bytecodes, so time in C counts for the function that called it.
"""

from __future__ import annotations

import gc
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

_EVERY_SECONDS = 0.002


class Sampler:
    """Samples from one SIGUSR1 to the next, then writes the stacks it met to a file, each with its count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stacks: Counter[str] = Counter()
        self._running = False

    def install(self) -> None:
        """Wait for the signal."""
        signal.signal(signal.SIGPROF, self._sample)
        signal.signal(signal.SIGUSR1, self._turn)

    def _turn(self, _number: int, _frame: FrameType | None) -> None:
        if self._running:
            signal.setitimer(signal.ITIMER_PROF, 0)
            gc.callbacks.remove(_collecting_garbage)
            unfinished = self._path.with_suffix(".unfinished")
            unfinished.write_text("".join(f"{stack} {count}\n" for stack, count in self._stacks.items()))
            unfinished.replace(self._path)
        else:
            self._stacks.clear()
            gc.callbacks.append(_collecting_garbage)
            signal.setitimer(signal.ITIMER_PROF, _EVERY_SECONDS, _EVERY_SECONDS)
        self._running = not self._running

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        names = []
        while frame is not None:
            names.append(_name(frame))
            frame = frame.f_back
        self._stacks[";".join(reversed(names))] += 1


def _name(frame: FrameType) -> str:
    if frame.f_code is _collecting_garbage.__code__:
        return "gc:collect"
    return f"{frame.f_globals.get('__name__', '?')}:{frame.f_code.co_qualname}"


def _collecting_garbage(phase: str, info: dict[str, int]) -> None:
    """The first bytecode after a collection: samples due during one land here, and so show what it cost."""
