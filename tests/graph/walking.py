"""Walks through lists, a page after the other, and what they are compared with."""

from hypothesis import HealthCheck, settings

SHARED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PAGE_INFO = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }"


def ordered(order, *, id):
    """The ORDER BY of an order, as a client would understand its description."""
    key, direction = order.value.key, "DESC" if order.value.descending else "ASC"
    return f"{key} {direction}, {id} {direction}"


def walk(graph, query, path, ids, *, backward, size, **variables):
    """Every id of a list in its order, a page after the other, and what each page tells of its ends held to account."""
    window = {"last": size} if backward else {"first": size}
    found, cursor = [], None
    while True:
        reply = graph.ask(query, **variables, **window, **{"before" if backward else "after": cursor}).data
        connection = reply
        for name in path:
            connection = connection[name]
        page, info = [node[ids] for node in connection["nodes"]], connection["pageInfo"]
        further, back = ("hasPreviousPage", "hasNextPage") if backward else ("hasNextPage", "hasPreviousPage")
        assert info[back] == (cursor is not None)
        found = page + found if backward else found + page
        if not info[further]:
            return found
        assert len(page) == size
        cursor = info["startCursor" if backward else "endCursor"]


JOBS = f"""
    query ($first: Int! = 50, $after: String, $last: Int, $before: String, $filter: JobFilter, $orderBy: JobOrder!) {{
      jobs(first: $first, after: $after, last: $last, before: $before, filter: $filter, orderBy: $orderBy) {{
        nodes {{ jobId }} {PAGE_INFO} }} }}
"""
