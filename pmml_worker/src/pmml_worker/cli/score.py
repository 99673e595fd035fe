"""`pmml-worker score`: a file of rows to a file of results, in pieces, so that it may be larger than memory."""

import argparse
import contextlib
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pyarrow as pa
from tqdm import tqdm

from pmml_worker.cli.document import load_file
from pmml_worker.engine import Errors, Model
from pmml_worker.errors import TableError
from pmml_worker.table import MISSING_TEXTS, Writer, format_of, open_writer, read_batches

HELP = "score the rows of a CSV, TSV, JSON lines, Parquet or Arrow file"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="PMML document")
    parser.add_argument("input", type=Path, metavar="INPUT", help="rows; the suffix tells the format")
    parser.add_argument("-o", "--output", type=Path, metavar="OUTPUT",
                        help="results; the suffix tells the format (default: standard output, in INPUT's format, "
                             "or as JSON lines if that is Parquet or Arrow)")  # fmt: skip
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
    output_kind = format_of(output) if output else "jsonl" if kind in ("parquet", "arrow") else kind
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
    writer: Writer = open_writer(sink, output_kind, model.result_schema(errors))
    rows = 0
    # One table is written while the next one is scored.
    with _progress(source) as bar, ThreadPoolExecutor(1, "pmml-writer") as pool:
        written: Future[None] | None = None
        batches = read_batches(source, kind, missing=missing, progress=bar.update, declared=model.declared)
        if model.is_sequential:
            # The file is one sequence, which no batch may break.
            whole = list(batches)
            batches = iter([pa.concat_tables(whole, promote_options="permissive")] if whole else [])
        for batch in batches:
            result: pa.Table = model.score(batch, errors, rows)
            if written is not None:
                written.result()
            written = pool.submit(writer.write, result)
            rows += batch.num_rows
            bar.set_postfix_str(f"{rows:,} rows", refresh=False)
        if written is not None:
            written.result()
    writer.close()


def _progress(source: Path) -> tqdm:
    """How much of a file is read, on standard error, if that is a terminal."""
    size = shutil.get_terminal_size()  # Some terminals tell none, and tqdm would show nothing there.
    with contextlib.suppress(OSError):  # The reader tells what is wrong with the file.
        return tqdm(
            total=source.stat().st_size, unit="B", unit_scale=True, disable=None, desc=source.name,
            ncols=size.columns, nrows=size.lines,
        )  # fmt: skip
    return tqdm(disable=True)
