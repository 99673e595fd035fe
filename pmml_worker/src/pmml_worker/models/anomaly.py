"""AnomalyDetectionModel: another model's result as a measure of how unusual a row is (AnomalyDetectionModel)."""

from __future__ import annotations

import math

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.kernel import Context
from pmml_worker.schema.anomaly import AnomalyDetectionModel
from pmml_worker.schema.clustering import ClusteringModel
from pmml_worker.transform.column import Column, cast_or_fault
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Scope

_EULER = 0.57721566
"""Euler's constant as the standard writes it."""


class AnomalyKernel:
    """Scores an AnomalyDetectionModel."""

    def __init__(self, model: AnomalyDetectionModel, context: Context) -> None:
        self.algorithm = model.algorithm_type
        self.element = str(model)
        self.normalizer = _normalizer(model)
        self.means = np.zeros(0)
        if self.algorithm == "clusterMeanDist":
            if not isinstance(model.model, ClusteringModel):
                raise SchemaError('<AnomalyDetectionModel> of "clusterMeanDist" needs a <ClusteringModel>', model.line)
            means = model.mean_cluster_distances
            if means is None:
                raise SchemaError(
                    '<AnomalyDetectionModel> of "clusterMeanDist" needs <MeanClusterDistances>', model.line
                )
            self.means = means.array.numbers()
            if len(self.means) != len(model.model.clusters) or not (self.means > 0).all():
                raise SchemaError(
                    f"<MeanClusterDistances> needs a number above 0 for each of {len(model.model.clusters)} clusters",
                    means.line,
                )
        self.inner = context.compile_inner(model.model, context.environment)

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows: the normalized path length, the ratio of distances, or the model's own value."""
        inner = self.inner(scope)
        if self.algorithm in ("ocsvm", "other"):
            return inner
        if self.algorithm == "iforest":
            value = cast_or_fault(inner.value, "double", scope.faults, None, self.element)
            with np.errstate(all="ignore"):
                scores = np.power(2.0, -(value.values / self.normalizer))
            return Prediction(Column("double", scores, value.missing, fault=value.fault))
        if inner.entity is None or inner.affinities is None:
            raise TypeError("a clustering model tells the distances from its clusters")
        winner = inner.entity.values
        distances = inner.affinities[np.arange(scope.rows), winner].astype(np.float64)
        return Prediction(
            Column("double", distances / self.means[winner], inner.entity.missing, fault=inner.value.fault)
        )


def _normalizer(model: AnomalyDetectionModel) -> float:
    """c(n) = 2 H(n - 1) - 2 (n - 1) / n of the size of the sample, where H(x) is ln(x) and Euler's constant."""
    if model.algorithm_type != "iforest":
        return 1.0
    size = model.sample_data_size
    if size is None or size < 2:
        raise SchemaError('<AnomalyDetectionModel> of "iforest" needs a sampleDataSize of 2 or more', model.line)
    return 2 * (math.log(size - 1) + _EULER) - 2 * (size - 1) / size
