"""SupportVectorMachineModel, compared with formulas in NumPy and with scikit-learn."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from documents import document, model, schema
from sklearn.svm import SVC, SVR

from pmml_worker import SchemaError, ScoringError, load
from pmml_worker.kernels import _native

Floats = npt.NDArray[np.float64]

FIELDS = """<FieldRef field="x"/><FieldRef field="z"/><CategoricalPredictor name="s" value="red" coefficient="1"/>"""
VECTORS = {"a": (1.0, 0.5, 0.0), "b": (0.0, 2.0, 0.0), "c": (-1.0, 0.0, 1.0)}
LINEAR = "<LinearKernelType/>"


def dictionary(vectors: Mapping[str, Sequence[float]] = VECTORS, fields: str = FIELDS) -> str:
    told = "".join(
        f'<VectorInstance id="{name}"><Array type="real" n="{len(values)}">{" ".join(map(str, values))}</Array>'
        "</VectorInstance>"
        for name, values in vectors.items()
    )
    return f"<VectorDictionary><VectorFields>{fields}</VectorFields>{told}</VectorDictionary>"


def machine(weights: dict[str, float], intercept: float = 0.0, attributes: str = "") -> str:
    names = "".join(f'<SupportVector vectorId="{name}"/>' for name in weights)
    values = "".join(f'<Coefficient value="{value}"/>' for value in weights.values())
    return (
        f"<SupportVectorMachine {attributes}><SupportVectors>{names}</SupportVectors>"
        f'<Coefficients absoluteValue="{intercept}">{values}</Coefficients></SupportVectorMachine>'
    )


def svm(
    machines: str,
    attributes: str = "",
    kernel: str = LINEAR,
    function: str = "regression",
    vectors: str = "",
    output: str = "",
) -> str:
    target = "y" if function == "regression" else "c"
    return (
        f'<SupportVectorMachineModel functionName="{function}" {attributes}>{schema(target)}{output}{kernel}'
        f"{vectors or dictionary()}{machines}</SupportVectorMachineModel>"
    )


ROWS = [{"x": 0.7, "z": -1.2, "s": "red"}, {"x": -0.4, "z": 0.3, "s": "blue"}, {"x": 2.0, "z": 1.5, "s": "red"}]
POINTS = np.array([[0.7, -1.2, 1.0], [-0.4, 0.3, 0.0], [2.0, 1.5, 1.0]])
WEIGHTS = {"c": 0.3, "a": -1.7, "b": 0.9}

KERNELS: dict[str, Callable[[Floats, Floats], float]] = {
    LINEAR: lambda x, y: float(x @ y),
    "<PolynomialKernelType/>": lambda x, y: float(x @ y) + 1.0,
    '<PolynomialKernelType gamma="0.4" coef0="2.5" degree="3"/>': lambda x, y: (0.4 * float(x @ y) + 2.5) ** 3,
    '<PolynomialKernelType gamma="0.4" coef0="2.5" degree="2"/>': lambda x, y: (0.4 * float(x @ y) + 2.5) ** 2,
    '<PolynomialKernelType gamma="0.2" coef0="9" degree="1.5"/>': lambda x, y: (0.2 * float(x @ y) + 9.0) ** 1.5,
    "<RadialBasisKernelType/>": lambda x, y: math.exp(-float((x - y) @ (x - y))),
    '<RadialBasisKernelType gamma="0.3" description="d"/>': lambda x, y: math.exp(-0.3 * float((x - y) @ (x - y))),
    "<SigmoidKernelType/>": lambda x, y: math.tanh(float(x @ y) + 1.0),
    '<SigmoidKernelType gamma="0.6" coef0="-0.2"/>': lambda x, y: math.tanh(0.6 * float(x @ y) - 0.2),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_machine_adds_weighted_kernel_values_and_its_absolute_value(kernel: str) -> None:
    got = model(svm(machine(WEIGHTS, 0.25), kernel=kernel)).score(ROWS)
    for row, point in zip(got, POINTS, strict=True):
        terms = [weight * KERNELS[kernel](point, np.array(VECTORS[name])) for name, weight in WEIGHTS.items()]
        assert row["y"] == pytest.approx(sum(terms) + 0.25, rel=1e-13)


def test_vectors_may_be_sparse() -> None:
    sparse = dictionary().replace(
        '<Array type="real" n="3">0.0 2.0 0.0</Array>',
        '<REAL-SparseArray n="3" defaultValue="0"><Indices>2</Indices><REAL-Entries>2</REAL-Entries>'
        "</REAL-SparseArray>",
    )
    assert sparse != dictionary()
    assert model(svm(machine(WEIGHTS), vectors=sparse)).score(ROWS) == model(svm(machine(WEIGHTS))).score(ROWS)


def test_machines_represented_by_coefficients_are_hyperplanes_of_the_fields() -> None:
    machines = (
        '<SupportVectorMachine><Coefficients absoluteValue="0.5"><Coefficient value="2"/><Coefficient/>'
        '<Coefficient value="-3"/></Coefficients></SupportVectorMachine>'
    )
    got = model(svm(machines, 'svmRepresentation="Coefficients"', vectors=dictionary({}))).score(ROWS)
    assert [row["y"] for row in got] == pytest.approx(list(POINTS @ [2.0, 0.0, -3.0] + 0.5))


def test_a_categorical_predictor_gives_its_coefficient() -> None:
    fields = FIELDS.replace('coefficient="1"', 'coefficient="4"')
    got = model(svm(machine({"c": 1.0}), vectors=dictionary(fields=fields))).score_row({"x": 0, "z": 0, "s": "red"})
    assert got["y"] == 4.0


@pytest.mark.parametrize("name", ["x", "z", "s"])
def test_a_row_with_a_missing_field_is_an_error_that_names_it(name: str) -> None:
    loaded = model(svm(machine(WEIGHTS)))
    with pytest.raises(ScoringError, match=f"field {name}: a missing value is none that can be used") as error:
        loaded.score_row({**ROWS[0], name: None})
    assert error.value.field == name
    assert error.value.element is not None
    assert loaded.score([*ROWS, {**ROWS[0], name: None}], errors="collect")[0]["_error"] is None


def test_a_field_reference_may_map_missing_to_a_number() -> None:
    fields = FIELDS.replace('field="z"', 'field="z" mapMissingTo="-1.2"')
    loaded = model(svm(machine(WEIGHTS), vectors=dictionary(fields=fields)))
    assert loaded.score_row({**ROWS[0], "z": None}) == loaded.score_row(ROWS[0])


# --- Classes ---------------------------------------------------------------------------------------------------------

# Each machine's value is the entry x of the row plus its absolute value.
UNIT = {"a": (1.0, 0.0, 0.0)}


def classes(
    values: Sequence[tuple[str, float]], attributes: str = "", told: str = "", each: Sequence[str] | None = None
) -> Any:
    """A classification whose machines have given values."""
    machines = "".join(
        machine({"a": 0.0}, value, f"{names} {'' if each is None else each[position]}")
        for position, (names, value) in enumerate(values)
    )
    output = "".join(f'<OutputField name="{name}" feature="probability" value="{name}"/>' for name in told)
    text = svm(machines, attributes, function="classification", vectors=dictionary(UNIT),
               output=f"<Output>{output}</Output>" if told else "")  # fmt: skip
    return model(text).score_row({"x": 1, "z": 0, "s": "red"})


def one(name: str) -> str:
    return f'targetCategory="{name}"'


def pair(names: str) -> str:
    return f'targetCategory="{names[0]}" alternateTargetCategory="{names[1]}"'


def test_of_machines_for_a_class_each_the_least_value_wins_or_the_greatest() -> None:
    values = [(one("p"), 0.3), (one("q"), -0.2), (one("r"), 0.8)]
    for method in ("", 'classificationMethod="OneAgainstAll"'):
        assert classes(values, method)["c"] == "q"
        assert classes(values, f'{method} maxWins="true"')["c"] == "r"


def test_of_equal_values_the_first_class_wins() -> None:
    assert classes([(one("q"), 0.3), (one("p"), 0.3)])["c"] == "q"


ONE_ONE = 'classificationMethod="OneAgainstOne"'


@pytest.mark.parametrize(
    ("values", "attributes", "expected", "shares"),
    [
        ((-1, -1, 1), "", "p", (2, 0, 1)),
        ((1, -1, -1), "", "q", (1, 2, 0)),
        ((1, 1, 1), "", "r", (0, 1, 2)),
        ((1, 1, 1), 'maxWins="true"', "p", (2, 1, 0)),
        ((0, 0, 0), "", "r", (0, 1, 2)),
        ((0, 0, 0), 'maxWins="true"', "r", (0, 1, 2)),
        ((1, 1, 1), 'threshold="1.5"', "p", (2, 1, 0)),
        ((1, 1, 1), 'threshold="1.5" maxWins="true"', "r", (0, 1, 2)),
    ],
)
def test_machines_between_two_classes_vote(
    values: tuple[float, ...], attributes: str, expected: str, shares: tuple[int, ...]
) -> None:
    machines = list(zip(map(pair, ("pq", "pr", "qr")), values, strict=True))
    got = classes(machines, f"{ONE_ONE} {attributes}", "pqr")
    assert got["c"] == expected
    assert [got[name] for name in "pqr"] == pytest.approx([share / 3 for share in shares])


def test_a_machine_may_have_a_threshold_of_its_own() -> None:
    values = [(pair("pq"), 1.0), (pair("pr"), 1.0), (pair("qr"), 1.0)]
    own = ['threshold="2"', "", ""]
    assert classes(values, ONE_ONE, "p")["p"] == 0.0
    assert classes(values, ONE_ONE, "p", own)["p"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("order", "expected"), [(("pq", "pr", "qr"), "q"), (("qr", "pr", "pq"), "r")])
def test_of_equal_votes_the_class_that_got_its_first_one_earliest_wins(order: tuple[str, ...], expected: str) -> None:
    values = list(zip(map(pair, order), (1.0, -1.0, 1.0), strict=True))
    got = classes(values, ONE_ONE, "pqr")
    assert got["c"] == expected
    assert {got[name] for name in "pqr"} == {1 / 3}


@pytest.mark.parametrize(
    ("value", "attributes", "expected"),
    [
        (-0.1, "", "p"), (0.0, "", "q"), (0.4, "", "q"), (0.4, 'threshold="0.5"', "p"),
        (0.4, 'maxWins="true"', "p"), (-0.1, 'maxWins="true"', "q"), (0.0, 'maxWins="true"', "q"),
    ],
)  # fmt: skip
def test_a_single_machine_compares_with_the_threshold_whatever_the_method(
    value: float, attributes: str, expected: str
) -> None:
    for method in ("", ONE_ONE, 'classificationMethod="OneAgainstAll"'):
        assert classes([(pair("pq"), value)], f"{attributes} {method}")["c"] == expected


def test_pairs_of_classes_vote_where_an_old_document_tells_no_method() -> None:
    values = [(pair("pq"), 1.0), (pair("pr"), 1.0), (pair("qr"), 1.0)]
    assert classes(values)["c"] == "r"


@pytest.mark.parametrize(("value", "expected"), [(0.0, "q"), (-0.5, "q"), (0.49, "q"), (0.5, "p"), (1.4, "p")])
def test_before_pmml_4_a_value_near_1_means_the_target_and_near_0_the_other_category(
    value: float, expected: str
) -> None:
    assert classes([(one("p"), value)], 'alternateBinaryTargetCategory="q"')["c"] == expected


@pytest.mark.parametrize("value", [-0.51, 1.5])
def test_a_value_near_neither_0_nor_1_is_an_error_before_pmml_4(value: float) -> None:
    with pytest.raises(ScoringError, match="near neither 0 nor 1"):
        classes([(one("p"), value)], 'alternateBinaryTargetCategory="q"')


def test_machines_for_a_class_each_tell_no_probabilities() -> None:
    with pytest.raises(ScoringError, match="tells no probabilities"):
        classes([(one("p"), 0.3), (one("q"), 0.2)], told="p")


# --- Independent implementations -------------------------------------------------------------------------------------

PARAMETERS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": (LINEAR, {}),
    "poly": ('<PolynomialKernelType gamma="0.2" coef0="1.5" degree="3"/>', {"gamma": 0.2, "coef0": 1.5, "degree": 3}),
    "rbf": ('<RadialBasisKernelType gamma="0.7"/>', {"gamma": 0.7}),
    "sigmoid": ('<SigmoidKernelType gamma="0.1" coef0="-0.5"/>', {"gamma": 0.1, "coef0": -0.5}),
}
TWO_FIELDS = '<FieldRef field="x"/><FieldRef field="z"/>'


def trained() -> tuple[Floats, Floats, npt.NDArray[np.str_]]:
    rng = np.random.default_rng(7)
    points = rng.normal(size=(90, 2))
    sides = (points + 0.3 * rng.normal(size=(90, 2)) > [0.0, 0.2]).sum(axis=1)
    return points, points[:, 0] ** 2 - points[:, 1] + 0.1 * rng.normal(size=90), np.array(["p", "q", "r"])[sides]


@pytest.mark.parametrize("kernel", PARAMETERS)
def test_regression_is_that_of_scikit_learn(kernel: str) -> None:
    points, values, _ = trained()
    element, parameters = PARAMETERS[kernel]
    fitted = SVR(kernel=kernel, **parameters).fit(points, values)
    names = [str(position) for position in range(len(fitted.support_vectors_))]
    vectors = dictionary(dict(zip(names, fitted.support_vectors_.tolist(), strict=True)), TWO_FIELDS)
    weights = dict(zip(names, fitted.dual_coef_[0], strict=True))
    loaded = model(svm(machine(weights, fitted.intercept_[0]), kernel=element, vectors=vectors))
    got = [row["y"] for row in loaded.score([{"x": x, "z": z} for x, z in points])]
    assert got == pytest.approx(fitted.predict(points).tolist(), rel=1e-9)


@pytest.mark.parametrize("kernel", PARAMETERS)
def test_one_against_one_classification_is_that_of_scikit_learn(kernel: str) -> None:
    points, _, labels = trained()
    element, parameters = PARAMETERS[kernel]
    fitted = SVC(kernel=kernel, decision_function_shape="ovo", **parameters).fit(points, labels)
    names = [str(position) for position in range(len(fitted.support_vectors_))]
    starts = np.cumsum([0, *fitted.n_support_])
    machines = ""
    for position, (i, j) in enumerate([(0, 1), (0, 2), (1, 2)]):
        weights = {names[at]: fitted.dual_coef_[j - 1, at] for at in range(starts[i], starts[i + 1])}
        weights |= {names[at]: fitted.dual_coef_[i, at] for at in range(starts[j], starts[j + 1])}
        told = f'targetCategory="{fitted.classes_[i]}" alternateTargetCategory="{fitted.classes_[j]}"'
        machines += machine(weights, fitted.intercept_[position], told)
    vectors = dictionary(dict(zip(names, fitted.support_vectors_.tolist(), strict=True)), TWO_FIELDS)
    text = svm(machines, f'{ONE_ONE} maxWins="true"', element, "classification", vectors)
    got = [row["c"] for row in model(text).score([{"x": x, "z": z} for x, z in points])]
    assert got == fitted.predict(points).tolist()
    assert len(set(got)) == 3


def powers(x: Floats, gamma: float) -> Floats:
    """exp(-gamma x x), as the kernel computes it."""
    one_vector = np.zeros((1, 1)), np.ones(1, np.int64), np.zeros(1, np.int32), np.ones(1), np.zeros(1)
    result: Floats = _native.kernel_machines(x[None], *one_vector, 2, gamma, 0.0, 1.0, 1.0)[0]
    return result


def test_powers_of_e_are_the_nearest_numbers_almost_always() -> None:
    x = np.arange(1, 6000) / 256.0  # Their squares are exact, so that only the power is rounded.
    for gamma in (1.0, -1.0):
        got = powers(x, gamma)
        exact = np.exp(-gamma * (x * x).astype(np.longdouble))
        nearest = exact.astype(np.float64)
        assert np.abs((got - exact) / np.spacing(nearest)).max() < 0.6
        assert np.mean(got != nearest) < 0.01


def test_powers_of_e_overflow_underflow_and_pass_nan() -> None:
    x = np.array([26.7, 27.3, 30.0, 1e200, np.inf, np.nan, 0.0])
    with np.errstate(over="ignore"):
        for gamma in (1.0, -1.0):
            np.testing.assert_allclose(powers(x, gamma), np.exp(-gamma * x * x), rtol=1e-12, atol=5e-324)


def test_single_precision_rounds_each_step_and_takes_its_own_e() -> None:
    f = np.float32
    loaded = model(svm(machine(WEIGHTS, 0.25), 'x-mathContext="float"', '<RadialBasisKernelType gamma="0.3"/>'))
    for row, point in zip(loaded.score(ROWS), POINTS.astype(f), strict=True):
        total = f(0)
        for name, weight in WEIGHTS.items():
            distance = f(0)
            for one_, other in zip(point, np.array(VECTORS[name], f), strict=True):
                distance += (one_ - other) * (one_ - other)
            total += f(weight) * f(2.7182817 ** float(-f(0.3) * distance))
        assert row["y"] == float(total + f(0.25))


def test_rows_are_scored_alike_alone_and_in_blocks() -> None:
    loaded = model(svm(machine(WEIGHTS, 0.25), kernel='<RadialBasisKernelType gamma="0.3"/>'))
    rng = np.random.default_rng(1)
    rows = [{"x": x, "z": z, "s": "red"} for x, z in rng.normal(size=(67, 2))]
    assert loaded.score(rows) == [loaded.score_row(row) for row in rows]


# --- Documents that are wrong ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (svm(""), "lacks its element SupportVectorMachine"),
        (svm(machine(WEIGHTS) * 2), "for regression has more than one machine"),
        (svm(machine({"nowhere": 1.0})), 'names no <VectorInstance>: "nowhere"'),
        (svm(machine(WEIGHTS), vectors=dictionary({"a": (1.0,)})), '"a" has 1 entries for 3 fields'),
        (svm(machine(WEIGHTS).replace('<Coefficient value="0.9"/>', "")), "has 2 for 3 support vectors"),
        (svm(machine(WEIGHTS), 'svmRepresentation="Coefficients"', "<SigmoidKernelType/>"), "a <LinearKernelType>"),
        (svm(machine(WEIGHTS).replace("SupportVectors>", "Extension>")), "has no <SupportVectors>"),
        (svm(machine(WEIGHTS), function="classification"), "lacks its targetCategory"),
        (svm(machine(WEIGHTS, 0, one("p")), ONE_ONE, function="classification"), "lacks its alternateTargetCategory"),
        (svm(machine(WEIGHTS), vectors=dictionary(fields=FIELDS.replace('"x"', '"s"'))), "which has no numbers"),
        (svm(machine(WEIGHTS), vectors=dictionary(fields=FIELDS.replace('"x"', '"w"'))), "which is not defined"),
        (svm(machine(WEIGHTS), vectors=dictionary().replace('id="b"', 'id="a"')), '"a" is there twice'),
    ],
)  # fmt: skip
def test_a_document_that_is_wrong_is_refused_and_told_where(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message) as error:
        load(document(text))
    assert error.value.line is not None


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", range(4))
def test_a_single_row_gets_what_it_gets_among_others(kind: int, dtype: type[np.floating[Any]]) -> None:
    draw = np.random.default_rng(kind)
    rows, vectors = draw.normal(size=(3, 50)).astype(dtype), draw.normal(size=(70, 3)).astype(dtype)
    ends, terms = np.array([30, 100]), draw.integers(70, size=100).astype(np.int32)
    weights, intercepts = draw.normal(size=100).astype(dtype), np.array([0.5, -1], dtype)

    def values(columns: Any) -> Any:
        return _native.kernel_machines(columns, vectors, ends, terms, weights, intercepts, kind, 0.3, 0.1, 3.0, 1.0)

    single = [values(np.ascontiguousarray(rows[:, [row]])) for row in range(rows.shape[1])]
    assert np.array_equal(np.concatenate(single, axis=1), values(rows))
