"""The HTTP interface of every instance, leading or not: health, workers, metrics, and a proxy to the workers."""

import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pmml_worker.scheduler.state import State, Task

CONNECT_TIMEOUT, SCORE_TIMEOUT = 2.0, 300.0
"""Seconds in which a worker must take a connection, and must answer."""

BODY_LIMIT = 64 << 20
"""Bytes of a request's body at most: it is kept until a worker has answered.  Workers take no larger ones either."""

FORWARDED = ("accept", "content-type", "content-encoding")
"""Headers of a request that reach the worker."""


def candidates(state: State) -> list[Task]:
    """Return the workers that a request may go to: the healthy ones, or else those whose health is not known yet."""
    tasks = [task for _, task in sorted(state.tasks.items()) if not task.killing]
    running = [task for task in tasks if task.state == "TASK_RUNNING"]
    return [task for task in running if task.healthy] or [task for task in running if task.healthy is None]


def application(instances: int, view: Callable[[], State], leading: Callable[[], bool]) -> Starlette:
    """Make the ASGI application.

    Args:
        instances: how many workers are wanted.
        view: returns the state as last seen.
        leading: returns whether this instance leads.
    """
    turn = itertools.count()
    client = httpx.AsyncClient(
        timeout=httpx.Timeout(SCORE_TIMEOUT, connect=CONNECT_TIMEOUT, pool=None),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
        trust_env=False,
    )

    def counts() -> dict[str, int]:
        tasks = view().tasks.values()
        return {
            "wanted": instances,
            "running": sum(task.state == "TASK_RUNNING" for task in tasks),
            "healthy": sum(task.ready for task in tasks),
        }

    async def health(_request: Request) -> Response:
        role = "leading" if leading() else "standby"
        return JSONResponse({"status": "ok", "role": role, "framework_id": view().framework_id, "workers": counts()})

    async def workers(_request: Request) -> Response:
        return JSONResponse(
            [
                {
                    "task_id": task.id,
                    "host": task.host,
                    "address": task.address,
                    "port": task.port,
                    "state": task.state,
                    "healthy": task.healthy,
                    "spec": task.spec,
                }
                for _, task in sorted(view().tasks.items())
            ]
        )

    async def metrics(_request: Request) -> Response:
        lines = [f"pmml_worker_scheduler_leading {int(leading())}"]
        lines += [f"pmml_worker_scheduler_workers_{name} {count}" for name, count in counts().items()]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    async def proxy(request: Request) -> Response:
        """Pass a request on to the workers in turn; to a second one if the first is out of reach."""
        tasks = candidates(view())
        if not tasks:
            return _error(503, "no worker is running: see /health and the scheduler's log, or try again later")
        body = await _body(request)
        if body is None:
            return _error(413, f"the body is larger than {BODY_LIMIT >> 20} MiB: send fewer rows at once")
        headers = {name: request.headers[name] for name in FORWARDED if name in request.headers}
        first = next(turn)
        problem = ""
        for task in [tasks[(first + attempt) % len(tasks)] for attempt in range(min(2, len(tasks)))]:
            url = httpx.URL(
                scheme="http",
                host=task.address,
                port=task.port,
                raw_path=request.scope["raw_path"] + (b"?" + q if (q := request.scope["query_string"]) else b""),
            )
            try:
                answer = await client.request(request.method, url, headers=headers, content=body)
            except (httpx.ReadTimeout, httpx.WriteTimeout):
                return _error(
                    504, f"worker {task.id} did not answer within {SCORE_TIMEOUT:.0f} s: send fewer rows at once"
                )
            except httpx.TransportError as error:
                problem = f"worker {task.id} on {task.host}:{task.port}: {type(error).__name__} {error}"
                continue
            return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))
        return _error(503, f"no worker could be reached, the last one tried was {problem}: try again later")

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/workers", workers),
            Route("/metrics", metrics),
            Route("/models", proxy),
            Route("/models/{path:path}", proxy, methods=["GET", "POST"]),
        ],
        lifespan=lifespan,
    )


async def _body(request: Request) -> bytes | None:
    """Return the request's body, None if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)


def _error(status: int, message: str) -> Response:
    return Response(json.dumps({"error": message}), status, media_type="application/json")
