"""Two agents, and what becomes of their tasks when they restart."""

import json
from collections.abc import Callable

import pytest
import yard
from framework import UNTIL_TOLD, Framework, docker_form, docker_task, identity, running_container, touch

AGENTS = yard.hosts("mesos_agents")


def registered(host: str) -> dict[str, yard.Json]:
    """What the leading master knows of an agent."""
    return next(agent for agent in (yard.mesos("/slaves") or {})["slaves"] if agent["hostname"] == host)


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_offers_what_the_inventory_says(agent: str) -> None:
    known = registered(agent)
    resources = {name: known["resources"][name] for name in ("cpus", "mem", "disk", "ports")}
    assert resources == {**yard.variables()["mesos_agent_resources"], "ports": "[31000-32000]"}
    cgroup_v1 = yard.node(agent).file("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists
    assert known["attributes"] == {"docker": "containerizer" if cgroup_v1 else "command"}


@pytest.mark.parametrize("agent", AGENTS)
def test_the_services_are_enabled_and_have_room_for_connections(agent: str) -> None:
    host = yard.node(agent)
    for name in ("docker", "mesos-agent"):
        assert host.service(name).is_enabled and host.service(name).is_running
    assert host.check_output("systemctl show mesos-agent --property=LimitNOFILE --value") == "65536"


def kill(host: str) -> None:
    yard.kill_service(host, "mesos-agent")


def restart(host: str) -> None:
    yard.node(host).check_output("systemctl restart mesos-agent")


@pytest.mark.parametrize("end", [kill, restart])
def test_an_agent_comes_back_with_its_id_and_its_docker_task_goes_on(
    framework: Framework, image: str, end: Callable[[str], None]
) -> None:
    host = AGENTS[0]
    agents = yard.wait_for("the agent is registered", lambda: found if host in (found := yard.agents()) else None)
    task = framework.launch(host, docker_task(docker_form(host), image, UNTIL_TOLD))
    running = framework.wait(task, "TASK_RUNNING")
    before = running_container(host, running)
    end(host)
    yard.wait_for("the agent has its tasks again", lambda: yard.metrics(host, yard.AGENT_PORT).get("slave/registered"))
    assert yard.wait_for("the agent is back", lambda: yard.agents().get(host)) == agents[host]
    assert identity(running_container(host, running)) == identity(before)
    touch(host, running, "end")
    framework.wait(task, "TASK_FINISHED")


def test_an_added_attribute_keeps_the_agents_id_and_its_tasks_and_can_be_taken_back(
    framework: Framework, image: str
) -> None:
    host = AGENTS[0]
    agent_id, attributes = yard.agents()[host], registered(host)["attributes"]
    task = framework.launch(host, docker_task(docker_form(host), image, UNTIL_TOLD))
    running = framework.wait(task, "TASK_RUNNING")
    before = running_container(host, running)
    only = ("playbooks/mesos.yml", "--tags=mesos_agent", f"--limit={host}")
    with yard.restored(*only):
        added = json.dumps({"mesos_agent_attributes": {"rack": "r1"}})
        yard.play(*only, f"--extra-vars={added}")
        assert registered(host)["attributes"] == {**attributes, "rack": "r1"}
        assert registered(host)["id"] == agent_id
    assert registered(host)["attributes"] == attributes
    assert registered(host)["id"] == agent_id
    assert identity(running_container(host, running)) == identity(before)
    touch(host, running, "end")
    framework.wait(task, "TASK_FINISHED")
