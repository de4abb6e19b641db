"""Trusted documents: what the clients of this installation may ask, by the id they send for it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from datasources.postgres import Connection, Database, fetch
from datasources.sql import queries

_SQL = queries("documents")


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A trusted document."""

    id: str
    sha256: str
    text: str
    registered_at: datetime


def digest(text: str) -> str:
    """The SHA-256 of a document in hexadecimal digits, as clients send it."""
    return sha256(text.encode()).hexdigest()


async def register(connection: Connection, documents: Sequence[tuple[str, str]]) -> int:
    """Trust documents, each an id and its text; gives how many of them are new or have a new text."""
    parameters = {
        "ids": [id_ for id_, _ in documents],
        "hashes": [digest(text) for _, text in documents],
        "texts": [text for _, text in documents],
    }
    return len(await fetch(connection, _SQL["register_documents"], parameters))


async def forget(connection: Connection, ids: Collection[str] | None) -> set[str]:
    """Trust documents no more, all of them with None; gives the ids that were known."""
    if ids is None:
        rows = await fetch(connection, _SQL["forget_all_documents"])
    else:
        rows = await fetch(connection, _SQL["forget_documents"], {"ids": list(ids)})
    return {row["id"] for row in rows}


async def documents(connection: Connection) -> list[DocumentRow]:
    """All trusted documents, by id."""
    return [DocumentRow(**row) for row in await fetch(connection, _SQL["documents"])]


async def documents_mark(database: Database) -> str:
    """Something that is different once a document has come or gone."""
    [row] = await database.fetch(_SQL["documents_mark"])
    return f"{row['documents']} {row['mark']}"
