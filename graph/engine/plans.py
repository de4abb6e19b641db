"""Documents parsed, judged and validated: once for each, as long as it is asked for now and then.

The judgement comes first, because validation compares fields with each other, and looks for names that were meant.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema, parse, validate
from graphql.validation import OverlappingFieldsCanBeMergedRule, ValidationContext, specified_rules

from datasources.settings import Settings
from graph.engine.judgement import Judge, Judgement, TooComplex
from graph.engine.setwise.planner import Setwise
from graph.types.roles import required_roles

_LONGEST_DOCUMENT = 100_000  # characters; values belong into variables
_MOST_COMMENTS = 1000
_MOST_ERRORS = 10  # for each the validation may look through all names of the schema
_COMPARISONS = 20_000  # of fields that may have to be merged
_CACHED_CHARACTERS = 200_000  # of documents; a parsed one takes some 300 bytes for each of them
_CHARACTERS_A_FIELD = 2  # of those that are kept; a document whose fragments stand for more is executed field by field
_NAMES = {None: "nesting", "code points": "characters"}
_ABORTED = "Validation aborted."  # what the rule says when it loses its patience
_LIMITS = re.compile(r"(?:contains|has) more than (\d+) (tokens|comments|code points)|(nested too deeply)")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a document; with errors, and the code of those, it cannot be executed."""

    document: DocumentNode | None
    errors: list[GraphQLError]
    code: str = "GRAPHQL_VALIDATION_FAILED"
    judgements: Mapping[str | None, Judgement] = field(default_factory=dict)
    setwise: Setwise | None = None


class _FewComparisons(OverlappingFieldsCanBeMergedRule):
    """The rule that compares fields, with less patience than it has by itself."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self.rule_context.remaining_complexity_budget = _COMPARISONS


_RULES = [_FewComparisons if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules]


class Plans:
    """The plans of the documents met of late."""

    def __init__(self, schema: GraphQLSchema, settings: Settings) -> None:
        self._schema = schema
        self._settings = settings
        self._judge = Judge(schema, settings, required_roles(schema))
        self._plans: OrderedDict[str, Plan] = OrderedDict()
        self._characters = 0

    def of(self, text: str) -> Plan:
        """The plan of a document."""
        plan = self._plans.get(text)
        if plan is not None:
            self._plans.move_to_end(text)
            return plan
        plan = self.made(text)
        if plan.document is None:
            return plan
        self._plans[text] = plan
        self._characters += len(text)
        while self._characters > _CACHED_CHARACTERS:
            forgotten, _ = self._plans.popitem(last=False)
            self._characters -= len(forgotten)
        return plan

    def made(self, text: str) -> Plan:
        """A plan that is not kept."""
        try:
            document = parse(
                text,
                max_lexical_tokens=self._settings.max_query_tokens,
                max_comments=_MOST_COMMENTS,
                max_source_length=_LONGEST_DOCUMENT,
            )
            judgements = self._judge.judge(document)
            errors = validate(
                self._schema,
                document,
                _RULES,
                max_errors=_MOST_ERRORS,
                hide_suggestions=self._settings.introspection != "all",
            )
        except TooComplex as error:
            return _too_complex(str(error), **error.extensions)
        except GraphQLError as error:
            if limit := _LIMITS.search(error.message):
                most, what, _ = limit.groups()
                return _too_complex(
                    error.message, limit=_NAMES.get(what, what), **({"allowance": int(most)} if most else {})
                )
            return Plan(None, [error], "GRAPHQL_PARSE_FAILED")
        except RecursionError:
            return _too_complex("The document is nested too deeply.", limit="nesting")
        if errors and errors[-1].message == _ABORTED:
            message = "Too many fields would have to be compared with each other: ask for each once, or under aliases."
            return _too_complex(message, limit="comparisons", allowance=_COMPARISONS)
        setwise = None if errors else Setwise(document, len(text) // _CHARACTERS_A_FIELD)
        return Plan(document, errors, judgements=judgements, setwise=setwise)


def _too_complex(message: str, **extensions: Any) -> Plan:
    return Plan(None, [GraphQLError(message, extensions=extensions)], "QUERY_TOO_COMPLEX")
