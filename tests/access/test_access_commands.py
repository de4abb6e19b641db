"""Tokens and keys from the command line, and what a server says that is not given what it needs."""

import os
import re
import time
from pathlib import Path

import asyncpg
import httpx
import jwt
import pytest
from click.testing import Result
from command_line import run, server
from serving import eventually
from tokens_at_hand import QUESTION, RSA_KEY, SECRET, pem, signed
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from graph.commands.cli import cli

HOUR = 3600
KEY = re.compile(r"casare_[0-9a-f]{12}_[\w-]{43}\n")


def claims_of(token: str) -> dict[str, object]:
    return jwt.decode(token.strip(), SECRET, algorithms=["HS256"], audience="casare", issuer="us")


def test_a_token_is_all_that_is_printed() -> None:
    done = run(
        *("token", "--role", "viewer", "--role", "robot", "--env", "b", "--env", "a", "--ttl", "90m", "--name", "ann"),
        CASARE_JWT_SECRET=SECRET,
        CASARE_JWT_AUDIENCE="casare",
        CASARE_JWT_ISSUER="us",
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = claims_of(done.stdout)
    assert (said["sub"], said["roles"], said["environments"]) == ("ann", ["robot", "viewer"], ["a", "b"])
    assert int(str(said["exp"])) - int(str(said["iat"])) == 90 * 60


def within(*arguments: str, **variables: str) -> Result:
    """The command's end, in this process: starting one costs more than what it refuses to do."""
    foreign = dict.fromkeys(name for name in os.environ if name.startswith(("CASARE_", "DB_", "DATABASE_")))
    return CliRunner().invoke(cli, arguments, env={**foreign, **variables})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ttl", "25h"], "24h"),
        (["--ttl", "2d"], "24h"),
        (["--ttl", "0s"], "30m"),
        (["--ttl", "an hour"], "30m"),
        (["--ttl", "-1h"], "30m"),
        (["--name", ""], "printable"),
        (["--name", "a\nb"], "printable"),
        (["--env", ""], "printable"),
        (["--role", "root"], "root"),
    ],
)
def test_a_token_that_would_be_refused_is_not_minted(arguments: list[str], said: str) -> None:
    done = within("token", "--role", "viewer", *arguments, CASARE_JWT_SECRET=SECRET)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_without_the_secret_no_token_is_minted() -> None:
    done = within("token", "--role", "viewer")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "CASARE_JWT_SECRET is not set" in done.stderr


@pytest.mark.slow
def test_a_key_is_made_shown_once_listed_and_revoked(dsn: str) -> None:
    made = run("keys", "create", "--name", "robot-7", "--role", "robot", "--env", "a", "--ttl", "90d", DATABASE_URL=dsn)
    assert made.returncode == 0
    assert KEY.fullmatch(made.stdout)
    assert "CASARE_AUTH=required" in made.stderr
    _, key_id, secret = made.stdout.strip().split("_", 2)
    again = run("keys", "create", "--name", "robot-7", "--role", "robot", "--never-expires", DATABASE_URL=dsn)
    assert (again.returncode, again.stdout) == (1, "")
    listed = run("keys", "list", DATABASE_URL=dsn).stdout
    assert re.search(rf"{key_id} +robot-7 +robot +a +active until .* never", listed)
    assert secret not in listed
    assert run("keys", "revoke", key_id, DATABASE_URL=dsn).returncode == 0
    assert run("keys", "revoke", key_id, DATABASE_URL=dsn).returncode == 1
    assert f"{key_id}  robot-7  robot  a             revoked" in run("keys", "list", DATABASE_URL=dsn).stdout


@pytest.mark.slow
async def test_what_admins_do_with_keys_stands_in_the_audit_without_the_key(dsn: str) -> None:
    made = run("keys", "create", "--name", "m", "--role", "viewer", "--never-expires", DATABASE_URL=dsn)
    run("keys", "revoke", made.stdout.split("_")[1], DATABASE_URL=dsn)
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        rows = await connection.fetch("SELECT code, detail, a::text AS whole FROM monitor.audit a ORDER BY at")
    finally:
        await connection.close(timeout=5)
    assert [row["code"] for row in rows] == ["KEY_CREATED", "KEY_REVOKED"]
    assert all(made.stdout.split("_")[1] in row["detail"] for row in rows)
    assert made.stdout.strip()[20:] not in str(rows)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", "m", "--role", "viewer"],
        ["--name", "m", "--role", "viewer", "--ttl", "1h", "--never-expires"],
        ["--name", "m", "--ttl", "1h"],
        ["--role", "viewer", "--ttl", "1h"],
        ["--name", "m", "--role", "anonymous", "--ttl", "1h"],
        ["--name", " ", "--role", "viewer", "--ttl", "1h"],
        ["--name", "m", "--role", "viewer", "--ttl", "9999d"],
    ],
)
def test_a_key_needs_a_name_a_role_and_an_end_or_none(arguments: list[str]) -> None:
    assert within("keys", "create", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CASARE_JWT_SECRET": "short"}, "at least 32 bytes"),
        ({"CASARE_JWT_SECRET": pem(RSA_KEY)}, "CASARE_JWT_PUBLIC_KEY"),
        ({"CASARE_JWT_SECRET": SECRET, "CASARE_JWKS_URL": "https://id.example/jwks"}, "unset all but one"),
        ({"CASARE_JWT_PUBLIC_KEY": "/nowhere/key.pem"}, "neither a key in PEM nor a file"),
        ({"CASARE_JWT_PUBLIC_KEY": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, "private key"),
        ({"CASARE_JWT_PUBLIC_KEY": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"}, "no public key"),
        ({"CASARE_JWKS_URL": "http://id.example/jwks"}, "https://"),
        ({"CASARE_JWKS_URL": "https://user:password@id.example/jwks"}, "no user in it"),
        ({"CASARE_JWKS_URL": "file:///etc/passwd"}, "https://"),
    ],
)
def test_a_server_does_not_start_with_a_key_that_is_none(variables: dict[str, str], said: str) -> None:
    done = within("serve", **variables)
    assert done.exit_code == 2
    assert said in done.stderr
    assert not any(value in done.stderr for value in variables.values())


def test_a_public_key_may_lie_in_a_file_or_in_one_line_of_a_variable(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text(pem(RSA_KEY))
    for value in (str(file), pem(RSA_KEY).replace("\n", "\\n")):
        assert within("config", CASARE_JWT_PUBLIC_KEY=value).exit_code == 0


@pytest.mark.slow
def test_no_credentials_are_logged_at_the_most_talkative_level(dsn: str, tmp_path: Path) -> None:
    output, token = tmp_path / "out", signed()
    with server(output, "serve", DATABASE_URL=dsn, CASARE_JWT_SECRET=SECRET, CASARE_LOG_LEVEL="debug") as one:
        url = one.url
        for value in (token, "casare_forged", "a.forged.one"):
            httpx.post(f"{url}/graphql", json={"query": QUESTION}, headers={"Authorization": f"Bearer {value}"})
            httpx.get(f"{url}/graphql?query={{viewer{{name}}}}&token={value}", headers={"Accept": "text/event-stream"})
            with connect(f"{url.replace('http', 'ws')}/ws/queue-metrics?token={value}") as client:
                try:
                    client.recv(timeout=10)
                except ConnectionClosed:
                    continue
        eventually(lambda: output.read_text().count("/ws/queue-metrics") >= 3, seconds=10)
    written = output.read_text()
    assert "/ws/queue-metrics" in written
    assert "forged" not in written
    assert token.split(".")[2] not in written
    assert SECRET not in written


@pytest.mark.slow
def test_a_revoked_key_opens_nothing_at_any_worker_three_seconds_later(dsn: str, tmp_path: Path) -> None:
    key = run("keys", "create", "--name", "m", "--role", "viewer", "--never-expires", DATABASE_URL=dsn).stdout.strip()

    def status(url: str) -> int:
        # A connection of its own for each, so that both workers are met.
        asked = {"json": {"query": QUESTION}, "headers": {"X-API-Key": key}, "timeout": 20}
        return httpx.post(f"{url}/graphql", **asked).status_code

    output = tmp_path / "out"
    with server(output, "serve", "--workers", "2", DATABASE_URL=dsn, CASARE_AUTH="required") as both:
        url = both.url
        assert {status(url) for _ in range(40)} == {200}
        assert run("keys", "revoke", key.split("_")[1], DATABASE_URL=dsn).returncode == 0
        revoked = time.monotonic()
        while time.monotonic() - revoked < 3:
            status(url)
        assert {status(url) for _ in range(40)} == {401}
