"""API keys from their first use to their revocation."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import httpx
import pytest
from asyncpg import connect
from serving import Graph, eventually, serving
from tokens_at_hand import QUESTION, SECRET, close_of, signed, socket

from datasources.keys import KeyNotCreated, create_key, revoke_key
from datasources.postgres import Database
from datasources.settings import Settings
from graph.access import keys as keys_of_worker
from graph.access.credentials import CredentialsRefused
from graph.access.keys import Keys

T = TypeVar("T")
FORGED = f"casare_0123456789ab_{'A' * 43}"


def within(dsn: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """What some work with the database gives."""

    async def run() -> T:
        database = Database(dsn, Settings())
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


def make(
    dsn: str,
    name: str = "machine",
    role: str = "viewer",
    environments: list[str] | None = None,
    seconds: float | None = None,
) -> str:
    return within(dsn, lambda database: create_key(database, name, role, environments, seconds))


def revoke(dsn: str, key: str) -> None:
    assert within(dsn, lambda database: revoke_key(database, key.split("_")[1])) is not None


@pytest.fixture
def server(dsn: str) -> Iterator[Graph]:
    """A server that only keys open."""
    with serving(dsn, auth="required") as graph:
        yield graph


def ask(server: Graph, key: str, query: str = QUESTION, header: str = "X-API-Key") -> httpx.Response:
    value = f"Bearer {key}" if header == "Authorization" else key
    return server.http.post("/graphql", json={"query": query}, headers={header: value})


def test_a_key_opens_in_either_header_and_only_whole(server: Graph) -> None:
    key = make(server.dsn)
    assert ask(server, key).status_code == 200
    assert ask(server, key, header="Authorization").status_code == 200
    wrong = [
        key[:-1],
        key + "A",
        key[:-1] + ("A" if key[-1] != "A" else "B"),
        key.replace("casare", "CASARE"),
        key.upper(),
        f"{key},{key}",
        "casare__",
        key.rpartition("_")[0] + "_",
        FORGED,
        f"casare_{key.split('_')[1]}_{'A' * 43}",
        f"casare_{key.split('_')[1]}' OR 1=1 --_{'A' * 43}",
        "x",
    ]
    for header in ("X-API-Key", "Authorization"):
        assert [ask(server, bad, header=header).status_code for bad in wrong] == [401] * len(wrong)


def test_a_token_is_no_api_key(seeded_dsn: str) -> None:
    with serving(seeded_dsn, jwt_secret=SECRET) as server:
        assert ask(server, signed()).status_code == 401
        assert ask(server, signed(), header="Authorization").status_code == 200


def test_a_key_may_what_its_role_may_in_its_environments(server: Graph) -> None:
    for number, environment in enumerate(("a", "a", "b")):
        server.sql(
            "INSERT INTO monitor.robots (robot_id, hostname, environment) VALUES ($1, 'h', $2)",
            f"r{number}",
            environment,
        )
    narrow, wide = make(server.dsn, "narrow", environments=["a"]), make(server.dsn, "wide")
    none, robot = make(server.dsn, "none", environments=[]), make(server.dsn, "robot", role="robot")

    def robots(key: str) -> int:
        return ask(server, key).json()["data"]["fleet"]["totalRobots"]

    eventually(lambda: robots(wide) == 3, seconds=10)
    seen = [robots(key) for key in (narrow, wide, none)]
    assert seen == [2, 3, 0]
    assert ask(server, robot).status_code == 403


def test_a_key_that_is_made_while_the_server_runs_opens(server: Graph) -> None:
    assert ask(server, FORGED).status_code == 401
    key = make(server.dsn)
    eventually(lambda: ask(server, key).status_code == 200, seconds=10)


def test_a_revoked_key_opens_nothing_any_more(server: Graph) -> None:
    key, other = make(server.dsn), make(server.dsn, "other")
    assert ask(server, key).status_code == 200
    revoke(server.dsn, key)
    eventually(lambda: ask(server, key).status_code == 401, seconds=10)
    assert ask(server, other).status_code == 200


@pytest.mark.parametrize("path", ["/graphql", "/ws/queue-metrics"])
def test_the_sockets_of_a_revoked_key_are_closed(server: Graph, path: str) -> None:
    key = make(server.dsn)
    with socket(server, path, **{"X-API-Key": key}) as client:
        if path == "/graphql":
            client.send('{"type":"connection_init"}')
        assert client.recv(timeout=10)
        revoke(server.dsn, key)
        assert close_of(client) == (4403, "key revoked")


def test_an_expired_key_says_that_it_has_expired(server: Graph) -> None:
    key = make(server.dsn, seconds=1)
    assert ask(server, key).status_code == 200
    eventually(lambda: ask(server, key).status_code == 401, seconds=10)
    assert ask(server, key).json()["errors"][0]["extensions"]["code"] == "TOKEN_EXPIRED"


def test_the_database_could_not_tell_a_key(dsn: str) -> None:
    key = make(dsn)

    async def rows() -> str:
        connection = await connect(dsn, timeout=10)
        try:
            return str(
                await connection.fetch("SELECT k::text, encode(secret_sha256, 'escape') FROM monitor.api_keys k")
            )
        finally:
            await connection.close(timeout=5)

    stored = asyncio.run(rows())
    assert key.split("_")[1] in stored
    assert key[20:] not in stored


def test_it_is_written_when_a_key_was_used(server: Graph) -> None:
    key = make(server.dsn)
    before = "SELECT last_used_at FROM monitor.api_keys"
    assert server.sql(before)[0][0] is None
    assert ask(server, key).status_code == 200
    eventually(lambda: server.sql(before)[0][0] is not None, seconds=10)


def test_who_uses_a_key_and_who_fails_stands_in_the_audit(server: Graph) -> None:
    key = make(server.dsn)
    for _ in range(3):
        ask(server, key)
        ask(server, FORGED)
    rows = "SELECT kind, viewer, code, detail, times FROM monitor.audit ORDER BY kind"
    eventually(lambda: len(server.sql(rows)) == 2 and server.sql(rows)[0]["times"] >= 3, seconds=10)
    failed, used = server.sql(rows)
    assert (failed["kind"], failed["code"], failed["detail"]) == (
        "authentication_failed",
        "UNAUTHENTICATED",
        "no active API key",
    )
    assert (used["kind"], used["viewer"]) == ("key_used", "key:machine")


def test_two_active_keys_have_two_names_and_one_that_has_expired_gives_its_name_free(dsn: str) -> None:
    make(dsn, "robot-1", seconds=0.001)
    make(dsn, "robot-1")
    with pytest.raises(KeyNotCreated):
        make(dsn, "robot-1")


def test_without_the_database_nobody_is_turned_away_for_good(server: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make(server.dsn)
    monkeypatch.setattr(keys_of_worker, "_PATIENCE", 0.2)
    monkeypatch.setattr(keys_of_worker, "_FRESH", 0.0)
    assert ask(server, key).status_code == 200

    async def locked() -> httpx.Response:
        connection = await connect(server.dsn, timeout=10)
        try:
            await connection.execute("BEGIN; LOCK TABLE monitor.api_keys", timeout=10)
            return await asyncio.to_thread(ask, server, key)
        finally:
            await connection.close(timeout=5)

    response = asyncio.run(locked())
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert response.json()["errors"][0]["extensions"]["code"] == "UPSTREAM_UNAVAILABLE"
    eventually(lambda: ask(server, key).status_code == 200, seconds=10)


async def test_a_flood_of_forged_keys_does_not_reach_the_database(dsn: str) -> None:
    statements: Counter[str] = Counter()
    database = Database(dsn, Settings(), lambda name, _: statements.update([name]))
    await database.open()
    keys = Keys(database)
    good = await create_key(database, "machine", "viewer", None, None)

    async def comes(key: str) -> Any:
        try:
            return await keys.viewer(key)
        except CredentialsRefused:
            return None

    assert await comes(good) is not None
    began = time.monotonic()
    for _ in range(10):
        forged = [f"casare_{number:012x}_{'A' * 43}" for number in range(500)]
        assert await asyncio.gather(*(comes(key) for key in forged)) == [None] * 500
    assert await comes(good) is not None
    assert statements["active_keys"] <= 2 + (time.monotonic() - began)
    await keys.close()
    assert statements["use_keys"] == 1
    await database.close()
