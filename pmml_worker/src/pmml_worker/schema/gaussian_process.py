"""GaussianProcessModel and its kernels (GaussianProcess)."""

from __future__ import annotations

from typing import TypeAlias

from pmml_worker.schema.elements import Array, Element, ModelElement, element
from pmml_worker.schema.nearest_neighbor import TrainingInstances


@element
class Lambda(Element):
    """Length scales, one for each feature or one for all."""

    array: Array


@element
class RadialBasisKernel(Element):
    """k(x, y) = gamma exp(-1/2 sum of ((x - y) / lambda) ** 2), lambda being one number."""

    gamma: float = 1.0
    noise_variance: float = 1.0
    lambda_: float = 1.0


@element
class ARDSquaredExponentialKernel(Element):
    """k(x, y) = gamma exp(-1/2 sum of ((x - y) / lambda) ** 2)."""

    gamma: float = 1.0
    noise_variance: float = 1.0
    scales: Lambda | None = None


@element
class AbsoluteExponentialKernel(Element):
    """k(x, y) = gamma exp(-sum of |x - y| / lambda)."""

    gamma: float = 1.0
    noise_variance: float = 1.0
    scales: Lambda | None = None


@element
class GeneralizedExponentialKernel(Element):
    """k(x, y) = gamma exp(-sum of (|x - y| / lambda) ** degree)."""

    gamma: float = 1.0
    noise_variance: float = 1.0
    degree: float = 1.0
    scales: Lambda | None = None


ProcessKernel: TypeAlias = (
    RadialBasisKernel | ARDSquaredExponentialKernel | AbsoluteExponentialKernel | GeneralizedExponentialKernel
)


@element
class GaussianProcessModel(ModelElement):
    """A Gaussian process with a mean of 0 (GaussianProcess)."""

    optimizer: str | None = None
    kernel: ProcessKernel
    training_instances: TrainingInstances
