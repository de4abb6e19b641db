"""Keys that an identity provider publishes, from an endpoint that rotates, hangs, drips, lies and goes away."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from serving import serving
from tokens_at_hand import EC_KEY, ED_KEY, QUESTION, RSA_KEY, jwk, signed

from graph.access import jwks
from graph.access.jwks import PublishedKeys

Answer = Callable[[BaseHTTPRequestHandler], None]


class Provider:
    """An endpoint that answers as it is told to, and counts how often it is asked."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Answer = lambda request: None
        self.asked: list[str] = []
        self.over = threading.Event()

    def publish(self, *keys: dict[str, Any]) -> None:
        self.say(json.dumps({"keys": keys}).encode())

    def say(self, body: bytes, status: int = 200, **headers: str) -> None:
        def answer(request: BaseHTTPRequestHandler) -> None:
            request.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(body)

        self.answer = answer


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked.append(self.path)
            try:
                provider.answer(self)
            except OSError:  # whoever asked has hung up
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
    try:
        yield provider
    finally:
        provider.over.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until it is set."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(jwks, "time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for long."""
    monkeypatch.setattr(jwks, "_PATIENCE", 0.1)
    monkeypatch.setattr(jwks, "_DEADLINE", 0.3)


async def knows(keys: PublishedKeys, key_id: str | None, algorithm: str = "RS256") -> bool:
    return bool(await keys.of(key_id, algorithm))


async def settled(keys: PublishedKeys) -> None:
    """Wait until nothing is being fetched."""
    if keys._fetching is not None:
        await asyncio.wait([keys._fetching], timeout=10)


def test_a_server_takes_what_published_keys_verify_and_nothing_else(seeded_dsn: str, provider: Provider) -> None:
    octets = {"kty": "oct", "kid": "shared", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U", "alg": "HS256"}
    provider.publish(jwk(RSA_KEY, kid="r"), jwk(EC_KEY, kid="e", alg="ES256"), jwk(ED_KEY, kid="d"), octets)
    other = ec.generate_private_key(ec.SECP256R1())
    secret = "secretsecretsecretsecretsecretse"
    with serving(seeded_dsn, jwks_url=provider.url) as server:

        def status(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return server.http.post("/graphql", json={"query": QUESTION}, headers=headers).status_code

        good = [
            signed(None, RSA_KEY, "RS256", kid="r"),
            signed(None, RSA_KEY, "PS384", kid="r"),
            signed(None, EC_KEY, "ES256", kid="e"),
            signed(None, ED_KEY, "EdDSA", kid="d"),
            signed(None, EC_KEY, "ES256"),
        ]
        bad = [
            signed(None, other, "ES256", kid="e"),
            signed(None, EC_KEY, "ES256", kid="r"),
            signed(None, RSA_KEY, "RS256", kid="R"),
            signed(None, RSA_KEY, "RS256", kid="../../jwks.json"),
            signed(None, RSA_KEY, "RS256", kid="r\0"),
            signed(None, secret, "HS256", kid="shared"),
            signed(None, secret, "HS256"),
            signed(None, other, "ES256", kid="new", jwk=jwk(other), jku=provider.url),
        ]
        assert [status(token) for token in good] == [200] * len(good)
        assert [status(token) for token in bad] == [401] * len(bad)
    assert provider.asked == ["/jwks.json"]


async def test_keys_are_rotated_without_anybody_being_turned_away(provider: Provider, clock: Any) -> None:
    keys = PublishedKeys(provider.url)
    provider.publish(jwk(RSA_KEY, kid="old"))
    assert await knows(keys, "old")
    provider.publish(jwk(RSA_KEY, kid="old"), jwk(ED_KEY, kid="new"))
    clock.now += 31
    assert await knows(keys, "new", "EdDSA")
    assert len(provider.asked) == 2


async def test_keys_that_are_withdrawn_are_forgotten_behind_the_back_of_those_who_ask(
    provider: Provider, clock: Any
) -> None:
    keys = PublishedKeys(provider.url)
    provider.publish(jwk(RSA_KEY, kid="old"))
    assert await knows(keys, "old")
    provider.publish(jwk(RSA_KEY, kid="new"))
    clock.now += 601
    assert await knows(keys, "old")
    await settled(keys)
    assert not await knows(keys, "old")


async def test_a_flood_of_unknown_keys_is_one_fetch(provider: Provider, clock: Any) -> None:
    keys = PublishedKeys(provider.url)
    provider.publish(jwk(RSA_KEY, kid="1"))
    assert not any(await asyncio.gather(*(knows(keys, f"x{number}") for number in range(200))))
    clock.now += 29
    assert not any(await asyncio.gather(*(knows(keys, f"y{number}") for number in range(200))))
    assert len(provider.asked) == 1


async def test_an_outage_is_survived_for_a_day(provider: Provider, clock: Any, hurried: None) -> None:
    keys = PublishedKeys(provider.url)
    provider.publish(jwk(RSA_KEY, kid="1"))
    assert await knows(keys, "1")
    provider.say(b"down", 503)
    for _ in range(23):
        clock.now += 3600
        assert await knows(keys, "1")
        await settled(keys)
    assert len(provider.asked) == 24
    clock.now += 3601
    assert not await knows(keys, "1")
    clock.now += 31
    provider.publish(jwk(RSA_KEY, kid="1"))
    assert await knows(keys, "1")


async def test_nobody_is_behind_the_url(clock: Any, hurried: None) -> None:
    keys = PublishedKeys("http://127.0.0.1:1/jwks.json")
    assert not await knows(keys, "1")


async def test_whoever_has_a_known_key_never_waits_for_an_endpoint_that_hangs(
    provider: Provider, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = PublishedKeys(provider.url)
    provider.publish(jwk(RSA_KEY, kid="1"))
    assert await knows(keys, "1")
    provider.answer = lambda request: hang(provider)
    monkeypatch.setattr(jwks, "_PATIENCE", 0.1)
    clock.now += 601
    assert await knows(keys, "1")
    assert not await knows(keys, "2")
    fetching = keys._fetching
    assert fetching is not None
    assert not fetching.done()
    await keys.close()
    assert fetching.cancelled()


def hang(provider: Provider) -> None:
    provider.over.wait(20)


def drip(request: BaseHTTPRequestHandler) -> None:
    for _ in range(1000):
        request.wfile.write(b"H")
        threading.Event().wait(0.02)


def drip_after_headers(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    drip(request)


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True


def switch(request: BaseHTTPRequestHandler) -> None:
    request.send_response(101)
    request.send_header("Upgrade", "h2c")
    request.send_header("Connection", "Upgrade")
    request.end_headers()


@pytest.mark.parametrize("answer", [drip, drip_after_headers, hang_up, switch])
async def test_an_answer_that_never_becomes_one_is_given_up(
    provider: Provider, clock: Any, hurried: None, answer: Answer
) -> None:
    keys = PublishedKeys(provider.url)
    provider.publish(jwk(RSA_KEY, kid="1"))
    assert await knows(keys, "1")
    provider.answer = answer
    clock.now += 601
    assert not await knows(keys, "2")
    await settled(keys)
    assert keys._fetching is not None
    assert keys._fetching.exception() is None
    assert await knows(keys, "1")


LIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"<html>",
    "a list": b"[]",
    "null": b"null",
    "no keys": b'{"keys": []}',
    "keys that are an object": b'{"keys": {}}',
    "keys that are none": b'{"keys": [1, null, "x", [], {}]}',
    "keys of another use": json.dumps({"keys": [jwk(RSA_KEY, kid="2", use="enc")]}).encode(),
    "a shared secret": b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "2"}]}',
    "too many keys": json.dumps({"keys": [jwk(ED_KEY, kid=str(number)) for number in range(101)]}).encode(),
    "too much": json.dumps({"keys": [jwk(RSA_KEY, kid="2")], "fill": "x" * 300_000}).encode(),
    "100,000 brackets": b"[" * 100_000,
}


@pytest.mark.parametrize("lie", LIES)
async def test_garbage_leaves_the_keys_as_they_are(provider: Provider, clock: Any, hurried: None, lie: str) -> None:
    keys = PublishedKeys(provider.url)
    provider.publish(jwk(RSA_KEY, kid="1"))
    assert await knows(keys, "1")
    provider.say(LIES[lie])
    clock.now += 601
    assert not await knows(keys, "2")
    await settled(keys)
    assert await knows(keys, "1")


async def test_a_redirect_is_not_followed(provider: Provider, clock: Any) -> None:
    provider.say(b"", 302, Location="/elsewhere.json")
    assert not await knows(PublishedKeys(provider.url), "1")
    assert provider.asked == ["/jwks.json"]


async def test_a_token_that_names_no_key_means_the_only_one_or_none(provider: Provider, clock: Any) -> None:
    provider.publish(jwk(RSA_KEY, kid="1"), jwk(EC_KEY))
    keys = PublishedKeys(provider.url)
    assert await knows(keys, None)
    assert await knows(keys, None, "ES256")
    provider.publish(jwk(RSA_KEY, kid="1"), jwk(RSA_KEY, kid="2"))
    clock.now += 601
    await knows(keys, "2")
    assert not await knows(keys, None)
