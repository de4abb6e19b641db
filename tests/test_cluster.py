import os
import stat
from pathlib import Path

import psutil
import pytest

from datasources.embedded import EmbeddedPostgres, EmbeddedPostgresError
from datasources.postmaster import postmaster_pid

pytestmark = pytest.mark.slow


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_can_read_what_lies_in_the_data_directory(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False):
        assert mode(data_dir) == (0o711 if os.geteuid() == 0 else 0o700)
        assert mode(data_dir / "postgres") == 0o700
        files = [path for path in data_dir.iterdir() if path.is_file()]
        assert {path.name: oct(mode(path)) for path in files} == dict.fromkeys(
            ["postgres.json", "postgres.lock", "postgres.log"], oct(0o600)
        )


def test_the_server_never_runs_as_root(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir, durable=False):
        pid = postmaster_pid(data_dir / "postgres")
        assert pid is not None
        assert psutil.Process(pid).uids().effective != 0


def test_a_cluster_of_another_major_version_is_refused(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, durable=False)
    server.start()
    server.stop()
    (data_dir / "postgres/PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match="made by Postgres 17, and this is Postgres 18"):
        server.start()


def test_a_cluster_that_lost_its_password_is_refused(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, durable=False)
    server.start()
    server.stop()
    (data_dir / "postgres.json").unlink()
    with pytest.raises(EmbeddedPostgresError, match="has lost its"):
        server.start()


def test_a_cluster_that_was_kept_elsewhere_and_is_gone_is_missed(data_dir: Path) -> None:
    data_dir.mkdir()
    gone = data_dir.parent / "gone"
    (data_dir / "postgres.json").write_text(f'{{"port": 1, "password": "p", "elsewhere": "{gone}"}}')
    with pytest.raises(EmbeddedPostgresError, match=f"was in {gone}, which is gone"):
        EmbeddedPostgres(data_dir).start()


def test_what_an_interrupted_first_start_left_is_swept_away(data_dir: Path) -> None:
    (data_dir / "postgres.new/base").mkdir(parents=True)
    data_dir.chmod(0o711)
    with EmbeddedPostgres(data_dir, durable=False):
        assert not (data_dir / "postgres.new").exists()


def test_a_data_directory_that_cannot_be_made_is_named(data_dir: Path) -> None:
    data_dir.write_text("a file")
    with pytest.raises(EmbeddedPostgresError, match=f"no embedded Postgres in {data_dir}/below"):
        EmbeddedPostgres(data_dir / "below").start()
