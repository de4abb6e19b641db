"""How long answers last: what is declared holds of what fields really look at."""

import inspect
import re
from pathlib import Path

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, parse

import datasources
from datasources.settings import Settings
from graph.engine.judgement import Judge
from graph.engine.lasting import FOR_THE_MOMENT, IN_MEMORY, UNTIL_CHANGED, Lasting, lasting_fields
from graph.schema import build_schema, core
from graph.types.roles import required_roles

SCHEMA = core(build_schema())
JUDGE = Judge(SCHEMA, Settings(), required_roles(SCHEMA))
FIELDS = {
    (type_.name, name): field
    for type_ in SCHEMA.type_map.values()
    if isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) and not type_.name.startswith("__")
    for name, field in type_.fields.items()
}
NAMED = [(type_, name) for type_, names in UNTIL_CHANGED.items() for name in sorted(names)]

# The silence of robots is part of a snapshot; other clocks are looked at for fields that do not last.
_CLOCK = re.compile(
    r"now\(\)|clock_timestamp|statement_timestamp|current_(?:date|time)|localtime|random\(\)", re.IGNORECASE
)
_SILENCE = "coalesce(r.last_heartbeat, r.registered_at) < now() - make_interval(secs => :offline_after)"
_VIEWERS = {"activity", "executions", "jobs", "robots", "workflows"}


def lasts(query: str) -> Lasting:
    return JUDGE.judge(parse(query))[None].lasting


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ jobs { totalCount nodes { id status robot { status currentJob { jobId } } } } }", Lasting.UNTIL_CHANGED),
        ("{ robots { edges { cursor node { jobsCompletedToday heartbeats { at } } } } }", Lasting.UNTIL_CHANGED),
        ('{ node(id: "x") { __typename id ... on Job { nodeExecutions { success } } } }', Lasting.UNTIL_CHANGED),
        ("{ activity { nodes { title details job { status } } } }", Lasting.UNTIL_CHANGED),
        ("{ analytics { p95DurationMs } }", Lasting.A_MOMENT),
        ("{ robots { nodes { robotId analytics { totalJobs } } } }", Lasting.A_MOMENT),
        ("{ fleet { totalRobots asOf pendingByEnvironment { depth } } }", Lasting.A_PASS),
        ("{ fleet { totalRobots } jobs { totalCount } analytics { totalJobs } }", Lasting.A_PASS),
        ("{ fleet { pendingByWorkflow { workflow { name } } } }", Lasting.NOT_AT_ALL),
        ("{ fleet { totalRobots } viewer { name } }", Lasting.NOT_AT_ALL),
        ("{ jobs { totalCount } viewer { name } }", Lasting.NOT_AT_ALL),
        ("{ jobs { totalCount } ...F } fragment F on Query { ... { viewer { name } } }", Lasting.NOT_AT_ALL),
        ("{ jobs { totalCount } __schema { description } }", Lasting.NOT_AT_ALL),
        ('{ jobs { totalCount } __type(name: "Job") { name } }', Lasting.NOT_AT_ALL),
        ("{ jobs { nodes { fieldOfTomorrow } } }", Lasting.NOT_AT_ALL),
        ("{ __typename }", Lasting.NOT_AT_ALL),
    ],
)
def test_an_answer_lasts_as_long_as_its_shortest_field(query: str, expected: Lasting) -> None:
    assert lasts(query) is expected


def test_every_name_is_one_of_the_schema() -> None:
    assert [named for named in NAMED if named not in FIELDS] == []
    assert sorted((FOR_THE_MOMENT | IN_MEMORY) - {type_ for type_, _ in FIELDS}) == []


def test_what_is_not_named_and_has_a_resolver_lasts_not_at_all() -> None:
    known = lasting_fields(SCHEMA)
    for field, definition in FIELDS.items():
        resolver = definition.extensions["strawberry-definition"].base_resolver
        if resolver is not None and field not in NAMED and known[field] not in {Lasting.A_MOMENT, Lasting.A_PASS}:
            assert known[field] is Lasting.NOT_AT_ALL, field


@pytest.mark.parametrize(("type_", "name"), NAMED)
def test_what_lasts_looks_at_no_clock_no_memory_and_nobody(type_: str, name: str) -> None:
    resolver = FIELDS[type_, name].extensions["strawberry-definition"].base_resolver
    source = "" if resolver is None else inspect.getsource(resolver.wrapped_func)
    assert (
        re.search(r"context\.(now|sight|collector|viewer|pace|cost|correlation_id)|datetime\.now|time\(\)", source)
        is None
    )


@pytest.mark.parametrize("field", [field for field in FIELDS if field[0] in IN_MEMORY], ids=".".join)
def test_what_is_in_memory_looks_at_nobody(field: tuple[str, str]) -> None:
    resolver = FIELDS[field].extensions["strawberry-definition"].base_resolver
    source = "" if resolver is None else inspect.getsource(resolver.wrapped_func)
    assert re.search(r"context\.(sight|viewer|pace|cost|correlation_id)", source) is None


@pytest.mark.parametrize("file", sorted(_VIEWERS))
def test_sql_of_what_lasts_looks_at_the_clock_for_silence_only(file: str) -> None:
    text = Path(datasources.__file__).with_name(f"{file}.sql").read_text()
    assert _CLOCK.findall(text.replace(_SILENCE, "")) == []
