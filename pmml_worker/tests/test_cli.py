import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from documents import FIELDS, SAMPLE, document, tree, verifying

from pmml_worker.__main__ import COMMANDS, main

MODEL = str(SAMPLE / "sample.rf.xml")
ROWS = SAMPLE / "sample.tsv"


def expected() -> list[str]:
    return [line.split("\t")[5] for line in ROWS.read_text().splitlines()[1:]]


def test_the_sample_is_scored_as_its_forest_predicts(tmp_path: Path) -> None:
    output = tmp_path / "scored.tsv"
    assert main(["score", MODEL, str(ROWS), "-o", str(output)]) == 0
    lines = output.read_text().splitlines()
    assert lines[0] == "label"
    assert lines[1:] == expected()
    assert len(lines) == 201
    assert list(tmp_path.iterdir()) == [output]


def test_the_sample_is_what_its_generator_makes(tmp_path: Path) -> None:
    generator = tmp_path / "make_sample.py"
    generator.write_text((SAMPLE / "make_sample.py").read_text())
    subprocess.run([sys.executable, str(generator)], check=True)
    for name in ("sample.tsv", "sample.rf.xml"):
        assert (tmp_path / name).read_text() == (SAMPLE / name).read_text()


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet", ".arrow"])
def test_every_format_is_read_and_written(tmp_path: Path, suffix: str) -> None:
    lines = [line.split("\t")[1:4] for line in ROWS.read_text().splitlines()]
    rows = [dict(zip(lines[0], map(float, line), strict=True)) for line in lines[1:]]
    source, output = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    if suffix == ".jsonl":
        source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), source)
    elif suffix == ".arrow":
        feather.write_feather(pa.Table.from_pylist(rows), source)
    else:
        source.write_text("\n".join({".csv": ",", ".tsv": "\t"}[suffix].join(line) for line in lines) + "\n")
    assert main(["score", MODEL, str(source), "-o", str(output)]) == 0
    if suffix == ".parquet":
        got = pq.read_table(output)["label"].to_pylist()
    elif suffix == ".arrow":
        got = feather.read_table(output)["label"].to_pylist()
    elif suffix == ".jsonl":
        got = [json.loads(line)["label"] for line in output.read_text().splitlines()]
    else:
        got = output.read_text().splitlines()[1:]
    assert got == expected()


NODES = """<Node score="say &quot;a&quot;, b"><True/><Node score="plain">
<SimplePredicate field="x" operator="greaterThan" value="0"/></Node></Node>"""


@pytest.fixture
def quoting(tmp_path: Path) -> Path:
    path = tmp_path / "model.pmml"
    path.write_bytes(document(tree(NODES, attributes='noTrueChildStrategy="returnLastPrediction"')))
    return path


def test_texts_are_quoted_where_they_must_be(
    quoting: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text('x,"s"\n1,"a ""quoted"" text, and\nmore"\nNA,\n')
    assert main(["score", str(quoting), str(rows)]) == 0
    assert capfdbinary.readouterr().out.decode() == 'c\n"plain"\n"say ""a"", b"\n'


def test_an_error_names_its_row_across_pieces_and_leaves_no_output(
    quoting: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, output = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text("x,s\n" + f"1,{'t' * 90}\n" * 100_000 + "one,t\n")
    assert main(["score", str(quoting), str(rows), "-o", str(output)]) == 1
    assert 'pmml-worker: row 100000: field x: value "one" is no double' in capsys.readouterr().err
    assert not output.exists()
    assert main(["score", str(quoting), str(rows), "-o", str(output), "--errors", "collect"]) == 0
    lines = output.read_text().splitlines()
    assert lines[0] == "c,_error"
    assert len(lines) == 100_002
    assert 'row 100000: field x: value ""one"" is no double' in lines[-1]


def test_missing_values_may_be_written_otherwise(
    quoting: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    rows = tmp_path / "rows.tsv"
    rows.write_text("x\ts\n?\tt\n")
    assert main(["score", str(quoting), str(rows), "--missing", "?"]) == 0
    assert capfdbinary.readouterr().out.startswith(b'c\n"say')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "nowhere.pmml", str(ROWS)], "nowhere.pmml: No such file"),
        (["score", MODEL, "rows.xlsx"], "rows.xlsx: the suffix is none of .csv, .tsv"),
        (["score", MODEL, "nowhere.csv"], "nowhere.csv: No such file"),
        (["score", str(ROWS), str(ROWS)], "sample.tsv: line 1: not well-formed"),
        (["serve", "--models", "nowhere"], "nowhere is no directory"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_inspect_shows_fields_and_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", MODEL]) == 0
    text = capsys.readouterr().out
    assert 'PMML 4.0  MiningModel  classification  "randomForest_Model"' in text
    assert "  var0  double  continuous" in text
    assert "  label  string  categorical" in text


@pytest.mark.parametrize(("given", "told"), [("12:30:01", "12:30:01"), ("12:30:01.25", "12:30:01.250000")])
def test_times_have_the_fraction_that_they_have(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], given: str, told: str
) -> None:
    path, rows = tmp_path / "model.pmml", tmp_path / "rows.csv"
    output = (
        '<Output><OutputField name="u" dataType="time" feature="transformedValue"><FieldRef field="u"/></OutputField>'
    )
    fields = f'{FIELDS}<DataField name="u" optype="continuous" dataType="time"/>'
    nodes = '<Node score="a"><True/></Node>'
    text = tree(nodes, after=f"{output}</Output>").replace("</MiningSchema>", '<MiningField name="u"/></MiningSchema>')
    path.write_bytes(document(text, fields))
    rows.write_text(f"x,u\n1,{given}\n")
    assert main(["score", str(path), str(rows)]) == 0
    assert capfdbinary.readouterr().out.decode() == f"c,u\na,{told}\n"


def test_a_stream_of_arrow_is_read_as_well_as_a_file(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    table = pa.table({name: [1.0, 0.0] for name in ("var0", "var1", "var2")})
    path = tmp_path / "rows.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    assert main(["score", MODEL, str(path)]) == 0
    assert [set(json.loads(line)) for line in capfdbinary.readouterr().out.splitlines()] == [{"label"}] * 2


def test_progress_is_shown_on_a_terminal_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pmml_worker", "score", MODEL, str(ROWS), "-o", str(tmp_path / "out.tsv")]
    plain = subprocess.run(command, stderr=subprocess.PIPE, check=True)
    assert plain.stderr == b""
    reader, terminal = pty.openpty()
    shown = subprocess.run(command, stderr=terminal, check=True)
    os.close(terminal)
    assert shown.returncode == 0
    assert b"sample.tsv: 100%" in os.read(reader, 1 << 16)
    os.close(reader)


def test_inspect_draws_the_segments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", MODEL]) == 0
    text = capsys.readouterr().out
    assert 'MiningModel "randomForest_Model" (classification): ' in text
    assert "└── segment" in text
    assert "TreeModel" in text


def test_verify_tells_what_is_not_as_expected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right, wrong = tmp_path / "right.pmml", tmp_path / "wrong.pmml"
    right.write_bytes(verifying("1"))
    wrong.write_bytes(verifying("2"))
    assert main(["verify", str(right)]) == 0
    assert main(["verify", str(right), str(wrong)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        f"{right}: 1 results of 1 rows, 0 not as expected",
        f"{wrong}: 1 results of 1 rows, 1 not as expected",
        '  row 0, field y: expected "2", got 1.0',
    ]
    assert main(["verify", MODEL]) == 1
    assert "has no <ModelVerification>" in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_a_command_imports_no_other_face() -> None:
    code = (
        "import sys; from pmml_worker.__main__ import main; main(sys.argv[1:]);"
        "print([n for n in sys.modules if n.startswith(('starlette', 'uvicorn', 'kazoo', 'pmml_worker.http'))])"
    )
    result = subprocess.run([sys.executable, "-c", code, "inspect", MODEL], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_has_enough_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pmml_worker", "score", MODEL, str(ROWS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""
    process.stderr.close()
