"""Mesos' v0 executor protocol: protobuf messages that libprocess carries over HTTP.

Unlike executors of the v1 HTTP API, v0 executors in Docker containers are recovered by a restarted agent.
"""

import http.server
import logging
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mesos_helpers import Message, executor, protobuf

LOG = logging.getLogger("executor")
PACKAGE = "mesos.internal."
PROCESS = "executor(1)"
# The seconds in which an agent must answer the first registration.
REGISTRATION_TIMEOUT = 60.0

# The name of a message, its bytes, and its sender's PID; or "exited" and the link that ended.
_Item = tuple[str, Any, str]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    messages: queue.Queue[_Item]


class _Handler(http.server.BaseHTTPRequestHandler):
    """Takes messages, to which libprocess wants no response."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Queues a message."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = self.path.rpartition("/")[2]
        if name.startswith(PACKAGE):
            sender = self.headers.get("Libprocess-From") or self.headers.get("User-Agent", "").partition("/")[2]
            self.server.messages.put((name.removeprefix(PACKAGE), body, sender))

    def log_message(self, format: str, *args: object) -> None:
        """Keeps quiet."""


class Agent:
    """The connection to the agent that started this executor; an executor.Connection."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._pid = environment["MESOS_SLAVE_PID"]
        self.identity: Message = {
            "framework_id": {"value": environment["MESOS_FRAMEWORK_ID"]},
            "executor_id": {"value": environment["MESOS_EXECUTOR_ID"]},
        }
        self._slave_id: Message = {"value": environment["MESOS_SLAVE_ID"]}
        self._patience = executor.patience(environment)
        self._tasks: dict[str, bytes] = {}  # TaskInfo messages, encoded, by task ID.
        self._connected = False
        self._link: socket.socket | None = None
        self._lock = threading.Lock()  # Guards the link.

        ip = environment.get("LIBPROCESS_IP") or self._pid.partition("@")[2].rpartition(":")[0]
        server = _Server((ip, 0), _Handler)
        self._messages: queue.Queue[_Item] = queue.Queue()
        server.messages = self._messages
        self._name = f"{PROCESS}@{ip}:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    # Messages to the agent ----------------------------------------------------------------------------------------

    def update(self, update: Message) -> None:
        """Sends a status update."""
        self._send("StatusUpdateMessage", {"update": self._status_update(update), "pid": self._name})

    def _status_update(self, update: Message) -> Message:
        status = {**update["status"], "slave_id": self._slave_id}
        return {
            **self.identity,
            "slave_id": self._slave_id,
            "status": status,
            "timestamp": status["timestamp"],
            "uuid": status["uuid"],
        }

    def _connect(self) -> None:
        """Links to the agent: the end of this connection is that of the agent."""
        host, _, port = self._pid.partition("@")[2].rpartition(":")
        link = socket.create_connection((host, int(port)), timeout=10)
        link.settimeout(None)
        with self._lock:
            self._link = link

        def watch() -> None:
            try:
                while link.recv(4096):
                    pass
            except OSError:
                pass
            self._messages.put(("exited", link, ""))

        threading.Thread(target=watch, daemon=True).start()

    def _send(self, message: str, fields: Message) -> None:
        body = protobuf.encode(message, fields)
        process = self._pid.partition("@")[0]
        head = (
            f"POST /{process}/{PACKAGE}{message} HTTP/1.1\r\n"
            f"User-Agent: libprocess/{self._name}\r\n"
            f"Libprocess-From: {self._name}\r\n"
            "Connection: Keep-Alive\r\nHost: \r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        with self._lock:
            if self._link is None:
                raise ConnectionError("not linked to the agent")
            self._link.sendall(head.encode() + body)

    # Messages from the agent --------------------------------------------------------------------------------------

    def events(self, subscription: Callable[[], Message]) -> Iterator[Message]:
        """Yields events for ever; registers anew when a restarted agent asks for that."""
        self._connect()
        self._send("RegisterExecutorMessage", self.identity)
        while True:
            timeout = None if self._connected else self._patience or REGISTRATION_TIMEOUT
            try:
                message, body, sender = self._messages.get(timeout=timeout)
            except queue.Empty:
                raise SystemExit("the agent is gone") from None
            if message == "exited":
                if body is self._link:
                    LOG.warning("The agent exited")
                    self._connected = False
                    if not self._patience:
                        raise SystemExit("the agent is gone")
            elif message == "ReconnectExecutorMessage":
                self._pid = sender
                self._reregister(subscription())
            elif message in protobuf.SCHEMA:
                event = self._event(message, protobuf.decode(message, body))
                if event:
                    yield event

    def _reregister(self, subscription: Message) -> None:
        LOG.info("Reconnecting to %s", self._pid)
        self._connect()
        tasks = [self._tasks[task["task_id"]["value"]] for task in subscription["unacknowledged_tasks"]]
        updates = [self._status_update(update) for update in subscription["unacknowledged_updates"]]
        self._send("ReregisterExecutorMessage", {**self.identity, "tasks": tasks, "updates": updates})

    def _event(self, message: str, fields: Message) -> Message | None:
        """The v1 event of a v0 message, if any."""
        if message == "ExecutorRegisteredMessage":
            self._registered(message, fields)
            return {"type": "SUBSCRIBED", "subscribed": {"framework_info": fields.get("framework_info", {})}}
        if message == "ExecutorReregisteredMessage":
            self._registered(message, fields)
        elif message == "RunTaskMessage":
            task = protobuf.decode("TaskInfo", fields["task"])
            self._tasks[task["task_id"]["value"]] = fields["task"]
            return {"type": "LAUNCH", "launch": {"task": task}}
        elif message == "KillTaskMessage":
            return {"type": "KILL", "kill": fields}
        elif message == "StatusUpdateAcknowledgementMessage":
            return {"type": "ACKNOWLEDGED", "acknowledged": fields}
        elif message == "ShutdownExecutorMessage":
            return {"type": "SHUTDOWN"}
        return None

    def _registered(self, message: str, fields: Message) -> None:
        self._connected = True
        self._slave_id = fields["slave_id"]
        LOG.info("%s", message)
