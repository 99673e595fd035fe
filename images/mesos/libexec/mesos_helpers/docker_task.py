"""mesos-docker-task: runs a Docker container as a command task of the Mesos containerizer.

Mesos' own Docker containerizer needs cgroup v1. A command task that runs this program works on any host: Docker
Engine enforces the limits that the caller gives as options of `docker run`, and an agent that restarts recovers the
task like every checkpointed command task.

The container must not outlive the task, even if this program and all of its process group are killed by SIGKILL.
So a guard in a session of its own holds the reading end of a pipe whose writing end only this program, and `docker
create` while it runs, hold: however they end, the guard reads the end of the file and removes the container.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from mesos_helpers import MESOS_VERSION
from mesos_helpers.docker import Docker, out_of_memory

MAPPED_DIRECTORY = "/mnt/mesos/sandbox"
# The status of `docker run` for failures of Docker's own, as opposed to the container's.
DOCKER_FAILURE = 125
# An engine finishes creating a container whose client was killed: for so many seconds the guard looks again.
GUARD_SECONDS = 5
LABEL = "org.apache.mesos."
USAGE = """\
Usage: mesos-docker-task [--config=DIR] [--docker=PATH] [OPTION of docker run]... IMAGE [ARG]...

Runs a container as the command of a Mesos task, removes it at the end and exits with its status. SIGTERM stops the
container, which is killed after docker's --stop-timeout (10 seconds). The container is named after the task, sees
the sandbox in /mnt/mesos/sandbox, and ends with the task even if this program is killed.

  --config=DIR   directory of docker's config.json, which holds the credentials of registries; by default that of
                 $DOCKER_CONFIG, then .docker in the sandbox, then docker's own
  --docker=PATH  the docker command
"""


class Terminated(Exception):
    """SIGTERM was received."""


def container_name(environment: dict[str, str]) -> str:
    """The name of the task's container, unique like the Mesos container around it.

    Raises KeyError outside of a Mesos task.
    """
    return "mesos-" + os.path.basename(os.path.realpath(environment["MESOS_SANDBOX"]))


def create_options(environment: dict[str, str]) -> list[str]:
    """The options of `docker create` that each task's container gets, before the caller's own."""
    options = ["--name", container_name(environment)]
    for variable in ("MESOS_FRAMEWORK_ID", "MESOS_EXECUTOR_ID", "MESOS_SLAVE_ID"):
        if variable in environment:
            options += ["--label", f"{LABEL}{variable.removeprefix('MESOS_').lower()}={environment[variable]}"]
    options += ["--volume", f"{os.path.realpath(environment['MESOS_SANDBOX'])}:{MAPPED_DIRECTORY}"]
    return [*options, "--env", f"MESOS_SANDBOX={MAPPED_DIRECTORY}"]


def own_options(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Splits the leading options of this program, by name, from those of docker and the rest."""
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith(("--config=", "--docker=")):
        name, _, value = rest.pop(0).removeprefix("--").partition("=")
        options[name] = value
    return options, rest


def remove(docker: Docker, name: str) -> bool:
    """Removes a container, running or not; false if there is none."""
    argv = [*docker.argv, "container", "rm", "--force", "--volumes", name]
    result = subprocess.run(argv, check=False, capture_output=True, text=True)
    return result.stdout.strip() == name


def start_guard(docker: Docker, name: str) -> int:
    """Starts the guard; returns the file descriptor that must stay open for as long as the container may live."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # A grandchild in a session of its own belongs to nobody's process tree, so nobody kills it with the task.
            os.setsid()
            if os.fork() == 0:
                os.close(writing)
                nowhere = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):  # Whoever reads the task's output must see its end.
                    os.dup2(nowhere, stream)
                guard(docker, name, reading)
        finally:
            os._exit(0)
    os.close(reading)
    os.waitpid(child, 0)
    return writing


def guard(docker: Docker, name: str, reading: int) -> None:
    """Removes the container when the other end of the pipe is closed."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    while os.read(reading, 1):
        pass
    deadline = time.monotonic() + GUARD_SECONDS
    while not remove(docker, name) and time.monotonic() < deadline:
        time.sleep(0.5)


def run(docker: Docker, name: str, arguments: Sequence[str], guarded: int) -> int:
    """Creates and starts the container and returns its exit status. Raises Terminated for SIGTERM."""
    # In process groups of their own the clients do not get the signals that are meant for this program.
    create = subprocess.Popen(
        [*docker.argv, "create", *arguments], stdout=subprocess.DEVNULL, process_group=0, pass_fds=[guarded]
    )
    try:
        if create.wait() != 0:
            return DOCKER_FAILURE
    except Terminated:
        create.kill()
        create.wait()
        raise
    attached = subprocess.Popen([*docker.argv, "start", "--attach", name], process_group=0)
    try:
        status = attached.wait()
    except Terminated:
        subprocess.run([*docker.argv, "stop", name], check=False, stdout=subprocess.DEVNULL)
        return attached.wait()
    inspected = docker.inspect(name)
    if status != 0 and inspected and (memory := out_of_memory(inspected)):
        print(f"mesos-docker-task: {memory}", file=sys.stderr)
    return status


def terminate(number: int, frame: FrameType | None) -> NoReturn:
    """The handler of SIGTERM, which Mesos sends to end a task; a second one changes nothing."""
    signal.signal(number, signal.SIG_IGN)
    raise Terminated


def main(arguments: Sequence[str] = sys.argv[1:]) -> NoReturn:
    """The program mesos-docker-task."""
    if arguments in (["--help"], ["--version"]):
        print(USAGE if arguments == ["--help"] else f"mesos-docker-task (Mesos {MESOS_VERSION})")
        raise SystemExit(0)
    environment = dict(os.environ)
    options, rest = own_options(arguments)
    if not rest:
        print(USAGE, file=sys.stderr)
        raise SystemExit(DOCKER_FAILURE)
    if "MESOS_SANDBOX" not in environment:
        print("mesos-docker-task: MESOS_SANDBOX is not set: it runs as the command of a Mesos task", file=sys.stderr)
        raise SystemExit(DOCKER_FAILURE)
    in_sandbox = os.path.join(environment["MESOS_SANDBOX"], ".docker")
    if "config" in options:
        os.environ["DOCKER_CONFIG"] = options["config"]
    elif "DOCKER_CONFIG" not in environment and os.path.exists(os.path.join(in_sandbox, "config.json")):
        os.environ["DOCKER_CONFIG"] = in_sandbox

    docker, name = Docker(options.get("docker", "docker")), container_name(environment)
    remove(docker, name)
    guarded = start_guard(docker, name)
    signal.signal(signal.SIGTERM, terminate)
    try:
        status = run(docker, name, [*create_options(environment), *rest], guarded)
    except Terminated:
        status = 128 + signal.SIGTERM
    remove(docker, name)
    raise SystemExit(status)
