"""NearestNeighborModel: predictions from the training instances that are nearest to a row (KNN)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.comparison import AFFINITIES, ENTITIES, Comparison, Coordinate, coordinate, field_reader
from pmml_worker.models.instances import Instances
from pmml_worker.models.kernel import Context
from pmml_worker.schema.nearest_neighbor import KNNInput, NearestNeighborModel
from pmml_worker.transform.column import Array, Bools, Codes, Column, Faults, Floats, Ints, to_text
from pmml_worker.transform.prediction import Prediction, winner
from pmml_worker.transform.scope import Environment, Scope


@dataclass(frozen=True, slots=True)
class _Numbers:
    """A target of numbers: the instances' values, shape (instances,), NaN where they have none."""

    values: Floats


@dataclass(frozen=True, slots=True)
class _Classes:
    """A target of classes.

    Attributes:
        names: the classes; of those that get equal votes the one that stands first here is predicted.
        codes: shape (instances,), -1 where an instance has none.
    """

    names: tuple[str, ...]
    codes: Ints


class NearestNeighborKernel:
    """Scores a NearestNeighborModel."""

    def __init__(self, model: NearestNeighborModel, context: Context) -> None:
        self.model = model
        self.element = str(model)
        if model.number_of_neighbors < 1:
            raise SchemaError(f"numberOfNeighbors is {model.number_of_neighbors}; it must be 1 or more", model.line)
        instances = Instances(model.training_instances, context.environment)
        fields = model.output.fields if model.output else ()
        ranks = max((field.rank for field in fields if field.feature in AFFINITIES | ENTITIES), default=1)
        self.most = min(model.number_of_neighbors, instances.count)
        self.told = min(max(self.most, ranks), instances.count)
        coordinates = []
        points = []
        for item in model.knn_inputs.inputs:
            column = instances.column(item.field)
            made = self._coordinate(item, column, context.environment)
            coordinates.append(made)
            points.append(self._numbers(made, item, column))
        self.comparison = Comparison(
            model.comparison_measure, coordinates, np.stack(points, axis=1), np.ones(len(points)), model.x_math_context
        )
        self.targets: dict[str | None, _Numbers | _Classes | None] = {
            target.name: None if target.name is None else _target(instances.column(target.name))
            for target in context.targets
        }
        self.names: Sequence[str] = [str(position) for position in range(1, instances.count + 1)]
        if model.instance_id_variable is not None:
            self.names = instances.column(model.instance_id_variable).texts().tolist()
        self.tells_affinities = any(field.feature in AFFINITIES and field.value is not None for field in fields)

    def _coordinate(self, item: KNNInput, column: Column, environment: Environment) -> Coordinate:
        known = environment.type_of(item.field, item)
        compare = item.compare_function or self.model.comparison_measure.compare_function
        texts = to_text(column).categories or () if known.data_type == "string" else ()
        return coordinate(
            item.field, item, known, field_reader(item.field), compare, item.field_weight, None, None, texts
        )

    def _numbers(self, made: Coordinate, item: KNNInput, column: Column) -> Floats:
        scope = Scope(len(column), Faults(), {})
        scope.declare(item.field, column)
        numbers, fault = made.numbers(scope)
        if fault is not None or np.isnan(numbers).any():
            raise SchemaError(f'a training instance has no usable value of "{item.field}"', item.line)
        return numbers

    def score(self, scope: Scope) -> Mapping[str | None, Prediction]:
        """Predict for a block of rows, each target by itself."""
        columns, fault = self.comparison.columns(scope)
        nearest, measures = self.comparison.references.nearest(columns, self.told)
        undefined = nearest[:, 0] < 0
        if undefined.any():
            trouble = self.comparison.undefined(scope, undefined)
            fault = trouble if fault is None else np.where(fault != 0, fault, trouble).astype(np.int32)
        if scope.rows and nearest.min() < 0:
            nearest = np.maximum(nearest, 0)
        ranked = self._ranked(nearest, measures)
        affinities = self.comparison.references.measures(columns) if self.tells_affinities else None
        result: dict[str | None, Prediction] = {}
        for name, target in self.targets.items():
            value, classes, table = self._predict(target, nearest[:, : self.most], measures[:, : self.most], fault)
            result[name] = Prediction(
                value,
                classes,
                table,
                entity=ranked["entityId"][0],
                entities=tuple(self.names) if affinities is not None else (),
                affinities=affinities,
                ranked=ranked,
            )
        return result

    def _ranked(self, nearest: Codes, measures: Array) -> dict[str, tuple[Column, ...]]:
        data_type = "float" if measures.dtype == np.float32 else "double"
        return {
            "entityId": tuple(Column("string", codes, None, self.names) for codes in np.ascontiguousarray(nearest.T)),
            "affinity": tuple(Column("float" if data_type == "float" else "double", item) for item in measures.T),
        }

    def _predict(
        self, target: _Numbers | _Classes | None, nearest: Codes, measures: Array, fault: Codes | None
    ) -> tuple[Column, tuple[str, ...], Array | None]:
        match target:
            case None:
                return Column("string", nearest[:, 0], None, self.names, fault=fault), (), None
            case _Numbers():
                return self._number(target.values[nearest], measures).with_fault(fault), (), None
            case _Classes():
                table = self._votes(target, nearest, measures)
                total = table.sum(axis=1, keepdims=True)
                nothing = total[:, 0] == 0
                value = winner(table, target.names, nothing if nothing.any() else None).with_fault(fault)
                with np.errstate(all="ignore"):
                    return value, target.names, table / total

    def _weights(self, measures: Array) -> Array:
        """What neighbours count: a similarity itself, of a distance the inverse of it and the threshold's sum."""
        if self.comparison.largest:
            return measures
        with np.errstate(all="ignore"):
            result: Array = 1 / (measures + measures.dtype.type(self.model.threshold))
        return result

    def _number(self, values: Floats, measures: Array) -> Column:
        """continuousScoringMethod; neighbours without a value do not count."""
        present = ~np.isnan(values)
        values = values.astype(measures.dtype)
        nothing: Bools = np.asarray(~present.any(axis=1))
        with np.errstate(all="ignore"):
            if self.model.continuous_scoring_method == "median":
                result = _medians(values, present)
            else:
                weighted = self.model.continuous_scoring_method == "weightedAverage"
                weights = self._weights(measures) if weighted else np.ones_like(measures)
                total = np.zeros(len(values), measures.dtype)
                mass = np.zeros(len(values), measures.dtype)
                for value, weight, here in zip(values.T, weights.T, present.T, strict=True):
                    total += np.where(here, weight * value, 0).astype(total.dtype)
                    mass += np.where(here, weight, 0).astype(total.dtype)
                result = total / mass
        data_type = "float" if measures.dtype == np.float32 else "double"
        return Column("float" if data_type == "float" else "double", result, nothing if nothing.any() else None)

    def _votes(self, target: _Classes, nearest: Codes, measures: Array) -> Array:
        """categoricalScoringMethod: what each class gets, shape (rows, classes)."""
        weighted = self.model.categorical_scoring_method == "weightedMajorityVote"
        weights = self._weights(measures) if weighted else np.ones_like(measures)
        table = np.zeros((len(nearest), len(target.names) + 1), measures.dtype)
        rows = np.arange(len(nearest))
        for codes, weight in zip(target.codes[nearest].T, weights.T, strict=True):
            table[rows, codes] += weight
        return table[:, :-1]


def _medians(values: Array, present: Array) -> Array:
    """The median of each row's values that are there."""
    ordered = np.sort(np.where(present, values, np.inf), axis=1)
    count = present.sum(axis=1)
    rows = np.arange(len(values))
    low, high = ordered[rows, np.maximum(count - 1, 0) // 2], ordered[rows, np.minimum(count // 2, values.shape[1] - 1)]
    result: Array = np.where(low == high, low, (low + high) / 2)
    return result


def _target(column: Column) -> _Numbers | _Classes:
    """A target's values in the instances.

    Of classes with equal votes the one is predicted that most instances have and, of these, the least.
    """
    if column.categories is None and column.values.dtype.kind in "if":
        return _Numbers(column.floats())
    text = to_text(column)
    categories = text.categories or ("",)
    present = text.values[~text.is_missing()]
    counts = np.bincount(present, minlength=len(categories))
    order = sorted(range(len(categories)), key=lambda code: (-counts[code], categories[code]))
    place = np.zeros(len(categories), np.int64)
    place[order] = np.arange(len(categories))
    return _Classes(tuple(categories[code] for code in order), np.where(text.is_missing(), -1, place[text.values]))
