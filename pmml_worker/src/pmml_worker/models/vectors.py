"""Rows as vectors of numbers: what kernel machines and Gaussian processes compute with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import CategoricalPredictor, FieldRef
from pmml_worker.transform.column import Array, Codes, Column, cast_or_fault, first_fault, mark
from pmml_worker.transform.expressions import compile_expression, equals, parse_or_refuse
from pmml_worker.transform.scope import Environment, Evaluate, Scope


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the vectors: its field, how its numbers are computed, and whether they are the field's values."""

    field: str
    element: str
    evaluate: Evaluate
    is_field: bool

    def column(self, scope: Scope) -> Column:
        """The numbers; rows where the field is missing are faulty, because no vector has a gap."""
        column = cast_or_fault(self.evaluate(scope), "double", scope.faults, self.field, self.element)
        if column.missing is None:
            return column
        absent = column.missing if column.fault is None else column.missing & (column.fault == 0)
        return mark(column, absent, column, scope.faults, self.field, self.element, "is none that can be used")


def compile_entry(element: FieldRef | CategoricalPredictor, environment: Environment) -> Entry:
    """Compile an entry: a field's number or, where it has a value, a coefficient.

    Raises:
        SchemaError: the field is not known, has no numbers, or cannot have the value.
    """
    if isinstance(element, FieldRef):
        if environment.type_of(element.field, element).data_type == "string":
            raise SchemaError(f'<FieldRef> names field "{element.field}", which has no numbers', element.line)
        return Entry(
            element.field, str(element), compile_expression(element, environment), element.map_missing_to is None
        )
    name, coefficient = element.name, element.coefficient
    data_type = environment.type_of(name, element).data_type
    value = parse_or_refuse(element.value, data_type, "value", element.line)

    def indicate(scope: Scope) -> Column:
        column = scope.column(name)
        hit = np.where(equals(column, value), coefficient, 0.0)
        return Column("double", hit, column.missing, fault=column.fault)

    return Entry(name, str(element), indicate, False)


def vectors_of(entries: Sequence[Entry], scope: Scope, dtype: type[np.floating]) -> tuple[Array, Codes | None]:
    """The rows of a scope as vectors, shape (entries, rows), and where they cannot be told."""
    block = np.empty((len(entries), scope.rows), dtype)
    fault: Codes | None = None
    for position, entry in enumerate(entries):
        column = entry.column(scope)
        block[position] = column.values
        fault = first_fault(fault, column.fault)
    return block, fault
