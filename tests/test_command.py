"""`casare-monitor` as its users meet it: a process with an environment, an output and an exit code."""

import re
import socket
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import run

pytestmark = pytest.mark.slow

NOWHERE = "postgresql://me:swordfish@127.0.0.1:1/rpa"
FAILED, USAGE, UNAVAILABLE = 1, 2, 3


@pytest.mark.parametrize(
    "command", ["serve", "demo", "migrate", "attach", "detach", "seed", "audit", "schema", "config"]
)
def test_each_command_explains_itself_with_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"Usage: casare-monitor {command}" in done.stdout
    assert re.search(rf"Example: .*casare-monitor {command}", done.stdout)


def test_without_a_command_it_tells_what_there_is() -> None:
    done = run()
    assert done.returncode == USAGE
    assert "serve" in done.stdout
    assert "Exit codes: 0 done, 1 failed, 2 wrong usage or setting, 3 database" in done.stdout


def test_the_version_is_the_packages() -> None:
    assert run("--version").stdout == f"casare-monitor {version('casare-monitor')}\n"


def test_config_tells_every_setting_and_where_it_came_from() -> None:
    lines = run("config", CASARE_PORT="9000").stdout.splitlines()
    assert [line.split()[:3] for line in lines if line.startswith(("CASARE_PORT ", "CASARE_HOST "))] == [
        ["CASARE_HOST", "127.0.0.1", "default"],
        ["CASARE_PORT", "9000", "environment"],
    ]
    assert lines[0].split(maxsplit=3)[3].strip() == "what it is"


def test_config_hides_what_is_secret() -> None:
    shown = run("config", DATABASE_URL="postgresql://me:swordfish@db/rpa", DB_PASSWORD="swordfish").stdout
    assert "swordfish" not in shown
    assert "postgresql://me@db/rpa" in shown
    assert re.search(r"DB_PASSWORD +\*{8} +environment", shown)


def test_a_variable_that_is_no_setting_is_pointed_out() -> None:
    done = run("config", CASARE_PROT="9000")
    assert done.returncode == 0
    assert "CASARE_PROT is not a setting: did you mean CASARE_PORT?" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CASARE_PORT", "http"),
        ("CASARE_WORKERS", "0"),
        ("CASARE_LOG_LEVEL", "loud"),
        ("DATABASE_URL", "mysql://me:swordfish@db/rpa"),
        ("DB_PORT", "swordfish"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: str) -> None:
    done = run("config", **{name: value})
    assert done.returncode == USAGE
    assert name in done.stderr
    assert "swordfish" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("nope",),
        ("serve", "--port", "99999"),
        ("serve", "--workers", "0"),
        ("attach",),
        ("attach", "nope"),
        ("detach", "nope"),
        ("seed", "--jobs", "many"),
    ],
)
def test_wrong_usage_is_refused_before_any_database_is_touched(arguments: tuple[str, ...]) -> None:
    done = run(*arguments, DATABASE_URL=NOWHERE)
    assert done.returncode == USAGE
    assert done.stderr


@pytest.mark.parametrize("option", ["--robots", "--jobs", "--days"])
@pytest.mark.parametrize("number", ["0", "-1", "999999999"])
def test_a_seed_of_impossible_size_is_refused(dsn: str, option: str, number: str) -> None:
    done = run("seed", option, number, DATABASE_URL=dsn)
    assert done.returncode == USAGE
    assert option.removeprefix("--") in done.stderr


def test_a_database_that_cannot_be_reached_has_an_exit_code_of_its_own() -> None:
    done = run("detach", "pgqueuer", DATABASE_URL=NOWHERE)
    assert done.returncode == UNAVAILABLE
    assert "the database cannot be reached" in done.stderr
    assert "swordfish" not in done.stderr


def test_a_port_that_is_taken_is_said_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", CASARE_PORT=port, DATABASE_URL=NOWHERE)
    assert done.returncode == FAILED
    assert done.stderr == (
        f"error: cannot listen on 127.0.0.1:{port}: Address already in use. "
        "Another copy may be running; choose another port with --port or CASARE_PORT.\n"
    )


def test_migrate_brings_a_database_up_to_date_and_takes_everything_out_again(empty_dsn: str) -> None:
    first = run("migrate", DATABASE_URL=empty_dsn)
    assert "applied 0001_monitor" in first.stdout
    assert "applied" not in run("migrate", DATABASE_URL=empty_dsn).stdout
    refused = run("migrate", "--remove", stdin="n\n", DATABASE_URL=empty_dsn)
    assert refused.returncode == FAILED
    removed = run("migrate", "--remove", "--yes", DATABASE_URL=empty_dsn)
    assert "nothing of ours is left" in removed.stdout
    assert "applied 0001_monitor" in run("migrate", DATABASE_URL=empty_dsn).stdout


def test_a_source_whose_tables_are_not_there_cannot_be_attached(dsn: str) -> None:
    done = run("attach", "pgqueuer", DATABASE_URL=dsn)
    assert done.returncode == FAILED
    assert "no PgQueuer tables in this database" in done.stderr


def test_a_source_that_is_not_attached_cannot_be_detached(dsn: str) -> None:
    done = run("detach", "dbos", DATABASE_URL=dsn)
    assert (done.returncode, done.stderr) == (FAILED, "error: dbos is not attached\n")


def test_a_past_is_seeded_once(dsn: str) -> None:
    size = ("--robots", "5", "--jobs", "200", "--days", "2")
    first = run("seed", *size, DATABASE_URL=dsn)
    assert re.search(r"5 robots, 200 jobs, [\d,]+ node executions in", first.stdout)
    again = run("seed", *size, DATABASE_URL=dsn)
    assert again.returncode == FAILED
    assert "seed" in again.stderr


def test_the_schema_is_printed_written_and_compared(tmp_path: Path) -> None:
    written = tmp_path / "schema.graphql"
    assert run("schema", "--output", str(written)).returncode == 0
    assert run("schema").stdout == written.read_text(encoding="utf-8")
    assert run("schema", "--check", str(written)).returncode == 0
    written.write_text(written.read_text(encoding="utf-8").replace("queueDepth: Int!", "queueLength: Int!"))
    drifted = run("schema", "--check", str(written))
    assert drifted.returncode == FAILED
    assert "-  queueLength: Int!\n+  queueDepth: Int!\n" in drifted.stdout
    assert "make schema" in drifted.stderr


@pytest.mark.parametrize("option", ["--output", "--check"])
def test_a_schema_file_that_cannot_be_is_said_in_a_sentence(tmp_path: Path, option: str) -> None:
    done = run("schema", option, str(tmp_path / "nowhere" / "schema.graphql"))
    assert done.returncode == FAILED
    assert done.stderr.startswith("error: ")
