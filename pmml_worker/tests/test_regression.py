import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import pytest
from documents import FIELDS, document, model, schema

from pmml_worker import SchemaError, load

OUTPUT = "<Output>{}</Output>"


def regression(table: str, method: str = "none", attributes: str = "") -> str:
    return (
        f'<RegressionModel functionName="regression" normalizationMethod="{method}" {attributes}>{schema("y")}'
        f"<RegressionTable {table}</RegressionTable></RegressionModel>"
    )


def classification(values: dict[str, float], method: str) -> str:
    told = "".join(f'<OutputField name="{name}" feature="probability" value="{name}"/>' for name in values)
    tables = "".join(f'<RegressionTable intercept="{y}" targetCategory="{name}"/>' for name, y in values.items())
    return (
        f'<RegressionModel functionName="classification" normalizationMethod="{method}">{schema("c")}'
        f"<Output>{told}</Output>{tables}</RegressionModel>"
    )


ALL_TERMS = """intercept="1.5"><NumericPredictor name="x" exponent="2" coefficient="3"/>
<NumericPredictor name="i" coefficient="-1"/><CategoricalPredictor name="s" value="red" coefficient="10"/>
<CategoricalPredictor name="s" value="blue" coefficient="20"/>
<PredictorTerm coefficient="0.5"><FieldRef field="x"/><FieldRef field="z"/></PredictorTerm>"""


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"x": 2, "i": 4, "s": "red", "z": 6}, 1.5 + 12 - 4 + 10 + 6),
        ({"x": 2, "i": 4, "s": "green", "z": 6}, 1.5 + 12 - 4 + 6),
        ({"x": 2, "i": 4, "s": None, "z": 6}, 1.5 + 12 - 4 + 6),
        ({"x": None, "i": 4, "s": "red", "z": 6}, None),
        ({"x": 2, "i": 4, "s": "red", "z": None}, None),
    ],
)
def test_terms_are_added_and_numbers_must_not_be_missing(row: dict[str, Any], expected: float | None) -> None:
    assert model(regression(ALL_TERMS)).score_row(row)["y"] == expected


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "none": lambda y: y,
    "softmax": lambda y: 1 / (1 + math.exp(-y)),
    "logit": lambda y: 1 / (1 + math.exp(-y)),
    "exp": math.exp,
    "probit": NormalDist().cdf,
    "cloglog": lambda y: 1 - math.exp(-math.exp(y)),
    "loglog": lambda y: math.exp(-math.exp(-y)),
    "cauchit": lambda y: 0.5 + math.atan(y) / math.pi,
}


@pytest.mark.parametrize("method", FUNCTIONS)
def test_a_number_is_normalized_by_the_method(method: str) -> None:
    for y in (-1.7, 0.0, 0.4):
        got = model(regression(f'intercept="{y}">', method)).score_row({"x": 1})["y"]
        assert got == pytest.approx(FUNCTIONS[method](y), rel=1e-13, abs=1e-15)


@pytest.mark.parametrize("method", ["logit", "probit", "cloglog", "loglog", "cauchit"])
def test_of_two_classes_the_second_gets_what_the_first_leaves(method: str) -> None:
    row = model(classification({"p": 0.4, "q": 0.0}, method)).score_row({"x": 1})
    first = FUNCTIONS[method](0.4)
    assert (row["p"], row["q"]) == pytest.approx((first, 1 - first), rel=1e-13)
    assert row["c"] == ("p" if first > 0.5 else "q")


def test_softmax_and_simplemax_of_three_classes() -> None:
    values = {"p": 0.2, "q": 0.5, "r": 1.1}
    row = model(classification(values, "softmax")).score_row({"x": 1})
    powers = [math.exp(y) for y in values.values()]
    assert [row[name] for name in values] == pytest.approx([power / sum(powers) for power in powers])
    assert row["c"] == "r"
    row = model(classification(values, "simplemax")).score_row({"x": 1})
    assert [row[name] for name in values] == pytest.approx([y / 1.8 for y in values.values()])


def test_softmax_of_large_values_does_not_overflow() -> None:
    row = model(classification({"p": 1000.0, "q": 999.0, "r": -1000.0}, "softmax")).score_row({"x": 1})
    assert row["p"] == pytest.approx(1 / (1 + math.exp(-1)))
    assert row["r"] == 0.0


def test_without_a_method_the_last_class_gets_what_the_others_leave() -> None:
    row = model(classification({"p": 0.2, "q": 0.3, "r": 9.0}, "none")).score_row({"x": 1})
    assert [row[name] for name in "pqr"] == pytest.approx([0.2, 0.3, 0.5])


@pytest.mark.parametrize("method", ["none", "logit", "probit", "cloglog", "loglog", "cauchit"])
def test_ordered_classes_take_differences_of_cumulative_probabilities(method: str) -> None:
    fields = FIELDS.replace('name="c" optype="categorical"', 'name="c" optype="ordinal"')
    values = {"low": 0.1, "middle": 0.7, "high": 9.0}
    row = model(classification(values, method), fields).score_row({"x": 1})
    one, two = FUNCTIONS[method](0.1), FUNCTIONS[method](0.7)
    assert [row[name] for name in values] == pytest.approx([one, two - one, 1 - two], rel=1e-12)


def test_single_precision_is_used_where_the_document_says_so() -> None:
    import numpy as np

    text = regression(
        'intercept="0.1"><NumericPredictor name="x" coefficient="0.3"/>', attributes='x-mathContext="float"'
    )
    expected = np.float32(0.3) * np.float32(0.7) + np.float32(0.1)
    assert model(text).score_row({"x": 0.7})["y"] == float(expected)


def test_classification_needs_a_table_and_a_category_for_each_class() -> None:
    one = classification({"p": 0.2}, "logit")
    with pytest.raises(SchemaError, match="needs a <RegressionTable> for each class"):
        load(document(one))
    two = classification({"p": 0.2, "q": 0.1}, "logit").replace(' targetCategory="q"', "")
    with pytest.raises(SchemaError, match="lacks its targetCategory"):
        load(document(two))


def test_predictors_of_the_same_value_of_a_field_add_up() -> None:
    predictors = "".join(
        f'<CategoricalPredictor name="{name}" value="{value}" coefficient="{coefficient}"/>'
        for name, value, coefficient in (
            ("i", "1", 1),
            ("i", "1.0", 2),
            ("i", "2", 4),
            ("i", "2", 8),
            ("b", "true", 16),
            ("x", "0.5", 32),
        )
    )
    loaded = model(regression(f'intercept="0">{predictors}'))
    assert loaded.score_row({"i": 1, "b": True, "x": 0.5})["y"] == 1 + 2 + 16 + 32
    rows = [{"i": 1, "b": True, "x": 0.5}, {"i": 2, "b": False, "x": 1.0}, {"i": 9, "b": None, "x": None}]
    assert [row["y"] for row in loaded.score(rows)] == [1 + 2 + 16 + 32, 4 + 8, 0]
