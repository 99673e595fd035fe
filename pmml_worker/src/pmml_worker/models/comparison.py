"""How rows are compared with clusters and with training instances (ClusteringModel, "ComparisonMeasure")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.kernels import _native
from pmml_worker.schema.clustering import (
    BinarySimilarity,
    Chebychev,
    CityBlock,
    CompareFunction,
    ComparisonMeasure,
    Comparisons,
    Euclidean,
    Jaccard,
    Metric,
    Minkowski,
    SimpleMatching,
    SquaredEuclidean,
    Tanimoto,
)
from pmml_worker.schema.elements import DataType, Element, MathContext
from pmml_worker.transform.column import (
    Array,
    Codes,
    Column,
    Fault,
    Floats,
    cast_or_fault,
    first_fault,
    mark,
)
from pmml_worker.transform.scope import Evaluate, FieldType, Scope

AFFINITIES = frozenset({"affinity", "clusterAffinity", "entityAffinity"})
"""Output features that tell how near something is."""

ENTITIES = frozenset({"clusterId", "entityId"})
"""Output features that tell what is near."""

_COMPARE: tuple[CompareFunction, ...] = ("absDiff", "gaussSim", "delta", "equal", "table")
_AGGREGATES: tuple[type[Metric], ...] = (Euclidean, SquaredEuclidean, Chebychev, CityBlock, Minkowski)
_BINARY = len(_AGGREGATES)

# Factors of the numbers of pairs 11, 10, 01 and 00, above and below the fraction's line.
_SIMPLE_MATCHING = (1, 0, 0, 1, 1, 1, 1, 1)
_JACCARD = (1, 0, 0, 0, 1, 1, 1, 0)
_TANIMOTO = (1, 0, 0, 1, 1, 2, 2, 1)

_NOT_FOUND = -1.0
"""The code of a text that no reference has: different from all of theirs."""


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A field by which rows are compared.

    Attributes:
        name: the field's name.
        element: the element that says how its values are compared.
        evaluate: gives the field's column.
        compare: how two of its values are compared.
        weight: what the comparison counts.
        scale: at what difference `gaussSim` is one half.
        table: shape (values, values), for `table`.
        codes: numbers that stand for texts, or for the values of `table`; None where values are numbers themselves.
    """

    name: str
    element: str
    evaluate: Evaluate
    compare: CompareFunction
    weight: float
    scale: float
    table: Floats
    codes: Mapping[str, float] | None

    def numbers(self, scope: Scope) -> tuple[Floats, Codes | None]:
        """The field's values as numbers, shape (rows,), NaN where missing; and their faults."""
        column = self.evaluate(scope)
        if self.codes is None:
            if column.categories is not None:
                column = cast_or_fault(column, "double", scope.faults, self.name, self.element)
            if column.missing is None and column.values.dtype == np.float64:
                return np.ascontiguousarray(column.values), column.fault
            return column.floats(), column.fault
        unknown = np.nan if self.compare == "table" else _NOT_FOUND
        text = column if column.categories is not None else cast_or_fault(column, "string", scope.faults, None, "")
        codes = np.array([self.codes.get(item, unknown) for item in text.categories or ("",)])[text.values]
        if text.missing is not None:
            codes[text.missing] = np.nan
        return codes, text.fault


def coordinate(
    name: str,
    owner: Element,
    known: FieldType,
    evaluate: Evaluate,
    compare: CompareFunction,
    weight: float,
    scale: float | None,
    comparisons: Comparisons | None,
    texts: Sequence[str] = (),
) -> Coordinate:
    """Check what is said of a field.

    Args:
        name: the field's name.
        owner: the ClusteringField or KNNInput.
        known: the field's type.
        evaluate: gives the field's column.
        compare: how two of its values are compared.
        weight: its weight.
        scale: similarityScale.
        comparisons: the table of comparisons.
        texts: the texts that references have of the field, where it is of texts.

    Raises:
        SchemaError: a weight or a scale is no positive number, or there is no table, or none of the right size.
    """
    tag = owner.TAG or type(owner).__name__
    if not 0 <= weight < np.inf:
        raise SchemaError(f'<{tag}> "{name}" has fieldWeight {weight:g}; it must be a number from 0 on', owner.line)
    if compare == "gaussSim" and (scale is None or not 0 < scale < np.inf):
        raise SchemaError(f'<{tag}> "{name}" needs a similarityScale above 0 for gaussSim', owner.line)
    table = np.zeros((0, 0))
    codes: dict[str, float] | None = None
    if compare == "table":
        if comparisons is None:
            raise SchemaError(f'<{tag}> "{name}" needs <Comparisons> for compareFunction "table"', owner.line)
        table = comparisons.matrix.numbers()
        count = len(known.values)
        if table.shape != (count, count) or np.isnan(table).any():
            raise SchemaError(
                f'<Comparisons> of "{name}" is {table.shape[0]} x {table.shape[1]}; the field has {count} valid values',
                comparisons.line,
            )
        codes = {text: float(code) for code, text in enumerate(known.values)}
    elif known.data_type == "string" and compare in ("delta", "equal"):
        codes = {text: float(code) for code, text in enumerate(dict.fromkeys(texts))}
    return Coordinate(name, str(owner), evaluate, compare, weight, 1.0 if scale is None else scale, table, codes)


class Comparison:
    """Compares rows with references.

    Sums follow the order of the fields, in double or single precision, and each is multiplied, where fields are
    missing, by the weights of all fields over those of the fields that are there (ClusteringModel, "AdjustM").

    Attributes:
        largest: whether the best reference is the one with the largest measure. It is with the metrics of binary
            fields, and for similarities of numbers if fields are not compared by differences: of a sum of differences
            the smallest is best, whatever `kind` says of it.
    """

    def __init__(
        self,
        measure: ComparisonMeasure,
        coordinates: Sequence[Coordinate],
        references: Floats,
        missing_weights: Floats,
        context: MathContext,
    ) -> None:
        """Compile a measure.

        Args:
            measure: the element.
            coordinates: the fields.
            references: shape (references, fields), what rows are compared with.
            missing_weights: shape (fields,).
            context: the precision to compute in.

        Raises:
            SchemaError: a parameter is no positive number, or a binary reference is neither 0 nor 1.
        """
        metric = measure.metric
        self.coordinates = tuple(coordinates)
        self.element = str(measure)
        self.is_binary = not isinstance(metric, _AGGREGATES)
        differences = any(item.compare in ("absDiff", "delta") for item in coordinates)
        self.largest = self.is_binary or (measure.kind == "similarity" and not differences)
        power = metric.p_parameter if isinstance(metric, Minkowski) else 1.0
        if not 0 < power < np.inf:
            raise SchemaError(f"<minkowski> has p-parameter {power:g}; it must be a number above 0", metric.line)
        if self.is_binary and not np.isin(references, (0.0, 1.0)).all():
            raise SchemaError(f"<{metric.TAG}> compares 0 and 1; a value it is to compare with is neither", metric.line)
        self.references = _native.References(
            references=np.ascontiguousarray(references, np.float64),
            compare=np.array([_COMPARE.index(item.compare) for item in coordinates], np.uint8),
            weight=np.array([item.weight for item in coordinates], np.float64),
            scale=np.array([item.scale for item in coordinates], np.float64),
            missing_weight=np.ascontiguousarray(missing_weights, np.float64),
            tables=[np.ascontiguousarray(item.table) for item in coordinates],
            aggregate=_BINARY if self.is_binary else _AGGREGATES.index(type(metric)),
            power=power,
            binary=np.array(_factors(metric), np.float64),
            largest=self.largest,
            single=context == "float",
        )

    def columns(self, scope: Scope) -> tuple[list[Floats], Codes | None]:
        """The fields' values, each of shape (rows,), NaN where missing; and the rows' faults."""
        fault: Codes | None = None
        columns = []
        for item in self.coordinates:
            numbers, trouble = item.numbers(scope)
            fault = first_fault(fault, trouble)
            if self.is_binary:
                fault = first_fault(fault, self._unusable(item, numbers, scope))
            columns.append(numbers)
        return columns, fault

    def _unusable(self, item: Coordinate, numbers: Floats, scope: Scope) -> Codes | None:
        """Faults where a binary metric meets another value, or none: the standard defines it for 0 and 1 alone."""
        bad = (numbers != 0) & (numbers != 1)
        if not bad.any():
            return None
        source = Column("double", numbers, np.isnan(numbers))
        return mark(source, bad, source, scope.faults, item.name, self.element, "is neither 0 nor 1").fault

    def best(self, scope: Scope, columns: list[Floats], fault: Codes | None) -> tuple[Codes, Array, Codes | None]:
        """The best reference of each row, its measure, and the rows' faults; all of shape (rows,)."""
        index, measures = self.references.best(columns)
        undefined = index < 0
        if not undefined.any():
            return index, measures, fault
        return np.maximum(index, 0), measures, first_fault(fault, self.undefined(scope, undefined))

    def undefined(self, scope: Scope, rows: Array) -> Codes:
        """Faults of rows that cannot be compared."""
        message = "no reference can be compared with the row: all its fields are missing, or the measure is undefined"
        code = scope.faults.add(Fault(message, None, None, self.element))
        return np.where(rows, code, 0).astype(np.int32)


def _factors(metric: Metric) -> tuple[float, ...]:
    match metric:
        case SimpleMatching():
            return _SIMPLE_MATCHING
        case Jaccard():
            return _JACCARD
        case Tanimoto():
            return _TANIMOTO
        case BinarySimilarity():
            above = (metric.c11_parameter, metric.c10_parameter, metric.c01_parameter, metric.c00_parameter)
            below = (metric.d11_parameter, metric.d10_parameter, metric.d01_parameter, metric.d00_parameter)
            return above + below
        case _:
            return (0.0,) * 8


def field_reader(name: str) -> Evaluate:
    """The column of a field."""
    return lambda scope: scope.column(name)


def by_rank(table: Array, names: Sequence[str], ranks: int, largest: bool) -> dict[str, tuple[Column, ...]]:
    """Entities and their affinities, the best first and of equals the first first.

    Args:
        table: affinities, shape (rows, entities).
        names: of the entities.
        ranks: how many of them to tell.
        largest: whether the largest affinity is the best.
    """
    order = np.argsort(-table if largest else table, axis=1, kind="stable")[:, :ranks]
    affinities = np.take_along_axis(table, order, axis=1)
    data_type: DataType = "float" if table.dtype == np.float32 else "double"
    return {
        "entityId": tuple(Column("string", codes.astype(np.int32), None, names) for codes in order.T),
        "affinity": tuple(Column(data_type, values) for values in affinities.T),
    }
