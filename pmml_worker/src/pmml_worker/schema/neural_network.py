"""The elements of neural networks (NeuralNetwork)."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from pmml_worker.schema.elements import Element, InlineField, ModelElement, element

ActivationFunction: TypeAlias = Literal[
    "threshold", "logistic", "tanh", "identity", "exponential", "reciprocal", "square", "Gauss", "sine", "cosine",
    "Elliott", "arctan", "rectifier", "radialBasis",
]  # fmt: skip
LayerNormalization: TypeAlias = Literal["none", "simplemax", "softmax"]


@element
class NeuralInput(Element):
    """What an input node gives out."""

    id: str
    derived_field: InlineField


@element
class NeuralInputs(Element):
    """All input nodes."""

    inputs: tuple[NeuralInput, ...]


@element
class Con(Element):
    """A connection from an input node or a neuron."""

    source: str = field(metadata={"xml": "from"})
    weight: float


@element
class Neuron(Element):
    """A neuron and the connections that lead to it."""

    id: str
    bias: float = 0.0
    width: float | None = None
    altitude: float | None = None
    connections: tuple[Con, ...] = ()


@element
class NeuralLayer(Element):
    """Neurons of a kind; what is absent is as in the network."""

    activation_function: ActivationFunction | None = None
    threshold: float | None = None
    x_leakage: float | None = field(default=None, metadata={"xml": "x-leakage"})
    width: float | None = None
    altitude: float | None = None
    normalization_method: LayerNormalization | None = None
    neurons: tuple[Neuron, ...]


@element
class NeuralOutput(Element):
    """A neuron's output and the target's field that it is a normalized value of."""

    output_neuron: str
    derived_field: InlineField


@element
class NeuralOutputs(Element):
    """All outputs."""

    outputs: tuple[NeuralOutput, ...]


@element
class NeuralNetwork(ModelElement):
    """A neural network."""

    activation_function: ActivationFunction
    normalization_method: LayerNormalization = "none"
    threshold: float = 0.0
    x_leakage: float = field(default=0.0, metadata={"xml": "x-leakage"})
    width: float | None = None
    altitude: float = 1.0
    neural_inputs: NeuralInputs
    layers: tuple[NeuralLayer, ...]
    neural_outputs: NeuralOutputs
