"""BayesianNetworkModel and its nodes (BayesianNetwork)."""

from __future__ import annotations

from typing import ClassVar, TypeAlias

from pmml_worker.schema.elements import DerivedField, Element, Expression, ModelElement, element


@element
class ValueProbability(Element):
    """The probability of a value."""

    value: str
    probability: float


@element
class ParentValue(Element):
    """A value of a parent, on which probabilities depend."""

    parent: str
    value: str


@element
class DiscreteConditionalProbability(Element):
    """The probabilities of a node's values, given values of its parents."""

    count: float | None = None
    parent_values: tuple[ParentValue, ...]
    value_probabilities: tuple[ValueProbability, ...]


@element
class DiscreteNode(Element):
    """A variable of some values."""

    name: str
    count: float | None = None
    derived_fields: tuple[DerivedField, ...] = ()
    conditionals: tuple[DiscreteConditionalProbability, ...] = ()
    value_probabilities: tuple[ValueProbability, ...] = ()


@element
class Mean(Element):
    """A distribution's mean; an expression of parents that are continuous."""

    expression: Expression


@element
class Variance(Element):
    """A distribution's variance."""

    expression: Expression


@element
class Lower(Element):
    """The least value."""

    expression: Expression


@element
class Upper(Element):
    """The greatest value."""

    expression: Expression


@element
class NormalDistribution(Element):
    """A normal distribution."""

    TAG: ClassVar[str | None] = "NormalDistributionForBN"
    mean: Mean
    variance: Variance


@element
class LognormalDistribution(Element):
    """A distribution whose logarithm is normal, with the logarithm's mean and variance."""

    TAG: ClassVar[str | None] = "LognormalDistributionForBN"
    mean: Mean
    variance: Variance


@element
class UniformDistribution(Element):
    """A uniform distribution."""

    TAG: ClassVar[str | None] = "UniformDistributionForBN"
    lower: Lower
    upper: Upper


@element
class TriangularDistribution(Element):
    """A triangular distribution; its peak follows from its mean and its ends."""

    TAG: ClassVar[str | None] = "TriangularDistributionForBN"
    mean: Mean
    lower: Lower
    upper: Upper


Distribution: TypeAlias = NormalDistribution | LognormalDistribution | UniformDistribution | TriangularDistribution


@element
class ContinuousDistribution(Element):
    """The distribution of a continuous node."""

    distribution: Distribution


@element
class ContinuousConditionalProbability(Element):
    """The distribution of a node, given values of its discrete parents."""

    count: float | None = None
    parent_values: tuple[ParentValue, ...] = ()
    distributions: tuple[ContinuousDistribution, ...]


@element
class ContinuousNode(Element):
    """A variable of numbers."""

    name: str
    count: float | None = None
    derived_fields: tuple[DerivedField, ...] = ()
    conditionals: tuple[ContinuousConditionalProbability, ...] = ()
    distributions: tuple[ContinuousDistribution, ...] = ()


@element
class BayesianNetworkNodes(Element):
    """The network's nodes."""

    nodes: tuple[DiscreteNode | ContinuousNode, ...]


@element
class BayesianNetworkModel(ModelElement):
    """A Bayesian network (BayesianNetwork)."""

    model_type: str | None = None
    inference_method: str | None = None
    network: BayesianNetworkNodes
