"""Steps that heal themselves, as their robots tell it; whatever source the job is known from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from datasources.postgres import Database, fetch
from datasources.reports.refusals import Refusal, RefusalCode, Reported, ReportOutcome, refused
from datasources.reports.values import Id, fault, storable
from datasources.sql import queries

_SQL = queries("reports/healing")


@dataclass(frozen=True, slots=True)
class HealingReport:
    """An attempt to heal a step, in the way that `tier` names."""

    job_id: Id
    node_id: Id
    tier: Id
    success: bool


async def report_healing(database: Database, report: HealingReport, now: datetime) -> Reported:
    """The attempt is kept."""
    async with database.transaction() as connection:
        if (wrong := fault(report, now)) is not None:
            return await refused(connection, Refusal(RefusalCode.INVALID_VALUE, wrong, storable(report.job_id)))
        if not await fetch(connection, _SQL["insert_healing"], {**asdict(report), "at": now}):
            message = f"job {report.job_id} is not known: call reportJob first"
            return await refused(connection, Refusal(RefusalCode.UNKNOWN_JOB, message, report.job_id))
    return Reported(ReportOutcome.CREATED, accepted=1)
