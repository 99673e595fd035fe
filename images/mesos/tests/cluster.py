"""A Mesos master and an agent on this machine's loopback, and a small scheduler for them."""

import base64
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

Message = dict[str, Any]
T = TypeVar("T")
# The seconds in which anything that a test waits for must happen.
PATIENCE = 60.0


def wait_for(what: str, condition: Callable[[], T | None], timeout: float = PATIENCE) -> T:
    """Polls until the condition gives something true, and returns it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {timeout:g} seconds")


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def get(address: str, path: str) -> Message | None:
    """The JSON document at a path, or None if it cannot be had."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as response:
            document: Message = json.load(response)
            return document
    except OSError:
        return None


class Daemon:
    """A program of the package that runs in the background, with its output in a file."""

    def __init__(self, program: Path, flags: Message, log: Path) -> None:
        self._command = [str(program), *(f"--{name}={value}" for name, value in flags.items())]
        self._log = log
        self.start()

    def start(self) -> None:
        """Starts the program, or starts it again."""
        environment = {**os.environ, "MESOS_SYSTEMD_ENABLE_SUPPORT": "false"}
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Ends the program, and only it."""
        self.process.send_signal(number)
        self.process.wait()

    @property
    def log(self) -> str:
        """What the program wrote."""
        return self._log.read_text(errors="replace")


class Cluster:
    """A master and an agent; `root` is where the package was extracted."""

    def __init__(self, root: Path, directory: Path, agent_flags: Message) -> None:
        self.root = root
        self.directory = directory
        self.address = f"127.0.0.1:{free_port()}"
        self.agent_address = f"127.0.0.1:{free_port()}"
        for name in ("master", "agent", "run"):
            (directory / name).mkdir()
        self.master = Daemon(
            root / "usr/sbin/mesos-master",
            {
                "ip": "127.0.0.1",
                "port": self.address.partition(":")[2],
                "work_dir": directory / "master",
                "allocation_interval": "200ms",
            },
            directory / "master.log",
        )
        self.agent = Daemon(
            root / "usr/sbin/mesos-agent",
            {
                "ip": "127.0.0.1",
                "port": self.agent_address.partition(":")[2],
                "master": self.address,
                "work_dir": directory / "agent",
                "runtime_dir": directory / "run",
                "launcher_dir": root / "usr/libexec/mesos",
                "resources": "cpus:8;mem:4096;disk:1024;ports:[31000-32000]",
                "launcher": "posix",
                "isolation": "posix/cpu,posix/mem",
                "cgroups_root": f"mesos-test-{uuid.uuid4().hex[:8]}",
                "docker_kill_orphans": "false",
                "registration_backoff_factor": "100ms",
                **agent_flags,
            },
            directory / "agent.log",
        )
        self.agent_id = self.wait_for_agent()

    def wait_for_agent(self) -> str:
        """Waits until the agent is registered, and returns its ID."""

        def registered() -> str | None:
            assert self.agent.process.poll() is None, self.agent.log[-4000:]
            state = get(self.address, "/slaves")
            active = [s["id"] for s in (state or {}).get("slaves", []) if s["active"]]
            return str(active[0]) if active else None

        return wait_for("the agent registers", registered)

    def restart_agent(self) -> None:
        """Ends the agent without any notice, and starts it again."""
        self.agent.kill()
        self.agent.start()

        def recovered() -> Message | None:
            assert self.agent.process.poll() is None, self.agent.log[-4000:]
            return get(self.agent_address, "/state")

        wait_for("the agent recovers", recovered)

    def close(self) -> None:
        """Ends both."""
        self.agent.kill(signal.SIGUSR1)  # Ends the executors and their tasks, too.
        self.master.kill()


class Scheduler:
    """A framework that launches a task in the next offer that comes, and collects status updates."""

    def __init__(self, cluster: Cluster) -> None:
        self._address = cluster.address
        self._condition = threading.Condition()
        self._pending: list[Message] = []
        self._updates: dict[str, list[Message]] = {}
        self._agents: dict[str, Message] = {}
        self._error: Exception | None = None
        capabilities = [{"type": "TASK_KILLING_STATE"}, {"type": "MULTI_ROLE"}]
        info = {"user": "root", "name": "test", "roles": ["*"], "checkpoint": True, "capabilities": capabilities}
        connection = http.client.HTTPConnection(self._address)
        connection.request(
            "POST",
            "/api/v1/scheduler",
            json.dumps({"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}),
            {"Content-Type": "application/json"},
        )
        self._stream = connection.getresponse()
        assert self._stream.status == 200, self._stream.read()
        self._stream_id = self._stream.headers["Mesos-Stream-Id"]
        self.framework_id: Message = self._event()["subscribed"]["framework_id"]
        threading.Thread(target=self._run, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._call({"type": "TEARDOWN"})

    def _event(self) -> Message:
        event: Message = json.loads(self._stream.read(int(self._stream.readline())))
        return event

    def _run(self) -> None:
        try:
            while True:
                event = self._event()
                if event["type"] == "OFFERS":
                    for offer in event["offers"]["offers"]:
                        self._offered(offer)
                elif event["type"] == "UPDATE":
                    self._updated(event["update"]["status"])
        except (AssertionError, OSError, ValueError, http.client.HTTPException) as error:
            with self._condition:
                self._error = error
                self._condition.notify_all()

    def _call(self, call: Message) -> None:
        connection = http.client.HTTPConnection(self._address)
        body = json.dumps({"framework_id": self.framework_id, **call})
        headers = {"Content-Type": "application/json", "Mesos-Stream-Id": self._stream_id}
        connection.request("POST", "/api/v1/scheduler", body, headers)
        response = connection.getresponse()
        assert response.status == 202, response.read()

    def _offered(self, offer: Message) -> None:
        with self._condition:
            tasks = [{**task, "agent_id": offer["agent_id"]} for task in self._pending]
            self._pending.clear()
        operations = [{"type": "LAUNCH", "launch": {"task_infos": tasks}}] if tasks else []
        accept = {"offer_ids": [offer["id"]], "operations": operations, "filters": {"refuse_seconds": 0.2}}
        for task in tasks:
            self._agents[task["task_id"]["value"]] = offer["agent_id"]
        self._call({"type": "ACCEPT", "accept": accept})

    def _updated(self, status: Message) -> None:
        if "uuid" in status:
            acknowledge = {key: status[key] for key in ("agent_id", "task_id", "uuid")}
            self._call({"type": "ACKNOWLEDGE", "acknowledge": acknowledge})
        with self._condition:
            self._updates.setdefault(status["task_id"]["value"], []).append(status)
            self._condition.notify_all()

    def launch(self, task: Message, cpus: float = 0.1, mem: float = 64) -> str:
        """Launches a task with these resources (in CPUs and MiB) and returns its ID."""
        task_id = f"test-{uuid.uuid4()}"
        amounts = (("cpus", cpus), ("mem", mem))
        resources = [
            {"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": {"role": "*"}}
            for name, value in amounts
        ]
        with self._condition:
            self._pending.append({"name": "test", "task_id": {"value": task_id}, "resources": resources, **task})
        return task_id

    def kill(self, task_id: str, grace: float | None = None) -> None:
        """Asks for the end of a task, with `grace` seconds before it is forced."""
        kill: Message = {"task_id": {"value": task_id}, "agent_id": self._agents[task_id]}
        if grace is not None:
            kill["kill_policy"] = {"grace_period": {"nanoseconds": int(grace * 1e9)}}
        self._call({"type": "KILL", "kill": kill})

    def updates(self, task_id: str) -> list[Message]:
        """All status updates of a task until now."""
        with self._condition:
            return list(self._updates.get(task_id, []))

    def wait(self, task_id: str, state: str, timeout: float = PATIENCE, **fields: object) -> Message:
        """Waits for an update with this state and these fields, and returns it.

        Fails at once when the task ends in another state.
        """

        def matching() -> Message | None:
            for status in self._updates.get(task_id, []):
                if status["state"] == state and all(status.get(key) == value for key, value in fields.items()):
                    return status
            return None

        final = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_GONE")
        deadline = time.monotonic() + timeout
        with self._condition:
            while True:
                status = matching()
                if status:
                    return status
                updates = self._updates.get(task_id, [])
                assert self._error is None, f"the scheduler failed: {self._error}"
                seen = [(u["state"], u.get("reason"), u.get("healthy"), u.get("message")) for u in updates]
                assert not updates or updates[-1]["state"] not in final, f"waited for {state} {fields}, saw {seen}"
                assert self._condition.wait(deadline - time.monotonic()), f"waited for {state} {fields}, saw {seen}"


def inspected(status: Message) -> Message:
    """What docker said of the container of a Docker task, from its first TASK_RUNNING status."""
    container: Message = json.loads(base64.b64decode(status["data"]))[0]
    return container
