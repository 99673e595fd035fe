"""The client of the scheduler API against a master that says what each test wants."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pmml_worker.scheduler.mesos import Disconnected, Refused, SchedulerApi, SchedulerError

INFO = {"name": "pmml-worker", "user": "root"}
SUBSCRIBED = {
    "type": "SUBSCRIBED",
    "subscribed": {"framework_id": {"value": "framework-1"}, "heartbeat_interval_seconds": 15.0},
}


class Master:
    """Answers SUBSCRIBE with `head` and `stream`, and every other call with 202; keeps the requests."""

    def __init__(self, *events: dict[str, Any], status: str = "200 OK", closes: bool = False) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self._status, self._closes = status, closes
        self._stream = b"".join(b"%d\n%s" % (len(data), data) for data in (json.dumps(e).encode() for e in events))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.requests.append((headers, body))
        if body["type"] != "SUBSCRIBE":
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif self._status != "200 OK":
            writer.write(f"HTTP/1.1 {self._status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwhy?".encode())
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nMesos-Stream-Id: stream-1\r\nTransfer-Encoding: chunked\r\n\r\n")
            middle = len(self._stream) // 2
            for part in filter(None, (self._stream[:middle], self._stream[middle:])):
                writer.write(b"%x\r\n%s\r\n" % (len(part), part))
                await writer.drain()
            if not self._closes:
                await reader.read()
            writer.write(b"0\r\n\r\n")
        writer.close()


def with_api(master: Master, use: Callable[[SchedulerApi, str], Awaitable[None]]) -> None:
    async def run() -> None:
        server = await asyncio.start_server(master.serve, "127.0.0.1", 0)
        api = SchedulerApi("pmml", "s3cret")
        async with server:
            await use(api, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
            await api.close()

    asyncio.run(asyncio.wait_for(run(), 10))


async def events_of(api: SchedulerApi, address: str) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    async with api.subscribe(address, INFO) as events:
        async for event in events:
            seen.append(event)
    return seen


def test_events_come_in_order_until_the_master_closes_the_stream() -> None:
    heartbeat = {"type": "HEARTBEAT"}

    async def use(api: SchedulerApi, address: str) -> None:
        async with api.subscribe(address, INFO) as events:
            assert await anext(events) == SUBSCRIBED
            assert await anext(events) == heartbeat
            with pytest.raises(Disconnected, match="closed the stream"):
                await anext(events)

    with_api(Master(SUBSCRIBED, heartbeat, closes=True), use)


def test_calls_carry_the_framework_the_stream_and_the_credentials() -> None:
    master = Master(SUBSCRIBED)

    async def use(api: SchedulerApi, address: str) -> None:
        async with api.subscribe(address, INFO) as events:
            await anext(events)
            await api.call("KILL", {"task_id": {"value": "t1"}})
            await api.call("SUPPRESS")

    with_api(master, use)
    (subscribe, _), (headers, kill), (_, suppress) = master.requests
    assert kill == {
        "type": "KILL",
        "framework_id": {"value": "framework-1"},
        "kill": {"task_id": {"value": "t1"}},
    }
    assert suppress == {"type": "SUPPRESS", "framework_id": {"value": "framework-1"}}
    assert headers["mesos-stream-id"] == "stream-1"
    basic = "basic " + base64.b64encode(b"pmml:s3cret").decode().lower()
    assert [subscribe["authorization"], headers["authorization"]] == [basic, basic]


def test_a_known_framework_subscribes_under_its_id() -> None:
    master = Master(SUBSCRIBED)

    async def use(api: SchedulerApi, address: str) -> None:
        async with api.subscribe(address, INFO | {"id": {"value": "framework-1"}}):
            pass

    with_api(master, use)
    ((_, call),) = master.requests
    assert call["framework_id"] == call["subscribe"]["framework_info"]["id"] == {"value": "framework-1"}


def test_silence_longer_than_three_heartbeats_is_a_lost_connection() -> None:
    quick = {"type": "SUBSCRIBED", "subscribed": SUBSCRIBED["subscribed"] | {"heartbeat_interval_seconds": 0.05}}  # type: ignore[operator]

    async def use(api: SchedulerApi, address: str) -> None:
        with pytest.raises(Disconnected, match="no event for"):
            await events_of(api, address)

    with_api(Master(quick), use)


@pytest.mark.parametrize("status", ["307 Temporary Redirect", "503 Service Unavailable", "400 Bad Request"])
def test_a_master_that_does_not_lead_is_tried_again_later(status: str) -> None:
    async def use(api: SchedulerApi, address: str) -> None:
        with pytest.raises(Disconnected, match=status[:3]):
            await events_of(api, address)

    with_api(Master(status=status), use)


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_a_refusal_names_the_principal_and_the_remedy_and_not_the_secret(status: str) -> None:
    async def use(api: SchedulerApi, address: str) -> None:
        with pytest.raises(Refused, match=r"'pmml'.*secret_file") as caught:
            await events_of(api, address)
        assert "s3cret" not in str(caught.value)

    with_api(Master(status=status), use)


def test_an_error_event_ends_the_subscription_with_its_message() -> None:
    async def use(api: SchedulerApi, address: str) -> None:
        with pytest.raises(SchedulerError, match="Framework failed over"):
            await events_of(api, address)

    with_api(Master(SUBSCRIBED, {"type": "ERROR", "error": {"message": "Framework failed over"}}), use)


def test_a_master_that_is_not_there_is_a_lost_connection() -> None:
    async def use(api: SchedulerApi, address: str) -> None:
        with pytest.raises(Disconnected, match="ConnectError"):
            await events_of(api, "127.0.0.1:1")

    with_api(Master(), use)
