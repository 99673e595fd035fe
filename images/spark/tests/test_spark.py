"""The archive of Spark, as SPARK_ARCHIVE names it, in the image for its executors, which SPARK_EXECUTOR_IMAGE names."""

import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

IMAGE = os.environ.get("SPARK_EXECUTOR_IMAGE", "")
ARCHIVE = os.environ.get("SPARK_ARCHIVE", "")
LIMIT = 700_000_000
# Without a network but the loopback, and as the image's user, as by the Docker containerizer.
RUN = ("run", "--rm", "--interactive", "--network=none", "--hostname=localhost", "--workdir=/tmp")

pytestmark = pytest.mark.skipif(
    not (IMAGE and ARCHIVE), reason="SPARK_EXECUTOR_IMAGE and SPARK_ARCHIVE do not name what to test"
)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def in_image(*command: str) -> str:
    return docker(*RUN, IMAGE, *command)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked."""
    folder = tmp_path_factory.mktemp("spark")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    # Folders of tests are for their user only.
    for parent in (folder, folder.parent):
        parent.chmod(0o755)
    return top


def run_in_image(home: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command in the image with Spark in /opt/spark."""
    options = [f"--volume={home}:/opt/spark:ro", "--env=PYSPARK_PYTHON=/opt/pmml-worker/bin/python", IMAGE]
    return subprocess.run(
        ["docker", *RUN, *options, *command], capture_output=True, text=True, input=stdin, check=False
    )


def test_the_top_folder_has_the_name_of_the_archive(home: Path) -> None:
    assert home.name == Path(ARCHIVE).name.removesuffix(".tgz")
    assert {path.name for path in home.iterdir()} == {"bin", "jars", "licenses", "python", "sbin"}


def test_the_image_is_no_larger_than_700_megabytes_and_goes_with_the_yard_s() -> None:
    image = json.loads(docker("image", "inspect", IMAGE))[0]
    assert image["Size"] <= LIMIT
    assert image["Config"]["Labels"]["scoreyard"] == "image"
    assert image["Config"]["Labels"]["org.opencontainers.image.title"] == "spark-executor"


def test_java_and_the_worker_s_python_start() -> None:
    assert in_image("java", "--version").startswith("openjdk 17.")
    assert in_image("/opt/pmml-worker/bin/python", "--version").startswith("Python 3.11.")
    assert "spark-score" in in_image("/opt/pmml-worker/bin/pmml-worker", "--help")


def test_the_worker_s_libraries_are_whole() -> None:
    code = "import numpy, pandas, pyarrow, pyarrow.csv, pyarrow.parquet, pmml_worker.engine, pmml_worker.spark.score"
    assert in_image("/opt/pmml-worker/bin/python", "-W", "error", "-c", code) == ""


def test_the_shell_answers_the_tutorial_s_job(home: Path) -> None:
    job = "sc.parallelize(1 to 10000).filter(_ < 10).collect()\n"
    done = run_in_image(home, "/opt/spark/bin/spark-shell", "--master=local[2]", stdin=job)
    assert "Array[Int] = Array(1, 2, 3, 4, 5, 6, 7, 8, 9)" in done.stdout


def test_a_job_is_submitted_whose_python_is_the_worker_s(home: Path) -> None:
    job = """
import sys
import pyarrow
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print(spark.sparkContext.parallelize(range(1, 10001), 2).filter(lambda x: x < 10).collect())
print(spark.sparkContext.parallelize([0]).map(lambda _: sys.executable).collect())
count = lambda batches: (pyarrow.RecordBatch.from_pydict({"n": [batch.num_rows]}) for batch in batches)
print(sum(row.n for row in spark.range(1000).mapInArrow(count, "n long").collect()))
"""
    submit = "cat >job.py && /opt/spark/bin/spark-submit --master 'local[2]' job.py"
    answers = ["[1, 2, 3, 4, 5, 6, 7, 8, 9]", "['/opt/pmml-worker/bin/python']", "1000"]
    assert run_in_image(home, "sh", "-c", submit, stdin=job).stdout.splitlines() == answers


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("deploy.mesos.MesosClusterDispatcher", "--zk"),
        ("deploy.history.HistoryServer", "--properties-file"),
        ("executor.CoarseGrainedExecutorBackend", "--driver-url"),
    ],
)
def test_the_servers_start_without_what_was_left_out(home: Path, name: str, option: str) -> None:
    # Each of them prints its usage and ends with status 1 or 0.
    done = run_in_image(home, "/opt/spark/bin/spark-class", f"org.apache.spark.{name}", "--help")
    assert option in done.stdout + done.stderr
