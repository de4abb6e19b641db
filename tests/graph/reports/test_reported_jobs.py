"""Jobs as robots tell them: forward within a try, back only as a new one, each by its own robot."""

import pytest
from reporting import JOB, ago, at_once, ledger, recorded, refusal, report, steps


def test_a_job_is_told_from_queue_to_end(robots):
    assert report(robots, "PENDING")["outcome"] == "CREATED"
    assert report(robots, "CLAIMED", robotId="r1")["job"]["robot"] == {"robotId": "r1"}
    answer = report(robots, "COMPLETED")
    assert (answer["outcome"], answer["job"]["status"], answer["job"]["rawStatus"]) == (
        "UPDATED",
        "COMPLETED",
        "completed",
    )
    assert answer["job"]["durationMs"] >= 0
    assert ledger(robots, "job") == [(None, "pending"), ("pending", "claimed"), ("claimed", "completed")]


def test_a_job_reported_again_changes_nothing(robots):
    first = report(robots, "CLAIMED", robotId="r1")
    again = report(robots, "CLAIMED", robotId="r1")
    assert (again["outcome"], again["job"]) == ("UNCHANGED", first["job"])
    assert ledger(robots, "job") == [(None, "claimed")]


def test_a_completed_job_does_not_run_again(robots):
    report(robots, "COMPLETED")
    answer = report(robots, "CLAIMED", retryCount=1)
    assert (refusal(answer), answer["job"]["status"]) == ("ILLEGAL_TRANSITION", "COMPLETED")
    assert recorded(robots) == [("j1", "ILLEGAL_TRANSITION", 1)]
    assert ledger(robots, "job") == [(None, "completed")]


def test_a_failed_job_runs_again_only_as_a_new_try(robots):
    report(robots, "CLAIMED", robotId="r1", claimedAt=ago(30), createdAt=ago(40))
    report(robots, "FAILED", errorType="TimeoutError")
    assert refusal(report(robots, "CLAIMED", robotId="r2")) == "ILLEGAL_TRANSITION"
    job = report(robots, "CLAIMED", robotId="r2", retryCount=1)["job"]
    assert (job["status"], job["errorType"], job["completedAt"], job["robot"]) == (
        "CLAIMED",
        None,
        None,
        {"robotId": "r2"},
    )
    assert report(robots, "COMPLETED", robotId="r2")["job"]["durationMs"] < 25_000
    assert [status for _, status in ledger(robots, "job")] == ["claimed", "failed", "claimed", "completed"]


def test_what_an_earlier_try_tells_comes_too_late(robots):
    report(robots, "CLAIMED", robotId="r1", retryCount=1)
    answer = report(robots, "FAILED", robotId="r1", retryCount=0)
    assert (refusal(answer), answer["job"]["status"]) == ("ILLEGAL_TRANSITION", "CLAIMED")


def test_a_queue_that_tells_late_does_not_take_a_job_from_its_robot(robots):
    report(robots, "CLAIMED", robotId="r1")
    assert refusal(report(robots, "PENDING")) == "ILLEGAL_TRANSITION"


def test_a_job_that_waits_for_its_next_try_is_nobodys(robots):
    report(robots, "CLAIMED", robotId="r1")
    job = report(robots, "PENDING", retryCount=1)["job"]
    assert (job["robot"], job["claimedAt"]) == (None, None)


def test_a_robot_tells_only_of_its_own_job(robots):
    report(robots, "CLAIMED", robotId="r1")
    answer = report(robots, "COMPLETED", robotId="r2")
    assert (refusal(answer), answer["job"]["status"]) == ("CLAIMED_BY_ANOTHER", "CLAIMED")
    assert recorded(robots) == [("j1", "CLAIMED_BY_ANOTHER", 1)]


def test_of_robots_that_claim_a_job_at_once_the_first_has_it(robots):
    report(robots, "PENDING")
    claims = [{"jobId": "j1", "workflowId": "w", "status": "CLAIMED", "robotId": f"r{number}"} for number in range(8)]
    answers = [answer["reportJob"] for answer in at_once(robots, JOB, claims)]
    assert sorted(answer["outcome"] for answer in answers) == [*["REFUSED"] * 7, "UPDATED"]
    assert {answer["refusal"]["code"] for answer in answers if answer["refusal"]} == {"CLAIMED_BY_ANOTHER"}
    assert ledger(robots, "job") == [(None, "pending"), ("pending", "claimed")]


def test_a_job_first_told_by_many_at_once_is_created_once(robots):
    answers = at_once(robots, JOB, [{"jobId": "j1", "workflowId": "w", "status": "PENDING"}] * 8)
    assert sorted(answer["reportJob"]["outcome"] for answer in answers) == ["CREATED", *["UNCHANGED"] * 7]


def test_a_job_of_an_attached_source_is_told_by_that_source(small_fleet):
    assert refusal(report(small_fleet, "COMPLETED", job_id="j-run")) == "OWNED_BY_SOURCE"
    answer = steps(small_fleet, (0, {}), job_id="j-run")
    assert [refused["code"] for refused in answer["refused"]] == ["OWNED_BY_SOURCE"]


@pytest.mark.parametrize(
    "words",
    [
        {"createdAt": ago(10), "claimedAt": ago(20)},
        {"claimedAt": ago(10), "completedAt": ago(20)},
        {"createdAt": ago(10), "completedAt": ago(20)},
        {"completedAt": ago(-3600)},
    ],
)
def test_times_that_contradict_each_other_are_refused(robots, words):
    answer = report(robots, "COMPLETED", **words)
    assert (refusal(answer), answer["job"]) == ("INVALID_VALUE", None)


@pytest.mark.parametrize(
    ("status", "words"), [("PENDING", "claimedAt"), ("PENDING", "completedAt"), ("CLAIMED", "completedAt")]
)
def test_a_time_that_a_job_cannot_have_yet_is_refused(robots, status, words):
    assert refusal(report(robots, status, **{words: ago(1)})) == "INVALID_VALUE"


def test_what_two_clocks_may_differ_by_is_no_contradiction(robots):
    report(robots, "CLAIMED", createdAt=ago(90))
    answer = report(robots, "COMPLETED", completedAt=ago(5))
    assert (answer["outcome"], answer["job"]["durationMs"]) == ("UPDATED", 0)


def test_what_two_clocks_cannot_differ_by_is_a_contradiction(robots):
    report(robots, "CLAIMED", createdAt=ago(90))
    assert refusal(report(robots, "COMPLETED", completedAt=ago(70))) == "INVALID_VALUE"


def test_what_is_left_out_stays_as_it_is_known(robots):
    report(robots, "CLAIMED", workflowName="Intake", rawStatus="running", priority=7, robotId="r1")
    report(robots, "CLAIMED", progressPercent=10)
    job = robots.ask('{ job(jobId: "j1") { workflowName rawStatus priority progressPercent } }').data["job"]
    assert job == {"workflowName": "Intake", "rawStatus": "running", "priority": 7, "progressPercent": 10}
