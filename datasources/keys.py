"""API keys: `casare_<id>_<secret>`, of which the database knows the id and a digest of the secret.

A plain digest is enough: the secret is 32 random bytes, which nobody guesses however fast they hash.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NewType

from datasources.postgres import Database, fetch
from datasources.sql import queries

KeyId = NewType("KeyId", str)

MOST = 2000  # active keys: each worker keeps them in memory, and reads them every other second

_SQL = queries("keys")


class KeyNotCreated(Exception):
    """There is an active key of that name, or there are too many."""


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; `environments` is None for everything."""

    key_id: KeyId
    name: str
    role: str
    environments: frozenset[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    @classmethod
    def of(cls, record: Iterable[object]) -> Key:
        """The key in a row of `columns`."""
        key = cls(*record)  # type: ignore[arg-type]  # the columns stand in the order of the fields
        if key.environments is not None:
            object.__setattr__(key, "environments", frozenset(key.environments))
        return key


@dataclass(frozen=True, slots=True)
class ActiveKey:
    """A key that opens, and the digest of its secret."""

    key: Key
    secret_sha256: bytes


def digest_of(secret: str) -> bytes:
    """What stands in the database instead of a secret."""
    return sha256(secret.encode()).digest()


async def active_keys(database: Database) -> Mapping[KeyId, ActiveKey]:
    """The keys that open, by their id."""
    records = await database.fetch(_SQL["active_keys"])
    return {key.key_id: ActiveKey(key, digest) for digest, *row in records for key in [Key.of(row)]}


async def all_keys(database: Database) -> tuple[Key, ...]:
    """Every key that there is or was, newest first."""
    return tuple(Key.of(record) for record in await database.fetch(_SQL["all_keys"]))


async def create_key(
    database: Database, name: str, role: str, environments: Collection[str] | None, seconds: float | None
) -> str:
    """A new key in full, for once; it opens for so long, or until it is revoked. Raises KeyNotCreated."""
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    parameters = {
        "key_id": key_id,
        "digest": digest_of(secret),
        "name": name,
        "role": role,
        "environments": None if environments is None else sorted(environments),
        "seconds": seconds,
        "most": MOST,
    }
    async with database.transaction() as connection:
        await fetch(connection, _SQL["expire_namesakes"], {"name": name})
        created = await fetch(connection, _SQL["create_key"], parameters)
    if not created:
        raise KeyNotCreated(f"there is an active key of that name, or there are {MOST:,} already: revoke one first")
    return f"casare_{key_id}_{secret}"


async def revoke_key(database: Database, key_id: str) -> Key | None:
    """Let a key open no more; gives it as it now is, or None where no key of that id opens."""
    records = await database.fetch(_SQL["revoke_key"], {"key_id": key_id})
    return Key.of(records[0]) if records else None


async def use_keys(database: Database, used: Mapping[KeyId, datetime]) -> None:
    """Remember when keys were used."""
    await database.fetch(_SQL["use_keys"], {"key_ids": list(used), "ats": list(used.values())})
