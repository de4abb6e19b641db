"""The keys that signatures are verified with. Each has its algorithms, and a token has no say in that: a key that could
be used in two ways could be used in the wrong one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK, PyJWTError

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_RSA_BITS = range(2048, 8193)  # smaller ones are broken, larger ones take longer than a request may
_LONGEST_NAME = 200  # characters of a key's id


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key, its id where it has one, and all that it may be used for."""

    key: PublicKey | bytes
    algorithms: Sequence[str]
    id: str | None = None


class VerificationKeys(Protocol):
    """Where the key of a token is found."""

    async def of(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """The keys that a token which names this key and this algorithm may be signed with."""
        ...

    async def close(self) -> None:
        """Fetch nothing any more."""
        ...


class ConfiguredKey:
    """The one key of the settings, whatever id a token names."""

    def __init__(self, key: VerificationKey) -> None:
        self._key = key

    async def of(self, key_id: str | None, algorithm: str) -> Sequence[VerificationKey]:
        """That key, if the algorithm is one of its own."""
        return [self._key] if algorithm in self._key.algorithms else []

    async def close(self) -> None:
        """Nothing is ever fetched."""


def shared_secret(secret: str) -> VerificationKey:
    """The key that those who sign share with us."""
    return VerificationKey(secret.encode(), ("HS256",))


def public_key(pem: str) -> VerificationKey:
    """The key of a PEM text; raises ValueError in words for whoever configured it."""
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("CASARE_JWT_PUBLIC_KEY: this is no public key in PEM (-----BEGIN PUBLIC KEY-----)") from error
    algorithms = _algorithms(key)
    if not isinstance(key, PublicKey) or not algorithms:
        raise ValueError(
            "CASARE_JWT_PUBLIC_KEY: this kind of key is not used: take RSA of 2048 to 8192 bits, "
            "EC on P-256, P-384 or P-521, or Ed25519"
        )
    return VerificationKey(key, algorithms)


def published_key(jwk: Mapping[str, Any]) -> VerificationKey | None:
    """The key of an entry of a JWKS, or None where it is not one to verify with."""
    uses, key_id = jwk.get("key_ops", ["verify"]), jwk.get("kid")
    if jwk.get("kty") not in ("RSA", "EC", "OKP") or "d" in jwk or jwk.get("use", "sig") != "sig":
        return None
    if not isinstance(uses, list) or "verify" not in uses:
        return None
    if key_id is not None and not (isinstance(key_id, str) and len(key_id) <= _LONGEST_NAME):
        return None
    try:
        # Without its `alg`, which is looked at below: PyJWT would take the entry's word for a key of another kind.
        key = PyJWK({name: value for name, value in jwk.items() if name != "alg"}).key
    except (PyJWTError, ValueError, TypeError, OverflowError, UnsupportedAlgorithm):
        return None
    algorithms = _algorithms(key)
    if "alg" in jwk:
        algorithms = tuple(algorithm for algorithm in algorithms if algorithm == jwk["alg"])
    return VerificationKey(key, algorithms, key_id) if algorithms else None


def _algorithms(key: object) -> tuple[str, ...]:
    match key:
        case rsa.RSAPublicKey() if key.key_size in _RSA_BITS:
            return _RSA
        case ec.EllipticCurvePublicKey() if key.curve.name in _CURVES:
            return (_CURVES[key.curve.name],)
        case ed25519.Ed25519PublicKey():
            return ("EdDSA",)
    return ()
