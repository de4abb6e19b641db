"""What the paths of health tell."""

import pytest
from serving import Graph, eventually, serving


def test_a_healthy_service_tells_the_state_and_age_of_all_it_needs(graph: Graph) -> None:
    eventually(lambda: graph.http.get("/health").json()["status"] == "ok")
    for path in ("/health", "/health/ready"):
        answer = graph.http.get(path)
        checks = answer.json()["checks"]
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert {name: check["status"] for name, check in checks.items()} == dict.fromkeys(
            ("database", "feed", "bus", "collector"), "ok"
        )
        assert checks["feed"]["doorbell"] is True
        assert 0 <= checks["feed"]["ageSeconds"] < 15
        assert 0 <= checks["collector"]["ageSeconds"] < 15
        assert checks["collector"]["differences"] == 0


@pytest.mark.slow
def test_a_service_without_its_database_lives_but_is_not_ready() -> None:
    secret = "swordfish-7"
    with serving(f"postgresql://me:{secret}@127.0.0.1:1/rpa", connect_timeout_seconds=1) as graph:
        assert graph.http.get("/health/live").json() == {"status": "ok"}
        answer = graph.http.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
    assert answer.json()["checks"]["database"]["reason"].startswith("the database is not reachable")
    assert answer.json()["checks"]["feed"] == {"status": "unavailable", "reason": "the ledger has not been read yet"}
    assert secret not in answer.text


@pytest.mark.slow
def test_a_doorbell_that_is_not_heard_is_no_reason_to_send_nobody(graph: Graph) -> None:
    eventually(lambda: graph.http.get("/health").json()["status"] == "ok")
    seen = set[tuple[int, str]]()

    def degraded() -> bool:
        graph.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name <> 'casare-monitor' AND pid <> pg_backend_pid()"
        )
        answer = graph.http.get("/health")
        seen.add((answer.status_code, answer.json()["checks"]["feed"]["status"]))
        return (200, "degraded") in seen

    eventually(degraded, 30)
    assert 503 not in {status for status, _ in seen}


def test_a_bus_that_is_away_is_no_reason_to_send_nobody(serve) -> None:
    with serve(bus="redis://127.0.0.1:1/0") as graph:
        eventually(lambda: graph.http.get("/health").json()["status"] == "degraded")
        answer = graph.http.get("/health")
    assert (answer.status_code, answer.json()["checks"]["bus"]["status"]) == (200, "degraded")
    assert "reads the ledger for itself" in answer.json()["checks"]["bus"]["reason"]
