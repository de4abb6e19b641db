"""JSON Web Tokens: who bears one that is signed, for us, of now and well formed is a viewer.

PyJWT verifies signature, audience and issuer. The times are judged here: it takes `true` and "1" for numbers, and knows
no longest lifetime. Nothing in a token's header leads anywhere: its `kid` is looked up, its `jwk`, `jku` and `x5u` are
not looked at, and `crit` asks for what we do not understand.

Verifying costs more than all the rest of a small question, so that the newest tokens that held are remembered by their
hash. Whether one holds still is asked each time: its key has to be among the keys, and its time not over.
"""

from __future__ import annotations

import json
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import jwt

from datasources.scope import EVERYTHING, Scope
from datasources.settings import Settings
from graph.access.credentials import CredentialsRefused
from graph.access.signatures import VerificationKey, VerificationKeys
from graph.viewer import Role, Viewer

LONGEST_LIFE = 24 * 3600.0  # seconds
LEEWAY = 30.0  # seconds that the clock of whoever signs may be ahead of ours
LONGEST_NAME = 200  # characters

_REMEMBERED = 1000  # tokens
_FOREVER = 1e12  # seconds

_SHAPE = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_WORDS = {role.value: role for role in Role if role is not Role.ANONYMOUS}


class Tokens:
    """What is asked of a token: a key of ours, and the audience and issuer where they are configured."""

    def __init__(self, keys: VerificationKeys, audience: str | None, issuer: str | None) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._met: OrderedDict[bytes, _Met] = OrderedDict()
        self._reader = _Reader(
            {
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_jti": False,
                "enforce_minimum_key_length": True,
            }
        )

    async def viewer(self, token: str) -> Viewer:
        """Who bears the token; raises CredentialsRefused."""
        digest = sha256(token.encode(errors="surrogatepass")).digest()
        met = self._met.get(digest)
        asks = _asks(token) if met is None else met.asks
        keys = await self._keys.of(*asks)
        if not keys:
            raise CredentialsRefused("no key for this kid and alg")
        if met is None or met.key is not keys[0] or not met.holds(time.time()):
            self._met.pop(digest, None)
            met = self._met[digest] = _Met(asks, keys[0], *_judged(self._claims(token, keys[0])))
            if len(self._met) > _REMEMBERED:
                self._met.popitem(last=False)
        self._met.move_to_end(digest)
        return met.viewer

    def _claims(self, token: str, key: VerificationKey) -> Mapping[str, Any]:
        try:
            return self._reader.decode(
                token, key.key, algorithms=key.algorithms, audience=self._audience, issuer=self._issuer
            )
        except jwt.PyJWTError as error:
            raise CredentialsRefused(f"{type(error).__name__}: {error}") from error


def _asks(token: str) -> tuple[str | None, str]:
    """The key and the algorithm that a token names; raises CredentialsRefused."""
    if not _SHAPE.fullmatch(token):
        raise CredentialsRefused("not a token")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError as error:
        raise CredentialsRefused(f"no header: {error}") from error
    key_id, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(algorithm, str) or "crit" in header:
        raise CredentialsRefused("a header that asks for what is not understood")
    return key_id, algorithm


@dataclass(frozen=True, slots=True)
class _Met:
    """A token whose signature held: which key that was, since when it is valid, and of whom it tells."""

    asks: tuple[str | None, str]
    key: VerificationKey
    begins: float
    viewer: Viewer

    def holds(self, now: float) -> bool:
        """Whether its time has come, and is not over."""
        return self.viewer.expires_at is not None and self.begins <= now < self.viewer.expires_at


class _Reader(jwt.PyJWT):
    """Reads claims only where JSON means one thing: no name twice, no number that is none."""

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        try:
            payload = json.loads(decoded["payload"], object_pairs_hook=_once, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise jwt.DecodeError("claims that are not JSON") from error
        if not isinstance(payload, dict):
            raise jwt.DecodeError("claims that are no object")
        return payload


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _judged(claims: Mapping[str, Any]) -> tuple[float, Viewer]:
    """From when on claims hold that are signed, and the viewer that they tell of; raises CredentialsRefused."""
    name = claims.get("sub")
    if not isinstance(name, str) or not is_name(name):
        raise CredentialsRefused("sub names nobody")
    now = time.time()
    issued, expires = _time(claims, "iat"), _time(claims, "exp")
    if not 0 < expires - issued <= LONGEST_LIFE:
        raise CredentialsRefused("a lifetime of more than 24 h, or of none")
    if expires <= now:
        raise CredentialsRefused("expired", "TOKEN_EXPIRED")
    begins = max(issued, _time(claims, "nbf") if "nbf" in claims else 0.0) - LEEWAY
    if begins > now:
        raise CredentialsRefused("not valid yet")
    roles = frozenset(_WORDS[word] for word in _texts(claims.get("roles", []), "roles") if word in _WORDS)
    scope = EVERYTHING
    if "environments" in claims:
        scope = Scope(frozenset(_texts(claims["environments"], "environments")))
    return begins, Viewer(name, roles, scope, expires_at=expires)


def is_name(text: str) -> bool:
    """Whether somebody may be called that: it stands in logs, in tables and on screens."""
    return 0 < len(text.strip()) <= len(text) <= LONGEST_NAME and text.isprintable()


def _time(claims: Mapping[str, Any], name: str) -> float:
    """A moment in seconds since 1970."""
    value = claims.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise CredentialsRefused(f"{name} is no number")
    if not 0 <= value < _FOREVER:  # nor is what is no number, or endless
        raise CredentialsRefused(f"{name} is no moment")
    return float(value)


def _texts(value: object, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) and text.isprintable() for text in value):
        raise CredentialsRefused(f"{name} is no list of words")
    return value


def mint(settings: Settings, name: str, roles: Iterable[Role], environments: Iterable[str] | None, life: float) -> str:
    """A token for so many seconds, signed with the configured secret; raises ValueError where it would be refused."""
    if settings.jwt_secret is None:
        raise ValueError("CASARE_JWT_SECRET is not set: only whoever has the secret can sign tokens")
    if not is_name(name):
        raise ValueError(f"a name has up to {LONGEST_NAME} printable characters")
    if not 0 < life <= LONGEST_LIFE:
        raise ValueError("a token lives for at most 24h: take an API key for longer")
    now = int(time.time())
    claims: dict[str, Any] = {"sub": name, "iat": now, "exp": now + int(life), "roles": sorted(roles)}
    if environments is not None:
        claims["environments"] = sorted(environments)
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    return jwt.encode(claims, settings.jwt_secret.get_secret_value(), algorithm="HS256")
