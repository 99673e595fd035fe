"""ZooKeeper: the scheduler's state, the election of the leading instance, and the leading Mesos master.

Znodes: `<znode>/state` holds the State as JSON; instances queue up under `<znode>/election`, kazoo's lock recipe.
With credentials every znode is open to their digest only.
"""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError, LockTimeout, NoAuthError, NodeExistsError, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import KazooState
from kazoo.security import make_digest_acl

from pmml_worker.errors import WorkerError
from pmml_worker.scheduler.config import Config, ConfigError, read_secret
from pmml_worker.scheduler.state import State

LOG = logging.getLogger(__name__)

SESSION_TIMEOUT = 10.0
"""Seconds after which ZooKeeper gives an instance up that is out of touch, and the next one leads."""

START_TIMEOUT = 15.0
"""Seconds in which a ZooKeeper server must answer at the start."""


class NotLeading(WorkerError):
    """Another instance leads, or may lead."""


class Store:
    """A session with ZooKeeper. Methods that are not coroutines do not wait."""

    def __init__(self, config: Config, on_session: Callable[[str], None]) -> None:
        """Prepare a session.

        Args:
            config: the scheduler's configuration.
            on_session: told, in another thread, of kazoo's states CONNECTED, SUSPENDED and LOST.
        """
        auth_data, acl = None, None
        if path := config.zookeeper_credentials_file:
            user, colon, password = read_secret(path, "zookeeper_credentials_file").partition(":")
            if not (user and colon and password):
                raise ConfigError(f"zookeeper_credentials_file = {path!r} is not of the form user:password")
            auth_data = [("digest", f"{user}:{password}")]
            acl = [make_digest_acl(user, password, all=True)]
        self._client = KazooClient(config.zookeeper, timeout=SESSION_TIMEOUT, auth_data=auth_data, default_acl=acl)
        self._client.add_listener(on_session)
        self._hosts, self._mesos_znode, self._znode = config.zookeeper, config.mesos_znode, config.znode
        self._state_path = f"{config.znode}/state"
        self._lock = self._client.Lock(f"{config.znode}/election", socket.gethostname())
        self._version = -1
        self.view = State()
        """The state as last seen, on every instance; read only."""

    async def open(self) -> None:
        """Connect, create the znodes and keep `view` up to date from there on.

        Raises:
            WorkerError: no server answers, or the znodes belong to other credentials.
        """
        try:
            await asyncio.to_thread(self._client.start, START_TIMEOUT)
        except KazooTimeoutError as error:
            raise WorkerError(
                f"zookeeper = {self._hosts!r}: no server answered within {START_TIMEOUT:.0f} s: "
                "check the addresses and that ZooKeeper runs there"
            ) from error
        try:
            await asyncio.to_thread(self._create)
        except NoAuthError as error:
            raise ConfigError(
                f"ZooKeeper denies access to {self._znode}: its znodes were made with other credentials than those in "
                "zookeeper_credentials_file: use the same on every instance"
            ) from error

    def _create(self) -> None:
        self._client.ensure_path(self._znode)
        with contextlib.suppress(NodeExistsError):
            self._client.create(self._state_path, b"")

        @self._client.DataWatch(self._state_path)  # type: ignore[untyped-decorator, unused-ignore]
        def changed(data: bytes | None, _stat: object) -> None:
            self.view = State.from_json(data or b"")

    async def close(self) -> None:
        """End the session, so that the next instance leads at once."""
        self._lock.cancel()
        await asyncio.to_thread(self._client.stop)
        await asyncio.to_thread(self._client.close)

    async def lead(self, timeout: float | None = None) -> State:
        """Wait until this instance leads, and return the state that the last leader left.

        Args:
            timeout: seconds to wait at most; None for ever.

        Raises:
            NotLeading: the time is over.
        """
        try:
            await asyncio.to_thread(self._lock.acquire, timeout=timeout)
        except LockTimeout as error:
            raise NotLeading(
                f"another instance leads under {self._znode}/election: stop pmml-worker scheduler on every host first"
            ) from error
        data, stat = await asyncio.to_thread(self._client.retry, self._client.get, self._state_path)
        self._version = stat.version
        return State.from_json(data)

    async def save(self, state: State) -> None:
        """Write the state; waits while ZooKeeper is out of touch.

        Raises:
            NotLeading: somebody else wrote it since.
        """
        data = state.to_json()
        try:
            stat = await asyncio.to_thread(
                self._client.retry, self._client.set, self._state_path, data, version=self._version
            )
        except BadVersionError as error:
            # A write whose answer was lost is tried again, and then finds its own result.
            found, stat = await asyncio.to_thread(self._client.retry, self._client.get, self._state_path)
            if found != data:
                raise NotLeading(f"another instance wrote {self._state_path}") from error
        self._version = stat.version

    async def delete(self) -> None:
        """Remove all of the scheduler's znodes."""
        await asyncio.to_thread(self._client.delete, self._znode, recursive=True)

    async def leading_master(self) -> str | None:
        """Return `host:port` of the leading Mesos master, None if there is none.

        The masters' znodes are `json.info_<sequence>`, each a MasterInfo; the lowest leads (Mesos,
        docs/high-availability.md and src/master/detector/zookeeper.cpp).
        """
        return await asyncio.to_thread(self._client.retry, self._leading_master)

    def _leading_master(self) -> str | None:
        try:
            names = [name for name in self._client.get_children(self._mesos_znode) if name.startswith("json.info_")]
            if not names:
                return None
            leader = min(names, key=lambda name: int(name.rpartition("_")[2]))
            data, _stat = self._client.get(f"{self._mesos_znode}/{leader}")
        except NoNodeError:
            return None
        except NoAuthError as error:
            raise ConfigError(
                f"ZooKeeper denies access to mesos_znode = {self._mesos_znode!r}: put credentials that may read it "
                "into zookeeper_credentials_file"
            ) from error
        address = json.loads(data)["address"]
        return f"{address['ip']}:{address['port']}"


__all__ = ["SESSION_TIMEOUT", "KazooState", "NotLeading", "Store"]
