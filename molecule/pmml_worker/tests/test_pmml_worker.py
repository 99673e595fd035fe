"""PMML workers on Mesos, seen by those who score, deploy and operate."""

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yard

MASTERS = yard.hosts("mesos_masters")
AGENTS = yard.hosts("mesos_agents")
SAMPLE = yard.ROOT / "pmml_worker" / "sample" / "sample.tsv"
WANTED = 2


def endpoint(host: str) -> str:
    return f"http://{yard.address(host)}:{yard.SCHEDULER_PORT}"


def health(host: str) -> dict[str, Any]:
    return yard.get(f"{endpoint(host)}/health") or {}


def leading_scheduler() -> str:
    return yard.wait_for(
        "one scheduler leads",
        lambda: (
            leaders[0]
            if len(leaders := [host for host in MASTERS if health(host).get("role") == "leading"]) == 1
            else None
        ),
    )


def task_ids() -> set[str]:
    return {worker["task_id"] for worker in yard.workers()}


def containers() -> set[str]:
    """Ids of the workers' containers on all agents."""
    command = "docker ps --no-trunc --quiet --filter name=mesos-"
    return {line for agent in AGENTS for line in yard.node(agent).check_output(command).split()}


def score(host: str) -> list[str]:
    """The sample's scored labels, by one master's endpoint."""
    response = requests.post(
        f"{endpoint(host)}/models/sample.rf/score",
        data=SAMPLE.read_bytes(),
        headers={"Content-Type": "text/tab-separated-values"},
        timeout=30,
    )
    assert response.status_code == 200, response.text
    return [row["label"] for row in csv.DictReader(io.StringIO(response.text), delimiter="\t")]


def expected() -> list[str]:
    return [row["predict"] for row in csv.DictReader(SAMPLE.open(), delimiter="\t")]


def kill(worker: dict[str, Any]) -> None:
    """Kill a worker's container."""
    host = yard.node(worker["host"])
    container = host.check_output("docker ps --quiet --filter publish=%s", str(worker["port"]))
    host.check_output("docker kill %s", container)


@pytest.fixture(autouse=True)
def all_workers_healthy() -> Iterator[None]:
    yard.wait_for("the workers are healthy", lambda: len(yard.workers()) == WANTED, 120)
    yield


@pytest.mark.parametrize("master", MASTERS)
def test_the_sample_is_scored_as_expected_by_every_masters_endpoint(master: str) -> None:
    assert len(expected()) == 200
    assert score(master) == expected()


def test_one_scheduler_leads_and_all_tell_the_same_of_the_workers() -> None:
    leading_scheduler()
    listed = [yard.get(f"{endpoint(host)}/workers") for host in MASTERS]
    assert listed[0] and all(workers == listed[0] for workers in listed)


def test_workers_are_spread_over_the_agents_at_the_latest_when_they_are_replaced() -> None:
    def spread() -> bool:
        workers = yard.workers()
        if len(workers) == WANTED and {worker["host"] for worker in workers} != set(AGENTS):
            # They were launched while an agent was full or away.
            kill(workers[0])
            yard.wait_for("the worker is gone", lambda: workers[0]["task_id"] not in task_ids())
        return {worker["host"] for worker in workers} == set(AGENTS)

    yard.wait_for("the workers are spread over the agents", spread, 150, every=1)


def test_workers_run_as_docker_tasks_with_their_limits_and_without_root() -> None:
    for agent in AGENTS:
        host = yard.node(agent)
        for container in host.check_output("docker ps --quiet --filter name=mesos-").split():
            facts = json.loads(host.check_output("docker inspect %s", container))[0]
            assert facts["HostConfig"]["Memory"] == 512 * 2**20
            assert facts["HostConfig"]["CpuQuota"] == 50_000
            assert facts["Config"]["User"] not in ("", "0", "root")
            assert facts["Config"]["Image"].startswith("master1:5000/pmml-worker:")


def test_a_killed_worker_is_replaced() -> None:
    victim = yard.workers()[0]
    started = time.monotonic()
    kill(victim)
    yard.wait_for("the worker is gone", lambda: victim["task_id"] not in task_ids())
    yard.wait_for("there are as many healthy workers as wanted", lambda: len(yard.workers()) == WANTED, 60)
    print(f"killed worker replaced and healthy after {time.monotonic() - started:.1f} s")
    assert score(MASTERS[0]) == expected()


def test_another_scheduler_leads_when_the_leader_is_killed_and_no_worker_notices() -> None:
    before, running = task_ids(), containers()
    leader = leading_scheduler()
    framework = health(leader)["framework_id"]
    started = time.monotonic()
    yard.node(leader).check_output("systemctl kill --kill-whom=main --signal=KILL pmml-scheduler")
    others = [host for host in MASTERS if host != leader]
    heir = yard.wait_for(
        "another scheduler leads",
        lambda: next((host for host in others if health(host).get("role") == "leading"), None),
        40,
    )
    print(f"another scheduler led after {time.monotonic() - started:.1f} s")
    assert health(heir)["framework_id"] == framework
    yard.wait_for("Mesos has the framework back", lambda: framework_is_active(framework))
    assert task_ids() == before
    assert containers() == running


def framework_is_active(framework: str) -> bool:
    state = yard.mesos("/frameworks") or {}
    return any(f["id"] == framework and f["active"] for f in state.get("frameworks", []))


def test_scoring_goes_on_while_the_leading_master_is_killed() -> None:
    before, running = task_ids(), containers()
    leader = yard.leading_master()
    yard.kill_service(leader, "mesos-master")
    others = [host for host in MASTERS if host != leader]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not set(yard.leading_masters()) & set(others):
        assert score(MASTERS[0]) == expected()
    assert yard.leading_master()
    yard.wait_for("the framework is back", lambda: framework_is_active(health(MASTERS[0])["framework_id"]))
    assert task_ids() == before
    assert containers() == running


def test_a_changed_model_is_taken_up_and_a_broken_one_is_not() -> None:
    model = "/var/lib/pmml-worker/models/again.xml"
    for agent in AGENTS:
        yard.node(agent).check_output("cp /var/lib/pmml-worker/models/sample.rf.xml %s", model)

    def names() -> set[str]:
        answers = [yard.get(f"{endpoint(master)}/models") or [] for master in MASTERS for _ in AGENTS]
        return set.intersection(*({entry["name"] for entry in answer} for answer in answers))

    try:
        yard.wait_for("every worker serves the new model", lambda: "again" in names(), 30)
        for agent in AGENTS:
            yard.node(agent).check_output("sh -c %s", f"echo '<PMML' > {model}.new && mv {model}.new {model}")
        assert score(MASTERS[0]) == expected()
    finally:
        for agent in AGENTS:
            yard.node(agent).check_output("rm -f %s", model)
    yard.wait_for("no worker serves the removed model", lambda: "again" not in names(), 30)


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("/models/sample.rf/score", b'[{"var0": "many", "var1": 1, "var2": 0}]', 400, "var0"),
        ("/models/sample.rf/score", b'[{"var0": ', 400, "JSON"),
        ("/models/unknown/score", b"[]", 404, "unknown"),
    ],
)
def test_bad_input_is_refused_by_name(path: str, body: bytes, status: int, named: str) -> None:
    response = requests.post(
        f"{endpoint(MASTERS[0])}{path}", data=body, headers={"Content-Type": "application/json"}, timeout=10
    )
    assert response.status_code == status, response.text
    assert named in response.json()["error"]


@pytest.mark.parametrize("login", [None, ("yard", "wrong")])
def test_the_registry_refuses_who_has_no_password(login: tuple[str, str] | None) -> None:
    registry = f"http://{yard.address(yard.hosts('registry')[0])}:5000/v2/"
    assert requests.get(registry, auth=login, timeout=5).status_code == 401
    right = ("yard", yard.secret("registry"))
    assert requests.get(f"{registry}pmml-worker/tags/list", auth=right, timeout=5).json()["tags"]


def test_the_schedulers_znodes_are_its_own() -> None:
    from kazoo.client import KazooClient
    from kazoo.exceptions import NoAuthError

    client = KazooClient(f"{yard.address(MASTERS[0])}:{yard.ZOOKEEPER_PORT}")
    client.start(timeout=30)
    try:
        for path in ("/pmml-worker", "/pmml-worker/state"):
            with pytest.raises(NoAuthError):
                client.get(path)
            with pytest.raises(NoAuthError):
                client.set(path, b"")
    finally:
        client.stop()
        client.close()


@pytest.mark.parametrize("master", MASTERS)
def test_the_scheduler_is_enabled_and_runs_unprivileged(master: str) -> None:
    host = yard.node(master)
    service = host.service("pmml-scheduler")
    assert service.is_enabled and service.is_running
    pid = host.check_output("systemctl show pmml-scheduler --property=MainPID --value")
    assert host.check_output("ps --no-headers -o user:20 -p %s", pid) == "pmml-worker"
    for name in ("zookeeper", "mesos"):
        file = host.file(f"/etc/pmml-worker/{name}")
        assert (file.user, file.mode) == ("pmml-worker", 0o600)
