"""A document's judgement: what a naive count of its expanded form says, at the price of what is written."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLInt,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_introspection_query,
    get_named_type,
    is_leaf_type,
    parse,
    value_from_ast_untyped,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from datasources.settings import Settings
from graph.engine.judgement import Judge, TooComplex
from graph.engine.plans import Plans
from graph.schema import build_schema, core
from graph.types.roles import required_roles

ROOT = Path(__file__).parents[2]
SCHEMA = core(build_schema())
ROLES = required_roles(SCHEMA)
ENDLESS = 10_000
PATIENT = Settings(
    max_query_depth=ENDLESS,
    max_query_aliases=ENDLESS,
    max_query_directives=ENDLESS,
    max_query_fragments=ENDLESS,
    max_query_root_fields=ENDLESS,
)
CHAIN = "abcdef"  # fragments, each of which may spread those behind it


class Expanded:
    """A document with all its fragments written out, counted as one would by hand."""

    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._variables = variables
        [operation] = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        self.roles: set[str] = set()
        self.depth, self.cost = self._selected(operation.selection_set, SCHEMA.query_type)

    def _selected(self, selections: SelectionSetNode, parent: Any) -> tuple[int, int]:
        depth = cost = 0
        for field, on in self._fields(selections, parent):
            definition = SCHEMA.get_field(on, field.name.value)
            if (on.name, field.name.value) in ROLES:
                self.roles.add(ROLES[on.name, field.name.value].value)
            below, whole = 0, 1
            if field.selection_set is not None:
                below, item = self._selected(field.selection_set, get_named_type(definition.type))
                whole = 5 + self._length(field, definition, on) * item
            depth, cost = max(depth, 1 + below), cost + whole
        return depth, cost

    def _fields(self, selections: SelectionSetNode, parent: Any) -> Iterator[tuple[FieldNode, Any]]:
        for node in selections.selections:
            if isinstance(node, FieldNode):
                yield node, parent
            elif isinstance(node, FragmentSpreadNode):
                fragment = self._fragments[node.name.value]
                yield from self._fields(fragment.selection_set, parent)
            else:
                yield from self._fields(node.selection_set, parent)

    def _length(self, field: FieldNode, definition: Any, parent: Any) -> int:
        given = {argument.name.value: argument.value for argument in field.arguments or ()}
        if "first" not in definition.args:
            return 10 if parent.name == "Analytics" else 1
        if "first" not in given:
            return min(definition.args["first"].default_value, 50)
        value = given["first"]
        return self._variables[value.name.value] if isinstance(value, VariableNode) else value_from_ast_untyped(value)


SIZES = st.sampled_from(["", "(first: 3)", "(first: $n)", "(first: $m)"])
FIELDS = {
    "Query": {"fleet": "Fleet", "jobs": "JobConnection", "robots": "RobotConnection", "analytics": "Analytics"},
    "JobConnection": {"nodes": "Job", "totalCount": None},
    "RobotConnection": {"nodes": "Robot"},
    "Job": {"jobId": None, "status": None, "robot": "Robot", "workflow": "Workflow"},
    "Robot": {"robotId": None, "currentJob": "Job", "jobs": "JobConnection"},
    "Workflow": {"workflowId": None, "jobs": "JobConnection"},
    "Fleet": {"asOf": None, "totalRobots": None},
    "Analytics": {"successRate": None, "slowestWorkflows": "SlowestWorkflow"},
    "SlowestWorkflow": {"workflowId": None},
}


@st.composite
def selections(draw: st.DrawFn, on: str, levels: int, fragments: str) -> str:
    """Something that may be selected of a type; `fragments` are on jobs."""
    chosen = draw(st.lists(st.sampled_from(list(FIELDS[on])), min_size=1, max_size=3))
    parts = []
    for number, name in enumerate(chosen):
        below = FIELDS[on][name]
        if below is None:
            parts.append(f"a{number}: {name}")
        elif levels > 0:
            size = draw(SIZES) if "first" in SCHEMA.type_map[on].fields[name].args else ""
            parts.append(f"a{number}: {name}{size} {{ {draw(selections(below, levels - 1, fragments))} }}")
    if on == "Job" and fragments:
        parts += [f"...{name}" for name in draw(st.lists(st.sampled_from(fragments), max_size=2))]
    if draw(st.booleans()):
        parts.append(f"... on {on} {{ __typename }}")
    return " ".join(parts) or "__typename"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """An operation and its fragments, none of which goes in a circle."""
    operation = draw(selections("Query", 4, CHAIN))
    rest = [
        f"fragment {name} on Job {{ {draw(selections('Job', 2, CHAIN[index + 1 :]))} }}"
        for index, name in enumerate(CHAIN)
    ]
    return f"query ($n: Int! = 7, $m: Int!) {{ {operation} }} {' '.join(rest)}"


@given(documents(), st.integers(1, 50))
@settings(deadline=None, max_examples=150)
def test_the_judgement_is_that_of_the_document_written_out(text: str, size: int) -> None:
    document = parse(text)
    [judgement] = Judge(SCHEMA, PATIENT, ROLES).judge(document).values()
    expanded = Expanded(document, {"n": 7, "m": size})
    assert judgement.cost({"m": size}) == expanded.cost
    assert judgement.part.depth == expanded.depth
    assert {role.value for role in judgement.roles} == expanded.roles


class Visits(dict[Any, Any]):
    """Roles that are asked for once for each field that is looked at."""

    count = 0

    def get(self, key: Any, default: Any = None) -> Any:
        self.count += 1
        return super().get(key, default)


@pytest.mark.parametrize("times", [10, 100, 400])
def test_what_doubles_is_looked_at_once(times: int) -> None:
    chain = " ".join(f"fragment F{n} on Query {{ __typename ...F{n + 1} ...F{n + 1} }}" for n in range(times))
    visits = Visits()
    document = parse(f"{{ ...F0 }} {chain} fragment F{times} on Query {{ __typename }}")
    patient = PATIENT.model_copy(update={"max_query_root_fields": 2**500})
    [judgement] = Judge(SCHEMA, patient, visits).judge(document).values()
    assert judgement.cost({}) == 2 ** (times + 1) - 1
    assert visits.count == times + 1


@pytest.mark.parametrize(
    "text",
    [
        "{ ...F } fragment F on Query { ...F }",
        "{ ...A } fragment A on Nope { ...B } fragment B on Query { ...A nope { nope } }",
        "{ ...Nope nope(first: $nope) { nope } } mutation { nope } subscription { nope { nope } }",
        "fragment F on Query { __typename }",
        "{ jobs(first: {a: [1]}) { nodes { ... on Nope { nope } } } } type Query { a: Int }",
        "{ jobs(first: null, last: $a) { totalCount } nodes(ids: 1) { id } fleet { asOf { nope } } }",
        "query A { a } query A { b } { c }",
    ],
)
def test_a_document_that_is_invalid_can_be_judged(text: str) -> None:
    for judgement in Judge(SCHEMA, PATIENT, ROLES).judge(parse(text)).values():
        assert judgement.cost({"a": {"no": "number"}}) >= 0


@given(st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none(), st.lists(st.integers())))
@example(100.0)
@example(1000.0)
@example(True)
@settings(deadline=None)
def test_whatever_graphql_takes_for_a_number_counts_as_that_number_and_anything_else_as_the_most(sent: Any) -> None:
    document = parse("query ($n: Int!) { jobs(first: $n) { nodes { jobId } } }")
    [judgement] = Judge(SCHEMA, PATIENT, ROLES).judge(document).values()
    cost = judgement.cost({"n": sent})
    try:
        number = GraphQLInt.coerce_input_value(sent)
    except GraphQLError:
        refused_anyhow = isinstance(sent, int | float) and not isinstance(sent, bool)
        assert cost >= 5 + 6 if refused_anyhow or sent is None else cost == 5 + 1000 * 6
    else:
        assert cost == 5 + min(max(number, 1), 1000) * 6


@pytest.mark.parametrize(
    ("ids", "length"), [([], 0), (["x"] * 7, 7), (["x"] * 5000, 1000), ("x", 1), (9, 1), (None, 1000)]
)
def test_a_list_counts_as_its_items_and_an_item_as_a_list_of_itself(ids: Any, length: int) -> None:
    document = parse("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }")
    [judgement] = Judge(SCHEMA, PATIENT, ROLES).judge(document).values()
    assert judgement.cost({"ids": ids}) == 5 + length


def test_a_long_default_counts_as_a_hundred() -> None:
    document = parse("{ jobs(first: 3) { nodes { nodeExecutions { nodeId } } } }")
    [judgement] = Judge(SCHEMA, PATIENT, ROLES).judge(document).values()
    assert judgement.cost({}) == 5 + 3 * (5 + 5 + 100)


def test_a_size_that_is_left_to_its_default_counts_as_that() -> None:
    document = parse("query ($n: Int) { jobs(first: $n) { nodes { jobId } } }")
    [judgement] = Judge(SCHEMA, PATIENT, ROLES).judge(document).values()
    assert judgement.cost({}) == 5 + 50 * (5 + 1)


def test_introspection_is_known_wherever_it_stands() -> None:
    def introspects(text: str) -> bool:
        [judgement] = Judge(SCHEMA, PATIENT, ROLES).judge(parse(text)).values()
        return judgement.introspects

    assert introspects("{ a: __schema { types { name } } }")
    assert introspects('{ ... { ...F } } fragment F on Query { __type(name: "Job") { name } }')
    assert not introspects("{ __typename fleet { __typename } }")


def test_the_schema_is_not_the_depth_of_a_document() -> None:
    shown = get_introspection_query(specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True)
    [judgement] = Judge(SCHEMA, Settings(), ROLES).judge(parse(shown)).values()
    assert judgement.part.depth == 0
    assert judgement.cost({}) <= Settings().max_query_cost


def own_documents() -> list[Path]:
    return [
        path
        for folder in ("graph", "clients")
        for path in (ROOT / folder).rglob("*.graphql")
        if "node_modules" not in path.parts
    ]


@pytest.mark.parametrize("path", own_documents(), ids=lambda path: path.stem)
def test_our_own_documents_are_within_the_limits(path: Path) -> None:
    plan = Plans(SCHEMA, Settings()).of(path.read_text(encoding="utf-8"))
    assert plan.errors == []
    for judgement in plan.judgements.values():
        assert judgement.cost({}) <= Settings().max_query_cost / 10


def plain(name: str) -> str:
    """All fields of a type that are no objects."""
    fields = SCHEMA.type_map[name].fields.items()
    return " ".join(field for field, definition in fields if is_leaf_type(get_named_type(definition.type)))


@pytest.mark.parametrize("root", ["jobUpdates { cursor job", "robotStatus { robotId robot { currentJob"])
def test_an_event_may_tell_a_whole_job_with_a_thousand_steps(root: str) -> None:
    steps = f"nodeExecutions(first: 1000) {{ {plain('NodeExecution')} }}"
    job = f"{{ {plain('Job')} robot {{ {plain('Robot')} }} workflow {{ {plain('Workflow')} }} {steps} }}"
    plan = Plans(SCHEMA, Settings()).of(f"subscription {{ {root} {job} {'}' * root.count('{')} }}")
    assert plan.errors == []
    [judgement] = plan.judgements.values()
    assert judgement.cost({}) <= Settings().max_subscription_cost


@pytest.mark.parametrize(
    ("limit", "setting", "text"),
    [
        ("depth", "max_query_depth", "{ jobs { nodes { robot { robotId } } } }"),
        ("aliases", "max_query_aliases", "{ a: __typename b: __typename c: __typename d: __typename }"),
        ("directives", "max_query_directives", "{ __typename " + "@skip(if: false) " * 4 + "}"),
        ("fragments", "max_query_fragments", "{ ...F ...F ...F } fragment F on Query { __typename }"),
        ("root fields", "max_query_root_fields", "{ a: __typename b: __typename c: __typename d: __typename }"),
    ],
)
def test_a_limit_is_a_setting_and_names_itself(limit: str, setting: str, text: str) -> None:
    judge = Judge(SCHEMA, PATIENT.model_copy(update={setting: 3}), ROLES)
    with pytest.raises(TooComplex) as caught:
        judge.judge(parse(text))
    assert (caught.value.limit, caught.value.value, caught.value.allowance) == (limit, 4, 3)
    Judge(SCHEMA, PATIENT.model_copy(update={setting: 4}), ROLES).judge(parse(text))
