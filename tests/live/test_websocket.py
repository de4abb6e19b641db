"""graphql-transport-ws on the wire: what its page leaves to servers."""

from contextlib import suppress

import psutil
import pytest
from live_server import Client, LiveServer, serving_live, wait_until
from socket_words import ANSWER, PING, PONG, QUEUE, complete, following, subscribe
from websockets.exceptions import ConnectionClosed

from datasources.settings import Settings


@pytest.mark.parametrize("offered", [("graphql-ws",), (), ("mqtt",), ("GRAPHQL-TRANSPORT-WS",)])
def test_other_subprotocols_are_refused(seeded_server: LiveServer, offered: tuple[str, ...]) -> None:
    with Client(f"{seeded_server.ws}/graphql", offered) as client:
        assert client.connection.subprotocol is None
        assert client.hear_close() == (4406, "Subprotocol not acceptable: use graphql-transport-ws")


def test_of_several_subprotocols_ours_is_chosen(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql", ("graphql-ws", "graphql-transport-ws")) as client:
        assert client.connection.subprotocol == "graphql-transport-ws"


def test_messages_are_not_compressed(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        assert "Sec-WebSocket-Extensions" not in client.connection.response.headers


def test_a_message_in_fragments_is_put_together(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        client.connection.send(iter(['{"type":', '"pi', 'ng"}']))
        assert client.hear() == PONG


def test_a_message_in_fragments_has_64_kib_at_most(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        with suppress(ConnectionClosed):  # it may hear of it while it still sends
            client.connection.send(iter(["x" * 40_000, "x" * 40_000]))
        assert client.hear_close()[0] == 1009


def test_text_that_is_no_utf8_is_refused(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        client.connection.send(b'{"type":"\xff"}', text=True)
        assert client.hear_close()[0] == 1007


def test_responses_of_several_operations_are_told_apart(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        client.introduce().subscribe("a", QUEUE)
        client.subscribe("b", "subscription { queueMetrics(intervalSeconds: 0.1) { activeJobs } }")
        heard = {"a": 0, "b": 0}
        while min(heard.values()) < 3:
            message = client.hear()
            metrics = message["payload"]["data"]["queueMetrics"]
            assert list(metrics) == ["depth" if message["id"] == "a" else "activeJobs"]
            heard[message["id"]] += 1


def test_an_error_leaves_other_operations_alone(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        client.introduce().subscribe("a", QUEUE)
        client.subscribe("b", "{")
        while client.hear()["type"] != "error":
            pass
        assert {client.hear()["id"] for _ in range(3)} == {"a"}


def test_a_completed_operation_says_nothing_more(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        client.introduce().subscribe("a", QUEUE)
        assert client.hear()["id"] == "a"
        client.say(complete("a"))
        client.say(PING)
        while client.hear() != PONG:
            pass
        client.subscribe("b", QUEUE)
        assert {client.hear()["id"] for _ in range(3)} == {"b"}
    wait_until(lambda: seeded_server.traffic.open_operations == 0)


def test_the_steps_of_a_job_that_has_ended_are_told_and_completed(seeded_server: LiveServer) -> None:
    rows = seeded_server.sql(
        """SELECT job_id, count(*) FROM monitor.jobs JOIN monitor.node_executions USING (job_id)
           WHERE jobs.status = 'completed' GROUP BY job_id LIMIT 1"""
    )
    with Client(f"{seeded_server.ws}/graphql") as client:
        query = "subscription ($job: ID!) { nodeExecutions(jobId: $job) { jobId } }"
        client.introduce().subscribe("1", query, job=rows[0]["job_id"])
        for _ in range(rows[0]["count"]):
            assert client.hear() == following({"data": {"nodeExecutions": {"jobId": rows[0]["job_id"]}}})
        assert client.hear() == complete()


def test_a_socket_has_a_hundred_operations_at_most(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        client.introduce()
        for number in range(101):
            client.subscribe(str(number), "subscription { jobUpdates { cursor } }")
        message = client.hear()
        assert (message["id"], message["type"]) == ("100", "error")
        assert message["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
        client.say(complete("7"))
        client.say(subscribe("100"))
        assert client.hear() == following(ANSWER, "100")


def test_a_field_that_fails_is_told_in_a_response(seeded_server: LiveServer) -> None:
    with Client(f"{seeded_server.ws}/graphql") as client:
        client.introduce().subscribe("1", "{ jobs(first: 1000) { edges { cursor } } }")
        message = client.hear()
        assert message["type"] == "next"
        assert [error["extensions"]["code"] for error in message["payload"]["errors"]] == ["BAD_USER_INPUT"]
        assert client.hear() == complete()


def test_a_mutation_is_executed(dsn: str) -> None:
    with serving_live(dsn) as server, Client(f"{server.ws}/graphql") as client:
        query = """mutation ($input: RegisterRobotInput!) { registerRobot(input: $input) { robot { robotId } } }"""
        client.introduce().subscribe("1", query, input={"robotId": "r1", "hostname": "h"})
        message = client.hear()
        assert message["type"] == "next", message
        assert client.hear() == complete()
        assert server.sql("SELECT robot_id FROM monitor.robots")[0]["robot_id"] == "r1"


def test_a_client_that_answers_pings_is_pinged_again(
    seeded_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.transports.websocket._PING_EVERY", 0.2)
    with Client(f"{seeded_server.ws}/graphql", pings=True) as client:
        client.introduce()
        for _ in range(3):
            assert client.hear() == PING
            client.say(PONG)


def test_a_client_that_answers_no_ping_is_closed_so_that_it_connects_again(
    seeded_server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.transports.websocket._PING_EVERY", 0.2)
    with Client(f"{seeded_server.ws}/graphql", pings=True) as client:
        client.introduce()
        assert client.hear() == PING
        assert client.hear_close() == (4499, "Terminated: no pong within 0.2 s")


def test_lost_connections_leave_nothing_behind(seeded_server: LiveServer) -> None:
    process = psutil.Process()
    wait_until(lambda: seeded_server.traffic.open_sockets == 0)
    files = process.num_fds()
    for _ in range(3):
        clients = [Client(f"{seeded_server.ws}/graphql").__enter__().introduce() for _ in range(30)]
        for client in clients:
            client.subscribe("1", QUEUE)
            client.subscribe("2", "subscription { jobUpdates { cursor } }")
        wait_until(lambda: seeded_server.traffic.open_operations == 60)
        for client in clients:
            client.cut()
        wait_until(lambda: seeded_server.traffic.open_operations == seeded_server.traffic.open_sockets == 0)
        for client in clients:
            client.__exit__(None, None, None)
    wait_until(lambda: process.num_fds() <= files + Settings().pool_size)  # connections to Postgres stay


@pytest.mark.slow
def test_a_thousand_idle_sockets_are_all_told(dsn: str) -> None:
    with serving_live(dsn) as server:
        clients = [Client(f"{server.ws}/graphql").__enter__().introduce() for _ in range(1000)]
        for client in clients:
            client.subscribe("1", "subscription { jobUpdates { jobId } }")
        wait_until(lambda: server.traffic.open_operations == 1000, 30)
        server.settle(1000)
        server.new_jobs(1)
        for client in clients:
            assert client.hear() == following({"data": {"jobUpdates": {"jobId": "j0"}}})
        for client in clients:
            client.cut()
        wait_until(lambda: server.traffic.open_operations == server.traffic.open_sockets == 0)
        for client in clients:
            client.__exit__(None, None, None)
