"""NeuralNetwork: layers of neurons, and what their outputs say of the targets (NeuralNetwork)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.kernels._native import DoubleNetwork, FloatNetwork
from pmml_worker.models.kernel import Context
from pmml_worker.models.row import Declined, RowFields, RowForm, RowPrediction, Values
from pmml_worker.schema.elements import Element, Expression, FieldRef, NormContinuous, NormDiscrete
from pmml_worker.schema.neural_network import (
    ActivationFunction,
    LayerNormalization,
    NeuralLayer,
    NeuralNetwork,
    NeuralOutput,
    Neuron,
)
from pmml_worker.transform.column import Array, Column, cast_or_fault, fault_of, missing_of
from pmml_worker.transform.expressions import compile_typed
from pmml_worker.transform.prediction import Prediction, winner
from pmml_worker.transform.scope import Evaluate, Scope

_FUNCTIONS: Mapping[ActivationFunction, int] = {
    "identity": 0, "threshold": 1, "logistic": 2, "tanh": 3, "exponential": 4, "reciprocal": 5, "square": 6,
    "Gauss": 7, "sine": 8, "cosine": 9, "Elliott": 10, "arctan": 11, "rectifier": 12, "radialBasis": 13,
}  # fmt: skip
_NORMALIZATIONS: Mapping[LayerNormalization, int] = {"none": 0, "softmax": 1, "simplemax": 2}
assert set(_FUNCTIONS) == set(get_args(ActivationFunction))


class _Layers:
    """The layers flattened for the kernel; consecutive neurons with the same sources make a group."""

    def __init__(self, model: NeuralNetwork) -> None:
        self.model = model
        self.nodes: dict[str, int] = {}
        for node in model.neural_inputs.inputs:
            self._name(node.id, node)
        self.layer_groups: list[int] = []
        self.functions: list[int] = []
        self.normalizations: list[int] = []
        self.thresholds: list[float] = []
        self.leakages: list[float] = []
        self.group_units: list[int] = []
        self.group_sources: list[int] = []
        self.sources: list[int] = []
        self.weights: list[float] = []
        self.biases: list[float] = []
        self.divisors: list[float] = []
        self.addends: list[float] = []
        for layer in model.layers:
            self._add_layer(layer)

    def _name(self, name: str, element: Element) -> None:
        if name in self.nodes:
            raise SchemaError(f'two nodes of the network have the id "{name}"', element.line)
        self.nodes[name] = len(self.nodes)

    def node(self, name: str, element: Element) -> int:
        """The number of a node that comes before the element."""
        if name not in self.nodes:
            raise SchemaError(
                f'<{type(element).__name__}> names node "{name}", which is neither an input nor a neuron before it',
                element.line,
            )
        return self.nodes[name]

    def _add_layer(self, layer: NeuralLayer) -> None:
        model = self.model
        function = layer.activation_function or model.activation_function
        groups = len(self.group_units)
        before: list[int] | None = None
        for neuron in layer.neurons:
            sources = [self.node(connection.source, connection) for connection in neuron.connections]
            if sources == before:
                self.group_units[-1] += 1
            else:
                self.group_units.append(1)
                self.group_sources.append(len(sources))
                self.sources += sources
            before = sources
            self.weights += [connection.weight for connection in neuron.connections]
            self.biases.append(neuron.bias)
            divisor, addend = self._radial(neuron, layer) if function == "radialBasis" else (1.0, 0.0)
            self.divisors.append(divisor)
            self.addends.append(addend)
            self._name(neuron.id, neuron)
        self.layer_groups.append(len(self.group_units) - groups)
        self.functions.append(_FUNCTIONS[function])
        self.normalizations.append(_NORMALIZATIONS[layer.normalization_method or model.normalization_method])
        self.thresholds.append(model.threshold if layer.threshold is None else layer.threshold)
        self.leakages.append(model.x_leakage if layer.x_leakage is None else layer.x_leakage)

    def _radial(self, neuron: Neuron, layer: NeuralLayer) -> tuple[float, float]:
        """What a squared distance is divided by, and what the quotient is taken from: exp(f log(altitude) - Z)."""
        width, altitude = (
            next((value for value in values if value is not None), None)
            for values in (
                (neuron.width, layer.width, self.model.width),
                (neuron.altitude, layer.altitude, self.model.altitude),
            )
        )
        if width is None or not width > 0:
            raise SchemaError(f'<Neuron> "{neuron.id}": radialBasis needs a width above 0', neuron.line)
        if altitude is None or not altitude > 0:
            raise SchemaError(f'<Neuron> "{neuron.id}": altitude is not above 0', neuron.line)
        return 2.0 * width * width, len(neuron.connections) * math.log(altitude)

    def compile(self, dtype: type[np.floating], outputs: list[int]) -> DoubleNetwork | FloatNetwork:
        """The kernel's network, which gives the values of some nodes."""
        network = FloatNetwork if dtype == np.float32 else DoubleNetwork
        return network(
            inputs=len(self.model.neural_inputs.inputs),
            layer_groups=np.array(self.layer_groups, np.int64),
            functions=np.array(self.functions, np.int32),
            normalizations=np.array(self.normalizations, np.int32),
            thresholds=np.array(self.thresholds, dtype),
            leakages=np.array(self.leakages, dtype),
            group_units=np.array(self.group_units, np.int64),
            group_sources=np.array(self.group_sources, np.int64),
            sources=np.array(self.sources, np.int32),
            weights=np.array(self.weights, dtype),
            biases=np.array(self.biases, dtype),
            divisors=np.array(self.divisors, dtype),
            addends=np.array(self.addends, dtype),
            outputs=np.array(outputs, np.int32),
        )


class _Inverse:
    """What a NormContinuous was made of: the number whose normalized value a neuron gives."""

    def __init__(self, element: NormContinuous) -> None:
        points = sorted(element.linear_norms, key=lambda point: point.norm)
        self.orig = np.array([point.orig for point in points])
        self.norm = np.array([point.norm for point in points])
        if len(points) < 2 or (np.diff(self.norm) <= 0).any():
            raise SchemaError(
                "<NormContinuous> of an output needs two <LinearNorm> or more, with different norm values", element.line
            )
        self.outliers = element.outliers

    def apply(self, values: Array) -> tuple[Array, Array | None]:
        """The numbers and where they are missing; outside the points as `outliers` says, on the nearest piece."""
        outside = (values < self.norm[0]) | (values > self.norm[-1])
        if self.outliers == "asExtremeValues":
            values = np.clip(values, self.norm[0], self.norm[-1])
        piece = np.clip(np.searchsorted(self.norm, values, "right") - 1, 0, len(self.norm) - 2)
        slope = (self.orig[piece + 1] - self.orig[piece]) / (self.norm[piece + 1] - self.norm[piece])
        result = self.orig[piece] + (values - self.norm[piece]) * slope
        return result, outside if self.outliers == "asMissingValues" and outside.any() else None


@dataclass(frozen=True, slots=True)
class _Target:
    """How a target is told: by the neuron of each class, or by one neuron's value."""

    places: tuple[int, ...]
    neurons: tuple[str, ...]
    classes: tuple[str, ...] = ()
    inverse: _Inverse | None = None


class NeuralNetworkKernel:
    """Scores a NeuralNetwork, which may have several targets."""

    def __init__(self, model: NeuralNetwork, context: Context) -> None:
        self.dtype: type[np.floating] = np.float32 if model.x_math_context == "float" else np.float64
        self.element = str(model)
        layers = _Layers(model)
        self.fields = [node.derived_field for node in model.neural_inputs.inputs]
        self.inputs: list[tuple[Evaluate, str]] = []
        for node in model.neural_inputs.inputs:
            field = node.derived_field
            name = field.name or node.id
            self.inputs.append((compile_typed(field.expression, field.data_type, context.environment, name), name))
        outputs = model.neural_outputs.outputs
        self.local = {
            field.name: field.expression
            for field in (model.local_transformations.derived_fields if model.local_transformations else ())
        }
        self.network = layers.compile(self.dtype, [layers.node(item.output_neuron, item) for item in outputs])
        self.targets = self._targets(outputs)

    def _targets(self, outputs: tuple[NeuralOutput, ...]) -> dict[str, _Target]:
        """What the outputs tell of each target's field; of several numbers for one field the first counts."""
        targets: dict[str, _Target] = {}
        for place, output in enumerate(outputs):
            expression: Expression = output.derived_field.expression
            for _ in self.local:
                if isinstance(expression, FieldRef):
                    expression = self.local.get(expression.field, expression)
            neuron = output.output_neuron
            match expression:
                case NormDiscrete():
                    known = targets.get(expression.field, _Target((), ()))
                    targets[expression.field] = _Target(
                        (*known.places, place), (*known.neurons, neuron), (*known.classes, expression.value)
                    )
                case FieldRef():
                    targets.setdefault(expression.field, _Target((place,), (neuron,)))
                case NormContinuous():
                    targets.setdefault(expression.field, _Target((place,), (neuron,), (), _Inverse(expression)))
                case _:
                    raise SchemaError(
                        f"<NeuralOutput> holds <{type(expression).__name__}>, which cannot be turned round; it may "
                        "hold <FieldRef>, <NormContinuous> or <NormDiscrete>",
                        output.line,
                    )
        return targets

    def row(self, fields: RowFields) -> RowForm:
        """The form for one row: of one target that is not turned round."""
        (target, *others) = self.targets.values()
        if self.dtype is not np.float64 or others or target.inverse is not None:
            raise Declined
        steps = [fields.typed(field.expression, field.data_type or "double") for field in self.fields]
        run, classes, places = self.network.run, target.classes, target.places

        def score(values: Values) -> RowPrediction:
            point = np.array([step(values) for step in steps], np.float64)
            results = run(point.reshape(-1, 1))[:, 0].tolist()
            if any(result != result for result in results):
                raise Declined
            if not classes:
                return RowPrediction(results[places[0]])
            table = [results[place] for place in places]
            return RowPrediction(classes[table.index(max(table))], table)

        return RowForm(score, classes)

    def score(self, scope: Scope) -> dict[str | None, Prediction]:
        """Predict each target for a block of rows; a row that lacks an input has no prediction."""
        columns = [
            cast_or_fault(evaluate(scope), "double", scope.faults, name, self.element) for evaluate, name in self.inputs
        ]
        values = np.empty((len(columns), scope.rows), self.dtype)
        for row, column in zip(values, columns, strict=True):
            row[:] = column.values
        missing, fault = missing_of(columns), fault_of(columns)
        if missing is not None and fault is not None:
            fault = np.where(missing, 0, fault).astype(np.int32)
        results = self.network.run(values)
        predictions: dict[str | None, Prediction] = {}
        for name, target in self.targets.items():
            if not target.classes:
                told, outside = results[target.places[0]], None
                if target.inverse is not None:
                    told, outside = target.inverse.apply(told)
                number = Column("float" if self.dtype == np.float32 else "double", told.astype(self.dtype), missing)
                predictions[name] = Prediction(number.with_missing(outside).with_fault(fault))
                continue
            table = results[list(target.places)].T
            value = winner(np.nan_to_num(table, nan=-np.inf), target.classes, missing).with_fault(fault)
            entity = Column("string", value.values, missing, target.neurons)
            predictions[name] = Prediction(value, target.classes, table, entity=entity)
        return predictions
