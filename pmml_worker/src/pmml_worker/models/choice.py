"""Which of some predicates is the first that is true: what scorecards and rules ask of each row."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from pmml_worker.models.predicate import Test, comparison_value, compile_predicate, set_values
from pmml_worker.models.row import Declined, RowFields, Values
from pmml_worker.schema.elements import (
    CompoundPredicate,
    DataType,
    Predicate,
    SimplePredicate,
    SimpleSetPredicate,
    True_,
)
from pmml_worker.transform.column import Array, Codes, Column, Faults, Ints, first_fault
from pmml_worker.transform.scope import Environment, Scope
from pmml_worker.transform.values import Scalar

Ask: TypeAlias = Callable[[Scope], tuple[Ints, Codes | None]]
"""For each row the position of the first predicate that is true, their number if none is; and faults met on the way."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A compiled choice.

    Attributes:
        ask: chooses for the rows of a block.
        row: compiles what chooses for one row; it raises Declined where only blocks can be asked.
    """

    ask: Ask
    row: Callable[[RowFields], Callable[[Values], int]]


def _decline(_: RowFields) -> Callable[[Values], int]:
    raise Declined


_EXACT = 2.0**53
"""Integers up to this are exact as doubles."""

_FEW = 32
"""Thresholds that a value is compared with one by one."""


def compile_choice(predicates: Sequence[Predicate], environment: Environment) -> Choice:
    """Compile a choice; where all predicates are about one field, its value is looked up instead of asking them all.

    Raises:
        SchemaError: a predicate cannot be compiled.
    """
    tests = [compile_predicate(predicate, environment) for predicate in predicates]
    end = next((i + 1 for i, predicate in enumerate(predicates) if isinstance(predicate, True_)), len(predicates))
    simple = [part for predicate in predicates[:end] for part in _parts(predicate)]
    names = {part.field for part in simple}
    ask = _asker(tests[:end], len(tests))
    if len(names) != 1:
        return Choice(ask, _decline)
    name = names.pop()
    data_type = environment.type_of(name, simple[0]).data_type
    if data_type == "string":
        return _by_category(name, {str(value) for part in simple for value in _values(part, data_type)}, ask)
    thresholds = np.array(sorted({float(value) for part in simple for value in _values(part, data_type)}))
    if not (np.abs(thresholds) < _EXACT).all():
        return Choice(ask, _decline)
    return _by_interval(name, data_type, thresholds, ask)


def _parts(predicate: Predicate) -> Iterator[SimplePredicate | SimpleSetPredicate]:
    """The predicates on fields of which a predicate is made."""
    if isinstance(predicate, CompoundPredicate):
        for part in predicate.predicates:
            yield from _parts(part)
    elif isinstance(predicate, SimplePredicate | SimpleSetPredicate):
        yield predicate


def _values(part: SimplePredicate | SimpleSetPredicate, data_type: DataType) -> list[Scalar]:
    """The values that a predicate compares its field with."""
    if isinstance(part, SimpleSetPredicate):
        return set_values(part, data_type)
    return [] if part.value is None else [comparison_value(part.value, data_type, part.line)]


def _asker(tests: Sequence[Test], none: int) -> Ask:
    """Ask one predicate after the other; those after the true one are not asked."""

    def ask(scope: Scope) -> tuple[Ints, Codes | None]:
        chosen = np.full(scope.rows, none, np.int64)
        undecided = np.ones(scope.rows, np.bool_)
        fault: Codes | None = None
        for position, test in enumerate(tests):
            truth = test(scope)
            if truth.fault is not None:
                fault = first_fault(fault, np.where(undecided, truth.fault, 0).astype(np.int32))
            chosen[undecided & truth.true] = position
            undecided &= ~truth.true
            if not undecided.any():
                break
        return chosen, fault

    return ask


def _ask_of(name: str, column: Column, ask: Ask) -> Ints:
    """What is chosen for the values of a column of the only field that is asked for."""
    scope = Scope(len(column), Faults(), {})
    scope.declare(name, column)
    return ask(scope)[0]


def _by_category(name: str, named: set[str], ask: Ask) -> Choice:
    """Ask once for each distinct text of a block, and for a missing one."""

    def look_up(scope: Scope) -> tuple[Ints, Codes | None]:
        column = scope.column(name)
        categories = tuple(column.categories or ())
        if len(categories) >= scope.rows:
            return ask(scope)
        codes = np.arange(len(categories) + 1, dtype=np.int32)
        missing = codes == len(categories)
        table = _ask_of(name, Column("string", codes, missing, (*categories, "")), ask)
        at = column.values if column.missing is None else np.where(column.missing, len(categories), column.values)
        return table[at], column.fault

    def row(fields: RowFields) -> Callable[[Values], int]:
        place = fields.place(name)
        texts = (*named, "".join(named) + "?", "")
        missing = np.arange(len(texts)) == len(texts) - 1
        *own, other, absent = _ask_of(
            name, Column("string", np.arange(len(texts), dtype=np.int32), missing, texts), ask
        )
        table: dict[str | None, int] = {text: int(at) for text, at in zip(named, own, strict=True)}
        table[None] = int(absent)
        unnamed = int(other)
        return lambda values: table.get(values[place], unnamed)

    return Choice(look_up, row)


def _place(thresholds: Array, values: Array, side: Literal["left", "right"]) -> Array:
    """How many thresholds lie below each value, or not above it; a few are counted faster than searched."""
    if len(thresholds) > _FEW:
        return np.searchsorted(thresholds, values, side)
    below = np.zeros(len(values), np.uint8)
    for threshold in thresholds:
        below += values > threshold if side == "left" else values >= threshold
    return below


def _by_interval(name: str, data_type: DataType, thresholds: Array, ask: Ask) -> Choice:
    """Ask at load for each number that is compared with, for the intervals between them, and for a missing value."""
    after = np.nextafter(thresholds, np.inf)
    before = np.nextafter(thresholds[:1], -np.inf) if len(thresholds) else np.zeros(1)
    # The number itself, then the interval above it; at the end a missing value.
    points = np.concatenate([before, np.column_stack([thresholds, after]).ravel(), [0.0]])
    missing = np.arange(len(points)) == len(points) - 1
    table = _ask_of(name, Column(data_type, points, missing), ask)
    own, above, below = table[1:-1:2], table[2:-1:2], table[0:-2:2]
    sides: tuple[Literal["left", "right"], ...] = ("left", "right")
    if np.array_equal(own, below) or np.array_equal(own, above):
        sides = ("left",) if np.array_equal(own, below) else ("right",)
        table = np.append(table[0:-1:2], table[-1])

    def look_up(scope: Scope) -> tuple[Ints, Codes | None]:
        column = scope.column(name)
        values = column.values.astype(np.float64, copy=False)
        at = _place(thresholds, values, sides[0])
        if len(sides) == 2:
            at = at + _place(thresholds, values, sides[1])
        if column.missing is not None:
            at = np.where(column.missing, len(table) - 1, at)
        return table[at], column.fault

    def row(fields: RowFields) -> Callable[[Values], int]:
        place = fields.place(name)
        cuts, chosen = thresholds.tolist(), table.tolist()
        bisect = bisect_left if sides[0] == "left" else bisect_right
        if len(sides) == 2:
            return lambda values: (
                chosen[-1] if (value := values[place]) is None
                else chosen[bisect_left(cuts, value) + bisect_right(cuts, value)]
            )  # fmt: skip
        return lambda values: chosen[-1] if (value := values[place]) is None else chosen[bisect(cuts, value)]

    return Choice(look_up, row)
