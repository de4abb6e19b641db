"""The keys that an identity provider publishes (JWKS): kept for as long as they hold, fetched anew when they are old or
when a token names one that is not among them.

Whoever has a key that is known never waits for the endpoint. Whoever names an unknown one waits two seconds at most,
and causes one fetch each half minute, however many they are. A fetch that fails, or brings no key, leaves the keys as
they are; after a day without a good one they are not trusted any more.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from graph.access.signatures import VerificationKey, published_key

_log = logging.getLogger(__name__)

_FRESH = 600.0  # seconds until keys are asked for again
_TRUSTED = 24 * 3600.0  # seconds until keys that could not be asked for again are forgotten
_BETWEEN = 30.0  # seconds between two fetches
_BETWEEN_FIRST = 2.0  # seconds between two fetches as long as there are no keys: nobody can enter
_PATIENCE = 2.0  # seconds that somebody with an unknown key waits
_DEADLINE = 5.0  # seconds for a whole fetch, however slowly it drips
_LARGEST = 262_144  # bytes of an answer, its headers included
_MOST_KEYS = 100


class FetchFailed(Exception):
    """The endpoint did not give us keys, for this reason."""


class PublishedKeys:
    """The keys at a URL."""

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._keys: Sequence[VerificationKey] = ()
        self._fetched: float | None = None
        self._tried: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def of(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """The keys that a token which names this key and this algorithm may be signed with."""
        found = self._known(key_id, algorithm)
        if not found:
            await self._wait_for_others()
            found = self._known(key_id, algorithm)
        elif self._age() > _FRESH:
            self._fetch_if_due()
        return found

    async def close(self) -> None:
        """Fetch nothing any more."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _known(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """Where a token names no key there has to be one only that it can mean."""
        if self._age() > _TRUSTED:
            return ()
        fitting = [key for key in self._keys if algorithm in key.algorithms and key_id in {None, key.id}]
        return fitting if key_id is not None or len(fitting) == 1 else ()

    def _age(self) -> float:
        return float("inf") if self._fetched is None else time.monotonic() - self._fetched

    async def _wait_for_others(self) -> None:
        fetching = self._fetch_if_due()
        if fetching is not None:
            await asyncio.wait([fetching], timeout=_PATIENCE)

    def _fetch_if_due(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, begun here where the last one was long enough ago."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        between = _BETWEEN if self._keys else _BETWEEN_FIRST
        if self._tried is not None and time.monotonic() - self._tried < between:
            return None
        self._tried = time.monotonic()
        self._fetching = asyncio.create_task(self._fetch(), name="jwks")
        return self._fetching

    async def _fetch(self) -> None:
        try:
            keys = _read(await _get(self._url))
        except FetchFailed as failed:
            _log.warning("no keys from %s: %s; %d are kept", self._url.hostname, failed, len(self._keys))
            return
        self._keys, self._fetched = keys, time.monotonic()
        _log.info("%d keys from %s", len(keys), self._url.hostname)


def _read(body: bytes) -> Sequence[VerificationKey]:
    """The usable keys of a JWKS; raises FetchFailed where there are none."""
    try:
        entries = json.loads(body)["keys"]
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise FetchFailed("the answer is no JWKS") from error
    if not isinstance(entries, list) or len(entries) > _MOST_KEYS:
        raise FetchFailed(f"the answer is no list of at most {_MOST_KEYS} keys")
    keys = [key for entry in entries if isinstance(entry, dict) and (key := published_key(entry)) is not None]
    if not keys:
        raise FetchFailed("none of its keys can be used to verify signatures")
    return keys


@dataclass(slots=True)
class _Answer:
    """What the parser of an HTTP answer tells."""

    body: list[bytes] = field(default_factory=list)
    complete: bool = False

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body."""
        self.body.append(piece)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self.complete = True


async def _get(url: SplitResult) -> bytes:
    """The body at a URL, all within the deadline; follows no redirect. Raises FetchFailed."""
    try:
        async with asyncio.timeout(_DEADLINE):
            return await _exchange(url)
    except TimeoutError as error:
        raise FetchFailed(f"not all of an answer within {_DEADLINE:g} s") from error
    except (OSError, ValueError, HttpParserError, HttpParserUpgrade) as error:
        raise FetchFailed(f"{type(error).__name__}: {error}") from error


async def _exchange(url: SplitResult) -> bytes:
    secure = ssl.create_default_context() if url.scheme == "https" else None
    reader, writer = await asyncio.open_connection(url.hostname, url.port or (443 if secure else 80), ssl=secure)
    try:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        head = f"GET {target} HTTP/1.1\r\nHost: {url.netloc}\r\nAccept: application/json\r\nConnection: close\r\n\r\n"
        writer.write(head.encode("ascii"))
        answer, size = _Answer(), 0
        parser = HttpResponseParser(answer)
        while not answer.complete and (piece := await reader.read(65_536)):
            size += len(piece)
            if size > _LARGEST:
                raise FetchFailed(f"an answer of more than {_LARGEST:,} bytes")
            parser.feed_data(piece)
        status = parser.get_status_code() if size else 0
        if status != 200:
            raise FetchFailed(f"HTTP {status}" if status else "the connection was closed without an answer")
        return b"".join(answer.body)
    finally:
        writer.transport.abort()
