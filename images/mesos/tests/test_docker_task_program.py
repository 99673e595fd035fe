"""mesos-docker-task: Docker containers as command tasks, on a real master and agent without cgroups."""

import json
import os
import signal
import subprocess
import uuid
from pathlib import Path

import pytest
from cluster import Cluster, Message, Scheduler, wait_for


def containers(image: str) -> list[str]:
    """The containers that the test's own image name started, running or not."""
    command = ["docker", "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Image}}"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split()[0] for line in lines if line.split()[1] == image]


def inspect(container: str) -> Message:
    """What docker says of a container; nothing if there is none."""
    result = subprocess.run(["docker", "inspect", container], check=False, capture_output=True)
    found: Message = (json.loads(result.stdout) or [{}])[0]
    return found


def running(image: str) -> str:
    """Waits for the test's container to run and returns its ID."""

    return wait_for(
        "the container runs", lambda: [c for c in containers(image) if inspect(c).get("State", {}).get("Running")]
    )[0]


def gone(image: str) -> bool:
    return not containers(image)


@pytest.fixture
def program(root: Path) -> str:
    return str(root / "usr/libexec/mesos/mesos-docker-task")


def task(program: str, *arguments: str, grace: float = 15) -> Message:
    return {
        "command": {"shell": False, "value": program, "arguments": ["mesos-docker-task", *arguments]},
        "kill_policy": {"grace_period": {"nanoseconds": int(grace * 1e9)}},
    }


def test_the_task_has_the_status_of_its_container(
    command_scheduler: Scheduler, container_image: str, program: str
) -> None:
    launched = command_scheduler.launch(task(program, container_image, "sh", "-c", "exit 7"))
    assert command_scheduler.wait(launched, "TASK_FAILED")["message"] == "Command exited with status 7"
    assert gone(container_image)


def test_the_container_has_the_options_the_sandbox_and_labels(
    command_scheduler: Scheduler, command_cluster: Cluster, container_image: str, program: str
) -> None:
    options = ["--cpus=0.5", "--memory=64m"]
    command = 'echo "$MESOS_SANDBOX" > /mnt/mesos/sandbox/out; exec sleep 600'
    launched = command_scheduler.launch(task(program, *options, container_image, "sh", "-c", command))
    found = inspect(running(container_image))
    assert found["HostConfig"]["NanoCpus"] == 500_000_000
    assert found["HostConfig"]["Memory"] == 64 * 2**20
    assert found["Config"]["Labels"]["org.apache.mesos.executor_id"] == launched
    assert found["Config"]["Labels"]["org.apache.mesos.framework_id"] == command_scheduler.framework_id["value"]
    (latest,) = (command_cluster.directory / "agent").glob(f"slaves/*/frameworks/*/executors/{launched}/runs/latest")
    assert found["Name"] == f"/mesos-{latest.resolve().name}"
    out = latest / "out"
    wait_for("the container writes to the sandbox", lambda: out.exists() and out.read_text())
    assert out.read_text() == "/mnt/mesos/sandbox\n"


def test_a_killed_task_stops_its_container(command_scheduler: Scheduler, container_image: str, program: str) -> None:
    command = "trap 'exit 5' TERM; echo ready > /mnt/mesos/sandbox/ready; while true; do sleep 0.1; done"
    launched = command_scheduler.launch(task(program, container_image, "sh", "-c", command))
    container = running(container_image)
    source = next(m["Source"] for m in inspect(container)["Mounts"] if m["Destination"] == "/mnt/mesos/sandbox")
    wait_for("the container handles SIGTERM", (Path(source) / "ready").exists)
    command_scheduler.kill(launched)
    assert command_scheduler.wait(launched, "TASK_KILLED")["message"] == "Command exited with status 5"
    assert gone(container_image)


def test_a_container_that_ignores_sigterm_is_gone_after_the_grace_period(
    command_scheduler: Scheduler, container_image: str, program: str
) -> None:
    # As process 1 of the container, sleep ignores SIGTERM.
    launched = command_scheduler.launch(task(program, container_image, "sleep", "600", grace=1))
    running(container_image)
    command_scheduler.kill(launched)
    assert command_scheduler.wait(launched, "TASK_KILLED")["message"] == "Command terminated with signal 9"
    wait_for("the container is removed", lambda: gone(container_image))


@pytest.mark.parametrize("group", [False, True], ids=["the program alone", "its process group"])
def test_no_container_outlives_a_program_that_is_killed(
    command_scheduler: Scheduler, container_image: str, program: str, group: bool
) -> None:
    launched = command_scheduler.launch(task(program, container_image, "sleep", "600"))
    running(container_image)
    (pid,) = [p for p in Path("/proc").glob("[0-9]*") if is_program(p, launched, container_image)]
    kill = os.killpg if group else os.kill
    kill(os.getpgid(int(pid.name)) if group else int(pid.name), signal.SIGKILL)
    command_scheduler.wait(launched, "TASK_FAILED", message="Command terminated with signal 9")
    wait_for("the container is removed", lambda: gone(container_image))


def is_program(process: Path, task_id: str, image: str) -> bool:
    """Whether a process is the task's mesos-docker-task, not the guard, whose parent is another."""
    try:
        arguments = (process / "cmdline").read_bytes().decode().split("\0")
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        return image in arguments and "mesos-docker-task" in " ".join(arguments[:4]) and parent != "1"
    except OSError:
        return False  # It has ended.


def test_a_task_outlives_the_agent(
    command_scheduler: Scheduler, command_cluster: Cluster, container_image: str, program: str, tmp_path: Path
) -> None:
    command = "while ! test -e /shared/end; do sleep 0.1; done"
    arguments = ["--volume", f"{tmp_path}:/shared", container_image, "sh", "-c", command]
    launched = command_scheduler.launch(task(program, *arguments))
    container = running(container_image)
    command_cluster.restart_agent()
    assert command_cluster.wait_for_agent() == command_cluster.agent_id
    assert inspect(container)["State"]["Running"]
    (tmp_path / "end").touch()
    command_scheduler.wait(launched, "TASK_FINISHED")
    assert gone(container_image)


def test_a_task_over_its_memory_limit_is_killed_and_says_so(
    command_scheduler: Scheduler, command_cluster: Cluster, container_image: str, program: str
) -> None:
    grow = "push @data, chr(1) x 2**20 while @data < 4096"
    arguments = ["--memory=64m", "--memory-swap=64m", container_image, "perl", "-e", grow]
    launched = command_scheduler.launch(task(program, *arguments))
    assert command_scheduler.wait(launched, "TASK_FAILED")["message"] == "Command exited with status 137"
    (latest,) = (command_cluster.directory / "agent").glob(f"slaves/*/frameworks/*/executors/{launched}/runs/latest")
    assert "memory limit of 64 MiB exceeded" in (latest / "stderr").read_text()


class Sandbox:
    """The program outside of Mesos, with the environment that an agent gives a task."""

    def __init__(self, program: str, directory: Path) -> None:
        self.program = program
        self.path = directory / str(uuid.uuid4())
        self.path.mkdir()

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        inherited = {k: v for k, v in os.environ.items() if k not in ("DOCKER_CONFIG", "MESOS_SANDBOX")}
        variables = {**inherited, "MESOS_SANDBOX": str(self.path), **environment}
        return subprocess.run(
            [self.program, *arguments], check=False, capture_output=True, text=True, env=variables, timeout=60
        )


@pytest.fixture
def sandbox(program: str, tmp_path: Path) -> Sandbox:
    return Sandbox(program, tmp_path)


def test_a_stale_container_of_the_same_name_is_replaced(sandbox: Sandbox, container_image: str) -> None:
    name = f"mesos-{sandbox.path.name}"
    subprocess.run(["docker", "create", "--name", name, container_image, "true"], check=True, capture_output=True)
    result = sandbox.run(container_image, "echo", "fresh")
    assert (result.returncode, result.stdout) == (0, "fresh\n"), result.stderr
    assert gone(container_image)


def test_an_option_that_docker_refuses_is_an_error_of_docker(sandbox: Sandbox, container_image: str) -> None:
    result = sandbox.run("--no-such-option", container_image, "true")
    assert result.returncode == 125
    assert "no-such-option" in result.stderr


@pytest.mark.parametrize("given", ["option", "environment", "sandbox"])
def test_docker_reads_the_registry_credentials_it_is_given(sandbox: Sandbox, tmp_path: Path, given: str) -> None:
    recorder = tmp_path / "docker"
    recorder.write_text('#!/bin/sh\necho "$1 $DOCKER_CONFIG" >> "$(dirname "$0")/calls"\nexit 1\n')
    recorder.chmod(0o755)
    config = sandbox.path / ".docker" if given == "sandbox" else tmp_path / "config"
    config.mkdir()
    (config / "config.json").write_text("{}")
    options = [f"--docker={recorder}", *([f"--config={config}"] if given == "option" else [])]
    environment = {"DOCKER_CONFIG": str(config)} if given == "environment" else {}
    assert sandbox.run(*options, "image", **environment).returncode == 125
    assert f"create {config}\n" in (tmp_path / "calls").read_text()


def test_outside_of_mesos_it_says_what_is_missing(program: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "MESOS_SANDBOX"}
    result = subprocess.run([program, "image"], check=False, capture_output=True, text=True, env=environment)
    assert result.returncode == 125
    assert "MESOS_SANDBOX is not set" in result.stderr
