"""SupportVectorMachineModel and what it holds (SupportVectorMachine)."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pmml_worker.schema.elements import (
    Array,
    CategoricalPredictor,
    Element,
    FieldRef,
    ModelElement,
    RealSparseArray,
    element,
)


@element
class LinearKernelType(Element):
    """K(x, y) = x y."""


@element
class PolynomialKernelType(Element):
    """K(x, y) = (gamma x y + coef0) ** degree."""

    gamma: float = 1.0
    coef0: float = 1.0
    degree: float = 1.0


@element
class RadialBasisKernelType(Element):
    """K(x, y) = exp(-gamma |x - y| ** 2)."""

    gamma: float = 1.0


@element
class SigmoidKernelType(Element):
    """K(x, y) = tanh(gamma x y + coef0)."""

    gamma: float = 1.0
    coef0: float = 1.0


KernelType: TypeAlias = LinearKernelType | PolynomialKernelType | RadialBasisKernelType | SigmoidKernelType


@element
class VectorFields(Element):
    """What the entries of all vectors stand for, in their order."""

    number_of_fields: int | None = None
    fields: tuple[FieldRef | CategoricalPredictor, ...] = ()


@element
class VectorInstance(Element):
    """A vector, with the name by which machines refer to it."""

    id: str
    array: Array | RealSparseArray


@element
class VectorDictionary(Element):
    """All vectors of a model."""

    number_of_vectors: int | None = None
    vector_fields: VectorFields
    vector_instances: tuple[VectorInstance, ...] = ()


@element
class SupportVector(Element):
    """A vector of the dictionary, by its name."""

    vector_id: str


@element
class SupportVectors(Element):
    """The vectors that a machine uses."""

    number_of_support_vectors: int | None = None
    number_of_attributes: int | None = None
    support_vectors: tuple[SupportVector, ...] = ()


@element
class Coefficient(Element):
    """The weight of a support vector or, where a machine is represented by coefficients, of a field."""

    value: float = 0.0


@element
class Coefficients(Element):
    """The weights of a machine, and what is added to their sum."""

    number_of_coefficients: int | None = None
    absolute_value: float = 0.0
    coefficients: tuple[Coefficient, ...] = ()


@element
class SupportVectorMachine(Element):
    """One machine: a function of the fields."""

    target_category: str | None = None
    alternate_target_category: str | None = None
    threshold: float | None = None
    support_vectors: SupportVectors | None = None
    coefficients: Coefficients


@element
class SupportVectorMachineModel(ModelElement):
    """Support vector machines (SupportVectorMachine)."""

    threshold: float = 0.0
    svm_representation: Literal["SupportVectors", "Coefficients"] = "SupportVectors"
    classification_method: Literal["OneAgainstAll", "OneAgainstOne"] | None = None
    max_wins: bool = False
    alternate_binary_target_category: str | None = None
    kernel: KernelType
    vector_dictionary: VectorDictionary
    machines: tuple[SupportVectorMachine, ...]
