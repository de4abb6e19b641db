"""Peers that do not read: each is bounded, told why or cut off, and harms nobody else, nor the end of the server."""

import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import psutil
import pytest
from live_server import PATIENCE, Client, LiveServer, serving_live, wait_until
from websockets.exceptions import ConnectionClosed

LITTLE = 4096  # bytes that the kernel of a stuck reader takes
EVENT_STREAM = {"Accept": "text/event-stream"}
HEAVY = "subscription { jobUpdates { jobId job { errorMessage } } }"
LIGHT = "subscription { jobUpdates { jobId cursor } }"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(dsn: str) -> Iterator[LiveServer]:
    with serving_live(dsn, max_query_aliases=1000) as server:
        yield server


def job_ids(client: Client, until: str) -> list[str]:
    """The jobs that a client is told of, up to one of them."""
    told: list[str] = []
    while not told or told[-1] != until:
        told.append(client.hear()["payload"]["data"]["jobUpdates"]["jobId"])
    return told


def has_unread_data(client: Client) -> bool:
    """Whether more has been sent to a client than it has read."""
    unread = bytearray(4)
    fcntl.ioctl(client.socket, termios.FIONREAD, unread)
    return int.from_bytes(unread, sys.byteorder) > 0


def flood(server: LiveServer, until: int) -> int:
    """Make heavy jobs until so many connections are found too slow; gives how many were made."""
    made = 0
    while server.traffic.closed_slow < until:
        server.new_jobs(20, first=made, message="x" * 100_000)
        made += 20
        assert made < 2000, "nobody is found too slow"
    return made


def test_a_slow_reader_of_the_ledger_is_told_to_come_back_with_its_cursor(server: LiveServer) -> None:
    with Client(f"{server.ws}/graphql", receive_buffer=LITTLE) as slow, Client(f"{server.ws}/graphql") as neighbour:
        slow.introduce().subscribe("1", HEAVY)
        neighbour.introduce().subscribe("1", LIGHT)
        server.settle(2)
        made = flood(server, 1)
        assert slow.hear_close() == (4410, "slow consumer: resume with your cursor")
        assert job_ids(neighbour, f"j{made - 1}") == [f"j{number}" for number in range(made)]


def test_a_slow_reader_that_comes_back_has_missed_nothing(server: LiveServer) -> None:
    query = "subscription ($after: String) { jobUpdates(after: $after) { jobId cursor job { errorMessage } } }"
    told: list[str] = []
    cursor = None
    with Client(f"{server.ws}/graphql", receive_buffer=LITTLE) as slow:
        slow.introduce().subscribe("1", query)
        server.settle(1)
        made = flood(server, 1)
        with suppress(ConnectionClosed):
            while True:
                update = slow.hear()["payload"]["data"]["jobUpdates"]
                told.append(update["jobId"])
                cursor = update["cursor"]
    assert 0 < len(told) < made
    with Client(f"{server.ws}/graphql") as again:
        again.introduce().subscribe("1", query, after=cursor)
        told += job_ids(again, f"j{made - 1}")
    assert told == [f"j{number}" for number in range(made)]


def test_a_reader_that_never_reads_is_cut_off_and_harms_nobody(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.transports.outbox.WRITE_DEADLINE", 1.0)
    with Client(f"{server.ws}/graphql", receive_buffer=LITTLE) as stuck, Client(f"{server.ws}/graphql") as neighbour:
        stuck.introduce().subscribe("1", HEAVY)
        neighbour.introduce().subscribe("1", LIGHT)
        server.settle(2)
        made = flood(server, 1)
        wait_until(lambda: server.traffic.aborted == 1 and server.traffic.open_sockets == 1)
        assert job_ids(neighbour, f"j{made - 1}") == [f"j{number}" for number in range(made)]
        with pytest.raises(AssertionError, match="without a reason"):
            stuck.hear_close()


def test_gauges_of_a_slow_reader_are_replaced_by_newer_ones(server: LiveServer) -> None:
    server.sql("INSERT INTO monitor.robots (robot_id, hostname, last_heartbeat) VALUES ('r', repeat('h', 200), now())")
    aliases = " ".join(f"a{number}: hostname" for number in range(400))
    query = f"subscription {{ robotStatus {{ robotId cpuPercent robot {{ {aliases} }} }} }}"
    with Client(f"{server.ws}/graphql", receive_buffer=LITTLE) as slow:
        slow.introduce().subscribe("1", query)
        wait_until(lambda: server.traffic.deliveries > 0)
        cpu = 0
        while server.traffic.coalesced < 5:
            cpu += 1
            offered = server.streams.counts["deliveries"]
            server.sql("UPDATE monitor.robots SET cpu_percent = $1", cpu)
            wait_until(lambda before=offered: server.streams.counts["deliveries"] > before)
            assert cpu < 3000, "nothing is replaced"
        server.sql("UPDATE monitor.robots SET cpu_percent = -1")
        told = [0.0]
        while told[-1] != -1:
            told.append(slow.hear()["payload"]["data"]["robotStatus"]["cpuPercent"] or 0.0)
        assert len(told) <= cpu
        assert server.traffic.closed_slow == 0


def test_pings_of_a_client_that_does_not_read_the_answers_end_its_connection(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graph.transports.outbox.WRITE_DEADLINE", 1.0)
    with Client(f"{server.ws}/graphql", receive_buffer=LITTLE) as stuck:
        ping = json.dumps({"type": "ping", "payload": {"x": "x" * 60_000}})
        with suppress(ConnectionClosed):
            for _ in range(100_000):
                stuck.say(ping)
        assert (server.traffic.closed_slow, server.traffic.aborted) == (1, 1)


@pytest.mark.slow
def test_pongs_do_not_pile_up_for_a_client_that_does_not_read_them(server: LiveServer) -> None:
    with Client(f"{server.ws}/graphql", receive_buffer=LITTLE) as stuck:
        stuck.introduce()
        pings = (b"\x89\xfd" + bytes(4) + bytes(125)) * 500  # masked frames of 125 bytes
        stuck.socket.settimeout(PATIENCE)
        for _ in range(200):
            stuck.socket.sendall(pings)
        before = psutil.Process().memory_info().rss
        for _ in range(800):
            stuck.socket.sendall(pings)
        assert psutil.Process().memory_info().rss - before < 20_000_000


def test_a_client_that_leaves_is_not_waited_for_by_its_neighbours(server: LiveServer) -> None:
    with Client(f"{server.ws}/graphql") as neighbour:
        neighbour.introduce().subscribe("1", LIGHT)
        with ExitStack() as stack:
            for _ in range(50):
                client = stack.enter_context(Client(f"{server.ws}/graphql"))
                client.introduce().subscribe("1", HEAVY)
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.cut()
        wait_until(lambda: server.traffic.open_sockets == 1)
        server.settle(1)
        server.new_jobs(10)
        assert job_ids(neighbour, "j9") == [f"j{number}" for number in range(10)]
        wait_until(lambda: server.traffic.open_sockets == 1)


@pytest.mark.slow
def test_the_server_ends_within_5_seconds_whoever_does_not_read(dsn: str) -> None:
    environment = {**os.environ, "DATABASE_URL": dsn, "CASARE_PORT": "0", "COLUMNS": "200"}
    command = [sys.executable, "-c", "from graph.commands.cli import main; main()", "serve"]
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        address = next(match[1] for line in process.stdout if (match := re.search(r"http://([\d.]+:\d+)", line)))
        server = LiveServer(address, dsn)
        with ExitStack() as stack:
            stuck = [
                stack.enter_context(Client(f"{server.ws}/graphql", receive_buffer=LITTLE)).introduce() for _ in range(5)
            ]
            for client in stuck:
                client.subscribe("1", HEAVY)
            reader = stack.enter_context(Client(f"{server.ws}/graphql")).introduce()
            reader.subscribe("1", LIGHT)
            legacy = stack.enter_context(Client(f"{server.ws}/ws/queue-metrics", ()))
            legacy.hear_text()
            events = stack.enter_context(httpx.Client(timeout=10))
            stream = stack.enter_context(
                events.stream("GET", f"{server.http}/graphql", params={"query": LIGHT}, headers=EVENT_STREAM)
            )
            made = 0
            while not all(has_unread_data(client) for client in stuck):
                server.new_jobs(1, first=made)
                made += 1
            server.new_jobs(100, first=made, message="x" * 100_000)
            job_ids(reader, f"j{made + 99}")
            process.send_signal(signal.SIGTERM)
            assert reader.hear_close()[0] == 1012
            assert legacy.hear_close()[0] == 1012
            with pytest.raises(httpx.RemoteProtocolError):
                stream.read()
            assert process.wait(timeout=5) == 0
            said = process.stdout.read()
            assert "Traceback" not in said
            assert "Cancel" not in said
