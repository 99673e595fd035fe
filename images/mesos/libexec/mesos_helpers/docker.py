"""mesos-docker-executor: the executor of Docker tasks in the Docker containerizer (src/docker/executor.cpp)."""

import base64
import json
import logging
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from mesos_helpers import Message, checks, flags, libprocess
from mesos_helpers.executor import DEFAULT_SHUTDOWN_GRACE, Connection, Executor

LOG = logging.getLogger("executor")
FLAGS = (
    "cgroups_enable_cfs", "container", "docker", "docker_socket", "launcher_dir", "mapped_directory",
    "sandbox_directory", "stop_timeout", "task_environment",
)  # fmt: skip
INSPECT_DELAY = 0.5
INSPECT_TIMEOUT = 5.0
KILL_RETRY_DELAY = 1.0

# src/slave/containerizer/mesos/isolators/cgroups/constants.hpp
CPU_SHARES_PER_CPU = 1024
MIN_CPU_SHARES = 2
CFS_PERIOD_US = 100_000
MIN_CFS_QUOTA_US = 1_000
MIN_MEMORY_MIB = 32


class Docker:
    """The docker command and the engine it talks to."""

    def __init__(self, path: str = "docker", socket: str | None = None) -> None:
        self.argv = [path] if socket is None else [path, "-H", socket if "://" in socket else f"unix://{socket}"]

    def inspect(self, container: str) -> Message | None:
        """What `docker inspect` says of a container; None if there is none, or no answer in time."""
        try:
            result = subprocess.run(
                [*self.argv, "container", "inspect", container],
                capture_output=True, check=False, timeout=INSPECT_TIMEOUT,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            LOG.warning("docker inspect timed out for container %s", container)
            return None
        if result.returncode != 0:
            return None
        inspected: Message = json.loads(result.stdout)[0]
        return inspected


def out_of_memory(inspected: Message) -> str | None:
    """Says which memory limit an ended container went over, if it did."""
    limit = inspected["HostConfig"]["Memory"]
    if not limit or not (inspected["State"]["OOMKilled"] or _killed_by_kernel(inspected["Id"])):
        return None
    return f"memory limit of {limit / 2**20:g} MiB exceeded, so the kernel killed the task"


def _killed_by_kernel(container_id: str) -> bool:
    """Whether the kernel's log tells of a process killed for the memory limit of a container's cgroup.

    Docker Engine misses that on hosts whose cgroup mounts containerd does not recognise.
    """
    log = subprocess.run(["dmesg"], check=False, capture_output=True, text=True, errors="replace").stdout
    return re.search(rf"oom-kill:constraint=CONSTRAINT_MEMCG,.*\boom_memcg=[^,]*{container_id}", log) is not None


def resource_options(task: Message, cfs_quota: bool) -> list[str]:
    """The options of `docker run` for a task's resources (with its executor's, as upstream) and limits.

    Without a limit the request is the limit; with one the memory requested is reserved. `cfs_quota` also makes CPU
    requests limits, and CPU limits need it.
    """
    requests: dict[str, float] = {}
    for resource in task.get("resources", []) + task.get("executor", {}).get("resources", []):
        if resource["type"] == "SCALAR":
            requests[resource["name"]] = requests.get(resource["name"], 0.0) + resource["scalar"]["value"]
    limits = {**requests, **{limit["key"]: limit["value"]["value"] for limit in task.get("limits", [])}}

    options: list[str] = []
    if requests.get("cpus"):
        options += ["--cpu-shares", str(max(MIN_CPU_SHARES, int(CPU_SHARES_PER_CPU * requests["cpus"])))]
        if cfs_quota and math.isfinite(limits["cpus"]):
            options += ["--cpu-quota", str(max(MIN_CFS_QUOTA_US, int(CFS_PERIOD_US * limits["cpus"])))]
    if requests.get("mem"):
        if math.isfinite(limits["mem"]):
            options += ["--memory", f"{max(MIN_MEMORY_MIB, int(limits['mem']))}m"]
        if limits["mem"] != requests["mem"]:
            options += ["--memory-reservation", f"{max(MIN_MEMORY_MIB, int(requests['mem']))}m"]
    return options


def environment_file(variables: dict[str, str]) -> tuple[int, dict[str, str]]:
    """A file descriptor of a nameless file for `docker run --env-file`, and the variables that have no place in it.

    Arguments can be read by every user of the machine; this file cannot. Its format knows no line breaks.
    """
    lines = {name: value for name, value in variables.items() if "\n" not in value}
    descriptor = os.memfd_create("environment")
    os.write(descriptor, "".join(f"{name}={value}\n" for name, value in lines.items()).encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor, {name: value for name, value in variables.items() if name not in lines}


class DockerExecutor(Executor):
    """Runs a container through the docker command."""

    noun = "Container"

    def __init__(self, agent: Connection, flags: dict[str, str]) -> None:
        super().__init__(agent, kill_grace(flags, os.environ))
        self._flags = flags
        self._docker = Docker(flags["docker"], flags.get("docker_socket", "/var/run/docker.sock"))
        self._name = flags["container"]
        self._inspected: Message = {}

    def start(self, task: Message) -> subprocess.Popen[bytes]:
        """Starts `docker run`; the containerizer pulled the image before."""
        descriptor, others = environment_file(self.environment(task))
        try:
            options = ["--env-file", f"/proc/self/fd/{descriptor}"]
            options += [option for name in others for option in ("--env", name)]
            return subprocess.Popen(
                [*self._docker.argv, *self.arguments(task, options)],
                env={**os.environ, **others},
                pass_fds=[descriptor],
            )
        finally:
            os.close(descriptor)

    def environment(self, task: Message) -> dict[str, str]:
        """The variables of the container, by name."""
        return {
            **json.loads(self._flags.get("task_environment", "{}")),
            **checks.environment_of(task["command"]),
            "MESOS_SANDBOX": self._flags["mapped_directory"],
            "MESOS_CONTAINER_NAME": self._name,
            "MESOS_TASK_ID": task["task_id"]["value"],
        }

    def arguments(self, task: Message, options: Sequence[str] = ()) -> list[str]:
        """The arguments of docker that run a task's container, with more `options` of `docker run`.

        Raises ValueError or KeyError for a task that cannot be run.
        """
        container, command = task["container"], task["command"]
        docker = container["docker"]
        run = ["run", "--name", self._name, *options]
        if docker.get("privileged"):
            run.append("--privileged")
        run += resource_options(task, self._flags.get("cgroups_enable_cfs") == "true")

        sandbox = {"host_path": self._flags["sandbox_directory"], "container_path": self._flags["mapped_directory"]}
        for volume in [*container.get("volumes", []), sandbox]:
            if "host_path" not in volume:
                raise ValueError(f"volume {volume['container_path']} has no host_path; other sources are not supported")
            source = os.path.join(self._flags["sandbox_directory"], volume["host_path"])
            run += ["-v", f"{source}:{volume['container_path']}:{volume.get('mode', 'RW').lower()}"]

        network = docker.get("network", "HOST")
        run += ["--net", container["network_infos"][0]["name"] if network == "USER" else network.lower()]
        for port in docker.get("port_mappings", []):
            run += ["-p", f"{port['host_port']}:{port['container_port']}/{port.get('protocol', 'tcp')}"]
        if "hostname" in container:
            run += ["--hostname", container["hostname"]]
        run += [f"--{parameter['key']}={parameter['value']}" for parameter in docker.get("parameters", [])]

        if command.get("shell", True):
            return [*run, "--entrypoint", "/bin/sh", docker["image"], "-c", command["value"]]
        value = [command["value"]] if "value" in command else []
        return [*run, docker["image"], *value, *command.get("arguments", [])]

    def started(self) -> Message:
        """Waits until the container runs; the status holds what docker says of it, and its address."""
        while self._process is not None and self._process.poll() is None:
            inspected = self._docker.inspect(self._name)
            if inspected and inspected["State"]["Pid"]:
                self._inspected = inspected
                fields: Message = {"data": base64.b64encode(json.dumps([inspected]).encode()).decode()}
                networks = inspected["NetworkSettings"]
                addresses = [networks.get("IPAddress"), *(n["IPAddress"] for n in networks["Networks"].values())]
                if address := next(filter(None, addresses), None):
                    network_info = {"ip_addresses": [{"protocol": "IPv4", "ip_address": address}]}
                    fields["container_status"] = {"network_infos": [network_info]}
                return fields
            time.sleep(INSPECT_DELAY)
        return {}

    def runtime(self) -> checks.Runtime:
        """Commands run by `docker exec`; the network namespace is entered, unless it is the host's."""
        return checks.Runtime(self._exec, network_prefix(self._inspected))

    def _exec(self, command: Message) -> list[str]:
        """The command of a COMMAND check; docker takes its variables from its own environment."""
        run = [*self._docker.argv, "exec"]
        for name in checks.environment_of(command):
            run += ["--env", name]
        if command.get("shell", True):
            return [*run, self._name, "/bin/sh", "-c", command["value"]]
        value = [command["value"]] if "value" in command else []
        return [*run, self._name, *value, *command.get("arguments", [])]

    def stop(self, grace: float) -> None:
        """Stops the container, again and again until `docker run` ends: it may not have been created yet."""
        argv = [*self._docker.argv, "stop", "-t", str(math.ceil(grace)), self._name]
        while self._process is not None and self._process.poll() is None:
            subprocess.run(argv, check=False, stdout=subprocess.DEVNULL)
            time.sleep(KILL_RETRY_DELAY)

    def cause(self, status: int) -> Message:
        """Tells of a memory limit that was exceeded."""
        inspected = self._docker.inspect(self._name)
        memory = out_of_memory(inspected) if inspected else None
        if memory is None:
            return {}
        return {
            "reason": "REASON_CONTAINER_LIMITATION_MEMORY",
            "message": f"Container exited with status {status}: {memory}",
        }


def network_prefix(inspected: Message) -> list[str]:
    """What a command must follow to run in the network namespace of a running container."""
    if not inspected or inspected["HostConfig"]["NetworkMode"] == "host":
        return []
    return ["nsenter", f"--net=/proc/{inspected['State']['Pid']}/ns/net", "--"]


def kill_grace(parsed: Mapping[str, str], environment: Mapping[str, str]) -> float:
    """The seconds of grace of a kill without a kill policy.

    They are what the agent allows for a shutdown, or --stop_timeout (agents always give it, 0 by default) if longer.
    """
    shutdown = environment.get("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", DEFAULT_SHUTDOWN_GRACE)
    return max(flags.seconds(shutdown), flags.seconds(parsed.get("stop_timeout", "0secs")))


def main(arguments: Sequence[str] = sys.argv[1:]) -> None:
    """The program mesos-docker-executor."""
    parsed = flags.parse("mesos-docker-executor", arguments, FLAGS)
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.INFO)
    DockerExecutor(libprocess.Agent(), parsed).run()
