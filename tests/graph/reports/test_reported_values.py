"""What cannot be stored is refused as data, never an incident."""

import pytest
from reporting import JOB, beat, heartbeat, refusal, register, report, steps


@pytest.mark.parametrize("bad", ["", "x" * 256, "a\0b"], ids=["empty", "long", "NUL"])
def test_an_id_that_cannot_be_one_is_refused_everywhere(robots, bad):
    report(robots, "CLAIMED")
    for words in (
        {"robot_id": bad},
        {"environment": bad},
        {"hostname": bad},
        {"queueManagerId": bad},
        {"capabilities": [bad]},
    ):
        assert refusal(register(robots, **{"robot_id": "r1", **words})) == "INVALID_VALUE"
    for words in ({"job_id": bad}, {"workflowId": bad}, {"robotId": bad}, {"environment": bad}):
        assert refusal(report(robots, "CLAIMED", **words)) == "INVALID_VALUE"
    for words in ({"robot_id": bad}, {"currentJobId": bad}):
        assert [refused["code"] for refused in beat(robots, heartbeat(**words))["refused"]] == ["INVALID_VALUE"]
    assert [refused["code"] for refused in steps(robots, (0, {}), job_id=bad)["refused"]] == ["INVALID_VALUE"]
    assert [refused["code"] for refused in steps(robots, (0, {"nodeType": bad}))["refused"]] == ["INVALID_VALUE"]


def test_texts_are_taken_up_to_64_kib(robots):
    assert report(robots, "FAILED", errorMessage="x" * 65_536)["outcome"] == "CREATED"
    assert refusal(report(robots, "FAILED", errorMessage="x" * 65_537)) == "INVALID_VALUE"
    assert refusal(report(robots, "FAILED", errorMessage="a\0b")) == "INVALID_VALUE"


@pytest.mark.parametrize(
    "words",
    [{"retryCount": -1}, {"maxRetries": -1}, {"progressPercent": 100.1}, {"progressPercent": -0.1}],
)
def test_a_number_out_of_its_range_is_refused(robots, words):
    assert refusal(report(robots, "CLAIMED", **words)) == "INVALID_VALUE"


def test_a_number_beyond_32_bits_is_no_int(robots):
    words = {"jobId": "j1", "workflowId": "w", "status": "CLAIMED", "priority": 2**31}
    assert robots.ask(JOB, input=words).codes == ["BAD_USER_INPUT"]


def test_a_number_beyond_all_bounds_is_refused(robots):
    query = (
        'mutation { reportHeartbeats(input: [{robotId: "r1", status: IDLE, memoryMb: 1e999}]) { refused { code } } }'
    )
    reply = robots.ask(query)
    assert reply.codes == ["BAD_USER_INPUT"] or reply.data["reportHeartbeats"]["refused"][0]["code"] == "INVALID_VALUE"
