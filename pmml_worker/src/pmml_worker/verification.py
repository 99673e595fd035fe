"""The verification of a model by the inputs and results that its document holds (ModelVerification)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import ModelVerification, VerificationField


@dataclass(frozen=True, slots=True)
class Difference:
    """A result that is not the one expected.

    Attributes:
        row: the row of the document's table, counted from 0.
        field: the target or output field; None where the row is an error.
        expected: the document's text; None where the row is an error.
        got: the result, None if it is missing; where the row is an error, its message.
    """

    row: int
    field: str | None
    expected: str | None
    got: Any

    def __str__(self) -> str:
        if self.field is None:
            return str(self.got)
        return f'row {self.row}, field {self.field}: expected "{self.expected}", got {self.got!r}'


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of a verification.

    Attributes:
        rows: how many rows the document's table has.
        checked: how many results were compared; a cell that the table leaves out is not.
        differences: those that are not as expected, row by row.
        ignored: fields of the table that the model neither takes nor gives.
    """

    rows: int
    checked: int
    differences: tuple[Difference, ...]
    ignored: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all results are as expected."""
        return not self.differences


def verify(
    element: ModelVerification,
    inputs: Sequence[str],
    outputs: Sequence[str],
    score: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
) -> Verification:
    """Score the inputs of the document's table and compare the results with those that it expects.

    Args:
        element: the verification.
        inputs: names of the fields that the model takes.
        outputs: names of the fields that it gives; a field that is both is expected.
        score: gives for each row a dict of the outputs and `_error`.

    Raises:
        SchemaError: the table has not as many rows or fields as the document says.
    """
    fields, rows = element.verification_fields.fields, element.table.rows
    for told, count, what in ((element.record_count, len(rows), "record"), (element.field_count, len(fields), "field")):
        if told is not None and told != count:
            raise SchemaError(f"<ModelVerification> {what}Count is {told}, but it holds {count} {what}s", element.line)
    columns = {field.field: (field.column or field.field).rpartition(":")[2] for field in fields}
    given = [name for name in columns if name in inputs and name not in outputs]
    table: list[dict[str, Any]] = [{name: row.cells.get(columns[name]) for name in given} for row in rows]
    results = score(table) if table else []
    checked = 0
    differences: list[Difference] = []
    for position, (row, result) in enumerate(zip(rows, results, strict=True)):
        if result["_error"] is not None:
            differences.append(Difference(position, None, None, result["_error"]))
        for field in fields:
            expected = row.cells.get(columns[field.field])
            if field.field not in outputs or expected is None:
                continue
            checked += 1
            if result["_error"] is None and not accepted(field, expected, result[field.field]):
                differences.append(Difference(position, field.field, expected, result[field.field]))
    ignored = tuple(name for name in columns if name not in inputs and name not in outputs)
    return Verification(len(rows), checked, tuple(differences), ignored)


def accepted(field: VerificationField, expected: str, got: Any) -> bool:
    """Whether a result is as expected: numbers up to the field's precision, everything else exactly.

    A number of no more than the zero threshold stands for zero, and so must the result.
    """
    if got is None:
        return expected.strip() == ""
    if isinstance(got, bool):
        return expected.strip().lower() in (("true", "1") if got else ("false", "0"))
    if isinstance(got, int | float):
        try:
            wanted = float(expected)
        except ValueError:
            return False
        if abs(wanted) <= field.zero_threshold:
            return abs(got) <= field.zero_threshold
        return wanted == got or abs(got - wanted) <= abs(wanted) * field.precision
    text = got.isoformat() if hasattr(got, "isoformat") else str(got)
    return text == expected or text == expected.strip()
