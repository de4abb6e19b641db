"""The documents that are known here by an id or a hash: trusted ones, our own, and those that clients told us.

Trusted ones stand in the database, and each worker looks every two seconds whether they have changed. What clients
register by themselves (automatic persisted queries) is only ever a text with its own hash, so nobody can put one
document in another's place; a worker keeps the ones used last, and forgotten ones are sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

from datasources.documents import DocumentRow, digest, documents, documents_mark
from datasources.postgres import Database, UpstreamError
from datasources.settings import Settings
from graph.engine.requests import Request
from graph.errors import ClientError

NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"

_EVERY = 2.0  # seconds
_REMEMBERED = 1_000_000  # characters of what clients registered; what was used longest ago goes first

_log = logging.getLogger(__name__)


class Documents:
    """What one worker knows; its own documents are trusted whoever sends them."""

    def __init__(self, settings: Settings, own: Iterable[str]) -> None:
        self._only_trusted = settings.documents == "trusted"
        self._own = {digest(text): text for text in own}
        self._trusted: dict[str, str] = {}
        self._hashes = set(self._own)
        self._told: OrderedDict[str, str] = OrderedDict()
        self._characters = 0
        self._mark = ""

    def resolve(self, request: Request) -> Request:
        """The request with its document; raises ClientError where that is not known, or not trusted."""
        if request.document_id is not None:
            text = self._trusted.get(request.document_id.removeprefix("sha256:"))
            if text is None:
                raise ClientError(f"There is no document {request.document_id!r:.100} here.", NOT_FOUND)
            return replace(request, query=text)
        if not request.query and request.sha256 is not None:
            text = self._trusted.get(request.sha256) or self._recalled(request.sha256)
            if text is None:
                raise ClientError("PersistedQueryNotFound", NOT_FOUND)  # to the letter what Apollo's clients wait for
            return replace(request, query=text)
        if request.sha256 is not None and digest(request.query) != request.sha256:
            raise ClientError("provided sha does not match query", "BAD_REQUEST")
        if self._only_trusted and digest(request.query) not in self._hashes:
            message = "Only documents that are registered here run here: send one by its documentId."
            raise ClientError(message, NOT_TRUSTED)
        return request

    def remember(self, request: Request) -> None:
        """Know a document by its hash from now on, where its client wants that."""
        sha256, text = request.sha256, request.query
        if sha256 is None or sha256 in self._told or sha256 in self._trusted:
            return
        self._told[sha256] = text
        self._characters += len(text)
        while self._characters > _REMEMBERED:
            _, forgotten = self._told.popitem(last=False)
            self._characters -= len(forgotten)

    async def follow(self, database: Database) -> None:
        """Keep up with the trusted documents until cancelled."""
        reached = True
        while True:
            try:
                await self.read(database)
                reached = True
            except UpstreamError as error:
                if reached:
                    _log.warning("trusted documents stay as they were: %s", error)
                reached = False
            await asyncio.sleep(_EVERY)

    async def read(self, database: Database) -> None:
        """Learn the trusted documents, if they have changed."""
        mark = await documents_mark(database)
        if mark != self._mark:
            async with database.connection() as connection:
                self._learn(await documents(connection))
            self._mark = mark

    def _learn(self, rows: Iterable[DocumentRow]) -> None:
        rows = list(rows)
        by_hash = {row.sha256: row.text for row in rows}
        self._trusted = by_hash | {row.id.removeprefix("sha256:"): row.text for row in rows}
        self._hashes = {*self._own, *by_hash}

    def _recalled(self, sha256: str) -> str | None:
        text = self._told.get(sha256)
        if text is not None:
            self._told.move_to_end(sha256)
        return text
