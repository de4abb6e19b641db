"""A document that is wrong, endless or ruinous is refused before anything is read, with a code that says which."""

from typing import Any

import pytest

INVALID = "GRAPHQL_VALIDATION_FAILED"
UNREADABLE = "GRAPHQL_PARSE_FAILED"
COSTLY = "QUERY_TOO_COMPLEX"


def nested(opening: str, inside: str, closing: str, times: int) -> str:
    return opening * times + inside + closing * times


def fragments(times: int, field: str, last: str, on: str) -> str:
    """Fragments that each spread the next one inside the field."""
    chain = (f"fragment F{n} on {on} {{ {field % {'next': f'...F{n + 1}'}} }}" for n in range(times))
    return f"{' '.join(chain)} fragment F{times} on {on} {{ {last} }}"


@pytest.mark.parametrize("digits", [11, 5000, 50_000])
def test_a_number_of_thousands_of_digits_is_refused(seeded, digits: int) -> None:
    reply = seeded.ask(f"{{ jobs(first: {'9' * digits}) {{ totalCount }} }}")
    assert reply.codes == [INVALID]
    assert len(reply.response.content) < 2000


@pytest.mark.parametrize(
    "document",
    [
        "{ jobs(filter: {status: [NOPE]}) { totalCount } }",
        "{ jobs(orderBy: BY_LUCK) { totalCount } }",
        '{ jobs(filter: {status: ["FAILED"]}) { totalCount } }',
        '{ jobs(filter: {colour: "red"}) { totalCount } }',
        "{ jobs(first: null) { totalCount } }",
        "{ nope }",
        "{ fleet }",
        "{ fleet { totalRobots { x } } }",
        "{ job { jobId } }",
        "{ job(jobId: 1.5) { jobId } }",
        "{ jobs(first: $n) { totalCount } }",
        "query ($n: Nope) { jobs(first: $n) { totalCount } }",
        "query ($unused: Int) { __typename }",
        "{ ...F }",
        "{ ...F } fragment F on Query { ...F }",
        "{ ...F } fragment F on Query { ...G } fragment G on Query { ...F }",
        "fragment F on Query { __typename }",
        "subscription { jobs }",
        "{ __typename @nope }",
        "{ a: __typename a: fleet { asOf } }",
        "{ reportHeartbeats(input: [{robotId: 1, status: IDLE, cpuPercent: NaN}]) { accepted } }",
        f"{{ {'jobx' * 20_000} }}",
        f"{{ nodes(ids: {nested('[', '', ']', 150)}) {{ id }} }}",
        f"{{ jobs(filter: {nested('{a:', '1', '}', 150)}) {{ totalCount }} }}",
        nested("{ __schema { types { fields { type ", "{ name }", "} } } }", 3),
    ],
)
def test_a_document_that_does_not_fit_the_schema_is_refused(seeded, document: str) -> None:
    reply = seeded.ask(document)
    assert set(reply.codes) == {INVALID}
    assert "data" not in reply.body
    assert len(reply.response.content) < 130_000


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "}",
        " ",
        "#",
        "{ __typename \x00 }",
        "\ufeff\ufeff",
        '{ job(jobId: "\\ud800") { jobId } }',
        '{ job(jobId: "\\u{110000}") { jobId } }',
        '{ job(jobId: "open) { jobId } }',
    ],
)
def test_a_document_that_cannot_be_read_is_refused(seeded, document: str) -> None:
    assert seeded.ask(document).codes == [UNREADABLE]


@pytest.mark.parametrize(
    "document",
    [
        "{" * 1_000_000,
        " " * 1_000_000,
        "#" + "x" * 1_000_000,
        "#\n" * 50_000,
        '{ job(jobId: "' + "x" * 1_000_000 + '") { jobId } }',
        nested("{ a ", "b", "}", 5000),
        f"{{ {nested('...{', '__typename', '}', 900)} }}",
        f"query ($a: {nested('[', 'Int', ']', 900)}) {{ __typename }}",
        "{ " + " ".join(f"a{n}: __typename" for n in range(10_000)) + " }",
        "{ ...F0 } " + fragments(600, "%(next)s", "__typename", "Query"),
        f"{{ {' '.join(f'f{n}' for n in range(900))} }}",
        f"{{ __typename {'@a ' * 900} }}",
        f"{{ {'__typename ' * 1900} }}",
    ],
)
def test_a_document_beyond_a_limit_is_refused_with_the_name_of_that_limit(seeded, document: str) -> None:
    reply = seeded.ask(document)
    assert reply.codes == [COSTLY]
    assert reply.body["errors"][0]["extensions"]["limit"]


@pytest.mark.parametrize(
    "document",
    [
        "{ ...F0 } " + fragments(40, "%(next)s %(next)s", "__typename", "Query"),
        '{ job(jobId: "x") { ...F0 } } '
        + fragments(30, "a: robot { currentJob { %(next)s } } b: robot { currentJob { %(next)s } }", "jobId", "Job"),
        "{ jobs(first: 100) { nodes { workflow { jobs(first: 100) { nodes { workflow { jobs(first: 100) "
        "{ nodes { jobId } } } } } } } } }",
        "{ "
        + " ".join(f"a{n}: __schema {{ types {{ fields {{ args {{ name type {{ name }} }} }} }} }}" for n in range(100))
        + " }",
    ],
)
def test_an_answer_without_measure_is_refused_before_anything_is_read(seeded, document: str) -> None:
    reply = seeded.ask(document)
    assert reply.codes == [COSTLY]
    assert reply.statements == 0


def test_a_page_size_in_a_variable_counts_as_much_as_one_in_the_document(seeded) -> None:
    document = """
        query ($n: Int! = 100) {
          robots(first: $n) { nodes { jobs(first: $n) { nodes { workflow { jobs(first: $n) { nodes { jobId } } } } } } }
        }"""
    assert seeded.ask(document).codes == [COSTLY]
    assert seeded.ask(document, n=100).codes == [COSTLY]
    assert len(seeded.ask(document, n=3).data["robots"]["nodes"]) == 3


def test_the_cost_that_is_allowed_is_a_setting(serve: Any) -> None:
    with serve(max_query_cost=100) as graph:
        assert graph.ask("{ jobs(first: 2) { nodes { jobId } } }").data == {"jobs": {"nodes": []}}
        assert graph.ask("{ jobs(first: 100) { nodes { jobId } } }").codes == [COSTLY]
