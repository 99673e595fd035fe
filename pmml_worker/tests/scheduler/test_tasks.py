import dataclasses
from typing import Any

from pmml_worker.scheduler.plan import Launch, Offer, Spec
from pmml_worker.scheduler.state import Task
from pmml_worker.scheduler.tasks import task_info

SPEC = Spec("registry:5000/pmml-worker:1", 0.5, 256.0, "/var/lib/pmml-worker/models")
RESOURCES = [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}}]


def info(by_command: bool, spec: Spec = SPEC) -> dict[str, Any]:
    offer = Offer("o", "s1", "agent1", "10.0.0.4", by_command, [])
    task = Task("pmml.1", spec.hash, "s1", "agent1", "10.0.0.4", 31005, launched=0)
    return task_info(spec, Launch(offer, task, RESOURCES), "pmml-worker")


def test_a_task_names_itself_its_agent_its_resources_and_its_specification() -> None:
    result = info(by_command=False)
    assert result["task_id"] == {"value": "pmml.1"}
    assert result["agent_id"] == {"value": "s1"}
    assert result["resources"] == RESOURCES
    assert {"key": "pmml-worker.spec", "value": SPEC.hash} in result["labels"]["labels"]


def test_the_docker_containerizer_gets_a_docker_task() -> None:
    result = info(by_command=False)
    assert result["command"] == {"shell": False}
    assert result["container"] == {
        "type": "DOCKER",
        "docker": {
            "image": SPEC.image,
            "network": "BRIDGE",
            "port_mappings": [{"host_port": 31005, "container_port": 8080, "protocol": "tcp"}],
            "force_pull_image": False,
        },
        "volumes": [{"host_path": SPEC.models_dir, "container_path": "/models", "mode": "RO"}],
    }
    assert result["health_check"]["http"] == {"scheme": "http", "port": 8080, "path": "/health"}


def test_an_agent_without_it_gets_a_command_task_that_does_the_same() -> None:
    result = info(by_command=True)
    assert "container" not in result
    assert result["command"] == {
        "shell": False,
        "value": "/usr/libexec/mesos/mesos-docker-task",
        "arguments": [
            "mesos-docker-task",
            "--cpus=0.5",
            "--memory=256m",
            "--publish=31005:8080",
            "--volume=/var/lib/pmml-worker/models:/models:ro",
            SPEC.image,
        ],
    }
    assert result["health_check"]["http"] == {"scheme": "http", "port": 31005, "path": "/health"}


def test_a_command_task_finds_the_credentials_of_the_registry() -> None:
    result = info(True, dataclasses.replace(SPEC, docker_config_file="/etc/pmml-worker/docker/config.json"))
    variables = result["command"]["environment"]["variables"]
    assert variables == [{"name": "DOCKER_CONFIG", "type": "VALUE", "value": "/etc/pmml-worker/docker"}]
