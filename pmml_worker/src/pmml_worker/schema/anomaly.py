"""The elements of anomaly detection models."""

from __future__ import annotations

from typing import Literal

from pmml_worker.schema.elements import Element, ModelElement, NumberArray, element


@element
class MeanClusterDistances(Element):
    """For each cluster the mean distance of its members from its center."""

    array: NumberArray


@element
class AnomalyDetectionModel(ModelElement):
    """A model whose result tells how unusual a row is (AnomalyDetectionModel)."""

    algorithm_type: Literal["iforest", "ocsvm", "clusterMeanDist", "other"]
    sample_data_size: int | None = None
    model: ModelElement
    mean_cluster_distances: MeanClusterDistances | None = None
