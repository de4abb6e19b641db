"""How busy robots were, from their turns in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from datasources.postgres import Database
from datasources.sql import queries

_SQL = queries("busy")


@dataclass(frozen=True, slots=True)
class RobotTime:
    """Seconds for which a robot was busy, and online at all; and from when on that is known, where not all is."""

    busy: float = 0.0
    online: float = 0.0
    known_from: datetime | None = None

    @property
    def ratio(self) -> float | None:
        """The share of the time online in which it was busy, in percent."""
        return 100 * self.busy / self.online if self.online else None


async def busy_by_robot(
    database: Database, robot_ids: Sequence[str], since: datetime, until: datetime, most: int
) -> Mapping[str, RobotTime]:
    """The time of these robots between two moments; `most` is how many numbers the ledger keeps."""
    parameters = {"robot_ids": list(robot_ids), "since": since, "until": until, "most": most}
    records = await database.fetch(_SQL["busy_by_robot"], parameters)
    return {record["robot_id"]: RobotTime(*record[1:]) for record in records}
