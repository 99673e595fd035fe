"""The elements of clustering models, and the comparison measure that nearest neighbour models share."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, Literal, TypeAlias

from pmml_worker.schema.elements import (
    DerivedField,
    Element,
    Matrix,
    ModelElement,
    NumberArray,
    element,
)

CompareFunction: TypeAlias = Literal["absDiff", "gaussSim", "delta", "equal", "table"]
"""How two values of a field are compared (ClusteringModel, "compareFunction")."""


@element
class Euclidean(Element):
    """The root of the sum of squares."""

    TAG: ClassVar[str | None] = "euclidean"


@element
class SquaredEuclidean(Element):
    """The sum of squares."""

    TAG: ClassVar[str | None] = "squaredEuclidean"


@element
class Chebychev(Element):
    """The largest comparison."""

    TAG: ClassVar[str | None] = "chebychev"


@element
class CityBlock(Element):
    """The sum."""

    TAG: ClassVar[str | None] = "cityBlock"


@element
class Minkowski(Element):
    """The p-th root of the sum of p-th powers."""

    TAG: ClassVar[str | None] = "minkowski"
    p_parameter: float = field(metadata={"xml": "p-parameter"})


@element
class SimpleMatching(Element):
    """The share of binary fields that agree."""

    TAG: ClassVar[str | None] = "simpleMatching"


@element
class Jaccard(Element):
    """The share of fields that are both 1, of those of which one is."""

    TAG: ClassVar[str | None] = "jaccard"


@element
class Tanimoto(Element):
    """The share of binary fields that agree, where those that do not count twice."""

    TAG: ClassVar[str | None] = "tanimoto"


@element
class BinarySimilarity(Element):
    """A ratio of weighted counts of pairs: 00, 01, 10 and 11."""

    TAG: ClassVar[str | None] = "binarySimilarity"
    c00_parameter: float = field(metadata={"xml": "c00-parameter"})
    c01_parameter: float = field(metadata={"xml": "c01-parameter"})
    c10_parameter: float = field(metadata={"xml": "c10-parameter"})
    c11_parameter: float = field(metadata={"xml": "c11-parameter"})
    d00_parameter: float = field(metadata={"xml": "d00-parameter"})
    d01_parameter: float = field(metadata={"xml": "d01-parameter"})
    d10_parameter: float = field(metadata={"xml": "d10-parameter"})
    d11_parameter: float = field(metadata={"xml": "d11-parameter"})


Metric: TypeAlias = (
    Euclidean
    | SquaredEuclidean
    | Chebychev
    | CityBlock
    | Minkowski
    | SimpleMatching
    | Jaccard
    | Tanimoto
    | BinarySimilarity
)


@element
class ComparisonMeasure(Element):
    """How a row is compared with a cluster or with an instance."""

    kind: Literal["distance", "similarity"]
    compare_function: CompareFunction = "absDiff"
    minimum: float | None = None
    maximum: float | None = None
    metric: Metric


@element
class Comparisons(Element):
    """What two values of a field give: a row and a column for each of its values, in the order of their declaration."""

    matrix: Matrix


@element
class ClusteringField(Element):
    """A field that clusters are defined by."""

    field: str
    is_center_field: bool = True
    field_weight: float = 1.0
    similarity_scale: float | None = None
    compare_function: CompareFunction | None = None
    comparisons: Comparisons | None = None


@element
class CenterFields(Element):
    """The coordinates of centers, where they are not fields (PMML 3)."""

    derived_fields: tuple[DerivedField, ...]


@element
class MissingValueWeights(Element):
    """What a field counts where others are missing."""

    array: NumberArray


@element
class KohonenMap(Element):
    """Where a cluster lies in a map."""

    coord1: float | None = None
    coord2: float | None = None
    coord3: float | None = None


@element
class Covariances(Element):
    """How the coordinates of a cluster's members vary."""

    matrix: Matrix


@element
class Cluster(Element):
    """A cluster; without an id its position, counted from 1, stands for it."""

    id: str | None = None
    name: str | None = None
    size: int | None = None
    kohonen_map: KohonenMap | None = None
    array: NumberArray | None = None
    covariances: Covariances | None = None


@element
class ClusteringModel(ModelElement):
    """Clusters (ClusteringModel)."""

    model_class: Literal["centerBased", "distributionBased"]
    number_of_clusters: int
    comparison_measure: ComparisonMeasure
    clustering_fields: tuple[ClusteringField, ...]
    center_fields: CenterFields | None = None
    missing_value_weights: MissingValueWeights | None = None
    clusters: tuple[Cluster, ...]
