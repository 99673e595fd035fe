"""What runs in Spark's executors: batches of rows in, batches of results out."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pmml_worker.engine import ERROR_COLUMN, Errors, Model, load
from pmml_worker.errors import ScoringError
from pmml_worker.table import in_seconds


@dataclass(frozen=True, slots=True)
class Job:
    """What an executor must know beside the rows.

    Attributes:
        model: name of the model's file, which Spark has brought to the executor.
        columns: names of the batches' columns, in their order.
        keep: those of them that the results have too, before the scores.
        errors: what becomes of rows in error, as for `Model.score`.
        missing: texts that stand for missing values, or None if the columns have types of their own.
        as_text: whether all results are given as text.
    """

    model: str
    columns: tuple[str, ...]
    keep: tuple[str, ...]
    errors: Errors
    missing: tuple[str, ...] | None
    as_text: bool


def result_schema(model: Model, errors: Errors, as_text: bool) -> pa.Schema:
    """The Arrow schema of the scores in Spark, which has microseconds only and no times of day."""
    return pa.schema([
        field.with_type(_spark_type(pa.string() if as_text else field.type)) for field in model.result_schema(errors)
    ])  # fmt: skip


def _spark_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us")
    return pa.string() if pa.types.is_time(kind) else kind


def score_batches(job: Job, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Score the batches of a task.

    Raises:
        ScoringError: a row has no result, and errors are not collected. It tells no row's number, because rows of
            Spark's tables have none.
    """
    from pyspark import SparkFiles

    model = _load(SparkFiles.get(job.model))
    schema = result_schema(model, job.errors, job.as_text)
    for batch in batches:
        rows = pa.Table.from_batches([batch]).rename_columns(list(job.columns))
        try:
            scores = model.score(rows if job.missing is None else _without(rows, job.missing), job.errors)
        except ScoringError as error:
            raise ScoringError(error.message, field=error.field, value=error.value, element=error.element) from None
        if job.errors == "collect":
            texts = pc.replace_substring_regex(scores[ERROR_COLUMN], r"^row \d+: ", "")
            scores = scores.set_column(scores.num_columns - 1, ERROR_COLUMN, texts)
        kept = [rows[name].cast(pa.string()) if job.as_text else rows[name] for name in job.keep]
        told = [
            (in_seconds(column) if pa.types.is_string(kind) else column).cast(kind)
            for column, kind in zip(scores.columns, schema.types, strict=True)
        ]
        columns = [*kept, *told]
        if job.as_text and len(columns) == 1:
            # Spark leaves out lines that would be empty, but writes an empty text as two quotation marks.
            columns = [columns[0].fill_null("")]
        result = pa.table(columns, names=[*job.keep, *schema.names])
        yield from result.combine_chunks().to_batches()


@functools.cache
def _load(path: str) -> Model:
    """The model, loaded once in the life of a Python worker, which serves many tasks."""
    return load(path)


def _without(rows: pa.Table, missing: tuple[str, ...]) -> pa.Table:
    """Columns of text with null for the texts that stand for missing values; Spark gives empty texts as null."""
    texts = pa.array(missing, pa.string())
    columns = [column.fill_null("") for column in rows.columns]
    empty = pa.scalar(None, pa.string())
    return pa.table([pc.if_else(pc.is_in(c, texts), empty, c) for c in columns], names=rows.column_names)
