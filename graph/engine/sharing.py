"""Answers for all who ask the same: worked out once, and given again for as long as nothing was committed.

Whoever asks learns the latest snapshot first, of a moment after they came. What was begun at an equal one leaves out
nothing that was committed before that moment: so nobody is told less than what was true when they asked, whichever
worker or program wrote it. Without a snapshot everybody works for themselves.

What is read from a worker's memory needs no snapshot, if it is given only to those who came before it was read. The
event loop runs what is ready in order, and the end of a pass is put there before anything is read for it: whoever runs
before that end was there even earlier. Work that waits for something outlasts the pass, and is for one alone.

A shared execution belongs to those who wait for it: the first may go, each has their own deadline, and it ends with
the last of them.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from datasources.scope import Scope
from datasources.snapshots import Snapshot, Snapshots
from graph.engine.answers import Answer
from graph.engine.lasting import Lasting

_MOST_BYTES = 16 * 2**20  # of a worker's answers that are kept, with what was asked: an eighth of what a worker takes
_LARGEST = _MOST_BYTES // 32  # of one answer: a page of a hundred jobs with all their steps takes less
_LONGEST_VARIABLES = 10_000  # bytes; whoever sends more hardly asks what another asks
_ENTRY = 1000  # bytes that an entry takes beside what was asked and answered
_YOUNG = 0.5  # the share of an operation's time after which nobody joins any more, so that it has an end

_KINDS = ("executed", "shared", "reused", "passed", "kept", "outdated", "displaced", "alone", "unverified")

Work = Callable[[], Coroutine[Any, Any, Answer]]


class Asked(NamedTuple):
    """What somebody asks, and as what: equal ones have one answer."""

    query: str
    operation_name: str | None
    variables: bytes
    scope: Scope

    @property
    def size(self) -> int:
        """About what it takes in memory, in bytes."""
        return len(self.query) + len(self.variables)


def variables_of(given: object) -> bytes | None:
    """Variables in one form, whatever order they came in; None where they are long, or have no such form."""
    try:
        encoded = orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return None
    return encoded if len(encoded) <= _LONGEST_VARIABLES else None


@dataclass(slots=True, eq=False)
class _Shared:
    """An execution, and its answer once it is kept."""

    snapshot: Snapshot
    task: asyncio.Task[Answer]
    joined_until: float
    waiting: int = 0
    answer: Answer | None = None
    size: int = 0


@dataclass(slots=True)
class SharedAnswers:
    """The executions of one worker that several may wait for, and the answers that it keeps."""

    snapshots: Snapshots
    longest: float  # seconds that an operation may take
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(_KINDS, 0)))
    size: int = 0
    _found: OrderedDict[Asked, _Shared] = field(default_factory=OrderedDict)
    _pass: dict[Asked, Answer] | None = None

    def __len__(self) -> int:
        return len(self._found)

    async def give(self, asked: Asked, lasting: Lasting, work: Work) -> Answer:
        """The answer that others wait for or that is kept, if it is true now; else what comes of the work."""
        snapshot = await self.snapshots.latest()
        if snapshot is None:
            self.counts["unverified"] += 1
            return await work()
        now = asyncio.get_running_loop().time()
        found = self._found.get(asked)
        if found is not None and found.snapshot != snapshot:
            self.counts["outdated"] += found.answer is not None
            self._drop(asked, found)
            found = None
        if found is not None and found.answer is not None:
            self._found.move_to_end(asked)
            self.counts["reused"] += 1
            return found.answer
        if found is None or now > found.joined_until:
            found = self._begin(asked, snapshot, lasting, work, now)
        else:
            self.counts["shared"] += 1
        return await self._wait(asked, found)

    async def give_at_once(self, asked: Asked, work: Work) -> Answer:
        """The answer that was read in this pass of the event loop, else what comes of the work."""
        if self._pass is None:
            self._pass = {}
            asyncio.get_running_loop().call_soon(self._end_pass)
        answers = self._pass  # which nobody sees any more where the work outlasts it
        found = answers.get(asked)
        if found is not None:
            self.counts["passed"] += 1
            return found
        self.counts["executed"] += 1
        answer = await work()
        if answer.executed and not answer.errors:
            answers[asked] = answer
        return answer

    def _end_pass(self) -> None:
        self._pass = None

    def _begin(self, asked: Asked, snapshot: Snapshot, lasting: Lasting, work: Work, now: float) -> _Shared:
        self.counts["executed"] += 1
        begun = _Shared(snapshot, asyncio.create_task(work(), name="answer"), now + _YOUNG * self.longest)
        begun.task.add_done_callback(lambda _: self._ended(asked, begun, lasting))
        self._found[asked] = begun
        return begun

    async def _wait(self, asked: Asked, found: _Shared) -> Answer:
        found.waiting += 1
        try:
            return await asyncio.shield(found.task)
        finally:
            found.waiting -= 1
            if not found.waiting and not found.task.done():
                self._drop(asked, found)
                found.task.cancel()

    def _ended(self, asked: Asked, ended: _Shared, lasting: Lasting) -> None:
        failed = ended.task.cancelled() or ended.task.exception() is not None
        if self._found.get(asked) is not ended:
            return
        if failed or lasting is not Lasting.UNTIL_CHANGED or (kept := ended.task.result().kept()) is None:
            self._drop(asked, ended)
            return
        size = len(kept.encoded) + asked.size + _ENTRY
        if size > _LARGEST:
            self._drop(asked, ended)
            return
        ended.answer, ended.size = kept, size
        self.counts["kept"] += 1
        self.size += size
        while self.size > _MOST_BYTES:
            oldest = next(key for key, entry in self._found.items() if entry.answer is not None)
            self.counts["displaced"] += 1
            self._drop(oldest, self._found[oldest])

    def _drop(self, asked: Asked, dropped: _Shared) -> None:
        if self._found.get(asked) is dropped:
            del self._found[asked]
            self.size -= dropped.size
