"""What is known to hurt GraphQL servers, and the codes that it is refused with."""

from collections.abc import Callable
from typing import Any

COSTLY = {"QUERY_TOO_COMPLEX"}
INVALID = {"GRAPHQL_VALIDATION_FAILED"}
UNREADABLE = {"GRAPHQL_PARSE_FAILED"}
MISUSED = {"BAD_USER_INPUT"}


def many(count: int, piece: Callable[[int], str]) -> str:
    return " ".join(piece(number) for number in range(count))


def nested(opening: str, inside: str, closing: str, times: int) -> str:
    return opening * times + inside + closing * times


def spreading(count: int, body: str) -> str:
    """Fragments F0 and so on, each with a body that names the next one, and the last that ends it."""
    chain = many(count, lambda n: f"fragment F{n} on Query {{ {body.replace('NEXT', f'F{n + 1}')} }}")
    return f"{{ ...F0 }} {chain} fragment F{count} on Query {{ __typename }}"


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


PAGES = "jobs(first: SIZE) { nodes { workflow { jobs(first: SIZE) { nodes { workflow { jobs(first: SIZE) { nodes { id } } } } } } } }"  # noqa: E501
JOBS_OF_A_ROBOT = "robot { jobs(first: 100) { x: nodes { id } y: nodes { id } } }"
CIRCLE = nested("robot { currentJob { ", "jobId", " } }", 15)

DOCUMENTS: dict[str, tuple[str, set[str]]] = {
    "a thousand aliases": (f"{{ {many(1000, lambda n: f'a{n}:__typename')} }}", COSTLY),
    "more aliases than there may be": (f"{{ {many(101, lambda n: f'a{n}: fleet {{ asOf }}')} }}", COSTLY),
    "aliases inside fragments": (
        f"{{ ...F }} fragment F on Query {{ {many(200, lambda n: f'a{n}: __typename')} }}",
        COSTLY,
    ),
    "aliases that multiply level by level": (
        f"{{ {many(30, lambda n: f'a{n}: jobs(first: 100) {{ x: nodes {{ {JOBS_OF_A_ROBOT} }} }}')} }}",
        COSTLY,
    ),
    "a thousand directives on a field": (f"{{ __typename {'@a ' * 900} }}", COSTLY),
    "directives on many fields": (f"{{ {many(60, lambda n: 'asOf @skip(if: true)')} }}", COSTLY),
    "directives on spreads": (f"{{ {'...F @include(if: true) ' * 60} }} fragment F on Query {{ __typename }}", COSTLY),
    "directives on variables": (f"query ({many(60, lambda n: f'$v{n}: Int @a')}) {{ __typename }}", COSTLY),
    "one directive many times": (f"{{ __typename {'@skip(if: false) ' * 40} }}", INVALID),
    "fragments that double forty times": (spreading(40, "...NEXT ...NEXT"), COSTLY),
    "fragments that double a hundred times": (spreading(100, "...NEXT ...NEXT"), COSTLY),
    "fragments that double under aliases": (spreading(30, "...NEXT ... { ...NEXT }"), COSTLY),
    "a fragment that spreads itself": ("{ ...F } fragment F on Query { ...F }", INVALID),
    "a fragment that spreads itself in a field": (
        "{ job(jobId: 1) { ...F } } fragment F on Job { robot { currentJob { ...F } } }",
        INVALID,
    ),
    "two fragments in a circle": ("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", INVALID),
    "forty fragments in a circle": (
        f"{{ ...F0 }} {many(40, lambda n: f'fragment F{n} on Query {{ ...F{(n + 1) % 40} }}')}",
        INVALID,
    ),
    "fragments that all spread all": (
        "{ ...F0 } " + many(30, lambda n: f"fragment F{n} on Query {{ {many(30, lambda m: f'...F{m}')} }}"),
        COSTLY,
    ),
    "a fragment that is not there": ("{ ...F }", INVALID),
    "fragments that nobody uses": (
        f"{{ __typename }} {many(60, lambda n: f'fragment F{n} on Query {{ __typename }}')}",
        INVALID,
    ),
    "one fragment spread three hundred times": (f"{{ {'...F ' * 300} }} fragment F on Query {{ __typename }}", COSTLY),
    "fragments nested into fragments": (spreading(45, "fleet { ... on Query { ...NEXT } }"), COSTLY | INVALID),
    "two objects that hold each other": (f'{{ job(jobId: "x") {{ {CIRCLE} }} }}', COSTLY),
    "two hundred levels": (nested("{ a ", "{ b }", "}", 190), COSTLY),
    "five thousand levels": (nested("{ a ", "b", "}", 5000), COSTLY),
    "nine hundred inline fragments in each other": (f"{{ {nested('...{', '__typename', '}', 900)} }}", COSTLY),
    "types of fields of types": (nested("{ __schema { types { fields { type ", "{ name }", "} } } }", 3), INVALID),
    "circular introspection": (
        f"{{ __schema {{ types {{ {nested('fields { type { ', 'name', ' } }', 12)} }} }} }}",
        COSTLY,
    ),
    "circular introspection that is not so deep": (
        f"{{ __schema {{ types {{ {nested('fields { type { ', 'name', ' } }', 6)} }} }} }}",
        INVALID,
    ),
    "a type of types of types": (f'{{ __type(name: "Job") {{ {nested("ofType { ", "name", " }", 60)} }} }}', COSTLY),
    "the schema sixty times": (
        "{ "
        + many(60, lambda n: f"a{n}: __schema {{ types {{ fields {{ args {{ name type {{ name }} }} }} }} }}")
        + " }",
        COSTLY,
    ),
    "a field a thousand times": (f"{{ {'__typename ' * 1000} }}", COSTLY),
    "an object a hundred times": (f"{{ {'fleet { asOf } ' * 100} }}", COSTLY),
    "fields that conflict a hundred ways": (f"{{ {many(100, lambda n: f'a: b{n}')} }}", COSTLY),
    "more root fields than there may be": (f"{{ {many(31, lambda n: f'a{n}: __typename')} }}", COSTLY),
    "fields that all have to be compared": (
        f"{{ jobs {{ nodes {{ {many(45, lambda n: f'...F{n}')} }} }} }} "
        + many(45, lambda n: f"fragment F{n} on Job {{ id jobId workflowId workflowName status rawStatus source }}"),
        COSTLY,
    ),
    "names that nobody has": (f"{{ {many(30, lambda n: f'flet{n}')} }}", INVALID),
    "arguments that nobody has": (f"{{ jobs({many(500, lambda n: f'firs{n}: 1')}) {{ totalCount }} }}", INVALID),
    "one argument five hundred times": (f"{{ jobs({'first: 1 ' * 500}) {{ totalCount }} }}", INVALID),
    "pages of pages of pages": (f"{{ {PAGES.replace('SIZE', '100')} }}", COSTLY),
    "ten thousand tokens": (f"{{ {many(5000, lambda n: f'a{n}: b')} }}", COSTLY),
    "fifty thousand comments": ("#\n" * 49_000 + "{ __typename }", COSTLY),
    "a hundred thousand blanks": (" " * 100_001 + "{ __typename }", COSTLY),
    "a list in lists": (f"{{ nodes(ids: {nested('[', '', ']', 900)}) {{ id }} }}", COSTLY),
    "an object in objects": (f"{{ jobs(filter: {nested('{a:', '1', '}', 900)}) {{ totalCount }} }}", COSTLY),
    "a number of thousands of digits": (f"{{ jobs(first: {'9' * 5000}) {{ totalCount }} }}", INVALID),
    "half a surrogate": ('{ job(jobId: "\\ud800") { jobId } }', UNREADABLE),
    "a zero byte": ("{ __typename \x00 }", UNREADABLE),
    "three hundred operations": (many(300, lambda n: f"query Q{n} {{ __typename }}"), COSTLY),
    "operations without a name": ("query A { __typename } query B { __typename }", {"OPERATION_NOT_FOUND"}),
    "variables that nobody uses": (f"query ({many(300, lambda n: f'$v{n}: Int')}) {{ __typename }}", INVALID),
    "types instead of questions": ("type Query { a: Int } extend type Job { b: Int }", INVALID),
    "a subscription to two things": ("subscription { jobUpdates { jobId } robotStatus { robotId } }", INVALID),
    "a subscription as a request": ("subscription { jobUpdates { jobId } }", {"SUBSCRIPTION_NOT_STREAMED"}),
}
VARIABLES: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "pages whose size is a variable": (f"query ($n: Int!) {{ {PAGES.replace('SIZE', '$n')} }}", {"n": 100}, COSTLY),
    "pages whose size is a number with a point": (
        f"query ($n: Int!) {{ {PAGES.replace('SIZE', '$n')} }}",
        {"n": 100.0},
        COSTLY,
    ),
    "a page beyond all numbers": ("query ($n: Int!) { jobs(first: $n) { totalCount } }", {"n": 2**40}, MISUSED),
    "a list of a hundred thousand": (
        "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }",
        {"ids": ["x"] * 100_000},
        COSTLY,
    ),
    "lists in lists": ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": [[[[["x"]]]]]}, MISUSED),
    "a hundred thousand statuses": (
        "query ($f: JobFilter) { jobs(filter: $f) { totalCount } }",
        {"f": {"status": ["FAILED"] * 90_000}},
        COSTLY,
    ),
    "heartbeats by the thousand": (
        "mutation ($i: [HeartbeatInput!]!) { reportHeartbeats(input: $i) { accepted } }",
        {"i": [{}] * 100_000},
        COSTLY,
    ),
    "variables that no operation has": ("{ __typename }", {f"v{n}": n for n in range(20_000)}, COSTLY),
    "a variable in lists in lists": ("{ __typename }", {"v": deep(900)}, COSTLY),
    "an object for a number": ("query ($n: Int!) { jobs(first: $n) { totalCount } }", {"n": {"$gt": 0}}, MISUSED),
    "fields that an input has not": (
        "query ($f: JobFilter) { jobs(filter: $f) { totalCount } }",
        {"f": {"__proto__": {"admin": True}}},
        MISUSED,
    ),
}
FORM = "query=%7B__typename%7D"
REQUESTS: dict[str, tuple[dict[str, Any], int, set[str]]] = {
    "a batch": ({"json": [{"query": "{ __typename }"}] * 100}, 400, {"BAD_REQUEST"}),
    "a batch of one": ({"json": [{"query": "{ __typename }"}]}, 400, {"BAD_REQUEST"}),
    "a batch of nothing": ({"json": []}, 400, {"BAD_REQUEST"}),
    "a form of another site": (
        {"content": FORM, "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        415,
        {"UNSUPPORTED_MEDIA_TYPE"},
    ),
    "a form with files": ({"files": {"operations": '{"query":"{__typename}"}'}}, 415, {"UNSUPPORTED_MEDIA_TYPE"}),
    "JSON as plain text": (
        {"content": '{"query":"{__typename}"}', "headers": {"Content-Type": "text/plain"}},
        415,
        {"UNSUPPORTED_MEDIA_TYPE"},
    ),
    "JSON as nothing": ({"content": '{"query":"{__typename}"}'}, 415, {"UNSUPPORTED_MEDIA_TYPE"}),
    "JSON behind plain text": (
        {"content": '{"query":"{__typename}"}', "headers": {"Content-Type": "text/plain; application/json"}},
        415,
        {"UNSUPPORTED_MEDIA_TYPE"},
    ),
    "no JSON": ({"content": "{", "headers": {"Content-Type": "application/json"}}, 400, {"BAD_REQUEST"}),
    "JSON in lists in lists": (
        {"content": nested("[", "", "]", 100_000), "headers": {"Content-Type": "application/json"}},
        400,
        {"BAD_REQUEST"},
    ),
    "a number as a document": ({"json": {"query": 1}}, 400, {"BAD_REQUEST"}),
    "a list of variables": ({"json": {"query": "{ __typename }", "variables": []}}, 400, {"BAD_REQUEST"}),
    "nothing": ({"json": {}}, 400, {"BAD_REQUEST"}),
    "null": ({"content": "null", "headers": {"Content-Type": "application/json"}}, 400, {"BAD_REQUEST"}),
    "a body beyond all bounds": ({"json": {"query": "x" * 2_000_000}}, 413, {"PAYLOAD_TOO_LARGE"}),
    "a hash that is none": (
        {"json": {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": {"$ne": ""}}}}},
        400,
        {"BAD_REQUEST"},
    ),
    "a hash of something else": (
        {"json": {"query": "{ __typename }", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}}},
        200,
        {"BAD_REQUEST"},
    ),
}
