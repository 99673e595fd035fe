"""What executors of a single task have in common, whichever protocol they speak with their agent.

The states, reasons and fields of status updates are those of Mesos 1.11's built-in executors
(src/launcher/executor.cpp, src/docker/executor.cpp).
"""

import base64
import http.client
import logging
import os
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from mesos_helpers import Message, checks
from mesos_helpers.flags import duration_info, seconds

LOG = logging.getLogger("executor")
FINAL_STATES = frozenset({"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR"})
DEFAULT_SHUTDOWN_GRACE = "5secs"
# Of the time that the agent allows for shutting down, what is kept for reaping the task and telling of its end.
SHUTDOWN_MARGIN = 2.0


class Rejected(Exception):
    """The agent does not, or no longer, know this executor or its call."""


class Connection(Protocol):
    """An executor's connection to the agent that started it."""

    identity: Message

    def update(self, update: Message) -> None:
        """Sends a status update, the Update message of the v1 API."""

    def events(self, subscription: Callable[[], Message]) -> Iterator[Message]:
        """Yields v1 events for ever, and subscribes anew, as `subscription` then says, when the agent restarts."""


def patience(environment: Mapping[str, str]) -> float:
    """The seconds for which an executor waits for a lost agent: without checkpointing it must not outlive it."""
    if environment.get("MESOS_CHECKPOINT") != "1":
        return 0
    return seconds(environment.get("MESOS_RECOVERY_TIMEOUT", "15mins"))


class Executor:
    """Runs one task. Subclasses start, watch and stop a process."""

    noun = "Command"  # What ended, in the message of the final status.

    def __init__(self, agent: Connection, kill_grace: float) -> None:
        """`kill_grace` is the number of seconds between asking a task to end and forcing it."""
        self._agent = agent
        self._kill_grace = kill_grace
        self._process: subprocess.Popen[bytes] | None = None
        self._task: Message = {}
        self._done = threading.Event()
        self._reports_killing = False

        self._queue = threading.Lock()  # Guards the two dictionaries.
        self._updates: dict[str, Message] = {}  # The updates not yet acknowledged, by UUID.
        self._tasks: dict[str, Message] = {}  # The tasks of which no update is acknowledged.

        self._transition = threading.RLock()  # Guards what follows, and the order of updates.
        self._running: Message = {}  # Fields that every TASK_RUNNING update repeats.
        self._ending = False  # Being stopped, or ended: no more TASK_RUNNING.
        self._killed = False
        self._too_long = False
        self._unhealthy = False
        self._checkers: list[checks.Checker] = []

    # What subclasses provide ------------------------------------------------------------------------------------

    def start(self, task: Message) -> subprocess.Popen[bytes]:
        """Starts the task's process. Raises OSError, KeyError or ValueError if it cannot."""
        raise NotImplementedError

    def started(self) -> Message:
        """Waits until the task runs; returns more fields of its first TASK_RUNNING status."""
        return {}

    def runtime(self) -> checks.Runtime:
        """Where the checks of the started task run."""
        raise NotImplementedError

    def stop(self, grace: float) -> None:
        """Ends the task: politely, then after `grace` seconds by force."""
        raise NotImplementedError

    def cause(self, status: int) -> Message:
        """More fields of the final status of a task that failed with an exit status."""
        return {}

    # The protocol -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves the agent until the task's final state is acknowledged."""
        threading.Thread(target=self._serve, daemon=True).start()
        self._done.wait()

    def _serve(self) -> None:
        try:
            for event in self._agent.events(self._subscription):
                self._handle(event)
        except BaseException as error:  # Whatever it is, the task must not be left behind.
            LOG.error("Giving up: %s", error)
            if self._process:
                self.stop(0)
        self._done.set()

    def _subscription(self) -> Message:
        with self._queue:
            return {
                "unacknowledged_updates": list(self._updates.values()),
                "unacknowledged_tasks": list(self._tasks.values()),
            }

    def _update(self, state: str, **fields: object) -> None:
        """Tells the agent of the task's state."""
        identifier = base64.b64encode(uuid.uuid4().bytes).decode()
        status = {
            "task_id": self._task["task_id"],
            "state": state,
            "uuid": identifier,
            "executor_id": self._agent.identity["executor_id"],
            "source": "SOURCE_EXECUTOR",
            "timestamp": time.time(),
            **fields,
        }
        if "check" in self._task:
            status.setdefault(
                "check_status", self._running.get("check_status", checks.empty_status(self._task["check"]))
            )
        update = {"status": status}
        LOG.info("%s %s %s", self._task["task_id"]["value"], state, fields.get("message", fields.get("reason", "")))
        with self._queue:
            self._updates[identifier] = update
        try:
            self._agent.update(update)
        except (OSError, http.client.HTTPException, Rejected) as error:
            LOG.warning("Update kept for the next subscription: %s", error)

    def _handle(self, event: Message) -> None:
        kind = event["type"]
        if kind == "SUBSCRIBED":
            capabilities = event["subscribed"].get("framework_info", {}).get("capabilities", [])
            self._reports_killing = any(c.get("type") == "TASK_KILLING_STATE" for c in capabilities)
        elif kind == "LAUNCH":
            self._launch(event["launch"]["task"])
        elif kind == "ACKNOWLEDGED":
            self._acknowledged(event["acknowledged"])
        elif kind == "KILL":
            policy = event["kill"].get("kill_policy", {})
            self._stop(duration_info(policy.get("grace_period"), self._kill_grace))
        elif kind == "SHUTDOWN":
            grace = seconds(os.environ.get("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", DEFAULT_SHUTDOWN_GRACE))
            self._stop(max(0.0, grace - SHUTDOWN_MARGIN))
        elif kind == "ERROR":
            LOG.error("Error: %s", event["error"]["message"])

    def _acknowledged(self, acknowledged: Message) -> None:
        with self._queue:
            self._tasks.pop(acknowledged["task_id"]["value"], None)
            update = self._updates.pop(acknowledged["uuid"], None)
        if update and update["status"]["state"] in FINAL_STATES:
            self._done.set()

    def _launch(self, task: Message) -> None:
        self._task = task
        with self._queue:
            self._tasks[task["task_id"]["value"]] = task
        self._kill_grace = duration_info(task.get("kill_policy", {}).get("grace_period"), self._kill_grace)
        self._update("TASK_STARTING")
        try:
            self._process = self.start(task)
        except (OSError, KeyError, ValueError) as error:
            message = f"Failed to start: {type(error).__name__} {error}"
            self._update("TASK_FAILED", message=message, reason="REASON_CONTAINER_LAUNCH_FAILED")
            return
        limit = duration_info(task.get("max_completion_time"), 0)
        if limit:
            timer = threading.Timer(limit, self._completion_timeout)
            timer.daemon = True
            timer.start()
        threading.Thread(target=self._watch, args=(self._process,), daemon=True).start()

    # The life of the task ---------------------------------------------------------------------------------------

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        fields = self.started()
        with self._transition:
            if not self._ending:
                self._running = {k: v for k, v in fields.items() if k != "data"}
                self._update("TASK_RUNNING", **fields)
                self._start_checks()
        status = process.wait()
        with self._transition:
            self._end()
            text = f"terminated with signal {-status}" if status < 0 else f"exited with status {status}"
            final: Message = {"message": f"{self.noun} {text}"}
            if self._too_long:
                state = "TASK_FAILED"
                final["reason"] = "REASON_MAX_COMPLETION_TIME_REACHED"
            elif self._killed:
                state = "TASK_KILLED"
                if self._unhealthy:
                    final["healthy"] = False
            elif status == 0:
                state = "TASK_FINISHED"
            else:
                state = "TASK_FAILED"
                final.update(self.cause(status))
            self._update(state, **final)

    def _start_checks(self) -> None:
        try:
            if "health_check" in self._task:
                check = self._task["health_check"]
                self._checkers.append(checks.health_checker(check, self.runtime(), self._health_changed))
            if "check" in self._task:
                check = self._task["check"]
                self._checkers.append(checks.status_checker(check, self.runtime(), self._check_status_changed))
        except (KeyError, ValueError) as error:
            LOG.error("The task is not checked: %s", error)

    def _health_changed(self, health: checks.Health) -> None:
        with self._transition:
            if self._ending:
                return
            LOG.info("The task is %s", "healthy" if health.healthy else "not healthy")
            self._running["healthy"] = health.healthy
            self._update("TASK_RUNNING", reason="REASON_TASK_HEALTH_CHECK_STATUS_UPDATED", **self._running)
            if health.kill:
                self._unhealthy = True
                self._stop(self._kill_grace)

    def _check_status_changed(self, status: Message) -> None:
        with self._transition:
            if not self._ending:
                self._running["check_status"] = status
                self._update("TASK_RUNNING", reason="REASON_TASK_CHECK_STATUS_UPDATED", **self._running)

    def _completion_timeout(self) -> None:
        with self._transition:
            if not self._ending:
                self._too_long = True
                self._stop(0)

    def _stop(self, grace: float) -> None:
        """Begins to end the task; without one, the executor ends."""
        if self._process is None:
            self._done.set()
            return
        with self._transition:
            if self._ending:
                return
            self._killed = True
            self._end()
            if self._reports_killing and not self._too_long:
                self._update("TASK_KILLING")
        threading.Thread(target=self.stop, args=(grace,), daemon=True).start()

    def _end(self) -> None:
        self._ending = True
        for checker in self._checkers:
            checker.stop()
