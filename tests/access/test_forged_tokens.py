"""Tokens that are not to be trusted, each refused alike over HTTP and on sockets."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Graph, serving
from tokens_at_hand import (
    EC_KEY,
    ED_KEY,
    HOUR,
    QUESTION,
    RSA_KEY,
    SECRET,
    claims,
    close_of,
    jwk,
    pem,
    segment,
    signed,
    socket,
    with_header,
)

NOW = int(time.time())
BODY = json.dumps({"query": QUESTION})
GOOD = signed()
HEAD, CLAIMS, SIGNATURE = GOOD.split(".")


def spliced(header: str, payload: str) -> str:
    """Parts of other tokens under a signature that was made for neither."""
    return f"{header}.{payload}.{SIGNATURE}"


def confused(key: bytes) -> str:
    """A token signed with HS256 and a public key as if that were a secret."""
    said = f"{segment({'alg': 'HS256', 'typ': 'JWT'})}.{segment(claims())}"
    return f"{said}.{segment(hmac.new(key, said.encode(), hashlib.sha256).digest())}"


def raw(**changes: str) -> bytes:
    """Claims in which numbers are written as they are given."""
    numbers = {"iat": str(NOW), "exp": str(NOW + HOUR), **changes}
    told = ",".join(f'"{name}":{value}' for name, value in numbers.items())
    return f'{{"sub":"ann","roles":["viewer"],{told}}}'.encode()


FORGED: dict[str, str] = {
    **{
        f"alg {name!r}": with_header({"alg": name, "typ": "JWT"}, signature)
        for name in ("none", "None", "NONE", "nOnE", "", " none", None, 0, [], ["HS256"], {"HS256": 1})
        for signature in ("", SIGNATURE)
    },
    "no alg": with_header({"typ": "JWT"}),
    "alg that nobody has": with_header({"alg": "HS257"}),
    "HS384 with the secret": signed(algorithm="HS384", key=SECRET + " " * 30),
    "HS512 with the secret": signed(algorithm="HS512", key=SECRET + " " * 30),
    "another secret": signed(key="another secret of at least 32 bytes"),
    "an empty secret": spliced(segment({"alg": "HS256"}), CLAIMS),
    "signed by RSA": signed(key=RSA_KEY, algorithm="RS256"),
    "signed by EC": signed(key=EC_KEY, algorithm="ES256"),
    "signed by Ed25519": signed(key=ED_KEY, algorithm="EdDSA"),
    "jwk in the header": signed(key=RSA_KEY, algorithm="RS256", jwk=jwk(RSA_KEY)),
    "jku in the header": signed(key=RSA_KEY, algorithm="RS256", jku="http://127.0.0.1:1/jwks.json", kid="1"),
    "x5u in the header": signed(key=RSA_KEY, algorithm="RS256", x5u="http://127.0.0.1:1/cert.pem"),
    "x5c in the header": signed(key=RSA_KEY, algorithm="RS256", x5c=["MIIB"]),
    "crit with what nobody knows": signed(None, SECRET, crit=["exp2"], exp2=True),
    "crit with b64": with_header({"alg": "HS256", "crit": ["b64"], "b64": False}),
    "kid that is no text": with_header({"alg": "HS256", "kid": 7}, SIGNATURE),
    "kid that leads to an empty file": signed(key=b"\0" * 32, kid="../../../../dev/null"),
    "kid with SQL": signed(key="x" * 32, kid="1' UNION SELECT 'x'; --"),
    "other claims": spliced(HEAD, segment(claims(roles=["admin"]))),
    "no signature": f"{HEAD}.{CLAIMS}.",
    "two parts": f"{HEAD}.{CLAIMS}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "five parts, as an encrypted one has": ".".join([HEAD, "", CLAIMS, SIGNATURE, ""]),
    "half a signature": GOOD[:-20],
    "a last character that means the same": GOOD[:-1] + chr(ord(GOOD[-1]) + 1),
    "padding": f"{GOOD}=",
    "base64 of another alphabet": f"{HEAD}.{CLAIMS}.{'+/' * 20}",
    "a line break": f"{HEAD}.\n{CLAIMS}.{SIGNATURE}",
    "letters beyond ASCII": f"{HEAD}.{CLAIMS}.ä{SIGNATURE}",
    "not even a token": "letmein",
    "dots": "..",
    "header that is no JSON": f"{segment(b'{')}.{CLAIMS}.{SIGNATURE}",
    "header that is a list": f"{segment([])}.{CLAIMS}.{SIGNATURE}",
    "header of 7,000 brackets": f"{segment(b'[' * 7000)}.a.{SIGNATURE}",
    "claims that are no JSON": signed(b"{"),
    "claims that are a list": signed([]),
    "claims of 3,000 brackets": signed(b"[" * 3000),
    "claims not in UTF-8": signed(b'{"sub":"\xff"}'),
    "a claim twice": signed(raw()[:-1] + b',"sub":"bob"}'),
    "over 8 KB": signed(claims(fill="x" * 8000)),
    "100 KB": signed(claims(fill="x" * 75_000)),
    "no sub": signed(claims(sub=None)),
    "empty sub": signed(claims(sub="")),
    "blank sub": signed(claims(sub="  ")),
    "sub that is a number": signed(claims(sub=7)),
    "sub that is a list": signed(claims(sub=["ann"])),
    "sub of 201 characters": signed(claims(sub="a" * 201)),
    "sub with a line break": signed(claims(sub="ann\nbob")),
    "sub with a NUL": signed(claims(sub="ann\0")),
    "sub with half a character": signed(claims(sub="ann\ud800")),
    "no exp": signed(claims(exp=None)),
    "no iat": signed(claims(iat=None)),
    "exp that is true": signed(claims(exp=True)),
    "exp that is text": signed(claims(exp=str(NOW + HOUR))),
    "exp that is a list": signed(claims(exp=[NOW + HOUR])),
    "exp that is NaN": signed(raw(exp="NaN")),
    "exp that is Infinity": signed(raw(exp="Infinity")),
    "exp of 1e400": signed(raw(exp="1e400")),
    "exp of 4,500 digits": signed(raw(exp="9" * 4500)),
    "negative exp": signed(claims(exp=-1)),
    "exp far away": signed(claims(exp=10**15)),
    "lifetime over 24 h": signed(claims(exp=NOW + 25 * HOUR)),
    "exp before iat": signed(claims(iat=NOW + 20, exp=NOW + 10)),
    "iat in an hour": signed(claims(iat=NOW + HOUR, exp=NOW + 2 * HOUR)),
    "iat that is text": signed(claims(iat="now")),
    "negative iat": signed(claims(iat=-5)),
    "nbf in an hour": signed(claims(nbf=NOW + HOUR)),
    "nbf that is text": signed(claims(nbf=str(NOW))),
    "nbf that is true": signed(claims(nbf=True)),
    "an audience that nobody asked for": signed(claims(aud="others")),
    "roles that are text": signed(claims(roles="admin")),
    "roles that are an object": signed(claims(roles={"admin": True})),
    "roles that are numbers": signed(claims(roles=[1])),
    "environments that are text": signed(claims(environments="production")),
    "environments that are numbers": signed(claims(environments=[1])),
    "environments with a NUL": signed(claims(environments=["a\0"])),
}


@pytest.fixture(scope="module")
def server(seeded_dsn: str) -> Iterator[Graph]:
    with serving(seeded_dsn, jwt_secret=SECRET) as graph:
        yield graph


def ask(server: Graph, token: str) -> Any:
    """The answer to whoever bears this token."""
    credentials = b"Bearer " + token.encode("utf-8")
    headers = {b"authorization": credentials, b"content-type": b"application/json"}
    return server.http.post("/graphql", content=BODY, headers=headers)


@pytest.mark.parametrize("name", [name for name, token in FORGED.items() if "\n" not in token and name != "100 KB"])
def test_a_forged_token_is_refused_with_401(server: Graph, name: str) -> None:
    response = ask(server, FORGED[name])
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    [error] = response.json()["errors"]
    assert error == {
        "message": "These credentials are not valid.",
        "extensions": {"code": "UNAUTHENTICATED"},
    }


def test_headers_of_100_kb_are_not_even_read(server: Graph) -> None:
    assert ask(server, FORGED["100 KB"]).status_code == 431
    assert ask(server, GOOD).status_code == 200


@pytest.mark.parametrize("name", ["alg 'none'", "other claims", "lifetime over 24 h", "a line break", "over 8 KB"])
def test_a_socket_that_is_opened_with_a_forged_token_is_closed_with_4403(server: Graph, name: str) -> None:
    with socket(server) as client:
        client.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {FORGED[name]}"}}))
        assert close_of(client)[0] == 4403


def test_a_token_that_has_expired_says_so_since_it_once_was_good(server: Graph) -> None:
    response = ask(server, signed(claims(iat=NOW - 2 * HOUR, exp=NOW - 1)))
    assert response.status_code == 401
    assert response.json()["errors"][0]["extensions"]["code"] == "TOKEN_EXPIRED"


def test_a_forged_token_does_not_learn_that_it_has_expired(server: Graph) -> None:
    response = ask(server, signed(claims(iat=NOW - 2 * HOUR, exp=NOW - 1), key="x" * 32))
    assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


GOOD_ONES: dict[str, str] = {
    "as minted": GOOD,
    "a clock that is 20 s ahead": signed(claims(iat=NOW + 20, nbf=NOW + 20)),
    "moments with fractions": signed(claims(iat=NOW - 0.5, exp=NOW + HOUR + 0.25)),
    "24 h": signed(claims(exp=NOW + 24 * HOUR)),
    "an issuer, where any may be": signed(claims(iss="anybody")),
    "roles that nobody knows beside one": signed(claims(roles=["viewer", "astronaut", "VIEWER"])),
    "a kid that nobody asked for": signed(None, kid="7"),
    "keys in the header, which are not looked at": signed(None, jku="http://127.0.0.1:1/", jwk=jwk(RSA_KEY)),
    "a name in any script": signed(claims(sub="Jürgen 山田")),
}


@pytest.mark.parametrize("name", GOOD_ONES)
def test_a_good_token_is_taken(server: Graph, name: str) -> None:
    response = ask(server, GOOD_ONES[name])
    assert response.json()["data"]["fleet"]["totalRobots"] == 100


@pytest.mark.parametrize("roles", [[], ["astronaut"], ["anonymous"], ["Viewer"], None])
def test_somebody_without_a_role_may_nothing(server: Graph, roles: list[str] | None) -> None:
    response = ask(server, signed(claims(roles=roles)))
    assert response.status_code == 403
    assert response.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"


def test_somebody_of_no_environment_sees_nothing(server: Graph) -> None:
    assert ask(server, signed(claims(environments=[]))).json()["data"]["fleet"]["totalRobots"] == 0


PUBLIC = {"RSA": (RSA_KEY, "RS256"), "EC": (EC_KEY, "ES256"), "Ed25519": (ED_KEY, "EdDSA")}


@pytest.fixture(scope="module", params=PUBLIC)
def verifier(request: pytest.FixtureRequest, seeded_dsn: str) -> Iterator[tuple[Graph, Any, str]]:
    """A server that has a public key, the private one, and its algorithm."""
    key, algorithm = PUBLIC[request.param]
    with serving(seeded_dsn, jwt_public_key=pem(key)) as graph:
        yield graph, key, algorithm


def test_a_public_key_verifies_what_its_private_one_signed(verifier: tuple[Graph, Any, str]) -> None:
    server, key, algorithm = verifier
    assert ask(server, signed(None, key, algorithm)).status_code == 200


def test_a_public_key_is_no_secret(verifier: tuple[Graph, Any, str]) -> None:
    server, key, _ = verifier
    text = pem(key).encode()
    for confusion in (text, text.strip(), text.replace(b"\n", b"\r\n"), b"".join(text.splitlines()[1:-1])):
        assert ask(server, confused(confusion)).status_code == 401


def test_another_key_of_the_same_kind_verifies_nothing(verifier: tuple[Graph, Any, str]) -> None:
    server, _, algorithm = verifier
    for key, theirs in PUBLIC.values():
        if theirs != algorithm:
            assert ask(server, signed(None, key, theirs)).status_code == 401
    assert ask(server, with_header({"alg": "none"}, "")).status_code == 401
    assert ask(server, GOOD).status_code == 401


def test_rsa_may_sign_with_pss(seeded_dsn: str) -> None:
    with serving(seeded_dsn, jwt_public_key=pem(RSA_KEY)) as server:
        assert ask(server, signed(None, RSA_KEY, "PS256")).status_code == 200


@pytest.fixture(scope="module")
def particular(seeded_dsn: str) -> Iterator[Graph]:
    """A server that wants its own audience and issuer."""
    with serving(seeded_dsn, jwt_secret=SECRET, jwt_audience="casare", jwt_issuer="https://id.example") as graph:
        yield graph


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": None},
        {"iss": None},
        {"aud": "others"},
        {"aud": ["others"]},
        {"aud": []},
        {"aud": ""},
        {"aud": {"casare": 1}},
        {"aud": [7]},
        {"iss": "https://id.example/"},
        {"iss": "HTTPS://ID.EXAMPLE"},
        {"iss": ["https://id.example"]},
        {"iss": 7},
    ],
    ids=str,
)
def test_an_audience_and_an_issuer_are_asked_for_where_they_are_configured(
    particular: Graph, wrong: dict[str, Any]
) -> None:
    good = {"aud": ["others", "casare"], "iss": "https://id.example"}
    assert ask(particular, signed(claims(**good))).status_code == 200
    assert ask(particular, signed(claims(**{**good, **wrong}))).status_code == 401
