"""Mesos' v1 HTTP executor API (docs/executor-http-api.md)."""

import http.client
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping

from mesos_helpers import Message, executor

LOG = logging.getLogger("executor")


class Agent:
    """The connection to the agent that started this executor; an executor.Connection."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        process, _, self._endpoint = environment["MESOS_SLAVE_PID"].partition("@")
        self._path = f"/{process}/api/v1/executor"
        self.identity: Message = {
            "framework_id": {"value": environment["MESOS_FRAMEWORK_ID"]},
            "executor_id": {"value": environment["MESOS_EXECUTOR_ID"]},
        }
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        token = environment.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN")
        if token:
            self._headers["Authorization"] = "Bearer " + token
        self._patience = executor.patience(environment)

    def update(self, update: Message) -> None:
        """Sends a status update."""
        self._post({"type": "UPDATE", "update": update}, 10).read()

    def _post(self, call: Message, timeout: float | None) -> http.client.HTTPResponse:
        """Sends a call and returns the response. Raises OSError, HTTPException or Rejected."""
        connection = http.client.HTTPConnection(self._endpoint, timeout=timeout)
        connection.request("POST", self._path, json.dumps({**self.identity, **call}), self._headers)
        response = connection.getresponse()
        if response.status in (200, 202):
            return response
        problem = f"{response.status} {response.read().decode()}"
        if 400 <= response.status < 500:
            raise executor.Rejected(problem)
        raise http.client.HTTPException(problem)

    def events(self, subscription: Callable[[], Message]) -> Iterator[Message]:
        """Yields events for ever; subscribes anew when the agent restarts."""
        lost = time.monotonic()
        while True:
            try:
                stream = self._post({"type": "SUBSCRIBE", "subscribe": subscription()}, None)
                while length := stream.readline():
                    yield json.loads(stream.read(int(length)))
                    lost = time.monotonic()
            except (OSError, http.client.HTTPException) as error:
                LOG.warning("No connection to the agent: %s", error)
            if time.monotonic() - lost > self._patience:
                raise SystemExit("the agent is gone")
            time.sleep(1)
