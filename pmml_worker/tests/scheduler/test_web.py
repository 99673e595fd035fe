import asyncio
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from pmml_worker.scheduler.state import State, Task
from pmml_worker.scheduler.web import BODY_LIMIT, application

from .datacenter import free_port


class Worker(BaseHTTPRequestHandler):
    """Answers with what it was asked and who it is."""

    def respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = b"|".join([str(self.server.server_port).encode(), self.path.encode(), body])  # type: ignore[attr-defined]
        self.send_response(422 if b"bad" in body else 200)
        self.send_header("Content-Type", self.headers.get("Content-Type", "text/plain"))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = respond

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def workers() -> Iterator[list[int]]:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Worker) for _ in range(3)]
    for server in servers:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield [server.server_port for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


def state(*ports: int, **changes: Any) -> State:
    fields: dict[str, Any] = {"state": "TASK_RUNNING", "healthy": True} | changes
    tasks = [Task(f"t{n}", "spec", "s1", "agent1", "127.0.0.1", port, 0, **fields) for n, port in enumerate(ports)]
    return State("framework-1", {task.id: task for task in tasks})


def ask(view: State, *requests: tuple[str, str, bytes], leading: bool = False) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        app = application(2, lambda: view, lambda: leading)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://scheduler") as client:
            headers = {"Content-Type": "text/csv"}
            return [
                await client.request(method, path, content=body, headers=headers) for method, path, body in requests
            ]

    return asyncio.run(run())


def score(view: State, count: int = 1, body: bytes = b"a,b") -> list[httpx.Response]:
    return ask(view, *[("POST", "/models/m/score", body)] * count)


def ports_of(answers: list[httpx.Response]) -> list[int]:
    return [int(answer.content.split(b"|")[0]) for answer in answers]


def test_requests_go_to_the_workers_in_turn(workers: list[int]) -> None:
    assert ports_of(score(state(*workers), 6)) == workers * 2


def test_path_query_body_and_content_type_reach_the_worker_and_its_answer_comes_back(workers: list[int]) -> None:
    (answer,) = ask(state(workers[0]), ("POST", "/models/a%20b/score?x=1", b"a,b\n1,2\n"))
    assert answer.content == f"{workers[0]}|/models/a%20b/score?x=1|a,b\n1,2\n".encode()
    assert answer.headers["content-type"].startswith("text/csv")


def test_the_list_of_models_is_a_workers_answer(workers: list[int]) -> None:
    (answer,) = ask(state(workers[0]), ("GET", "/models", b""))
    assert answer.content == f"{workers[0]}|/models|".encode()


def test_a_workers_error_is_passed_on_and_not_tried_again(workers: list[int]) -> None:
    answers = score(state(*workers), 3, b"bad")
    assert [answer.status_code for answer in answers] == [422] * 3
    assert ports_of(answers) == workers


def test_a_body_that_is_too_large_is_refused(workers: list[int]) -> None:
    (answer,) = score(state(*workers), body=bytes(BODY_LIMIT + 1))
    assert answer.status_code == 413
    assert "send fewer rows" in answer.json()["error"]


def test_another_worker_is_tried_when_one_cannot_be_reached(workers: list[int]) -> None:
    answers = score(state(free_port(), workers[0]), 4)
    assert [answer.status_code for answer in answers] == [200] * 4


def test_two_unreachable_workers_are_503_with_the_reason() -> None:
    (answer,) = score(state(free_port(), free_port()))
    assert answer.status_code == 503
    assert "ConnectError" in answer.json()["error"]


@pytest.mark.parametrize("changes", [{"state": "TASK_STAGING", "healthy": None}, {"healthy": False}, {"killing": 1}])
def test_no_worker_that_runs_and_is_to_stay_is_503(workers: list[int], changes: dict[str, Any]) -> None:
    (answer,) = score(state(*workers, **changes))
    assert answer.status_code == 503
    assert "no worker is running" in answer.json()["error"]


def test_a_worker_of_unknown_health_serves_only_while_none_is_healthy(workers: list[int]) -> None:
    view = state(*workers, healthy=None)
    assert ports_of(score(view, 3)) == workers
    view.tasks |= {"t1": state(0, workers[1]).tasks["t1"]}
    assert ports_of(score(view, 3)) == [workers[1]] * 3


@pytest.mark.parametrize(("leading", "role"), [(True, "leading"), (False, "standby")])
def test_health_tells_role_framework_and_numbers_of_workers(leading: bool, role: str) -> None:
    view = state(1, 2)
    view.tasks["t2"] = state(3, healthy=None).tasks["t0"]
    (answer,) = ask(view, ("GET", "/health", b""), leading=leading)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "role": role,
        "framework_id": "framework-1",
        "workers": {"wanted": 2, "running": 3, "healthy": 2},
    }


def test_workers_lists_every_task() -> None:
    (answer,) = ask(state(31000), ("GET", "/workers", b""))
    assert answer.json() == [
        {
            "task_id": "t0",
            "host": "agent1",
            "address": "127.0.0.1",
            "port": 31000,
            "state": "TASK_RUNNING",
            "healthy": True,
            "spec": "spec",
        }
    ]


def test_metrics_are_prometheus_text() -> None:
    (answer,) = ask(state(1), ("GET", "/metrics", b""), leading=True)
    assert answer.text.splitlines() == [
        "pmml_worker_scheduler_leading 1",
        "pmml_worker_scheduler_workers_wanted 2",
        "pmml_worker_scheduler_workers_running 1",
        "pmml_worker_scheduler_workers_healthy 1",
    ]


def test_the_view_of_the_moment_counts() -> None:
    views: Callable[[], State] = iter([state(), state(1)]).__next__
    app = application(1, views, lambda: False)

    async def run() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://scheduler") as client:
            return [len((await client.get("/workers")).json()) for _ in range(2)]

    assert asyncio.run(run()) == [0, 1]
