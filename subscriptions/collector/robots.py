"""The robots at a moment, as somebody sees them: they stay so until one of them speaks, or falls silent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from datasources.fleet import FleetRobots
from datasources.robots import RobotRow
from datasources.scope import Scope
from datasources.statuses import RobotStatus

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RobotNow:
    """A robot, and what it is doing at the moment of the picture."""

    row: RobotRow
    status: RobotStatus


class Robots:
    """The robots of a scope, or of one environment of it; offline are those, too, that are silent since a moment.

    `anybody` holds the robots of the whole scope, as one may run a job of another environment.
    """

    def __init__(
        self, rows: Iterable[RobotRow], scope: Scope, environment: str | None, silent_since: datetime, version: int = 0
    ) -> None:
        self._silent_since = silent_since
        self._version = version
        self.anybody: Mapping[str, RobotNow] = {
            row.robot_id: RobotNow(row, RobotStatus.OFFLINE if row.last_sign < silent_since else row.status)
            for row in rows
            if scope.sees(row.environment)
        }
        self.seen: Sequence[RobotNow] = [
            robot for robot in self.anybody.values() if environment in {None, robot.row.environment}
        ]
        self.states: Counter[RobotStatus] = Counter(robot.status for robot in self.seen)
        self._next_silence = min(
            (robot.row.last_sign for robot in self.anybody.values() if robot.status is not RobotStatus.OFFLINE),
            default=_NEVER,
        )

    def still(self, version: int, silent_since: datetime) -> bool:
        """Whether the same is true of a later moment: nothing was read anew, and nobody fell silent."""
        return version == self._version and self._silent_since <= silent_since <= self._next_silence

    @property
    def counts(self) -> FleetRobots:
        """How many there are, by state."""
        states = self.states
        return FleetRobots(
            len(self.seen),
            busy=states[RobotStatus.BUSY],
            idle=states[RobotStatus.IDLE],
            offline=states[RobotStatus.OFFLINE],
            failed=states[RobotStatus.FAILED],
        )
