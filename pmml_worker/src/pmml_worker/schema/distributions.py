"""Distributions of numbers, which several model elements hold (NaiveBayes, BaselineModel)."""

from __future__ import annotations

from pmml_worker.schema.elements import Element, element


@element
class GaussianDistribution(Element):
    """A normal distribution."""

    mean: float
    variance: float


@element
class PoissonDistribution(Element):
    """A Poisson distribution."""

    mean: float


@element
class UniformDistribution(Element):
    """A uniform distribution."""

    lower: float
    upper: float
