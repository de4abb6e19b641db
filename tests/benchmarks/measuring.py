"""Measuring servers side by side: first that they answer the same, then what that costs them, round by round."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from tests.benchmarks.load import Load, Work
from tests.benchmarks.loading import Loader
from tests.benchmarks.processes import Server
from tests.benchmarks.questions import Question

_SETTLE_SECONDS = 5.0
_WARM_UP_SECONDS = 1.0


class Disagreement(RuntimeError):
    """Servers answer a question differently: what they cost cannot be compared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float
    connections: int

    def steps(self, questions: int, servers: int) -> int:
        """How many times load is put on a server, the warm-up included."""
        return (self.rounds + 1) * questions * servers


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one server did with one question in one round."""

    question: str
    server: str
    round: int
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms_per_request: float
    requests: int


def agreed_sizes(questions: list[Question], servers: list[Server]) -> dict[tuple[str, str], int]:
    """How long each server's answer to each question is, in bytes, after a check that all say the same."""
    sizes: dict[tuple[str, str], int] = {}
    for question in questions:
        answers: dict[str, Any] = {}
        for server in servers:
            response = _ask(server, question)
            sizes[question.name, server.name] = len(response.content)
            answers[server.name] = question.answer(response.json(), graphql=server.graphql)
        reference = servers[0].name
        for name, answer in answers.items():
            if answer != answers[reference]:
                raise Disagreement(
                    f"{question.name}: {name} and {reference} differ {_difference(answers[reference], answer)}"
                )
    return sizes


def measure(
    questions: list[Question], servers: list[Server], plan: Plan, load: Loader, step: Callable[[str], None]
) -> Iterator[Measurement]:
    """Measurements as they come in; servers take turns within a round, so that the machine's moods meet them all."""
    sizes = agreed_sizes(questions, servers)
    for number in range(plan.rounds + 1):
        for question in questions:
            for server in servers:
                step(f"{question.name} {server.name}, " + (f"round {number}" if number else "warm-up"))
                seconds = plan.seconds if number else min(plan.seconds, _WARM_UP_SECONDS)
                work = Work(question.request(graphql=server.graphql), server.port, plan.connections, seconds)
                cpu_before = server.cpu_seconds()
                came = load(work)
                _check(came, sizes[question.name, server.name], question, server)
                cpu = settled_cpu(server) - cpu_before
                if number:
                    yield Measurement(
                        question=question.name,
                        server=server.name,
                        round=number,
                        requests_per_second=came.answered / came.seconds,
                        p50_ms=came.p50_ms,
                        p99_ms=came.p99_ms,
                        cpu_ms_per_request=1000 * cpu / came.served,
                        requests=came.served,
                    )


def _ask(server: Server, question: Question) -> httpx.Response:
    request = question.request(graphql=server.graphql)
    headers = {"Content-Type": "application/json"} if request.body else {}
    url = f"http://127.0.0.1:{server.port}{request.path}"
    response = httpx.request(request.method, url, content=request.body, headers=headers, timeout=30)
    body = response.json()
    if response.status_code != 200 or "errors" in body:
        raise Disagreement(
            f"{server.name} does not answer {question.name}: {response.status_code} {response.text[:500]}"
        )
    return response


def _check(came: Load, size: int, question: Question, server: Server) -> None:
    if came.refused:
        raise Disagreement(f"{server.name} refused {came.refused} of {came.answered} times to answer {question.name}")
    # Heads are larger than any change of the answers; an error message in their place is much shorter.
    if came.received_bytes < size * came.answered:
        raise Disagreement(f"{server.name} answers {question.name} under load with less than when asked alone")


def settled_cpu(server: Server) -> float:
    """The server's processor time once it has finished what was under way."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    seconds = server.cpu_seconds()
    while time.monotonic() < deadline:
        time.sleep(0.1)
        before, seconds = seconds, server.cpu_seconds()
        if seconds - before < 0.01:
            break
    return seconds


def _difference(expected: Any, found: Any, path: str = "") -> str:
    """Where two answers part, and how."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        for name, value in expected.items():
            if value != found[name]:
                return _difference(value, found[name], f"{path}.{name}")
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, value in enumerate(expected):
            if value != found[index]:
                return _difference(value, found[index], f"{path}[{index}]")
    return f"at {path or 'the root'}: {found!r:.200} is not {expected!r:.200}"
