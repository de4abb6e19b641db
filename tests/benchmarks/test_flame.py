"""The flame graph adds up."""

from xml.etree import ElementTree

from tests.benchmarks.flame import by_package, call_tree, svg

_STACKS = """serving:main;graph.http:answer;graphql.execution:execute 6
serving:main;graph.http:answer;gc:collect 1
serving:main;graph.http:answer 2
serving:main;asyncio.events:run 1
"""


def test_calls_begin_where_the_stacks_part() -> None:
    root = call_tree(_STACKS)
    assert (root.name, root.samples) == ("serving:main", 10)
    assert {name: callee.samples for name, callee in root.callees.items()} == {
        "graph.http:answer": 9,
        "asyncio.events:run": 1,
    }


def test_every_sample_counts_for_the_package_it_was_taken_in() -> None:
    assert by_package(call_tree(_STACKS)) == {"graphql": 6, "graph": 2, "gc": 1, "asyncio": 1, "serving": 0}


def test_a_box_is_as_wide_as_its_share() -> None:
    drawing = ElementTree.fromstring(svg(call_tree(_STACKS)))
    widths = {group[0].text: float(group[1].attrib["width"]) for group in drawing.iter("{http://www.w3.org/2000/svg}g")}
    assert (
        widths["graph.http:answer: 90.0 %, of itself 20.0 %"] == 0.9 * widths["serving:main: 100.0 %, of itself 0.0 %"]
    )
