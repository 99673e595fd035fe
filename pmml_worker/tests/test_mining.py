from typing import Any

import pytest
from documents import document, model, schema

from pmml_worker import SchemaError, ScoringError, load

TRUE = "<True/>"


def part(
    score: str | None, function: str = "regression", weight: float = 1.0, predicate: str = TRUE, name: str = "",
    distribution: str = "", after: str = "",
) -> str:  # fmt: skip
    """A segment that predicts a score, or nothing."""
    target = "y" if function == "regression" else "c"
    told = f'<Node score="{score}"><True/>{distribution}</Node>' if score is not None else ""
    identifier = f'id="{name}"' if name else ""
    return (
        f'<Segment {identifier} weight="{weight}">{predicate}<TreeModel functionName="{function}">{schema(target)}'
        f"{after}<Node><True/>{told}</Node></TreeModel></Segment>"
    )


def mining(
    parts: list[str], method: str, function: str = "regression", attributes: str = "", after: str = "",
    before: str = "",
) -> str:  # fmt: skip
    target = "y" if function == "regression" else "c"
    return (
        f'<MiningModel functionName="{function}">{schema(target)}{before}{after}'
        f'<Segmentation multipleModelMethod="{method}" {attributes}>{"".join(parts)}</Segmentation></MiningModel>'
    )


def score(text: str, row: dict[str, Any] | None = None) -> Any:
    return next(iter(model(text).score_row(row or {"x": 1}).values()))


# A segment under an untrivial predicate keeps segments from being fused into one forest.
ALWAYS = '<SimplePredicate field="x" operator="isNotMissing"/>'
NEVER = '<SimplePredicate field="x" operator="isMissing"/>'


@pytest.mark.parametrize("predicate", [TRUE, ALWAYS], ids=["fused", "segment by segment"])
@pytest.mark.parametrize(
    ("method", "expected"),
    [("sum", 26.0), ("average", 26 / 3), ("weightedAverage", (1 + 2 * 5 + 8 * 20) / 11), ("weightedSum", 171.0),
     ("x-weightedSum", 171.0), ("median", 5.0), ("weightedMedian", 20.0), ("x-weightedMedian", 20.0), ("max", 20.0)],
)  # fmt: skip
def test_numbers_are_combined_by_the_method(method: str, expected: float, predicate: str) -> None:
    parts = [part("1", predicate=predicate), part("5", weight=2), part("20", weight=8)]
    assert score(mining(parts, method)) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("predicate", [TRUE, ALWAYS], ids=["fused", "segment by segment"])
@pytest.mark.parametrize(
    ("attributes", "expected"),
    [("", None), ('missingPredictionTreatment="returnMissing"', None),
     ('missingPredictionTreatment="skipSegment"', 6.0),
     ('missingPredictionTreatment="skipSegment" missingThreshold="0.3"', None),
     ('x-missingPredictionTreatment="skipSegment" x-missingThreshold="0.5"', 6.0)],
)  # fmt: skip
def test_a_missing_prediction_is_treated_as_told(attributes: str, expected: float | None, predicate: str) -> None:
    parts = [part("1", predicate=predicate), part(None), part("5")]
    assert score(mining(parts, "sum", attributes=attributes)) == expected


def test_segments_that_do_not_apply_are_left_out() -> None:
    assert score(mining([part("1", predicate=NEVER), part("5"), part("7")], "average")) == 6.0
    assert score(mining([part("1", predicate=NEVER)], "average")) is None


PROBABILITIES = """<Output><OutputField name="a" feature="probability" value="a"/>
<OutputField name="b" feature="probability" value="b"/></Output>"""


def voter(label: str | None, a: float = 0, b: float = 0, weight: float = 1.0, predicate: str = TRUE) -> str:
    counts = f'<ScoreDistribution value="a" recordCount="{a}"/><ScoreDistribution value="b" recordCount="{b}"/>'
    return part(label, "classification", weight, predicate, distribution=counts)


@pytest.mark.parametrize("predicate", [TRUE, ALWAYS], ids=["fused", "segment by segment"])
@pytest.mark.parametrize(
    ("method", "expected"),
    [("majorityVote", ("a", 2 / 3, 1 / 3)), ("weightedMajorityVote", ("b", 0.4, 0.6)),
     ("x-weightedMajorityVote", ("b", 0.4, 0.6)), ("weightedMedian", ("b", 0.1, 0.9)),
     ("average", ("b", 1.5 / 3, 1.5 / 3)), ("weightedAverage", ("b", (0.6 + 0.8 + 0.3) / 5, (0.4 + 0.2 + 2.7) / 5)),
     ("max", ("b", 0.1, 0.9)), ("median", ("a", 0.6, 0.4))],
)  # fmt: skip
def test_classes_are_combined_by_the_method(method: str, expected: tuple[str, float, float], predicate: str) -> None:
    voters = [voter("a", 6, 4, 1, predicate), voter("a", 8, 2), voter("b", 1, 9, 3)]
    row = model(mining(voters, method, "classification", after=PROBABILITIES)).score_row({"x": 1})
    assert (row["a"], row["b"]) == pytest.approx(expected[1:])
    if method != "average":
        assert row["c"] == expected[0]


def test_equal_votes_go_to_the_class_voted_for_first() -> None:
    for order in ("ab", "ba"):
        assert score(mining([voter(label, 1, 1) for label in order], "majorityVote", "classification")) == order[0]


def test_the_missing_vote_may_win() -> None:
    def vote(*labels: str | None) -> Any:
        return score(mining([voter(label, 1, 1) for label in labels], "majorityVote", "classification"))

    assert vote("a", None) == "a"
    assert vote(None, None, "a") is None
    with pytest.raises(ScoringError, match="no segment has a prediction to vote with"):
        vote(None, None)


def test_the_first_segment_that_applies_is_selected() -> None:
    parts = [part("1", predicate=NEVER), part("5", predicate=ALWAYS), part("7")]
    scorer = model(mining(parts, "selectFirst"))
    assert [row["y"] for row in scorer.score([{"x": 1, "z": 0}, {"x": None, "z": 0}])] == [5.0, 1.0]


def test_all_predictions_are_selected() -> None:
    voters = [voter("a", 1, 1), voter("b", 1, 1, predicate=NEVER), voter("b", 1, 1)]
    assert score(mining(voters, "selectAll", "classification")) == "[a, b]"


def test_a_segment_s_weight_may_be_a_field() -> None:
    weighted = part("5").replace("</Segment>", '<VariableWeight field="z"/></Segment>')
    assert score(mining([part("1"), weighted], "weightedAverage"), {"x": 1, "z": 3}) == 4.0


FIRST = """<Segment id="1"><True/><RegressionModel functionName="regression">{}
<Output><OutputField name="twice" optype="continuous" dataType="double" feature="predictedValue"/></Output>
<RegressionTable intercept="0"><NumericPredictor name="x" coefficient="2"/></RegressionTable></RegressionModel>
</Segment>"""
SECOND = """<Segment id="2"><SimplePredicate field="twice" operator="greaterThan" value="10"/>
<RegressionModel functionName="regression"><MiningSchema><MiningField name="y" usageType="target"/>
<MiningField name="twice"/></MiningSchema><Output><OutputField name="chained" feature="predictedValue"/></Output>
<RegressionTable intercept="1"><NumericPredictor name="twice" coefficient="1"/></RegressionTable></RegressionModel>
</Segment>"""


def test_a_chain_hands_on_outputs_and_ends_with_the_last_segment_that_applies() -> None:
    scorer = model(mining([FIRST.format(schema("y")), SECOND], "modelChain"))
    assert scorer.score([{"x": 3.0}, {"x": 6.0}]) == [
        {"y": 6.0, "twice": 6.0, "chained": None}, {"y": 13.0, "twice": None, "chained": 13.0},
    ]  # fmt: skip


def test_a_chain_that_continues_without_a_prediction_is_an_error_and_else_missing() -> None:
    parts = [FIRST.format(schema("y")), SECOND]
    with pytest.raises(ScoringError, match="field twice is not defined: its model has no prediction"):
        model(mining(parts, "modelChain")).score_row({"x": None, "z": 1})
    quiet = model(mining(parts, "modelChain", attributes='missingPredictionTreatment="returnMissing"'))
    assert quiet.score_row({"x": None, "z": 1}) == {"y": None, "twice": None, "chained": None}


def test_a_chain_of_targets_gives_each() -> None:
    first, second = part("3"), part("a", "classification")
    both = schema("y").replace("<MiningSchema>", '<MiningSchema><MiningField name="c" usageType="target"/>')
    text = mining([first, second], "x-multiModelChain").replace(schema("y"), both, 1)
    assert model(text).score_row({"x": 1}) == {"c": "a", "y": 3.0}


def test_output_may_name_a_segment() -> None:
    told = '<Output><OutputField name="of two" optype="continuous" dataType="double" segmentId="two"/></Output>'
    scorer = model(mining([part("1", name="one"), part("5", name="two")], "sum", after=told))
    assert scorer.score_row({"x": 1}) == {"y": 6.0, "of two": 5.0}


def test_embedded_models_are_a_chain() -> None:
    text = f"""<MiningModel functionName="regression">{schema("y")}
    <Regression functionName="regression"><ResultField name="r" optype="continuous" dataType="double"/>
    <RegressionTable intercept="1"><NumericPredictor name="x" coefficient="2"/></RegressionTable></Regression>
    <DecisionTree functionName="regression"><Node><True/><Node score="10"><SimplePredicate field="r"
    operator="greaterThan" value="4"/></Node><Node score="-10"><True/></Node></Node></DecisionTree></MiningModel>"""
    assert [row["y"] for row in model(text).score([{"x": 1}, {"x": 2}])] == [-10.0, 10.0]


def test_inner_mining_schemas_replace_missing_values_for_their_model_only() -> None:
    inner = part("7").replace('<MiningField name="x"/>', '<MiningField name="x" missingValueReplacement="3"/>')
    inner = inner.replace(
        '<Node score="7"><True/>', '<Node score="7"><SimplePredicate field="x" operator="equal" value="3"/>'
    )
    other = part("1").replace(
        '<Node score="1"><True/>', '<Node score="1"><SimplePredicate field="x" operator="isMissing"/>'
    )
    assert score(mining([inner, other], "sum"), {"z": 1}) == 8.0


def test_methods_that_are_not_for_the_function_are_refused() -> None:
    with pytest.raises(SchemaError, match='multipleModelMethod "majorityVote" is not for regression'):
        load(document(mining([part("1")], "majorityVote")))
    with pytest.raises(SchemaError, match='multipleModelMethod "sum" is not for classification'):
        load(document(mining([voter("a", 1, 1)], "sum", "classification")))


def test_float_contexts_add_up_in_single_precision() -> None:
    import numpy as np

    scores = ["0.1", "0.2", "0.3", "1e7", "0.7"]
    text = mining([part(value) for value in scores], "sum").replace(
        'functionName="regression"', 'functionName="regression" x-mathContext="float"'
    )
    expected = np.float32(0)
    for value in scores:
        expected = expected + np.float32(value)
    assert score(text) == float(expected)
    assert score(mining([part(value) for value in scores], "sum")) != float(expected)


def clustering(name: str, center: float, predicate: str = TRUE, weight: float = 1.0) -> str:
    """A segment whose clusters are "low" and another, at a center."""
    return (
        f'<Segment weight="{weight}">{predicate}<ClusteringModel functionName="clustering" modelClass="centerBased" '
        'numberOfClusters="2"><MiningSchema><MiningField name="x"/></MiningSchema><ComparisonMeasure kind="distance">'
        '<squaredEuclidean/></ComparisonMeasure><ClusteringField field="x" compareFunction="absDiff"/>'
        f'<Cluster id="low"><Array n="1" type="real">0</Array></Cluster><Cluster id="{name}"><Array n="1" type="real">'
        f"{center}</Array></Cluster></ClusteringModel></Segment>"
    )


@pytest.mark.parametrize(
    ("method", "expected"),
    [("majorityVote", ["low", "high", "high"]), ("weightedMajorityVote", ["low", "low", "high"])],
)
def test_clusters_are_voted_for(method: str, expected: list[str]) -> None:
    parts = [clustering("high", 2), clustering("high", 4), clustering("high", 6, weight=3)]
    text = (
        '<MiningModel functionName="clustering"><MiningSchema><MiningField name="x"/></MiningSchema><Output>'
        '<OutputField name="cluster" optype="categorical" dataType="string" feature="clusterId"/></Output>'
        f'<Segmentation multipleModelMethod="{method}">{"".join(parts)}</Segmentation></MiningModel>'
    )
    assert [row["cluster"] for row in model(text).score([{"x": 0.5}, {"x": 2.5}, {"x": 5.0}])] == expected


def test_clusters_have_no_average() -> None:
    text = (
        '<MiningModel functionName="clustering"><MiningSchema><MiningField name="x"/></MiningSchema>'
        f'<Segmentation multipleModelMethod="average">{clustering("high", 2)}</Segmentation></MiningModel>'
    )
    with pytest.raises(SchemaError, match='multipleModelMethod "average" is not for clustering'):
        load(document(text))


def test_segments_that_vote_do_not_know_of_one_another() -> None:
    fields = schema("y").replace('<MiningField name="y" usageType="target"/>', "")
    first = part("1", after='<Output><OutputField name="p"/></Output>')
    second = (
        f'<Segment><True/><RegressionModel functionName="regression">{fields}<RegressionTable intercept="0">'
        '<NumericPredictor name="p" coefficient="1"/></RegressionTable></RegressionModel></Segment>'
    )
    text = (
        '<MiningModel functionName="regression">{}<Segmentation multipleModelMethod="{}">{}{}</Segmentation>'
        "</MiningModel>"
    )
    assert model(text.format(schema("y"), "modelChain", first, second)).score_row({"x": 1})["y"] == 1.0
    with pytest.raises(SchemaError, match='names field "p", which is not defined'):
        model(text.format(schema("y"), "average", first, second))
