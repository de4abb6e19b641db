"""Documents that are known by an id or a hash: registered from manifests, asked for over every transport."""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from serving import Graph, Reply
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from datasources.documents import register
from datasources.postgres import Database
from datasources.settings import Settings
from graph.commands.manifests import BadManifest, read
from graph.engine.plans import Plans
from graph.schema import build_schema, core

PLANS = Plans(core(build_schema()), Settings())
FLEET = "query Fleet { fleet { totalRobots } }"
COUNT = "query Count($search: String) { jobs(filter: {search: $search}) { totalCount } }"
WATCH = "subscription Watch { queueMetrics { depth } }"
NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def persisted(text: str) -> dict[str, Any]:
    """The extensions by which Apollo's clients ask for a document."""
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256(text)}}


@pytest.fixture
def command(dsn: str) -> Callable[..., Any]:
    """Run `casare-monitor documents` on the test's database."""
    return lambda *arguments: run("documents", *map(str, arguments), DATABASE_URL=dsn)


@pytest.fixture
def trusting(dsn: str) -> Callable[..., int]:
    """Register manifests in the test's database."""

    async def registered(documents: dict[str, str]) -> int:
        database = Database(dsn, Settings(pool_size=1))
        await database.open()
        try:
            async with database.transaction() as connection:
                return await register(connection, list(documents.items()))
        finally:
            await database.close()

    return lambda *paths: asyncio.run(registered(read(paths, PLANS)))


@pytest.fixture
def manifests(tmp_path: Path) -> dict[str, Path]:
    """The same two documents in each form that there is."""
    folder = tmp_path / "operations"
    folder.mkdir()
    (folder / "fleet.graphql").write_text(FLEET)
    (folder / "count.gql").write_text(COUNT)
    operations = [{"id": sha256(text), "name": "X", "type": "query", "body": text} for text in (FLEET, COUNT)]
    forms = {
        "apollo": {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations},
        "map": {hashlib.md5(text.encode()).hexdigest(): text for text in (FLEET, COUNT)},
        "hashes": {f"sha256:{sha256(text)}": text for text in (FLEET, COUNT)},
    }
    for name, content in forms.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return {"folder": folder, **{name: tmp_path / f"{name}.json" for name in forms}}


def asked(graph: Graph, **body: Any) -> Reply:
    return Reply(graph.http.post("/graphql", json=body))


def until(graph: Graph, codes: list[str], **body: Any) -> Reply:
    """The reply, once its codes are these: workers look every few seconds what is trusted."""
    deadline = time.monotonic() + 15
    while (reply := asked(graph, **body)).codes != codes:
        assert time.monotonic() < deadline, reply.body
        time.sleep(0.05)
    return reply


@pytest.mark.parametrize("form", ["folder", "apollo", "map", "hashes"])
def test_a_manifest_of_every_usual_form_is_understood(manifests, form: str) -> None:
    assert sorted(read([manifests[form]], PLANS).values()) == sorted([FLEET, COUNT])


def test_with_trusted_documents_nothing_else_runs(trusting, manifests, serve) -> None:
    trusting(manifests["apollo"], manifests["map"])
    with serve(documents="trusted") as graph:
        until(graph, [], documentId=sha256(FLEET))
        assert asked(graph, documentId=hashlib.md5(FLEET.encode()).hexdigest()).codes == []
        assert asked(graph, documentId=f"sha256:{sha256(FLEET)}").codes == []
        assert asked(graph, extensions=persisted(FLEET)).data == {"fleet": {"totalRobots": 0}}
        assert asked(graph, query=FLEET).codes == []
        assert asked(graph, documentId=sha256(COUNT), variables={"search": "x"}).data == {"jobs": {"totalCount": 0}}
        other = asked(graph, query="{ fleet { totalRobots busyRobots } }")
        assert other.codes == [NOT_TRUSTED]
        assert asked(graph, query=f"{FLEET} ").codes == [NOT_TRUSTED]
        assert asked(graph, query="{", extensions=persisted("{")).codes == [NOT_TRUSTED]
        unknown = asked(graph, extensions=persisted("{ __typename }"))
        assert unknown.body["errors"][0]["message"] == "PersistedQueryNotFound"
        assert unknown.codes == [NOT_FOUND]
        assert asked(graph, documentId="nope").codes == [NOT_FOUND]


def test_rest_and_the_sockets_of_the_documents_run_their_own_operations(serve) -> None:
    with serve(documents="trusted") as graph:
        assert graph.http.get("/api/v1/metrics/fleet").status_code == 200
        with connect(graph.url.replace("http", "ws") + "/ws/queue-metrics", open_timeout=10) as socket:
            assert "depth" in json.loads(socket.recv(timeout=10))


@pytest.mark.slow
def test_workers_learn_what_comes_and_goes(command, manifests, serve) -> None:
    with serve() as graph:
        assert asked(graph, documentId=sha256(FLEET)).codes == [NOT_FOUND]
        added = command("add", manifests["folder"])
        assert "2 documents are trusted, 2 of them new" in added.stdout
        until(graph, [], documentId=sha256(FLEET))
        assert command("remove", sha256(FLEET)).returncode == 0
        until(graph, [NOT_FOUND], documentId=sha256(FLEET))
        assert asked(graph, documentId=sha256(COUNT)).codes == []
        assert "1 documents are trusted no more" in command("remove", "--all").stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({sha256("{ nope }"): "{ nope }"}, "Cannot query field 'nope'"),
        ({"a": FLEET, sha256("x"): FLEET}, "the id is not the SHA-256"),
        ({"a": "fragment F on Query { __typename }"}, "never used"),
        ({"a": ""}, "Syntax Error"),
        ({"": FLEET}, "an id must have"),
        ({"a": "{ " + "__typename " * 100 + "}"}, "fields that repeat another"),
        ({"a": 1}, "each document must have an id and its text"),
        ({}, "there is no document"),
        ([], "a manifest is an object"),
        ({"format": "apollo-persisted-query-manifest", "version": 2, "operations": []}, "only version 1"),
        ({"format": "apollo-persisted-query-manifest", "version": 1, "operations": [1]}, "an id and its text"),
    ],
)
def test_a_bad_manifest_is_refused(manifests, tmp_path: Path, content: Any, said: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(content))
    with pytest.raises(BadManifest, match=re.escape(said)):
        read([manifests["folder"], bad] if content else [bad], PLANS)


@pytest.mark.slow
def test_what_is_wrong_about_one_document_keeps_out_all_of_them(command, manifests, tmp_path: Path) -> None:
    (tmp_path / "bad.graphql").write_text("{ nope }")
    refused = command("add", manifests["folder"], tmp_path / "bad.graphql")
    assert refused.returncode == 1
    assert "nothing was registered" in refused.stderr
    assert "Cannot query field 'nope'" in refused.stderr
    assert sha256(FLEET) not in command("list").stdout


def test_a_manifest_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "noise.json").write_bytes(b"\xff\xfe")
    with pytest.raises(BadManifest, match="No such file"):
        read([tmp_path / "none.json"], PLANS)
    with pytest.raises(BadManifest, match="not UTF-8"):
        read([tmp_path / "noise.json"], PLANS)


def test_what_a_client_registers_by_itself_is_known_by_its_hash(serve) -> None:
    with serve() as graph:
        first = asked(graph, extensions=persisted(FLEET))
        assert (first.codes, first.response.status_code) == ([NOT_FOUND], 200)
        assert asked(graph, query=FLEET, extensions=persisted(FLEET)).codes == []
        assert asked(graph, extensions=persisted(FLEET)).data == {"fleet": {"totalRobots": 0}}


def test_nobody_can_put_a_document_in_anothers_place(serve) -> None:
    with serve() as graph:
        poisoned = asked(graph, query=COUNT, extensions=persisted(FLEET))
        assert poisoned.codes == ["BAD_REQUEST"]
        assert asked(graph, extensions=persisted(FLEET)).codes == [NOT_FOUND]


def test_a_document_that_is_invalid_is_not_remembered(serve) -> None:
    with serve() as graph:
        asked(graph, query="{ nope }", extensions=persisted("{ nope }"))
        assert asked(graph, extensions=persisted("{ nope }")).codes == [NOT_FOUND]


def test_a_get_of_a_known_document_may_be_kept_for_a_while(serve, credentials, secret: str) -> None:
    link = {"extensions": json.dumps(persisted(FLEET))}
    viewer = credentials("viewer")
    with serve(jwt_secret=secret, max_age_seconds=7) as graph:
        missing = graph.http.get("/graphql", params=link, headers=viewer)
        assert missing.headers["cache-control"] == "no-store"
        assert "etag" not in missing.headers
        graph.http.get("/graphql", params={**link, "query": FLEET}, headers=viewer)
        found = graph.http.get("/graphql", params=link, headers=viewer)
        assert found.json() == {"data": {"fleet": {"totalRobots": 0}}}
        assert found.headers["cache-control"] == "private, max-age=7"
        assert found.headers["vary"].startswith("Accept, Authorization, X-API-Key")
        again = graph.http.get("/graphql", params=link, headers={**viewer, "If-None-Match": found.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        nobody = graph.http.get("/graphql", params=link, headers={"If-None-Match": found.headers["etag"]})
        assert nobody.status_code == 401
        assert nobody.headers["cache-control"] == "no-store"
        plain = graph.http.get("/graphql", params={"query": FLEET}, headers=viewer)
        assert plain.headers["cache-control"] == "no-store"


def test_a_mutation_is_not_run_by_a_link_to_its_hash(serve) -> None:
    text = 'mutation { reportHeartbeats(input: [{robotId: "x", status: IDLE}]) { accepted } }'
    with serve() as graph:
        asked(graph, query=text, extensions=persisted(text))
        assert graph.http.get("/graphql", params={"extensions": json.dumps(persisted(text))}).status_code == 405


def test_sockets_and_streams_take_ids_and_hashes(serve) -> None:
    with serve() as graph:
        asked(graph, query=FLEET, extensions=persisted(FLEET))
        url = graph.url.replace("http", "ws") + "/graphql"
        with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], open_timeout=10) as socket:

            def told(number: str, **payload: Any) -> dict[str, Any]:
                socket.send(json.dumps({"id": number, "type": "subscribe", "payload": payload}))
                while (message := json.loads(socket.recv(timeout=10)))["type"] in {"connection_ack", "complete"}:
                    pass
                return message

            socket.send('{"type": "connection_init"}')
            assert told("1", extensions=persisted(FLEET))["payload"] == {"data": {"fleet": {"totalRobots": 0}}}
            assert told("2", documentId="nope")["payload"][0]["extensions"]["code"] == NOT_FOUND
            assert told("3", query=WATCH, extensions=persisted(WATCH))["payload"] == {
                "data": {"queueMetrics": {"depth": 0}}
            }
        body = {"extensions": persisted(FLEET)}
        with graph.http.stream("POST", "/graphql", json=body, headers={"Accept": "text/event-stream"}) as stream:
            assert '{"data":{"fleet":{"totalRobots":0}}}' in "".join(stream.iter_text())


@pytest.mark.parametrize(
    "body",
    [
        {"documentId": 1},
        {"documentId": "a", "query": FLEET},
        {"extensions": {"persistedQuery": True}},
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "0" * 64}}},
        {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "short"}}},
    ],
)
def test_a_request_for_a_document_that_makes_no_sense_is_refused(opened, body: dict[str, Any]) -> None:
    reply = asked(opened, **body)
    assert (reply.response.status_code, reply.codes) == (400, ["BAD_REQUEST"])
