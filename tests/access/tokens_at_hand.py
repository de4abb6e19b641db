"""Tokens as an identity provider makes them, and as those do who are none."""

import base64
import json
import time
from contextlib import suppress
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from serving import Graph
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

SECRET = "a secret of this server, and of no other"
HOUR = 3600
QUESTION = "{ fleet { totalRobots } }"

RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def pem(key: Any) -> str:
    """The public half, as it is configured."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    """The public half, as it is published."""
    kind = {rsa.RSAPrivateKey: "RS256", ec.EllipticCurvePrivateKey: "ES256", ed25519.Ed25519PrivateKey: "EdDSA"}
    [algorithm] = [name for type_, name in kind.items() if isinstance(key, type_)]
    return {**jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True), **more}


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims, changed; a claim of None is left out."""
    now = int(time.time())
    good = {"sub": "ann", "iat": now, "exp": now + HOUR, "roles": ["viewer"], **changes}
    return {name: value for name, value in good.items() if value is not None}


def signed(payload: Any = None, key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    """A token with these claims, whatever they are: an object, or the JSON of one."""
    body = payload if isinstance(payload, bytes) else json.dumps(claims() if payload is None else payload).encode()
    return jwt.PyJWS().encode(body, key, algorithm, headers or None)


def segment(content: Any) -> str:
    """A part of a token."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def with_header(header: Any, signature: str = "c2lnbmF0dXJl", payload: Any = None) -> str:
    """A token put together by hand."""
    return f"{segment(header)}.{segment(claims() if payload is None else payload)}.{signature}"


def socket(server: Graph, path: str = "/graphql", **headers: str) -> ClientConnection:
    """A socket that speaks GraphQL."""
    url = server.url.replace("http", "ws") + path
    return connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers, open_timeout=10)


def close_of(client: ClientConnection) -> tuple[int, str]:
    """The code and the reason that the server closes with."""
    with suppress(ConnectionClosed):
        while True:
            client.recv(timeout=10)
    close = client.protocol.close_rcvd
    assert close is not None, "the connection ended without a reason"
    return close.code, close.reason
