"""ClusteringModel: the cluster that a row is nearest to, or most similar to (ClusteringModel)."""

from __future__ import annotations

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.comparison import (
    AFFINITIES,
    ENTITIES,
    Comparison,
    Coordinate,
    by_rank,
    coordinate,
    field_reader,
)
from pmml_worker.models.kernel import Context
from pmml_worker.models.row import Declined, RowFields, RowForm, RowPrediction, Values
from pmml_worker.schema.clustering import Cluster, ClusteringField, ClusteringModel, CompareFunction
from pmml_worker.schema.elements import Array as ArrayElement
from pmml_worker.schema.elements import DerivedField
from pmml_worker.transform.column import Array, Bools, Codes, Column, Floats, first_fault
from pmml_worker.transform.expressions import compile_typed
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Environment, FieldType, Scope


class ClusteringKernel:
    """Scores a ClusteringModel."""

    def __init__(self, model: ClusteringModel, context: Context) -> None:
        if not model.clusters:
            raise SchemaError("<ClusteringModel> has no <Cluster>", model.line)
        self.names = tuple(cluster.id or str(position) for position, cluster in enumerate(model.clusters, 1))
        repeated = [name for name in self.names if self.names.count(name) > 1]
        if repeated:
            raise SchemaError(f'<ClusteringModel> has two clusters with the id "{repeated[0]}"', model.line)
        self.display = tuple(cluster.name or "" for cluster in model.clusters)
        self.has_no_display = np.array([cluster.name is None for cluster in model.clusters], np.bool_)
        self.element = str(model)
        self.has_derived_centers = model.center_fields is not None
        self.single = model.x_math_context == "float"
        fields = [field for field in model.clustering_fields if field.is_center_field]
        centers = [_center(cluster) for cluster in model.clusters]
        coordinates = _coordinates(model, fields, centers, context.environment)
        for cluster, center in zip(model.clusters, centers, strict=True):
            if len(center) != len(coordinates):
                raise SchemaError(
                    f"<Cluster> has {len(center)} coordinates, the model {len(coordinates)} fields of centers",
                    cluster.line,
                )
        points = np.array([[_number(item, text) for item, text in zip(coordinates, center, strict=True)]
                           for center in centers], np.float64)  # fmt: skip
        self.comparison = Comparison(
            model.comparison_measure, coordinates, points, _missing_weights(model, fields, coordinates),
            model.x_math_context,
        )  # fmt: skip
        self.mahalanobis = _Mahalanobis(model, points) if model.model_class == "distributionBased" else None
        output = model.output.fields if model.output else ()
        self.ranks = max((field.rank for field in output if field.feature in AFFINITIES | ENTITIES), default=1)
        told = any(field.feature in AFFINITIES or field.segment_id is not None for field in output)
        self.tells_affinities = told or self.ranks > 1 or not context.is_outermost

    def row(self, fields: RowFields) -> RowForm:
        """The form for one row, where only the nearest cluster is asked for."""
        comparison = self.comparison
        if self.mahalanobis is not None or self.tells_affinities or self.has_derived_centers or comparison.is_binary:
            raise Declined
        places = []
        for item in comparison.coordinates:
            if item.codes is not None or fields.type_of(item.name) not in ("double", "float", "integer"):
                raise Declined
            places.append(fields.place(item.name))
        best, names = comparison.references.best, self.names

        def score(values: Values) -> RowPrediction:
            point = np.array([values[place] for place in places], np.float64)
            index = best(list(point.reshape(-1, 1)))[0][0]
            if index < 0:
                raise Declined
            return RowPrediction(names[index])

        return RowForm(score)

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows."""
        columns, fault = self.comparison.columns(scope)
        table: Array | None = None
        if self.mahalanobis is not None:
            table = self.mahalanobis.distances(columns, self.single)
            undefined: Bools = np.asarray(np.isnan(table).any(axis=1))
            if undefined.any():
                fault = first_fault(fault, self.comparison.undefined(scope, undefined))
            best: Codes = np.where(undefined, 0, table.argmin(axis=1)).astype(np.int32)
        else:
            best, _, fault = self.comparison.best(scope, columns, fault)
            if self.tells_affinities:
                table = self.comparison.references.measures(columns)
        value = Column("string", best, None, self.names, fault=fault)
        ranked: dict[str, tuple[Column, ...]] = {}
        if table is not None and self.ranks > 1:
            largest = self.comparison.largest and self.mahalanobis is None
            ranked = by_rank(table, self.names, self.ranks, largest)
        absent = self.has_no_display[best] if self.has_no_display.any() else None
        ranked["predictedDisplayValue"] = (Column("string", best, absent, self.display, fault=fault),)
        return Prediction(value, entity=value, entities=self.names, affinities=table, ranked=ranked)


def _center(cluster: Cluster) -> list[str]:
    if cluster.array is None:
        raise SchemaError("<Cluster> has no <Array>, its center; clusters told by statistics alone are not scored",
                          cluster.line)  # fmt: skip
    if isinstance(cluster.array, ArrayElement):
        return cluster.array.items()
    return [repr(float(number)) for number in cluster.array.numbers()]


def _number(item: Coordinate, text: str) -> float:
    """A coordinate of a center as a number."""
    if item.codes is not None:
        code = item.codes.get(text)
        if code is None:
            raise SchemaError(f'"{text}" is no valid value of field "{item.name}" ({item.element})')
        return code
    try:
        return float(text)
    except ValueError:
        raise SchemaError(f'center "{text}" of field "{item.name}" is no number ({item.element})') from None


def _coordinates(
    model: ClusteringModel, fields: list[ClusteringField], centers: list[list[str]], environment: Environment
) -> list[Coordinate]:
    """The coordinates of centers: the fields that say so or, in documents of PMML 3, fields derived for it."""
    default = model.comparison_measure.compare_function
    if model.center_fields is not None:
        told = {field.field: field for field in fields}
        return [
            _derived(field, told.get(field.name), default, environment) for field in model.center_fields.derived_fields
        ]
    result = []
    for position, field in enumerate(fields):
        texts = [center[position] for center in centers if position < len(center)]
        known = environment.type_of(field.field, field)
        result.append(
            coordinate(
                field.field, field, known, field_reader(field.field), field.compare_function or default,
                field.field_weight, field.similarity_scale, field.comparisons, texts,
            )
        )  # fmt: skip
    return result


def _derived(
    derived: DerivedField, field: ClusteringField | None, default: CompareFunction, environment: Environment
) -> Coordinate:
    evaluate = compile_typed(derived.expression, derived.data_type, environment, derived.name)
    owner = field or ClusteringField(line=derived.line, field=derived.name)
    known = FieldType(derived.data_type, derived.optype)
    return coordinate(
        derived.name, owner, known, evaluate, owner.compare_function or default, owner.field_weight,
        owner.similarity_scale, owner.comparisons,
    )  # fmt: skip


def _missing_weights(model: ClusteringModel, fields: list[ClusteringField], coordinates: list[Coordinate]) -> Floats:
    """What each coordinate counts where others are missing, 1 where nothing is said (MissingValueWeights).

    The weights are those of all clustering fields, or only of those that centers have.
    """
    weights = model.missing_value_weights
    if weights is None:
        return np.ones(len(coordinates))
    numbers = weights.array.numbers()
    if len(numbers) == len(model.clustering_fields) and len(fields) == len(coordinates):
        numbers = np.array([
            number
            for number, field in zip(numbers, model.clustering_fields, strict=True)
            if field.is_center_field
        ])  # fmt: skip
    if len(numbers) != len(coordinates) or not (numbers >= 0).all() or not numbers.sum() > 0:
        raise SchemaError(
            f"<MissingValueWeights> needs a weight from 0 on, not all of them 0, for each of {len(coordinates)} fields",
            weights.line,
        )
    return numbers


class _Mahalanobis:
    """Distances by each cluster's own covariances: the root of (x - c)' S^-1 (x - c).

    The standard gives distribution-based clusters covariances and no formula; this is the distance that they define.
    """

    def __init__(self, model: ClusteringModel, centers: Floats) -> None:
        self.centers = centers
        inverses = []
        for cluster in model.clusters:
            if cluster.covariances is None:
                raise SchemaError("<Cluster> of a distribution-based model needs <Covariances>", cluster.line)
            matrix = cluster.covariances.matrix.numbers()
            width = centers.shape[1]
            if matrix.shape != (width, width) or np.isnan(matrix).any():
                raise SchemaError(f"<Covariances> is not {width} x {width}", cluster.covariances.line)
            try:
                np.linalg.cholesky(matrix)
            except np.linalg.LinAlgError:
                raise SchemaError("<Covariances> is not positive definite", cluster.covariances.line) from None
            inverses.append(np.linalg.inv(matrix))
        self.inverses = np.array(inverses)

    def distances(self, columns: list[Floats], single: bool) -> Array:
        """Shape (rows, clusters); NaN where a field is missing."""
        rows = np.stack(columns, axis=1)
        table = np.empty((len(rows), len(self.centers)), np.float32 if single else np.float64)
        for position, (center, inverse) in enumerate(zip(self.centers, self.inverses, strict=True)):
            away = rows - center
            table[:, position] = np.sqrt(np.einsum("ri,ij,rj->r", away, inverse, away))
        return table
