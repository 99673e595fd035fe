"""A launch as Mesos' v1 TaskInfo (include/mesos/v1/mesos.proto)."""

import os.path
from typing import Any

from pmml_worker.scheduler.plan import Launch, Spec

Json = dict[str, Any]

WORKER_PORT = 8080
"""Port on which a worker listens inside its container."""

DOCKER_TASK = "/usr/libexec/mesos/mesos-docker-task"
"""Runs a container in the foreground, where Mesos' Docker containerizer cannot."""

_SECOND = 1_000_000_000


def task_info(spec: Spec, launch: Launch, name: str) -> Json:
    """Return the TaskInfo of a worker.

    Where the agent has Mesos' Docker containerizer it is a Docker task, otherwise a command task that does the same by
    `docker run`. An executor checks the health of a Docker task inside the container's network, and of a command task
    on the host, hence the different ports.

    Args:
        spec: what the worker is launched with.
        launch: the task, its offer and its resources.
        name: name of the task.
    """
    task = launch.task
    info: Json = {
        "name": name,
        "task_id": {"value": task.id},
        "agent_id": {"value": task.agent_id},
        "resources": launch.resources,
        "labels": {"labels": [{"key": "pmml-worker", "value": name}, {"key": "pmml-worker.spec", "value": task.spec}]},
        "kill_policy": {"grace_period": {"nanoseconds": 10 * _SECOND}},
        "health_check": {
            "type": "HTTP",
            "http": {
                "scheme": "http",
                "port": task.port if launch.offer.by_command else WORKER_PORT,
                "path": "/health",
            },
            "delay_seconds": 1.0,
            "interval_seconds": 5.0,
            "timeout_seconds": 5.0,
            "grace_period_seconds": 60.0,
            "consecutive_failures": 3,
        },
    }
    return info | (_by_command(spec, task.port) if launch.offer.by_command else _by_containerizer(spec, task.port))


def _by_containerizer(spec: Spec, port: int) -> Json:
    return {
        "command": {"shell": False},
        "container": {
            "type": "DOCKER",
            "docker": {
                "image": spec.image,
                "network": "BRIDGE",
                "port_mappings": [{"host_port": port, "container_port": WORKER_PORT, "protocol": "tcp"}],
                "force_pull_image": False,
            },
            "volumes": [{"host_path": spec.models_dir, "container_path": "/models", "mode": "RO"}],
        },
    }


def _by_command(spec: Spec, port: int) -> Json:
    command: Json = {
        "shell": False,
        "value": DOCKER_TASK,
        "arguments": [
            os.path.basename(DOCKER_TASK),
            f"--cpus={spec.cpus}",
            f"--memory={int(spec.mem)}m",
            f"--publish={port}:{WORKER_PORT}",
            f"--volume={spec.models_dir}:/models:ro",
            spec.image,
        ],
    }
    if spec.docker_config_file:
        directory = os.path.dirname(spec.docker_config_file)
        command["environment"] = {"variables": [{"name": "DOCKER_CONFIG", "type": "VALUE", "value": directory}]}
    return {"command": command}
