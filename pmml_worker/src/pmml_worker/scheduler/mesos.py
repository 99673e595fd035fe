"""The client's side of Mesos' v1 HTTP scheduler API.

Source: Mesos 1.11, docs/scheduler-http-api.md and include/mesos/v1/scheduler/scheduler.proto.

No client library is taken. PyPI has two. pymesos (last release April 2020) needs http-parser, which does not build for
Python 3.11; it cannot give ZooKeeper credentials and notices no missing heartbeat. mesoshttp (last release December
2020) reads ZooKeeper once, without credentials; it takes records for lines, which a line feed within them would cut,
and notices no missing heartbeat. Both block a thread and have no type hints. The API itself is one streaming POST and a
few plain ones, for which httpx is enough.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from pmml_worker.errors import WorkerError
from pmml_worker.scheduler.recordio import Decoder

Json = dict[str, Any]

FIRST_EVENT_TIMEOUT = 15.0
"""Seconds in which a master must answer SUBSCRIBE with its first event."""

MISSED_HEARTBEATS = 3
"""The connection is held for lost when this many heartbeats in a row did not come."""


class Disconnected(Exception):
    """The subscription is over, or there is none: subscribe anew."""


class Refused(WorkerError):
    """The master does not accept the principal or its secret."""


class SchedulerError(WorkerError):
    """The master ended the subscription with an ERROR event."""


class SchedulerApi:
    """A framework's connection to the leading master: at most one subscription at a time."""

    def __init__(self, principal: str | None, secret: str | None) -> None:
        self._principal = principal
        self._http = httpx.AsyncClient(
            auth=httpx.BasicAuth(principal, secret or "") if principal else None,
            timeout=httpx.Timeout(10.0),
            trust_env=False,  # A proxy that the environment names is for the outside world.
        )
        self._url = ""
        self._stream_id = ""
        self._framework_id: str | None = None

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    @contextlib.asynccontextmanager
    async def subscribe(self, master: str, framework_info: Json) -> AsyncIterator[AsyncIterator[Json]]:
        """Subscribe and yield the stream of events, which ends by raising Disconnected.

        Args:
            master: `host:port` of the leading master.
            framework_info: the v1 FrameworkInfo, with `id` when the framework has one already.

        Raises:
            Disconnected: the master does not answer, does not lead, or sends nothing for too long.
            Refused: the master does not accept the principal or the secret.
            SchedulerError: the master does not accept the framework.
        """
        call: Json = {"type": "SUBSCRIBE", "subscribe": {"framework_info": framework_info}}
        if "id" in framework_info:
            call["framework_id"] = framework_info["id"]
        self._url = f"http://{master}/api/v1/scheduler"
        try:
            async with self._http.stream(
                "POST",
                self._url,
                json=call,
                headers={"Accept": "application/json"},
                timeout=httpx.Timeout(10.0, read=None),  # Silence is watched in _events.
            ) as response:
                if response.status_code != 200:
                    await response.aread()
                    raise self._failure("SUBSCRIBE", response)
                self._stream_id = response.headers.get("Mesos-Stream-Id", "")
                yield self._events(response)
        except httpx.TransportError as error:
            raise Disconnected(f"{master}: {type(error).__name__} {error}") from error

    async def call(self, kind: str, body: Json | None = None) -> None:
        """Send a call beside the subscription.

        Args:
            kind: the Call's type, such as KILL.
            body: the message of that type, if it has one.

        Raises:
            Disconnected: the master did not take the call.
        """
        call: Json = {"type": kind, "framework_id": {"value": self._framework_id}}
        if body is not None:
            call[kind.lower()] = body
        try:
            response = await self._http.post(self._url, json=call, headers={"Mesos-Stream-Id": self._stream_id})
        except httpx.TransportError as error:
            raise Disconnected(f"{kind}: {type(error).__name__} {error}") from error
        if response.status_code != 202:
            raise self._failure(kind, response)

    def _failure(self, kind: str, response: httpx.Response) -> Exception:
        status, text = response.status_code, " ".join(response.text.split())
        if status in (401, 403):
            who = (
                f"principal {self._principal!r} and its secret"
                if self._principal
                else "a framework without a principal"
            )
            return Refused(
                f"the Mesos master {response.url.netloc.decode()} refused {who} ({status} {text}): set principal and "
                "secret_file to a pair of the masters' --credentials that their ACLs let register frameworks"
            )
        return Disconnected(f"{kind}: {status} {text}")

    async def _events(self, response: httpx.Response) -> AsyncIterator[Json]:
        decoder, patience = Decoder(), FIRST_EVENT_TIMEOUT
        chunks = response.aiter_raw()
        while True:
            try:
                async with asyncio.timeout(patience):
                    data = await anext(chunks)
                records = decoder.feed(data)
            except TimeoutError:
                raise Disconnected(f"no event for {patience:.0f} s") from None
            except StopAsyncIteration:
                raise Disconnected("the master closed the stream") from None
            except ValueError as error:
                raise Disconnected(str(error)) from error
            for record in records:
                event: Json = json.loads(record)
                if event["type"] == "SUBSCRIBED":
                    subscribed = event["subscribed"]
                    self._framework_id = subscribed["framework_id"]["value"]
                    patience = MISSED_HEARTBEATS * subscribed.get("heartbeat_interval_seconds", 15.0)
                elif event["type"] == "ERROR":
                    raise SchedulerError(event["error"]["message"])
                yield event
