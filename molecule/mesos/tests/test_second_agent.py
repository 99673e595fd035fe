"""A second agent on a node, configured by the role as on a host with cgroup v2 only."""

import json
from collections.abc import Iterator

import pytest
import yard
from framework import (
    COMMAND,
    UNTIL_TOLD,
    Framework,
    container,
    docker_form,
    docker_task,
    identity,
    running_container,
    touch,
)

HOST, NAME, UNIT, PORT = "agent2", "agent2-second", "mesos-agent-second", 5052
FOLDER = f"/run/{UNIT}"


def main_process() -> str:
    """The second agent's process id; 0 where it does not run."""
    return str(yard.node(HOST).check_output("systemctl show %s --property=MainPID --value", UNIT))


@pytest.fixture(scope="module")
def configuration() -> Iterator[None]:
    """The role's configuration, and a copy of its unit that reads it. To stop it is to unregister."""
    yard.play("molecule/mesos/second_agent.yml")
    host = yard.node(HOST)
    host.check_output(
        "sed -e s,/etc/mesos-agent/environment,%s/environment, -e '/ExecStart/a KillSignal=SIGUSR1'"
        " /etc/systemd/system/mesos-agent.service > /run/systemd/system/%s.service && systemctl daemon-reload",
        FOLDER,
        UNIT,
    )
    yield
    host.check_output(
        "rm -rf /run/systemd/system/%s.service %s /var/lib/%s && systemctl daemon-reload", UNIT, FOLDER, UNIT
    )


@pytest.fixture
def second_agent(configuration: None) -> Iterator[str]:
    """The agent's id."""
    yard.node(HOST).check_output("systemctl start %s", UNIT)
    try:
        yield yard.wait_for("the second agent is registered", lambda: yard.agents().get(NAME))
    finally:
        yard.node(HOST).check_output("systemctl stop %s", UNIT)
        yard.wait_for("the second agent is gone", lambda: NAME not in yard.agents())


def test_a_docker_task_on_a_host_with_cgroup_v2_only_has_its_limits_and_outlives_its_agent(
    framework: Framework, image: str, second_agent: str
) -> None:
    assert docker_form(NAME) == COMMAND
    task = framework.launch(NAME, docker_task(COMMAND, image, UNTIL_TOLD, cpus=0.2, mem=96))
    running = framework.wait(task, "TASK_RUNNING")
    before = running_container(HOST, running)
    assert before["HostConfig"]["Memory"] == 96 * 2**20
    assert before["HostConfig"]["NanoCpus"] == 200_000_000

    process = main_process()
    yard.kill_service(HOST, UNIT)
    yard.wait_for("the second agent starts again", lambda: main_process() not in ("0", process))
    yard.wait_for("it has its tasks again", lambda: yard.metrics(HOST, PORT).get("slave/registered"))
    assert yard.wait_for("it is back, with its id", lambda: yard.agents().get(NAME)) == second_agent
    assert identity(running_container(HOST, running)) == identity(before)
    touch(HOST, running, "end")
    framework.wait(task, "TASK_FINISHED")
    assert container(HOST, running) is None


def test_an_agent_with_a_wrong_secret_never_registers(configuration: None) -> None:
    host = yard.node(HOST)
    own = "/etc/mesos-agent/credential.json"
    wrong = json.dumps({"principal": "agent", "secret": "not-the-secret"})
    host.check_output("sed -i.right s,%s,%s/credential.json, %s/environment", own, FOLDER, FOLDER)
    host.check_output("echo %s > %s/credential.json", wrong, FOLDER)
    since = host.check_output("date +%s")
    host.check_output("systemctl start %s", UNIT)
    try:
        log = "journalctl --unit=%s --since=@%s --output=cat --no-pager"
        yard.wait_for(
            "the master refuses the agent",
            lambda: "refused authentication" in host.check_output(log, UNIT, since),
        )
        assert NAME not in yard.agents()
    finally:
        host.check_output("systemctl stop %s && mv %s/environment.right %s/environment", UNIT, FOLDER, FOLDER)
