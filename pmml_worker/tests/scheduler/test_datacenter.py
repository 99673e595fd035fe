"""The scheduler against real ZooKeeper, Mesos and Docker."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest

from .datacenter import Datacenter, Framework, Instance, eventually, healthy, missing, running

pytestmark = pytest.mark.skipif((lack := missing()) is not None, reason=f"no datacenter: {lack}")


@pytest.fixture(scope="module")
def datacenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Datacenter]:
    with running(tmp_path_factory.mktemp("datacenter")) as started:
        yield started


@pytest.fixture
def framework(datacenter: Datacenter) -> Iterator[Framework]:
    framework = Framework(datacenter)
    yield framework
    for instance in framework.instances:
        instance.terminate()
    result = framework.teardown()
    assert result.returncode == 0, result.stderr
    eventually("the containers are gone", lambda: not datacenter.containers())


def framework_ids(datacenter: Datacenter, framework: Framework) -> set[str]:
    return {f["id"] for f in datacenter.state()["frameworks"] if f["name"] == framework.name}


class Requests:
    """Scores through an instance all the time, and counts the failures."""

    def __init__(self, instance: Instance) -> None:
        self.good, self.bad = 0, list[str]()
        self._stop, self._instance = Event(), instance
        self._thread = Thread(target=self._run)

    def _run(self) -> None:
        with httpx.Client(base_url=self._instance.url, timeout=10) as client:
            while not self._stop.wait(0.02):
                answer = client.post("/models/m/score", content=b"a\n1\n")
                if answer.status_code == 200:
                    self.good += 1
                else:
                    self.bad.append(f"{answer.status_code} {answer.text}")

    def __enter__(self) -> "Requests":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_workers_run_in_containers_on_different_agents_with_their_limits(framework: Framework) -> None:
    leader = framework.start()
    workers = healthy(leader, 2)
    assert {worker["host"] for worker in workers} == {"agent0", "agent1"}
    containers = framework.datacenter.containers()
    assert len(containers) == 2
    assert leader.get("/health")["workers"] == {"wanted": 2, "running": 2, "healthy": 2}
    template = '{{.HostConfig.Memory}} {{range .Mounts}}{{if eq .Destination "/models"}}{{.RW}}{{end}}{{end}}'
    limits = subprocess.run(
        ["docker", "inspect", "--format", template, *containers], capture_output=True, text=True, check=True
    ).stdout
    assert limits.splitlines() == [f"{64 * 1024 * 1024} false"] * 2
    answers = {httpx.post(leader.url + "/models/m/score").json()["worker"] for _ in range(4)}
    assert len(answers) == 2


def test_a_killed_worker_is_replaced_without_a_failed_request(framework: Framework) -> None:
    leader = framework.start()
    before = healthy(leader, 2)
    victim = sorted(framework.datacenter.containers())[0]
    with Requests(leader) as requests:
        subprocess.run(["docker", "kill", victim], check=True, capture_output=True)
        eventually(
            "another worker takes its place",
            lambda: (
                len(framework.datacenter.containers() - {victim}) == 2
                and {w["task_id"] for w in healthy(leader, 2)} != {w["task_id"] for w in before}
            ),
        )
    assert requests.bad == []
    assert requests.good > 10


def test_a_standby_takes_over_from_a_killed_leader_without_touching_the_workers(framework: Framework) -> None:
    leader = framework.start()
    workers = healthy(leader, 2)
    standby = framework.start()
    assert standby.get("/health")["role"] == "standby"
    assert standby.get("/workers") == leader.get("/workers")
    containers = framework.datacenter.containers()
    (framework_id,) = framework_ids(framework.datacenter, framework)

    leader.kill()
    eventually("the standby leads", lambda: standby.get("/health")["role"] == "leading")
    # The new leader acts only once it has subscribed: it must replace a worker before the rest can be believed.
    gone = sorted(containers)[0]
    eventually(
        "the new leader is subscribed",
        lambda: any(f["connected"] for f in framework.datacenter.state()["frameworks"] if f["id"] == framework_id),
    )
    assert framework.datacenter.containers() == containers
    assert [w["task_id"] for w in standby.get("/workers")] == [w["task_id"] for w in workers]
    assert framework_ids(framework.datacenter, framework) == {framework_id}
    subprocess.run(["docker", "kill", gone], check=True, capture_output=True)
    eventually("the new leader replaces a worker", lambda: len(framework.datacenter.containers() - {gone}) == 2)
    assert standby.get("/health")["framework_id"] == framework_id


def test_a_stopped_scheduler_leaves_the_workers_alone_and_another_start_finds_them(framework: Framework) -> None:
    first = framework.start()
    workers = healthy(first, 2)
    containers = framework.datacenter.containers()
    assert first.terminate() == 0
    second = framework.start()
    eventually("it leads at once", lambda: second.get("/health")["role"] == "leading", seconds=5)
    assert [w["task_id"] for w in healthy(second, 2)] == [w["task_id"] for w in workers]
    assert framework.datacenter.containers() == containers


def test_a_changed_specification_is_rolled_out_one_by_one_without_a_failed_request(framework: Framework) -> None:
    first = framework.start()
    before = {w["task_id"] for w in healthy(first, 2)}
    assert first.terminate() == 0
    framework.settings["mem"] = 80
    second = framework.start()
    least = 2
    with Requests(second) as requests:

        def rolled() -> bool:
            nonlocal least
            least = min(least, second.get("/health")["workers"]["healthy"])
            workers = second.get("/workers")
            return len(workers) == 2 and not before & {w["task_id"] for w in workers}

        eventually("all workers are new", rolled, seconds=60)
        healthy(second, 2)
    assert least == 1
    assert requests.bad == []


def test_fewer_instances_kill_the_surplus(framework: Framework) -> None:
    first = framework.start()
    healthy(first, 2)
    assert first.terminate() == 0
    framework.settings["instances"] = 1
    second = framework.start()
    healthy(second, 1)
    eventually("one container is left", lambda: len(framework.datacenter.containers()) == 1)


def test_a_worker_that_fails_again_and_again_is_started_ever_more_slowly(framework: Framework) -> None:
    framework.settings["image"] = "scoreyard-test/absent:none"
    framework.settings["instances"] = 1
    leader = framework.start()
    eventually("three failures", lambda: "failure 3 in a row, next launch in 4 s" in leader.log.read_text())
    assert leader.get("/health")["status"] == "ok"


def test_a_wrong_secret_is_refused_with_a_message_and_an_exit_status(framework: Framework, tmp_path: Path) -> None:
    right = framework.settings["secret_file"]
    wrong = tmp_path / "secret"
    wrong.touch(mode=0o600)
    wrong.write_text("not-the-secret")
    framework.settings["secret_file"] = str(wrong)
    instance = framework.spawn()
    assert instance.process.wait(20) == os.EX_NOPERM
    framework.settings["secret_file"] = right
    log = instance.log.read_text()
    assert "refused principal 'pmml-worker' and its secret (401" in log
    assert "secret_file" in log
    assert "not-the-secret" not in log


def test_a_port_in_use_is_an_exit_status_of_its_own(framework: Framework) -> None:
    path, port = framework.configure()
    with socket.create_server(("127.0.0.1", port)):
        instance = Instance(path, path.with_suffix(".log"), port, framework.environment)
        assert instance.process.wait(20) == os.EX_UNAVAILABLE
    assert "address already in use" in instance.log.read_text()


def test_wrong_zookeeper_credentials_are_refused(framework: Framework, tmp_path: Path) -> None:
    instance = framework.start()
    healthy(instance, 2)
    right = framework.settings["zookeeper_credentials_file"]
    wrong = tmp_path / "zookeeper"
    wrong.touch(mode=0o600)
    wrong.write_text("yard:wrong")
    framework.settings["zookeeper_credentials_file"] = str(wrong)
    result = framework.teardown()
    framework.settings["zookeeper_credentials_file"] = right
    assert result.returncode == os.EX_CONFIG
    assert "ZooKeeper denies access" in result.stderr
    assert len(framework.datacenter.containers()) == 2


def test_teardown_is_refused_while_an_instance_leads(framework: Framework) -> None:
    instance = framework.start()
    healthy(instance, 2)
    result = framework.teardown()
    assert result.returncode == os.EX_TEMPFAIL
    assert "stop pmml-worker scheduler on every host first" in result.stderr
    assert len(framework.datacenter.containers()) == 2


def test_workers_survive_the_death_of_the_leading_master(framework: Framework) -> None:
    leader = framework.start()
    healthy(leader, 2)
    datacenter = framework.datacenter
    containers = datacenter.containers()
    (framework_id,) = framework_ids(datacenter, framework)
    old = datacenter.leading_master()
    datacenter.masters[old].kill()
    datacenter.masters[old].wait()
    with Requests(leader) as requests:
        eventually("another master leads", lambda: datacenter.leading_master() != old)
        eventually(
            "the framework is back",
            lambda: [f["id"] for f in datacenter.state()["frameworks"] if f["connected"]] == [framework_id],
        )
        eventually("the agents are back", lambda: datacenter.state()["activated_slaves"] == 2)
        healthy(leader, 2)
    assert datacenter.containers() == containers
    assert requests.bad == []
    # The lead is real: a worker is replaced through the new master.
    gone = sorted(containers)[0]
    subprocess.run(["docker", "kill", gone], check=True, capture_output=True)
    eventually("a worker is replaced", lambda: len(datacenter.containers() - {gone}) == 2)


def test_without_zookeeper_an_instance_stops_leading_but_still_serves_and_starts_again_with_it(
    datacenter: Datacenter,
) -> None:
    # The last test, without a teardown by Mesos: the masters do not outlive ZooKeeper.
    leader = Framework(datacenter).start()
    try:
        healthy(leader, 2)
        containers = datacenter.containers()
        datacenter.zookeeper_process.send_signal(signal.SIGSTOP)
        try:
            eventually("it does not lead", lambda: leader.get("/health")["role"] == "standby")
            answer = httpx.post(leader.url + "/models/m/score", content=b"a\n1\n")
            assert answer.status_code == 200
        finally:
            datacenter.zookeeper_process.send_signal(signal.SIGCONT)
        assert leader.process.wait(20) == os.EX_TEMPFAIL
        assert datacenter.containers() == containers
    finally:
        leader.terminate()
