"""A small framework on Mesos' v1 scheduler HTTP API, by which tests run tasks on the yard.

Source: Mesos 1.11, docs/scheduler-http-api.md, and include/mesos/v1/mesos.proto for the messages.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from typing import Any, Self

import requests
import yard
from requests.auth import HTTPBasicAuth
from urllib3.exceptions import HTTPError

Message = dict[str, Any]

# Ends a script that is process 1 of a container, which the kernel shields from SIGTERM, as soon as it is asked to.
AT_ONCE: Message = {"kill_policy": {"grace_period": {"nanoseconds": 10**9}}}
# Runs until a file `end` is in the sandbox.
UNTIL_TOLD = 'while [ ! -e "$MESOS_SANDBOX/end" ]; do sleep 0.1; done'
# How the agents run Docker tasks: the values of their attribute `docker`.
CONTAINERIZER, COMMAND = "containerizer", "command"
FINAL_STATES = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED", "TASK_GONE"}
# A master sends a heartbeat every 15 seconds: a stream that is silent for longer is dead.
SILENCE = 20.0
SANDBOX = "/mnt/mesos/sandbox"


class Refused(Exception):
    """The master does not take the framework: an HTTP status, or the message of an ERROR event."""


def docker_form(host: str) -> str:
    """How an agent runs Docker tasks, as its attribute says."""
    agents = (yard.mesos("/slaves") or {"slaves": []})["slaves"]
    return next(str(agent["attributes"]["docker"]) for agent in agents if agent["hostname"] == host)


def command_task(script: str, **fields: Any) -> Message:
    """A task that runs a shell script on the agent; more fields of TaskInfo may be given."""
    return {"command": {"value": script}, **fields}


def docker_task(
    form: str, image: str, script: str, cpus: float = 0.1, mem: float = 64, network: str = "bridge", **fields: Any
) -> Message:
    """A task that runs a shell script in a container, with limits of CPUs and MiB, as the agent's form has it."""
    resources = {"cpus": cpus, "mem": mem, **fields}
    if form == CONTAINERIZER:
        docker = {"image": image, "network": network.upper()}
        return {"command": {"value": script}, "container": {"type": "DOCKER", "docker": docker}, **resources}
    limits = [f"--cpus={cpus}", f"--memory={mem}m", f"--network={network}", "--stop-timeout=1"]
    arguments = ["mesos-docker-task", *limits, image, "/bin/sh", "-c", script]
    program = "/usr/libexec/mesos/mesos-docker-task"
    # The program and its docker commands take some memory of their own, which no limit of the agent's binds.
    return {"command": {"shell": False, "value": program, "arguments": arguments}, **resources}


class Framework:
    """A framework with checkpointing that launches tasks on hosts of the caller's choice and collects their updates.

    It subscribes again, under its id, whenever its stream of events ends, and so follows the leading master.

    Raises:
        Refused: the master does not accept the credentials, or the principal may not register in the role.
    """

    def __init__(self, login: HTTPBasicAuth | None = None, role: str = "*") -> None:
        self._session = requests.Session()
        self._session.auth = login = login or yard.admin()
        self._info: Message = {
            "user": "root",
            "name": "test",
            "principal": login.username,
            "roles": [role],
            "checkpoint": True,
            "failover_timeout": 60.0,
            "capabilities": [{"type": "MULTI_ROLE"}, {"type": "TASK_KILLING_STATE"}],
        }
        self._role = role
        self._condition = threading.Condition()
        self._pending: list[tuple[str, Message]] = []
        self._updates: dict[str, list[Message]] = {}
        self._agents: dict[str, Message] = {}
        self._failure: Exception | None = None
        self._closing = False
        self.subscriptions = 0
        self._subscribe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._call_soon({"type": "TEARDOWN"})
        self._thread.join(SILENCE)

    def _subscribe(self) -> None:
        """Subscribe with the leading master."""
        self._url = f"http://{yard.address(yard.leading_master())}:{yard.MESOS_PORT}/api/v1/scheduler"
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": self._info}}
        if "id" in self._info:
            call["framework_id"] = self._info["id"]
        response = self._session.post(self._url, json=call, stream=True, timeout=(5, SILENCE), allow_redirects=False)
        if response.status_code in (401, 403):
            raise Refused(f"{response.status_code} {response.text}")
        if response.status_code != 200:
            raise OSError(f"{self._url}: {response.status_code} {response.text}")
        self._stream = response
        event = self._event()
        if event["type"] == "ERROR":
            raise Refused(event["error"]["message"])
        self._info["id"] = event["subscribed"]["framework_id"]
        self.subscriptions += 1

    def _event(self) -> Message:
        """The next event of the stream, which is in RecordIO format: a length in bytes, a line feed, and JSON."""
        event: Message = json.loads(self._stream.raw.read(int(self._stream.raw.readline())))
        return event

    def _run(self) -> None:
        try:
            while not self._closing:
                try:
                    self._handle(self._event())
                except (OSError, HTTPError, ValueError):
                    self._follow()
        except Exception as error:  # The thread that waits for a task is to raise it.
            with self._condition:
                self._failure = error
                self._condition.notify_all()

    def _follow(self) -> None:
        """Subscribe again, at whichever master leads."""
        while not self._closing:
            try:
                return self._subscribe()
            except (OSError, HTTPError, ValueError):
                time.sleep(0.2)

    def _call(self, call: Message) -> None:
        """Make one call.

        Raises:
            OSError: the master does not answer, or does not lead.
            RuntimeError: the master takes the call for wrong.
        """
        body = {"framework_id": self._info["id"], **call}
        headers = {"Mesos-Stream-Id": self._stream.headers["Mesos-Stream-Id"]}
        response = self._session.post(self._url, json=body, headers=headers, timeout=5, allow_redirects=False)
        if response.status_code in (307, 503):
            raise OSError(f"{self._url} does not lead")
        if response.status_code != 202:
            raise RuntimeError(f"{call['type']}: {response.status_code} {response.text}")

    def _call_soon(self, call: Message) -> None:
        """Make a call, again and again until a master has it."""

        def made() -> bool:
            try:
                self._call(call)
                return True
            except (OSError, RuntimeError):
                return False

        yard.wait_for(f"a master takes the call {call['type']}", made)

    def _handle(self, event: Message) -> None:
        if event["type"] == "OFFERS":
            for offer in event["offers"]["offers"]:
                self._offered(offer)
        elif event["type"] == "UPDATE":
            self._updated(event["update"]["status"])
        elif event["type"] == "ERROR":
            raise Refused(event["error"]["message"])

    def _offered(self, offer: Message) -> None:
        """Launch what waits for the offer's host and fits, and decline the rest."""
        left = {r["name"]: r["scalar"]["value"] for r in offer["resources"] if r["type"] == "SCALAR"}
        tasks: list[Message] = []
        with self._condition:
            for host, task in list(self._pending):
                wanted = {r["name"]: r["scalar"]["value"] for r in task["resources"]}
                if host == offer["hostname"] and all(left.get(name, 0) >= wanted[name] for name in wanted):
                    left = {name: value - wanted.get(name, 0) for name, value in left.items()}
                    tasks.append({**task, "agent_id": offer["agent_id"]})
                    self._agents[task["task_id"]["value"]] = offer["agent_id"]
                    self._pending.remove((host, task))
        operations = [{"type": "LAUNCH", "launch": {"task_infos": tasks}}] if tasks else []
        accept = {"offer_ids": [offer["id"]], "operations": operations, "filters": {"refuse_seconds": 0.1}}
        self._call({"type": "ACCEPT", "accept": accept})

    def _updated(self, status: Message) -> None:
        if "uuid" in status:
            acknowledge = {key: status[key] for key in ("agent_id", "task_id", "uuid")}
            self._call({"type": "ACKNOWLEDGE", "acknowledge": acknowledge})
        with self._condition:
            self._updates.setdefault(status["task_id"]["value"], []).append(status)
            self._condition.notify_all()

    def launch(self, host: str, task: Message) -> str:
        """Launch a task (TaskInfo, with `cpus` and `mem` in MiB as plain numbers) on a host, and return its id."""
        task_id = f"test-{uuid.uuid4()}"
        amounts = {"cpus": task.get("cpus", 0.1), "mem": task.get("mem", 64)}
        resources = [
            {"name": name, "type": "SCALAR", "scalar": {"value": value}, "allocation_info": {"role": self._role}}
            for name, value in amounts.items()
        ]
        info = {key: value for key, value in task.items() if key not in amounts}
        with self._condition:
            self._pending.append(
                (host, {"name": "test", "task_id": {"value": task_id}, "resources": resources, **info})
            )
        return task_id

    def kill(self, task_id: str) -> None:
        """Ask for the end of a task."""
        self._call_soon({"type": "KILL", "kill": {"task_id": {"value": task_id}, "agent_id": self._agents[task_id]}})

    def reconcile(self, task_id: str) -> Message:
        """What the master says of a task when it is asked."""
        before = len(self.updates(task_id))
        tasks = [{"task_id": {"value": task_id}, "agent_id": self._agents[task_id]}]
        self._call_soon({"type": "RECONCILE", "reconcile": {"tasks": tasks}})
        return yard.wait_for(
            "the master's answer",
            lambda: next(
                (u for u in self.updates(task_id)[before:] if u.get("reason") == "REASON_RECONCILIATION"), None
            ),
        )

    def updates(self, task_id: str) -> list[Message]:
        """All status updates of a task until this moment."""
        with self._condition:
            return list(self._updates.get(task_id, []))

    def wait(self, task_id: str, state: str, seconds: float = 60.0, **fields: object) -> Message:
        """Wait for an update with this state and these fields, and return it.

        Raises:
            AssertionError: it did not come in that many seconds, or the task ended in another way.
        """
        deadline = time.monotonic() + seconds
        with self._condition:
            while True:
                if self._failure:
                    raise self._failure
                updates = self._updates.get(task_id, [])
                for status in updates:
                    if status["state"] == state and all(status.get(key) == value for key, value in fields.items()):
                        return status
                seen = [(u["state"], u.get("reason"), u.get("healthy"), u.get("message")) for u in updates]
                ended = bool(updates) and updates[-1]["state"] in FINAL_STATES
                assert not ended, f"waited for {state} {fields}, saw {seen}"
                assert self._condition.wait(deadline - time.monotonic()), f"waited for {state} {fields}, saw {seen}"


def _container_name(status: Message) -> str:
    """The name of a Docker task's container, the same in both forms, from any of the task's updates by the agent."""
    return f"mesos-{status['container_status']['container_id']['value']}"


def container(host: str, status: Message) -> Message | None:
    """What `docker inspect` says of a task's container; None if there is none."""
    result = yard.node(host).run("docker container inspect %s", _container_name(status))
    inspected: list[Message] = json.loads(result.stdout)
    return inspected[0] if inspected else None


def running_container(host: str, status: Message) -> Message:
    """What `docker inspect` says of a task's container, waited for until it runs."""

    def running() -> Message | None:
        inspected = container(host, status)
        return inspected if inspected and inspected["State"]["Running"] else None

    return yard.wait_for("the container runs", running)


def identity(inspected: Message) -> tuple[str, str]:
    """What changes when another container takes a container's place, or the same one starts again."""
    return inspected["Id"], inspected["State"]["StartedAt"]


def touch(host: str, status: Message, file: str) -> None:
    """Make a file in the sandbox of a Docker task, which may end by that before the command that made it."""
    yard.node(host).check_output("docker exec --detach %s touch %s", _container_name(status), f"{SANDBOX}/{file}")
