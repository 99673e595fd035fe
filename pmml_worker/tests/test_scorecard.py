import itertools
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from documents import SCHEMA, model, schema

from pmml_worker import Model, SchemaError, ScoringError
from pmml_worker.kernels import _native

RANKS = 3


def card(characteristics: str, attributes: str = "", ranks: int = RANKS) -> Model:
    """A scorecard with output fields r1, r2 … for its reason codes."""
    fields = "".join(
        f'<OutputField name="r{rank}" feature="reasonCode" rank="{rank}"/>' for rank in range(1, ranks + 1)
    )
    output = f"<Output>{fields}</Output>" if ranks else ""
    return model(
        f'<Scorecard functionName="regression" {attributes}>{schema("y")}{output}'
        f"<Characteristics>{characteristics}</Characteristics></Scorecard>"
    )


def fixed(score: float, reason: str, baseline: float | None = 10, attribute_reason: str = "") -> str:
    """A characteristic that gives every row the same partial score."""
    base = "" if baseline is None else f'baselineScore="{baseline}"'
    own = f'reasonCode="{attribute_reason}"' if attribute_reason else ""
    code = f'reasonCode="{reason}"' if reason else ""
    return f'<Characteristic {code} {base}><Attribute partialScore="{score}" {own}><True/></Attribute></Characteristic>'


def reasons(scorer: Model, row: dict[str, Any] | None = None) -> list[Any]:
    result = scorer.score_row(row or {"x": 1})
    return [result[f"r{rank}"] for rank in range(1, RANKS + 1)]


BY_ALL_MEANS = """<Characteristic reasonCode="X" baselineScore="0" name="by x">
<Attribute partialScore="-1"><SimplePredicate field="x" operator="isMissing"/></Attribute>
<Attribute partialScore="1"><SimplePredicate field="x" operator="lessThan" value="0"/></Attribute>
<Attribute partialScore="2"><SimplePredicate field="x" operator="equal" value="0"/></Attribute>
<Attribute partialScore="3"><CompoundPredicate booleanOperator="and">
  <SimplePredicate field="x" operator="greaterThan" value="0"/>
  <SimplePredicate field="x" operator="lessOrEqual" value="5"/>
</CompoundPredicate></Attribute>
<Attribute partialScore="4"><SimpleSetPredicate field="x" booleanOperator="isIn"><Array type="real">7 8.5</Array>
</SimpleSetPredicate></Attribute>
<Attribute partialScore="5"><True/></Attribute></Characteristic>
<Characteristic reasonCode="S" baselineScore="0" name="by s">
<Attribute partialScore="100"><SimplePredicate field="s" operator="equal" value="a"/></Attribute>
<Attribute partialScore="200"><SimpleSetPredicate field="s" booleanOperator="isNotIn"><Array type="string">b c</Array>
</SimpleSetPredicate></Attribute>
<Attribute partialScore="300"><SimplePredicate field="s" operator="isMissing"/></Attribute>
<Attribute partialScore="400"><SimplePredicate field="s" operator="isNotMissing"/></Attribute></Characteristic>
<Characteristic reasonCode="I" baselineScore="0" name="by i, with a fraction">
<Attribute partialScore="1000"><SimplePredicate field="i" operator="lessThan" value="2.5"/></Attribute>
<Attribute partialScore="2000"><True/></Attribute></Characteristic>
<Characteristic reasonCode="XZ" baselineScore="0" name="by two fields">
<Attribute partialScore="10000"><CompoundPredicate booleanOperator="and">
  <SimplePredicate field="x" operator="greaterThan" value="0"/>
  <SimplePredicate field="z" operator="greaterThan" value="0"/>
</CompoundPredicate></Attribute><Attribute partialScore="20000"><True/></Attribute></Characteristic>"""


def by_all_means(row: dict[str, Any]) -> float:
    x, s, i, z = row["x"], row["s"], row["i"], row["z"]
    if x is None:
        first = -1
    elif x < 0:
        first = 1
    elif x == 0:
        first = 2
    elif x <= 5:
        first = 3
    else:
        first = 4 if x in (7, 8.5) else 5
    second = 300 if s is None else 100 if s == "a" else 400 if s in ("b", "c") else 200
    third = 1000 if i < 2.5 else 2000
    fourth = 10000 if x is not None and x > 0 and z > 0 else 20000
    return first + second + third + fourth


def test_the_first_attribute_that_fits_counts_whatever_its_predicate() -> None:
    values = itertools.product([None, -1e9, -1.0, 0.0, 1e-300, 5.0, 5.000001, 7.0, 8.5, 9.0], [None, "a", "b", "d"],
                               [-3, 2, 3], [-1.0, 1.0])  # fmt: skip
    rows = [{"x": x, "s": s, "i": i, "z": z} for x, s, i, z in values]
    got = card(BY_ALL_MEANS).score(rows)
    assert [row["y"] for row in got] == [by_all_means(row) for row in rows]
    one_by_one = [card(BY_ALL_MEANS).score_row(row)["y"] for row in rows[::7]]
    assert one_by_one == [by_all_means(row) for row in rows[::7]]


def test_the_initial_score_comes_first() -> None:
    assert card(fixed(3, "A") + fixed(4, "B"), 'initialScore="100.5"').score_row({"x": 1})["y"] == 107.5


def test_a_partial_score_may_be_computed_and_the_computed_one_counts() -> None:
    computed = """<Characteristic reasonCode="C" baselineScore="0" name="computed"><Attribute partialScore="7">
    <SimplePredicate field="i" operator="equal" value="1"/><ComplexPartialScore><Apply function="*">
    <FieldRef field="x"/><Constant>2</Constant></Apply></ComplexPartialScore></Attribute>
    <Attribute partialScore="5"><True/></Attribute>
    </Characteristic>"""
    scorer = card(computed)
    rows = [{"x": 1.5, "i": 1}, {"x": 1.5, "i": 2}, {"x": None, "i": 2}]
    assert [row["y"] for row in scorer.score(rows)] == [3.0, 5.0, 5.0]
    with pytest.raises(ScoringError, match="the partial score cannot be computed, for want of a value") as caught:
        scorer.score_row({"x": None, "i": 1})
    assert caught.value.field == "computed"


def test_a_row_that_no_attribute_fits_is_an_error() -> None:
    text = """<Characteristic name="q" reasonCode="A" baselineScore="1"><Attribute partialScore="1">
    <SimplePredicate field="x" operator="greaterThan" value="3"/></Attribute></Characteristic>"""
    assert card(text).score_row({"x": 4})["y"] == 1.0
    for x in (3.0, None):
        with pytest.raises(ScoringError, match='no attribute of characteristic "q" fits'):
            card(text).score_row({"x": x, "z": 1})


def test_reasons_are_ranked_by_points_below_the_baseline() -> None:
    assert reasons(card(fixed(9, "A") + fixed(3, "B") + fixed(5, "C"))) == ["B", "C", "A"]


def test_reasons_are_ranked_by_points_above_the_baseline() -> None:
    assert reasons(card(fixed(19, "A") + fixed(13, "B") + fixed(25, "C"), 'reasonCodeAlgorithm="pointsAbove"')) == [
        "C", "A", "B",
    ]  # fmt: skip


def test_equal_reasons_stay_in_the_document_s_order() -> None:
    assert reasons(card(fixed(5, "Z") + fixed(5, "M") + fixed(5, "A"))) == ["Z", "M", "A"]


def test_a_characteristic_on_the_wrong_side_of_its_baseline_is_no_reason() -> None:
    assert reasons(card(fixed(11, "A") + fixed(10, "B") + fixed(9, "C"))) == ["C", "B", None]


def test_points_of_the_same_reason_add_up() -> None:
    text = fixed(8, "A") + fixed(7, "B") + fixed(8, "A") + fixed(9, "A")
    assert reasons(card(text)) == ["A", "B", None]
    assert reasons(card(fixed(18, "A") + fixed(7, "B") + fixed(8, "A"))) == ["B", None, None]


def test_an_attribute_s_own_reason_goes_before_its_characteristic_s() -> None:
    assert reasons(card(fixed(3, "A", attribute_reason="own") + fixed(2, "", attribute_reason="alone"))) == [
        "alone", "own", None,
    ]  # fmt: skip


def test_the_scorecard_s_baseline_serves_where_a_characteristic_has_none() -> None:
    assert reasons(card(fixed(3, "A", None) + fixed(3, "B", 5), 'baselineScore="4" baselineMethod="mean"')) == [
        "B", "A", None,
    ]  # fmt: skip


def test_more_ranks_than_reasons_are_missing() -> None:
    assert reasons(card(fixed(1, "A"))) == ["A", None, None]


@pytest.mark.parametrize(
    ("characteristics", "attributes", "complaint"),
    [
        (fixed(1, "A", None), "", "needs a baselineScore"),
        (fixed(1, ""), "", "needs a reasonCode"),
        ("<Characteristic><Attribute><True/></Attribute></Characteristic>", 'useReasonCodes="false"',
         "needs a partialScore or a <ComplexPartialScore>"),
    ],
)  # fmt: skip
def test_what_a_scorecard_lacks_is_told_at_load(characteristics: str, attributes: str, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        card(characteristics, attributes)


def test_without_reason_codes_none_is_needed_and_none_is_told() -> None:
    assert card(fixed(4, "", None), 'useReasonCodes="false"', ranks=0).score_row({"x": 1}) == {"y": 4.0}
    with pytest.raises(ScoringError, match="the model tells no reasonCode"):
        card(fixed(4, "A"), 'useReasonCodes="false"').score_row({"x": 1})


def test_single_precision_adds_in_single_precision() -> None:
    text = fixed(0.1, "A") + fixed(0.2, "B")
    assert card(text, 'x-mathContext="float"').score_row({"x": 1})["y"] == float(np.float32(0.1) + np.float32(0.2))
    assert card(text).score_row({"x": 1})["y"] == 0.1 + 0.2


def test_random_scorecards_agree_with_a_ranking_row_by_row() -> None:
    random = np.random.default_rng(5)
    names = [f"R{index}" for index in range(4)]
    limits = [np.sort(random.normal(size=3)) for _ in range(6)]
    scores = random.integers(0, 6, (6, 4))
    codes = random.integers(0, 4, (6, 4))
    text = ""
    for field, (edges, points, own) in enumerate(zip(limits, scores, codes, strict=True)):
        tests = [f'<SimplePredicate field="{"xz"[field % 2]}" operator="lessThan" value="{edge}"/>' for edge in edges]
        parts = zip([*tests, "<True/>"], points, own, strict=True)
        inner = "".join(
            f'<Attribute partialScore="{score}" reasonCode="{names[code]}">{test}</Attribute>'
            for test, score, code in parts
        )
        text += f'<Characteristic baselineScore="3">{inner}</Characteristic>'
    x, z = random.normal(size=(2, 500))
    got = card(text).score(pa.table({"x": x, "z": z})).to_pylist()
    for row, result in enumerate(got):
        points = {}
        for field, edges in enumerate(limits):
            chosen = int(np.searchsorted(edges, (x, z)[field % 2][row], "right"))
            name = names[codes[field, chosen]]
            points[name] = points.get(name, 0) + 3 - scores[field, chosen]
        ranked = sorted((name for name in points if points[name] >= 0), key=lambda name: -points[name])
        expected = [*ranked, None, None, None][:RANKS]
        assert [result[f"r{rank}"] for rank in range(1, RANKS + 1)] == expected


def test_a_segment_s_reasons_are_told_by_the_model_around_it() -> None:
    inner = (
        f'<Scorecard functionName="regression">{SCHEMA}<Characteristics>{fixed(9, "A") + fixed(3, "B")}'
        "</Characteristics></Scorecard>"
    )
    text = (
        f'<MiningModel functionName="regression">{schema("y")}<Output><OutputField name="r" feature="reasonCode" '
        'rank="2" segmentId="one"/></Output><Segmentation multipleModelMethod="average">'
        f'<Segment id="one"><True/>{inner}</Segment></Segmentation></MiningModel>'
    )
    assert model(text).score_row({"x": 1}) == {"y": 12.0, "r": "A"}


def test_many_intervals_are_searched_as_few_are_counted() -> None:
    for count in (3, 90):
        attributes = "".join(
            f'<Attribute partialScore="{place}"><SimplePredicate field="x" operator="{operator}" value="{place}"/>'
            "</Attribute>"
            for place in range(count)
            for operator in ("lessThan", "equal")
        )
        scorer = card(
            f'<Characteristic reasonCode="X" baselineScore="0">{attributes}'
            '<Attribute partialScore="-1"><True/></Attribute></Characteristic>'
        )
        values = np.arange(-1, count + 1, 0.5)
        expected = [max(np.ceil(value), 0) if value <= count - 1 else -1 for value in values]
        assert [row["y"] for row in scorer.score([{"x": value} for value in values])] == expected


def test_the_kernel_refuses_names_of_another_shape() -> None:
    with pytest.raises(ValueError, match="points and names differ in shape"):
        _native.best(np.zeros((2, 3)), np.zeros((2, 4), np.int32), 1)
