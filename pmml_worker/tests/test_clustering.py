import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from documents import FIELDS, document, model
from scipy.spatial import distance

from pmml_worker import Model, SchemaError, ScoringError, load

SCHEMA = "".join(f'<MiningField name="{name}"/>' for name in "xzisb")
COORDINATES = '<ClusteringField field="x"/><ClusteringField field="z"/><ClusteringField field="i"/>'
CENTERS = {"a": (0.0, 0.5, 1.0), "b": (3.0, -4.0, 2.0), "c": (-1.5, 2.0, 0.0)}
EVERY_AFFINITY = "".join(
    f'<OutputField name="to_{name}" feature="affinity" value="{name}" dataType="double" optype="continuous"/>'
    for name in "abc"
)


def clusters(centers: Mapping[str, tuple[float, ...]], inside: str = "") -> str:
    return "".join(
        f'<Cluster id="{name}" name="cluster {name}" size="3"><Array type="real">{" ".join(map(str, center))}</Array>'
        f"{inside}</Cluster>"
        for name, center in centers.items()
    )


def clustering(
    metric: str = "<squaredEuclidean/>",
    kind: str = "distance",
    coordinates: str = COORDINATES,
    members: str = clusters(CENTERS),
    output: str = EVERY_AFFINITY,
    attributes: str = "",
    between: str = "",
    model_class: str = "centerBased",
    compare: str = "",
    fields: str = FIELDS,
) -> Model:
    text = (
        f'<ClusteringModel functionName="clustering" modelClass="{model_class}" numberOfClusters="3" {attributes}>'
        f'<MiningSchema>{SCHEMA}</MiningSchema><Output><OutputField name="cluster" feature="predictedValue" '
        f'dataType="string" optype="categorical"/>{output}</Output><ComparisonMeasure kind="{kind}" {compare}>{metric}'
        f"</ComparisonMeasure>{coordinates}{between}{members}</ClusteringModel>"
    )
    return load(document(text, fields))


def affinities(loaded: Model, row: dict[str, Any], names: str = "abc") -> list[float]:
    result = loaded.score_row(row)
    return [result[f"to_{name}"] for name in names]


ROWS = [(0.25, 1.0, 3), (2.0, -1.0, 1), (-7.5, 0.0, 0)]


@pytest.mark.parametrize(
    ("metric", "oracle"),
    [
        ("<euclidean/>", distance.euclidean),
        ("<squaredEuclidean/>", distance.sqeuclidean),
        ("<chebychev/>", distance.chebyshev),
        ("<cityBlock/>", distance.cityblock),
        ('<minkowski p-parameter="3"/>', lambda u, v: distance.minkowski(u, v, 3)),
        ('<minkowski p-parameter="0.5"/>', lambda u, v: distance.minkowski(u, v, 0.5)),
    ],
)
def test_distances_are_those_of_the_metric_and_the_nearest_cluster_is_predicted(metric: str, oracle: Any) -> None:
    loaded = clustering(metric)
    for x, z, i in ROWS:
        expected = {name: oracle((x, z, i), center) for name, center in CENTERS.items()}
        row = {"x": x, "z": z, "i": i}
        assert affinities(loaded, row) == pytest.approx(list(expected.values()), rel=1e-14)
        assert loaded.score_row(row)["cluster"] == min(expected, key=lambda name: expected[name])


@pytest.mark.parametrize(
    ("metric", "combine"),
    [
        ("<euclidean/>", lambda w, c: math.sqrt(sum(w * c**2))),
        ("<squaredEuclidean/>", lambda w, c: sum(w * c**2)),
        ("<chebychev/>", lambda w, c: max(w * c)),
        ("<cityBlock/>", lambda w, c: sum(w * c)),
        ('<minkowski p-parameter="1.5"/>', lambda w, c: sum(w * c**1.5) ** (1 / 1.5)),
    ],
)
def test_fields_count_as_much_as_their_weights(metric: str, combine: Any) -> None:
    coordinates = (
        '<ClusteringField field="x" fieldWeight="2"/><ClusteringField field="z" fieldWeight="0.25"/>'
        '<ClusteringField field="i"/>'
    )
    got = affinities(clustering(metric, coordinates=coordinates), {"x": 0.3, "z": 1.0, "i": 3})
    weights = np.array([2, 0.25, 1])
    expected = [combine(weights, np.abs(np.array([0.3, 1, 3]) - center)) for center in CENTERS.values()]
    assert got == pytest.approx(expected, rel=1e-14)


def test_fields_compare_by_their_own_functions() -> None:
    coordinates = (
        '<ClusteringField field="x" compareFunction="gaussSim" similarityScale="1.5"/>'
        '<ClusteringField field="z" compareFunction="delta"/><ClusteringField field="i" compareFunction="equal"/>'
    )
    got = affinities(clustering("<cityBlock/>", coordinates=coordinates), {"x": 0.3, "z": 2.0, "i": 2})
    expected = [
        math.exp(-math.log(2) * (0.3 - x) ** 2 / 1.5**2) + (z != 2.0) + (i == 2) for x, z, i in CENTERS.values()
    ]
    assert got == pytest.approx(expected, rel=1e-14)


def test_the_measure_tells_how_fields_compare_that_do_not_say_it_themselves() -> None:
    coordinates = '<ClusteringField field="x" compareFunction="absDiff"/><ClusteringField field="z"/>'
    members = clusters({"a": (0, 1), "b": (2, 3), "c": (4, 5)})
    loaded = clustering("<cityBlock/>", coordinates=coordinates, members=members, compare='compareFunction="delta"')
    assert affinities(loaded, {"x": 0.5, "z": 3.0}) == [0.5 + 1, 1.5 + 0, 3.5 + 1]


def test_a_table_compares_the_values_that_the_field_lists() -> None:
    fields = FIELDS.replace(
        '<DataField name="s" optype="categorical" dataType="string"/>',
        '<DataField name="s" optype="categorical" dataType="string"><Value value="red"/><Value value="pink"/>'
        '<Value value="blue"/></DataField>',
    )
    table = (
        '<Comparisons><Matrix><Array type="real">0 0.25 1</Array><Array type="real">0.5 0 2</Array>'
        '<Array type="real">3 4 0</Array></Matrix></Comparisons>'
    )
    coordinates = (
        f'<ClusteringField field="s" compareFunction="table">{table}</ClusteringField><ClusteringField field="x"/>'
    )
    members = "".join(
        f'<Cluster id="{name}"><Array type="string">{text} 1</Array></Cluster>'
        for name, text in (("a", "red"), ("b", "pink"), ("c", "blue"))
    )
    loaded = clustering("<cityBlock/>", coordinates=coordinates, members=members, fields=fields)
    assert affinities(loaded, {"s": "pink", "x": 1.0}) == [0.5, 0.0, 2.0]
    assert affinities(loaded, {"s": "blue", "x": 1.5}) == [3.5, 4.5, 0.5]
    with pytest.raises(SchemaError, match="2 x 2; the field has 3 valid values"):
        small = (
            '<Comparisons><Matrix><Array type="real">0 1</Array><Array type="real">1 0</Array></Matrix></Comparisons>'
        )
        clustering("<cityBlock/>", coordinates=coordinates.replace(table, small), members=members, fields=fields)


def test_texts_are_the_same_or_not() -> None:
    coordinates = '<ClusteringField field="s" compareFunction="delta"/><ClusteringField field="x"/>'
    members = "".join(
        f'<Cluster id="{name}"><Array type="string">{text} 1</Array></Cluster>'
        for name, text in (("a", "red"), ("b", "blue"), ("c", '"light blue"'))
    )
    loaded = clustering("<cityBlock/>", coordinates=coordinates, members=members)
    assert affinities(loaded, {"s": "blue", "x": 1.0}) == [1, 0, 1]
    assert affinities(loaded, {"s": "light blue", "x": 1.0}) == [1, 1, 0]
    assert affinities(loaded, {"s": "never seen", "x": 1.0}) == [1, 1, 1]


def counts(row: tuple[int, ...], center: tuple[float, ...]) -> tuple[int, int, int, int]:
    pairs = list(zip(row, center, strict=True))
    return pairs.count((1, 1)), pairs.count((1, 0)), pairs.count((0, 1)), pairs.count((0, 0))


@pytest.mark.parametrize(
    ("metric", "formula"),
    [
        ("<simpleMatching/>", lambda a11, a10, a01, a00: (a11 + a00) / (a11 + a10 + a01 + a00)),
        ("<jaccard/>", lambda a11, a10, a01, a00: a11 / (a11 + a10 + a01)),
        ("<tanimoto/>", lambda a11, a10, a01, a00: (a11 + a00) / (a11 + 2 * (a10 + a01) + a00)),
        (
            '<binarySimilarity c00-parameter="0.1" c01-parameter="0.2" c10-parameter="0.3" c11-parameter="2" '
            'd00-parameter="0.5" d01-parameter="0.6" d10-parameter="0.7" d11-parameter="0.8"/>',
            lambda a11, a10, a01, a00: (
                (2 * a11 + 0.3 * a10 + 0.2 * a01 + 0.1 * a00) / (0.8 * a11 + 0.7 * a10 + 0.6 * a01 + 0.5 * a00)
            ),
        ),
    ],
)
def test_binary_similarities_count_pairs_and_the_most_similar_cluster_is_predicted(metric: str, formula: Any) -> None:
    centers = {"a": (1.0, 0.0, 1.0), "b": (1.0, 1.0, 0.0), "c": (0.0, 1.0, 1.0)}
    loaded = clustering(metric, "similarity", members=clusters(centers))
    for row in ((1, 1, 1), (1, 0, 0), (0, 1, 1), (0, 0, 1)):
        expected = {name: formula(*counts(row, center)) for name, center in centers.items()}
        values = dict(zip("xzi", row, strict=True))
        assert affinities(loaded, values) == pytest.approx(list(expected.values()), rel=1e-14)
        assert loaded.score_row(values)["cluster"] == max(expected, key=lambda name: expected[name])


@pytest.mark.parametrize("value", [2, None])
def test_a_binary_similarity_of_other_values_is_an_error(value: int | None) -> None:
    loaded = clustering("<jaccard/>", "similarity", members=clusters({"a": (1, 0, 1), "b": (1, 1, 0), "c": (0, 1, 1)}))
    with pytest.raises(ScoringError, match=r"field x: .* is neither 0 nor 1"):
        loaded.score_row({"x": value, "z": 1, "i": 0})
    with pytest.raises(SchemaError, match="compares 0 and 1"):
        clustering("<jaccard/>", "similarity")


def test_a_similarity_that_is_undefined_is_an_error() -> None:
    loaded = clustering("<jaccard/>", "similarity", members=clusters({"a": (1, 0, 1), "b": (0, 0, 0), "c": (0, 1, 1)}))
    assert loaded.score_row({"x": 1, "z": 0, "i": 0})["cluster"] == "a"
    with pytest.raises(ScoringError, match="or the measure is undefined"):
        loaded.score_row({"x": 0, "z": 0, "i": 0})


def test_of_similarities_of_numbers_the_largest_is_best() -> None:
    coordinates = "".join(
        f'<ClusteringField field="{name}" compareFunction="gaussSim" similarityScale="1"/>' for name in "xzi"
    )
    loaded = clustering("<cityBlock/>", "similarity", coordinates)
    for name, (x, z, i) in CENTERS.items():
        assert loaded.score_row({"x": x, "z": z, "i": i})["cluster"] == name


def test_of_differences_the_smallest_is_best_whatever_the_measure_calls_itself() -> None:
    loaded = clustering("<euclidean/>", "similarity")
    for name, (x, z, i) in CENTERS.items():
        assert loaded.score_row({"x": x, "z": z, "i": i})["cluster"] == name


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("<euclidean/>", math.sqrt((2 + 0.25) * 8 / 5)),
        ("<squaredEuclidean/>", (2 + 0.25) * 8 / 5),
        ("<chebychev/>", 1 * 8 / 5),
        ("<cityBlock/>", (2 + 0.5) * 8 / 5),
        ('<minkowski p-parameter="3"/>', ((2 + 0.125) * 8 / 5) ** (1 / 3)),
    ],
)
def test_what_missing_fields_leave_is_adjusted_by_the_weights_of_missing_values(metric: str, expected: float) -> None:
    coordinates = '<ClusteringField field="x" fieldWeight="2"/><ClusteringField field="z"/><ClusteringField field="i"/>'
    if "chebychev" in metric:
        coordinates = COORDINATES
    weights = '<MissingValueWeights><Array type="real">4 1 3</Array></MissingValueWeights>'
    loaded = clustering(metric, coordinates=coordinates, between=weights)
    assert affinities(loaded, {"x": 1.0, "z": 1.0, "i": None})[0] == pytest.approx(expected, rel=1e-14)


def test_without_weights_of_missing_values_all_fields_count_the_same() -> None:
    loaded = clustering("<cityBlock/>")
    assert affinities(loaded, {"x": 1.0, "z": None, "i": None})[0] == pytest.approx(3.0)


def test_a_row_without_any_field_is_an_error() -> None:
    with pytest.raises(
        ScoringError, match="row 0: no reference can be compared with the row: all its fields are missing"
    ):
        clustering().score_row({"x": None, "z": None, "i": None})
    told = clustering().score([{"x": 1.0}, {"s": "a"}, {"x": 2.0}], errors="collect")
    assert [row["_error"] is None for row in told] == [True, False, True]


def test_only_center_fields_are_compared() -> None:
    coordinates = (
        '<ClusteringField field="x"/><ClusteringField field="s" isCenterField="false"/>'
        '<ClusteringField field="z" isCenterField="true"/>'
    )
    members = clusters({"a": (0, 0), "b": (3, 4), "c": (9, 9)})
    weights = '<MissingValueWeights><Array type="real">1 7 3</Array></MissingValueWeights>'
    loaded = clustering("<cityBlock/>", coordinates=coordinates, members=members, between=weights)
    assert affinities(loaded, {"x": 1.0, "z": 2.0, "s": "text"}) == [3, 4, 15]
    assert affinities(loaded, {"x": 1.0}) == [4, 8, 32]


def test_results_name_the_cluster_its_rank_and_how_near_it_is() -> None:
    output = "".join(
        f'<OutputField name="{name}" feature="{feature}" {more}/>'
        for name, feature, more in (
            ("display", "predictedDisplayValue", ""),
            ("cluster_id", "clusterId", ""),
            ("entity", "entityId", 'rank="1"'),
            ("second", "entityId", 'rank="2"'),
            ("fourth", "entityId", 'rank="4"'),
            ("near", "affinity", ""),
            ("cluster_near", "clusterAffinity", ""),
            ("entity_near", "entityAffinity", 'rank="2"'),
        )
    )
    assert clustering("<cityBlock/>", output=output).score_row({"x": 0.0, "z": 0.0, "i": 1}) == {
        "cluster": "a",
        "display": "cluster a",
        "cluster_id": "a",
        "entity": "a",
        "second": "c",
        "fourth": None,
        "near": 0.5,
        "cluster_near": 0.5,
        "entity_near": 4.5,
    }


def test_a_cluster_without_an_id_is_told_by_its_position_and_without_a_name_by_none() -> None:
    members = clusters({"b": CENTERS["b"]}) + '<Cluster><Array type="real">0 0 1</Array></Cluster>'
    loaded = clustering(members=members, output='<OutputField name="display" feature="predictedDisplayValue"/>')
    assert loaded.score_row({"x": 0, "z": 0, "i": 1}) == {"cluster": "2", "display": None}
    assert loaded.score_row({"x": 3, "z": -4, "i": 1}) == {"cluster": "b", "display": "cluster b"}


def test_of_clusters_equally_near_the_first_is_predicted() -> None:
    members = clusters({"a": (1, 0, 0), "b": (-1, 0, 0), "c": (0, 1, 0)})
    assert clustering(members=members).score_row({"x": 0, "z": 0, "i": 0})["cluster"] == "a"


def test_single_precision_is_used_where_the_document_says_so() -> None:
    loaded = clustering("<euclidean/>", attributes='x-mathContext="float"')
    x, z, i = np.float32(0.7), np.float32(1.1), np.float32(3)
    one = np.float32
    expected = np.sqrt((x - one(0)) ** 2 + (z - one(0.5)) ** 2 + (i - one(1)) ** 2)
    assert affinities(loaded, {"x": 0.7, "z": 1.1, "i": 3})[0] == float(expected)


def test_distribution_based_clusters_are_told_apart_by_their_covariances() -> None:
    covariances = {"a": ((2, 0.5), (0.5, 1)), "b": ((4, 0), (0, 0.25)), "c": ((1, -0.3), (-0.3, 3))}
    centers = {"a": (0.0, 0.5), "b": (3.0, -4.0), "c": (-1.5, 2.0)}
    members = "".join(
        f'<Cluster id="{name}"><Array type="real">{center[0]} {center[1]}</Array><Covariances><Matrix kind="symmetric">'
        f'<Array type="real">{matrix[0][0]}</Array><Array type="real">{matrix[1][0]} {matrix[1][1]}</Array>'
        "</Matrix></Covariances></Cluster>"
        for (name, center), matrix in zip(centers.items(), covariances.values(), strict=True)
    )
    coordinates = '<ClusteringField field="x"/><ClusteringField field="z"/>'
    loaded = clustering(coordinates=coordinates, members=members, model_class="distributionBased")
    for row in ((0.0, 0.0), (2.0, -1.0), (-4.0, 1.5)):
        expected = {
            name: distance.mahalanobis(row, center, np.linalg.inv(covariances[name]))
            for name, center in centers.items()
        }
        assert affinities(loaded, {"x": row[0], "z": row[1]}) == pytest.approx(list(expected.values()), rel=1e-13)
        nearest = min(expected, key=lambda name: expected[name])
        assert loaded.score_row({"x": row[0], "z": row[1]})["cluster"] == nearest
    with pytest.raises(ScoringError, match="no reference can be compared"):
        loaded.score_row({"x": 1.0})


def test_center_fields_of_older_documents_are_derived() -> None:
    between = (
        '<CenterFields><DerivedField name="p" optype="continuous" dataType="double"><NormContinuous field="x">'
        '<LinearNorm orig="0" norm="0"/><LinearNorm orig="10" norm="1"/></NormContinuous></DerivedField>'
        '<DerivedField name="q" optype="continuous" dataType="double"><NormDiscrete field="s" value="red"/>'
        "</DerivedField></CenterFields>"
    )
    coordinates = '<ClusteringField field="x"/><ClusteringField field="s"/>'
    loaded = clustering(
        "<cityBlock/>",
        coordinates=coordinates,
        members=clusters({"a": (0, 0), "b": (1, 1), "c": (1, 0)}),
        between=between,
    )
    assert affinities(loaded, {"x": 2.5, "s": "red"}) == [1.25, 0.75, 1.75]


def test_the_result_is_the_same_however_many_rows_are_scored_at_once() -> None:
    rng = np.random.default_rng(5)
    points = rng.normal(size=(200, 3)).tolist()
    rows = [dict(zip("xz", point, strict=False)) | {"i": int(point[2] * 3)} for point in points]
    rows[70]["x"] = None
    loaded = clustering("<euclidean/>")
    assert loaded.score(rows) == [loaded.score_row(row) for row in rows]


MEMBER = '<Cluster id="a"><Array type="real">1 2 3</Array></Cluster>'


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": MEMBER + MEMBER}, 'two clusters with the id "a"'),
        ({"members": '<Cluster id="a"><Array type="real">1 2</Array></Cluster>'}, "has 2 coordinates, the model 3"),
        ({"members": '<Cluster id="a"/>'}, "<Cluster> has no <Array>"),
        ({"members": '<Cluster id="a"><Array type="string">1 two 3</Array></Cluster>'}, 'center "two" of field "z"'),
        ({"metric": '<minkowski p-parameter="0"/>'}, "p-parameter 0; it must be a number above 0"),
        ({"metric": "<minkowski/>"}, "<minkowski> lacks its attribute p-parameter"),
        ({"coordinates": COORDINATES.replace('"x"', '"x" fieldWeight="-1"')}, "fieldWeight -1"),
        ({"coordinates": COORDINATES.replace('"x"', '"x" compareFunction="gaussSim"')}, "needs a similarityScale"),
        ({"coordinates": COORDINATES.replace('"x"', '"x" compareFunction="table"')}, "needs <Comparisons>"),
        ({"coordinates": COORDINATES.replace('"x"', '"nowhere"')}, 'names field "nowhere"'),
        (
            {"between": "<MissingValueWeights><Array type='real'>1 2</Array></MissingValueWeights>"},
            "for each of 3 fields",
        ),
        ({"model_class": "distributionBased"}, "needs <Covariances>"),
        (
            {
                "model_class": "distributionBased",
                "members": clusters(
                    {"a": (0, 0, 0)},
                    "<Covariances><Matrix kind='diagonal'><Array type='real'>1 -1 1</Array></Matrix></Covariances>",
                ),
            },
            "not positive definite",
        ),
    ],
)
def test_a_model_that_cannot_be_scored_is_refused_with_its_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        clustering(**options)


def test_clusters_of_a_segment_are_told_outside() -> None:
    text = (
        '<MiningModel functionName="clustering"><MiningSchema><MiningField name="x"/></MiningSchema><Output>'
        '<OutputField name="cluster" feature="predictedValue"/><OutputField name="near" feature="affinity"/></Output>'
        '<Segmentation multipleModelMethod="selectFirst"><Segment id="1"><SimplePredicate field="x" '
        'operator="lessThan" value="5"/><ClusteringModel functionName="clustering" modelClass="centerBased" '
        'numberOfClusters="2"><MiningSchema><MiningField name="x"/></MiningSchema><ComparisonMeasure kind="distance">'
        "<cityBlock/>"
        '</ComparisonMeasure><ClusteringField field="x"/><Cluster id="low"><Array type="real">0</Array></Cluster>'
        '<Cluster id="high"><Array type="real">4</Array></Cluster></ClusteringModel></Segment>'
        "</Segmentation></MiningModel>"
    )
    assert model(text).score_row({"x": 3}) == {"cluster": "high", "near": 1.0}
