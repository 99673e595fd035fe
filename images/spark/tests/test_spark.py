"""The archive of Spark, as SPARK_ARCHIVE names it, in the image for its executors, which SPARK_EXECUTOR_IMAGE names."""

import json
import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

IMAGE = os.environ.get("SPARK_EXECUTOR_IMAGE", "")
ARCHIVE = os.environ.get("SPARK_ARCHIVE", "")
LIMIT = 700_000_000
# Mesos runs executors as the framework's user, whom the image does not know.
USER = "12345:12345"

pytestmark = pytest.mark.skipif(
    not (IMAGE and ARCHIVE), reason="SPARK_EXECUTOR_IMAGE and SPARK_ARCHIVE do not name what to test"
)


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def in_image(*command: str) -> str:
    return docker("run", "--rm", "--network=none", f"--user={USER}", IMAGE, *command)


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


def run_spark(home: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of Spark in the image."""
    options = ["--rm", "--interactive", "--network=none", f"--user={USER}", "--workdir=/tmp", "--env=HOME=/tmp"]
    options += ["--env=SPARK_LOCAL_IP=127.0.0.1", "--env=PYSPARK_PYTHON=/opt/pmml-worker/bin/python"]
    options += [f"--volume={home}:/opt/spark:ro", IMAGE, f"/opt/spark/bin/{command[0]}", *command[1:]]
    return subprocess.run(["docker", "run", *options], capture_output=True, text=True, input=stdin, check=False)


def spark(home: Path, *command: str, stdin: str = "") -> str:
    """Run a command of Spark and return its output."""
    done = run_spark(home, *command, stdin=stdin)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


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
    output = spark(
        home, "spark-shell", "--master=local[2]", stdin="sc.parallelize(1 to 10000).filter(_ < 10).collect()\n"
    )
    assert "Array[Int] = Array(1, 2, 3, 4, 5, 6, 7, 8, 9)" in output


def test_python_in_jobs_is_the_worker_s(home: Path) -> None:
    code = """
import sys
import pyarrow
print(sc.parallelize(range(1, 10001), 2).filter(lambda x: x < 10).collect())
print(sc.parallelize([0]).map(lambda _: sys.executable).collect())
batches = lambda batches: (pyarrow.RecordBatch.from_pydict({"n": [batch.num_rows]}) for batch in batches)
print(sum(row.n for row in spark.range(1000).mapInArrow(batches, "n long").collect()))
"""
    output = spark(home, "pyspark", "--master=local[2]", stdin=code)
    assert "[1, 2, 3, 4, 5, 6, 7, 8, 9]" in output
    assert "['/opt/pmml-worker/bin/python']" in output
    assert re.search(r"(?m)^(>>> )*1000$", output)


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
    done = run_spark(home, "spark-class", f"org.apache.spark.{name}", "--help")
    assert option in done.stdout + done.stderr


def test_sql_with_hive_s_functions_runs(home: Path) -> None:
    assert "3" in spark(home, "spark-sql", "--master=local[1]", "-e", "SELECT 1 + 2").split()


def test_a_job_that_cannot_be_submitted_says_why(home: Path) -> None:
    done = run_spark(home, "spark-submit", "--master=mesos://127.0.0.1:5050", "/absent.py")
    assert done.returncode != 0
    assert "/absent.py" in done.stderr
