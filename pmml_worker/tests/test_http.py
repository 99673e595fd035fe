import logging
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from documents import SAMPLE, document, tree, verifying
from starlette.testclient import TestClient

from pmml_worker.http.app import create_app
from pmml_worker.http.models import Models, model_name

LEAF = '<Node score="{}"><True/></Node>'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copy(SAMPLE / "sample.rf.xml", tmp_path)
    (tmp_path / "leaf.pmml").write_bytes(document(tree(LEAF.format("a"))))
    (tmp_path / "notes.txt").write_text("no model")
    return tmp_path


@pytest.fixture
def models(directory: Path) -> Models:
    result = Models(directory)
    result.refresh()
    return result


@pytest.fixture
def client(models: Models) -> Iterator[TestClient]:
    with TestClient(create_app(models, body_limit=10_000)) as result:
        yield result


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("sample.rf.xml", "sample.rf"),
        ("a.pmml", "a"),
        ("a.pmml.xml", "a"),
        ("a.txt", None),
        (".a.pmml", None),
        (".pmml", None),
    ],
)
def test_models_are_named_by_their_file(file: str, name: str | None) -> None:
    assert model_name(file) == name


def test_health_counts_models(client: TestClient) -> None:
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok", "models": 2})


def test_models_are_listed_with_their_fields(client: TestClient) -> None:
    listed = {item["name"]: item for item in client.get("/models").json()}
    assert set(listed) == {"leaf", "sample.rf"}
    assert [field["name"] for field in listed["sample.rf"]["inputs"]] == ["var0", "var1", "var2"]
    assert listed["sample.rf"]["outputs"] == [{"name": "label", "data_type": "string", "optype": "categorical"}]
    assert listed["sample.rf"]["error"] is None


def test_a_list_of_rows_and_a_single_row_are_scored(client: TestClient) -> None:
    rows = [{"var0": 1, "var1": 0, "var2": 0}, {"var0": 0, "var1": 1, "var2": 1}]
    response = client.post("/models/sample.rf/score", json=rows)
    assert response.status_code == 200
    assert [row["label"] for row in response.json()] == ["1", "0"]
    assert client.post("/models/sample.rf/score", json=rows[0]).json() == {"label": "1"}
    assert client.post("/models/sample.rf/score", json=[]).json() == []


@pytest.mark.parametrize(("kind", "delimiter"), [("text/csv", ","), ("text/tab-separated-values; charset=utf-8", "\t")])
def test_text_gives_text_of_the_same_kind(client: TestClient, kind: str, delimiter: str) -> None:
    text = (SAMPLE / "sample.tsv").read_text()
    response = client.post(
        "/models/sample.rf/score", content=text.replace("\t", delimiter), headers={"Content-Type": kind}
    )
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(kind.partition(";")[0])
    expected = [line.split("\t")[5] for line in text.splitlines()[1:]]
    assert response.text.splitlines() == ["label", *expected]


@pytest.mark.parametrize(
    ("content", "kind", "status", "message"),
    [
        (
            '[{"var0": 1, "var1": 0, "var2": 0}, {"var0": "abc"}]',
            "application/json",
            400,
            'row 1: field var0: value "abc" is no double',
        ),
        ('[{"var0": [1]}]', "application/json", 400, 'column "var0"'),
        ('[{"other": 1}]', "application/json", 400, "none of the model's fields var0, var1, var2"),
        ("[1, 2]", "application/json", 400, "row 0 is a int"),
        ('"text"', "application/json", 400, "neither an object"),
        ("{", "application/json", 400, "the body is not JSON"),
        ("[" * 5000, "application/json", 400, "the body is not JSON"),
        ("", "text/csv", 400, "the file is empty"),
        ("var0,var1\n1,2,3\n", "text/csv", 400, "not readable as csv"),
        ("var0,var0\n1,2\n", "text/csv", 400, 'column "var0" stands twice'),
        ("<x/>", "application/xml", 415, "none of application/json"),
        ("1" * 10_001, "application/json", 413, "larger than 10000 bytes"),
    ],
)
def test_bad_requests_are_answered_with_what_is_wrong(
    client: TestClient, content: str, kind: str, status: int, message: str
) -> None:
    response = client.post("/models/sample.rf/score", content=content, headers={"Content-Type": kind})
    assert response.status_code == status
    assert message in response.json()["error"]


def test_a_row_in_error_is_named_by_row_and_field(client: TestClient) -> None:
    answer = client.post("/models/sample.rf/score", json=[{"var0": 1, "var1": 0, "var2": 0}, {"var0": "abc"}]).json()
    assert (answer["row"], answer["field"]) == (1, "var0")


def test_a_body_without_a_length_is_limited_too(client: TestClient) -> None:
    def body() -> Iterator[bytes]:
        yield from [b" " * 6000] * 2

    response = client.post("/models/leaf/score", content=body(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413


def test_unknown_models_and_paths_are_not_found(client: TestClient) -> None:
    response = client.post("/models/none/score", json=[])
    assert (response.status_code, response.json()["error"]) == (404, 'no model "none"; the models are leaf, sample.rf')
    assert client.get("/nothing").status_code == 404
    assert client.get("/models/leaf/score").status_code == 405


def test_figures_that_json_does_not_have_are_null(client: TestClient, directory: Path, models: Models) -> None:
    (directory / "leaf.pmml").write_bytes(document(tree(LEAF.format("INF"), "regression")))
    models.refresh()
    assert client.post("/models/leaf/score", json={"x": 1}).json() == {"y": None}


def test_changed_new_and_removed_files_are_followed(client: TestClient, directory: Path, models: Models) -> None:
    (directory / "leaf.pmml").write_bytes(document(tree(LEAF.format("bb"))))
    (directory / "new.xml").write_bytes(document(tree(LEAF.format("n"))))
    (directory / "sample.rf.xml").unlink()
    models.refresh()
    assert client.post("/models/leaf/score", json={"x": 1}).json() == {"c": "bb"}
    assert [item["name"] for item in client.get("/models").json()] == ["leaf", "new"]


def test_a_broken_file_leaves_the_old_model_in_service_and_is_reported(
    client: TestClient, directory: Path, models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    (directory / "leaf.pmml").write_bytes(document(tree(LEAF.format("b")))[:-20])
    (directory / "broken.pmml").write_text("broken")
    with caplog.at_level(logging.ERROR):
        models.refresh()
    assert client.post("/models/leaf/score", json={"x": 1}).json() == {"c": "a"}
    listed = {item["name"]: item for item in client.get("/models").json()}
    assert "not well-formed" in listed["leaf"]["error"]
    assert "leaf.pmml is not loaded" in caplog.text and "stays in service" in caplog.text
    response = client.post("/models/broken/score", json={"x": 1})
    assert response.status_code == 503
    assert "not well-formed" in response.json()["error"]
    assert client.get("/health").json()["models"] == 2


def test_a_file_whose_own_verification_fails_is_not_put_into_service(
    client: TestClient, directory: Path, models: Models
) -> None:
    path = directory / "checked.pmml"
    path.write_bytes(verifying("1"))
    models.refresh()
    assert client.post("/models/checked/score", json={"x": 5}).json() == {"y": 1.0}
    path.write_bytes(verifying("2.5"))
    models.refresh()
    told = next(item for item in client.get("/models").json() if item["name"] == "checked")
    assert told["error"] == 'results are not those of its ModelVerification: row 0, field y: expected "2.5", got 1.0'
    assert client.post("/models/checked/score", json={"x": 5}).json() == {"y": 1.0}


def poll(condition: Callable[[], Any], seconds: float = 30) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if result := condition():
                return result
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("it did not come about in time")


def test_the_command_serves_and_follows_changes(directory: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "pmml_worker", "serve", "--models", str(directory), "--host", "127.0.0.1"]
    process = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as web:
            poll(lambda: web.get("/health").json()["models"] == 2)
            (directory / "leaf.pmml").write_bytes(document(tree(LEAF.format("changed"))))
            poll(lambda: web.post("/models/leaf/score", json={"x": 1}).json() == {"c": "changed"})
    finally:
        process.terminate()
        assert process.wait(30) in (0, -15)
