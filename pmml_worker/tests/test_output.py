from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from documents import FIELDS, SCHEMA, document, model, schema, tree
from scipy.stats import norm

from pmml_worker import Model, SchemaError, ScoringError
from pmml_worker.schema import parse
from pmml_worker.transform.column import Column, Faults, from_texts
from pmml_worker.transform.output import OutputContext, compile_output
from pmml_worker.transform.prediction import Prediction, TargetField
from pmml_worker.transform.scope import Environment, Scope


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


def test_prior_probabilities_do_not_hide_an_error() -> None:
    targets = '<Targets><Target field="c"><TargetValue value="a" priorProbability="0.3"/></Target></Targets>'
    fields = FIELDS.replace(
        'name="i" optype="continuous" dataType="integer"/>',
        """name="i" optype="continuous"
    dataType="integer"><Interval closure="closedClosed" leftMargin="0" rightMargin="9"/></DataField>""",
    )
    node = '<Node><True/><Node score="a"><SimplePredicate field="i" operator="equal" value="1"/></Node></Node>'
    loaded = model(tree(node, after=targets), fields)
    with pytest.raises(ScoringError, match="field i"):
        loaded.score_row({"i": 10})
    assert loaded.score_row({"i": 2}) == {"c": "a"}


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


def told(field: str, prediction: Prediction, rows: int = 2) -> tuple[list[Any], list[str]]:
    """What an output field tells of a prediction, and the faults of its rows."""
    text = document(f'<RegressionModel functionName="regression">{schema("y")}<Output>{field}</Output>'
                    '<RegressionTable intercept="0"/></RegressionModel>')  # fmt: skip
    output = parse(text).models[0].output
    context = OutputContext("regression", (TargetField("y", None),), {}, {})
    faults = Faults()
    scope = Scope(rows, faults, {})
    column = compile_output(output, context, Environment({}))[0].column({"y": prediction}, scope)
    codes = [] if column.fault is None else column.fault.tolist()
    return [column.scalar(row) for row in range(rows)], [faults[code].message for code in codes if code]


NEAREST = Prediction(
    Column("string", np.array([0, 1], np.int32), None, ("a", "b")),
    entity=from_texts(["a", "b"]),
    entities=("b", "a"),
    affinities=np.array([[4.0, 1.0], [2.0, 3.0]]),
    ranked={
        "entityId": (from_texts(["a", "b"]), from_texts(["b", None])),
        "reasonCode": (from_texts(["R1", "R2"]), from_texts(["R2", None])),
        "ruleId": (from_texts(["v", "w"]),),
        "predictedValue": (from_texts(["a", "b"]), from_texts(["b", "a"])),
    },
)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ('feature="entityId"', ["a", "b"]),
        ('feature="clusterId"', ["a", "b"]),
        ('feature="entityId" rank="2"', ["b", None]),
        ('feature="entityId" rank="3"', [None, None]),
        ('feature="affinity"', [1.0, 2.0]),
        ('feature="entityAffinity" value="b"', [4.0, 2.0]),
        ('feature="clusterAffinity" value="a"', [1.0, 3.0]),
        ('feature="reasonCode"', ["R1", "R2"]),
        ('feature="reasonCode" rank="2"', ["R2", None]),
        ('feature="ruleValue" ruleFeature="ruleId"', ["v", "w"]),
        ('feature="predictedValue"', ["a", "b"]),
        ('feature="predictedValue" rank="2"', ["b", "a"]),
        ('feature="warning"', [None, None]),
        ('feature="x-report"', [None, None]),
        ('feature="standardError"', [None, None]),
    ],
)
def test_entities_affinities_and_reason_codes_are_told_by_value_and_by_rank(field: str, expected: list[Any]) -> None:
    assert told(f'<OutputField name="out" {field}/>', NEAREST) == (expected, [])


def test_affinities_may_be_ranked_by_the_model() -> None:
    columns = tuple(Column("double", np.array(values)) for values in ([1.0, 2.0], [3.0, 4.0]))
    prediction = replace(NEAREST, ranked={"affinity": columns})
    assert told('<OutputField name="out" feature="affinity" rank="2"/>', prediction) == ([3.0, 4.0], [])


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        ('feature="affinity" value="nowhere"', 'no affinity to an entity "nowhere"'),
        ('feature="lift"', "no lift"),
        ('feature="reasonCode" rank="0"', "no reasonCode of all ranks at once"),
        ('feature="probability"', "no probabilities"),
    ],
)
def test_what_a_model_does_not_tell_is_an_error(field: str, complaint: str) -> None:
    values, messages = told(f'<OutputField name="out" {field}/>', NEAREST)
    assert values == [None, None]
    assert len(messages) == 2
    assert complaint in messages[0]


def test_standard_errors_give_confidence_intervals_of_a_percentage() -> None:
    prediction = Prediction(
        Column("double", np.array([10.0, 20.0])), standard_error=Column("double", np.array([1.0, 2.0]))
    )
    for feature in ("standardError", "standardDeviation"):
        assert told(f'<OutputField name="out" feature="{feature}"/>', prediction)[0] == [1.0, 2.0]
    expected = {
        'feature="confidenceIntervalLower"': norm.interval(0.95, [10, 20], [1, 2])[0],
        'feature="confidenceIntervalUpper"': norm.interval(0.95, [10, 20], [1, 2])[1],
        'feature="confidenceIntervalUpper" value="80"': norm.interval(0.8, [10, 20], [1, 2])[1],
    }
    for field, bounds in expected.items():
        assert told(f'<OutputField name="out" {field}/>', prediction)[0] == pytest.approx(list(bounds), rel=1e-12)


def test_a_confidence_level_is_a_percentage() -> None:
    with pytest.raises(SchemaError, match="value is a percentage between 0 and 100"):
        told('<OutputField name="out" feature="confidenceIntervalLower" value="100"/>', NEAREST)


def test_an_output_field_s_optype_that_is_none_of_the_standard_s_changes_nothing() -> None:
    output = '<Output><OutputField name="o" optype="clazz" feature="predictedValue"/></Output>'
    assert model(tree('<Node score="a"><True/></Node>', after=output)).score_row({"x": 1}) == {"c": "a", "o": "a"}
