"""The fleet's numbers by scope: all that are asked of one scope are one statement."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from datasources.fleet import FleetPart, FleetScope, fleet_numbers
from datasources.postgres import Database
from graph.loaders.batching import Loader


def fleet_loader(database: Database, offline_after: float, now: datetime) -> Loader[tuple[FleetScope, FleetPart], Any]:
    """Numbers by the scope and part they are of."""

    async def load(keys: list[tuple[FleetScope, FleetPart]]) -> list[Any]:
        parts: dict[FleetScope, set[FleetPart]] = {}
        for scope, part in keys:
            parts.setdefault(scope, set()).add(part)
        answers = await asyncio.gather(
            *(fleet_numbers(database, scope, asked, offline_after, now) for scope, asked in parts.items())
        )
        found = dict(zip(parts, answers, strict=True))
        return [found[scope][part] for scope, part in keys]

    return Loader(load)
