"""`pmml-worker spark-score`: files to a folder of results, by all executors that Spark has."""

from __future__ import annotations

import argparse
import functools
import sys
import time
from pathlib import PurePosixPath
from typing import Any

from pmml_worker.engine import Errors, Model, load
from pmml_worker.errors import SchemaError, TableError
from pmml_worker.spark.rows import Job, result_schema, score_batches
from pmml_worker.spark.session import Files, session
from pmml_worker.table import FORMATS, MISSING_TEXTS

HELP = "score the rows of CSV, TSV or Parquet files by a Spark job"

DELIMITERS = {"csv": ",", "tsv": "\t"}
_FORMATS = {suffix: kind for suffix, kind in FORMATS.items() if kind in (*DELIMITERS, "parquet")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    kinds = sorted(set(_FORMATS.values()))
    parser.add_argument(
        "model", metavar="MODEL", help="PMML document; a Hadoop URL, or a path in the default file system"
    )
    parser.add_argument("input", metavar="INPUT", help="rows: a file, a folder or a glob; the suffix tells the format")
    parser.add_argument("output", metavar="OUTPUT", help="folder for the results; the suffix tells the format")
    parser.add_argument("--input-format", choices=kinds, help="where INPUT has no such suffix")
    parser.add_argument("--output-format", choices=kinds, help="where OUTPUT has no such suffix")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results in OUTPUT, once the new ones are complete"
    )
    parser.add_argument("--keep", action="append", default=[], metavar="COLUMN",
                        help="column of INPUT that OUTPUT has too, before the scores; may be given again")  # fmt: skip
    parser.add_argument(
        "--errors",
        choices=("raise", "collect"),
        default="raise",
        help="stop at the first row in error, or give it nulls and a column _error (default: raise)",
    )
    parser.add_argument("--missing", action="append", metavar="TEXT",
                        help='text that stands for a missing value in CSV and TSV; may be given again (default: the '
                             'empty text and "NA")')  # fmt: skip
    parser.add_argument("--master", metavar="URL", help="Spark master (default: as Spark is configured)")
    parser.add_argument("--name", help="the application's name (default: spark-score and INPUT)")
    parser.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE", type=_setting,
                        help="Spark setting; may be given again")  # fmt: skip


def _setting(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise argparse.ArgumentTypeError(f'"{text}" is no KEY=VALUE')
    return key, value


def run(arguments: argparse.Namespace) -> int:
    """Run the job; return the exit status."""
    input_format = arguments.input_format or _format_of(arguments.input, "INPUT", "--input-format")
    output_format = arguments.output_format or _format_of(arguments.output, "OUTPUT", "--output-format")
    name = arguments.name or f"spark-score {arguments.input}"
    with session(name, arguments.master, dict(arguments.conf)) as spark:
        start = time.monotonic()
        rows = _score(spark, arguments, input_format, output_format)
        seconds = time.monotonic() - start
    print(f"{rows:,} rows, {seconds:.1f} s, {rows / seconds:,.0f} rows/s", file=sys.stderr)
    return 0


def _format_of(url: str, what: str, option: str) -> str:
    try:
        return _FORMATS[PurePosixPath(url).suffix.lower()]
    except KeyError:
        raise TableError(f"{what} {url}: the suffix is none of {', '.join(_FORMATS)}; give {option}") from None


def _score(spark: Any, arguments: argparse.Namespace, input_format: str, output_format: str) -> int:
    """Score INPUT into OUTPUT; return the number of rows."""
    from pyspark.sql import Observation
    from pyspark.sql.functions import count, lit

    files = Files(spark)
    output = files.qualified(arguments.output)
    _refuse_existing(files, output, arguments.overwrite)
    if not files.matches(arguments.input):
        raise TableError(f"INPUT {files.qualified(arguments.input)}: no such file or folder")
    model_file, model = _ship_model(spark, files, files.qualified(arguments.model))
    rows = _read(spark, arguments.input, input_format)
    names = rows.columns
    job = _job(names, model, model_file, arguments, input_format in DELIMITERS, output_format in DELIMITERS)
    # Spark would take a point in a column's name for the way into a structure.
    anonymous = rows.toDF(*(f"c{place}" for place in range(len(names))))
    selected = anonymous.select(*(f"c{names.index(name)}" for name in job.columns))
    observation = Observation()
    scored = selected.mapInArrow(functools.partial(score_batches, job), _spark_schema(rows, model, job))
    observed = scored.observe(observation, count(lit(1)).alias("rows"))
    _write(observed, files, output, output_format, arguments.overwrite)
    return int(observation.get["rows"])


def _refuse_existing(files: Files, output: str, overwrite: bool) -> None:
    if files.exists(output) and not overwrite:
        raise TableError(f"OUTPUT {output} exists; give --overwrite to replace it, or another OUTPUT")
    if files.exists(output) and not files.is_file(f"{output}/_SUCCESS"):
        raise TableError(
            f"OUTPUT {output} is no result of a job (it has no _SUCCESS); give another OUTPUT, or remove it"
        )


def _ship_model(spark: Any, files: Files, url: str) -> tuple[str, Model]:
    """Have every executor fetch the model before its first task; return its file's name there, and the model."""
    from pyspark import SparkFiles

    if not files.is_file(url):
        raise TableError(f"MODEL {url}: no such file")
    spark.sparkContext.addFile(files.encoded(url))
    name = PurePosixPath(url).name
    try:
        return name, load(SparkFiles.get(name))
    except SchemaError as error:
        raise SchemaError(f"MODEL {url}: {error}") from None


def _read(spark: Any, url: str, kind: str) -> Any:
    """INPUT as a DataFrame; columns of CSV and TSV stay text, to be read as what the model declares."""
    if kind == "parquet":
        return spark.read.parquet(url)
    # Every file's header must be that of the first, and every line must have as many values.
    options = {"header": True, "sep": DELIMITERS[kind], "escape": '"', "mode": "FAILFAST", "enforceSchema": False}
    rows = spark.read.options(**options).csv(url)
    if not rows.columns:
        raise TableError(f"INPUT {url}: the file is empty; its first line must name fields")
    if broken := _unclosed_quote(spark, url, DELIMITERS[kind]):
        raise TableError(
            f"INPUT {url}: a value in quotes must end before a line break, which this line's does not: {broken}; "
            "write such tables as Parquet"
        )
    return rows


def _unclosed_quote(spark: Any, url: str, delimiter: str) -> str | None:
    """The beginning of a line that ends within quotes: Spark, which splits files at lines, would close them."""
    from pyspark.sql.functions import col, regexp_replace

    closed = f'(^|{delimiter})"[^"]*(?:""[^"]*)*"(?={delimiter}|$)'
    lines = spark.read.text(url).filter(col("value").contains('"'))
    found = lines.filter(regexp_replace("value", closed, "$1").rlike(f'(^|{delimiter})"')).head(1)
    return str(found[0]["value"])[:80] if found else None


def _job(
    names: list[str], model: Model, model_file: str, arguments: argparse.Namespace, from_text: bool, as_text: bool
) -> Job:
    """What the executors must know, once it is sure that INPUT has it."""
    errors: Errors = arguments.errors
    keep = tuple(dict.fromkeys(arguments.keep))
    has = f"it has {', '.join(names)}"
    wanted = [field.name for field in model.inputs]
    if wanted and not set(model.columns).intersection(names):
        raise TableError(f"INPUT {arguments.input} has none of the model's fields {', '.join(wanted)}; {has}")
    if lacking := [name for name in keep if name not in names]:
        raise TableError(f'INPUT {arguments.input} has no column "{lacking[0]}" to keep; {has}')
    if twice := [name for name in result_schema(model, errors, as_text).names if name in keep]:
        raise TableError(f'column "{twice[0]}" cannot be kept: a column of the scores has this name')
    if absent := [name for name in wanted if name not in names]:
        print(f"pmml-worker: INPUT {arguments.input} has no {', '.join(absent)}: scored as missing", file=sys.stderr)
    columns = tuple(name for name in names if name in keep or name in model.columns)
    if not columns:
        columns = tuple(names[:1])  # Batches without a column would have no rows.
    missing = tuple(arguments.missing or MISSING_TEXTS) if from_text else None
    return Job(model_file, columns, keep, errors, missing, as_text)


def _spark_schema(rows: Any, model: Model, job: Job) -> Any:
    """Spark's schema of the results."""
    from pyspark.sql.pandas.types import from_arrow_schema
    from pyspark.sql.types import StringType, StructField, StructType

    kept = [StructField(name, StringType() if job.as_text else rows.schema[name].dataType) for name in job.keep]
    scores = from_arrow_schema(result_schema(model, job.errors, job.as_text), prefer_timestamp_ntz=True)
    return StructType([*kept, *scores.fields])


def _write(scored: Any, files: Files, output: str, kind: str, overwrite: bool) -> None:
    """Write the results; OUTPUT gets its name only when it is complete."""
    folder, _, name = output.rpartition("/")
    partial = f"{folder}/.{name}.{scored.sparkSession.sparkContext.applicationId}.partial"
    try:
        if kind == "parquet":
            scored.write.parquet(partial)
        else:
            options = {"header": True, "sep": DELIMITERS[kind], "escape": '"'}
            # Spark would trim texts.
            options |= {"ignoreLeadingWhiteSpace": False, "ignoreTrailingWhiteSpace": False}
            scored.write.options(**options).csv(partial)
        _refuse_existing(files, output, overwrite)
        files.delete(output)
        files.rename(partial, output)
    finally:
        files.delete(partial)
