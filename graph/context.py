"""What every resolver of one operation shares. Built anew for each, loaders included: nothing goes stale."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import strawberry

from datasources.failed import FailedDatabase
from datasources.postgres import Database, UpstreamError
from datasources.settings import Settings
from graph.limits.pace import Pace, payer
from graph.loaders import Loaders
from graph.reads import EVERYTHING, OfTypes
from graph.viewer import Viewer
from subscriptions.collector import RPAMetricsCollector
from subscriptions.ledger import Part
from subscriptions.sight import Sight

_MOMENTS = 256  # newest events whose contexts are kept


@dataclass(slots=True)
class Context:
    """One operation, or one event of a subscription: the database as its viewer sees it, its moment and its loaders."""

    database: Database
    settings: Settings
    correlation_id: str
    viewer: Viewer
    pace: Pace | None = None
    cost: int = 0
    collector: RPAMetricsCollector | None = None
    sight: Sight | None = None
    part: Part | None = None
    moments: Moments | None = None
    forget: Callable[[str], None] = lambda _: None
    now: datetime = field(init=False)
    reads: OfTypes = field(init=False)
    _loaders: Loaders | None = field(init=False)

    def __post_init__(self) -> None:
        self.now = datetime.now(UTC)
        self.read_only(EVERYTHING)

    @property
    def loaders(self) -> Loaders:
        """The loaders of this operation, made when first asked for: a subscriber that only waits needs none."""
        if self._loaders is None:
            self._loaders = Loaders(self.database, self.settings, self.now, self.collector, self.reads)
        return self._loaders

    async def pay(self, cost: int) -> None:
        """Take the operation's cost off what its viewer may spend; raises RateLimited where that is spent."""
        self.cost = cost
        if self.pace is not None:
            await self.pace.spend(payer(self.viewer), cost)

    def after(self, error: UpstreamError) -> None:
        """Go on with new loaders and a database that fails again as it did, without being asked for it again."""
        self.database, self._loaders = FailedDatabase(self.database, error), None

    def read_only(self, reads: OfTypes) -> None:
        """Read these columns from now on, with new loaders."""
        self.reads, self._loaders = reads, None

    def fresh(self) -> Context:
        """The same with a new moment and new loaders."""
        return replace(self)

    def at(self, seq: int) -> Context:
        """The context of an event, which everything that is asked about that event shares."""
        return self.fresh() if self.moments is None else self.moments.of(seq, self)


class Moments:
    """The contexts of the newest events: what those of equal sight ask about one at the same time is read once."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[tuple[int, Hashable], Context] = OrderedDict()

    def of(self, seq: int, context: Context) -> Context:
        """The context of an event, made from another where there is none yet."""
        key = seq, context.viewer.sight
        found = self._contexts.get(key)
        if found is None:
            found = self._contexts[key] = context.fresh()
            if len(self._contexts) > _MOMENTS:
                self._contexts.popitem(last=False)
        return found


ContextOf = Callable[[str, Viewer], Context]  # from a correlation id, and who asks

Info = strawberry.Info[Context, None]
