"""What commands do to the database of the server: in one connection, told to the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from datasources.audit import AuditKind
from datasources.postgres import Database, UpstreamError
from datasources.settings import Settings
from graph.access.audit import Audit
from graph.commands.console import UNAVAILABLE, explained, fail, load_settings
from graph.commands.serving import database, migrated

_T = TypeVar("_T")


def within(work: Callable[[Database], Awaitable[_T]]) -> _T:
    """Do some work with the database that the server uses."""
    settings = load_settings()
    with explained(), database(settings) as dsn:
        migrated(dsn)
        try:
            return asyncio.run(_within(dsn, settings, work))
        except UpstreamError as error:
            raise fail(str(error), UNAVAILABLE) from error


async def _within(dsn: str, settings: Settings, work: Callable[[Database], Awaitable[_T]]) -> _T:
    opened = Database(dsn, settings.model_copy(update={"pool_size": 1}))
    await opened.open()
    try:
        return await work(opened)
    finally:
        await opened.close()


def told(dsn: str, code: str, detail: str) -> None:
    """Tell the audit of a database at hand what was done to it."""
    asyncio.run(_within(dsn, Settings(), lambda at: tell(at, code, detail)))


async def tell(database: Database, code: str, detail: str) -> None:
    """Tell the audit what was done from the command line."""
    audit = Audit(database)
    audit.note(AuditKind.ADMIN_ACTION, code=code, viewer="command line", detail=detail)
    await audit.close()
