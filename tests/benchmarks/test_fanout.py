"""Telling and starting are measured; that they are, and that nobody is left out, is tested. How fast is not."""

import asyncio

import pytest

from datasources.embedded import EmbeddedPostgres
from datasources.migrate import migrate
from datasources.postmaster import free_port
from tests.benchmarks.crowding import crowd
from tests.benchmarks.fanout import TOPICS, Idle, Scale, Told, fan_out
from tests.benchmarks.loading import LoadFailed
from tests.benchmarks.moving_report import starting, telling
from tests.benchmarks.publishing import DOCUMENT, distinct_documents
from tests.benchmarks.starting import starts


@pytest.mark.slow
def test_every_server_tells_every_socket_of_every_event(postgres: EmbeddedPostgres) -> None:
    steps: list[str] = []
    scale = Scale(rounds=1, seconds=0.05, sockets=100)
    measured = list(fan_out(postgres.dsn, frozenset(), scale, steps.append))
    told = [each for each in measured if isinstance(each, Told)]
    assert [(each.topic, each.server) for each in told] == [
        (topic.name, server) for topic in TOPICS for server in topic.servers
    ]
    assert all(each.deliveries and each.deliveries % scale.sockets == 0 for each in told)
    assert all(0 < each.p50_ms <= each.p99_ms for each in told)
    assert [each.server for each in measured if isinstance(each, Idle)] == list(TOPICS[0].servers)
    assert len(steps) == scale.steps
    assert [table.row_count for table in telling(measured, scale.sockets)] == [len(each.servers) for each in TOPICS]


@pytest.mark.slow
def test_a_start_is_measured_until_the_server_is_well(dsn: str) -> None:
    asyncio.run(migrate(dsn))
    [start] = starts(dsn, frozenset(), 1, lambda _: None)
    assert start.seconds > start.cpu_seconds / 2 > 0
    assert start.rest_mb > 1
    assert starting([start]).row_count == 1


@pytest.mark.slow
def test_a_crowd_that_is_not_let_in_says_so() -> None:
    with crowd() as sockets, pytest.raises(LoadFailed, match="refused"):
        sockets.open(free_port(0), 1, [DOCUMENT])


def test_distinct_documents_are_distinct() -> None:
    assert len(set(distinct_documents(100))) == 100
