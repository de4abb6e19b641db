"""What a worker counts anyway, as metrics: taken over once a second, so that counting itself costs nothing more."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from graph.operating.metrics import Metrics, OverWorkers
from graph.streams.streaming import Streams
from graph.transports.outbox import Traffic
from subscriptions.live import Live
from subscriptions.tail import BusState

_EVERY = 1.0  # seconds
_HEARD = {BusState.ALONE, BusState.CONNECTED}

Read = Callable[[], float]


class Tallies:
    """The counts and states of one worker's connections, streams, ledger, sweeper and folder."""

    def __init__(
        self,
        metrics: Metrics,
        traffic: Traffic,
        streams: Streams,
        live: Live,
        counters: Mapping[str, Counter[str]],
    ) -> None:
        self._metrics = metrics
        self._takers: list[Callable[[], None]] = []
        counts, sweeper, folder = streams.counts, live.sweeper, live.folder
        total, state = self._total, self._state
        total("sockets", "WebSockets opened.", lambda: traffic.sockets)
        total("streams", "Answers over HTTP that were streams.", lambda: traffic.streams)
        total("connection_operations", "Operations on sockets and streams.", lambda: traffic.operations)
        total("deliveries", "Responses sent on sockets and streams.", lambda: traffic.deliveries)
        total("deliveries_coalesced", "Values of gauges that newer ones replaced.", lambda: traffic.coalesced)
        total("connections_closed_slow", "Connections closed for slow reading.", lambda: traffic.closed_slow)
        total("connections_aborted", "Connections dropped for not reading at all.", lambda: traffic.aborted)
        total("subscriptions", "Subscriptions begun.", lambda: counts["operations"])
        total("subscriptions_resumed", "Subscriptions that came with a cursor.", lambda: counts["resumed"])
        total("subscription_gaps", "Subscribers told that the ledger lost something.", lambda: counts["gaps"])
        total("subscription_backlog_updates", "Updates told to one subscriber alone.", lambda: counts["backlog"])
        total("shared_executions", "Executions of shared streams.", lambda: counts["executions"])
        total("sweeps", "Sweeps done.", lambda: sweeper.sweeps)
        total("sweep_failures", "Sweeps that have to be repeated.", lambda: sweeper.failures)
        total("folds", "Changes folded into the rollups.", lambda: folder.folded)
        total("fold_days", "Days folded from their jobs, as what came in bulk is.", lambda: folder.days)
        total("fold_refusals", "Changes left out of the rollups.", lambda: folder.refused)
        total("fold_failures", "Attempts to fold that have to be repeated.", lambda: folder.failures)
        self._by_kind("swept_rows", "What sweeps did, in rows.", sweeper.swept)
        self._by_kind("rate_limits", "Leases of allowances, refusals, and silences of the database.", counters["pace"])
        self._by_kind("audit_rows", "Rows of the audit log, and writes that failed.", counters["audit"])
        self._by_kind("answers", "Questions by how their answers were shared.", counters.get("answers", Counter()))
        jobs = live.collector.live_jobs
        self._by_kind("collected", "Transitions, rebuildings and differences of the live fleet.", jobs.counts)
        state("collector_jobs", "Jobs known one by one.", "livemax", lambda: jobs.known)
        state("collector_crowd", "Jobs that wait or run and are only a number.", "livemax", lambda: jobs.crowd)
        state("sockets_open", "WebSockets that are open.", "livesum", lambda: traffic.open_sockets)
        state("streams_open", "Answers over HTTP that still go on.", "livesum", lambda: traffic.open_streams)
        state("connection_operations_open", "Operations that run on them.", "livesum", lambda: traffic.open_operations)
        state(
            "shared_streams", "Subscriptions executed, each for all who ask alike.", "livesum", lambda: streams.shared
        )
        state("feed_age_seconds", "Time since a worker last saw the ledger.", "livemax", lambda: live.feed_age)
        state(
            "doorbell_connected", "Whether each worker hears the database.", "livemin", lambda: live.doorbell.connected
        )
        state("bus_connected", "Whether each worker hears the others.", "livemin", lambda: live.bus in _HEARD)

    def _by_kind(self, name: str, what: str, counts: Counter[str]) -> None:
        family = self._metrics.counter(name, what, "kind")
        for kind in counts:
            self._takers.append(_increasing(family.labels(kind).inc, partial(counts.__getitem__, kind)))

    def take(self) -> None:
        """Take everything over."""
        for take in self._takers:
            take()

    async def run(self) -> None:
        """Do so every second, until cancelled."""
        while True:
            self.take()
            await asyncio.sleep(_EVERY)

    def _total(self, name: str, what: str, read: Read) -> None:
        self._takers.append(_increasing(self._metrics.counter(name, what).inc, read))

    def _state(self, name: str, what: str, over_workers: OverWorkers, read: Read) -> None:
        gauge = self._metrics.gauge(name, what, over_workers)
        self._takers.append(lambda: gauge.set(read()))


def _increasing(increase: Callable[[float], None], read: Read) -> Callable[[], None]:
    taken = 0.0

    def take() -> None:
        nonlocal taken
        total = read()
        increase(total - taken)
        taken = total

    return take
