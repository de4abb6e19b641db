"""Signs of life: the newest counts, whatever the order, the company and the number."""

import asyncio

import asyncpg
import pytest
from reporting import BEAT, at_once, beat, heartbeat, ledger, recorded, register, report


def test_a_heartbeat_becomes_the_robots_state(robots):
    answer = beat(robots, heartbeat(cpuPercent=12.5, memoryMb=100, memoryPercent=1))
    assert answer == {"outcome": "UPDATED", "accepted": 1, "refused": []}
    robot = robots.ask('{ robot(robotId: "r1") { status cpuPercent memoryMb memoryPercent } }').data["robot"]
    assert robot == {"status": "BUSY", "cpuPercent": 12.5, "memoryMb": 100, "memoryPercent": 1}


def test_a_late_heartbeat_is_kept_but_changes_nothing(robots):
    beat(robots, heartbeat(status="BUSY", currentJobId="new"))
    beat(robots, heartbeat(status="IDLE", seconds=-30, currentJobId="old"))
    robot = robots.ask('{ robot(robotId: "r1") { status currentJobId heartbeats(last: 10) { status } } }').data["robot"]
    assert robot == {"status": "BUSY", "currentJobId": "new", "heartbeats": [{"status": "BUSY"}, {"status": "IDLE"}]}


def test_a_late_heartbeat_does_not_take_a_jobs_progress_back(robots):
    report(robots, "CLAIMED", robotId="r1")
    beat(robots, heartbeat(currentJobId="j1", progressPercent=80))
    beat(robots, heartbeat(currentJobId="j1", progressPercent=20, seconds=-30))
    assert robots.ask('{ job(jobId: "j1") { progressPercent } }').data["job"] == {"progressPercent": 80}


def test_the_same_heartbeat_sent_twice_is_one(robots):
    same = heartbeat()
    assert beat(robots, same, same)["accepted"] == 2
    assert beat(robots, same) == {"outcome": "UNCHANGED", "accepted": 1, "refused": []}
    assert robots.sql("SELECT count(*) FROM monitor.heartbeats")[0][0] == 1
    assert ledger(robots, "robot") == [(None, "idle"), (None, "idle"), ("idle", "busy")]


def test_heartbeats_of_unknown_robots_are_refused_while_others_are_taken(robots):
    answer = beat(robots, heartbeat("nobody"), heartbeat("r1"), heartbeat("r2", cpuPercent=-1))
    assert answer["accepted"] == 1
    assert [(refused["index"], refused["key"], refused["code"]) for refused in answer["refused"]] == [
        (0, "nobody", "UNKNOWN_ROBOT"),
        (2, "r2", "INVALID_VALUE"),
    ]
    assert recorded(robots) == [("nobody", "UNKNOWN_ROBOT", 1), ("r2", "INVALID_VALUE", 1)]


def test_a_refusal_that_repeats_is_counted_rather_than_kept_again(robots):
    for _ in range(3):
        beat(robots, heartbeat("nobody"))
    assert recorded(robots) == [("nobody", "UNKNOWN_ROBOT", 3)]


@pytest.mark.parametrize("size", [0, 501])
def test_a_report_holds_1_to_500_heartbeats(robots, size):
    assert robots.ask(BEAT, input=[heartbeat(seconds=-n) for n in range(size)]).codes == ["BAD_USER_INPUT"]


def test_500_heartbeats_are_taken_with_four_statements(robots):
    report(robots, "CLAIMED")
    batch = [heartbeat(seconds=-n, currentJobId="j1", progressPercent=n / 5) for n in range(500)]
    reply = robots.ask(BEAT, input=batch)
    assert reply.data["reportHeartbeats"]["accepted"] == 500
    assert reply.statements == 4


def test_a_heartbeat_from_the_future_is_refused(robots):
    assert beat(robots, heartbeat(seconds=120))["refused"][0]["code"] == "INVALID_VALUE"


def test_a_heartbeat_links_a_job_that_has_no_robot_and_tells_where_it_is(robots):
    report(robots, "CLAIMED")
    beat(robots, heartbeat(currentJobId="j1", currentNode="parse", progressPercent=30))
    job = robots.ask('{ job(jobId: "j1") { robot { robotId } currentNode progressPercent } }').data["job"]
    assert job == {"robot": {"robotId": "r1"}, "currentNode": "parse", "progressPercent": 30}


def test_a_heartbeat_does_not_take_another_robots_job(robots):
    report(robots, "CLAIMED", robotId="r1")
    beat(robots, heartbeat("r2", currentJobId="j1", progressPercent=99), heartbeat("r1", currentJobId="j1", seconds=-1))
    job = robots.ask('{ job(jobId: "j1") { robot { robotId } progressPercent } }').data["job"]
    assert job == {"robot": {"robotId": "r1"}, "progressPercent": None}


@pytest.mark.parametrize("status", ["PENDING", "COMPLETED"])
def test_a_heartbeat_leaves_a_job_alone_that_is_not_running(robots, status):
    report(robots, status)
    beat(robots, heartbeat(currentJobId="j1", progressPercent=30))
    job = robots.ask('{ job(jobId: "j1") { robot { robotId } progressPercent } }').data["job"]
    assert job == {"robot": None, "progressPercent": None}


def test_a_robot_shows_the_job_it_names_though_nobody_else_knows_it(robots):
    beat(robots, heartbeat(currentJobId="elsewhere"))
    robot = robots.ask('{ robot(robotId: "r1") { currentJobId currentJob { jobId } } }').data["robot"]
    assert robot == {"currentJobId": "elsewhere", "currentJob": None}


def test_a_heartbeat_does_not_wait_for_a_job_that_somebody_else_is_writing(robots):
    report(robots, "CLAIMED")

    async def meanwhile():
        connection = await asyncpg.connect(robots.dsn, timeout=10)
        try:
            async with connection.transaction():
                await connection.execute("UPDATE monitor.jobs SET priority = 1")
                return await asyncio.to_thread(beat, robots, heartbeat(currentJobId="j1", progressPercent=30))
        finally:
            await connection.close(timeout=5)

    assert asyncio.run(meanwhile())["outcome"] == "UPDATED"
    assert robots.ask('{ job(jobId: "j1") { progressPercent } }').data["job"] == {"progressPercent": None}
    beat(robots, heartbeat(currentJobId="j1", progressPercent=30, seconds=1))
    assert robots.ask('{ job(jobId: "j1") { progressPercent } }').data["job"] == {"progressPercent": 30}


def in_different_order(batches):
    return [batch if number % 2 else batch[::-1] for number, batch in enumerate(batches)]


def test_batches_of_the_same_robots_in_different_order_all_come_through(graph):
    names = [f"r{number}" for number in range(40)]
    for name in names:
        register(graph, name)
    batches = [[heartbeat(name, seconds=number / 10) for name in names] for number in range(24)]
    answers = at_once(graph, BEAT, in_different_order(batches))
    assert {answer["reportHeartbeats"]["accepted"] for answer in answers} == {40}


def test_batches_that_name_the_same_jobs_in_different_order_all_come_through(graph):
    jobs, robots = [f"job {number}" for number in range(40)], [f"r{number}" for number in range(16)]
    for job in jobs:
        report(graph, "CLAIMED", job_id=job)
    for robot in robots:
        register(graph, robot)
    batches = [
        [heartbeat(robot, seconds=-number, currentJobId=job) for number, job in enumerate(jobs)] for robot in robots
    ]
    answers = at_once(graph, BEAT, in_different_order(batches))
    assert {answer["reportHeartbeats"]["accepted"] for answer in answers} == {40}


def test_batches_refused_in_different_order_are_all_counted(graph):
    batches = [[heartbeat(f"unknown {number}") for number in range(40)] for _ in range(16)]
    at_once(graph, BEAT, in_different_order(batches))
    assert {times for _, _, times in recorded(graph)} == {16}
