"""Tables at the edges: Arrow, pandas, Polars, lists of dicts and files in; the same kind out."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from pmml_worker.errors import TableError
from pmml_worker.schema.elements import DataType
from pmml_worker.transform.column import Column, Lists, from_texts
from pmml_worker.transform.values import storage

MISSING_TEXTS = ("", "NA")
"""What stands for a missing value in text files unless the caller says otherwise."""


# --- Columns ---------------------------------------------------------------------------------------------------------


_NUMBERS = {"double": pa.float64(), "float": pa.float32(), "integer": pa.int64()}


def from_arrow(array: pa.ChunkedArray | pa.Array, name: str, wanted: DataType | None = None) -> Column:
    """An Arrow column as the engine holds it, of the type that it has.

    Args:
        array: the column.
        name: what errors call it.
        wanted: the type that its field is declared with; texts that are all plain numbers are read as such.

    Raises:
        TableError: the column holds lists, structures or other values that no PMML data type is for.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    kind = array.type
    if pa.types.is_null(kind):
        return from_texts([None] * len(array))
    missing = None
    if array.null_count:
        missing = array.is_null().to_numpy(zero_copy_only=False)
    if wanted in _NUMBERS and _is_text(kind):
        with contextlib.suppress(pa.ArrowInvalid):  # A text among them is something else; each is looked at then.
            array = array.cast(_NUMBERS[wanted])
            kind = array.type
    if pa.types.is_dictionary(kind) and not _is_text(kind.value_type):
        array, kind = array.dictionary_decode(), kind.value_type
    if _is_text(kind) or pa.types.is_dictionary(kind):
        encoded = array if pa.types.is_dictionary(kind) else array.dictionary_encode()
        codes = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int32)
        return Column("string", codes, missing, tuple(encoded.dictionary.to_pylist()) or ("",))
    if pa.types.is_boolean(kind):
        return Column("boolean", array.fill_null(False).to_numpy(zero_copy_only=False), missing)
    if pa.types.is_integer(kind):
        if pa.types.is_uint64(kind):
            array = array.cast(pa.int64())
        return Column("integer", array.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64), missing)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        data_type: DataType = "float" if pa.types.is_float32(kind) else "double"
        values = array.cast(pa.float32() if data_type == "float" else pa.float64()).to_numpy(zero_copy_only=False)
        return Column(data_type, values, missing)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _from_lists(array, name)
    with contextlib.suppress(pa.ArrowInvalid):
        if pa.types.is_date(kind):
            days = array.cast(pa.date32()).cast(pa.int32()).fill_null(0)
            return Column("date", days.to_numpy(zero_copy_only=False).astype(np.int64), missing)
        if pa.types.is_timestamp(kind):
            stamps = array.cast(pa.timestamp("us")).cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
            return Column("dateTime", stamps, missing)
        if pa.types.is_time(kind):
            times = array.cast(pa.time64("us")).cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
            return Column("time", times, missing)
    raise TableError(f'column "{name}" is of Arrow type {kind}, which no PMML data type is for; convert it first')


def _from_lists(array: pa.Array, name: str) -> Column:
    """A column of lists, as items of a transaction come: each as a text of JSON, and their categories marked so."""
    elements = array.values
    try:
        texts = elements.cast(pa.string()).fill_null("")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise TableError(
            f'column "{name}" is of Arrow type {array.type}; only lists of single values can be read'
        ) from None
    for special in ("\\", '"'):
        texts = pc.replace_substring(texts, special, "\\" + special)
    lists = pa.ListArray.from_arrays(array.offsets.cast(pa.int32()), texts)
    joined = pc.binary_join(lists, '","')
    joined = pc.binary_join_element_wise('["', joined, '"]', "").fill_null('[""]')
    encoded = from_arrow(joined, name)
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    return replace(encoded, missing=missing, categories=Lists(encoded.categories or ()))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def arrow_type(data_type: DataType) -> pa.DataType:
    """The Arrow type that results of a PMML data type are given out in."""
    match data_type:
        case "date":
            return pa.date32()
        case "dateTime":
            return pa.timestamp("us")
        case "time":
            return pa.time64("us")
    return {
        "text": pa.string(),
        "integer": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "boolean": pa.bool_(),
    }[storage(data_type)]


def to_arrow(column: Column) -> pa.Array:
    """A column as Arrow's; missing values and faulty rows become null."""
    mask = column.missing
    if column.fault is not None:
        faulty = column.fault != 0
        mask = faulty if mask is None else mask | faulty
    if column.categories is not None:
        codes = pa.array(column.values, pa.int32(), mask=mask)
        return pa.DictionaryArray.from_arrays(codes, pa.array(column.categories, pa.string())).dictionary_decode()
    kind = arrow_type(column.data_type)
    values = column.values
    if column.data_type == "date":
        values = values.astype(np.int32)
    return pa.array(values, mask=mask).cast(kind) if kind != pa.bool_() else pa.array(values, kind, mask=mask)


# --- Kinds of tables -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Source:
    """A table of any kind, as Arrow, and how to give a result in that kind."""

    table: pa.Table
    restore: Callable[[pa.Table], Any]


def open_table(table: Any) -> Source:
    """Understand a pyarrow.Table or RecordBatch, a pandas or Polars DataFrame, or a list of dicts.

    Raises:
        TableError: it is none of these.
    """
    if isinstance(table, pa.RecordBatch):
        return Source(pa.Table.from_batches([table]), lambda result: result)
    if isinstance(table, pa.Table):
        return Source(table, lambda result: result)
    module = type(table).__module__.partition(".")[0]
    if module == "pandas" and hasattr(table, "columns"):
        index = table.index
        plain = pa.table({str(name): _from_pandas(table[name], str(name)) for name in table.columns})

        def to_pandas(result: pa.Table) -> Any:
            frame = result.to_pandas()
            frame.index = index
            return frame

        return Source(plain, to_pandas)
    if module == "polars" and hasattr(table, "to_arrow"):
        import polars

        return Source(table.to_arrow(), lambda result: polars.from_arrow(result))
    if isinstance(table, Sequence) and not isinstance(table, str | bytes):
        return Source(from_rows(table), lambda result: result.to_pylist())
    raise TableError(
        f"a {type(table).__name__} cannot be scored; give a pyarrow.Table, a pandas or Polars DataFrame, "
        "or a list of dicts"
    )


def _from_pandas(series: Any, name: str) -> pa.Array:
    try:
        return pa.Array.from_pandas(series)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return mixed_array(series.tolist(), name)


def from_rows(rows: Sequence[Any]) -> pa.Table:
    """A list of dicts as a table; a key that a row leaves out, None and NaN are missing.

    Raises:
        TableError: a row is no dict, or a value is none that a table can hold.
    """
    names: dict[str, None] = {}
    for position, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise TableError(f"row {position} is a {type(row).__name__}, not an object of fields and values")
        names.update(dict.fromkeys(row))
    columns = {str(name): mixed_array([row.get(name) for row in rows], str(name)) for name in names}
    if not columns:
        return pa.table({"": pa.nulls(len(rows))})
    return pa.table(columns)


def mixed_array(values: list[Any], name: str) -> pa.Array:
    """Values of one column; where their types differ, all are written as text."""
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    texts: list[str | None] = []
    for row, value in enumerate(values):
        if value is None or value != value:
            texts.append(None)
        elif isinstance(value, bool):
            texts.append("true" if value else "false")
        elif isinstance(value, str | int | float):
            texts.append(str(value))
        else:
            raise TableError(f'row {row}, field "{name}": a {type(value).__name__} is no value of a field')
    return pa.array(texts, pa.string())


# --- Files -----------------------------------------------------------------------------------------------------------


class Writer(Protocol):
    """Takes tables one after the other and makes one file of them."""

    def write(self, table: pa.Table) -> None:
        """Append a table."""

    def close(self) -> None:
        """Finish the file."""


FORMATS = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet",
    ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip


def format_of(path: Path) -> str:
    """The format that a file's suffix stands for.

    Raises:
        TableError: the suffix is none of those known.
    """
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError:
        raise TableError(f"{path}: the suffix is none of {', '.join(FORMATS)}") from None


def read_batches(
    source: Path | IO[bytes],
    kind: str,
    block_bytes: int = 1 << 24,
    missing: Iterable[str] = MISSING_TEXTS,
    progress: Callable[[int], object] = lambda _: None,
    declared: Mapping[str, DataType] | None = None,
) -> Iterator[pa.Table]:
    """Read a file in pieces. Columns of CSV and TSV stay text, to be read as what the model declares.

    Args:
        source: the file; Parquet and Arrow need one that can be sought in.
        kind: one of the values of `FORMATS`.
        block_bytes: about how much of a text file makes a piece.
        missing: texts that stand for missing values in CSV and TSV.
        progress: called after each piece with the number of bytes that were read for it.
        declared: types of fields; columns of numbers are read as such from CSV and TSV, as long as all of them are.

    Raises:
        TableError: the file cannot be read as that format.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(source.open("rb")) if isinstance(source, Path) else source
            match kind:
                case "csv" | "tsv":
                    types = {name: _NUMBERS[item] for name, item in (declared or {}).items() if item in _NUMBERS}
                    delimiter = "\t" if kind == "tsv" else ","
                    tables = _read_text(file, delimiter, block_bytes, tuple(missing), types)
                case "jsonl":
                    tables = _read_lines(file, block_bytes)
                case "arrow":
                    tables = _read_arrow(file)
                case _:
                    tables = _read_parquet(file)
            done = 0
            for table in tables:
                yield table
                here = file.tell()
                progress(max(here - done, 0))
                done = max(here, done)
        except (pa.ArrowInvalid, pa.ArrowTypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TableError(f"{_name(source)}: not readable as {kind}: {error}") from None
        except OSError as error:
            raise TableError(f"{_name(source)}: {error.strerror or error}") from None


def _read_parquet(file: IO[bytes]) -> Iterator[pa.Table]:
    with pyarrow.parquet.ParquetFile(file) as reader:
        for batch in reader.iter_batches(batch_size=1 << 16):
            yield pa.Table.from_batches([batch])


def _read_arrow(file: IO[bytes]) -> Iterator[pa.Table]:
    """Arrow's file format, which is Feather's too, or its stream format."""
    start = file.tell()
    is_file = file.read(6) == b"ARROW1"
    file.seek(start)
    if not is_file:
        with pa.ipc.open_stream(file) as stream:
            yield from (pa.Table.from_batches([batch]) for batch in stream)
        return
    with pa.ipc.open_file(file) as reader:
        for index in range(reader.num_record_batches):
            yield pa.Table.from_batches([reader.get_batch(index)])


def _read_text(
    file: IO[bytes], delimiter: str, size: int, missing: tuple[str, ...], types: Mapping[str, pa.DataType]
) -> Iterator[pa.Table]:
    first_line = file.readline()
    file.seek(0)
    names = _header(first_line, delimiter)
    if not names:
        raise TableError(f"{_name(file)}: the file is empty; its first line must name fields")
    repeated = {name for name in names if names.count(name) > 1}
    if repeated:
        raise TableError(f'{_name(file)}: column "{min(repeated)}" stands twice in the header')
    kinds = {name: types.get(name, pa.string()) for name in names}
    done = 0
    if types:
        with contextlib.suppress(pa.ArrowInvalid):
            for table in _text_tables(file, delimiter, size, missing, kinds):
                done += table.num_rows
                yield table
            return
        # A number is written in a way of its own, or is none: from there on every column is of texts.
        file.seek(0)
    for table in _text_tables(file, delimiter, size, missing, dict.fromkeys(names, pa.string())):
        known = min(done, table.num_rows)
        done -= known
        if known < table.num_rows:
            yield table.slice(known)


def _text_tables(
    file: IO[bytes], delimiter: str, size: int, missing: tuple[str, ...], types: Mapping[str, pa.DataType]
) -> Iterator[pa.Table]:
    reader = pyarrow.csv.open_csv(
        file,
        read_options=pyarrow.csv.ReadOptions(block_size=size),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types,
            null_values=list(missing),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    with reader:
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _name(source: Path | IO[bytes]) -> str:
    return str(source if isinstance(source, Path) else getattr(source, "name", "the table"))


def _header(line: bytes, delimiter: str) -> list[str]:
    return next(csv.reader([line.decode("utf-8-sig")], delimiter=delimiter), [])


def _read_lines(file: IO[bytes], size: int) -> Iterator[pa.Table]:
    while lines := file.readlines(size):
        rows = [json.loads(line) for line in lines if line.strip()]
        if rows:
            yield from_rows(rows)


class _JsonLines:
    def __init__(self, sink: IO[bytes]) -> None:
        self.sink = sink

    def write(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            self.sink.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")

    def close(self) -> None:
        self.sink.flush()


def in_seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column; of times in seconds, if none has a fraction of one, so that its texts have none either."""
    kind = column.type
    if not (pa.types.is_time64(kind) or pa.types.is_timestamp(kind)):
        return column
    try:
        return column.cast(pa.time32("s") if pa.types.is_time64(kind) else pa.timestamp("s", kind.tz))
    except pa.ArrowInvalid:
        return column


class _Text:
    def __init__(self, sink: IO[bytes], schema: pa.Schema, delimiter: str) -> None:
        self.sink = sink
        self.delimiter = delimiter
        self.special = f'[{delimiter}"\r\n]'
        # Arrow quotes every name of a header, needed or not.
        header = io.StringIO()
        csv.writer(header, delimiter=delimiter, lineterminator="\n").writerow(schema.names)
        sink.write(header.getvalue().encode())

    def write(self, table: pa.Table) -> None:
        # Arrow quotes all texts or none; most tables need none.
        table = pa.table([in_seconds(column) for column in table.columns], names=table.column_names)
        texts = [column for column in table.columns if pa.types.is_string(column.type)]
        quoted = any(pc.any(pc.match_substring_regex(column, self.special)).as_py() for column in texts)
        options = pyarrow.csv.WriteOptions(
            include_header=False, delimiter=self.delimiter, quoting_style="needed" if quoted else "none"
        )
        pyarrow.csv.write_csv(table, self.sink, options)

    def close(self) -> None:
        self.sink.flush()


class _Parquet:
    def __init__(self, sink: IO[bytes], schema: pa.Schema) -> None:
        self.writer = pyarrow.parquet.ParquetWriter(sink, schema)

    def write(self, table: pa.Table) -> None:
        self.writer.write_table(table)

    def close(self) -> None:
        self.writer.close()


class _Arrow:
    def __init__(self, sink: IO[bytes], schema: pa.Schema) -> None:
        self.writer = pa.ipc.new_file(sink, schema)

    def write(self, table: pa.Table) -> None:
        self.writer.write_table(table)

    def close(self) -> None:
        self.writer.close()


def open_writer(sink: IO[bytes], kind: str, schema: pa.Schema) -> Writer:
    """Begin a file of some format."""
    match kind:
        case "csv":
            return _Text(sink, schema, ",")
        case "tsv":
            return _Text(sink, schema, "\t")
        case "jsonl":
            return _JsonLines(sink)
        case "arrow":
            return _Arrow(sink, schema)
        case _:
            return _Parquet(sink, schema)


def with_missing_texts(column: Column, missing: frozenset[str]) -> Column:
    """A column of texts in which some texts stand for missing values."""
    if column.categories is None or missing.isdisjoint(column.categories):
        return column
    gone = np.array([text in missing for text in column.categories], np.bool_)[column.values]
    return column.with_missing(gone)
