import math
from typing import Any

import numpy as np
import pytest
from documents import document
from sklearn.ensemble import IsolationForest

from pmml_worker import Model, SchemaError, load

SCHEMA = '<MiningSchema><MiningField name="x"/><MiningField name="z"/></MiningSchema>'
CLUSTERS = (
    f'<ClusteringModel functionName="clustering" modelClass="centerBased" numberOfClusters="2">{SCHEMA}'
    '<ComparisonMeasure kind="distance"><euclidean/></ComparisonMeasure><ClusteringField field="x"/>'
    '<ClusteringField field="z"/><Cluster id="a"><Array type="real">0 0</Array></Cluster>'
    '<Cluster id="b"><Array type="real">10 0</Array></Cluster></ClusteringModel>'
)
MEANS = '<MeanClusterDistances><Array type="real">0.5 4</Array></MeanClusterDistances>'


def regression(intercept: float) -> str:
    return (
        f'<RegressionModel functionName="regression">{SCHEMA}<RegressionTable intercept="{intercept}">'
        '<NumericPredictor name="x" coefficient="2"/></RegressionTable></RegressionModel>'
    )


def anomaly(inner: str, algorithm: str, attributes: str = "", after: str = "", output: str = "") -> Model:
    text = (
        f'<AnomalyDetectionModel functionName="regression" algorithmType="{algorithm}" {attributes}>{SCHEMA}<Output>'
        f'<OutputField name="score" feature="predictedValue" dataType="double" optype="continuous"/>{output}</Output>'
        f"{inner}{after}</AnomalyDetectionModel>"
    )
    return load(document(text))


def isolation_tree(tree: Any) -> str:
    """A tree of scikit-learn whose leaves tell their depth and what the rows in them would add to it."""

    def expected(count: int) -> float:
        if count <= 2:
            return float(count == 2)
        return 2 * (math.log(count - 1) + np.euler_gamma) - 2 * (count - 1) / count

    def node(index: int, depth: int, test: str) -> str:
        left, right = tree.children_left[index], tree.children_right[index]
        if left < 0:
            return f'<Node score="{depth + expected(int(tree.n_node_samples[index]))!r}">{test}</Node>'
        name = "xz"[tree.feature[index]]
        low, high = (
            f'<SimplePredicate field="{name}" operator="{operator}" value="{float(tree.threshold[index])!r}"/>'
            for operator in ("lessOrEqual", "greaterThan")
        )
        return f"<Node>{test}{node(left, depth + 1, low)}{node(right, depth + 1, high)}</Node>"

    return f'<TreeModel functionName="regression">{SCHEMA}{node(0, 0, "<True/>")}</TreeModel>'


def test_an_isolation_forest_scores_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(8)
    points = rng.normal(size=(200, 2)).astype(np.float32)
    forest = IsolationForest(n_estimators=6, max_samples=32, random_state=1).fit(points)
    segments = "".join(f"<Segment><True/>{isolation_tree(tree.tree_)}</Segment>" for tree in forest.estimators_)
    inner = (
        f'<MiningModel functionName="regression">{SCHEMA}<Segmentation multipleModelMethod="average">{segments}'
        "</Segmentation></MiningModel>"
    )
    asked = rng.normal(size=(50, 2)).astype(np.float32)
    rows = [{"x": float(x), "z": float(z)} for x, z in asked]
    got = [row["score"] for row in anomaly(inner, "iforest", 'sampleDataSize="32"').score(rows)]
    assert got == pytest.approx(-forest.score_samples(asked), rel=1e-7)


def test_a_path_length_is_normalized_by_the_size_of_the_sample() -> None:
    loaded = anomaly(regression(3.0), "iforest", 'sampleDataSize="5"')
    normalizer = 2 * (math.log(4) + 0.57721566) - 2 * 4 / 5
    assert loaded.score_row({"x": 0.5, "z": 0})["score"] == pytest.approx(2 ** (-4 / normalizer), rel=1e-14)
    assert loaded.score_row({"x": None, "z": 1})["score"] is None


@pytest.mark.parametrize("algorithm", ["ocsvm", "other"])
def test_other_models_tell_the_score_themselves(algorithm: str) -> None:
    assert anomaly(regression(3.0), algorithm).score_row({"x": 0.5, "z": 0})["score"] == 4.0


def test_the_distance_from_the_nearest_cluster_is_told_in_mean_distances_of_its_members() -> None:
    loaded = anomaly(CLUSTERS, "clusterMeanDist", after=MEANS)
    assert loaded.score_row({"x": 3, "z": 0})["score"] == 6.0
    assert loaded.score_row({"x": 10, "z": 8})["score"] == 2.0


def test_what_is_an_anomaly_is_decided_by_the_output() -> None:
    output = (
        '<OutputField name="anomaly" feature="decision" dataType="boolean" optype="categorical">'
        '<Apply function="greaterThan"><FieldRef field="score"/><Constant>3</Constant></Apply></OutputField>'
    )
    loaded = anomaly(CLUSTERS, "clusterMeanDist", after=MEANS, output=output)
    assert loaded.score_row({"x": 3, "z": 0})["anomaly"] is True
    assert loaded.score_row({"x": 10, "z": 8})["anomaly"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((regression(1), "iforest"), "needs a sampleDataSize of 2 or more"),
        ((regression(1), "iforest", 'sampleDataSize="1"'), "needs a sampleDataSize of 2 or more"),
        ((regression(1), "clusterMeanDist"), "needs a <ClusteringModel>"),
        ((CLUSTERS, "clusterMeanDist"), "needs <MeanClusterDistances>"),
        ((CLUSTERS, "clusterMeanDist", "", MEANS.replace("0.5 4", "0.5")), "a number above 0 for each of 2 clusters"),
        ((CLUSTERS, "clusterMeanDist", "", MEANS.replace("0.5 4", "0.5 0")), "a number above 0 for each of 2 clusters"),
        (("", "other"), "<AnomalyDetectionModel> lacks its element"),
    ],
)
def test_a_model_that_cannot_be_scored_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        anomaly(*arguments)
