"""What commands do to the database of the server: in one connection, told to the audit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from datasources.audit import AuditKind
from datasources.postgres import Database, UpstreamError
from graph.audit import Audit
from graph.console import UNAVAILABLE, explained, fail, load_settings
from graph.serving import database, migrated

_T = TypeVar("_T")


def within(work: Callable[[Database], Awaitable[_T]]) -> _T:
    """Do some work with the database that the server uses."""
    settings = load_settings()

    async def run(dsn: str) -> _T:
        opened = Database(dsn, settings.model_copy(update={"pool_size": 1}))
        await opened.open()
        try:
            return await work(opened)
        finally:
            await opened.close()

    with explained(), database(settings) as dsn:
        migrated(dsn)
        try:
            return asyncio.run(run(dsn))
        except UpstreamError as error:
            raise fail(str(error), UNAVAILABLE) from error


async def tell(database: Database, code: str, detail: str) -> None:
    """Tell the audit what was done from the command line."""
    audit = Audit(database)
    audit.note(AuditKind.ADMIN_ACTION, code=code, viewer="command line", detail=detail)
    await audit.close()
