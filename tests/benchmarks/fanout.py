"""Fan-out: one event, told to a thousand sockets.

The servers take turns within a round, each with its own crowd of sockets, its own database and the same events. To see
how much a server can tell, events are published in small bursts, the next one as soon as everybody has been told of the
one before the last: there is always something to tell, and never more than two bursts of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.benchmarks.crowding import Crowd, crowd
from tests.benchmarks.measuring import Disagreement, settled_cpu
from tests.benchmarks.processes import Server, servers
from tests.benchmarks.publishing import DOCUMENT, Publisher, databases, distinct_documents

_ROLES = {"ours": "ours", "stock": "stock_fanout", "floor": "floor_fanout"}
_BURST = 4  # events
_PROBES = 4
_TRIES = 3
_HEARD_SECONDS = 15.0  # until a crowd that has joined has heard of an event


@dataclass(frozen=True, slots=True)
class Topic:
    """What sockets subscribe to, and which servers serve that."""

    name: str
    title: str
    documents: Sequence[str]
    servers: tuple[str, ...]


TOPICS = (
    Topic("f1", "one document", [DOCUMENT], ("ours", "stock", "floor")),
    Topic("f2", "100 documents", distinct_documents(100), ("ours", "stock")),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    rounds: int
    seconds: float
    sockets: int
    events: float | None = None
    """So many a second while it is measured how late they are; None for half of what a server can tell."""

    @property
    def steps(self) -> int:
        """How many times something is measured, the warm-up included."""
        return sum((self.rounds + 1) * len(topic.servers) for topic in TOPICS)


@dataclass(frozen=True, slots=True)
class Told:
    """What one server told its crowd in one round: first as much as it could, then half of that, or at a given rate."""

    topic: str
    server: str
    round: int
    deliveries: int
    deliveries_per_second: float
    cpu_us_per_delivery: float
    p50_ms: float
    """From just before an event is published until a socket has it, at that rate; likewise `p99_ms`."""
    p99_ms: float
    crowd_busy: float
    """How much of a core the crowd needed to listen."""


@dataclass(frozen=True, slots=True)
class Idle:
    """The memory of one more subscriber to whom nothing is told, in kB."""

    server: str
    kb: float


@dataclass(frozen=True, slots=True)
class Place:
    """A server with its crowd and its events."""

    server: Server
    crowd: Crowd
    publisher: Publisher
    sockets: int

    def rss(self) -> int:
        """Its memory once it is at rest, in bytes."""
        settled_cpu(self.server)
        return int(self.server.process.memory_info().rss)


def fan_out(dsn: str, cores: frozenset[int], scale: Scale, step: Callable[[str], None]) -> Iterator[Told | Idle]:
    """Measurements as they come in, on the Postgres at the DSN."""
    for topic in TOPICS:
        with _places(topic, dsn, cores, scale.sockets) as places:
            for name, place in places.items():
                _open(place, topic)
                if topic is TOPICS[0]:
                    yield Idle(name, _one_more(place, topic))
            _check(places)
            for number in range(scale.rounds + 1):
                for name, place in places.items():
                    step(f"{topic.name} {name}, " + (f"round {number}" if number else "warm-up"))
                    told = _tell(topic, name, place, number, scale)
                    if number:
                        yield told


@contextmanager
def telling(
    name: str, dsn: str, cores: frozenset[int], sockets: int
) -> Iterator[tuple[Server, Callable[[float], None]]]:
    """Our server with a crowd for a topic, and what keeps it at its limit for so many seconds."""
    topic = replace(next(topic for topic in TOPICS if topic.name == name), servers=("ours",))
    with _places(topic, dsn, cores, sockets) as places:
        place = places["ours"]
        _open(place, topic)

        def keep_busy(seconds: float) -> None:
            _at_limit(place, seconds)

        yield place.server, keep_busy


@contextmanager
def _places(topic: Topic, dsn: str, cores: frozenset[int], sockets: int) -> Iterator[dict[str, Place]]:
    with ExitStack() as stack:
        made = stack.enter_context(databases(dsn, topic.servers))
        places = {}
        for name, (database, publisher) in made.items():
            server = stack.enter_context(servers((_ROLES[name],), database, cores))[_ROLES[name]]
            places[name] = Place(server, stack.enter_context(crowd()), publisher, sockets)
        yield places


def _one_more(place: Place, topic: Topic) -> float:
    """What one more subscriber costs in kB, seen from as many to twice as many."""
    before = place.rss()
    _open(place, topic)
    grown = place.rss() - before
    place.crowd.close(place.sockets)
    settled_cpu(place.server)
    return grown / place.sockets / 1000


def _open(place: Place, topic: Topic) -> None:
    """Let so many more in, and wait until all have joined: nobody says so, but all hear what is told."""
    place.crowd.open(place.server.port, place.sockets, topic.documents)
    for _ in range(_TRIES):
        settled_cpu(place.server)
        place.crowd.forget()
        place.publisher.publish(1)
        deadline = time.monotonic() + _HEARD_SECONDS
        while time.monotonic() < deadline:
            if place.crowd.counts() == (1, 1):
                settled_cpu(place.server)
                place.crowd.forget()
                return
            time.sleep(0.05)
    raise Disagreement(f"{place.server.name} does not tell everybody: {place.crowd.counts()}")


def _check(places: Mapping[str, Place]) -> None:
    """Raise Disagreement where one server tells something else than another."""
    told: dict[str, Any] = {}
    last = max(place.publisher.count for place in places.values()) + _PROBES
    for name, place in places.items():
        place.crowd.forget()
        missing = last - place.publisher.count
        place.publisher.publish(missing)
        place.crowd.until(missing)
        told[name] = [answers[-_PROBES:] for answers in place.crowd.answers()]
    reference = next(iter(told))
    for name, answers in told.items():
        if answers != told[reference]:
            raise Disagreement(f"{name} tells {answers[0][-1]!r:.500}, {reference} {told[reference][0][-1]!r:.500}")


def _at_limit(place: Place, seconds: float) -> tuple[int, float]:
    """Publish as much as is told for so long; gives how many events that was, and the seconds until all were told."""
    place.crowd.forget()
    begun, published = time.perf_counter(), 2 * _BURST
    place.publisher.publish(_BURST)
    place.publisher.publish(_BURST)
    while place.crowd.until(published - _BURST) - begun < seconds:
        place.publisher.publish(_BURST)
        published += _BURST
    return published, place.crowd.until(published) - begun


def _tell(topic: Topic, name: str, place: Place, number: int, scale: Scale) -> Told:
    listened, cpu, first = place.crowd.report().cpu_seconds, place.server.cpu_seconds(), place.publisher.count + 1
    published, lasted = _at_limit(place, scale.seconds)
    cpu = settled_cpu(place.server) - cpu
    report = place.crowd.report()
    _check_all(place, first, published)
    place.crowd.forget()
    events = scale.events or report.deliveries / lasted / place.sockets / 2
    times = place.publisher.publish_evenly(events, scale.seconds)
    place.crowd.until(len(times))
    late = place.crowd.report(times)
    return Told(
        topic=topic.name,
        server=name,
        round=number,
        deliveries=report.deliveries,
        deliveries_per_second=report.deliveries / lasted,
        cpu_us_per_delivery=1e6 * cpu / report.deliveries,
        p50_ms=late.p50_ms,
        p99_ms=late.p99_ms,
        crowd_busy=(report.cpu_seconds - listened) / lasted,
    )


def _check_all(place: Place, first: int, published: int) -> None:
    """Raise Disagreement where somebody was not told everything, or those who keep it not in order."""
    if (counts := place.crowd.counts()) != (published, published):
        raise Disagreement(f"{place.server.name} told {counts} times of {published} events")
    for answers in place.crowd.answers():
        told = [answer["data"]["jobUpdates"]["jobId"] for answer in answers]
        if told != [f"fan-out-{number}" for number in range(first, first + len(told))]:
            raise Disagreement(f"{place.server.name} does not tell in order: {told[:3]} ...")
