"""Random documents: aliases, fragments, conditions, the same field several times."""

from __future__ import annotations

import re

from graphql import (
    GraphQLNamedType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_required_argument,
)
from hypothesis import strategies as st

_DEEPEST = 4
_CONDITIONS = ("", "", "", " @include(if: $yes)", " @skip(if: $no)", " @include(if: $no)", " @skip(if: false)")
_ARGUMENTS = {
    "times": ("", "2", "$times"),
    "by": ("", "0", "$by"),
    "first": ("1", "3"),
    "last": ("",),
    "number": ("", "-1", "1", "$by"),
    "jobId": ('"job"',),
}


@st.composite
def documents(draw: st.DrawFn, schema: GraphQLSchema, *, stream: str | None = None) -> str:
    """A document with one operation: a question, or a subscription to this stream."""
    fragments: list[str] = []

    def selections(type_: GraphQLNamedType, depth: int) -> str:
        return " ".join(selection(type_, depth) for _ in range(draw(st.integers(1, 4))))

    def selection(type_: GraphQLNamedType, depth: int) -> str:
        condition = draw(st.sampled_from(_CONDITIONS))
        match draw(st.integers(0, 9)) if depth else 9:
            case 0:
                return f"...{condition} {{ {selections(type_, depth - 1)} }}"
            case 1:
                on = draw(
                    st.sampled_from([type_, *(schema.get_possible_types(type_) if is_abstract_type(type_) else ())])
                )
                return f"... on {on.name}{condition} {{ {selections(on, depth - 1)} }}"
            case 2:
                body = selections(type_, depth - 1)
                fragments.append(f"fragment F{len(fragments)} on {type_.name} {{ {body} }}")
                return f"...F{len(fragments) - 1}{condition}"
        return field(type_, depth)

    def field(type_: GraphQLNamedType, depth: int, name: str | None = None) -> str:
        leaves = {name for name, each in type_.fields.items() if is_leaf_type(get_named_type(each.type))}
        askable = {
            name for name, each in type_.fields.items() if not any(map(is_required_argument, each.args.values()))
        }
        choices = ["__typename", *sorted(askable if depth else leaves & askable)]
        condition = "" if name else draw(st.sampled_from(_CONDITIONS))
        name = name or draw(st.sampled_from(choices))
        if name == "__typename":
            return f"{draw(st.sampled_from(('', 'kind: ')))}__typename{condition}"
        arguments = {each: draw(st.sampled_from(_ARGUMENTS.get(each, ("",)))) for each in type_.fields[name].args}
        given = ", ".join(f"{each}: {value}" for each, value in arguments.items() if value)
        # Two fields of one key must be the same field with the same arguments.
        alias = draw(st.sampled_from(("", "a_", "b_")))
        words = (re.sub(r"[^\w]", "", value.replace("-", "m")) for value in arguments.values() if value)
        key = "_".join([f"{alias}{name}", *words])
        below = get_named_type(type_.fields[name].type)
        body = f" {{ {selections(below, depth - 1)} }}" if name not in leaves else ""
        return f"{f'{key}: ' if key != name else ''}{name}{f'({given})' if given else ''}{condition}{body}"

    if stream is None:
        kind, body = "query", selections(schema.query_type, _DEEPEST)
    else:
        kind, body = "subscription", field(schema.subscription_type, _DEEPEST, stream)
    header = f"{kind} ($yes: Boolean!, $no: Boolean = false, $times: Int! = 3, $by: Int! = 1)"
    return " ".join([f"{header} {{ {body} }}", *fragments])
