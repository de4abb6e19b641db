"""A database that has failed shows no more of itself than before."""

from __future__ import annotations

from datasources.failed import FailedDatabase
from datasources.postgres import Database, UpstreamTimeout
from datasources.robots import RobotCriteria, robots_count
from datasources.scope import Scope
from datasources.settings import Settings

BLUE = Scope(frozenset({"blue"}))
NOWHERE = Scope(frozenset())


async def test_a_failed_database_keeps_its_scope_and_takes_another(seeded_dsn: str) -> None:
    database = Database(seeded_dsn, Settings())
    await database.open()
    try:
        failed = FailedDatabase(database.scoped(BLUE), UpstreamTimeout("slow"))
        narrower = failed.scoped(NOWHERE)
        assert (failed.scope, narrower.scope) == (BLUE, NOWHERE)
        assert await robots_count(database, RobotCriteria(), 60) > 0
        assert await robots_count(narrower, RobotCriteria(), 60) == 0
    finally:
        await database.close()
