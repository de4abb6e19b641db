"""What every resolver of one operation shares. Built anew for each, loaders included: nothing goes stale."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import strawberry

from datasources.postgres import Database
from datasources.settings import Settings
from graph.loaders import Loaders


@dataclass(slots=True)
class Context:
    """One operation: the database behind it, its moment, its correlation id and its loaders."""

    database: Database
    settings: Settings
    correlation_id: str
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    loaders: Loaders = field(init=False)

    def __post_init__(self) -> None:
        self.loaders = Loaders(self.database, self.settings, self.midnight)

    @property
    def midnight(self) -> datetime:
        """The start of today, UTC."""
        return self.now.replace(hour=0, minute=0, second=0, microsecond=0)


Info = strawberry.Info[Context, None]
