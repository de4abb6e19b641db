"""Steps as robots tell them, one by one or many at once."""

import pytest
from reporting import STEPS, ago, ledger, recorded, report, steps


def test_steps_are_told_as_they_go(robots):
    report(robots, "CLAIMED")
    assert steps(robots, (0, {"status": "COMPLETED"}), (1, {}))["outcome"] == "CREATED"
    answer = steps(robots, (1, {"status": "FAILED", "errorType": "ValueError"}))
    assert answer["outcome"] == "UPDATED"
    assert [node["status"] for node in answer["job"]["nodeExecutions"]] == ["COMPLETED", "FAILED"]
    assert ledger(robots, "node") == [(None, "completed"), (None, "running"), ("running", "failed")]


def test_a_step_first_told_when_it_has_ended_has_no_invented_start(robots):
    report(robots, "CLAIMED")
    [node] = steps(robots, (0, {"status": "COMPLETED"}))["job"]["nodeExecutions"]
    assert node["startedAt"] is None
    assert node["completedAt"] is not None


def test_a_later_step_of_a_batch_is_told_later(robots):
    report(robots, "CLAIMED")
    answer = steps(robots, (0, {}), (0, {"status": "COMPLETED"}), (0, {}))
    assert (answer["accepted"], [(refused["index"], refused["code"]) for refused in answer["refused"]]) == (
        2,
        [(2, "ILLEGAL_TRANSITION")],
    )
    assert [node["status"] for node in answer["job"]["nodeExecutions"]] == ["COMPLETED"]


def test_a_step_runs_again_only_as_a_new_try(robots):
    report(robots, "CLAIMED")
    steps(robots, (0, {"status": "COMPLETED"}))
    assert steps(robots, (0, {}))["outcome"] == "REFUSED"
    [node] = steps(robots, (0, {"retryCount": 1}))["job"]["nodeExecutions"]
    assert (node["status"], node["completedAt"], node["retryCount"]) == ("RUNNING", None, 1)
    assert recorded(robots) == [("j1/0", "ILLEGAL_TRANSITION", 1)]


def test_steps_that_make_no_sense_do_not_hinder_the_others(robots):
    report(robots, "CLAIMED")
    answer = steps(
        robots,
        (-1, {}),
        (0, {}),
        (1, {"nodeId": ""}),
        (2, {"completedAt": ago(1)}),
        (3, {"status": "COMPLETED", "startedAt": ago(1), "completedAt": ago(2)}),
    )
    assert answer["accepted"] == 1
    assert [(refused["index"], refused["key"], refused["code"]) for refused in answer["refused"]] == [
        (index, key, "INVALID_VALUE") for index, key in [(0, "j1/-1"), (2, "j1/1"), (3, "j1/2"), (4, "j1/3")]
    ]


def test_steps_of_an_unknown_job_are_refused(robots):
    answer = steps(robots, (0, {}), job_id="nothing")
    assert (answer["outcome"], answer["job"], answer["refused"][0]["code"]) == ("REFUSED", None, "UNKNOWN_JOB")


@pytest.mark.parametrize("size", [0, 501])
def test_a_report_holds_1_to_500_steps(robots, size):
    nodes = [{"position": n, "nodeId": "n", "nodeType": "step", "status": "RUNNING"} for n in range(size)]
    assert robots.ask(STEPS, input={"jobId": "j1", "nodes": nodes}).codes == ["BAD_USER_INPUT"]
