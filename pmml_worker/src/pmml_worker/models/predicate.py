"""Predicates on blocks of rows, with three truth values (TreeModel, "Predicates")."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import (
    CompoundPredicate,
    DataType,
    False_,
    Predicate,
    SimplePredicate,
    SimpleSetPredicate,
    True_,
)
from pmml_worker.transform.column import Bools, Codes, Column, Ints, either, first_fault
from pmml_worker.transform.expressions import equals, parse_or_refuse
from pmml_worker.transform.scope import Environment, FieldType, Scope
from pmml_worker.transform.values import NUMERIC, Scalar


@dataclass(frozen=True, slots=True)
class Truth:
    """Truth values, shape (rows,).

    Attributes:
        true: where the predicate is true; false where it is unknown.
        unknown: where it cannot be told, for want of a value; None: nowhere.
        fault: codes of faults of the fields that were asked for; None: nowhere.
        surrogate: where a surrogate decided; None: nowhere.
    """

    true: Bools
    unknown: Bools | None = None
    fault: Codes | None = None
    surrogate: Bools | None = None

    def is_unknown(self) -> Bools:
        """Shape (rows,): where it cannot be told."""
        return np.zeros(len(self.true), np.bool_) if self.unknown is None else self.unknown

    def take(self, rows: Ints) -> Truth:
        """The truth of some rows."""
        return Truth(
            self.true[rows],
            None if self.unknown is None else self.unknown[rows],
            None if self.fault is None else self.fault[rows],
            None if self.surrogate is None else self.surrogate[rows],
        )


Test: TypeAlias = Callable[[Scope], Truth]

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "equal": operator.eq,
    "notEqual": operator.ne,
    "lessThan": operator.lt,
    "lessOrEqual": operator.le,
    "greaterThan": operator.gt,
    "greaterOrEqual": operator.ge,
}


def comparison_value(text: str, data_type: DataType, line: int) -> Scalar:
    """The value that a field of a type is compared with; integers and truths (0, 1) may be compared with fractions."""
    if data_type == "integer" or (data_type == "boolean" and text.lower() not in ("true", "false")):
        number = parse_or_refuse(text, "double", "value", line)
        return int(number) if float(number).is_integer() else number
    return parse_or_refuse(text, data_type, "value", line)


def compile_predicate(predicate: Predicate, environment: Environment) -> Test:
    """Compile a predicate.

    Raises:
        SchemaError: it names a field that is not defined, or compares with what is no value of the field's type.
    """
    match predicate:
        case True_():
            return lambda scope: Truth(np.ones(scope.rows, np.bool_))
        case False_():
            return lambda scope: Truth(np.zeros(scope.rows, np.bool_))
        case SimplePredicate():
            return _simple(predicate, environment)
        case SimpleSetPredicate():
            return _set(predicate, environment)
        case CompoundPredicate():
            return _compound(predicate, environment)


def _simple(predicate: SimplePredicate, environment: Environment) -> Test:
    known = environment.type_of(predicate.field, predicate)
    name = predicate.field
    if predicate.operator in ("isMissing", "isNotMissing"):
        wanted = predicate.operator == "isMissing"

        def presence(scope: Scope) -> Truth:
            column = scope.column(name)
            return Truth(column.is_missing() == wanted, None, column.fault)

        return presence
    if predicate.value is None:
        raise SchemaError(f"<SimplePredicate> {predicate.operator} needs a value", predicate.line)
    value = comparison_value(predicate.value, known.data_type, predicate.line)
    compare = _COMPARE[predicate.operator]

    def comparison(scope: Scope) -> Truth:
        column = scope.column(name)
        return _decided(compare_column(column, value, compare, known), column)

    return comparison


def compare_column(column: Column, value: Scalar, compare: Callable[[Any, Any], Any], known: FieldType) -> Bools:
    """Compare each value with one; texts by the order that their field declares, or else alphabetically."""
    if column.categories is None:
        result: Bools = compare(column.values, value)
        return result
    if known.order and compare not in (operator.eq, operator.ne):
        rank = {text: position for position, text in enumerate(known.order)}
        limit = rank.get(str(value))
        table = [limit is not None and text in rank and compare(rank[text], limit) for text in column.categories]
    else:
        table = [compare(text, value) for text in column.categories]
    return np.array(table, np.bool_)[column.values]


def _decided(true: Bools, column: Column) -> Truth:
    if column.missing is None:
        return Truth(true, None, column.fault)
    return Truth(true & ~column.missing, column.missing, column.fault)


def set_values(predicate: SimpleSetPredicate, data_type: DataType) -> list[Scalar]:
    """The values of a predicate's set, of its field's type."""
    return [comparison_value(text, data_type, predicate.line) for text in predicate.array.items()]


def _set(predicate: SimpleSetPredicate, environment: Environment) -> Test:
    data_type = environment.type_of(predicate.field, predicate).data_type
    values = set_values(predicate, data_type)
    negated = predicate.boolean_operator == "isNotIn"
    members = frozenset(values)

    def membership(scope: Scope) -> Truth:
        column = scope.column(predicate.field)
        if column.categories is not None:
            found = np.array([text in members for text in column.categories], np.bool_)[column.values]
        elif column.data_type in NUMERIC:
            found = np.isin(column.values, np.array(values, np.float64).astype(column.values.dtype))
        else:
            found = np.zeros(len(column), np.bool_)
            for value in values:
                found |= equals(column, value)
        return _decided(~found if negated else found, column)

    return membership


def _compound(predicate: CompoundPredicate, environment: Environment) -> Test:
    tests = [compile_predicate(part, environment) for part in predicate.predicates]
    if not tests:
        raise SchemaError("<CompoundPredicate> holds no predicate", predicate.line)
    match predicate.boolean_operator:
        case "surrogate":
            return _surrogate(tests)
        case "xor":
            return _xor(tests)
        case "and":
            return _junction(tests, decisive=False)
        case "or":
            return _junction(tests, decisive=True)


def _junction(tests: list[Test], decisive: bool) -> Test:
    """`and`, decided by a false part, and `or`, decided by a true one; every part is asked, as the reference does."""

    def junction(scope: Scope) -> Truth:
        decided = np.zeros(scope.rows, np.bool_)
        unknown = np.zeros(scope.rows, np.bool_)
        fault: Codes | None = None
        for test in tests:
            part = test(scope)
            fault = first_fault(fault, part.fault)
            unknown |= part.is_unknown()
            decided |= part.true if decisive else ~(part.true | part.is_unknown())
        unknown &= ~decided
        true = decided if decisive else ~(decided | unknown)
        return Truth(true, unknown if unknown.any() else None, fault)

    return junction


def _xor(tests: list[Test]) -> Test:
    def xor(scope: Scope) -> Truth:
        true = np.zeros(scope.rows, np.bool_)
        unknown: Bools | None = None
        fault: Codes | None = None
        for test in tests:
            part = test(scope)
            true ^= part.true
            unknown = either(unknown, part.unknown)
            fault = first_fault(fault, part.fault)
        return Truth(true if unknown is None else true & ~unknown, unknown, fault)

    return xor


def _surrogate(tests: list[Test]) -> Test:
    """The first part that is not unknown decides; if all are, the result is unknown."""

    def surrogate(scope: Scope) -> Truth:
        first = tests[0](scope)
        true, unknown, fault = first.true.copy(), first.is_unknown().copy(), first.fault
        asked = unknown.copy()
        for test in tests[1:]:
            if not unknown.any():
                break
            part = test(scope)
            true |= unknown & part.true
            if part.fault is not None:
                fault = first_fault(fault, np.where(unknown, part.fault, 0).astype(np.int32))
            unknown = unknown & part.is_unknown()
        return Truth(true, unknown if unknown.any() else None, fault, asked & ~unknown)

    return surrogate
