"""BaselineModel and its distributions (BaselineModel)."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

from pmml_worker.schema.distributions import GaussianDistribution, PoissonDistribution, UniformDistribution
from pmml_worker.schema.elements import Element, FieldRef, ModelElement, element


@element
class AnyDistribution(Element):
    """A distribution of which only mean and variance are known."""

    mean: float
    variance: float


@element
class FieldValueCount(Element):
    """How often a value was counted."""

    field: str
    value: str
    count: float


@element
class FieldValue(Element):
    """A value, given which others were counted."""

    field: str
    value: str
    parts: tuple[FieldValue | FieldValueCount, ...]


@element
class CountTable(Element):
    """Counts of values, or of combinations of values of several fields."""

    sample: float | None = None
    parts: tuple[FieldValue | FieldValueCount, ...]


@element
class NormalizedCountTable(CountTable):
    """The same as shares of a sample."""

    TAG: ClassVar[str | None] = "NormalizedCountTable"


ContinuousDistribution: TypeAlias = AnyDistribution | GaussianDistribution | PoissonDistribution | UniformDistribution


@element
class Baseline(Element):
    """What is normal: a distribution, counts, or fields that are independent of each other."""

    parts: tuple[ContinuousDistribution | CountTable | NormalizedCountTable | FieldRef, ...]


@element
class Alternate(Element):
    """What is not."""

    distribution: ContinuousDistribution


@element
class TestDistributions(Element):
    """A test of a field's values against distributions."""

    field: str
    test_statistic: Literal["zValue", "chiSquareIndependence", "chiSquareDistribution", "CUSUM", "scalarProduct"]
    reset_value: float = 0.0
    window_size: int = 0
    weight_field: str | None = None
    normalization_scheme: Literal["None", "SizeWeighted", "Independent"] | None = None
    baseline: Baseline
    alternate: Alternate | None = None


@element
class BaselineModel(ModelElement):
    """A model that detects changes (BaselineModel)."""

    test: TestDistributions
