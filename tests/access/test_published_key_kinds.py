"""Which of the keys that a provider publishes are used, and which are none for us."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from hypothesis import given
from hypothesis import strategies as st
from tokens_at_hand import EC_KEY, ED_KEY, RSA_KEY, jwk

from graph.access.signatures import published_key

WEAK = rsa.generate_private_key(65537, 1024)
UNUSED: dict[str, Any] = {
    "of 1024 bits": jwk(WEAK),
    "of another curve": jwk(EC_KEY, crv="secp256k1"),
    "of a curve that it does not lie on": jwk(EC_KEY, crv="P-384"),
    "to encrypt with": jwk(RSA_KEY, use="enc"),
    "to sign with only": jwk(RSA_KEY, key_ops=["sign"]),
    "for what is no list": jwk(RSA_KEY, key_ops="verify"),
    "for HS256": jwk(RSA_KEY, alg="HS256"),
    "for none": jwk(RSA_KEY, alg="none"),
    "for the algorithm of another kind": jwk(RSA_KEY, alg="ES256"),
    "for nothing known": jwk(RSA_KEY, alg=None),
    "whose id is a number": jwk(RSA_KEY, kid=7),
    "whose private half is there": {**jwk(RSA_KEY), "d": "AQAB"},
    "whose kind is a list": jwk(RSA_KEY, kty=["RSA"]),
    "without its numbers": {"kty": "RSA", "e": "AQAB"},
    "whose numbers are numbers": {"kty": "RSA", "n": 5, "e": 3},
    "Ed448": {
        "kty": "OKP",
        "crv": "Ed448",
        "x": ed448.Ed448PrivateKey.generate().public_key().public_bytes_raw().hex(),
    },
}


@pytest.mark.parametrize("kind", UNUSED)
def test_a_published_key_is_not_used_that_is(kind: str) -> None:
    assert published_key(UNUSED[kind]) is None


WHATEVER = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(
    key=st.sampled_from([jwk(RSA_KEY), jwk(EC_KEY), jwk(ED_KEY)]),
    changes=st.dictionaries(
        st.sampled_from(["kty", "n", "e", "x", "y", "crv", "alg", "use", "key_ops", "kid", "d", "k", "p"]),
        WHATEVER | st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "AQAB"]),
    ),
)
def test_whatever_is_published_nothing_breaks_and_no_secret_is_taken(key: Any, changes: Any) -> None:
    found = published_key({**key, **changes})
    assert found is None or not any(name.startswith("HS") for name in found.algorithms)
