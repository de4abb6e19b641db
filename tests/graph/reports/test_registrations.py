"""Robots that present themselves, and who has a name."""

from reporting import REGISTER, at_once, ledger, recorded, refusal, register


def test_a_robot_that_registers_is_created_and_known(graph):
    answer = register(graph, environment="production", capabilities=["sap"])
    assert answer == {
        "outcome": "CREATED",
        "robot": {
            "robotId": "r1",
            "hostname": "vm",
            "environment": "production",
            "capabilities": ["sap"],
            "status": "IDLE",
        },
        "refusal": None,
    }


def test_registering_again_changes_nothing(graph):
    register(graph)
    assert register(graph)["outcome"] == "UNCHANGED"
    assert ledger(graph, "robot") == [(None, "idle")]


def test_registering_with_other_words_updates_the_robot(graph):
    register(graph)
    answer = register(graph, hostname="other")
    assert (answer["outcome"], answer["robot"]["hostname"]) == ("UPDATED", "other")


def test_a_robot_that_restarts_works_as_a_new_queue_manager(graph):
    register(graph, queueManagerId="q1")
    assert register(graph, queueManagerId="q2")["outcome"] == "UPDATED"
    assert register(graph, "r2", queueManagerId="q1")["outcome"] == "CREATED"


def test_a_robot_that_names_no_queue_manager_keeps_its_own(graph):
    register(graph, queueManagerId="q1")
    assert register(graph)["outcome"] == "UNCHANGED"
    assert refusal(register(graph, "r2", queueManagerId="q1")) == "NAME_TAKEN"


def test_a_queue_managers_name_is_taken_once(graph):
    register(graph, queueManagerId="q1")
    answer = register(graph, "r2", queueManagerId="q1")
    assert (refusal(answer), answer["robot"]) == ("NAME_TAKEN", None)
    assert recorded(graph) == [("r2", "NAME_TAKEN", 1)]


def test_of_robots_that_take_one_name_at_once_one_has_it(graph):
    robots = [{"robotId": f"r{number}", "hostname": "vm"} for number in range(10)]
    at_once(graph, REGISTER, robots)
    for name in ("q1", "q2", "q3"):
        answers = at_once(graph, REGISTER, [{**robot, "queueManagerId": name} for robot in robots])
        assert sorted(answer["registerRobot"]["outcome"] for answer in answers) == [*["REFUSED"] * 9, "UPDATED"]
