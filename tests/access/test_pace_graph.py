"""Rate limits and the viewer, as clients of the graph meet them."""

from datetime import UTC, datetime

from serving import serving
from tokens_at_hand import SECRET, claims, signed

STANDING = "{ viewer { rateLimit { limit cost remaining resetAt } } }"
LOW = {"rate_limits": "on", "rate_limit_cost": 500, "max_query_cost": 500}


def bearer(name, **more):
    return {"Authorization": f"Bearer {signed(claims(sub=name, **more))}"}


def ask(graph, query, **headers):
    return graph.http.post("/graphql", json={"query": query}, headers=headers)


def test_the_viewer_says_who_asks_and_what_they_see(dsn):
    with serving(dsn, jwt_secret=SECRET) as graph:
        query = "{ viewer { name roles environments rateLimit { limit } } }"
        known = ask(graph, query, **bearer("ada", roles=["operator", "viewer"], environments=["staging", "production"]))
        nobody = ask(graph, query)
    assert known.json()["data"]["viewer"] == {
        "name": "ada",
        "roles": ["VIEWER", "OPERATOR"],
        "environments": ["production", "staging"],
        "rateLimit": {"limit": 60_000_000},
    }
    assert nobody.json()["data"]["viewer"] == {
        "name": "anonymous",
        "roles": [],
        "environments": None,
        "rateLimit": {"limit": 60_000_000},
    }


def test_on_an_open_server_nobody_is_limited(dsn):
    with serving(dsn) as graph:
        assert graph.ask("{ viewer { name rateLimit { limit } } }").data["viewer"]["rateLimit"] is None


def test_the_viewer_is_told_what_this_cost_what_remains_and_until_when(dsn):
    with serving(dsn, **LOW) as graph:
        first, second = (graph.ask(STANDING).data["viewer"]["rateLimit"] for _ in range(2))
    assert first["limit"] == 500
    assert first["cost"] > 0
    assert first["remaining"] == 500 - first["cost"]
    assert second["remaining"] == first["remaining"] - second["cost"]
    assert 50 < (datetime.fromisoformat(second["resetAt"]) - datetime.now(UTC)).total_seconds() <= 65


def test_who_has_spent_their_minute_is_refused_with_when_to_come_back(dsn):
    with serving(dsn, **LOW) as graph:
        refused = next(answer for _ in range(200) if (answer := ask(graph, STANDING)).status_code != 200)
    assert refused.status_code == 429
    [error] = refused.json()["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert error["extensions"]["retryAfter"] == int(refused.headers["retry-after"]) > 50


def test_two_workers_let_one_viewer_spend_one_limit(dsn):
    with serving(dsn, **LOW) as one, serving(dsn, **LOW) as other:
        answers = [ask(worker, STANDING) for _ in range(60) for worker in (one, other)]
    spent = sum(answer.json()["data"]["viewer"]["rateLimit"]["cost"] for answer in answers if answer.status_code == 200)
    assert 400 <= spent <= 500


def test_viewers_do_not_spend_each_others_limits(dsn):
    with serving(dsn, jwt_secret=SECRET, **LOW) as graph:
        while ask(graph, STANDING, **bearer("eve")).status_code == 200:
            pass
        assert ask(graph, STANDING, **bearer("ada")).status_code == 200


def test_strangers_pay_by_network_and_only_a_trusted_proxy_says_which(dsn):
    def exhausted(graph, address):
        return ask(graph, STANDING, **{"X-Forwarded-For": address}).status_code == 429

    with serving(dsn, trusted_proxies="127.0.0.0/8", **LOW) as graph:
        while not exhausted(graph, "2001:db8::1"):
            pass
        assert exhausted(graph, "2001:db8::2:3")
        assert not exhausted(graph, "2001:db8:0:1::1")
    with serving(dsn, **LOW) as graph:
        while not exhausted(graph, "192.0.2.1"):
            pass
        assert exhausted(graph, "192.0.2.2")
