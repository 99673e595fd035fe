"""What the leading instance does: it subscribes to the leading Mesos master and keeps the workers as planned.

One coroutine takes events and acts upon them in turn, so nothing here needs a lock.
"""

import asyncio
import dataclasses
import logging
import time
import uuid
from collections.abc import AsyncIterator
from itertools import groupby
from typing import Any

from pmml_worker.scheduler.config import Config
from pmml_worker.scheduler.mesos import Disconnected, SchedulerApi, SchedulerError
from pmml_worker.scheduler.plan import Backoff, Launch, Offer, Spec, make_plan
from pmml_worker.scheduler.state import LIVE, UNREACHABLE, State, Task
from pmml_worker.scheduler.store import Store
from pmml_worker.scheduler.tasks import task_info

Json = dict[str, Any]
LOG = logging.getLogger(__name__)

TICK = 0.5
"""Seconds between two decisions when nothing happens."""

SETTLE = 3.0
"""Seconds for which offers are gathered, so that there is a choice of agents: more than two of Mesos' allocations, for
another framework may have been offered an agent first, and declined it."""

RETRY_AFTER = 1.0
"""Seconds between two attempts to subscribe."""

FIRST_RECONCILIATION, LONGEST_RECONCILIATION = 5.0, 300.0
"""Seconds between two reconciliations: doubling after a subscription, while agents register anew with a new master."""

SHORT_REFUSAL, LONG_REFUSAL = 5.0, 3600.0
"""Seconds for which declined resources are not offered again: while workers are missing, and otherwise."""

NOT_THE_WORKERS_FAULT = {"TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_UNKNOWN", "TASK_LOST"}

FRAMEWORK_GONE = ("Framework has been removed", "Completed framework attempted to re-subscribe")
"""ERROR messages for a framework that was torn down or whose failover timeout is over (Mesos,
src/master/master.cpp)."""


def framework_info(config: Config, framework_id: str | None) -> Json:
    """Return the v1 FrameworkInfo.

    PARTITION_AWARE: tasks of an agent that is out of touch are reported unreachable and may come back.
    """
    info: Json = {
        "name": config.framework_name,
        "user": config.user,
        "roles": [config.role],
        "capabilities": [{"type": "MULTI_ROLE"}, {"type": "PARTITION_AWARE"}, {"type": "RESERVATION_REFINEMENT"}],
        "failover_timeout": config.failover_timeout,
        "checkpoint": True,
    }
    if config.principal:
        info["principal"] = config.principal
    if framework_id:
        info["id"] = {"value": framework_id}
    return info


class Leader:
    """Keeps the workers while this instance leads."""

    def __init__(self, config: Config, store: Store, api: SchedulerApi, state: State) -> None:
        self._config, self._store, self._api, self._state = config, store, api, state
        self._spec = Spec(config.image, config.cpus, config.mem, config.models_dir, config.docker_config_file)
        self._backoff = Backoff()
        self._offers: dict[str, Offer] = {}
        self._offers_since = 0.0
        self._suppressed = False
        self._reconcile_after = FIRST_RECONCILIATION
        self._next_reconciliation = 0.0
        self._complained_until = 0.0

    async def run(self) -> None:
        """Lead for ever: subscribe to whichever master leads, again and again.

        Raises:
            WorkerError: the master refuses the framework; another instance leads.
        """
        while True:
            try:
                await self._subscribe()
            except Disconnected as error:
                LOG.warning("not subscribed to Mesos: %s", error)
            await asyncio.sleep(RETRY_AFTER)

    async def teardown(self) -> None:
        """End the framework and with it all of its tasks.

        Raises:
            Disconnected: no master leads, or it did not answer.
        """
        if self._state.framework_id is None:
            return
        master = await self._master()
        try:
            async with self._api.subscribe(master, framework_info(self._config, self._state.framework_id)) as events:
                await anext(events)
                await self._api.call("TEARDOWN")
        except SchedulerError as error:
            if not str(error).startswith(FRAMEWORK_GONE):
                raise

    async def _master(self) -> str:
        master = await self._store.leading_master()
        if master is None:
            raise Disconnected(f"no Mesos master leads under {self._config.mesos_znode}")
        return master

    async def _subscribe(self) -> None:
        master = await self._master()
        try:
            async with self._api.subscribe(master, framework_info(self._config, self._state.framework_id)) as events:
                await self._follow(master, events)
        except SchedulerError as error:
            if str(error).startswith(FRAMEWORK_GONE):
                LOG.error("framework %s is gone, and its tasks with it: registering anew", self._state.framework_id)
                self._state = State()
                await self._store.save(self._state)
            raise

    async def _follow(self, master: str, events: AsyncIterator[Json]) -> None:
        queue: asyncio.Queue[Json] = asyncio.Queue()

        async def read() -> None:
            async for event in events:
                queue.put_nowait(event)

        reader = asyncio.create_task(read())
        try:
            subscribed = False
            while not (reader.done() and queue.empty()):
                try:
                    async with asyncio.timeout(TICK):
                        event = await queue.get()
                except TimeoutError:
                    pass
                else:
                    subscribed = subscribed or event["type"] == "SUBSCRIBED"
                    await self._handle(master, event)
                if subscribed:
                    await self._act(time.time())
            await reader
        finally:
            reader.cancel()

    async def _handle(self, master: str, event: Json) -> None:
        kind = event["type"]
        if kind == "SUBSCRIBED":
            framework_id = event["subscribed"]["framework_id"]["value"]
            LOG.info("subscribed to %s as framework %s", master, framework_id)
            if framework_id != self._state.framework_id:
                self._state.framework_id = framework_id
                await self._store.save(self._state)
            self._offers.clear()
            self._suppressed = False
            self._reconcile_after, self._next_reconciliation = FIRST_RECONCILIATION, 0.0
        elif kind == "OFFERS":
            if not self._offers:
                self._offers_since = time.time()
            self._offers |= {o.id: o for o in map(Offer.from_json, event["offers"]["offers"])}
        elif kind == "RESCIND":
            self._offers.pop(event["rescind"]["offer_id"]["value"], None)
        elif kind == "UPDATE":
            await self._update(event["update"]["status"], time.time())

    async def _update(self, status: Json, now: float) -> None:
        """Record a status update, then acknowledge it."""
        task_id, state = status["task_id"]["value"], status["state"]
        task = self._state.tasks.get(task_id)
        if task is None:
            if state in LIVE:
                LOG.warning("task %s, %s, is not on record: killing it", task_id, state)
                await self._kill(task_id, status.get("agent_id"))
        else:
            await self._record(task, status, now)
        if "uuid" in status:
            await self._api.call(
                "ACKNOWLEDGE",
                {"agent_id": status["agent_id"], "task_id": status["task_id"], "uuid": status["uuid"]},
            )

    async def _record(self, task: Task, status: Json, now: float) -> None:
        state = status["state"]
        healthy = status.get("healthy", task.healthy if state == task.state else None)
        if (state, healthy) == (task.state, task.healthy):
            return
        why = " ".join(filter(None, (status.get("reason"), status.get("message"))))
        LOG.info("worker %s on %s:%d: %s healthy=%s %s", task.id, task.host, task.port, state, healthy, why)
        if state in LIVE or state == UNREACHABLE:
            self._state.tasks[task.id] = dataclasses.replace(task, state=state, healthy=healthy, since=now)
        else:
            del self._state.tasks[task.id]
            if not task.killing and state not in NOT_THE_WORKERS_FAULT:
                self._backoff = self._backoff.after_failure(now - task.launched, now)
                LOG.warning(
                    "worker %s failed on %s, %s %s; failure %d in a row, next launch in %.0f s",
                    *(task.id, task.host, state, why, self._backoff.failures, self._backoff.until - now),
                )
        await self._store.save(self._state)

    async def _act(self, now: float) -> None:
        """Bring about what the plan says."""
        if now >= self._next_reconciliation:
            await self._reconcile(now)
        settled = bool(self._offers) and now - self._offers_since >= SETTLE
        may_launch = now >= self._backoff.until
        plan = make_plan(
            self._spec,
            self._config.instances,
            self._state.tasks.values(),
            self._offers.values() if settled and may_launch else (),
            now,
            lambda: f"{self._config.framework_name}.{self._spec.hash}.{uuid.uuid4().hex[:12]}",
        )
        if plan.kill or plan.launch:
            for task_id in plan.kill:
                self._state.tasks[task_id] = dataclasses.replace(self._state.tasks[task_id], killing=now)
            self._state.tasks |= {launch.task.id: launch.task for launch in plan.launch}
            await self._store.save(self._state)
        for task_id in plan.kill:
            task = self._state.tasks[task_id]
            LOG.info("killing worker %s on %s: surplus, of an old specification, or unhealthy", task_id, task.host)
            await self._kill(task_id, {"value": task.agent_id})

        wanting = plan.missing > 0 and may_launch
        if wanting and self._suppressed:
            await self._api.call("REVIVE")
        if settled:
            offers, self._offers = self._offers, {}
            await self._launch(plan.launch)
            refused = offers.keys() - {launch.offer.id for launch in plan.launch}
            if refused:
                seconds = SHORT_REFUSAL if wanting else LONG_REFUSAL
                await self._api.call(
                    "DECLINE",
                    {"offer_ids": [{"value": i} for i in refused], "filters": {"refuse_seconds": seconds}},
                )
            if len(plan.launch) < plan.missing and may_launch and now >= self._complained_until:
                self._complained_until = now + 60
                LOG.warning(
                    "%d workers wait for an offer with %g CPUs, %g MiB and a port",
                    *(plan.missing - len(plan.launch), self._spec.cpus, self._spec.mem),
                )
        if not wanting and not self._suppressed:
            await self._api.call("SUPPRESS")
        self._suppressed = not wanting

    async def _launch(self, launches: list[Launch]) -> None:
        by_offer = sorted(launches, key=lambda launch: launch.offer.id)
        for offer_id, group in groupby(by_offer, key=lambda launch: launch.offer.id):
            infos = []
            for launch in group:
                LOG.info("launching worker %s on %s:%d", launch.task.id, launch.task.host, launch.task.port)
                infos.append(task_info(self._spec, launch, self._config.framework_name))
            await self._api.call(
                "ACCEPT",
                {
                    "offer_ids": [{"value": offer_id}],
                    "operations": [{"type": "LAUNCH", "launch": {"task_infos": infos}}],
                    "filters": {"refuse_seconds": SHORT_REFUSAL},
                },
            )

    async def _kill(self, task_id: str, agent_id: Json | None) -> None:
        body: Json = {"task_id": {"value": task_id}}
        if agent_id:
            body["agent_id"] = agent_id
        await self._api.call("KILL", body)

    async def _reconcile(self, now: float) -> None:
        """Ask for the state of the tasks on record (explicitly), then of all tasks that Mesos knows (implicitly).

        Source: Mesos, docs/reconciliation.md.
        """
        self._next_reconciliation = now + self._reconcile_after
        self._reconcile_after = min(LONGEST_RECONCILIATION, 2 * self._reconcile_after)
        tasks = [
            {"task_id": {"value": task.id}, "agent_id": {"value": task.agent_id}} for task in self._state.tasks.values()
        ]
        if tasks:
            await self._api.call("RECONCILE", {"tasks": tasks})
        await self._api.call("RECONCILE", {"tasks": []})
