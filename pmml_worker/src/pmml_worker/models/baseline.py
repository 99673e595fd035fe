"""BaselineModel: how far what is seen is from what is normal (BaselineModel).

The rows of a table are a stream of events. Counts are of the last `windowSize` events, the row's own among them, or of
all so far where it is 0; an event with a missing value is none, and its row tells what the row before it told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.kernel import Context
from pmml_worker.schema.baseline import (
    AnyDistribution,
    BaselineModel,
    ContinuousDistribution,
    CountTable,
    FieldValue,
    FieldValueCount,
    TestDistributions,
)
from pmml_worker.schema.distributions import GaussianDistribution, PoissonDistribution
from pmml_worker.schema.elements import Element, FieldRef
from pmml_worker.transform.column import (
    Array,
    Bools,
    Codes,
    Column,
    Fault,
    Floats,
    Ints,
    cast_or_fault,
    fault_of,
    first_fault,
    mark,
    missing_of,
    to_text,
)
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Environment, Scope

_CELLS = 1 << 20
"""Counts kept at once, so that a long table needs no memory for all of its windows."""


class BaselineKernel:
    """Scores a BaselineModel."""

    def __init__(self, model: BaselineModel, context: Context) -> None:
        test = model.test
        self.test = test
        self.element = str(test)
        context.environment.type_of(test.field, test)
        if test.weight_field is not None:
            context.environment.type_of(test.weight_field, test)
        if test.window_size < 0:
            raise SchemaError("windowSize is 0 or more", test.line)
        self.compute: Callable[[Scope], Prediction]
        match test.test_statistic:
            case "zValue":
                self.compute = self._compile_z(test)
            case "CUSUM":
                self.compute = self._compile_cusum(test)
            case "chiSquareIndependence":
                self.compute = self._compile_independence(test, context.environment)
            case _:
                self.compute = self._compile_counts(test, context.environment)
        if test.test_statistic != "zValue":
            context.environment.row_order.is_sequential = True

    def score(self, scope: Scope) -> Prediction:
        """Predict for a table's rows, in their order."""
        return self.compute(scope)

    def _number(self, scope: Scope) -> Column:
        return cast_or_fault(scope.column(self.test.field), "double", scope.faults, self.test.field, self.element)

    # --- Numbers -----------------------------------------------------------------------------------------------------

    def _compile_z(self, test: TestDistributions) -> Callable[[Scope], Prediction]:
        """How many standard deviations a value is above the mean."""
        distribution = _distribution(test)
        if isinstance(distribution, AnyDistribution | GaussianDistribution):
            mean, variance = distribution.mean, distribution.variance
        elif isinstance(distribution, PoissonDistribution):
            mean = variance = distribution.mean
        else:
            mean = (distribution.lower + distribution.upper) / 2
            variance = (distribution.upper - distribution.lower) ** 2 / 12
        if not variance > 0:
            raise SchemaError("a zValue needs a variance above 0", distribution.line)
        deviation = math.sqrt(variance)

        def compute(scope: Scope) -> Prediction:
            column = self._number(scope)
            values = (column.values - mean) / deviation
            return Prediction(Column("double", values, column.missing, fault=column.fault))

        return compute

    def _compile_cusum(self, test: TestDistributions) -> Callable[[Scope], Prediction]:
        """Z[n] = max(reset value, Z[n - 1] + log f1(x[n]) / f0(x[n])), from 0 on."""
        if test.alternate is None:
            raise SchemaError("CUSUM needs an <Alternate> distribution", test.line)
        normal, other = _log_density(_distribution(test)), _log_density(test.alternate.distribution)
        reset = test.reset_value

        def compute(scope: Scope) -> Prediction:
            column = self._number(scope)
            used = ~column.is_missing()
            if column.fault is not None:
                used &= column.fault == 0
            with np.errstate(all="ignore"):
                terms = np.where(used, other(column.values) - normal(column.values), 0.0)
            fault = column.fault
            unclear = np.isnan(terms)
            if unclear.any():
                message = f"field {test.field}: the value is possible under neither distribution"
                code = scope.faults.add(Fault(message, test.field, None, self.element))
                fault = first_fault(fault, np.where(unclear, code, 0).astype(np.int32))
                used &= ~unclear
            # Each sum needs the one before it, so rows cannot go side by side.
            sums = accumulate(terms[used].tolist(), lambda last, term: max(reset, last + term), initial=0.0)
            values = _carried(np.array(list(sums)), used)
            return Prediction(Column("double", values, fault=fault))

        return compute

    # --- Counts ------------------------------------------------------------------------------------------------------

    def _compile_counts(self, test: TestDistributions, environment: Environment) -> Callable[[Scope], Prediction]:
        """Counts of the window compared with those of the baseline."""
        table = test.baseline.parts[0]
        if len(test.baseline.parts) != 1 or not isinstance(table, CountTable):
            raise SchemaError(f"{test.test_statistic} needs a <CountTable> or <NormalizedCountTable>", test.line)
        cells = list(_cells(table.parts, ()))
        fields = tuple(name for name, _ in cells[0][0]) if cells else ()
        for path, count, line in cells:
            if tuple(name for name, _ in path) != fields or count < 0:
                raise SchemaError("a count is 0 or more, and all counts are of the same fields", line)
        for name in fields:
            environment.type_of(name, table)
        index = {tuple(value for _, value in path): position for position, (path, _, _) in enumerate(cells)}
        normal = np.array([count for _, count, _ in cells])
        total = float(normal.sum())
        if len(index) < len(cells) or not total > 0:
            raise SchemaError("the baseline counts nothing, or something twice", table.line)

        def measure(counts: Floats) -> Array:
            if test.test_statistic == "chiSquareDistribution":
                expected = counts.sum(axis=1, keepdims=True) * (normal / total)
                # What the baseline never saw adds nothing as long as it is not seen.
                parts = np.where((counts == 0) & (expected == 0), 0.0, (counts - expected) ** 2 / expected)
                return np.asarray(parts.sum(axis=1))
            product = counts @ normal
            match test.normalization_scheme:
                case "Independent":
                    product /= np.sqrt((counts**2).sum(axis=1)) * math.sqrt(float(normal @ normal))
                case "SizeWeighted":
                    product /= counts.sum(axis=1) * total
            return np.asarray(product)

        def compute(scope: Scope) -> Prediction:
            columns = [to_text(scope.column(name)) for name in fields]
            places, known = _places(columns, index)
            return self._over_windows(columns, places, known, len(cells), measure, scope)

        return compute

    def _compile_independence(self, test: TestDistributions, environment: Environment) -> Callable[[Scope], Prediction]:
        """How far the window's counts of combinations are from those of independent fields."""
        refs = [part for part in test.baseline.parts if isinstance(part, FieldRef)]
        if len(refs) < 2 or len(refs) < len(test.baseline.parts):
            raise SchemaError("chiSquareIndependence needs two <FieldRef> or more", test.line)
        for ref in refs:
            environment.type_of(ref.field, ref)

        def compute(scope: Scope) -> Prediction:
            columns = [to_text(scope.column(ref.field)) for ref in refs]
            shape = tuple(len(column.categories or ("",)) for column in columns)
            cells = math.prod(shape)
            if cells > _CELLS:
                raise SchemaError(f"the fields have {cells} combinations of values, too many to count", test.line)
            places = np.ravel_multi_index([column.values.astype(np.int64) for column in columns], shape)

            def measure(counts: Floats) -> Array:
                table = counts.reshape(len(counts), *shape)
                axes = tuple(range(1, table.ndim))
                total = table.sum(axis=axes, keepdims=True)
                expected = np.ones_like(table) * total
                for axis in axes:
                    rest = tuple(other for other in axes if other != axis)
                    expected = expected * (table.sum(axis=rest, keepdims=True) / total)
                return np.asarray(np.where(expected > 0, (table - expected) ** 2 / expected, 0.0).sum(axis=axes))

            return self._over_windows(columns, places, np.ones(scope.rows, np.bool_), cells, measure, scope)

        return compute

    def _over_windows(
        self, columns: Sequence[Column], places: Ints, known: Bools, cells: int,
        measure: Callable[[Floats], Array], scope: Scope,
    ) -> Prediction:  # fmt: skip
        """A measure of each row's window of counts."""
        weights: Floats = np.ones(scope.rows)
        every = list(columns)
        if self.test.weight_field is not None:
            name = self.test.weight_field
            column = cast_or_fault(scope.column(name), "double", scope.faults, name, self.element)
            every.append(column)
            weights = column.values.astype(np.float64)
        missing = missing_of(every)
        used = np.ones(scope.rows, np.bool_) if missing is None else ~missing
        fault = fault_of(every)
        strange = used & ~known
        if strange.any():
            marked = mark(
                columns[-1],
                strange,
                columns[-1],
                scope.faults,
                self.test.field,
                self.element,
                "is none of the baseline's",
            )
            fault = first_fault(fault, marked.fault)
        if fault is not None:
            used &= fault == 0
        with np.errstate(all="ignore"):
            windows = _windows(places[used], weights[used], cells, self.test.window_size)
            values = [measure(counts) for counts in windows]
        sums = np.concatenate([[0.0], *values])
        return Prediction(Column("double", _carried(sums, used), np.cumsum(used) == 0, fault=_no_codes(fault)))


def _no_codes(fault: Codes | None) -> Codes | None:
    return None if fault is None or not fault.any() else fault


def _carried(values: Array, used: Bools) -> Array:
    """A value for each row: that of the last event up to it, of values[0] before the first."""
    result: Array = values[np.cumsum(used)]
    return result


def _windows(places: Ints, weights: Floats, cells: int, size: int) -> Iterator[Floats]:
    """The counts of each event's window, shape (events, cells), a piece at a time."""
    step = max(_CELLS // cells, 1)
    last = np.zeros(cells)
    for first in range(0, len(places), step):
        end = min(first + step, len(places))
        changes = np.zeros((end - first, cells))
        rows = np.arange(end - first)
        np.add.at(changes, (rows, places[first:end]), weights[first:end])
        if size:
            leaving = np.arange(first, end) - size
            gone = leaving >= 0
            np.add.at(changes, (rows[gone], places[leaving[gone]]), -weights[leaving[gone]])
        counts = last + np.cumsum(changes, axis=0)
        last = counts[-1]
        yield counts


def _cells(
    parts: Sequence[FieldValue | FieldValueCount], path: tuple[tuple[str, str], ...]
) -> Iterator[tuple[tuple[tuple[str, str], ...], float, int]]:
    """What a table counts: fields and values, the count, and the line."""
    for part in parts:
        here = (*path, (part.field, part.value))
        if isinstance(part, FieldValueCount):
            yield here, part.count, part.line
        else:
            yield from _cells(part.parts, here)


def _places(columns: Sequence[Column], index: dict[tuple[str, ...], int]) -> tuple[Ints, Bools]:
    """Which cell of a table each row falls into, and whether there is one."""
    shape = tuple(len(column.categories or ("",)) for column in columns)
    codes = np.ravel_multi_index([column.values.astype(np.int64) for column in columns], shape)
    unique, inverse = np.unique(codes, return_inverse=True)
    cells = np.unravel_index(unique, shape)
    texts = [
        tuple((column.categories or ("",))[int(code)] for column, code in zip(columns, cell, strict=True))
        for cell in zip(*cells, strict=True)
    ]
    found = np.array([index.get(text, -1) for text in texts], np.int64)[inverse]
    return np.maximum(found, 0), found >= 0


def _distribution(test: TestDistributions) -> ContinuousDistribution:
    """The baseline's distribution of numbers."""
    parts = test.baseline.parts
    if len(parts) != 1 or isinstance(parts[0], CountTable | FieldRef):
        raise SchemaError(f"{test.test_statistic} needs a continuous distribution in its <Baseline>", test.line)
    return parts[0]


def _log_density(element: ContinuousDistribution) -> Callable[[Array], Array]:
    """The logarithm of a distribution's density."""
    if isinstance(element, GaussianDistribution):
        mean, variance = element.mean, element.variance
        _positive(variance, "variance", element)
        return lambda x: -((x - mean) ** 2) / (2 * variance) - 0.5 * math.log(2 * math.pi * variance)
    if isinstance(element, PoissonDistribution):
        rate = element.mean
        _positive(rate, "mean", element)

        def poisson(x: Array) -> Array:
            unique, inverse = np.unique(x, return_inverse=True)
            logs = [
                value * math.log(rate) - rate - math.lgamma(value + 1)
                if value >= 0 and value.is_integer()
                else -math.inf
                for value in unique.tolist()
            ]
            return np.array(logs, np.float64)[inverse]

        return poisson
    if isinstance(element, AnyDistribution):
        raise SchemaError("an <AnyDistribution> has no density, which CUSUM needs", element.line)
    lower, upper = element.lower, element.upper
    _positive(upper - lower, "upper minus lower", element)
    return lambda x: np.where((x >= lower) & (x <= upper), -math.log(upper - lower), -np.inf)


def _positive(number: float, what: str, element: Element) -> None:
    if not number > 0:
        raise SchemaError(f"<{type(element).__name__}> needs a {what} above 0", element.line)
