"""The elements of naive Bayes models (NaiveBayes)."""

from __future__ import annotations

from pmml_worker.schema.distributions import GaussianDistribution, PoissonDistribution, UniformDistribution
from pmml_worker.schema.elements import Element, InlineField, ModelElement, element


@element
class TargetValueCount(Element):
    """How many records have a value of the target."""

    value: str
    count: float


@element
class TargetValueCounts(Element):
    """How many records have each value of the target."""

    counts: tuple[TargetValueCount, ...]


@element
class PairCounts(Element):
    """How many records have a value of the input, by value of the target."""

    value: str
    counts: TargetValueCounts


@element
class TargetValueStat(Element):
    """How a continuous input is distributed where the target has a value."""

    value: str
    distribution: GaussianDistribution | PoissonDistribution | UniformDistribution


@element
class TargetValueStats(Element):
    """How a continuous input is distributed, by value of the target."""

    stats: tuple[TargetValueStat, ...]


@element
class BayesInput(Element):
    """What is known of an input: distributions if it is continuous, else counts; of itself or of a field made of it."""

    field_name: str
    target_value_stats: TargetValueStats | None = None
    derived_field: InlineField | None = None
    pair_counts: tuple[PairCounts, ...] = ()


@element
class BayesInputs(Element):
    """All inputs."""

    inputs: tuple[BayesInput, ...]


@element
class BayesOutput(Element):
    """The target and how often it has each of its values."""

    field_name: str
    target_value_counts: TargetValueCounts


@element
class NaiveBayesModel(ModelElement):
    """A naive Bayes model."""

    threshold: float
    bayes_inputs: BayesInputs
    bayes_output: BayesOutput
