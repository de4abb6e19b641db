"""The harness measures; that it does, and compares like with like, is tested. How fast anything is, is not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from statistics import median

import psutil
import pytest

from tests.benchmarks import cores
from tests.benchmarks.loading import bundled
from tests.benchmarks.measuring import Disagreement, Measurement, Plan, agreed_sizes, measure
from tests.benchmarks.processes import CHECKOUT, SERVERS, Server, servers
from tests.benchmarks.questions import NAMES, Question, questions
from tests.benchmarks.report import results

pytestmark = pytest.mark.slow

_KILLED_HARNESS = """
import sys, time
from tests.benchmarks.processes import servers
with servers(("floor",), sys.argv[1], frozenset()) as running:
    print(running["floor"].process.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def running(seeded_dsn: str) -> Iterator[list[Server]]:
    with servers(SERVERS, seeded_dsn, frozenset()) as started:
        yield list(started.values())


@pytest.fixture
async def asked(seeded_dsn: str) -> list[Question]:
    return list((await questions(seeded_dsn)).values())


def _measurement(server: str, round: int, cpu: float) -> Measurement:
    return Measurement("q1", server, round, 100.0, 1.0, 2.0, cpu, 100)


def test_all_servers_answer_every_question_the_same(running: list[Server], asked: list[Question]) -> None:
    sizes = agreed_sizes(asked, running)
    assert sizes.keys() == {(question, server) for question in NAMES for server in SERVERS}


def test_servers_that_answer_differently_are_not_compared(running: list[Server], asked: list[Question]) -> None:
    fleet, jobs, *_ = asked
    crossed = Question("q1", "crossed", fleet.root, fleet.document, jobs.path)
    with pytest.raises(Disagreement, match="q1: rest and ours differ"):
        agreed_sizes([crossed], running)


def test_a_round_measures_every_server_on_every_question(running: list[Server], asked: list[Question]) -> None:
    steps: list[str] = []
    plan = Plan(rounds=1, seconds=0.05, connections=2)
    measured = list(measure(asked[:2], running, plan, bundled, steps.append))
    assert [(of.question, of.server) for of in measured] == [(name, server) for name in NAMES[:2] for server in SERVERS]
    assert all(of.requests > 0 and of.p50_ms <= of.p99_ms for of in measured)
    assert len(steps) == plan.steps(questions=2, servers=len(SERVERS))


def test_ratios_are_taken_within_a_round_so_that_a_slow_one_counts_for_both_sides() -> None:
    rounds = {1: (0.2, 0.1), 2: (2.0, 1.0), 3: (0.3, 0.1)}
    measured = [
        _measurement(server, number, cpu)
        for number, costs in rounds.items()
        for server, cpu in zip(("ours", "floor"), costs, strict=True)
    ]
    ours, floor = results(measured)
    assert ours.times_floor == median([2.0, 2.0, 3.0])
    assert floor.times_floor == 1.0
    assert ours.stock_times is None


def test_pinning_ends_with_the_benchmark() -> None:
    before = os.sched_getaffinity(0)
    with cores.apart() as server:
        assert not server or os.sched_getaffinity(0) == before - server
    assert os.sched_getaffinity(0) == before


def test_servers_stop_when_the_harness_is_killed(seeded_dsn: str) -> None:
    harness = subprocess.Popen(
        [sys.executable, "-c", _KILLED_HARNESS, seeded_dsn], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert harness.stdout is not None
    with harness:
        server = psutil.Process(int(harness.stdout.readline()))
        harness.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while server.is_running() and server.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server outlived the harness"
        time.sleep(0.05)
