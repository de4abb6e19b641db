"""A document judged before it is validated, in two passes over what is written in it, however its fragments spread.

The first counts what stands there, the second follows fields into the schema. Each fragment is looked at once, those it
spreads before it, and one that spreads itself counts as nothing there: such a document is invalid anyway. Neither
pass calls itself deeper than the parser lets a selection be nested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DefinitionNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    value_from_ast_untyped,
)

from datasources.settings import Settings
from graph.engine.cost import Pages, Sum
from graph.engine.lasting import Field, Lasting, lasting, lasting_fields
from graph.viewer import Role

_INTROSPECTION = frozenset({"__schema", "__type"})
_INTROSPECTION_DEPTH = 20  # GraphiQL asks 15
_OPERATIONS = 50
_REPEATED = 50  # fields under a name that another field of their selection has: each is compared with each


_WORDS = {
    "depth": ("levels of fields", "nest them less deeply"),
    "introspection depth": ("levels of fields in its introspection", "nest them less deeply"),
    "root fields": ("root fields", "ask in several requests"),
    "operations": ("operations", "send only those that belong together"),
    "aliases": ("aliases", "ask in several requests"),
    "directives": ("directives", "leave some out"),
    "fragments": ("fragments, written and spread", "use fewer"),
    "repeated fields": ("fields that repeat another", "ask for each once, or under a name of its own"),
    "values": ("values in its variables", "send them in several requests"),
    "values in values": ("levels of values in a variable", "nest them less deeply"),
}


class TooComplex(Exception):
    """A document, or what comes with it, beyond one of the limits."""

    def __init__(self, limit: str, value: int, allowance: int) -> None:
        words, advice = _WORDS[limit]
        super().__init__(f"This has {value:,} {words}, and {allowance:,} is the most: {advice}.")
        self.limit = limit
        self.value = value
        self.allowance = allowance

    @property
    def extensions(self) -> dict[str, Any]:
        """What a client's program is told."""
        return {"limit": self.limit, "value": self.value, "allowance": self.allowance}


@dataclass(slots=True)
class Part:
    """What a selection asks for, its fragments included."""

    cost: Sum = field(default_factory=Sum)
    fields: int = 0
    depth: int = 0
    introspected: int = 0
    roles: dict[Role, str] = field(default_factory=dict)
    shown: set[Field] = field(default_factory=set)

    def include(self, other: Part) -> None:
        """Take in what stands beside it."""
        self.cost.add(other.cost)
        self.fields += other.fields
        self.depth = max(self.depth, other.depth)
        self.introspected = max(self.introspected, other.introspected)
        self._ask(other)

    def include_below(self, name: str, other: Part, cost: Sum) -> None:
        """Take in a field, with what is selected of it."""
        self.cost.add(cost)
        self.fields += 1
        if name in _INTROSPECTION:
            self.introspected = max(self.introspected, 1 + other.depth)
        else:
            self.depth = max(self.depth, 1 + other.depth)
            self.introspected = max(self.introspected, other.introspected)
        self._ask(other)

    def _ask(self, other: Part) -> None:
        for role, name in other.roles.items():
            self.roles.setdefault(role, name)
        self.shown |= other.shown


_NOTHING = Part()
_LEAF = Sum(1)


@dataclass(frozen=True, slots=True)
class Judgement:
    """An operation of a document: the roles that its fields ask for, its cost, and how long its answer lasts."""

    part: Part
    pages: Pages
    defaults: Mapping[str, Any]
    lasting: Lasting

    @property
    def roles(self) -> Mapping[Role, str]:
        """Each role that is asked for, with a field that asks."""
        return self.part.roles

    @property
    def introspects(self) -> bool:
        """Whether it asks for the schema itself."""
        return self.part.introspected > 0

    def cost(self, variables: Mapping[str, Any]) -> int:
        """What it costs with the values of these variables."""
        return self.pages.total(self.part.cost, {**self.defaults, **variables} if self.defaults else variables)


class Judge:
    """Judges documents against a schema and the limits that are set."""

    def __init__(self, schema: GraphQLSchema, settings: Settings, required: Mapping[tuple[str, str], Role]) -> None:
        self._schema = schema
        self._settings = settings
        self._required = required
        self._lasting = lasting_fields(schema)

    def judge(self, document: DocumentNode) -> Mapping[str | None, Judgement]:
        """Its operations by name; raises TooComplex."""
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        spread = self._count(document, len(operations))
        asked = _Asked(self._schema, self._required)
        for name in _leaves_first({name: spread[id(node)] for name, node in fragments.items()}):
            asked.add(fragments[name])
        return {node.name.value if node.name else None: self._operation(node, asked) for node in operations}

    def _count(self, document: DocumentNode, operations: int) -> Mapping[int, list[str]]:
        """Refuse what is too much as it is written; gives the fragments that each definition spreads."""
        whole = _Written()
        spread: dict[int, list[str]] = {}
        for definition in document.definitions:
            written = _written(definition)
            whole.add(written)
            spread[id(definition)] = written.spread
        _check("operations", operations, _OPERATIONS)
        _check("aliases", whole.aliases, self._settings.max_query_aliases)
        _check("directives", whole.directives, self._settings.max_query_directives)
        _check("fragments", whole.fragments + len(whole.spread), self._settings.max_query_fragments)
        _check("repeated fields", whole.repeated, _REPEATED)
        return spread

    def _operation(self, node: OperationDefinitionNode, asked: _Asked) -> Judgement:
        part = asked.selected(node.selection_set, self._schema.get_root_type(node.operation))
        _check("root fields", part.fields, self._settings.max_query_root_fields)
        _check("depth", part.depth, self._settings.max_query_depth)
        _check("introspection depth", part.introspected, _INTROSPECTION_DEPTH)
        defaults = {
            definition.variable.name.value: value_from_ast_untyped(definition.default_value)
            for definition in node.variable_definitions or ()
            if definition.default_value is not None
        }
        return Judgement(part, asked.pages, defaults, lasting(part.shown, self._lasting))


def _check(limit: str, value: int, allowance: int) -> None:
    if value > allowance:
        raise TooComplex(limit, value, allowance)


@dataclass(slots=True)
class _Written:
    """What stands in a definition, wherever in it."""

    aliases: int = 0
    directives: int = 0
    fragments: int = 0
    repeated: int = 0
    spread: list[str] = field(default_factory=list)

    def add(self, other: _Written) -> None:
        self.aliases += other.aliases
        self.directives += other.directives
        self.fragments += other.fragments
        self.repeated += other.repeated
        self.spread += other.spread


def _written(definition: DefinitionNode) -> _Written:
    found = _Written(directives=len(getattr(definition, "directives", None) or ()))
    if not isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
        return found
    found.fragments = int(isinstance(definition, FragmentDefinitionNode))
    found.directives += sum(len(node.directives or ()) for node in definition.variable_definitions or ())
    # Inline fragments are part of the selection they stand in, so they share the names that are taken there.
    waiting: list[tuple[SelectionSetNode, set[str]]] = [(definition.selection_set, set())]
    while waiting:
        selections, taken = waiting.pop()
        for node in selections.selections:
            found.directives += len(node.directives or ())
            match node:
                case FieldNode(alias=alias, selection_set=inner):
                    name = (alias or node.name).value
                    found.aliases += alias is not None
                    found.repeated += name in taken
                    taken.add(name)
                    if inner is not None:
                        waiting.append((inner, set()))
                case InlineFragmentNode():
                    waiting.append((node.selection_set, taken))
                case FragmentSpreadNode():
                    found.spread.append(node.name.value)
    return found


def _leaves_first(spread: Mapping[str, list[str]]) -> Iterator[str]:
    """Fragments in an order in which each comes after those it spreads, unless they go round in a circle."""
    met: set[str] = set()
    for first in spread:
        path = [] if first in met else [(first, iter(spread[first]))]
        met.add(first)
        while path:
            name, others = path[-1]
            following = next((other for other in others if other in spread and other not in met), None)
            if following is None:
                path.pop()
                yield name
            else:
                met.add(following)
                path.append((following, iter(spread[following])))


class _Asked:
    """What the fragments of one document ask for, as far as they are known yet."""

    def __init__(self, schema: GraphQLSchema, required: Mapping[tuple[str, str], Role]) -> None:
        self._schema = schema
        self._required = required
        self.pages = Pages(schema)
        self.fragments: dict[str, Part] = {}

    def add(self, node: FragmentDefinitionNode) -> None:
        """Take in a fragment; those it spreads are known."""
        on = self._schema.type_map.get(node.type_condition.name.value)
        self.fragments[node.name.value] = self.selected(node.selection_set, on)

    def selected(self, selections: SelectionSetNode, parent: GraphQLNamedType | None) -> Part:
        """What a selection asks of a type; of none where the schema has no such type."""
        whole = Part()
        for node in selections.selections:
            match node:
                case FieldNode():
                    self._field(node, parent, whole)
                case FragmentSpreadNode():
                    whole.include(self.fragments.get(node.name.value, _NOTHING))
                case InlineFragmentNode(type_condition=condition, selection_set=inner):
                    on = parent if condition is None else self._schema.type_map.get(condition.name.value)
                    whole.include(self.selected(inner, on))
        return whole

    def _field(self, node: FieldNode, parent: GraphQLNamedType | None, whole: Part) -> None:
        name = node.name.value
        definition = None
        if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            definition = self._schema.get_field(parent, name)
            role = self._required.get((parent.name, name))
            if name != "__typename":
                whole.shown.add((parent.name, name))
            if role is not None:
                whole.roles.setdefault(role, f"{parent.name}.{name}")
        if node.selection_set is None:
            whole.include_below(name, _NOTHING, _LEAF)
            return
        inner = self.selected(node.selection_set, None if definition is None else get_named_type(definition.type))
        if definition is None or parent is None:
            whole.include_below(name, inner, _LEAF)
        else:
            whole.include_below(name, inner, self.pages.full(node, definition, parent, inner.cost))
