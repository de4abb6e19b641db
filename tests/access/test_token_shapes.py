"""Whatever a token holds, it is taken or refused: nothing in it breaks anything."""

import asyncio
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from tokens_at_hand import SECRET, claims, segment, signed

from graph.access.credentials import CredentialsRefused
from graph.access.signatures import ConfiguredKey, shared_secret
from graph.access.tokens import LEEWAY, LONGEST_LIFE, Tokens
from graph.viewer import Viewer

TOKENS = Tokens(ConfiguredKey(shared_secret(SECRET)), None, None)

JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["sub", "exp", "iat", "nbf", "aud", "iss", "jti", "roles", "environments"])


def viewer_of(token: str) -> Viewer | None:
    try:
        return asyncio.run(TOKENS.viewer(token))
    except CredentialsRefused:
        return None


@given(changes=st.dictionaries(NAMES, JSON))
@example(changes={"exp": 10**400})
@example(changes={"environments": ["\ud800"]})
def test_whatever_is_claimed_is_taken_as_it_is_meant_or_refused(changes: dict[str, Any]) -> None:
    told = {**claims(), **changes}
    viewer = viewer_of(signed(json.dumps(told).encode()))
    if viewer is not None:
        assert viewer.name == told["sub"]
        assert viewer.expires_at is not None
        assert 0 < viewer.expires_at - told["iat"] <= LONGEST_LIFE
        assert told["iat"] <= claims()["iat"] + LEEWAY + 1
        assert {role.value for role in viewer.roles} <= set(told.get("roles", ()))
        assert viewer.scope.environments == (frozenset(told["environments"]) if "environments" in told else None)


@given(headers=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "jku"]), JSON))
def test_no_header_opens_anything(headers: dict[str, Any]) -> None:
    assert viewer_of(f"{segment(headers)}.{segment(claims())}.{segment(b'signature')}") is None


@given(token=st.text(max_size=60) | st.text("aA0-_.=", max_size=60) | st.binary(max_size=60).map(bytes.hex))
def test_no_text_opens_anything(token: str) -> None:
    assert viewer_of(token) is None


@given(at=st.integers(0, 10_000), to=st.sampled_from("aZ09-_.="))
def test_no_other_character_may_stand_anywhere(at: int, to: str) -> None:
    good = signed()
    at %= len(good)
    if good[at] != to:
        assert viewer_of(good[:at] + to + good[at + 1 :]) is None
