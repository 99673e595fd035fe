from typing import Any

import pytest
from documents import FIELDS, SCHEMA, model, schema, tree

from pmml_worker import Model, ScoringError


def regression(targets: str = "", output: str = "", table: str = "", fields: str = FIELDS, target: str = "y") -> Model:
    table = table or '<RegressionTable intercept="0"><NumericPredictor name="x" coefficient="1"/></RegressionTable>'
    return model(
        f'<RegressionModel functionName="regression">{schema(target)}{output}{targets}{table}</RegressionModel>', fields
    )


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [("", [-7.6, 2.5]), ('min="-5"', [-5.0, 2.5]), ('max="2"', [-7.6, 2.0]), ('rescaleFactor="2"', [-15.2, 5.0]),
     ('rescaleConstant="1"', [-6.6, 3.5]), ('min="-5" max="2" rescaleFactor="10" rescaleConstant="1"', [-49.0, 21.0]),
     ('castInteger="round"', [-8, 3]), ('castInteger="ceiling"', [-7, 3]), ('castInteger="floor"', [-8, 2])],
)  # fmt: skip
def test_targets_limit_then_rescale_then_round(attributes: str, expected: list[float]) -> None:
    scorer = regression(f'<Targets><Target field="y" {attributes}/></Targets>')
    rows = scorer.score([{"x": -7.6}, {"x": 2.5}])
    assert [row["y"] for row in rows] == pytest.approx(expected)


def test_a_default_value_stands_in_for_a_missing_prediction() -> None:
    scorer = regression('<Targets><Target field="y"><TargetValue defaultValue="42"/></Target></Targets>')
    assert scorer.score_row({"x": None, "z": 1})["y"] == 42.0


def test_prior_probabilities_stand_in_for_a_missing_class() -> None:
    targets = """<Targets><Target field="c"><TargetValue value="a" priorProbability="0.3"/>
    <TargetValue value="b" priorProbability="0.7"/></Target></Targets>"""
    output = '<Output><OutputField name="p" feature="probability" value="a"/></Output>'
    nodes = """<Node><True/><Node score="a"><SimplePredicate field="x" operator="greaterThan" value="0"/>
    <ScoreDistribution value="a" recordCount="1"/></Node></Node>"""
    scorer = model(tree(nodes, after=output + targets))
    assert scorer.score([{"x": 1}, {"x": -1}]) == [{"c": "a", "p": 1.0}, {"c": "b", "p": 0.3}]


def test_display_values_come_from_the_target_or_the_data_dictionary() -> None:
    output = '<Output><OutputField name="shown" feature="predictedDisplayValue"/></Output>'
    fields = FIELDS.replace(
        '<DataField name="c" optype="categorical" dataType="string"/>',
        '<DataField name="c" optype="categorical" dataType="string"><Value value="a" displayValue="Alpha"/>'
        "</DataField>",
    )
    leaf = '<Node score="a"><True/></Node>'
    assert model(tree(leaf, after=output), fields).score_row({"x": 1})["shown"] == "Alpha"
    targets = '<Targets><Target field="c"><TargetValue value="a" displayValue="First"/></Target></Targets>'
    assert model(tree(leaf, after=output + targets), fields).score_row({"x": 1})["shown"] == "First"


def test_residuals_of_numbers_and_of_classes() -> None:
    output = '<Output><OutputField name="r" feature="residual"/></Output>'
    scorer = regression(output=output)
    assert scorer.score([{"x": 2.0, "y": 5.0}, {"x": 2.0, "y": None}]) == [{"y": 2.0, "r": 3.0}, {"y": 2.0, "r": None}]
    nodes = """<Node score="a"><True/><ScoreDistribution value="a" recordCount="3"/>
    <ScoreDistribution value="b" recordCount="1"/></Node>"""
    classes = model(tree(nodes, after='<Output><OutputField name="r" feature="residual" value="a"/></Output>'))
    assert [row["r"] for row in classes.score([{"c": "a", "x": 1}, {"c": "b", "x": 1}])] == [0.25, -0.75]


OUTPUT = """<Output><OutputField name="p" optype="continuous" dataType="double" feature="predictedValue"/>
<OutputField name="twice" optype="continuous" dataType="double" feature="transformedValue"><Apply function="*">
<FieldRef field="p"/><Constant>2</Constant></Apply></OutputField><OutputField name="large" optype="categorical"
dataType="boolean" feature="decision"><Decisions><Decision value="true"/><Decision value="false"/></Decisions>
<Apply function="greaterThan"><FieldRef field="twice"/><Constant>5</Constant></Apply></OutputField></Output>"""


def test_outputs_may_be_computed_from_outputs_before_them() -> None:
    assert regression(output=OUTPUT).score_row({"x": 3}) == {"y": 3.0, "p": 3.0, "twice": 6.0, "large": True}


def test_computing_with_an_output_that_has_no_value_is_an_error() -> None:
    with pytest.raises(ScoringError, match="field p is not defined: its model has no prediction"):
        regression(output=OUTPUT).score_row({"x": None, "z": 1})


@pytest.mark.parametrize(
    ("data_type", "expected"), [("string", "3.0"), ("integer", 3), ("float", 3.0), ("double", 3.0)]
)
def test_outputs_have_their_declared_type(data_type: str, expected: Any) -> None:
    output = f'<Output><OutputField name="p" dataType="{data_type}" feature="predictedValue"/></Output>'
    got = regression(output=output).score_row({"x": 3})["p"]
    assert got == expected
    assert type(got) is type(expected)


def test_an_integer_target_without_rounding_keeps_its_decimals() -> None:
    fields = FIELDS.replace(
        'name="y" optype="continuous" dataType="double"', 'name="y" optype="continuous" dataType="integer"'
    )
    assert regression(fields=fields).score_row({"x": 2.5})["y"] == 2.5


def test_classes_have_the_target_s_type() -> None:
    fields = FIELDS.replace(
        'name="c" optype="categorical" dataType="string"', 'name="c" optype="categorical" dataType="integer"'
    )
    scorer = model(tree('<Node score="1"><True/></Node>'), fields)
    assert scorer.score_row({"x": 1}) == {"c": 1}
    assert [(field.name, field.data_type) for field in scorer.outputs] == [("c", "integer")]


def test_a_prediction_without_target_and_output_has_a_column_all_the_same() -> None:
    text = f'<RegressionModel functionName="regression">{SCHEMA}<RegressionTable intercept="4"/></RegressionModel>'
    assert model(text).score_row({"x": 1}) == {"_target": 4.0}
