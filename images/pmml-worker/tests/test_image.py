"""The worker's image, as named by PMML_WORKER_IMAGE: what was pruned away is not missed."""

import csv
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

IMAGE = os.environ.get("PMML_WORKER_IMAGE", "")
SAMPLE = Path(__file__).resolve().parents[3] / "pmml_worker" / "sample"
LIMIT = 250_000_000

pytestmark = pytest.mark.skipif(not IMAGE, reason="PMML_WORKER_IMAGE does not name the image to test")


def docker(*arguments: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, input=stdin).stdout


def inspect() -> dict[str, Any]:
    description: dict[str, Any] = json.loads(docker("image", "inspect", IMAGE))[0]
    return description


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("sample.rf.xml", "sample.tsv"):
        shutil.copy(SAMPLE / name, tmp_path)
    (tmp_path / "sample.csv").write_text((tmp_path / "sample.tsv").read_text().replace("\t", ","))
    tmp_path.chmod(0o777)
    return tmp_path


@pytest.fixture
def address(data: Path) -> Iterator[str]:
    """A running worker's address."""
    container = docker("run", "--detach", "--publish", "127.0.0.1::8080", "--volume", f"{data}:/models:ro", IMAGE)
    name = container.decode().strip()
    try:
        yield docker("port", name, "8080").decode().split()[-1]
    finally:
        docker("rm", "--force", name)


def expected() -> list[str]:
    with (SAMPLE / "sample.tsv").open() as file:
        return [row["predict"] for row in csv.DictReader(file, delimiter="\t")]


def test_it_is_no_larger_than_250_megabytes() -> None:
    assert inspect()["Size"] <= LIMIT


def test_it_runs_as_an_unprivileged_user_with_a_health_check_and_labels() -> None:
    config = inspect()["Config"]
    assert config["User"] == "10001:10001"
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.title"] == "pmml-worker"
    assert config["Labels"]["org.opencontainers.image.version"]
    code = "import os; print(os.getuid(), os.access('/usr', os.W_OK))"
    assert docker("run", "--rm", "--entrypoint", "python3.11", IMAGE, "-c", code) == b"10001 False\n"


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_it_scores_the_sample(data: Path, suffix: str, delimiter: str) -> None:
    volume = f"{data}:/data:ro"
    output = docker("run", "--rm", "--volume", volume, IMAGE, "score", "/data/sample.rf.xml", f"/data/sample.{suffix}")
    rows = list(csv.DictReader(output.decode().splitlines(), delimiter=delimiter))
    assert [row["label"] for row in rows] == expected()
    assert len(rows) == 200


def test_it_reads_and_writes_parquet(data: Path) -> None:
    convert = (
        "import pyarrow.csv as c, pyarrow.parquet as p;"
        "p.write_table(c.read_csv('/data/sample.csv'), '/data/in.parquet')"
    )
    show = "import pyarrow.parquet as p, json; print(json.dumps(p.read_table('/data/out.parquet').to_pylist()))"
    volume = ("--rm", "--volume", f"{data}:/data")
    docker("run", *volume, "--entrypoint", "python3.11", IMAGE, "-c", convert)
    docker("run", *volume, IMAGE, "score", "/data/sample.rf.xml", "/data/in.parquet", "--output", "/data/out.parquet")
    rows = json.loads(docker("run", *volume, "--entrypoint", "python3.11", IMAGE, "-c", show))
    assert [str(row["label"]) for row in rows] == expected()


def test_it_becomes_healthy_and_scores_over_http(address: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://{address}/health", timeout=2) as response:
                health = json.load(response)
            break
        except OSError:
            assert time.monotonic() < deadline, "no answer within 20 s"
            time.sleep(0.1)
    assert health == {"status": "ok", "models": 1}
    request = urllib.request.Request(
        f"http://{address}/models/sample.rf/score",
        data=(SAMPLE / "sample.tsv").read_bytes(),
        headers={"Content-Type": "text/tab-separated-values"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        rows = list(csv.DictReader(response.read().decode().splitlines(), delimiter="\t"))
    assert [row["label"] for row in rows] == expected()


def test_its_own_health_check_passes_while_it_serves(data: Path) -> None:
    command = ("run", "--detach", "--health-interval=1s", "--volume", f"{data}:/models:ro", IMAGE)
    name = docker(*command).decode().strip()
    try:
        deadline = time.monotonic() + 30
        while (status := docker("inspect", "--format", "{{.State.Health.Status}}", name)) != b"healthy\n":
            assert time.monotonic() < deadline, f"{status!r} after 30 s"
            time.sleep(0.2)
    finally:
        docker("rm", "--force", name)
