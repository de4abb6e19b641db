"""Rate limits: what somebody may spend in a minute, over all workers together.

A worker leases a part of the allowance from the database and spends it by itself: leases are as large as what was
spent lately, up to a twentieth, so that most operations cost no round trip. A lease ends with its bucket of five
seconds; what is left is given back with the next. Where the database does not answer, each worker goes on alone with
its share of the allowance, and tells afterwards what it spent.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import Final

import asyncpg

from datasources.postgres import Database, UpstreamError
from datasources.rates import Spent, lease, spent
from datasources.settings import Settings
from graph.errors import ClientError
from graph.limits.purse import Purse
from graph.operating.exchanges import exchange
from graph.viewer import Viewer

_log = logging.getLogger(__name__)

_PURSES = 10_000  # of a worker; beyond, the one used longest ago is dropped, and what is left in it counts as spent
_LONGEST_ADDRESS = 64  # characters
_PATIENCE = 1.0  # seconds for the database to answer
_ALONE = 2.0  # seconds until it is asked again when it did not


class RateLimited(ClientError):
    """Somebody has spent what they may in a minute; `retry_after` is in whole seconds."""

    def __init__(self, allowance: Allowance, wait: float) -> None:
        self.retry_after: Final = max(1, math.ceil(wait))
        super().__init__(f"{allowance.rule} Try again in {self.retry_after} s.", "RATE_LIMITED")


@dataclass(frozen=True, slots=True)
class Allowance:
    """What may be spent in a minute, and the sentence that says so."""

    name: str
    limit: int
    rule: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody may spend in a minute, what of it remains, and in how many seconds all of it will be back."""

    limit: int
    remaining: int
    reset: float


class Pace:
    """Everybody's allowances, as one worker knows them; `counts` tells its leases, refusals and failures."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self._workers = settings.workers
        self._given = clock
        self._clock = clock or time.monotonic
        self._purses: OrderedDict[tuple[str, str], Purse] = OrderedDict()
        self._back_at = -math.inf
        self._away = False
        self._on = settings.limits_rates
        most = settings.rate_limit_cost
        self.costs = Allowance("cost", most, f"Operations may cost {most:,} a minute, and yours have.")
        self.counts: Counter[str] = Counter(leases=0, refusals=0, failures=0)

    async def spend(self, who: str, cost: int, allowance: Allowance | None = None) -> None:
        """Take a cost off somebody's allowance, see `payer`; raises RateLimited where there is not so much left."""
        if not self._on:
            return
        allowance = allowance or self.costs
        cost = min(cost, allowance.limit)
        purse = self._purse(who, allowance)
        if purse.take(cost, self._clock()):
            return
        async with purse.lock:
            now = self._clock()
            if purse.take(cost, now):
                return
            wait = purse.refusal(cost, now)
            if wait is None:
                wait = await self._lease(purse, who, cost, allowance)
        if wait is not None:
            self.counts["refusals"] += 1
            raise RateLimited(allowance, wait)

    async def status(self, who: str, allowance: Allowance | None = None) -> Standing | None:
        """Where somebody stands, or None where nothing is limited or the database cannot tell."""
        if not self._on:
            return None
        allowance = allowance or self.costs
        found = await self._asked(lambda: spent(self._database, _digest(who, allowance), self._moment()))
        if found is None:
            return None
        remaining = self._purse(who, allowance).remaining(allowance.limit, found)
        return Standing(allowance.limit, remaining, found.reset)

    def known(self, who: str, allowance: Allowance) -> Standing | None:
        """The same as far as this worker knows, which asks nobody."""
        if not self._on:
            return None
        purse = self._purse(who, allowance)
        return Standing(allowance.limit, purse.remaining(allowance.limit), purse.reset(self._clock()))

    async def _lease(self, purse: Purse, who: str, cost: int, allowance: Allowance) -> float | None:
        now, limit = self._clock(), allowance.limit
        wish = purse.wish(cost, limit, now)
        found = await self._asked(lambda: lease(self._database, _digest(who, allowance), limit, wish, self._moment()))
        if found is None:
            return purse.take_alone(cost, max(limit // self._workers, cost), self._clock())
        self.counts["leases"] += 1
        return purse.filled(cost, limit, found, now)

    async def _asked(self, ask: Callable[[], Awaitable[Spent]]) -> Spent | None:
        """What the database says, or None while it does not answer."""
        if self._clock() < self._back_at:
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await ask()
            self._away = False
            return found
        except (TimeoutError, UpstreamError, asyncpg.PostgresError) as error:
            self.counts["failures"] += 1
            self._back_at = self._clock() + _ALONE
            if not self._away:
                _log.warning("rates are limited by each worker alone: %s", str(error) or "no answer")
            self._away = True
            return None

    def _moment(self) -> float | None:
        return None if self._given is None else self._given()

    def _purse(self, who: str, allowance: Allowance) -> Purse:
        key = allowance.name, who
        purse = self._purses.get(key)
        if purse is None:
            purse = self._purses[key] = Purse()
            if len(self._purses) > _PURSES:
                self._purses.popitem(last=False)
        else:
            self._purses.move_to_end(key)
        return purse


def payer(viewer: Viewer) -> str:
    """Who pays for what a viewer asks: they themselves, or their network where nobody knows them."""
    return f"viewer {viewer.name}" if viewer.known else f"address {network(exchange().address)}"


def network(address: str | None) -> str:
    """Whom an address stands for, of which a longer text is none."""
    return _network(None if address is None else address[:_LONGEST_ADDRESS])


@lru_cache(maxsize=1000)  # parsing one costs more than all the rest of paying
def _network(address: str | None) -> str:
    """Whom an address stands for: of IPv6 everybody has a whole /64."""
    try:
        ip = ip_address(address or "")
    except ValueError:
        return address or "-"
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))


def _digest(who: str, allowance: Allowance) -> bytes:
    """The key of a row, as long for everybody and whatever a name consists of."""
    return blake2b(f"{allowance.name} {who}".encode(errors="surrogatepass"), digest_size=16).digest()
