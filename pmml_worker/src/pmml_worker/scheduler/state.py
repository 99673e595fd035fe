"""What the scheduler remembers, in ZooKeeper, from one leader to the next: the framework's id and its tasks.

A task's record is written before the task is launched, and every status update is written before it is acknowledged. So
a record may stand for a task that Mesos never got, which reconciliation finds out, but no task of a worker is without
record; one that Mesos reports nevertheless is not wanted.
"""

import dataclasses
import json

LIVE = frozenset({"TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING"})
"""States of a task that holds resources on an agent (mesos.proto, TaskState)."""

UNREACHABLE = "TASK_UNREACHABLE"
"""State of a task whose agent is out of touch; it may come back."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A worker's record.

    Attributes:
        id: id of the Mesos task.
        spec: hash of the specification that it was launched with.
        agent_id: id of its agent.
        host: host name of its agent.
        address: address of its agent.
        port: port of the worker on that address.
        launched: when it was launched, in seconds since the epoch.
        state: the last TaskState reported.
        healthy: the last outcome of the health check; None before the first.
        since: when `state` and `healthy` last changed, in seconds since the epoch.
        killing: when it was last asked to end, in seconds since the epoch; 0 if never.
    """

    id: str
    spec: str
    agent_id: str
    host: str
    address: str
    port: int
    launched: float
    state: str = "TASK_STAGING"
    healthy: bool | None = None
    since: float = 0.0
    killing: float = 0.0

    @property
    def live(self) -> bool:
        """Whether it holds resources on an agent that is in touch."""
        return self.state in LIVE

    @property
    def ready(self) -> bool:
        """Whether it runs, is healthy and is to stay."""
        return self.state == "TASK_RUNNING" and self.healthy is True and not self.killing


@dataclasses.dataclass
class State:
    """All that is remembered."""

    framework_id: str | None = None
    tasks: dict[str, Task] = dataclasses.field(default_factory=dict)

    def to_json(self) -> bytes:
        """Return the form in which ZooKeeper keeps it."""
        tasks = [dataclasses.asdict(task) for task in self.tasks.values()]
        return json.dumps({"framework_id": self.framework_id, "tasks": tasks}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "State":
        """Read what `to_json` made; nothing at all is the state before the first subscription."""
        if not data:
            return cls()
        document = json.loads(data)
        tasks = (Task(**task) for task in document["tasks"])
        return cls(document["framework_id"], {task.id: task for task in tasks})
