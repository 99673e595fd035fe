import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from documents import FIELDS, document, model, schema
from sklearn.neural_network import MLPClassifier, MLPRegressor

from pmml_worker import SchemaError, ScoringError, load
from pmml_worker.kernels._native import DoubleNetwork

INPUTS = """<NeuralInput id="0"><DerivedField optype="continuous" dataType="double"><FieldRef field="x"/></DerivedField>
</NeuralInput><NeuralInput id="1"><DerivedField name="scaled" optype="continuous" dataType="double">
<NormContinuous field="z"><LinearNorm orig="0" norm="0"/><LinearNorm orig="10" norm="1"/></NormContinuous>
</DerivedField></NeuralInput>"""


def neuron(name: str, weights: dict[str, float], attributes: str = 'bias="0.1"') -> str:
    connections = "".join(f'<Con from="{source}" weight="{weight!r}"/>' for source, weight in weights.items())
    return f'<Neuron id="{name}" {attributes}>{connections}</Neuron>'


def layer(*neurons: str, attributes: str = "") -> str:
    return f"<NeuralLayer {attributes}>{''.join(neurons)}</NeuralLayer>"


def output(name: str, expression: str = '<FieldRef field="y"/>') -> str:
    return (
        f'<NeuralOutput outputNeuron="{name}"><DerivedField optype="continuous" dataType="double">{expression}'
        "</DerivedField></NeuralOutput>"
    )


def of_class(name: str, value: str) -> str:
    return output(name, f'<NormDiscrete field="c" value="{value}"/>')


TOLD = """<Output><OutputField name="P_A" feature="probability" value="A"/>
<OutputField name="P_B" feature="probability" value="B"/><OutputField name="neuron" feature="entityId"/></Output>"""


def network(
    layers: str,
    outputs: str,
    attributes: str = 'activationFunction="identity"',
    function: str = "regression",
    inputs: str = INPUTS,
    before: str = "",
) -> str:
    told = TOLD if function == "classification" else ""
    return (
        f'<NeuralNetwork functionName="{function}" {attributes}>{schema("y" if function == "regression" else "c")}'
        f"{told}{before}<NeuralInputs>{inputs}</NeuralInputs>{layers}<NeuralOutputs>{outputs}</NeuralOutputs></NeuralNetwork>"
    )


ONE = layer(neuron("2", {"0": 0.5, "1": -1.5}))
ROWS = [{"x": 0.3, "z": 4.0}, {"x": 2.0, "z": 1.0}, {"x": -3.5, "z": -7.0}, {"x": 0.0, "z": 0.0}]


def sums() -> list[float]:
    return [0.5 * row["x"] - 1.5 * (row["z"] / 10) + 0.1 for row in ROWS]


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "threshold": lambda z: 1.0 if z > 0.1 else 0.0,
    "logistic": lambda z: 1 / (1 + math.exp(-z)),
    "tanh": math.tanh,
    "identity": lambda z: z,
    "exponential": math.exp,
    "reciprocal": lambda z: 1 / z,
    "square": lambda z: z * z,
    "Gauss": lambda z: math.exp(-z * z),
    "sine": math.sin,
    "cosine": math.cos,
    "Elliott": lambda z: z / (1 + abs(z)),
    "arctan": lambda z: 2 * math.atan(z) / math.pi,
    "rectifier": lambda z: max(0.0, z),
}


@pytest.mark.parametrize("by", ["network", "layer"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_neuron_activates_by_a_function_of_its_weighted_sum(function: str, by: str) -> None:
    attributes = f'activationFunction="{function}" threshold="0.1"'
    if by == "network":
        text = network(ONE, output("2"), attributes)
    else:
        text = network(layer(neuron("2", {"0": 0.5, "1": -1.5}), attributes=attributes), output("2"))
    got = [row["y"] for row in model(text).score(ROWS)]
    assert got == pytest.approx([FUNCTIONS[function](z) for z in sums()], rel=1e-14)


def test_the_threshold_is_zero_unless_said_otherwise() -> None:
    text = network(ONE, output("2"), 'activationFunction="threshold"')
    assert [row["y"] for row in model(text).score(ROWS)] == [float(z > 0) for z in sums()]


def test_a_rectifier_of_minus_infinity_is_zero() -> None:
    text = network(layer(neuron("2", {"0": 1.0})), output("2"), 'activationFunction="rectifier"')
    rows = [{"x": -math.inf, "z": 0.0}, {"x": math.inf, "z": 0.0}]
    assert [row["y"] for row in model(text).score(rows)] == [0, math.inf]


@pytest.mark.parametrize("by", ["network", "layer"])
def test_a_rectifier_may_leak(by: str) -> None:
    leaky, plain = ('x-leakage="0.1"', "") if by == "network" else ("", 'x-leakage="0.1"')
    text = network(
        layer(neuron("2", {"0": 0.5, "1": -1.5}), attributes=plain),
        output("2"),
        f'activationFunction="rectifier" {leaky}',
    )
    got = [row["y"] for row in model(text).score(ROWS)]
    assert got == pytest.approx([z if z > 0 else 0.1 * z for z in sums()], rel=1e-14)


@pytest.mark.parametrize(
    ("of_network", "of_layer", "of_neuron", "width", "altitude"),
    [
        ('width="1.5"', "", "", 1.5, 1.0),
        ('width="9" altitude="9"', 'width="1.5" altitude="2"', "", 1.5, 2.0),
        ('width="9" altitude="9"', 'width="8" altitude="8"', 'width="1.5" altitude="2"', 1.5, 2.0),
    ],
)
def test_a_radial_basis_neuron_measures_distances(
    of_network: str, of_layer: str, of_neuron: str, width: float, altitude: float
) -> None:
    text = network(
        layer(neuron("2", {"0": 0.5, "1": -1.5}, of_neuron), attributes=of_layer),
        output("2"),
        f'activationFunction="radialBasis" {of_network}',
    )
    for row, got in zip(ROWS, model(text).score(ROWS), strict=True):
        z = ((row["x"] - 0.5) ** 2 + (row["z"] / 10 + 1.5) ** 2) / (2 * width**2)
        assert got["y"] == pytest.approx(math.exp(2 * math.log(altitude) - z), rel=1e-13)


HIDDEN = layer(neuron("2", {"0": 0.5, "1": -1.5}), neuron("3", {"0": 0.7}), attributes='activationFunction="tanh"')
LAST = (neuron("4", {"2": 0.5, "3": -1.5}), neuron("5", {"3": 0.7, "0": 2.0}))
CLASSES = of_class("4", "A") + of_class("5", "B")


def last(row: dict[str, float]) -> tuple[float, float]:
    two = math.tanh(0.5 * row["x"] - 1.5 * (row["z"] / 10) + 0.1)
    three = math.tanh(0.7 * row["x"] + 0.1)
    return 0.5 * two - 1.5 * three + 0.1, 0.7 * three + 2 * row["x"] + 0.1


@pytest.mark.parametrize("method", ["none", "softmax", "simplemax"])
def test_a_layer_may_be_normalized_and_the_largest_output_wins(method: str) -> None:
    text = network(
        HIDDEN + layer(*LAST, attributes=f'normalizationMethod="{method}"'), CLASSES, function="classification"
    )
    for row, got in zip(ROWS, model(text).score(ROWS), strict=True):
        a, b = last(row)
        if method == "softmax":
            a, b = math.exp(a) / (math.exp(a) + math.exp(b)), math.exp(b) / (math.exp(a) + math.exp(b))
        elif method == "simplemax":
            a, b = a / (a + b), b / (a + b)
        assert [got["P_A"], got["P_B"]] == pytest.approx([a, b], rel=1e-12)
        assert (got["c"], got["neuron"]) == (("A", "4") if a > b else ("B", "5"))


def test_the_normalization_of_the_network_is_of_the_layers_that_say_nothing() -> None:
    text = network(
        HIDDEN.replace("<NeuralLayer ", '<NeuralLayer normalizationMethod="none" ') + layer(*LAST),
        CLASSES,
        'activationFunction="identity" normalizationMethod="softmax"',
        "classification",
    )
    for row, got in zip(ROWS, model(text).score(ROWS), strict=True):
        a, b = last(row)
        assert got["P_A"] == pytest.approx(1 / (1 + math.exp(b - a)), rel=1e-13)


def test_softmax_of_large_values_does_not_overflow() -> None:
    text = network(layer(neuron("4", {"0": 1000.0}), neuron("5", {"0": 999.0})), CLASSES, function="classification")
    text = text.replace("<NeuralLayer ", '<NeuralLayer normalizationMethod="softmax" ')
    assert model(text).score_row({"x": 1.0, "z": 0.0})["P_A"] == pytest.approx(1 / (1 + math.exp(-1)), rel=1e-13)


def norm(outliers: str = "asIs", field: str = "y") -> str:
    return f"""<NormContinuous field="{field}" outliers="{outliers}"><LinearNorm orig="10" norm="0"/>
    <LinearNorm orig="30" norm="0.5"/><LinearNorm orig="40" norm="1"/></NormContinuous>"""


@pytest.mark.parametrize(
    ("outliers", "below", "above"), [("asIs", 6, 60), ("asExtremeValues", 10, 40), ("asMissingValues", None, None)]
)
def test_an_output_is_turned_back_by_its_normalization(outliers: str, below: float | None, above: float | None) -> None:
    text = network(layer(neuron("2", {"0": 1.0}, "")), output("2", norm(outliers)))
    got = [row["y"] for row in model(text).score([{"x": x, "z": 0} for x in (0.25, 0.5, 0.75, 1, -0.1, 2)])]
    assert got == [pytest.approx(value) if value is not None else None for value in (20, 30, 35, 40, below, above)]


def test_a_falling_normalization_is_turned_back_too() -> None:
    falling = """<NormContinuous field="y"><LinearNorm orig="10" norm="1"/><LinearNorm orig="30" norm="0"/>
    </NormContinuous>"""
    text = network(layer(neuron("2", {"0": 1.0}, "")), output("2", falling))
    assert model(text).score_row({"x": 0.25, "z": 0})["y"] == pytest.approx(25)


def test_an_output_may_name_a_derived_field_of_the_target() -> None:
    derived = f'<DerivedField name="scaled_y" optype="continuous" dataType="double">{norm()}</DerivedField>'
    text = network(
        layer(neuron("2", {"0": 1.0}, "")),
        output("2", '<FieldRef field="scaled_y"/>'),
        before=f"<LocalTransformations>{derived}</LocalTransformations>",
    )
    assert model(text).score_row({"x": 0.75, "z": 0})["y"] == pytest.approx(35)


def test_there_may_be_several_targets() -> None:
    text = network(HIDDEN + layer(*LAST), output("4") + CLASSES).replace(
        "<MiningSchema>", '<MiningSchema><MiningField name="c" usageType="target"/>'
    )
    a, b = last(ROWS[0])
    row = model(text).score_row(ROWS[0])
    assert row["y"] == pytest.approx(a, rel=1e-13)
    assert row["c"] == ("A" if a > b else "B")


def test_neurons_may_skip_layers_and_follow_one_another_in_a_layer() -> None:
    text = network(layer(neuron("2", {"0": 2.0}, ""), neuron("3", {"2": 3.0, "0": 1.0}, "")), output("3"))
    assert model(text).score_row({"x": 0.5, "z": 0})["y"] == 3 * 1.0 + 0.5


def test_inputs_may_be_categories() -> None:
    inputs = """<NeuralInput id="0"><DerivedField optype="continuous" dataType="double">
    <NormDiscrete field="s" value="red"/></DerivedField></NeuralInput>"""
    loaded = model(network(layer(neuron("2", {"0": 3.0})), output("2"), inputs=inputs))
    assert [loaded.score_row({"s": text})["y"] for text in ("red", "blue", None)] == [3.1, 0.1, None]


def test_a_row_that_lacks_an_input_has_no_prediction() -> None:
    rows: list[dict[str, Any]] = [{"x": None, "z": 1}, {"x": 1, "z": 1}, {"x": 1, "z": None}]
    got = [row["y"] for row in model(network(ONE, output("2"))).score(rows)]
    assert [value is None for value in got] == [True, False, True]


def test_an_input_that_is_no_number_is_an_error() -> None:
    inputs = INPUTS.replace('field="x"', 'field="s"')
    loaded = model(network(ONE, output("2"), inputs=inputs))
    with pytest.raises(ScoringError, match='value "red" is no double'):
        loaded.score_row({"s": "red", "z": 1})


def test_single_precision_is_used_where_the_document_says_so() -> None:
    text = network(ONE, output("2"), 'activationFunction="identity" x-mathContext="float"')
    f = np.float32
    for row, got in zip(ROWS, model(text).score(ROWS), strict=True):
        expected = f(f(f(0.5) * f(row["x"])) + f(f(-1.5) * f(row["z"] / 10))) + f(0.1)
        assert got["y"] == float(expected)


def fitted(mlp: MLPRegressor | MLPClassifier, outputs: str, last_attributes: str = "") -> str:
    names = [[str(place) for place in range(mlp.coefs_[0].shape[0])]]
    layers = ""
    for number, (weights, biases) in enumerate(zip(mlp.coefs_, mlp.intercepts_, strict=True), 1):
        is_last = number == len(mlp.coefs_)
        names.append([f"{number}.{place}" for place in range(len(biases))])
        neurons = (
            neuron(name, dict(zip(names[-2], weights[:, place].tolist(), strict=True)), f'bias="{biases[place]}"')
            for place, name in enumerate(names[-1])
        )
        layers += layer(*neurons, attributes=last_attributes if is_last else "")
    inputs = "".join(
        f'<NeuralInput id="{place}"><DerivedField optype="continuous" dataType="double"><FieldRef field="{name}"/>'
        "</DerivedField></NeuralInput>"
        for place, name in enumerate(("x", "z"))
    )
    function = "classification" if "NormDiscrete" in outputs else "regression"
    return network(layers, outputs, f'activationFunction="{ACTIVATION[mlp.activation]}"', function, inputs)


ACTIVATION = {"relu": "rectifier", "tanh": "tanh", "logistic": "logistic"}
RNG = np.random.default_rng(11)
DATA = RNG.normal(size=(100, 2))
DATA_ROWS = [{"x": x, "z": z} for x, z in DATA.tolist()]


@pytest.mark.parametrize("activation", ACTIVATION)
def test_a_regression_agrees_with_scikit_learn(activation: str) -> None:
    mlp = MLPRegressor(hidden_layer_sizes=(13, 7), activation=activation, max_iter=5000, tol=0.1).fit(
        DATA, DATA[:, 0] - DATA[:, 1] ** 2
    )
    text = fitted(mlp, output("3.0"), 'activationFunction="identity"')
    got = [row["y"] for row in model(text).score(DATA_ROWS)]
    np.testing.assert_allclose(got, mlp.predict(DATA), rtol=1e-10, atol=1e-12)


def test_a_classification_agrees_with_scikit_learn() -> None:
    labels = np.digitize(DATA[:, 0], [-0.5, 0.5])
    mlp = MLPClassifier(hidden_layer_sizes=(13, 7), max_iter=5000, tol=0.1).fit(DATA, labels)
    outputs = of_class("3.0", "A") + of_class("3.1", "B") + of_class("3.2", "C")
    table = model(fitted(mlp, outputs, 'activationFunction="identity" normalizationMethod="softmax"')).score(DATA_ROWS)
    expected = mlp.predict_proba(DATA)
    np.testing.assert_allclose([row["P_A"] for row in table], expected[:, 0], rtol=1e-10)
    assert [row["c"] for row in table] == ["ABC"[label] for label in mlp.predict(DATA)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (network(ONE.replace('from="1"', 'from="7"'), output("2")), 'names node "7", which is neither an input nor'),
        (network(ONE, output("9")), 'names node "9"'),
        (network(layer(neuron("3", {"2": 1.0})) + ONE, output("2")), 'names node "2"'),
        (network(layer(neuron("1", {"0": 1.0})), output("1")), 'two nodes of the network have the id "1"'),
        (network(ONE, output("2"), 'activationFunction="radialBasis"'), "radialBasis needs a width above 0"),
        (network(ONE, output("2"), 'activationFunction="radialBasis" width="1" altitude="0"'), "altitude is not above"),
        (network(ONE, output("2", '<Constant dataType="double">1</Constant>')), "<Constant>, which cannot be turned"),
        (
            network(ONE, output("2", '<NormContinuous field="y"><LinearNorm orig="1" norm="1"/></NormContinuous>')),
            "needs two <LinearNorm>",
        ),
    ],
)
def test_what_a_document_lacks_is_told_at_load(text: str, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        load(document(text, FIELDS))


def test_the_kernel_refuses_arrays_that_do_not_fit() -> None:
    def build(**changed: Any) -> DoubleNetwork:
        arrays: dict[str, Any] = {
            "inputs": 1,
            "layer_groups": np.array([1]),
            "functions": np.array([0], np.int32),
            "normalizations": np.array([0], np.int32),
            "thresholds": np.zeros(1),
            "leakages": np.zeros(1),
            "group_units": np.array([1]),
            "group_sources": np.array([1]),
            "sources": np.array([0], np.int32),
            "weights": np.ones(1),
            "biases": np.zeros(1),
            "divisors": np.ones(1),
            "addends": np.zeros(1),
            "outputs": np.array([1], np.int32),
        }
        return DoubleNetwork(**arrays | changed)

    assert build().run(np.array([[2.0, 3.0]])).tolist() == [[2.0, 3.0]]
    for changed in (
        {"sources": np.array([1], np.int32)},
        {"outputs": np.array([2], np.int32)},
        {"weights": np.ones(0)},
        {"biases": np.zeros(2)},
        {"layer_groups": np.array([2])},
        {"functions": np.array([0, 0], np.int32)},
        {"group_units": np.array([0])},
        {"group_sources": np.array([1, 1])},
    ):
        with pytest.raises(ValueError, match=r"."):
            build(**changed)
    with pytest.raises(ValueError, match="a column for each input"):
        build().run(np.zeros((2, 5)))
