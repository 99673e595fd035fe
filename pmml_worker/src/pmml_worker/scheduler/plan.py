"""Decides, from the tasks and the offers at hand, what to launch and what to kill.  Nothing here talks to anything."""

import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from pmml_worker.scheduler.state import Task

Json = dict[str, Any]

KILL_AGAIN_AFTER = 30.0
"""Seconds after which a task that did not end is killed once more: the call may have been lost."""

UNHEALTHY_FOR = 60.0
"""Seconds after which a task whose health check fails is replaced, if its executor did not end it before."""

LONGEST_DELAY = 300.0
"""Seconds between two launches at most, however often workers fail."""

SOUND_AFTER = 60.0
"""A worker that lived for so many seconds did not fail at its start."""


@dataclasses.dataclass(frozen=True)
class Spec:
    """What a worker is launched with: a change of any of it replaces the workers.

    The attributes are those of `Config`.
    """

    image: str
    cpus: float
    mem: float
    models_dir: str
    docker_config_file: str | None = None

    @property
    def hash(self) -> str:
        """Eight hexadecimal digits that stand for the specification."""
        return hashlib.sha256(repr(dataclasses.astuple(self)).encode()).hexdigest()[:8]


@dataclasses.dataclass(frozen=True)
class Offer:
    """An agent's free resources.

    Attributes:
        id: id of the offer.
        agent_id: id of the agent.
        host: its host name.
        address: its address.
        by_command: whether the agent starts containers by a command task, not by Mesos' Docker containerizer.
        resources: v1 Resource messages.
    """

    id: str
    agent_id: str
    host: str
    address: str
    by_command: bool
    resources: list[Json]

    @classmethod
    def from_json(cls, message: Json) -> "Offer":
        """Read a v1 Offer message."""
        attributes = {a["name"]: a.get("text", {}).get("value") for a in message.get("attributes", [])}
        address = message.get("url", {}).get("address", {})
        return cls(
            id=message["id"]["value"],
            agent_id=message["agent_id"]["value"],
            host=message["hostname"],
            address=address.get("ip") or message["hostname"],
            by_command=attributes.get("docker") == "command",
            resources=message.get("resources", []),
        )


@dataclasses.dataclass(frozen=True)
class Launch:
    """A task to launch on an offer, with the part of the offer's resources that it gets."""

    offer: Offer
    task: Task
    resources: list[Json]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to do.

    Attributes:
        kill: ids of the tasks to kill.
        launch: tasks to launch.
        missing: how many more workers are wanted than there are, `launch` included.
    """

    kill: list[str]
    launch: list[Launch]
    missing: int


def make_plan(
    spec: Spec, instances: int, tasks: Iterable[Task], offers: Iterable[Offer], now: float, new_id: Callable[[], str]
) -> Plan:
    """Decide.

    Tasks that are being killed, or whose agent is unreachable, do not count as workers, so they are replaced at once;
    if there are too many after an agent came back, the surplus is killed. One task of an old specification is killed at
    a time, and only when all workers are there and healthy, unless it is itself of no use.

    Args:
        spec: what workers are to be launched with.
        instances: how many workers are wanted.
        tasks: all tasks on record.
        offers: the offers to launch on; none to launch nothing yet.
        now: seconds since the epoch.
        new_id: makes the id of a task.
    """
    live = [task for task in tasks if task.live]
    kill = [task.id for task in live if task.killing and now - task.killing >= KILL_AGAIN_AFTER]
    unhealthy: list[Task] = []
    kept: list[Task] = []
    for task in live:
        if not task.killing:
            (unhealthy if task.healthy is False and now - task.since >= UNHEALTHY_FOR else kept).append(task)
    kill += [task.id for task in unhealthy]

    on_agent = Counter(task.agent_id for task in live)
    if len(kept) > instances:
        kept.sort(key=lambda task: (task.spec == spec.hash, task.ready, -on_agent[task.agent_id], task.id))
        kill += [task.id for task in kept[: len(kept) - instances]]
    elif len(kept) == len(live) == instances:
        kill += _outdated(spec, kept)

    missing = instances - len(kept)
    return Plan(kill, _launches(spec, missing, on_agent, offers, now, new_id), max(0, missing))


def _outdated(spec: Spec, tasks: list[Task]) -> list[str]:
    old = sorted((task for task in tasks if task.spec != spec.hash), key=lambda task: (task.ready, task.id))
    others_ready = all(task.ready for task in tasks if task.spec == spec.hash)
    return [old[0].id] if old and others_ready else []


def _launches(
    spec: Spec, count: int, on_agent: Counter[str], offers: Iterable[Offer], now: float, new_id: Callable[[], str]
) -> list[Launch]:
    """Put each task on the agent with the fewest."""
    launches: list[Launch] = []
    free = {offer.id: offer for offer in offers}
    left = {offer.id: offer.resources for offer in free.values()}
    while len(launches) < count and free:
        offer = min(free.values(), key=lambda offer: (on_agent[offer.agent_id], offer.host, offer.id))
        task_id = new_id()
        share = allocate(left[offer.id], spec.cpus, spec.mem, task_id)
        if share is None:
            del free[offer.id]
            continue
        resources, port, left[offer.id] = share
        task = Task(task_id, spec.hash, offer.agent_id, offer.host, offer.address, port, launched=now, since=now)
        launches.append(Launch(offer, task, resources))
        on_agent[offer.agent_id] += 1
    return launches


def allocate(resources: list[Json], cpus: float, mem: float, task_id: str) -> tuple[list[Json], int, list[Json]] | None:
    """Take CPUs, memory in MiB and one port out of an offer's resources.

    Parts keep the reservation and allocation of the resource that they come from, as Mesos demands. The port follows
    from the task's id: a port that something else occupies is not tried for ever.

    Returns:
        The resources taken, the port, and the resources left; None if there is not enough.
    """
    taken: list[Json] = []
    left: list[Json] = []
    wanted = {"cpus": cpus, "mem": mem}
    port: int | None = None
    for resource in resources:
        name = resource["name"]
        if "revocable" in resource:
            left.append(resource)
        elif name in wanted and wanted[name] > 0:
            # Mesos counts thousandths.
            amount = resource["scalar"]["value"]
            part = min(amount, wanted[name])
            wanted[name] = round(wanted[name] - part, 3)
            taken.append({**resource, "scalar": {"value": part}})
            left.append({**resource, "scalar": {"value": round(amount - part, 3)}})
        elif name == "ports" and port is None and (ranges := resource["ranges"].get("range", [])):
            ports = list(itertools.chain(*(range(r["begin"], r["end"] + 1) for r in ranges)))
            port = ports[int(hashlib.sha256(task_id.encode()).hexdigest(), 16) % len(ports)]
            taken.append({**resource, "ranges": {"range": [{"begin": port, "end": port}]}})
            left.append({**resource, "ranges": {"range": _without(ranges, port)}})
        else:
            left.append(resource)
    if port is None or any(amount > 0 for amount in wanted.values()):
        return None
    return [r for r in taken if r.get("scalar", {}).get("value") != 0], port, left


def _without(ranges: list[Json], port: int) -> list[Json]:
    rest: list[Json] = []
    for r in ranges:
        if r["begin"] <= port <= r["end"]:
            parts = ({"begin": r["begin"], "end": port - 1}, {"begin": port + 1, "end": r["end"]})
            rest += [part for part in parts if part["begin"] <= part["end"]]
        else:
            rest.append(r)
    return rest


@dataclasses.dataclass(frozen=True)
class Backoff:
    """The delay before the next launch: none at first, then doubling with each failure in a row.

    Attributes:
        failures: how often workers failed in a row.
        until: when the next launch may be, in seconds since the epoch.
    """

    failures: int = 0
    until: float = 0.0

    def after_failure(self, lived: float, now: float) -> "Backoff":
        """Return the delay after one more failure.

        Args:
            lived: seconds since the launch of the worker that failed.
            now: seconds since the epoch.
        """
        if now < self.until:
            return self  # Workers that were launched, and failed, together count once.
        failures = 1 if lived >= SOUND_AFTER else self.failures + 1
        return Backoff(failures, now + min(LONGEST_DELAY, 2.0 ** min(failures - 1, 16)))
