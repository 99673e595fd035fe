"""Columns: what fields, expressions and results are while a block of rows is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pmml_worker.schema.elements import DataType
from pmml_worker.transform.values import (
    DAY,
    DTYPES,
    MICROSECONDS,
    Scalar,
    counts,
    epoch_days,
    format_value,
    is_temporal,
    parse,
    storage,
)

Bools: TypeAlias = npt.NDArray[np.bool_]
Ints: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.int32]
Floats: TypeAlias = npt.NDArray[np.float64]
Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """Why rows have no value: the parts of a ScoringError that do not depend on the row.

    `invalid` tells the invalid result of a function, which `invalidValueTreatment` of its Apply may avert.
    """

    message: str
    field: str | None = None
    value: Any = None
    element: str | None = None
    invalid: bool = False


@dataclass(slots=True)
class Faults:
    """The faults met in one block of rows; columns refer to them by code, 0 being none."""

    items: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> int:
        """Register a fault and return its code."""
        self.items.append(fault)
        return len(self.items)

    def __getitem__(self, code: int) -> Fault:
        return self.items[code - 1]


class Lists(tuple[str, ...]):
    """The categories of a column whose values are lists of texts: the distinct lists, in JSON."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one type, a row each.

    Attributes:
        data_type: PMML data type.
        values: shape (rows,); for text, codes into `categories`. What stands at rows without a value is of no meaning.
        missing: shape (rows,), true where there is no value; None: nowhere.
        categories: the distinct texts of a column of strings, else None.
        invalid: shape (rows,), true where the value is not a valid one of its field; None: nowhere.
        fault: shape (rows,), codes of faults, 0 where there is none; None: nowhere. A faulty row is an error only if
            its value is used.
    """

    data_type: DataType
    values: Array
    missing: Bools | None = None
    categories: Sequence[str] | None = None
    invalid: Bools | None = None
    fault: Codes | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Ints) -> Column:
        """The column of some rows, in the order given."""
        return replace(
            self,
            values=self.values[rows],
            missing=None if self.missing is None else self.missing[rows],
            invalid=None if self.invalid is None else self.invalid[rows],
            fault=None if self.fault is None else self.fault[rows],
        )

    def is_missing(self) -> Bools:
        """Shape (rows,): true where there is no value."""
        return np.zeros(len(self), np.bool_) if self.missing is None else self.missing

    def with_missing(self, missing: Bools | None) -> Column:
        """The column, missing in more rows."""
        return self if missing is None else replace(self, missing=either(self.missing, missing))

    def with_fault(self, fault: Codes | None) -> Column:
        """The column, with faults where it had none of its own."""
        return self if fault is None else replace(self, fault=first_fault(self.fault, fault))

    def texts(self) -> npt.NDArray[np.object_]:
        """The values as texts, shape (rows,); empty where missing."""
        text = to_text(self)
        table = np.array([*(text.categories or ()), ""], object)
        codes = text.values if text.missing is None else np.where(text.missing, len(table) - 1, text.values)
        return table[codes]

    def floats(self) -> Floats:
        """The values as doubles, NaN where missing; times, and dates with times, in seconds.

        Raises:
            TypeError: the column is of text; cast it first.
        """
        if self.categories is not None:
            raise TypeError("a column of text has no numbers")
        values = self.values.astype(np.float64)
        if self.data_type in ("time", "dateTime"):
            values /= MICROSECONDS
        if self.missing is not None:
            values[self.missing] = np.nan
        return values

    def scalar(self, row: int) -> Scalar | None:
        """One value, as Python knows it; None if missing."""
        if self.missing is not None and self.missing[row]:
            return None
        if self.categories is not None:
            return self.categories[int(self.values[row])]
        value: Scalar = self.values[row].item()
        return value

    def describe(self, row: int) -> str | None:
        """One value as text; None if missing."""
        value = self.scalar(row)
        return None if value is None else format_value(value, self.data_type)


def either(left: Bools | None, right: Bools | None) -> Bools | None:
    """Where one of two masks is true."""
    if left is None or right is None:
        return right if left is None else left
    return left | right


def first_fault(left: Codes | None, right: Codes | None) -> Codes | None:
    """The left fault of each row or, without one, the right."""
    if left is None or right is None:
        return right if left is None else left
    return np.where(left != 0, left, right)


def blank(column: Column, absent: Bools) -> Column:
    """A column that is missing, and not faulty, in some rows."""
    if column.fault is not None:
        column = replace(column, fault=np.where(absent, 0, column.fault).astype(np.int32))
    return column.with_missing(absent)


def fault_of(columns: Sequence[Column]) -> Codes | None:
    """The first fault of each row in some columns."""
    fault = None
    for column in columns:
        fault = first_fault(fault, column.fault)
    return fault


def missing_of(columns: Sequence[Column]) -> Bools | None:
    """Where one of some columns is missing."""
    missing = None
    for column in columns:
        missing = either(missing, column.missing)
    return missing


def constant(value: Scalar | None, data_type: DataType, rows: int) -> Column:
    """The same value in every row; None makes it missing."""
    dtype = DTYPES[storage(data_type)]
    if value is None:
        categories: Sequence[str] | None = ("",) if data_type == "string" else None
        return Column(data_type, np.zeros(rows, dtype), np.ones(rows, np.bool_), categories)
    if data_type == "string":
        return Column(data_type, np.zeros(rows, np.int32), None, (str(value),))
    return Column(data_type, np.full(rows, value, dtype))


def from_texts(texts: Sequence[str | None], data_type: DataType = "string") -> Column:
    """A column of texts, None being missing; read as another type if one is given (ValueError if that fails)."""
    index: dict[str, int] = {}
    codes = np.array([0 if text is None else index.setdefault(text, len(index)) for text in texts], np.int32)
    absent = np.array([text is None for text in texts], np.bool_)
    column = Column("string", codes, absent if absent.any() else None, tuple(index) or ("",))
    if data_type == "string":
        return column
    table = np.array([parse(text, data_type) for text in index] or [0], DTYPES[storage(data_type)])
    return Column(data_type, table[codes], column.missing)


def map_categories(column: Column, function: Callable[[str], str]) -> Column:
    """A function of each text, computed once per distinct text."""
    index: dict[str, int] = {}
    codes = [index.setdefault(function(text), len(index)) for text in column.categories or ()]
    return replace(column, values=np.array(codes or [0], np.int32)[column.values], categories=tuple(index) or ("",))


def to_text(column: Column) -> Column:
    """Write every value as text."""
    if column.categories is not None:
        return replace(column, data_type="string")
    values = column.values
    unique, codes = np.unique(values, return_inverse=True)
    texts = tuple(format_value(value.item(), column.data_type) for value in unique)
    return replace(column, data_type="string", values=codes.astype(np.int32), categories=texts or ("",))


def try_cast(column: Column, data_type: DataType) -> tuple[Column, Bools | None]:
    """Change a column's type; also tell the rows, other than missing ones, whose value is none of the new type.

    Numbers become integers only if they are whole; booleans become 0 and 1; texts are read, values are written. Dates
    and times become one another where the other has all parts but the time of day, which is midnight then; they are
    numbers only as types that count days or seconds.
    """
    if column.data_type == data_type:
        return column, None
    target = DTYPES[storage(data_type)]
    if data_type == "string":
        return to_text(column), None
    if column.categories is not None:
        table = np.zeros(max(len(column.categories), 1), target)
        bad = np.zeros(len(table), np.bool_)
        for index, text in enumerate(column.categories):
            try:
                table[index] = parse(text.strip(), data_type)
            except (ValueError, OverflowError):
                bad[index] = True
        rows = bad[column.values]
        if column.missing is not None:
            rows &= ~column.missing
        result = replace(column, data_type=data_type, values=table[column.values], categories=None)
        return result, (rows if rows.any() else None)
    values = column.values
    if is_temporal(column.data_type) and is_temporal(data_type):
        converted = _convert(values, column.data_type, data_type)
        if converted is not None:
            return replace(column, data_type=data_type, values=converted), None
    timeless = [kind for kind in (column.data_type, data_type) if is_temporal(kind)]
    if any(not counts(kind) for kind in timeless) or len(timeless) == 2:
        return replace(column, data_type=data_type, values=np.zeros(len(column), target)), ~column.is_missing()
    if data_type in ("float", "double"):
        with np.errstate(over="ignore"):  # Beyond single precision a number is infinite.
            return replace(column, data_type=data_type, values=values.astype(target)), None
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (np.floor(values) == values) & (np.abs(values) < 2.0**63)
        if data_type == "boolean":
            whole &= (values == 0) | (values == 1)
        rows = ~whole
        if column.missing is not None:
            rows &= ~column.missing
        result = replace(column, data_type=data_type, values=np.where(whole, values, 0).astype(target))
        return result, (rows if rows.any() else None)
    if data_type == "boolean":
        rows = (values != 0) & (values != 1)
        return replace(column, data_type=data_type, values=values != 0), (rows if rows.any() else None)
    return replace(column, data_type=data_type, values=values.astype(target)), None


def _convert(values: Array, source: DataType, target: DataType) -> Array | None:
    """Values of one temporal type as another's; None if they lack what the other has."""
    if source == "timeSeconds" or source == "time":
        micros = values * MICROSECONDS if source == "timeSeconds" else values
        return {"time": micros % (DAY * MICROSECONDS), "timeSeconds": micros // MICROSECONDS}.get(target)
    if source.startswith("dateTime"):
        seconds = values // MICROSECONDS if source == "dateTime" else values + epoch_days(source) * DAY
        micros = values if source == "dateTime" else seconds * MICROSECONDS
    else:
        seconds = (values if source == "date" else values + epoch_days(source)) * DAY
        micros = seconds * MICROSECONDS
    match target:
        case "date":
            return seconds // DAY
        case "dateTime":
            return micros
        case "time" | "timeSeconds":
            if not source.startswith("dateTime"):
                return None
            return micros % (DAY * MICROSECONDS) if target == "time" else seconds % DAY
    if target.startswith("dateDays"):
        return seconds // DAY - epoch_days(target)
    return seconds - epoch_days(target) * DAY


def cast_or_fault(column: Column, data_type: DataType, faults: Faults, field: str | None, element: str) -> Column:
    """Change a column's type; rows that cannot be cast become faulty."""
    result, bad = try_cast(column, data_type)
    return result if bad is None else mark(result, bad, column, faults, field, element, f"is no {data_type}")


def mark(
    result: Column, rows: Bools, source: Column, faults: Faults, field: str | None, element: str, complaint: str
) -> Column:
    """Make rows faulty, one fault for each distinct value of `source`."""
    codes = np.zeros(len(rows), np.int32)
    known: dict[str | None, int] = {}
    what = f"field {field}: " if field else ""
    for row in np.flatnonzero(rows):
        text = source.describe(int(row))
        if text not in known:
            shown = "a missing value" if text is None else f'value "{text}"'
            known[text] = faults.add(Fault(f"{what}{shown} {complaint}", field, source.scalar(int(row)), element))
        codes[row] = known[text]
    return result.with_fault(codes)


def select(condition: Bools, chosen: Column, other: Column) -> Column:
    """Rows of `chosen` where the condition holds, of `other` elsewhere; both of the same type."""
    if condition.all():
        return chosen
    if not condition.any():
        return other
    categories = None
    left, right = chosen.values, other.values
    if chosen.categories is not None and other.categories is not None:
        index = {text: code for code, text in enumerate(chosen.categories)}
        table = [index.setdefault(text, len(index)) for text in other.categories]
        categories = tuple(index)
        right = np.array(table, np.int32)[other.values]

    def mask(one: Bools | Codes | None, two: Bools | Codes | None) -> Any:
        if one is None and two is None:
            return None
        return np.where(condition, 0 if one is None else one, 0 if two is None else two)

    def truth(one: Bools | None, two: Bools | None) -> Bools | None:
        result = mask(one, two)
        return None if result is None else result.astype(np.bool_)

    fault = mask(chosen.fault, other.fault)
    return Column(
        chosen.data_type,
        np.where(condition, left, right),
        truth(chosen.missing, other.missing),
        categories,
        truth(chosen.invalid, other.invalid),
        None if fault is None else fault.astype(np.int32),
    )
