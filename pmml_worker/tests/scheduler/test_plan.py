import dataclasses
import itertools
from collections import Counter
from typing import Any

import pytest

from pmml_worker.scheduler.plan import (
    KILL_AGAIN_AFTER,
    LONGEST_DELAY,
    SOUND_AFTER,
    UNHEALTHY_FOR,
    Backoff,
    Offer,
    Plan,
    Spec,
    allocate,
    make_plan,
)
from pmml_worker.scheduler.state import State, Task

SPEC = Spec(image="pmml-worker:1", cpus=0.5, mem=100.0, models_dir="/models")
NOW = 1_000_000.0


def offer(agent: str, cpus: float = 4, mem: float = 4096, ports: tuple[int, int] | None = (31000, 31099)) -> Offer:
    resources: list[dict[str, Any]] = [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": cpus}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": mem}},
        {"name": "disk", "type": "SCALAR", "scalar": {"value": 1000}},
    ]
    if ports:
        resources.append(
            {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": ports[0], "end": ports[1]}]}}
        )
    return Offer(f"offer-{agent}", agent, agent, "10.0.0.1", False, resources)


def task(name: str, agent: str = "a", **changes: Any) -> Task:
    ready = Task(name, SPEC.hash, agent, agent, "10.0.0.1", 31000, NOW - 1000, "TASK_RUNNING", True, NOW - 900)
    return dataclasses.replace(ready, **changes)


def plan(instances: int, tasks: list[Task], *offers: Offer) -> Plan:
    numbers = itertools.count()
    return make_plan(SPEC, instances, tasks, offers, NOW, lambda: f"new-{next(numbers)}")


def agents(result: Plan) -> Counter[str]:
    return Counter(launch.task.agent_id for launch in result.launch)


def test_missing_workers_are_spread_over_the_agents() -> None:
    assert agents(plan(4, [], offer("a"), offer("b"))) == {"a": 2, "b": 2}


def test_the_agent_with_the_fewest_workers_comes_first() -> None:
    assert agents(plan(3, [task("1", "a"), task("2", "a")], offer("a"), offer("b"))) == {"b": 1}


def test_an_agent_without_room_is_passed_over() -> None:
    assert agents(plan(3, [], offer("a", cpus=0.7), offer("b"))) == {"a": 1, "b": 2}


@pytest.mark.parametrize("poor", [offer("a", cpus=0.49), offer("a", mem=99), offer("a", ports=None)])
def test_nothing_is_launched_without_enough_resources(poor: Offer) -> None:
    result = plan(1, [], poor)
    assert (result.launch, result.missing) == ([], 1)


def test_tasks_on_one_offer_get_different_ports_of_it() -> None:
    launches = plan(10, [], offer("a", cpus=5, ports=(31000, 31009))).launch
    assert sorted(launch.task.port for launch in launches) == list(range(31000, 31010))


def test_no_more_tasks_are_launched_than_an_offer_has_room_for() -> None:
    result = plan(10, [], offer("a", cpus=1.0))
    assert (len(result.launch), result.missing) == (2, 10)


def test_nothing_is_done_when_all_workers_are_there() -> None:
    assert plan(2, [task("1"), task("2")], offer("a")) == Plan([], [], 0)


@pytest.mark.parametrize("state", ["TASK_STAGING", "TASK_STARTING", "TASK_RUNNING"])
def test_a_worker_that_is_on_its_way_counts(state: str) -> None:
    assert plan(1, [task("1", state=state, healthy=None)], offer("a")) == Plan([], [], 0)


def test_a_worker_on_an_unreachable_agent_is_replaced_but_not_killed() -> None:
    result = plan(1, [task("1", state="TASK_UNREACHABLE")], offer("b"))
    assert (result.kill, agents(result)) == ([], {"b": 1})


def test_a_worker_that_is_being_killed_is_replaced_at_once() -> None:
    result = plan(1, [task("1", killing=NOW - 1)], offer("b"))
    assert (result.kill, agents(result)) == ([], {"b": 1})


def test_a_worker_that_does_not_end_is_killed_again() -> None:
    assert plan(1, [task("1", killing=NOW - KILL_AGAIN_AFTER), task("2")]).kill == ["1"]


def test_surplus_workers_are_killed() -> None:
    assert len(plan(1, [task("1"), task("2"), task("3")]).kill) == 2


def test_no_worker_is_wanted_with_zero_instances() -> None:
    assert sorted(plan(0, [task("1"), task("2")], offer("a")).kill) == ["1", "2"]


def test_of_surplus_workers_old_ones_go_first_then_unready_ones_then_those_on_the_fullest_agent() -> None:
    old, unready = task("4", "b", spec="old"), task("3", "b", healthy=None)
    crowded = [task("1", "a"), task("2", "a")]
    alone = task("5", "c")
    everybody = [alone, *crowded, unready, old]
    assert plan(4, everybody).kill == ["4"]
    assert plan(3, everybody).kill == ["4", "3"]
    assert plan(2, everybody).kill == ["4", "3", "1"]


def test_a_worker_that_stays_unhealthy_is_replaced() -> None:
    sick = task("1", healthy=False, since=NOW - UNHEALTHY_FOR)
    result = plan(2, [sick, task("2")], offer("a"))
    assert (result.kill, len(result.launch)) == (["1"], 1)


def test_a_worker_that_was_unhealthy_for_a_moment_is_kept() -> None:
    assert plan(1, [task("1", healthy=False, since=NOW - UNHEALTHY_FOR + 1)]) == Plan([], [], 0)


def test_old_workers_are_replaced_one_at_a_time() -> None:
    assert plan(3, [task(n, spec="old") for n in "123"]).kill == ["1"]


@pytest.mark.parametrize(
    "other",
    [
        task("2", state="TASK_STAGING", healthy=None),
        task("2", healthy=None),
        task("2", healthy=False, since=NOW),
        task("2", killing=NOW - 1),
        task("2", state="TASK_UNREACHABLE"),
    ],
)
def test_an_old_worker_stays_while_another_is_not_ready(other: Task) -> None:
    result = plan(3, [task("1", spec="old"), other, task("3")])
    assert result.kill == []


def test_an_old_worker_that_is_not_ready_is_replaced_first() -> None:
    assert plan(2, [task("1", spec="old"), task("2", spec="old", healthy=None)]).kill == ["2"]


def test_a_roll_goes_on_until_every_worker_has_the_new_specification() -> None:
    tasks = {n: task(n, spec="old") for n in "123"}
    least = len(tasks)
    for step in range(20):
        result = make_plan(SPEC, 3, tasks.values(), [offer("a"), offer("b")], NOW + step, lambda n=step: f"new-{n}")  # type: ignore[misc]
        for name in result.kill:
            del tasks[name]
        least = min(least, sum(t.ready for t in tasks.values()))
        tasks = {n: dataclasses.replace(t, state="TASK_RUNNING", healthy=True) for n, t in tasks.items()}
        tasks |= {launch.task.id: launch.task for launch in result.launch}
    assert [t.spec for t in tasks.values()] == [SPEC.hash] * 3
    assert least == 2


def test_any_change_of_the_specification_changes_its_hash() -> None:
    changes: list[dict[str, Any]] = [
        {"image": "pmml-worker:2"},
        {"cpus": 1.0},
        {"mem": 101.0},
        {"models_dir": "/m"},
        {"docker_config_file": "/config.json"},
    ]
    assert len({SPEC.hash, *(dataclasses.replace(SPEC, **change).hash for change in changes)}) == 6
    assert dataclasses.replace(SPEC).hash == SPEC.hash


def test_resources_keep_their_reservation_and_may_come_from_several() -> None:
    reserved = {"reservations": [{"type": "STATIC", "role": "pmml"}]}
    resources: list[dict[str, Any]] = [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.3}, **reserved},
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 64}},
        {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 5, "end": 5}, {"begin": 7, "end": 8}]}},
    ]
    share = allocate(resources, 0.5, 64, "id")
    assert share is not None
    taken, port, left = share
    assert taken[:3] == [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.3}, **reserved},
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.2}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 64}},
    ]
    assert taken[3]["ranges"]["range"] == [{"begin": port, "end": port}]
    assert [r["scalar"]["value"] for r in left if r["name"] == "cpus"] == [0, 0.8]
    rest = [p for r in left[3]["ranges"]["range"] for p in range(r["begin"], r["end"] + 1)]
    assert sorted([port, *rest]) == [5, 7, 8]


def test_revocable_resources_are_left_alone() -> None:
    resources = [{**resource, "revocable": {}} for resource in offer("a").resources]
    assert allocate(resources, 0.1, 32, "id") is None


def test_an_offer_tells_how_its_agent_starts_containers() -> None:
    message: dict[str, Any] = {
        "id": {"value": "o"},
        "agent_id": {"value": "s"},
        "hostname": "agent1",
        "url": {"address": {"hostname": "agent1", "ip": "10.0.0.4", "port": 5051}},
        "attributes": [{"name": "docker", "type": "TEXT", "text": {"value": "command"}}],
    }
    assert Offer.from_json(message) == Offer("o", "s", "agent1", "10.0.0.4", True, [])
    message["attributes"][0]["text"]["value"] = "containerizer"
    assert not Offer.from_json(message).by_command


def test_the_first_failure_delays_for_a_second_and_each_further_one_twice_as_long() -> None:
    backoff, now, delays = Backoff(), NOW, []
    for _ in range(12):
        backoff = backoff.after_failure(lived=1, now=now)
        delays.append(backoff.until - now)
        now = backoff.until
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST_DELAY, LONGEST_DELAY, LONGEST_DELAY]


def test_a_worker_that_lived_long_ends_a_row_of_failures() -> None:
    assert Backoff(8, NOW - 1).after_failure(lived=SOUND_AFTER, now=NOW) == Backoff(1, NOW + 1)


def test_workers_that_fail_together_count_once() -> None:
    first = Backoff().after_failure(lived=1, now=NOW)
    assert first.after_failure(lived=1, now=NOW + 0.5) is first


def test_the_state_survives_its_json_form() -> None:
    state = State("framework", {"1": task("1"), "2": task("2", healthy=None, killing=NOW)})
    assert State.from_json(state.to_json()) == state


def test_nothing_stands_for_the_state_before_the_first_subscription() -> None:
    assert State.from_json(b"") == State(None, {})
