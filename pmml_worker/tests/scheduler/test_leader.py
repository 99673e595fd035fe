"""The leader between a Mesos that says what each test wants and a store that keeps its state in memory."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest

from pmml_worker.scheduler import leader as leader_module
from pmml_worker.scheduler.config import Config
from pmml_worker.scheduler.leader import Leader, framework_info
from pmml_worker.scheduler.mesos import Disconnected, SchedulerApi, SchedulerError
from pmml_worker.scheduler.plan import Spec
from pmml_worker.scheduler.state import State, Task
from pmml_worker.scheduler.store import Store

CONFIG = Config("zk:2181", "pmml-worker:1", instances=1, cpus=0.5, mem=64)
SPEC = Spec(CONFIG.image, CONFIG.cpus, CONFIG.mem, CONFIG.models_dir)


class Yard:
    """Mesos and ZooKeeper in one: a log of what the leader does, and ways to make it do something."""

    def __init__(self, *tasks: Task) -> None:
        self.state = State("framework-1", {task.id: task for task in tasks})
        self.log: list[tuple[str, Any]] = []
        self.subscriptions: list[dict[str, Any]] = []
        self._events: asyncio.Queue[dict[str, Any] | Exception] = asyncio.Queue()

    @contextlib.asynccontextmanager
    async def subscribe(self, master: str, info: dict[str, Any]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        assert master == "master:5050"
        self.subscriptions.append(info)
        self.say("SUBSCRIBED", framework_id={"value": info.get("id", {"value": "framework-new"})["value"]})

        async def events() -> AsyncIterator[dict[str, Any]]:
            while True:
                event = await self._events.get()
                if isinstance(event, Exception):
                    raise event
                yield event

        yield events()

    async def call(self, kind: str, body: dict[str, Any] | None = None) -> None:
        self.log.append((kind, body))

    async def leading_master(self) -> str:
        return "master:5050"

    async def save(self, state: State) -> None:
        self.log.append(("save", State.from_json(state.to_json())))

    def say(self, kind: str, **message: Any) -> None:
        self._events.put_nowait({"type": kind, kind.lower(): message})

    def fail(self, error: Exception) -> None:
        self._events.put_nowait(error)

    def offer(self) -> None:
        resources = [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": 4}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": 4096}},
            {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31009}]}},
        ]
        offer = {"id": {"value": "o1"}, "agent_id": {"value": "s1"}, "hostname": "agent1", "resources": resources}
        self.say("OFFERS", offers=[offer])

    def update(self, task_id: str, state: str, **status: Any) -> None:
        message = {"task_id": {"value": task_id}, "agent_id": {"value": "s1"}, "state": state, "uuid": "u1", **status}
        self.say("UPDATE", status=message)

    async def until(self, kind: str, count: int = 1) -> Any:
        """Wait for the count-th entry of a kind and return what came with it."""
        while len(found := self.all(kind)) < count:
            await asyncio.sleep(0.005)
        return found[count - 1]

    def all(self, kind: str) -> list[Any]:
        return [body for name, body in self.log if name == kind]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader_module, "TICK", 0.01)
    monkeypatch.setattr(leader_module, "SETTLE", 0.02)
    monkeypatch.setattr(leader_module, "RETRY_AFTER", 0.01)


def lead(yard: Yard, scene: Callable[[], Awaitable[None]], config: Config = CONFIG) -> None:
    async def run() -> None:
        leader = Leader(config, cast(Store, yard), cast(SchedulerApi, yard), yard.state)
        leading = asyncio.create_task(leader.run())
        playing = asyncio.ensure_future(scene())
        try:
            await asyncio.wait({leading, playing}, return_when=asyncio.FIRST_COMPLETED)
            if leading.done():
                leading.result()
            await playing
        finally:
            leading.cancel()
            playing.cancel()

    asyncio.run(asyncio.wait_for(run(), 10))


def running(task_id: str = "t1", **changes: Any) -> Task:
    now = time.time()
    task = Task(task_id, SPEC.hash, "s1", "agent1", "agent1", 31000, now - 100, "TASK_RUNNING", True, now - 90)
    return dataclasses.replace(task, **changes)


def test_a_task_is_on_record_before_it_is_launched() -> None:
    yard = Yard()

    async def scene() -> None:
        yard.offer()
        accept = await yard.until("ACCEPT")
        (info,) = accept["operations"][0]["launch"]["task_infos"]
        index = [kind for kind, _ in yard.log].index("ACCEPT")
        saved = [state for kind, state in yard.log[:index] if kind == "save"]
        assert list(saved[-1].tasks) == [info["task_id"]["value"]]
        assert accept["offer_ids"] == [{"value": "o1"}]

    lead(yard, scene)


def test_an_update_is_on_record_before_it_is_acknowledged() -> None:
    yard = Yard(running(state="TASK_STARTING", healthy=None))

    async def scene() -> None:
        yard.update("t1", "TASK_RUNNING", healthy=True)
        acknowledge = await yard.until("ACKNOWLEDGE")
        assert acknowledge == {"agent_id": {"value": "s1"}, "task_id": {"value": "t1"}, "uuid": "u1"}
        index = [kind for kind, _ in yard.log].index("ACKNOWLEDGE")
        saved = [state for kind, state in yard.log[:index] if kind == "save"]
        assert (saved[-1].tasks["t1"].state, saved[-1].tasks["t1"].healthy) == ("TASK_RUNNING", True)

    lead(yard, scene)


def test_tasks_are_reconciled_explicitly_and_implicitly_after_every_subscription() -> None:
    yard = Yard(running())

    async def scene() -> None:
        await yard.until("RECONCILE", 2)
        yard.fail(Disconnected("the master is gone"))
        await yard.until("RECONCILE", 4)
        explicit = {"tasks": [{"task_id": {"value": "t1"}, "agent_id": {"value": "s1"}}]}
        assert yard.all("RECONCILE") == [explicit, {"tasks": []}] * 2
        assert [info["id"] for info in yard.subscriptions] == [{"value": "framework-1"}] * 2

    lead(yard, scene)


def test_a_task_that_is_not_on_record_is_killed_unless_it_has_ended() -> None:
    yard = Yard(running())

    async def scene() -> None:
        yard.update("ended", "TASK_FAILED")
        yard.update("stray", "TASK_RUNNING")
        await yard.until("ACKNOWLEDGE", 2)
        assert yard.all("KILL") == [{"task_id": {"value": "stray"}, "agent_id": {"value": "s1"}}]

    lead(yard, scene)


def test_offers_are_suppressed_while_nothing_is_wanted_and_asked_for_when_something_is() -> None:
    yard = Yard(running())

    async def scene() -> None:
        await yard.until("SUPPRESS")
        yard.offer()
        decline = await yard.until("DECLINE")
        assert decline["filters"]["refuse_seconds"] == leader_module.LONG_REFUSAL
        assert yard.all("REVIVE") == []
        yard.update("t1", "TASK_GONE")
        await yard.until("REVIVE")
        yard.offer()
        await yard.until("ACCEPT")
        await yard.until("SUPPRESS", 2)

    lead(yard, scene)


def test_a_worker_that_fails_is_started_again_after_a_delay() -> None:
    yard = Yard(running())

    async def scene() -> None:
        await yard.until("SUPPRESS")
        start = time.monotonic()
        yard.update("t1", "TASK_FAILED", message="exited with status 1")
        await yard.until("REVIVE")
        assert 0.9 <= time.monotonic() - start <= 3

    lead(yard, scene)


def test_a_framework_that_mesos_removed_forgets_its_id_and_tasks() -> None:
    yard = Yard(running())

    async def scene() -> None:
        yard.fail(SchedulerError("Framework has been removed"))
        assert await yard.until("save") == State(None, {})

    with pytest.raises(SchedulerError, match="removed"):
        lead(yard, scene)


def test_any_other_error_of_mesos_keeps_the_state() -> None:
    yard = Yard(running())

    async def scene() -> None:
        yard.fail(SchedulerError("Framework failed over"))
        await asyncio.Event().wait()

    with pytest.raises(SchedulerError, match="failed over"):
        lead(yard, scene)
    assert yard.all("save") == []


def test_the_framework_outlives_its_scheduler_and_keeps_its_tasks_over_an_agents_restart() -> None:
    info = framework_info(dataclasses.replace(CONFIG, role="pmml", principal="p", secret_file="/s"), None)
    assert info["failover_timeout"] == 604800
    assert info["checkpoint"] is True
    assert info["roles"] == ["pmml"]
    assert info["principal"] == "p"
    assert "id" not in info
