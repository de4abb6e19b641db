"""The OpenAPI document of the REST paths, read off their stored operations: what is declared is what runs.

Shapes and descriptions come from the schema of the graph, parameters from the table, examples from the documents.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
    parse,
)

from graph.transports.resources import RESOURCES, Parameter, Resource
from graph.transports.rest import DOCUMENT, ROOT

_EXAMPLES: Mapping[str, Any] = orjson.loads((Path(__file__).parent / "rest_examples.json").read_bytes())
_SCALARS: Mapping[str, Mapping[str, str]] = {
    "Int": {"type": "integer"},
    "Float": {"type": "number"},
    "Boolean": {"type": "boolean"},
    "DateTime": {"type": "string", "format": "date-time"},
}
_ABOUT = (
    "What the deployed monitoring API answers, answered by the graph. Durations are milliseconds unless their names "
    "say otherwise, rates are percent, times are UTC; what did not happen is null. `/graphql` answers this and more."
)
_TEXT = {"type": "string"}
_REQUEST_ID = {"X-Request-ID": {"description": "The id of this request in the logs: yours, if sane.", "schema": _TEXT}}
_KNOWN = {
    **_REQUEST_ID,
    "ETag": {
        "description": "Names this answer; sent back as `If-None-Match` it saves sending it again.",
        "schema": _TEXT,
    },
    "Cache-Control": {"description": "Ask anew, each for themselves.", "schema": _TEXT},
    "Server-Timing": {"description": "How many SQL statements it took, and their milliseconds.", "schema": _TEXT},
}
_LISTED = {
    "Link": {"description": 'Where the list goes on, as `rel="next"`; absent at its end.', "schema": _TEXT},
    "X-Total-Count": {
        "description": "How many items the whole list has; only with `count=true`.",
        "schema": {"type": "integer", "minimum": 0},
    },
}
_COUNT = {"type": "integer", "minimum": 0}
_RATES = {
    "RateLimit-Limit": {
        "description": "How often this path answers a caller in any minute; absent where nothing is limited.",
        "schema": _COUNT,
    },
    "RateLimit-Remaining": {"description": "What of it is left, as far as is known.", "schema": _COUNT},
    "RateLimit-Reset": {"description": "Seconds until all of it is left again.", "schema": _COUNT},
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
_MORE_HEADERS = {
    401: {"WWW-Authenticate": {"description": "How to say who you are.", "schema": _TEXT}},
    429: {**_RETRY_AFTER, **_RATES},
    503: _RETRY_AFTER,
}
_PROBLEMS = {
    401: "Who you are is not known, and has to be.",
    403: "You may not ask for this.",
    404: "Nothing has this id.",
    422: "A parameter makes no sense; `parameter` names it.",
    429: "You ask too often, or for too much within a minute.",
    500: "Our fault; it is logged under the correlation id.",
    503: "The database cannot be reached right now.",
    504: "It took longer than it may.",
}
_CREDENTIALS = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token, or an API key. A server that is open to its own machine asks for none.",
    },
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key."},
}
_PROBLEM = {
    "type": "object",
    "description": "What went wrong, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "code", "correlation_id"],
    "properties": {
        "type": {"type": "string", "description": "`about:blank`: the status says what kind of problem it is."},
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "description": "The status."},
        "detail": {"type": "string", "description": "What went wrong, in a sentence."},
        "code": {"type": "string", "description": "The same for programs."},
        "correlation_id": {"type": "string", "description": "The id of this request in the logs."},
        "parameter": {"type": "string", "description": "The parameter to mend."},
    },
}


def openapi(schema: GraphQLSchema, version: str) -> dict[str, Any]:
    """The document, but for the servers."""
    shapes = _Shapes(schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": "CasareRPA monitoring API", "version": version, "description": _ABOUT},
        "security": [{}, *({name: []} for name in _CREDENTIALS)],
        "paths": {ROOT + resource.path: {"get": _operation(resource)} for resource in RESOURCES},
        "components": {
            "securitySchemes": _CREDENTIALS,
            "schemas": {**{resource.operation: shapes.body(resource) for resource in RESOURCES}, "Problem": _PROBLEM},
        },
    }


def _operation(resource: Resource) -> dict[str, Any]:
    answer = {"schema": {"$ref": f"#/components/schemas/{resource.operation}"}}
    headers = {**_KNOWN, **_RATES, **(_LISTED if resource.most is not None else {})}
    sometimes = {404: resource.item is not None, 422: bool(resource.parameters)}
    return {
        "operationId": resource.operation,
        "summary": resource.summary,
        "description": f"At most {resource.per_minute} requests a minute of each caller, where rates are limited.",
        "parameters": [_parameter(parameter) for parameter in resource.parameters],
        "responses": {
            "200": {
                "description": resource.summary + ".",
                "headers": headers,
                "content": {"application/json": {**answer, "example": _EXAMPLES[resource.operation]}},
            },
            "304": {"description": "The answer is the one that `If-None-Match` names.", "headers": headers},
            **{str(status): _problem(status) for status in _PROBLEMS if sometimes.get(status, True)},
        },
    }


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.in_path,
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _problem(status: int) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    headers = {**_REQUEST_ID, **_MORE_HEADERS.get(status, {})}
    return {
        "description": _PROBLEMS[status],
        "headers": headers,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem", "title": title}}},
    }


class _Shapes:
    """JSON schemas of what the stored operations answer."""

    def __init__(self, schema: GraphQLSchema) -> None:
        definitions = parse(DOCUMENT).definitions
        self._schema = schema
        self._operations = {
            node.name.value: node for node in definitions if isinstance(node, OperationDefinitionNode) and node.name
        }
        self._fragments = {node.name.value: node for node in definitions if isinstance(node, FragmentDefinitionNode)}

    def body(self, resource: Resource) -> dict[str, Any]:
        """The JSON schema of a path's answer."""
        operation = self._operations[resource.operation]
        root = self._selected(operation.selection_set, self._schema.get_root_type(operation.operation))
        if resource.most is None:
            one: dict[str, Any] = root["one"]
            return {**one, "type": "object"}
        items = {**root["page"]["properties"]["nodes"], "maxItems": resource.most}
        if resource.envelope is None:
            return items
        rows, total = resource.envelope
        properties = {rows: items, total: root["page"]["properties"]["totalCount"]}
        return {"type": "object", "required": [rows, total], "properties": properties}

    def _selected(self, selections: SelectionSetNode, parent: GraphQLObjectType | None) -> dict[str, Any]:
        """The schema of each name that is selected."""
        found: dict[str, Any] = {}
        for node in selections.selections:
            if isinstance(node, FieldNode) and parent is not None:
                field = parent.fields[node.name.value]
                name = (node.alias or node.name).value
                found[name] = {**self._shape(field.type, node.selection_set), "description": field.description or ""}
            elif not isinstance(node, FieldNode):
                found |= self._selected(self._fragments[node.name.value].selection_set, parent)  # type: ignore[attr-defined]
        return found

    def _shape(self, type_: GraphQLOutputType, selections: SelectionSetNode | None) -> dict[str, Any]:
        if not is_non_null_type(type_):
            return _or_null(self._shape_of_value(type_, selections))
        return self._shape_of_value(get_nullable_type(type_), selections)

    def _shape_of_value(self, type_: Any, selections: SelectionSetNode | None) -> dict[str, Any]:
        if is_list_type(type_):
            return {"type": "array", "items": self._shape(type_.of_type, selections)}
        named = get_named_type(type_)
        if isinstance(named, GraphQLObjectType) and selections is not None:
            properties = self._selected(selections, named)
            return {"type": "object", "required": list(properties), "properties": properties}
        if isinstance(named, GraphQLEnumType):
            return {"type": "string", "enum": [name.lower() for name in named.values]}
        return dict(_SCALARS.get(named.name, _TEXT))


def _or_null(shape: dict[str, Any]) -> dict[str, Any]:
    known = {"enum": [*shape["enum"], None]} if "enum" in shape else {}
    return {**shape, **known, "type": [shape["type"], "null"]}
