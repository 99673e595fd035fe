from typing import Any

import pytest
from documents import FIELDS, model, tree

from pmml_worker import ScoringError

SPLIT = """<Node id="0" score="a" defaultChild="2"><True/>
<Node id="1" score="l" recordCount="30"><SimplePredicate field="x" operator="lessThan" value="0"/></Node>
<Node id="2" score="r" recordCount="10"><SimplePredicate field="x" operator="greaterThan" value="1"/></Node></Node>"""


def score(nodes: str, row: dict[str, Any], attributes: str = "", function: str = "classification") -> Any:
    return model(tree(nodes, function, attributes)).score_row(row)["c" if function == "classification" else "y"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("none", None), ("lastPrediction", "a"), ("nullPrediction", None), ("defaultChild", "r")],
)
def test_a_missing_value_is_handled_by_the_strategy(strategy: str, expected: str | None) -> None:
    assert score(SPLIT, {"z": 1}, f'missingValueStrategy="{strategy}"') == expected


def test_without_a_strategy_a_missing_value_makes_tests_false() -> None:
    attributes = 'noTrueChildStrategy="returnLastPrediction"'
    assert score(SPLIT, {"z": 1}, attributes) == "a"


@pytest.mark.parametrize(("strategy", "expected"), [("returnNullPrediction", None), ("returnLastPrediction", "a")])
def test_no_true_child_is_handled_by_the_strategy(strategy: str, expected: str | None) -> None:
    assert score(SPLIT, {"x": 0.5}, f'noTrueChildStrategy="{strategy}"') == expected


def test_last_prediction_is_that_of_the_nearest_node_with_a_score() -> None:
    nodes = """<Node score="a"><True/><Node><SimplePredicate field="x" operator="greaterThan" value="0"/>
    <Node score="b"><SimplePredicate field="x" operator="greaterThan" value="10"/></Node></Node></Node>"""
    assert score(nodes, {"x": 5}, 'noTrueChildStrategy="returnLastPrediction"') == "a"


def test_a_default_child_that_is_not_named_is_an_error_of_the_row() -> None:
    nodes = SPLIT.replace(' defaultChild="2"', "")
    scorer = model(tree(nodes, attributes='missingValueStrategy="defaultChild"'))
    with pytest.raises(ScoringError, match="row 1: a value is missing, and the node names no defaultChild"):
        scorer.score([{"x": 3}, {"x": None}])


@pytest.mark.parametrize(
    ("operator", "below", "at", "above"),
    [
        ("equal", False, True, False),
        ("notEqual", True, False, True),
        ("lessThan", True, False, False),
        ("lessOrEqual", True, True, False),
        ("greaterThan", False, False, True),
        ("greaterOrEqual", False, True, True),
    ],
)
@pytest.mark.parametrize("field", ["x", "i"])
def test_simple_predicates_compare_numbers(field: str, operator: str, below: bool, at: bool, above: bool) -> None:
    test = f'<SimplePredicate field="{field}" operator="{operator}" value="3"/>'
    nodes = f'<Node><True/><Node score="yes">{test}</Node></Node>'
    got = [score(nodes, {field: value}) == "yes" for value in (2, 3, 4)]
    assert got == [below, at, above]


@pytest.mark.parametrize(("operator", "expected"), [("isMissing", "yes"), ("isNotMissing", None)])
def test_presence_predicates_know_missing_values(operator: str, expected: str | None) -> None:
    nodes = f'<Node><True/><Node score="yes"><SimplePredicate field="x" operator="{operator}"/></Node></Node>'
    assert score(nodes, {"z": 1}) == expected
    assert score(nodes, {"x": 1}) == (None if expected else "yes")


@pytest.mark.parametrize(
    ("field", "array", "value", "inside"),
    [
        ("s", '<Array type="string">red "dark blue" "a\\"b"</Array>', "dark blue", True),
        ("s", '<Array type="string">red "dark blue" "a\\"b"</Array>', 'a"b', True),
        ("s", '<Array type="string">red "dark blue"</Array>', "dark", False),
        ("i", '<Array type="int">1 2 3</Array>', 2, True),
        ("i", '<Array type="int">1 2 3</Array>', 4, False),
        ("x", '<Array type="real">0.5 1.5</Array>', 1.5, True),
        ("x", '<Array type="real">0.5 1.5</Array>', 1.0, False),
        ("b", '<Array type="string">true</Array>', True, True),
    ],
)
def test_set_predicates(field: str, array: str, value: Any, inside: bool) -> None:
    nodes = "".join(
        f'<Node score="{told}"><SimpleSetPredicate field="{field}" booleanOperator="{operator}">{array}'
        "</SimpleSetPredicate></Node>"
        for told, operator in (("in", "isIn"), ("out", "isNotIn"))
    )
    nodes = f"<Node><True/>{nodes}</Node>"
    assert score(nodes, {field: value}) == ("in" if inside else "out")
    assert score(nodes, {"z": 1}) is None


X_POSITIVE = '<SimplePredicate field="x" operator="greaterThan" value="0"/>'
Z_POSITIVE = '<SimplePredicate field="z" operator="greaterThan" value="0"/>'


@pytest.mark.parametrize(
    ("operator", "x", "z", "expected"),
    [
        ("and", 1, 1, True), ("and", 1, -1, False), ("and", None, -1, False), ("and", None, 1, None),
        ("or", -1, -1, False), ("or", None, 1, True), ("or", None, -1, None),
        ("xor", 1, 1, False), ("xor", 1, -1, True), ("xor", None, 1, None),
        ("surrogate", 1, -1, True), ("surrogate", None, -1, False), ("surrogate", None, 1, True),
        ("surrogate", None, None, None),
    ],
)  # fmt: skip
def test_compound_predicates_have_three_truth_values(
    operator: str, x: float | None, z: float | None, expected: bool | None
) -> None:
    test = f'<CompoundPredicate booleanOperator="{operator}">{X_POSITIVE}{Z_POSITIVE}</CompoundPredicate>'
    nodes = f'<Node score="unknown"><True/><Node score="true">{test}</Node><Node score="false"><True/></Node></Node>'
    told = {True: "true", False: "false", None: "unknown"}[expected]
    row = {"x": x, "z": z, "i": 1}
    assert score(nodes, row, 'missingValueStrategy="lastPrediction"') == told


DISTRIBUTION = """<Node id="0"><True/><Node id="l"><SimplePredicate field="x" operator="lessThan" value="0"/>
<ScoreDistribution value="a" recordCount="3"/><ScoreDistribution value="b" recordCount="1"/></Node>
<Node id="r" score="b"><SimplePredicate field="x" operator="greaterOrEqual" value="0"/>
<ScoreDistribution value="a" recordCount="1" probability="0.4" confidence="0.3"/>
<ScoreDistribution value="b" recordCount="1" probability="0.6" confidence="0.7"/></Node></Node>"""
OUTPUT = """<Output><OutputField name="a" feature="probability" value="a"/><OutputField name="b" feature="probability"
value="b"/><OutputField name="best" feature="probability"/><OutputField name="sure" feature="confidence" value="b"/>
<OutputField name="node" feature="entityId"/><OutputField name="none" feature="probability" value="z"/></Output>"""


def test_probabilities_are_shares_of_records_unless_told() -> None:
    scorer = model(tree(DISTRIBUTION, after=OUTPUT))
    assert scorer.score_row({"x": -1}) == {
        "c": "a", "a": 0.75, "b": 0.25, "best": 0.75, "sure": 0.25, "node": "l", "none": 0.0,
    }  # fmt: skip
    assert scorer.score_row({"x": 1}) == {
        "c": "b", "a": 0.4, "b": 0.6, "best": 0.6, "sure": 0.7, "node": "r", "none": 0.0,
    }  # fmt: skip


def test_a_probability_that_the_node_does_not_tell_is_an_error() -> None:
    scorer = model(tree(SPLIT, after=OUTPUT))
    with pytest.raises(ScoringError, match="the model tells no probabilities"):
        scorer.score_row({"x": -1})


WEIGHTED = """<Node score="a" recordCount="40"><True/>
<ScoreDistribution value="a" recordCount="22"/><ScoreDistribution value="b" recordCount="18"/>
<Node score="a" recordCount="30"><SimplePredicate field="x" operator="lessThan" value="0"/>
<ScoreDistribution value="a" recordCount="21"/><ScoreDistribution value="b" recordCount="9"/></Node>
<Node score="b" recordCount="10"><SimplePredicate field="x" operator="greaterOrEqual" value="0"/>
<ScoreDistribution value="a" recordCount="1"/><ScoreDistribution value="b" recordCount="9"/></Node></Node>"""
CONFIDENCES = """<Output><OutputField name="a" feature="confidence" value="a"/>
<OutputField name="b" feature="confidence" value="b"/></Output>"""


def test_weighted_confidence_sums_confidences_weighted_by_records() -> None:
    scorer = model(tree(WEIGHTED, attributes='missingValueStrategy="weightedConfidence"', after=CONFIDENCES))
    row = scorer.score_row({"z": 1})
    assert row["c"] == "a"
    assert row["a"] == pytest.approx(0.75 * 0.7 + 0.25 * 0.1)
    assert row["b"] == pytest.approx(0.75 * 0.3 + 0.25 * 0.9)
    assert scorer.score_row({"x": 1})["b"] == 0.9


def test_aggregate_nodes_adds_up_the_records_of_the_leaves() -> None:
    scorer = model(tree(WEIGHTED, attributes='missingValueStrategy="aggregateNodes"', after=CONFIDENCES))
    row = scorer.score_row({"z": 1})
    assert (row["c"], row["a"], row["b"]) == ("a", pytest.approx(22 / 40), pytest.approx(18 / 40))


def test_a_penalty_lowers_confidence_for_each_level_with_a_missing_value() -> None:
    attributes = 'missingValueStrategy="defaultChild" missingValuePenalty="0.5"'
    nodes = WEIGHTED.replace('<Node score="a" recordCount="40"', '<Node score="a" recordCount="40" defaultChild="R"')
    nodes = nodes.replace('<Node score="b"', '<Node id="R" score="b"')
    scorer = model(tree(nodes, attributes=attributes, after=CONFIDENCES))
    assert scorer.score_row({"z": 1})["b"] == pytest.approx(0.45)
    assert scorer.score_row({"x": 1})["b"] == pytest.approx(0.9)


def test_regression_scores_are_numbers() -> None:
    nodes = SPLIT.replace('"l"', '"-1.5"').replace('"r"', '"2e3"').replace('"a"', '"0"')
    assert [score(nodes, {"x": x}, function="regression") for x in (-1, 2)] == [-1.5, 2000.0]


def test_float_fields_are_compared_in_single_precision() -> None:
    fields = FIELDS.replace(
        'name="x" optype="continuous" dataType="double"', 'name="x" optype="continuous" dataType="float"'
    )
    nodes = '<Node><True/><Node score="yes"><SimplePredicate field="x" operator="equal" value="0.1"/></Node></Node>'
    assert model(tree(nodes), fields).score_row({"x": 0.1})["c"] == "yes"


def test_a_tree_names_nodes_by_their_place_where_they_have_no_id() -> None:
    nodes = '<Node><True/><Node score="a"><False/></Node><Node score="b"><True/></Node></Node>'
    scorer = model(tree(nodes, after='<Output><OutputField name="node" feature="entityId"/></Output>'))
    assert scorer.score_row({"x": 1})["node"] == "3"


def test_a_leaf_may_hold_a_regression_for_which_its_score_stands_in() -> None:
    nodes = """<Node score="0"><True/><Node score="-5"><SimplePredicate field="z" operator="greaterThan" value="0"/>
    <Regression functionName="regression"><RegressionTable intercept="1">
    <NumericPredictor name="x" coefficient="2"/></RegressionTable></Regression></Node></Node>"""
    scorer = model(tree(nodes, "regression"))
    assert [row["y"] for row in scorer.score([{"x": 3, "z": 1}, {"x": None, "z": 1}])] == [7.0, -5.0]


def test_blocks_of_many_rows_give_what_single_rows_give() -> None:
    scorer = model(tree(SPLIT, attributes='missingValueStrategy="defaultChild"'))
    rows = [{"x": None if value % 7 == 0 else value % 5 - 2.0} for value in range(20_001)]
    singly = [scorer.score_row(rows[value]) for value in range(35)]
    assert scorer.score(rows) == [singly[value % 35] for value in range(20_001)]


def test_documents_are_scored_by_their_first_model() -> None:
    first, second = (tree(f'<Node score="{name}"><True/></Node>') for name in "ab")
    assert model(first + second).score_row({"x": 1})["c"] == "a"


@pytest.mark.parametrize("strategy", ["weightedConfidence", "aggregateNodes", "lastPrediction"])
def test_a_tree_that_names_no_class_predicts_none(strategy: str) -> None:
    nodes = '<Node><True/><Node><SimplePredicate field="x" operator="greaterThan" value="0"/></Node></Node>'
    silent = model(tree(nodes, attributes=f'missingValueStrategy="{strategy}"'))
    assert [row["c"] for row in silent.score([{"x": 1}, {"x": -1}, {"z": 1}])] == [None, None, None]
