"""Documents to models, tables to results: the library's face."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa

from pmml_worker.errors import SchemaError, ScoringError, TableError
from pmml_worker.models.model import CompiledModel, Document, Result, compile_document, compile_row
from pmml_worker.models.row import Declined
from pmml_worker.schema import PMML, parse
from pmml_worker.schema.elements import DataType, OpType
from pmml_worker.schema.outline import Outline, outline
from pmml_worker.table import arrow_type, from_arrow, from_rows, open_table, to_arrow, with_missing_texts
from pmml_worker.transform.column import Codes, Column, Faults, cast_or_fault, constant, first_fault, from_texts
from pmml_worker.transform.fields import TARGET_USAGE, raw_column, typed
from pmml_worker.transform.prediction import NUMERIC_FUNCTIONS
from pmml_worker.transform.scope import Scope
from pmml_worker.verification import Verification, verify

Errors: TypeAlias = Literal["raise", "collect"]

ERROR_COLUMN = "_error"
UNNAMED_TARGET = "_target"
"""The column of a prediction whose model names neither a target nor output fields."""

_BLOCK = 1 << 15
"""Rows scored together at most: Python's share of a block is small then, and threads seldom wait for one another."""

_LEAST = 1 << 10
"""Rows that are worth a block of their own where there are threads without one."""

THREADS_VARIABLE = "PMML_WORKER_THREADS"
"""The environment variable that says how many threads score a table."""

_NUMBERLESS = frozenset({"", "NA"})
"""Texts that stand for missing values of fields that are not of text."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a model takes or gives.

    Attributes:
        name: the field's name, and its column's.
        data_type: PMML data type.
        optype: what operations make sense on it.
        values: the valid values that the document lists, as texts.
        intervals: the valid ranges, as mathematics writes them.
    """

    name: str
    data_type: DataType
    optype: OpType
    values: tuple[str, ...] = ()
    intervals: tuple[str, ...] = ()


class Model:
    """A model ready to score; it may be used by many threads at once.

    Attributes:
        inputs: the fields that the model takes, in the document's order.
        columns: names of the columns that scoring reads where a table has them: those of the inputs, and of targets and
            supplementary fields, which output fields may refer to.
        declared: the types of the fields behind `columns`, by name.
        outputs: the columns that it gives: target fields, then output fields, in the document's order.
        is_sequential: whether a row's result depends on the rows before it, as in a time series; the rows of one call
            of `score` are the sequence.
    """

    def __init__(self, document: PMML) -> None:
        if not document.models:
            raise SchemaError("the document holds no model", document.line)
        self._document: Document = compile_document(document)
        with np.errstate(all="ignore"):  # What overflows is infinite, and what is undefined is NaN: results, not news.
            self._model = CompiledModel(document.models[0], self._document, self._document.environment, True)
        self.is_sequential = self._model.is_sequential
        self.version = document.version
        self.element = type(document.models[0]).__name__
        self.name = document.models[0].model_name
        self.function = document.models[0].function_name
        used = [field for field in document.models[0].mining_schema.fields if field.name in self._document.fields]
        self.columns: tuple[str, ...] = tuple(field.name for field in used)
        self.declared: dict[str, DataType] = {name: self._document.fields[name].data_type for name in self.columns}
        self.inputs: tuple[Field, ...] = tuple(
            self._input(field.name) for field in used if field.usage_type not in (*TARGET_USAGE, "supplementary")
        )
        self._targets = [target.name for target in self._model.targets if target.name is not None]
        if not self._targets and not self._model.outputs:
            self._targets = [UNNAMED_TARGET]
        self._types = self._result_types()
        targets = tuple(Field(name, self._types[name], self._optype(name)) for name in self._targets)
        results = tuple(Field(name, self._types[name], known.optype) for name, known in self._model.outputs.items())
        self._score_row: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
        with contextlib.suppress(Declined):
            self._score_row = compile_row(self._model, self._document)
        self.outputs: tuple[Field, ...] = (*targets, *(field for field in results if field.name not in self._targets))

    def explain(self) -> Outline:
        """How the model predicts: its segments, what they hold and when they apply; `str` draws it as a tree."""
        return outline(self._model.model)

    def _input(self, name: str) -> Field:
        field = self._document.fields[name]
        values = tuple(value.value for value in field.values if value.property == "valid")
        return Field(name, field.data_type, field.optype, values, tuple(_interval(item) for item in field.intervals))

    def _optype(self, name: str) -> OpType:
        known = next((target.type for target in self._model.targets if target.name == name), None)
        if known is not None:
            return known.optype
        return "continuous" if self.function in NUMERIC_FUNCTIONS else "categorical"

    def _result_types(self) -> dict[str, DataType]:
        """The type of each result, which an empty block of rows shows where the document declares none."""
        scope = self._scope({}, 0, Faults())
        result = self._model.evaluate(scope)
        types: dict[str, DataType] = {}
        for name in self._targets:
            column = _target_column(result, name, 0)
            known = next((target.type for target in self._model.targets if target.name == name), None)
            if column is not None:
                types[name] = column.data_type
            else:
                types[name] = known.data_type if known else "string"
        for name, known_output in self._model.outputs.items():
            observed = result.outputs.get(name)
            types.setdefault(name, known_output.data_type if observed is None else observed.data_type)
        return types

    def _scope(self, columns: Mapping[str, Column], rows: int, faults: Faults) -> Scope:
        data = Scope(rows, faults, {})
        for name, field in self._document.fields.items():
            raw = columns.get(name)
            if raw is None:
                raw = raw_column(name, rows)
            elif field.data_type != "string":
                raw = with_missing_texts(raw, _NUMBERLESS)
            data.declare(name, typed(field, raw, faults))
        return data.inner(self._document.definitions)

    def score(self, table: Any, errors: Errors = "raise", first_row: int = 0, threads: int | None = None) -> Any:
        """Score every row of a table.

        Args:
            table: a pyarrow.Table, a pandas or Polars DataFrame, or a list of dicts. None, NaN and null are missing,
                and so is a field that the table does not have. Columns of text are read as the field's declared type.
            errors: what to do with rows that the standard calls an error: `"raise"` a ScoringError at the first, or
                `"collect"`: give nulls and tell the error in a column `_error`.
            first_row: the number that errors give the table's first row, where it is a piece of a larger one.
            threads: how many threads score blocks of rows at once; None: `worker_threads()`. A table of few rows stays
                on the caller's.

        Returns:
            A table of the same kind and number of rows: a column for each of `outputs`.

        Raises:
            ScoringError: a row has no result because of its values.
            TableError: the table is of no known kind, or has none of the model's inputs.
        """
        if threads is not None and threads < 1:
            raise TableError(f"threads is at least 1, not {threads}")
        if errors not in ("raise", "collect"):
            raise TableError(f'errors is "raise" or "collect", not "{errors}"')
        source = open_table(table)
        return source.restore(self._score_arrow(source.table, errors, first_row, threads))

    @property
    def is_verifiable(self) -> bool:
        """Whether the document holds a ModelVerification."""
        return self._model.model.model_verification is not None

    def verify(self) -> Verification:
        """Score the inputs of the document's ModelVerification and compare the results with those that it expects.

        Raises:
            SchemaError: the document has no ModelVerification, or it is not as large as it says.
        """
        element = self._model.model.model_verification
        if element is None:
            raise SchemaError(
                f"<{self.element}> has no <ModelVerification>; its producer must add one", self._model.model.line
            )
        names = [field.name for field in self.outputs]
        return verify(element, self.columns, names, lambda rows: self.score(rows, "collect"))

    def score_row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Score one row, given as a dict of fields and values; see `score`."""
        if self._score_row is not None:
            with contextlib.suppress(Declined):
                return self._score_row(row)
        result: dict[str, Any] = self._score_arrow(from_rows([row]), "raise", 0).to_pylist()[0]
        return result

    def _score_arrow(self, table: pa.Table, errors: Errors, first_row: int, threads: int | None = None) -> pa.Table:
        names = set(table.column_names)
        self._check_columns(table, names)
        schema = self.result_schema(errors)
        workers = worker_threads() if threads is None else max(threads, 1)
        size = max(table.num_rows, 1)
        if not self.is_sequential:
            # As many blocks for each thread, of as many rows each.
            count = workers * -(-size // (workers * _BLOCK))
            size = max(-(-size // count), _LEAST)

        def score(start: int) -> pa.Table:
            block = table.slice(start, size)
            columns = {
                name: from_arrow(block.column(name), name, declared)
                for name, declared in self.declared.items()
                if name in names
            }
            return self._score_block(columns, block.num_rows, first_row + start, errors, schema)

        starts = range(0, table.num_rows, size)
        workers = min(len(starts), workers)
        if workers <= 1:
            blocks = [score(start) for start in starts]
        else:
            # Results, and the error that is raised if there are several, are taken in the order of the rows.
            with ThreadPoolExecutor(workers, "pmml-worker") as pool:
                blocks = list(pool.map(score, starts))
        return pa.concat_tables(blocks) if blocks else schema.empty_table()

    def _check_columns(self, table: pa.Table, names: set[str]) -> None:
        repeated = [name for name in names if table.column_names.count(name) > 1]
        if repeated:
            raise TableError(f'the table has column "{min(repeated)}" more than once')
        wanted = [field.name for field in self.inputs]
        if table.num_rows and wanted and not names.intersection(self.columns):
            has = ", ".join(sorted(names)) or "nothing"
            raise TableError(f"the table has none of the model's fields {', '.join(wanted)}; it has {has}")

    def result_schema(self, errors: Errors = "raise") -> pa.Schema:
        """The Arrow schema of the results."""
        fields = [pa.field(field.name, arrow_type(field.data_type)) for field in self.outputs]
        if errors == "collect":
            fields.append(pa.field(ERROR_COLUMN, pa.string()))
        return pa.schema(fields)

    def _score_block(
        self, columns: Mapping[str, Column], rows: int, start: int, errors: Errors, schema: pa.Schema
    ) -> pa.Table:
        faults = Faults()
        with np.errstate(all="ignore"):
            result = self._model.evaluate(self._scope(columns, rows, faults))
        given: dict[str, Column] = {}
        fault: Codes | None = None
        for prediction in result.predictions.values():
            fault = first_fault(fault, prediction.value.fault)
        for field in self.outputs:
            column = result.outputs.get(field.name)
            if field.name in self._targets:
                column = _target_column(result, field.name, rows)
            if column is None:
                column = (
                    from_texts([None] * rows) if field.data_type == "string" else constant(None, field.data_type, rows)
                )
            if column.data_type != field.data_type:
                column = cast_or_fault(column, field.data_type, faults, field.name, "the result")
            fault = first_fault(fault, column.fault)
            given[field.name] = column
        failed = np.zeros(rows, np.bool_) if fault is None else fault != 0
        if failed.any() and fault is not None and errors == "raise":
            row = int(failed.argmax())
            raise _error(faults, int(fault[row]), start + row)
        arrays = [
            to_arrow(column.with_missing(failed) if fault is not None else column).cast(schema.field(name).type)
            for name, column in given.items()
        ]
        if errors == "collect":
            texts = (
                [None] * rows
                if fault is None
                else [str(_error(faults, int(code), start + row)) if code else None for row, code in enumerate(fault)]
            )
            arrays.append(pa.array(texts, pa.string()))
        return pa.table(arrays, schema=schema)


def worker_threads() -> int:
    """How many threads score a table: PMML_WORKER_THREADS or, without it, the processors that the process may use.

    Raises:
        TableError: the variable is no number of threads.
    """
    text = os.environ.get(THREADS_VARIABLE)
    if text is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not text.isdecimal() or int(text) < 1:
        raise TableError(f'{THREADS_VARIABLE} is a number of threads, at least 1, not "{text}"')
    return int(text)


def _target_column(result: Result, name: str, rows: int) -> Column | None:
    prediction = result.predictions.get(name)
    if prediction is None and name == UNNAMED_TARGET:
        prediction = next(reversed(result.predictions.values()), None)
    return None if prediction is None else prediction.value


def _error(faults: Faults, code: int, row: int) -> ScoringError:
    fault = faults[code]
    return ScoringError(fault.message, row=row, field=fault.field, value=fault.value, element=fault.element)


def _interval(interval: Any) -> str:
    left = "-inf" if interval.left_margin is None else f"{interval.left_margin:g}"
    right = "inf" if interval.right_margin is None else f"{interval.right_margin:g}"
    opening = "[" if interval.closure.startswith("closed") else "("
    return f"{opening}{left}, {right}{']' if interval.closure.endswith('Closed') else ')'}"


def load(source: str | Path | bytes | IO[bytes]) -> Model:
    """Read a PMML document and compile its first model.

    Args:
        source: a path, the document's bytes, or a binary file.

    Raises:
        SchemaError: the document is not well-formed or not valid PMML, or uses an element that is not supported.
        OSError: the file cannot be read.
    """
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return load(file)
    try:
        return Model(parse(source))
    except RecursionError:  # Single limits hold, but together they are too much.
        raise SchemaError("models, expressions and fields stand too deep in one another") from None
