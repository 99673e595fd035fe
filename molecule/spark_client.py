"""Spark as its users see it: programs on the gateway, frameworks on Mesos, drivers, and finished applications.

The dispatcher's interface is that of spark-submit: org.apache.spark.deploy.rest.RestSubmissionClient.
History server: https://spark.apache.org/docs/3.5.9/monitoring.html#rest-api
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, Self

import hdfs_client
import requests
import yaml
import yard

AGENTS = yard.hosts("mesos_agents")
(GATEWAY,), (DISPATCHER,), (HISTORY,) = (
    yard.hosts(group) for group in ("gateways", "spark_dispatchers", "spark_history_servers")
)
DISPATCHER_PORT, HISTORY_PORT = 7077, 18080
# The queues by name, as the inventory has them, their templates unresolved.
QUEUES: dict[str, dict[str, Any]] = {
    queue["name"]: queue
    for queue in yaml.safe_load((yard.ROOT / "inventories" / "datacenter.yml").read_text())["spark_queues"]
}
USER = "analyst"
PYTHON = "/opt/pmml-worker/bin/python"
# Without a terminal, Python reads commands from its standard input only when it is told to.
PYSPARK = "PYSPARK_DRIVER_PYTHON_OPTS=-i pyspark"
# What an application of spark-submit begins with.
CONTEXT = "from pyspark import SparkContext\n\nsc = SparkContext.getOrCreate()\n"
# Seconds after which a program of a test is ended.
LIMIT = 600

FINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR"}


@dataclass(frozen=True)
class Result:
    """How a program ended."""

    status: int
    output: str
    errors: str


class Program:
    """A command of a user on the gateway, which runs beside the test and reads what the test sends it."""

    def __init__(self, command: str, text: str = "") -> None:
        self._begin = time.monotonic()
        limited = f"exec timeout --kill-after=5 {LIMIT} bash -c {shlex.quote(command)}"
        self._process = subprocess.Popen(
            [
                "docker",
                "exec",
                "--interactive",
                yard.container(GATEWAY),
                "runuser",
                "--login",
                USER,
                "--command",
                limited,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._output: list[tuple[float, str]] = []
        self._errors: list[tuple[float, str]] = []
        self._threads = [
            threading.Thread(target=self._read, args=(self._process.stdout, self._output), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, self._errors), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self.send(text)

    def _read(self, stream: IO[str], lines: list[tuple[float, str]]) -> None:
        for line in stream:
            lines.append((time.monotonic(), line))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def send(self, text: str) -> None:
        """Give the program text on its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def seconds_to(self, pattern: str, since: float | None = None) -> float | None:
        """Seconds from a time, or from the program's start, to its line of output with a pattern; None without one."""
        for moment, line in list(self._output):
            if re.search(pattern, line):
                return moment - (since or self._begin)
        return None

    def wait_for_line(self, pattern: str, seconds: float = LIMIT, since: float | None = None) -> float:
        """The same, waited for.

        Raises:
            AssertionError: it did not come, or the program ended without it.
        """

        def seen() -> float | None:
            ended = self._process.poll() is not None
            if ended:
                self.finish()
            found = self.seconds_to(pattern, since)
            assert found is not None or not ended, self.finish()
            return found

        return yard.wait_for(f'"{pattern}" in the output', seen, seconds)

    def finish(self) -> Result:
        """End the program's input, and wait until it ends."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        status = self._process.wait(LIMIT + 10)
        for thread in self._threads:
            thread.join()
        return Result(status, "".join(line for _, line in self._output), "".join(line for _, line in self._errors))


def run(command: str, text: str = "") -> Result:
    """How a command of the user on the gateway ended."""
    return Program(command, text).finish()


def write(path: str, text: str) -> None:
    """Write a file on the gateway that all its users can read."""
    subprocess.run(
        ["docker", "exec", "--interactive", yard.container(GATEWAY), "sh", "-c", f"cat >{shlex.quote(path)}"],
        input=text,
        text=True,
        check=True,
    )


def frameworks(name: str) -> list[dict[str, Any]]:
    """What the leading master knows of the frameworks with a name, ended ones too."""
    state = yard.mesos("/state") or {}
    known = [*state.get("frameworks", []), *state.get("completed_frameworks", [])]
    return [framework for framework in known if framework["name"] == name]


def framework(name: str, condition: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
    """The one framework with a name, waited for until it is as wanted."""
    return yard.wait_for(
        f"the framework {name} is on Mesos as it should be",
        lambda: found[0] if len(found := frameworks(name)) == 1 and condition(found[0]) else None,
    )


def ended(framework: dict[str, Any]) -> bool:
    """Whether a framework has left Mesos."""
    return not framework["active"] and not framework["tasks"]


def tasks(framework: dict[str, Any]) -> list[dict[str, Any]]:
    """All tasks of a framework, which are executors of a Spark application."""
    return [*framework["tasks"], *framework["completed_tasks"]]


def hosts(framework: dict[str, Any]) -> set[str]:
    """The agents' hosts on which a framework had tasks."""
    names = {agent_id: host for host, agent_id in yard.agents().items()}
    return {names[task["slave_id"]] for task in tasks(framework)}


def cores(role: str) -> float:
    """CPUs of all tasks that run in a Mesos role."""
    state = yard.mesos("/state") or {}
    running = [task for known in state.get("frameworks", []) for task in known["tasks"] if task["role"] == role]
    return sum(float(task["resources"]["cpus"]) for task in running if task["state"] not in FINAL)


def sandboxes(host: str, framework_id: str) -> dict[str, str]:
    """Folders of a framework's tasks on an agent, by task."""
    state = yard.get(f"http://{yard.address(host)}:{yard.AGENT_PORT}/state", auth=yard.admin()) or {}
    known = [*state.get("frameworks", []), *state.get("completed_frameworks", [])]
    return {
        executor["id"]: executor["directory"]
        for framework in known
        if framework["id"] == framework_id
        for executor in [*framework["executors"], *framework["completed_executors"]]
    }


def dispatcher(method: str, path: str, body: object = None) -> dict[str, Any]:
    """The dispatcher's answer to a request; empty where it gives none."""
    try:
        url = f"http://{yard.address(DISPATCHER)}:{DISPATCHER_PORT}/v1/submissions/{path}"
        answer: dict[str, Any] = requests.request(method, url, json=body, timeout=5).json()
        return answer
    except (OSError, ValueError):
        return {}


def driver_state(driver: str) -> str:
    """A driver's state with the dispatcher, such as RUNNING; empty while the dispatcher does not answer."""
    return str(dispatcher("GET", f"status/{driver}").get("driverState", ""))


def driver_output(driver: str) -> str:
    """What an ended driver wrote to its standard output, wherever it ran."""
    dispatching = framework("Spark Cluster")
    (task,) = (task for task in tasks(dispatching) if task["id"] == driver)
    (host,) = (host for host, agent_id in yard.agents().items() if agent_id == task["slave_id"])
    folder = sandboxes(host, dispatching["id"])[driver]
    return str(yard.node(host).check_output("cat %s/stdout", folder))


def history(path: str) -> Any:
    """The history server's answer; None where it gives none."""
    return yard.get(f"http://{yard.address(HISTORY)}:{HISTORY_PORT}/api/v1/{path}")


def application(name: str) -> str:
    """The id of a finished application, waited for until the history server lists it."""

    def listed() -> str | None:
        known = history("applications?status=completed") or []
        return next((str(found["id"]) for found in known if found["name"] == name), None)

    return yard.wait_for(f"the history server lists {name}", listed, 120)


def settle() -> None:
    """Wait until all that jobs stand on serves.

    Blocks that were written while a DataNode was away may lack a replica for some minutes, which no job notices.
    """
    yard.leading_master()
    yard.wait_for("all agents are registered", lambda: sorted(yard.agents()) == sorted(AGENTS))
    yard.wait_for(
        "HDFS has its NameNodes", lambda: sorted(map(hdfs_client.state, hdfs_client.NAMENODES)) == ["active", "standby"]
    )
    datanodes = len(hdfs_client.DATANODES)
    yard.wait_for(
        "HDFS has its DataNodes",
        lambda: hdfs_client.namesystem(hdfs_client.active()).get("NumLiveDataNodes") == datanodes,
    )


def executor_image() -> str:
    """The name, with the registry's, of the image for executors in Docker containers."""
    record = json.loads((yard.ROOT / ".cache" / "artifacts" / "spark-executor-image.tar.json").read_text())
    return f"{yard.hosts('registry')[0]}:5000/{record['image'].rpartition('/')[2]}"


def started(units: dict[str, list[str]]) -> dict[tuple[str, str], int]:
    """When services were started, by unit and host: microseconds of the clock that all nodes share."""
    show = "systemctl show %s --property=ExecMainStartTimestampMonotonic --value"
    return {(unit, host): int(yard.node(host).check_output(show, unit)) for unit in units for host in units[unit]}
