"""The depth of a queue whose jobs nobody reports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from datasources.postgres import Database, fetch
from datasources.reports.refusals import Refusal, RefusalCode, Reported, ReportOutcome, outside, refused
from datasources.reports.values import Count, Id, Past, fault, storable
from datasources.sql import queries

_SQL = queries("reports/queue")


@dataclass(frozen=True, slots=True)
class QueueReport:
    """How many jobs wait."""

    depth: Count
    at: Past
    environment: Id = "default"


async def report_queue(database: Database, report: QueueReport, now: datetime) -> Reported:
    """The depth stands until the next report."""
    async with database.transaction() as connection:
        if (wrong := fault(report, now)) is not None:
            return await refused(connection, Refusal(RefusalCode.INVALID_VALUE, wrong, storable(report.environment)))
        if not database.scope.sees(report.environment):
            return await refused(connection, outside("the queue of", report.environment, database.scope))
        rows = await fetch(connection, _SQL["report_queue"], asdict(report))
    if not rows:
        return Reported(ReportOutcome.UNCHANGED, accepted=1)
    return Reported(ReportOutcome.CREATED if rows[0]["created"] else ReportOutcome.UPDATED, accepted=1)
