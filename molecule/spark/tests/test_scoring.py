"""`pmml-worker spark-score`: files in HDFS to files in HDFS, by all agents."""

import csv
import io
from collections.abc import Iterator

import hdfs_client
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
import spark_client
import yard
from hdfs_client import request
from spark_client import AGENTS, GATEWAY, Program, Result

SAMPLE = yard.ROOT / "pmml_worker" / "sample"
SCORE = "/opt/pmml-worker/bin/pmml-worker"
KEY = "order_id"
# The sample is small; in pieces it occupies all executors, once they are there.
PIECES = "--conf spark.sql.files.maxPartitionBytes=400 --conf spark.scheduler.minRegisteredResourcesRatio=1"


def parquet() -> bytes:
    """The sample as Parquet, in row groups that Spark can read apart."""
    with io.BytesIO() as file:
        pq.write_table(
            pc.read_csv(SAMPLE / "sample.tsv", parse_options=pc.ParseOptions(delimiter="\t")), file, row_group_size=10
        )
        return file.getvalue()


@pytest.fixture(scope="module")
def files(folder: str) -> str:
    """The folder in HDFS with the model and the sample as TSV and as Parquet."""
    contents = {path.name: path.read_bytes() for path in (SAMPLE / "sample.rf.xml", SAMPLE / "sample.tsv")}
    for name, data in {**contents, "sample.parquet": parquet()}.items():
        assert request("PUT", "CREATE", f"{folder}/{name}", data=data).ok
    return folder


@pytest.fixture(scope="module")
def expected() -> list[dict[str, str]]:
    """What `pmml-worker score` says on the gateway, with each row's key."""
    for name in ("sample.rf.xml", "sample.tsv"):
        spark_client.write(f"/tmp/{name}", (SAMPLE / name).read_text())
    scored = yard.node(GATEWAY).check_output(f"{SCORE} score /tmp/sample.rf.xml /tmp/sample.tsv")
    with (SAMPLE / "sample.tsv").open() as sample:
        keys = [row[KEY] for row in csv.DictReader(sample, delimiter="\t")]
    scores = list(csv.DictReader(io.StringIO(scored), delimiter="\t"))
    assert len(scores) == 200
    return [{KEY: key, **row} for key, row in zip(keys, scores, strict=True)]


def parts(path: str) -> Iterator[bytes]:
    """The contents of the files of a folder that Spark wrote."""
    names = [status["pathSuffix"] for status in hdfs_client.ask("LISTSTATUS", path)["FileStatus"]]
    assert "_SUCCESS" in names
    for name in (name for name in names if name.startswith("part-")):
        yield request("GET", "OPEN", f"{path}/{name}").content


def rows(path: str) -> list[dict[str, str]]:
    """The rows of a folder of TSV or Parquet files, their values as text."""
    if path.endswith(".tsv"):
        return [row for part in parts(path) for row in csv.DictReader(io.StringIO(part.decode()), delimiter="\t")]
    tables = [pq.read_table(io.BytesIO(part)) for part in parts(path)]
    return [{key: str(value) for key, value in row.items()} for row in pa.concat_tables(tables).to_pylist()]


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_all_agents_score_as_the_local_command_does(
    files: str, expected: list[dict[str, str]], name: str, suffix: str
) -> None:
    output = f"{files}/scores.{suffix}"
    what = f"{files}/sample.rf.xml {files}/sample.{suffix} {output} --keep {KEY}"
    result = spark_client.run(f"{SCORE} spark-score {what} --name {name} {PIECES}")
    assert result.status == 0, result.errors
    print(result.errors.splitlines()[-1])

    def sorted_rows(table: list[dict[str, str]]) -> list[list[tuple[str, str]]]:
        return sorted(sorted(row.items()) for row in table)

    assert sorted_rows(rows(output)) == sorted_rows(expected)
    executors = spark_client.history(f"applications/{spark_client.application(name)}/allexecutors")
    worked = {known["hostPort"].partition(":")[0] for known in executors if known["completedTasks"]}
    assert worked == set(AGENTS)


@pytest.fixture(scope="module")
def refusals(files: str) -> dict[str, Program]:
    """Commands whose OUTPUT must be refused; all begin at once."""
    model_and_input = f"{files}/sample.rf.xml {files}/sample.tsv"
    assert request("PUT", "MKDIRS", f"{files}/there.tsv").ok
    return {
        output: Program(f"{SCORE} spark-score {model_and_input} {path}")
        for output, path in {"exists": f"{files}/there.tsv", "is another user's": "/spark/scores.tsv"}.items()
    }


@pytest.mark.parametrize(
    ("output", "message"),
    [("exists", "there.tsv exists; give --overwrite"), ("is another user's", "Permission denied: user=analyst")],
)
def test_an_output_is_refused_in_a_line_when_it(refusals: dict[str, Program], output: str, message: str) -> None:
    result: Result = refusals[output].finish()
    assert result.status == 1
    assert message in result.errors.splitlines()[-1]
    assert "Traceback" not in result.errors and "\tat " not in result.errors
