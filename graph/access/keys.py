"""API keys at a worker: the active ones are in memory, so that a flood of forged ones never gets to the database.

They are read again two seconds after the last time, when somebody comes with a key: one that was revoked opens nothing
three seconds later, anywhere, and its sockets are closed. An id that is unknown has them read once a second at most.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from datasources.keys import ActiveKey, Key, KeyId, active_keys, digest_of, use_keys
from datasources.postgres import Database, UpstreamError, UpstreamTimeout
from datasources.scope import Scope
from graph.access.credentials import CredentialsRefused
from graph.viewer import Role, Viewer

_log = logging.getLogger(__name__)

PREFIX = "casare_"
_SHAPE = re.compile(r"casare_(?P<id>[0-9a-f]{12})_(?P<secret>[\w-]{43})", re.ASCII)
_FRESH = 2.0  # seconds that the keys in memory are believed
_FRESH_FOR_STRANGERS = 1.0  # the same, for an id that is not among them
_PATIENCE = 3.0  # seconds to wait for the database
_USED_AGAIN = 60.0  # seconds until the use of a key is noted again
_NO_KEY = bytes(32)  # compared where there is no key, so that this takes as long


class Keys:
    """The active keys, as one worker knows them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._active: Mapping[KeyId, ActiveKey] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._away = False
        self._noted: dict[KeyId, float] = {}
        self._used: dict[KeyId, datetime] = {}
        self._writing: asyncio.Task[None] | None = None

    async def viewer(self, credentials: str) -> tuple[Viewer, bool]:
        """Who has this key, and whether its use is news; raises CredentialsRefused, or UpstreamError."""
        shape = _SHAPE.fullmatch(credentials)
        if shape is None:
            raise CredentialsRefused("not of the shape of an API key")
        active = await self._find(KeyId(shape["id"]))
        expected = _NO_KEY if active is None else active.secret_sha256
        if not hmac.compare_digest(digest_of(shape["secret"]), expected) or active is None:
            raise CredentialsRefused("no active API key")
        key = active.key
        expires_at = None if key.expires_at is None else key.expires_at.timestamp()
        if expires_at is not None and expires_at <= time.time():
            raise CredentialsRefused("this API key has expired", "TOKEN_EXPIRED")
        viewer = Viewer(
            f"key:{key.name}",
            frozenset({Role(key.role)}),
            Scope(key.environments),
            expires_at=expires_at,
            holds=partial(self._holds, key.key_id),
        )
        return viewer, self._use(key)

    async def close(self) -> None:
        """Write which keys were used; read none any more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=_PATIENCE)
            self._writing.cancel()

    async def _find(self, key_id: KeyId) -> ActiveKey | None:
        age = time.monotonic() - self._read_at
        if age > (_FRESH if key_id in self._active else _FRESH_FOR_STRANGERS):
            await self._read()
        return self._active.get(key_id)

    def _holds(self, key_id: KeyId) -> bool:
        """Whether a key still opened when the keys were last read; lets them be read for whoever asks next."""
        if time.monotonic() - self._read_at > _FRESH_FOR_STRANGERS:
            self._begin_to_read()
        return key_id in self._active

    def _begin_to_read(self) -> asyncio.Task[None]:
        """The reading that is under way, together with all who want one now."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_once(), name="api-keys")
            self._reading.add_done_callback(self._heard)
        return self._reading

    async def _read(self) -> None:
        reading = self._begin_to_read()
        await asyncio.wait([reading], timeout=_PATIENCE)
        if not reading.done():
            raise UpstreamTimeout("the API keys could not be read in time")
        reading.result()

    async def _read_once(self) -> None:
        began = time.monotonic()
        self._active = await active_keys(self._database)
        self._read_at = began
        self._noted = {key_id: at for key_id, at in self._noted.items() if key_id in self._active}

    def _heard(self, reading: asyncio.Task[None]) -> None:
        """Say once that keys cannot be read, also where nobody waits for them any more."""
        error = None if reading.cancelled() else reading.exception()
        if error is not None and not self._away:
            _log.warning("the API keys cannot be read: %s", error)
        self._away = error is not None

    def _use(self, key: Key) -> bool:
        """Remember that a key was used, once a minute."""
        now = time.monotonic()
        if now - self._noted.get(key.key_id, float("-inf")) < _USED_AGAIN:
            return False
        self._noted[key.key_id] = now
        self._used[key.key_id] = datetime.now(UTC)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="api-key-uses")
        return True

    async def _write(self) -> None:
        """Write the uses; what the database does not take now is written with the next ones."""
        while self._used:
            used, self._used = self._used, {}
            try:
                await use_keys(self._database, used)
            except UpstreamError as error:
                self._used = {key_id: at for key_id, at in {**used, **self._used}.items() if key_id in self._active}
                _log.warning("the last use of %d API keys is not written yet: %s", len(self._used), error)
                return
