from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from documents import FIELDS, document
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from pmml_worker import Model, SchemaError, ScoringError, load

Instance = tuple[str, float | None, float | None, float | str | None, str | None]
INSTANCES: list[Instance] = [
    ("one", 0, 0, 1.0, "p"),
    ("two", 1, 0, 2.0, "q"),
    ("three", 0, 1, 4.0, "q"),
    ("four", 5, 5, 8.0, "p"),
    ("five", 1, 1, 16.0, "r"),
]
NUMBER = '<MiningField name="y" usageType="target"/>'
CLASS = '<MiningField name="c" usageType="target"/>'
INPUTS = '<KNNInput field="x"/><KNNInput field="z"/>'
NAMES = "id", "x", "z", "y", "c"
INSTANCE_FIELDS = "".join(f'<InstanceField field="{name}" column="{name}"/>' for name in NAMES)


def table(instances: Sequence[Instance]) -> str:
    rows = (
        "".join(f"<{name}>{value}</{name}>" for name, value in zip(NAMES, row, strict=True) if value is not None)
        for row in instances
    )
    return f"<InlineTable>{''.join(f'<row>{row}</row>' for row in rows)}</InlineTable>"


def neighbors(
    function: str = "regression",
    targets: str = NUMBER,
    attributes: str = 'instanceIdVariable="id"',
    instances: Sequence[Instance] = INSTANCES,
    metric: str = "<euclidean/>",
    kind: str = "distance",
    inputs: str = INPUTS,
    output: str = "",
    k: int = 3,
    fields: str = FIELDS,
    instance_fields: str = INSTANCE_FIELDS,
    rows: str | None = None,
    derived: str = "",
    training: str = 'recordCount="5"',
) -> Model:
    schema = "".join(f'<MiningField name="{name}"/>' for name in "xzsb")
    text = (
        f'<NearestNeighborModel functionName="{function}" numberOfNeighbors="{k}" {attributes}><MiningSchema>{targets}'
        f"{schema}</MiningSchema><Output>{output}</Output>{derived}<TrainingInstances {training}><InstanceFields>"
        f"{instance_fields}</InstanceFields>{table(instances) if rows is None else rows}</TrainingInstances>"
        f'<ComparisonMeasure kind="{kind}">{metric}</ComparisonMeasure><KNNInputs>{inputs}</KNNInputs>'
        "</NearestNeighborModel>"
    )
    return load(document(text, fields))


def random_instances(count: int, seed: int = 11) -> list[Instance]:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3)).tolist()
    classes = rng.choice(["p", "q", "r"], count).tolist()
    return [(f"n{row}", *point, name) for row, (point, name) in enumerate(zip(points, classes, strict=True))]


METRICS = [("<euclidean/>", 2.0), ("<cityBlock/>", 1.0), ('<minkowski p-parameter="3"/>', 3.0)]


def known(instances: list[Instance]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return np.array([row[1:3] for row in instances], float), np.array([row[3] for row in instances], float)


@pytest.mark.parametrize(("metric", "p"), METRICS)
def test_a_number_is_the_average_of_the_neighbors_as_scikit_learn_has_it(metric: str, p: float) -> None:
    instances = random_instances(150)
    points, values = known(instances)
    oracle = KNeighborsRegressor(7, p=p).fit(points, values)
    asked = np.random.default_rng(3).normal(size=(100, 2))
    got = neighbors(instances=instances, metric=metric, k=7).score(
        [dict(zip("xz", row, strict=True)) for row in asked.tolist()]
    )
    assert [row["y"] for row in got] == pytest.approx(oracle.predict(asked), rel=1e-12)


def test_a_weighted_average_counts_the_inverse_of_distance_and_threshold() -> None:
    instances = random_instances(80)
    points, values = known(instances)
    oracle = KNeighborsRegressor(5, weights=lambda distances: 1 / (distances + 0.25)).fit(points, values)
    asked = np.random.default_rng(4).normal(size=(60, 2))
    attributes = 'continuousScoringMethod="weightedAverage" threshold="0.25"'
    got = neighbors(instances=instances, attributes=attributes, k=5).score(
        [dict(zip("xz", row, strict=True)) for row in asked.tolist()]
    )
    assert [row["y"] for row in got] == pytest.approx(oracle.predict(asked), rel=1e-12)


def test_the_threshold_is_a_thousandth_unless_told() -> None:
    got = neighbors(attributes='continuousScoringMethod="weightedAverage"').score_row({"x": 0, "z": 0})["y"]
    weights = 1 / (np.array([0, 1, 1]) + 0.001)
    assert got == pytest.approx(weights @ np.array([1, 2, 4]) / weights.sum(), rel=1e-13)


@pytest.mark.parametrize(("k", "expected"), [(1, 1.0), (2, 1.5), (3, 2.0), (4, 3.0), (5, 4.0), (9, 4.0)])
def test_a_median_lies_between_the_middle_neighbors(k: int, expected: float) -> None:
    loaded = neighbors(attributes='continuousScoringMethod="median"', k=k)
    assert loaded.score_row({"x": 0, "z": 0})["y"] == expected


@pytest.mark.parametrize(("method", "weights"), [("majorityVote", "uniform"), ("weightedMajorityVote", "distance")])
def test_a_class_gets_the_votes_of_the_neighbors_as_scikit_learn_counts_them(method: str, weights: str) -> None:
    instances = random_instances(120)
    points, _ = known(instances)
    given: Any = weights if weights == "uniform" else lambda distances: 1 / (distances + 0.5)
    oracle = KNeighborsClassifier(5, weights=given).fit(points, [row[4] for row in instances])
    asked = np.random.default_rng(6).normal(size=(80, 2))
    output = "".join(f'<OutputField name="{name}" feature="probability" value="{name}"/>' for name in "pqr")
    attributes = f'categoricalScoringMethod="{method}" threshold="0.5"'
    loaded = neighbors("classification", CLASS, attributes, instances, k=5, output=output)
    got = loaded.score([dict(zip("xz", row, strict=True)) for row in asked.tolist()])
    shares = oracle.predict_proba(asked)
    assert np.array([[row[name] for name in "pqr"] for row in got]) == pytest.approx(shares, rel=1e-12)
    ordered = np.sort(shares, axis=1)
    clear = ordered[:, 2] > ordered[:, 1] + 1e-9
    assert clear.sum() > 40
    assert [row["c"] for row, sure in zip(got, clear, strict=True) if sure] == oracle.predict(asked)[clear].tolist()


@pytest.mark.parametrize(
    ("classes", "expected"),
    [("zqqq", "q"), ("zqzz", "z"), ("qzqq", "q"), ("zqzq", "q"), ("azzq", "z")],
)
def test_of_equal_votes_the_class_of_most_instances_wins_and_of_these_the_least(classes: str, expected: str) -> None:
    places = [0.0, 1.0, 5.0, 6.0]
    instances: list[Instance] = [(name, place, 0, 1, name) for name, place in zip(classes, places, strict=True)]
    loaded = neighbors("classification", CLASS, instances=instances, k=2)
    assert loaded.score_row({"x": 0, "z": 0})["c"] == expected


ENTITIES = "".join(
    f'<OutputField name="{name}" feature="{feature}" rank="{rank}"/>'
    for name, feature, rank in (("e1", "entityId", 1), ("e2", "entityId", 2), ("e4", "entityId", 4))
) + "".join(f'<OutputField name="a{rank}" feature="affinity" rank="{rank}"/>' for rank in (1, 2))


def test_neighbors_are_told_by_their_identifiers_nearest_first_and_of_equals_the_first_first() -> None:
    got = neighbors(output=ENTITIES).score_row({"x": 0.75, "z": 0.0})
    assert (got["e1"], got["e2"]) == ("two", "one")
    assert (got["a1"], got["a2"]) == (0.25, 0.75)
    assert neighbors(output=ENTITIES).score_row({"x": 0.5, "z": 0.5})["e2"] == "two"
    assert neighbors(output=ENTITIES, attributes="").score_row({"x": 0.75, "z": 0.0})["e1"] == "2"


def test_an_instance_is_asked_by_its_identifier_how_near_it_is() -> None:
    output = '<OutputField name="to_four" feature="affinity" value="four"/>'
    assert neighbors(output=output).score_row({"x": 2, "z": 1})["to_four"] == 5.0


def test_several_targets_are_predicted_at_once() -> None:
    got = neighbors("mixed", NUMBER + CLASS).score_row({"x": 0, "z": 0})
    assert got == {"y": pytest.approx(7 / 3), "c": "q"}


def test_without_a_target_the_neighbors_are_the_result() -> None:
    got = neighbors("clustering", "", output=ENTITIES).score_row({"x": 0.75, "z": 0.0})
    assert (got["e1"], got["e2"]) == ("two", "one")


def test_instances_after_the_neighbors_are_told_by_rank_and_predict_nothing() -> None:
    got = neighbors(output=ENTITIES, k=2).score_row({"x": 0.2, "z": 0.0})
    assert (got["e1"], got["e2"], got["e4"], got["y"]) == ("one", "two", "five", 1.5)
    assert neighbors(output=ENTITIES, instances=INSTANCES[:3]).score_row({"x": 0, "z": 0})["e4"] is None


def test_inputs_count_as_their_weights_and_compare_by_their_functions() -> None:
    inputs = '<KNNInput field="x" fieldWeight="4"/><KNNInput field="z" compareFunction="delta"/>'
    got = neighbors(inputs=inputs, output=ENTITIES).score_row({"x": 0.2, "z": 0.1})
    assert got["a1"] == pytest.approx((4 * 0.2**2 + 1) ** 0.5)
    got = neighbors(inputs=inputs, output=ENTITIES).score_row({"x": 0.8, "z": 1})
    assert (got["e1"], got["a1"]) == ("five", pytest.approx((4 * 0.2**2) ** 0.5))


def test_similarities_are_weights_themselves_and_the_largest_are_nearest() -> None:
    instances: list[Instance] = [("1", 0, 1, 1, "p"), ("2", 1, 0, 2, "q"), ("3", 1, 1, 4, "q"), ("4", 0, 0, 8, "p")]
    attributes = 'instanceIdVariable="id" continuousScoringMethod="weightedAverage"'
    loaded = neighbors(
        instances=instances, attributes=attributes, metric="<simpleMatching/>", kind="similarity", output=ENTITIES
    )
    got = loaded.score_row({"x": 1, "z": 1})
    assert (got["e1"], got["e2"], got["a1"], got["a2"]) == ("3", "1", 1.0, 0.5)
    assert got["y"] == pytest.approx((1 * 4 + 0.5 * 1 + 0.5 * 2) / 2)


def test_missing_fields_are_left_out_and_a_row_without_any_is_an_error() -> None:
    got = neighbors(output=ENTITIES).score_row({"x": 1, "z": None})
    assert (got["e1"], got["e2"], got["a1"], got["y"]) == ("two", "five", 0.0, pytest.approx(19 / 3))
    with pytest.raises(ScoringError, match="no reference can be compared"):
        neighbors().score_row({"x": None, "z": None, "s": "a"})


def test_neighbors_without_a_value_of_the_target_do_not_count() -> None:
    instances = [("one", 0, 0, None, None), *INSTANCES[1:]]
    assert neighbors(instances=instances).score_row({"x": 0, "z": 0})["y"] == 3.0
    assert neighbors("classification", CLASS, instances=instances, k=1).score_row({"x": 0, "z": 0})["c"] is None


def test_instances_are_transformed_as_rows_are_unless_they_are_already() -> None:
    derived = (
        '<LocalTransformations><DerivedField name="root" optype="continuous" dataType="double"><Apply function="sqrt">'
        '<FieldRef field="x"/></Apply></DerivedField></LocalTransformations>'
    )
    inputs = '<KNNInput field="root"/>'
    instances: list[Instance] = [("1", 4, 0, 1, "p"), ("2", 100, 0, 2, "p")]
    raw = neighbors(instances=instances, derived=derived, inputs=inputs, k=1, output=ENTITIES)
    assert raw.score_row({"x": 49})["e1"] == "2"
    assert raw.score_row({"x": 49})["a1"] == 3.0
    told = '<InstanceField field="id"/><InstanceField field="root" column="data:x"/><InstanceField field="y"/>'
    transformed = neighbors(
        instances=instances, derived=derived, inputs=inputs, k=1, output=ENTITIES, instance_fields=told,
        training='isTransformed="true"',
    )  # fmt: skip
    assert transformed.score_row({"x": 49})["a1"] == 3.0
    assert transformed.score_row({"x": 49})["e1"] == "1"


def test_instances_are_transformed_by_the_fields_of_outer_models_too() -> None:
    inner = (
        '<NearestNeighborModel functionName="regression" numberOfNeighbors="1"><MiningSchema>'
        '<MiningField name="y" usageType="target"/><MiningField name="twice"/></MiningSchema><TrainingInstances>'
        '<InstanceFields><InstanceField field="x"/><InstanceField field="y"/></InstanceFields><InlineTable>'
        "<row><x>1</x><y>10</y></row><row><x>3</x><y>20</y></row></InlineTable></TrainingInstances>"
        '<ComparisonMeasure kind="distance"><euclidean/></ComparisonMeasure><KNNInputs><KNNInput field="twice"/>'
        "</KNNInputs></NearestNeighborModel>"
    )
    text = (
        '<MiningModel functionName="regression"><MiningSchema><MiningField name="y" usageType="target"/>'
        '<MiningField name="x"/></MiningSchema><LocalTransformations><DerivedField name="twice" optype="continuous" '
        'dataType="double"><Apply function="*"><FieldRef field="x"/><Constant>2</Constant></Apply></DerivedField>'
        '</LocalTransformations><Segmentation multipleModelMethod="average"><Segment><True/>'
        f"{inner}</Segment></Segmentation></MiningModel>"
    )
    assert load(document(text)).score_row({"x": 2.5})["y"] == 20


def test_texts_are_compared_with_those_of_instances() -> None:
    rows = "".join(f"<row><s>{s}</s><y>{y}</y></row>" for s, y in (("red", 1), ("blue", 2), ("red", 4)))
    loaded = neighbors(
        inputs='<KNNInput field="s" compareFunction="delta"/>',
        instance_fields='<InstanceField field="s"/><InstanceField field="y"/>',
        rows=f"<InlineTable>{rows}</InlineTable>",
        attributes="",
        k=1,
    )
    assert [loaded.score_row({"s": text})["y"] for text in ("red", "blue", "other")] == [1, 2, 1]


def test_single_precision_is_used_where_the_document_says_so() -> None:
    attributes = 'instanceIdVariable="id" continuousScoringMethod="weightedAverage" x-mathContext="float"'
    one = np.float32
    x, z = one(0.3), one(0.1)
    distances = [np.sqrt((x - one(a)) ** 2 + (z - one(b)) ** 2) for a, b in ((0, 0), (1, 0), (0, 1))]
    weights = [one(1) / (distance + one(0.001)) for distance in distances]
    total = sum((weight * one(y) for weight, y in zip(weights, (1, 2, 4), strict=True)), start=one(0))
    expected = total / sum(weights, start=one(0))
    got = neighbors(attributes=attributes).score_row({"x": 0.3, "z": 0.1})["y"]
    assert got == pytest.approx(float(expected), rel=1e-7)
    assert got == float(np.float32(got))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "<TableLocator/>"}, "line .*: <TableLocator> tells of a table outside of the document"),
        ({"rows": "<InlineTable/>"}, "<TrainingInstances> has no rows"),
        ({"k": 0}, "numberOfNeighbors is 0"),
        ({"inputs": '<KNNInput field="b"/>'}, '<TrainingInstances> has no field "b"'),
        ({"attributes": 'instanceIdVariable="key"'}, '<TrainingInstances> has no field "key"'),
        ({"inputs": '<KNNInput field="q"/>'}, 'field "q"'),
        ({"instances": [("1", None, 0, 1, "p")]}, 'no usable value of "x"'),
        ({"instances": [("1", 0, 0, "many", "p")]}, 'column "y": "many" is no double'),
    ],
)
def test_a_model_that_cannot_be_scored_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        neighbors(**options)


def test_the_result_is_the_same_however_many_rows_are_scored_at_once() -> None:
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = [dict(zip("xz", point, strict=True)) for point in rng.normal(size=(150, 2)).tolist()]
    rows[70]["x"] = None
    loaded = neighbors(instances=random_instances(90), output=ENTITIES)
    assert loaded.score(rows) == [loaded.score_row(row) for row in rows]
