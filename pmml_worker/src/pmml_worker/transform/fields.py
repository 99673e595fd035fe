"""Data fields and the mining schema: what comes from outside to what a model may use (DataDictionary, MiningSchema)."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pmml_worker.errors import TableError
from pmml_worker.schema.elements import DataField, MiningField
from pmml_worker.transform.column import (
    Bools,
    Column,
    Faults,
    Lists,
    constant,
    either,
    mark,
    select,
    to_text,
    try_cast,
)
from pmml_worker.transform.expressions import equals, interval_contains, parse_or_refuse, replace_missing
from pmml_worker.transform.scope import FieldType, Scope
from pmml_worker.transform.values import parse

TARGET_USAGE = frozenset({"predicted", "target"})


def field_type(field: DataField) -> FieldType:
    """What the data dictionary says of a field's type."""
    values = tuple(value.value for value in field.values if value.property == "valid")
    return FieldType(field.data_type, field.optype, values if field.optype == "ordinal" else (), values)


def _declared(field: DataField, column: Column, kind: str) -> Bools | None:
    """Where a column has one of the field's values of a kind; None if the field declares no such value."""
    texts = [value.value for value in field.values if value.property == kind]
    if not texts:
        return None
    if column.categories is not None:
        known = frozenset(texts)
        return np.array([text in known for text in column.categories], np.bool_)[column.values]
    found = np.zeros(len(column), np.bool_)
    for text in texts:
        try:
            value = parse(text, column.data_type)
        except ValueError:
            continue
        found |= np.isnan(column.values) if value != value else equals(column, value)
    return found


def typed(field: DataField, raw: Column, faults: Faults) -> Column:
    """A data field's column of its declared type: missing and invalid values are found, not yet treated.

    A value that is none of the type is invalid and, whatever the treatment of invalid values, cannot be used as is.

    Raises:
        TableError: the column holds lists, and the field is not of texts.
    """
    if isinstance(raw.categories, Lists):
        if field.data_type != "string":
            raise TableError(
                f'column "{field.name}" is of Arrow type list, but field {field.name} is one {field.data_type}'
            )
        return raw  # Its elements are what the field's values are about; models of items look at them.
    # A text may stand for a missing value without being of the field's type, as "?" among numbers.
    stands_for_missing = None
    if raw.categories is not None and field.data_type != "string":
        stands_for_missing = _declared(field, raw, "missing")
    column, unreadable = try_cast(raw.with_missing(stands_for_missing), field.data_type)
    if column.values.dtype.kind == "f":
        nan = np.isnan(column.values)
        if nan.any():
            column = column.with_missing(nan)
    column = column.with_missing(_declared(field, column, "missing"))
    invalid = _declared(field, column, "invalid")
    valid = _declared(field, column, "valid")
    if field.intervals and column.values.dtype.kind in "if":
        inside = np.zeros(len(column), np.bool_)
        for interval in field.intervals:
            inside |= interval_contains(interval, column.values.astype(np.float64))
        valid = either(valid, inside)
    if valid is not None:
        invalid = either(invalid, ~valid)
    invalid = either(invalid, unreadable)
    if unreadable is not None:
        column = mark(column, unreadable, raw, faults, field.name, str(field), f"is no {field.data_type}")
    if invalid is None:
        return column
    if column.missing is not None:
        invalid = invalid & ~column.missing
    return replace(column, invalid=invalid) if invalid.any() else column


def is_plain(field: MiningField) -> bool:
    """Whether a mining field leaves the values that it inherits as they are."""
    return (
        field.outliers == "asIs"
        and field.missing_value_replacement is None
        and field.missing_value_treatment not in ("returnInvalid", "x-returnInvalid")
        and field.invalid_value_treatment in (None, "asIs")
    )


def compile_mining_field(field: MiningField, known: FieldType, outermost: bool) -> Callable[[Scope], Column]:
    """Compile what a mining field does with invalid values, outliers and missing values, in that order.

    Args:
        field: the element.
        known: the type of the data or derived field of that name.
        outermost: whether the model is the document's own; for inner models, invalid values were treated outside,
            unless the inner field says again what to do with them.
    """
    element = str(field)
    data_type = known.data_type
    replacement = field.missing_value_replacement
    if replacement is not None:
        parse_or_refuse(replacement, data_type, "missingValueReplacement", field.line)
    invalid_replacement = field.invalid_value_replacement or field.x_invalid_value_replacement
    if invalid_replacement is not None:
        parse_or_refuse(invalid_replacement, data_type, "invalidValueReplacement", field.line)
    treatment = field.invalid_value_treatment or ("returnInvalid" if outermost else "asIs")
    refuses_missing = field.missing_value_treatment in ("returnInvalid", "x-returnInvalid")
    continuous = (field.optype or known.optype) == "continuous"

    def define(scope: Scope) -> Column:
        column = scope.outer(field.name)
        if column.invalid is not None and treatment != "asIs":
            column = _treat_invalid(column, scope)
        if continuous and field.outliers != "asIs" and column.categories is None:
            treated = _treat_outliers(column)
            # An invalid value that is to be used as is stays what it is, however far out.
            column = treated if column.invalid is None else select(column.invalid, column, treated)
        if column.missing is None or not column.missing.any():
            return column
        if refuses_missing:
            shown = column.missing if column.fault is None else column.missing & (column.fault == 0)
            return mark(column, shown, column, scope.faults, field.name, element, "is refused")
        if replacement is not None:
            return replace_missing(column, constant(parse(replacement, column.data_type), column.data_type, scope.rows))
        return column

    def _treat_invalid(column: Column, scope: Scope) -> Column:
        invalid = column.invalid
        if invalid is None:
            return column
        if treatment == "returnInvalid":
            fresh = invalid if column.fault is None else invalid & (column.fault == 0)
            return mark(column, fresh, column, scope.faults, field.name, element, "is not a valid value")
        fault = None if column.fault is None else np.where(invalid, 0, column.fault).astype(np.int32)
        column = replace(column, invalid=None, fault=fault)
        if treatment == "asValue" and invalid_replacement is not None:
            value = constant(parse(invalid_replacement, column.data_type), column.data_type, scope.rows)
            return select(invalid, value, column)
        return column.with_missing(invalid)

    def _treat_outliers(column: Column) -> Column:
        low = -np.inf if field.low_value is None else field.low_value
        high = np.inf if field.high_value is None else field.high_value
        if field.outliers == "asMissingValues":
            return column.with_missing((column.values < low) | (column.values > high))
        return replace(column, values=np.clip(column.values, low, high).astype(column.values.dtype))

    return define


def raw_column(name: str, rows: int) -> Column:
    """The column of a field that the data does not have: missing everywhere."""
    return to_text(constant(None, "string", rows))
