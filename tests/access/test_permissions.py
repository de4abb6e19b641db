"""Who may ask what: declared in the schema, and kept."""

import pytest
from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema, get_named_type

from graph.schema import build_schema, core
from graph.types.roles import required_roles
from graph.viewer import ANYBODY, NOBODY, Role, Viewer

LADDER = [Role.VIEWER, Role.OPERATOR, Role.DEVELOPER, Role.ADMIN]


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return core(build_schema())


def test_every_root_field_says_which_role_it_asks_for(schema: GraphQLSchema) -> None:
    roots = [root for root in (schema.query_type, schema.mutation_type, schema.subscription_type) if root is not None]
    asked = required_roles(schema)
    assert [f"{root.name}.{name}" for root in roots for name in root.fields if (root.name, name) not in asked] == []


def test_reports_are_for_robots(schema: GraphQLSchema) -> None:
    roles = {role for (type_, _), role in required_roles(schema).items() if type_ == "Mutation"}
    assert roles == {Role.ROBOT}


def test_who_only_reports_is_led_to_no_robot_or_job_by_any_path(schema: GraphQLSchema) -> None:
    asked, robot = required_roles(schema), Viewer("robot", frozenset({Role.ROBOT}))
    assert schema.query_type is not None
    assert schema.mutation_type is not None
    assert schema.subscription_type is not None
    waiting: list[GraphQLObjectType | GraphQLInterfaceType] = [
        schema.query_type,
        schema.mutation_type,
        schema.subscription_type,
    ]
    reached: set[str] = set()
    while waiting:
        type_ = waiting.pop()
        for name, field in type_.fields.items():
            led = get_named_type(field.type)
            allowed = robot.may(asked.get((type_.name, name), Role.ANONYMOUS))
            if allowed and isinstance(led, GraphQLObjectType | GraphQLInterfaceType) and led.name not in reached:
                reached.add(led.name)
                waiting.append(led)
    shown = {"Viewer", "RateLimit", "Refusal"}
    assert {name for name in reached if not name.endswith("Result")} == shown


@pytest.mark.parametrize("role", LADDER)
def test_each_role_may_what_those_before_it_may(role: Role) -> None:
    viewer = Viewer("somebody", frozenset({role}))
    assert [lower for lower in LADDER if viewer.may(lower)] == LADDER[: LADDER.index(role) + 1]


def test_a_robot_may_report_and_not_look() -> None:
    robot = Viewer("robot", frozenset({Role.ROBOT}))
    assert robot.may(Role.ROBOT)
    assert not any(robot.may(role) for role in LADDER)


def test_of_those_who_look_only_admins_may_report() -> None:
    assert [role for role in LADDER if Viewer("somebody", frozenset({role})).may(Role.ROBOT)] == [Role.ADMIN]


def test_roles_add_up() -> None:
    both = Viewer("somebody", frozenset({Role.ROBOT, Role.VIEWER}))
    assert both.may(Role.ROBOT)
    assert both.may(Role.VIEWER)
    assert not both.may(Role.OPERATOR)


def test_nobody_may_do_nothing_but_what_is_for_all() -> None:
    assert [role for role in Role if NOBODY.may(role)] == [Role.ANONYMOUS]


def test_on_an_open_server_anybody_may_do_everything() -> None:
    assert all(ANYBODY.may(role) for role in Role)


def test_who_may_see_what_others_may_not_shares_no_answer_with_them() -> None:
    viewer, operator = (Viewer("somebody", frozenset({role})) for role in (Role.VIEWER, Role.OPERATOR))
    assert viewer.sight != operator.sight
