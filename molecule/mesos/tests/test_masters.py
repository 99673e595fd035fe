"""Three masters, one of which leads."""

import threading
import time

import pytest
import requests
import yard
from framework import (
    AT_ONCE,
    FINAL_STATES,
    UNTIL_TOLD,
    Framework,
    docker_form,
    docker_task,
    identity,
    running_container,
)

MASTERS = yard.hosts("mesos_masters")
AGENTS = yard.hosts("mesos_agents")


def call(kind: str) -> yard.Json:
    """The answer of the leading master's operator API to a call without fields."""
    url = f"http://{yard.address(yard.leading_master())}:{yard.MESOS_PORT}/api/v1"
    response = requests.post(url, json={"type": kind}, auth=yard.admin(), timeout=5)
    response.raise_for_status()
    return response.json()


def started(master: str) -> int:
    """When a master's process started, in microseconds since the machine's boot."""
    show = "systemctl show mesos-master --property=ExecMainStartTimestampMonotonic --value"
    return int(yard.node(master).check_output(show))


def redirection(master: str) -> str:
    """The leading master's host, as a master names it."""
    url = f"http://{yard.address(master)}:{yard.MESOS_PORT}/redirect"
    location = requests.get(url, auth=yard.admin(), allow_redirects=False, timeout=5).headers["Location"]
    return location.removeprefix("//").partition(":")[0]


def test_exactly_one_master_leads_and_all_name_the_same() -> None:
    leader = yard.leading_master()
    assert {master: redirection(master) for master in MASTERS} == dict.fromkeys(MASTERS, leader)


@pytest.mark.parametrize("master", MASTERS)
def test_a_master_counts_a_majority_as_quorum_and_keeps_a_replicated_log(master: str) -> None:
    state = yard.get(f"http://{yard.address(master)}:{yard.MESOS_PORT}/flags", auth=yard.admin())
    assert state is not None
    assert state["flags"]["quorum"] == str(len(MASTERS) // 2 + 1)
    assert state["flags"]["registry"] == "replicated_log"
    yard.wait_for("its log has caught up", lambda: yard.metrics(master).get("registrar/log/recovered") == 1)


def test_weights_and_quota_are_the_inventorys() -> None:
    weights = call("GET_WEIGHTS")["get_weights"]["weight_infos"]
    assert {info["role"]: info["weight"] for info in weights} == yard.variables()["mesos_master_weights"]
    configs = call("GET_QUOTA")["get_quota"]["status"]["configs"]
    limits = {c["role"]: {name: amount["value"] for name, amount in c["limits"].items()} for c in configs}
    quota = yard.resolved(MASTERS[0], "mesos_master_quota")
    assert limits == {role: bounds["limits"] for role, bounds in quota.items()}


@pytest.mark.parametrize("master", MASTERS)
def test_the_service_is_enabled_unprivileged_and_has_room_for_connections(master: str) -> None:
    host = yard.node(master)
    service = host.service("mesos-master")
    assert service.is_enabled and service.is_running
    assert host.check_output("ps --no-headers -o user:32 -C mesos-master").split() == ["mesos-master"]
    assert host.check_output("systemctl show mesos-master --property=LimitNOFILE --value") == "65536"


def test_a_killed_follower_comes_back_and_the_leader_stays() -> None:
    leader = yard.leading_master()
    follower = next(master for master in MASTERS if master != leader)
    before = started(follower)
    yard.kill_service(follower, "mesos-master")
    yard.wait_for("the follower starts again", lambda: started(follower) > before)
    yard.wait_for("its log has caught up", lambda: yard.metrics(follower).get("registrar/log/recovered") == 1)
    assert yard.leading_master() == leader


def test_a_new_leader_takes_over_when_the_leader_is_killed_and_tasks_do_not_notice(
    framework: Framework, image: str
) -> None:
    leader, agents = yard.leading_master(), yard.agents()
    host = AGENTS[0]
    task = framework.launch(host, docker_task(docker_form(host), image, UNTIL_TOLD, **AT_ONCE))
    running = framework.wait(task, "TASK_RUNNING")
    before = running_container(host, running)
    killed = time.monotonic()
    yard.kill_service(leader, "mesos-master")
    others = [master for master in MASTERS if master != leader]
    yard.wait_for("another master leads", lambda: [m for m in others if yard.metrics(m).get("master/elected") == 1], 15)
    elected = time.monotonic()
    yard.wait_for("all agents are back, with their ids", lambda: yard.agents() == agents, 30)
    print(f"new leader after {elected - killed:.1f} s, agents back {time.monotonic() - elected:.1f} s later")

    yard.wait_for("the framework is subscribed again", lambda: framework.subscriptions == 2)
    assert framework.reconcile(task)["state"] == "TASK_RUNNING"
    assert identity(running_container(host, running)) == identity(before)
    assert not [update for update in framework.updates(task) if update["state"] in FINAL_STATES]
    framework.kill(task)
    framework.wait(task, "TASK_KILLED")


class Poller:
    """Counts, every tenth of a second, the masters whose replica of the log takes part in the quorum."""

    def __init__(self) -> None:
        self.fewest_alive = len(MASTERS)
        self.samples = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def _poll(self) -> None:
        while not self._stop.wait(0.1):
            alive = [yard.metrics(master).get("registrar/log/recovered") == 1 for master in MASTERS]
            self.fewest_alive = min(self.fewest_alive, sum(alive))
            self.samples += 1

    def __enter__(self) -> "Poller":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_a_change_restarts_one_master_at_a_time_and_the_leader_last() -> None:
    leader = yard.leading_master()
    before = {master: started(master) for master in MASTERS}
    with yard.restored("playbooks/mesos.yml", "--tags=mesos_master"), Poller() as poller:
        yard.play("playbooks/mesos.yml", "--tags=mesos_master", "--extra-vars=mesos_master_cluster=changed")
        after = {master: started(master) for master in MASTERS}
        assert yard.wait_for("a master leads again", lambda: yard.mesos("/state"))["cluster"] == "changed"
    assert all(after[master] > before[master] for master in MASTERS)
    assert max(MASTERS, key=lambda master: after[master]) == leader
    assert poller.samples > 20
    assert poller.fewest_alive >= 2
