"""The elements of nearest neighbour models."""

from __future__ import annotations

from typing import ClassVar, Literal

from pmml_worker.schema.clustering import CompareFunction, ComparisonMeasure
from pmml_worker.schema.elements import Element, InlineTable, ModelElement, element


@element
class InstanceField(Element):
    """Which column of the table holds a field's values; by default the one of its name."""

    field: str
    column: str | None = None


@element
class InstanceFields(Element):
    """The fields of the training instances."""

    fields: tuple[InstanceField, ...]


@element
class TableLocator(Element):
    """A table outside of the document (Taxonomy)."""


@element
class TrainingInstances(Element):
    """The instances that rows are compared with."""

    is_transformed: bool = False
    record_count: int | None = None
    field_count: int | None = None
    instance_fields: InstanceFields
    table: InlineTable | TableLocator


@element
class KNNInput(Element):
    """A field by which rows are compared with instances."""

    field: str
    field_weight: float = 1.0
    compare_function: CompareFunction | None = None


@element
class KNNInputs(Element):
    """The fields by which rows are compared with instances."""

    TAG: ClassVar[str | None] = "KNNInputs"
    inputs: tuple[KNNInput, ...]


@element
class NearestNeighborModel(ModelElement):
    """Predictions from the nearest of training instances (KNN)."""

    number_of_neighbors: int
    continuous_scoring_method: Literal["median", "average", "weightedAverage"] = "average"
    categorical_scoring_method: Literal["majorityVote", "weightedMajorityVote"] = "majorityVote"
    instance_id_variable: str | None = None
    threshold: float = 0.001
    training_instances: TrainingInstances
    comparison_measure: ComparisonMeasure
    knn_inputs: KNNInputs
