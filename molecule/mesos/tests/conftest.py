"""What the tests of Mesos share: an image in the agents' engines, and a framework per test."""

import subprocess
from collections.abc import Iterator

import pytest
import yard
from framework import Framework

IMAGE = "scoreyard/base:bookworm"


@pytest.fixture(scope="session")
def image() -> str:
    """The base image, carried from this machine's engine into the agents': no registry takes part in this scenario."""
    image_id = subprocess.run(
        ["docker", "image", "inspect", "--format={{.Id}}", IMAGE], check=True, capture_output=True, text=True
    ).stdout.strip()
    lacking = [
        host for host in yard.hosts("mesos_agents") if yard.node(host).run(f"docker image inspect {image_id}").rc
    ]
    transfers = []
    for host in lacking:
        save = subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE)
        load = ["docker", "exec", "--interactive", yard.container(host), "docker", "load", "--quiet"]
        transfers.append(subprocess.Popen(load, stdin=save.stdout))
    assert [transfer.wait() for transfer in transfers] == [0] * len(lacking)
    return IMAGE


@pytest.fixture(autouse=True)
def settled() -> None:
    """Every test begins with one leading master that has all agents."""
    yard.leading_master()
    yard.wait_for("all agents are registered", lambda: sorted(yard.agents()) == sorted(yard.hosts("mesos_agents")))


@pytest.fixture
def framework() -> Iterator[Framework]:
    with Framework() as subscribed:
        yield subscribed
