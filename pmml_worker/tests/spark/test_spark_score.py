"""spark-score on a real Spark, whose two executor threads have Python processes of their own."""

import csv
import datetime
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from documents import SAMPLE, document, schema

from pmml_worker.__main__ import main

pytestmark = [
    pytest.mark.skipif("SPARK_ARCHIVE" not in os.environ, reason="no Spark: SPARK_ARCHIVE does not name its archive"),
    # Spark's Python leaves sockets to the garbage collector, and looks at versions of pandas with it.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:distutils Version classes are deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The distutils package is deprecated:DeprecationWarning"),
]

MODEL = SAMPLE / "sample.rf.xml"
ROWS = SAMPLE / "sample.tsv"
DELIMITERS = {".csv": ",", ".tsv": "\t"}

# Notes who opens a model in Spark's Python processes, which are not this one.
WATCH = """
import os, sys
def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith((".pmml", ".rf.xml")):
        with open(os.environ["OPENED_MODELS"], "a") as log:
            log.write(f"{os.getpid()}\\n")
sys.addaudithook(watch)
"""

Scored = Callable[..., Path]


@pytest.fixture(scope="module")
def opened() -> Iterator[Path]:
    """Start Spark for all tests; return the file that has a line for each time that a model was opened in a task."""
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        tarfile.open(os.environ["SPARK_ARCHIVE"]) as archive,
    ):
        archive.extractall(folder, filter="tar")
        (home,) = Path(folder).iterdir()
        (watch := Path(folder, "watch")).mkdir()
        (watch / "sitecustomize.py").write_text(WATCH)
        patch.setenv("SPARK_HOME", str(home))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        patch.setenv("PYTHONPATH", f"{watch}:{Path(__file__).parents[2] / 'src'}")
        patch.setenv("OPENED_MODELS", str(watch / "opened"))
        yield watch / "opened"


@pytest.fixture
def spark_score(opened: Path) -> Callable[..., int]:
    """The command's exit status."""

    def run(*arguments: object) -> int:
        return main(["spark-score", "--master=local[2]", "--conf=spark.ui.enabled=false", *map(str, arguments)])

    return run


@pytest.fixture
def scored(spark_score: Callable[..., int], tmp_path: Path) -> Scored:
    """Score and return OUTPUT."""

    def run(model: Path, rows: object, *arguments: object, suffix: str = ".parquet") -> Path:
        output = tmp_path / f"scored{suffix}"
        assert spark_score(model, rows, output, *arguments) == 0
        return output

    return run


def texts(folder: Path) -> list[list[str]]:
    """Lines of a folder of CSV or TSV files, split, with one header for all."""
    parts = [
        list(csv.reader(path.read_text().splitlines(keepends=True), delimiter=DELIMITERS[folder.suffix]))
        for path in sorted(folder.glob("part-*"))
    ]
    assert len({tuple(part[0]) for part in parts}) == 1
    return [parts[0][0], *(line for part in parts for line in part[1:])]


def by_cli(model: Path, rows: Path, output: Path, *arguments: str) -> Path:
    assert main(["score", str(model), str(rows), "-o", str(output), *arguments]) == 0
    return output


def many_rows(path: Path, count: int) -> Path:
    """Rows of the sample's fields, some missing."""
    lines = [f"{i % 2}{DELIMITERS[path.suffix]}{i % 3 or ''}{DELIMITERS[path.suffix]}{i % 5 % 2}" for i in range(count)]
    path.write_text("\n".join([DELIMITERS[path.suffix].join(("var0", "var1", "var2")), *lines]) + "\n")
    return path


OUTPUTS = {
    "i2": ("integer", '<FieldRef field="i"/>'),
    "b2": ("boolean", '<FieldRef field="b"/>'),
    "d2": ("date", '<FieldRef field="d"/>'),
    "t2": ("dateTime", '<FieldRef field="t"/>'),
    "u2": ("time", '<Constant dataType="time">12:30:01</Constant>'),
    "s2": ("string", '<FieldRef field="s"/>'),
}
RESULTS = f"""<RegressionModel functionName="regression">{schema("y")}<Output>
<OutputField name="the.value" optype="continuous" dataType="double" feature="predictedValue"/>
{
    "".join(
        f'<OutputField name="{n}" optype="ordinal" dataType="{t}" feature="transformedValue">{e}</OutputField>'
        for n, (t, e) in OUTPUTS.items()
    )
}
</Output>
<RegressionTable intercept="0.1"><NumericPredictor name="x" coefficient="3"/></RegressionTable>
</RegressionModel>"""


@pytest.fixture
def typed(tmp_path: Path) -> Path:
    """A model with results of every type."""
    (path := tmp_path / "typed.pmml").write_bytes(document(RESULTS))
    return path


TYPED_ROWS = 'x,i,b,d,t,s\n1,7,true,2026-11-22,2026-11-22T14:00:01,"a ""b"", c "\n1e-7,,,,,\n'


def test_the_sample_is_scored_as_its_forest_predicts(scored: Scored) -> None:
    got = texts(scored(MODEL, ROWS, "--keep", "order_id", "--keep", "predict", suffix=".tsv"))
    assert got[0] == ["order_id", "predict", "label"]
    assert [line[0] for line in got[1:]] == [line.split("\t")[4] for line in ROWS.read_text().splitlines()[1:]]
    assert [line[1] for line in got[1:]] == [line[2] for line in got[1:]]
    assert len(got) == 201


def test_many_partitions_give_what_the_command_line_gives(scored: Scored, opened: Path, tmp_path: Path) -> None:
    rows = many_rows(tmp_path / "rows.csv", 120_000)
    opened.unlink(missing_ok=True)
    output = scored(MODEL, rows, "--conf", "spark.sql.files.maxPartitionBytes=100k", suffix=".csv")
    assert len(list(output.glob("part-*.csv"))) >= 7
    expected = by_cli(MODEL, rows, tmp_path / "expected.csv").read_text().splitlines()
    assert [text for (text,) in texts(output)] == expected
    assert expected.count("") > 0
    assert not list(tmp_path.glob(".*"))

    # The model is loaded once in the life of a Python process, however many tasks it has.
    processes = opened.read_text().splitlines()
    assert 1 <= len(processes) == len(set(processes)) <= 2


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_every_type_is_that_of_the_command_line_except_times_of_day(
    scored: Scored, typed: Path, tmp_path: Path, suffix: str
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text(TYPED_ROWS)
    output = scored(typed, rows, suffix=suffix)
    expected = by_cli(typed, rows, tmp_path / f"expected{suffix}")
    if suffix != ".parquet":
        assert texts(output) == list(csv.reader(expected.read_text().splitlines(), delimiter=DELIMITERS[suffix]))
        return
    got = pq.read_table(output)
    assert dict(zip(got.schema.names, map(str, got.schema.types), strict=True)) == {
        "y": "double", "the.value": "double", "i2": "int64", "b2": "bool", "d2": "date32[day]",
        "t2": "timestamp[us]", "u2": "string", "s2": "string",
    }  # fmt: skip
    assert got.to_pylist() == [row | {"u2": "12:30:01"} for row in pq.read_table(expected).to_pylist()]
    assert got["t2"].to_pylist() == [datetime.datetime(2026, 11, 22, 14, 0, 1), None]


def test_columns_of_parquet_keep_their_types(scored: Scored, typed: Path, tmp_path: Path) -> None:
    moment = datetime.datetime(2026, 11, 22, 14, tzinfo=datetime.UTC)
    table = pa.table({
        "order.id": pa.array([1, None], pa.int32()), "x": [0.5, None], "b": [True, None],
        "t": pa.array([moment, None], pa.timestamp("us", "UTC")), "unused": [["nested"], []],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "rows.parquet")
    got = pq.read_table(scored(typed, tmp_path / "rows.parquet", "--keep", "order.id", "--keep", "t"))
    assert got.schema.field("order.id").type == pa.int32()
    assert got["order.id"].to_pylist() == [1, None]
    assert got["t"].to_pylist() == [moment, None]
    expected = pq.read_table(by_cli(typed, tmp_path / "rows.parquet", tmp_path / "expected.parquet"))
    assert got["the.value"].to_pylist() == expected["the.value"].to_pylist() == [1.6, None]
    assert got["t2"].to_pylist() == [moment.replace(tzinfo=None), None]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_no_rows_give_the_columns_of_the_results(scored: Scored, typed: Path, tmp_path: Path, suffix: str) -> None:
    rows = tmp_path / f"rows{suffix}"
    table = pa.table({"x": pa.array([], pa.string()), "s": pa.array([], pa.string())})
    if suffix == ".csv":
        rows.write_text("x,s\n")
    else:
        pq.write_table(table, rows)
    output = scored(typed, rows, "--keep", "x", suffix=suffix)
    if suffix == ".csv":
        assert texts(output) == [["x", "y", "the.value", "i2", "b2", "d2", "t2", "u2", "s2"]]
    else:
        got = pq.read_table(output)
        assert (got.num_rows, got.schema.field("i2").type, got.schema.field("x").type) == (0, pa.int64(), pa.string())


def test_missing_values_may_be_written_otherwise(scored: Scored, typed: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("x,s\n?,NA\n,\n2,?\n")
    for arguments in ([], ["--missing", "?"]):
        expected = pq.read_table(by_cli(typed, rows, tmp_path / "expected.parquet", "--errors", "collect", *arguments))
        got = pq.read_table(scored(typed, rows, "--errors", "collect", "--overwrite", *arguments))
        assert got["s2"].to_pylist() == expected["s2"].to_pylist()
        assert got["y"].to_pylist() == expected["y"].to_pylist()


def test_a_row_in_error_is_told_in_one_line_and_leaves_no_output(
    spark_score: Callable[..., int], typed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text("id,x\na,1\nb,one\n")
    before = set(tmp_path.iterdir())
    assert spark_score(typed, rows, output) == 1
    error = capfd.readouterr().err
    assert 'pmml-worker: field x: value "one" is no double' in error
    assert "\tat " not in error and "Traceback" not in error
    assert set(tmp_path.iterdir()) == before

    assert spark_score(typed, rows, output, "--errors", "collect", "--keep", "id") == 0
    got = [dict(zip(texts(output)[0], line, strict=True)) for line in texts(output)[1:]]
    assert [(row["id"], row["y"]) for row in got] == [("a", "3.1"), ("b", "")]
    assert got[0]["_error"] == ""
    assert got[1]["_error"].startswith('field x: value "one" is no double')
    assert "2 rows, " in capfd.readouterr().err


def test_output_is_replaced_only_on_demand_and_only_by_complete_results(
    spark_score: Callable[..., int], typed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good, bad, output = tmp_path / "good.csv", tmp_path / "bad.csv", tmp_path / "out put.csv"
    good.write_text("x\n1\n")
    bad.write_text("x\none\n")
    assert spark_score(typed, good, output) == 0
    first = texts(output)
    assert spark_score(typed, good, output) == 1
    assert f"OUTPUT file:{output} exists; give --overwrite" in capfd.readouterr().err
    assert spark_score(typed, bad, output, "--overwrite") == 1
    assert texts(output) == first
    good.write_text("x\n2\n")
    assert spark_score(typed, good, output, "--overwrite") == 0
    assert [line[0] for line in texts(output)] == ["y", "6.1"]
    assert len(list(tmp_path.glob("*out put*"))) == 1


def test_only_results_of_a_job_are_replaced(
    spark_score: Callable[..., int], typed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (rows := tmp_path / "rows.csv").write_text("x\n1\n")
    (home := tmp_path / "home").mkdir()
    (home / "precious").touch()
    for output in (home, rows):
        assert spark_score(typed, rows, output, "--overwrite", "--output-format", "csv") == 1
        assert f"OUTPUT file:{output} is no result of a job" in capfd.readouterr().err
    assert (home / "precious").exists() and rows.exists()


def test_a_model_without_fields_scores_every_row(scored: Scored, tmp_path: Path) -> None:
    (model := tmp_path / "constant.pmml").write_bytes(document(
        '<RegressionModel functionName="regression"><MiningSchema><MiningField name="y" usageType="target"/>'
        '</MiningSchema><RegressionTable intercept="4"/></RegressionModel>'
    ))  # fmt: skip
    (rows := tmp_path / "rows.csv").write_text("a,b\n1,2\n3,4\n")
    assert pq.read_table(scored(model, rows))["y"].to_pylist() == [4.0, 4.0]


def test_a_folder_or_a_glob_is_one_input(scored: Scored, typed: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "some rows").mkdir()
    for number in (1, 2):
        (folder / f"{number}.txt").write_text(f"x;\n{number};\n".replace(";", "\ts"))
    for source in (folder, f"{folder}/*.txt", f"file://{folder}"):
        got = pq.read_table(scored(typed, source, "--input-format", "tsv", "--overwrite"))
        assert sorted(got["y"].to_pylist()) == [3.1, 6.1]


def test_fields_without_a_column_are_told_and_missing(
    scored: Scored, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("var0,VAR1,var2\n1,1,1\n")
    got = pq.read_table(scored(MODEL, rows))
    assert got.to_pylist() == pq.read_table(by_cli(MODEL, rows, tmp_path / "expected.parquet")).to_pylist()
    assert f"INPUT {rows} has no var1: scored as missing" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/no.pmml", ROWS, "{tmp}/out.tsv"], "MODEL file:{tmp}/no.pmml: no such file"),
        ([SAMPLE, ROWS, "{tmp}/out.tsv"], f"MODEL file:{SAMPLE}: no such file"),
        ([ROWS, ROWS, "{tmp}/out.tsv"], f"MODEL file:{ROWS}: line 1: not well-formed"),
        ([MODEL, "{tmp}/no.csv", "{tmp}/out.tsv"], "INPUT file:{tmp}/no.csv: no such file or folder"),
        ([MODEL, "{tmp}/*.csv", "{tmp}/out.tsv"], "INPUT file:{tmp}/*.csv: no such file or folder"),
        ([MODEL, ROWS, "{tmp}/out.jsonl"], "OUTPUT {tmp}/out.jsonl: the suffix is none of .csv, .tsv, .parquet, .pq; "
                                           "give --output-format"),
        ([MODEL, "{tmp}", "{tmp}/out.csv"], "INPUT {tmp}: the suffix is none of .csv"),
        ([MODEL, ROWS, "{tmp}/out.csv", "--keep", "id"], 'has no column "id" to keep; it has label, var0'),
        ([MODEL, ROWS, "{tmp}/out.csv", "--keep", "label"], 'column "label" cannot be kept'),
        ([MODEL, ROWS, "{tmp}/out.csv", "--input-format", "csv"], "has none of the model's fields var0, var1, var2"),
        ([MODEL, "hdfs://nowhere.invalid/rows.csv", "{tmp}/out.csv"], "Spark: "),
        ([MODEL, "no-such-scheme:/rows.csv", "{tmp}/out.csv"], 'No FileSystem for scheme "no-such-scheme"'),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told_in_one_line(
    spark_score: Callable[..., int],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: list[Any],
    message: str,
) -> None:
    assert spark_score(*(str(argument).replace("{tmp}", str(tmp_path)) for argument in arguments)) == 1
    error = capfd.readouterr().err
    assert message.replace("{tmp}", str(tmp_path)) in error
    assert error.count("pmml-worker: ") == 1
    assert "\tat " not in error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["x,s\n1\n"], "Malformed CSV record: 1"),
        (["x,s\n1,a,b\n"], "Malformed CSV record: 1"),
        (["x,s\n1,a\n", "s,x\na,1\n"], "CSV header does not conform"),
        (["x,x,z\n1,2,3\n"], "CSV header does not conform"),
        (['x,s\n1,"a ""b"" "\n1,"a\n2,b"\n'], "which this line's does not: 1,\"a; write such tables as Parquet"),
        ([""], "the file is empty; its first line must name fields"),
    ],
)
def test_files_that_are_no_table_are_refused(
    spark_score: Callable[..., int],
    typed: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    files: list[str],
    message: str,
) -> None:
    (folder := tmp_path / "rows").mkdir()
    for number, text in enumerate(files):
        (folder / f"{number}.csv").write_text(text)
    assert spark_score(typed, folder, tmp_path / "out.csv", "--input-format", "csv") == 1
    error = capfd.readouterr().err
    assert message in error
    assert "\tat " not in error
    assert not (tmp_path / "out.csv").exists()


def test_wrong_settings_are_wrong_usage(spark_score: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        spark_score(MODEL, ROWS, "out.csv", "--conf", "spark.executor.memory")
    assert exit_status.value.code == 2
    assert '"spark.executor.memory" is no KEY=VALUE' in capsys.readouterr().err


def test_settings_reach_spark_from_the_command_line(scored: Scored, tmp_path: Path) -> None:
    events = tmp_path / "events"
    events.mkdir()
    scored(MODEL, ROWS, "--name", "Orders", "--conf", "spark.eventLog.enabled=true",
           "--conf", f"spark.eventLog.dir={events}")  # fmt: skip
    (log,) = events.iterdir()
    assert '"App Name":"Orders"' in log.read_text()


def test_a_folder_without_spark_is_told(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "pmml_worker", "spark-score", MODEL, ROWS, "out.csv"],
        env=os.environ | {"SPARK_HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 1
    assert f"pmml-worker: no Spark with Python in {tmp_path}; SPARK_HOME names the folder" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_jvm_that_does_not_start_is_told(opened: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "pmml_worker", "spark-score", MODEL, ROWS, "out.csv"]
    result = subprocess.run([*command, "--conf", "spark.driver.memory=1k"], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pmml-worker: Spark: [JAVA_GATEWAY_EXITED]" in result.stderr
    assert "Traceback" not in result.stderr


def test_spark_submit_takes_it_as_an_application(opened: Path, tmp_path: Path) -> None:
    application = Path(__file__).parents[2] / "src" / "pmml_worker" / "spark" / "submit.py"
    command: list[str | Path] = [
        Path(os.environ["SPARK_HOME"], "bin", "spark-submit"),
        "--master",
        "local[2]",
        application,
    ]
    environment = os.environ | {"PYSPARK_PYTHON": sys.executable}
    result = subprocess.run(
        [*command, MODEL, ROWS, tmp_path / "out.tsv"], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(texts(tmp_path / "out.tsv")) == 201
    again = subprocess.run(
        [*command, MODEL, ROWS, tmp_path / "out.tsv"], env=environment, capture_output=True, text=True, check=False
    )
    assert again.returncode == 1
    assert "exists; give --overwrite" in again.stdout
