"""Workflows that fail more often than they used to: the last hour, from the jobs, against a week of the rollups."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import strawberry

from datasources.fleet import FleetScope, RecentFailures, recent_failures
from datasources.measures import Totals
from datasources.windows import AnalyticsScope, Step
from datasources.workflows import WorkflowRow
from graph.context import Info
from graph.types.workflows import Workflow

_RECENT, _PAST = timedelta(hours=1), timedelta(days=7)
_LEAST_ENDED, _LEAST_FAILED = 5, 2  # fewer tell nothing
_LEAST_PAST = 20  # jobs that make a baseline
_TIMES, _POINTS = 2.0, 10.0  # how much more often it fails
_MOST = 500  # workflows that are compared


@dataclass(frozen=True, slots=True)
class Failing:
    """What of a workflow failed in the last hour, and in the week before."""

    recent: RecentFailures
    past: Totals

    @property
    def rate(self) -> float:
        """The share that failed in the last hour, in percent."""
        return 100 * self.recent.failed / self.recent.ended

    @property
    def baseline(self) -> float | None:
        """The share that failed in the week before, in percent; None where too few ended."""
        return self.past.failure_rate if self.past.ended >= _LEAST_PAST else None

    @property
    def worse(self) -> float:
        """By how many points it fails more often."""
        return self.rate - (self.baseline or 0.0)

    @property
    def notable(self) -> bool:
        """Whether that is worth a word."""
        return self.worse >= _POINTS and self.rate >= _TIMES * (self.baseline or 0.0)


async def failing(fleet: FleetScope, info: Info) -> list[Failing]:
    """The workflows that fail more often than they used to, the worst first."""
    since = info.context.now - _RECENT
    recent = await recent_failures(
        info.context.database, fleet, since, least_ended=_LEAST_ENDED, least_failed=_LEAST_FAILED, most=_MOST
    )
    if not recent:
        return []
    hour = Step.HOUR.floor(since)
    scopes = [
        AnalyticsScope(hour - _PAST, hour, workflow_id=each.workflow_id, environment=fleet.environment)
        for each in recent
    ]
    past = await info.context.loaders.analytics.totals.load_many(scopes)
    found = [Failing(*each) for each in zip(recent, past, strict=True)]
    return sorted((each for each in found if each.notable), key=lambda each: (-each.worse, each.recent.workflow_id))


@strawberry.type(description="A workflow that fails more often in the last hour than it used to.")
class FailingWorkflow:
    """A failing workflow; its root is a Failing."""

    @strawberry.field(description="The workflow's id.")
    @staticmethod
    def workflow_id(failing: strawberry.Parent[Failing]) -> strawberry.ID:
        return strawberry.ID(failing.recent.workflow_id)

    @strawberry.field(description="The workflow's name.")
    @staticmethod
    def workflow_name(failing: strawberry.Parent[Failing]) -> str:
        return failing.recent.workflow_name

    @strawberry.field(graphql_type=Workflow | None, description="The workflow.")
    @staticmethod
    async def workflow(failing: strawberry.Parent[Failing], info: Info) -> WorkflowRow | None:
        return await info.context.loaders.workflows.load(failing.recent.workflow_id)

    @strawberry.field(description="Jobs that ended in the last hour.")
    @staticmethod
    def ended(failing: strawberry.Parent[Failing]) -> int:
        return failing.recent.ended

    @strawberry.field(description="Those of them that failed.")
    @staticmethod
    def failed(failing: strawberry.Parent[Failing]) -> int:
        return failing.recent.failed

    @strawberry.field(description="Their share, in percent.")
    @staticmethod
    def failure_rate(failing: strawberry.Parent[Failing]) -> float:
        return failing.rate

    @strawberry.field(
        description="The same of the jobs that were created in the 7 days before the whole hour in which that hour "
        f"begins, in percent; null with fewer than {_LEAST_PAST} that ended."
    )
    @staticmethod
    def baseline_failure_rate(failing: strawberry.Parent[Failing]) -> float | None:
        return failing.baseline

    @strawberry.field(description="Jobs of those 7 days that ended.")
    @staticmethod
    def baseline_ended(failing: strawberry.Parent[Failing]) -> int:
        return failing.past.ended
