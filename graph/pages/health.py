"""Whether the service can do its work, and if not, why. Each check has a state, how old what it knows is, and a reason.

`degraded` means that somebody should look, while all that is asked is still answered.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from datasources.postgres import Database, UpstreamError
from datasources.sql import Query
from graph.access.doors import sees_something
from graph.operating.exchanges import exchange
from subscriptions.live import Live
from subscriptions.tail import BusState

_PING = Query("ping", "SELECT 1")
_PATIENCE = 3.0  # seconds for the database to answer, and for a worker that has just started to see the ledger
_OLDEST = 15.0  # seconds since the ledger was seen; it is looked at every second or two

Check = dict[str, Any]


class Health:
    """`/health` and `/health/ready`: 200 while all that is asked can be answered, else 503; `/health/live`: 200."""

    def __init__(self, database: Database, live: Live) -> None:
        self._database = database
        self._live = live

    def routes(self) -> list[Route]:
        """The routes of health."""
        return [
            Route("/health", self.show),
            Route("/health/ready", self.show),
            Route("/health/live", self.show_life),
        ]

    async def show(self, _request: Request) -> Response:
        """The state of the service, and for those who are known that of what it needs."""
        database, feed = await asyncio.gather(self._check_database(), self._check_feed())
        checks = {"database": database, "feed": feed, "bus": self._check_bus(), "collector": self._check_collector()}
        states = {check["status"] for check in checks.values()}
        status = next((state for state in ("unavailable", "degraded") if state in states), "ok")
        told = {"checks": checks} if sees_something(exchange().viewer) else {}
        return _answer({"status": status, **told}, 503 if status == "unavailable" else 200)

    async def show_life(self, _request: Request) -> Response:
        """That the process is there, and its event loop turns."""
        return _answer({"status": "ok"}, 200)

    async def _check_database(self) -> Check:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._database.fetch(_PING)
        except UpstreamError as error:
            return {"status": "unavailable", "reason": str(error)}
        except TimeoutError:
            return {"status": "unavailable", "reason": f"no answer within {_PATIENCE:g} s"}
        return {"status": "ok", "ageSeconds": 0.0, "latencyMs": round((time.perf_counter() - started) * 1000, 1)}

    async def _check_feed(self) -> Check:
        """How long ago the ledger was seen, and whether the database can say that there is something new."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._live.seen.wait()
        except TimeoutError:
            return {"status": "unavailable", "reason": "the ledger has not been read yet"}
        age = self._live.feed_age
        told = {"ageSeconds": round(age, 3), "doorbell": self._live.doorbell.connected}
        if age > _OLDEST:
            return {"status": "unavailable", **told, "reason": f"the ledger was not seen for {age:.0f} s"}
        if not self._live.doorbell.connected:
            return {"status": "degraded", **told, "reason": "the doorbell is not connected: news come a second later"}
        return {"status": "ok", **told}

    def _check_bus(self) -> Check:
        state = self._live.bus
        told = {"reason": state.value}
        if state in {BusState.ALONE, BusState.CONNECTED}:
            return {"status": "ok", **told}
        return {"status": "degraded", **told}

    def _check_collector(self) -> Check:
        """How old that is what is kept of the fleet in memory."""
        collector = self._live.collector
        if not collector.ready:
            return {"status": "degraded", "reason": "the fleet is not in memory yet: it is read for each question"}
        age = (datetime.now(UTC) - collector.as_of).total_seconds()
        told = {"ageSeconds": round(max(0.0, age), 3), **collector.live_jobs.counts}
        if age > _OLDEST:
            return {"status": "degraded", **told, "reason": "what is shown live could not be read again"}
        return {"status": "ok", **told}


def _answer(body: dict[str, Any], status: int) -> Response:
    return Response(orjson.dumps(body), status, {"Cache-Control": "no-store"}, media_type="application/json")
