"""The `pmml-worker scheduler` command: one instance per Mesos master, one of which leads."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from pmml_worker.errors import WorkerError
from pmml_worker.scheduler import web
from pmml_worker.scheduler.config import Config, ConfigError, load, read_secret
from pmml_worker.scheduler.leader import Leader
from pmml_worker.scheduler.mesos import Disconnected, Refused, SchedulerApi
from pmml_worker.scheduler.store import SESSION_TIMEOUT, KazooState, NotLeading, Store

HELP = "keep workers running as Docker tasks on Mesos, and pass requests on to them"

LOG = logging.getLogger(__name__)

TEARDOWN_PATIENCE = 12.0
"""Seconds for which --teardown waits for the lead: longer than ZooKeeper keeps that of a dead instance."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="configuration in TOML")
    parser.add_argument(
        "--teardown",
        action="store_true",
        help="kill all workers and remove the framework and its state; the instances must be stopped",
    )
    parser.epilog = (
        "Exit status: 0 stopped by a signal, 69 could not bind the port, 75 the lead or ZooKeeper was lost (start "
        "again), 77 refused by Mesos, 78 unusable configuration, 1 any other error. Workers go on in every case."
    )


def run(arguments: argparse.Namespace) -> int:
    """Run one instance until a signal ends it; return the exit status (sysexits.h), for a service manager."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("kazoo").setLevel(logging.WARNING)
    try:
        config = load(arguments.config)
        return asyncio.run(_teardown(config) if arguments.teardown else Service(config).run())
    except ConfigError as error:
        status = os.EX_CONFIG
        message = str(error)
    except Refused as error:
        status, message = os.EX_NOPERM, str(error)
    except NotLeading as error:
        status, message = os.EX_TEMPFAIL, str(error)
    except WorkerError as error:
        status, message = 1, str(error)
    print(f"pmml-worker scheduler: {message}", file=sys.stderr)
    return status


class _Server(uvicorn.Server):
    """Uvicorn without signal handlers: the service has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Service:
    """One instance: the HTTP interface always, and the lead when its turn comes.

    When ZooKeeper is out of touch for as long as a session lasts, another instance may lead, so this one stops leading;
    it still passes requests on. When ZooKeeper answers again the process ends, to be started again with a new session.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._api = _api(config)
        self._store = Store(config, self._session_changed)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._session_over = asyncio.Event()
        self._lead: asyncio.Task[None] | None = None
        self._leading = False
        self._deposed = False
        self._suspended: asyncio.TimerHandle | None = None

    async def run(self) -> int:
        """Run until a signal, the end of the ZooKeeper session, or an error that leading raises."""
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stop.set)
        try:
            await self._store.open()
            return await self._serve()
        finally:
            await self._store.close()
            await self._api.close()

    async def _serve(self) -> int:
        app = web.application(self._config.instances, lambda: self._store.view, lambda: self._leading)
        server = _Server(
            uvicorn.Config(
                app,
                host=self._config.listen_host,
                port=self._config.listen_port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=5,
            )
        )
        serving = asyncio.create_task(_listen(server))
        self._lead = asyncio.create_task(self._run_leader())
        stop = asyncio.create_task(self._stop.wait())
        over = asyncio.create_task(self._session_over.wait())
        waiting: set[asyncio.Task[object]] = {serving, stop, over, self._lead}
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if task is not self._lead or not task.cancelled():
                        task.result()
                if serving in done:
                    return os.EX_UNAVAILABLE
                if stop in done:
                    return os.EX_OK
                if over in done:
                    raise NotLeading("the ZooKeeper session is over: to be started again")
            return os.EX_SOFTWARE
        finally:
            self._leading = False
            for task in (self._lead, stop, over):
                task.cancel()
            server.should_exit = True
            await asyncio.gather(self._lead, stop, over, serving, return_exceptions=True)

    async def _run_leader(self) -> None:
        state = await self._store.lead()
        LOG.info("this instance leads")
        self._leading = True
        await Leader(self._config, self._store, self._api, state).run()

    def _session_changed(self, state: str) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._on_session, state)

    def _on_session(self, state: str) -> None:
        if self._suspended is not None:
            self._suspended.cancel()
            self._suspended = None
        if state == KazooState.LOST or (state == KazooState.CONNECTED and self._deposed):
            self._session_over.set()
        elif state == KazooState.SUSPENDED:
            LOG.warning("ZooKeeper does not answer")
            assert self._loop is not None
            self._suspended = self._loop.call_later(SESSION_TIMEOUT, self._depose)

    def _depose(self) -> None:
        if self._leading and self._lead is not None:
            LOG.error(
                "ZooKeeper did not answer for %.0f s: another instance may lead, so this one does not", SESSION_TIMEOUT
            )
            self._leading = False
            self._deposed = True
            self._lead.cancel()


async def _listen(server: uvicorn.Server) -> None:
    try:
        await server.serve()
    except SystemExit:
        LOG.error("cannot listen on %s:%d: see above", server.config.host, server.config.port)


def _api(config: Config) -> SchedulerApi:
    secret = read_secret(config.secret_file, "secret_file") if config.secret_file else None
    return SchedulerApi(config.principal, secret)


async def _teardown(config: Config) -> int:
    api = _api(config)
    store = Store(config, lambda _state: None)
    try:
        await store.open()
        state = await store.lead(TEARDOWN_PATIENCE)
        await Leader(config, store, api, state).teardown()
        await store.delete()
    except Disconnected as error:
        raise WorkerError(f"Mesos does not answer ({error}): nothing was removed, try again") from error
    finally:
        await store.close()
        await api.close()
    return os.EX_OK
