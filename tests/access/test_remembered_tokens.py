"""A token is verified once and remembered: for as long as its key is one of ours, and its time is not over."""

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from tokens_at_hand import HOUR, RSA_KEY, SECRET, claims, pem, signed

from graph.access import tokens
from graph.access.credentials import CredentialsRefused
from graph.access.signatures import VerificationKey, public_key, shared_secret
from graph.access.tokens import Tokens

NOW = int(time.time())


class Keyring:
    """The keys there are, until others take their place."""

    def __init__(self, *keys: VerificationKey) -> None:
        self.keys: Sequence[VerificationKey] = keys

    async def of(self, _key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        return [key for key in self.keys if algorithm in key.algorithms]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still until it is set."""
    clock = SimpleNamespace(now=float(NOW))
    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: clock.now))
    return clock


async def test_a_token_that_held_is_not_read_again() -> None:
    known = Tokens(Keyring(shared_secret(SECRET)), None, None)
    token = signed(claims())
    assert await known.viewer(token) is await known.viewer(token)


async def test_a_remembered_token_is_refused_once_its_time_is_over(clock: Any) -> None:
    known = Tokens(Keyring(shared_secret(SECRET)), None, None)
    token = signed(claims(iat=NOW, exp=NOW + HOUR))
    await known.viewer(token)
    clock.now += HOUR
    with pytest.raises(CredentialsRefused, match="expired") as refused:
        await known.viewer(token)
    assert refused.value.code == "TOKEN_EXPIRED"


async def test_a_remembered_token_is_refused_where_the_clock_is_set_back_before_it(clock: Any) -> None:
    known = Tokens(Keyring(shared_secret(SECRET)), None, None)
    token = signed(claims(iat=NOW, exp=NOW + HOUR))
    await known.viewer(token)
    clock.now -= 60
    with pytest.raises(CredentialsRefused, match="not valid yet"):
        await known.viewer(token)


async def test_a_remembered_token_is_refused_once_its_key_is_gone_or_another() -> None:
    ring = Keyring(shared_secret(SECRET))
    known = Tokens(ring, None, None)
    token = signed(claims())
    await known.viewer(token)
    ring.keys = [shared_secret(SECRET[::-1] + SECRET)]
    with pytest.raises(CredentialsRefused, match="InvalidSignatureError"):
        await known.viewer(token)
    ring.keys = [public_key(pem(RSA_KEY))]
    with pytest.raises(CredentialsRefused, match="no key"):
        await known.viewer(token)


async def test_no_more_than_so_many_tokens_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_REMEMBERED", 2)
    known = Tokens(Keyring(shared_secret(SECRET)), None, None)
    one, two, three = (signed(claims(sub=name)) for name in ("one", "two", "three"))
    first = await known.viewer(one)
    await known.viewer(two)
    assert await known.viewer(one) is first
    await known.viewer(three)
    assert await known.viewer(one) is first
    assert len(known._met) == 2


async def test_what_is_refused_is_not_remembered() -> None:
    known = Tokens(Keyring(shared_secret(SECRET)), None, None)
    with pytest.raises(CredentialsRefused):
        await known.viewer(signed(claims(), "x" * 40))
    assert not known._met
