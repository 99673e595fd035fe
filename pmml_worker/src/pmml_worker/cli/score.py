"""`pmml-worker score`: a file of rows to a file of results, in pieces, so that it may be larger than memory."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from pmml_worker.cli.document import load_file
from pmml_worker.engine import Errors, Model
from pmml_worker.errors import TableError
from pmml_worker.table import MISSING_TEXTS, Writer, format_of, open_writer, read_batches

HELP = "score the rows of a CSV, TSV, JSON lines or Parquet file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="PMML document")
    parser.add_argument("input", type=Path, metavar="INPUT", help="rows; the suffix tells the format")
    parser.add_argument("-o", "--output", type=Path, metavar="OUTPUT",
                        help="results; the suffix tells the format (default: standard output, in INPUT's format, "
                             "or as JSON lines if that is Parquet)")  # fmt: skip
    parser.add_argument(
        "--errors",
        choices=("raise", "collect"),
        default="raise",
        help="stop at the first row in error, or give it nulls and a column _error (default: raise)",
    )
    parser.add_argument("--missing", action="append", metavar="TEXT",
                        help='text that stands for a missing value in CSV and TSV; may be given again (default: the '
                             'empty text and "NA")')  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Score the file; return the exit status."""
    model = load_file(arguments.model)
    kind = format_of(arguments.input)
    output: Path | None = arguments.output
    output_kind = format_of(output) if output else "jsonl" if kind == "parquet" else kind
    missing = tuple(arguments.missing) if arguments.missing else MISSING_TEXTS
    with _sink(output) as sink:
        _score(model, arguments.input, kind, sink, output_kind, arguments.errors, missing)
    return 0


@contextlib.contextmanager
def _sink(output: Path | None) -> Iterator[IO[bytes]]:
    """A binary file; one on disk gets its name only when it is complete."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = output.with_name(f".{output.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(output)
    except OSError as error:
        raise TableError(f"{output}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


def _score(
    model: Model, source: Path, kind: str, sink: IO[bytes], output_kind: str, errors: Errors, missing: tuple[str, ...]
) -> None:
    progress = _Progress()
    writer: Writer = open_writer(sink, output_kind, model.result_schema(errors))
    batches = read_batches(source, kind, missing=missing)
    if model.is_sequential:
        # The file is one sequence, which no batch may break.
        whole = list(batches)
        batches = iter([pa.concat_tables(whole, promote_options="permissive")] if whole else [])
    for batch in batches:
        result: pa.Table = model.score(batch, errors, progress.rows)
        writer.write(result)
        progress.add(batch.num_rows)
    writer.close()
    progress.end()


class _Progress:
    """Rows and rows per second, on a terminal's last line; nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self.rows = 0
        self.start = time.monotonic()
        self.shown = sys.stderr.isatty()

    def add(self, rows: int) -> None:
        self.rows += rows
        if self.shown:
            rate = self.rows / max(time.monotonic() - self.start, 1e-9)
            print(f"\r{self.rows:,} rows, {rate:,.0f} rows/s", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.shown and self.rows:
            print(file=sys.stderr)
