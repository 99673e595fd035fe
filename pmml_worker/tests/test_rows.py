"""Lag and Aggregate, which look at other rows than their own."""

import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from documents import model

from pmml_worker import Model, SchemaError, ScoringError

FIELDS = """<DataField name="x" optype="continuous" dataType="double"/><DataField name="s" optype="categorical"
dataType="string"/><DataField name="g" optype="categorical" dataType="string"/><DataField name="y" optype="continuous"
dataType="double"/>"""


def scorer(text: str, data_type: str = "double") -> Model:
    """A model that gives out a derived field."""
    return model(
        f"""<RegressionModel functionName="regression"><MiningSchema><MiningField name="y" usageType="target"/>
        <MiningField name="x"/><MiningField name="s"/><MiningField name="g"/></MiningSchema><Output><OutputField
        name="out" dataType="{data_type}" feature="transformedValue"><FieldRef field="derived"/></OutputField></Output>
        <LocalTransformations><DerivedField name="derived" optype="continuous" dataType="{data_type}">{text}
        </DerivedField></LocalTransformations><RegressionTable intercept="0"/></RegressionModel>""",
        FIELDS,
    )


def out(text: str, rows: list[dict[str, Any]], data_type: str = "double") -> list[Any]:
    return [row["out"] for row in scorer(text, data_type).score(rows)]


X: list[dict[str, Any]] = [
    {"x": 1.0, "s": "a", "g": "p"},
    {"x": 2.0, "s": "b", "g": "p"},
    {"x": None, "s": "c", "g": "q"},
    {"x": 4.0, "s": "d b", "g": "p"},
    {"x": 8.0, "s": None, "g": "q"},
    {"x": 16.0, "s": "f", "g": "q"},
]


def test_lag_is_the_value_of_an_earlier_row() -> None:
    assert out('<Lag field="x"/>', X) == [None, 1.0, 2.0, None, 4.0, 8.0]
    assert out('<Lag field="x" n="3"/>', X) == [None, None, None, 1.0, 2.0, None]
    assert out('<Lag field="s" n="2"/>', X, "string") == [None, None, "a", "b", "c", "d b"]
    assert out('<Lag field="x" n="100"/>', X) == [None] * 6


def test_lag_stays_in_its_block() -> None:
    lag = '<Lag field="x"><BlockIndicator field="g"/></Lag>'
    assert out(lag, X) == [None, 1.0, None, 2.0, None, 8.0]
    lag = '<Lag field="x"><BlockIndicator field="g"/><BlockIndicator field="s"/></Lag>'
    assert out(lag, X + X) == [None] * 6 + [1.0, 2.0, None, 4.0, 8.0, 16.0]


SUMMARIES: dict[str, Callable[[list[float]], float | None]] = {
    "avg": statistics.fmean, "max": max, "median": statistics.median, "min": min,
    "product": lambda values: float(np.prod(values)),
    "sum": sum, "stddev": lambda values: statistics.stdev(values) if len(values) > 1 else None,
}  # fmt: skip


@pytest.mark.parametrize("aggregate", SUMMARIES)
@pytest.mark.parametrize("blocks", ["", '<BlockIndicator field="g"/>'])
def test_lag_summarises_the_rows_before(aggregate: str, blocks: str) -> None:
    expected = []
    for position, row in enumerate(X):
        before = [other["x"] for other in X[:position] if not blocks or other["g"] == row["g"]][-3:]
        present = [value for value in before if value is not None]
        expected.append(SUMMARIES[aggregate](present) if present else None)
    assert out(f'<Lag field="x" n="3" aggregate="{aggregate}">{blocks}</Lag>', X) == pytest.approx(expected)


def test_rows_of_a_long_table_are_one_sequence() -> None:
    rows = [{"x": float(value)} for value in range(20_000)]
    got = out('<Lag field="x"/>', rows)
    assert got[0] is None
    assert all(later == earlier + 1 for earlier, later in pairwise(got[1:]))
    got = out('<Lag field="x" n="500" aggregate="sum"/>', rows)
    assert got[-1] == sum(range(19_499, 19_999))


def test_lag_sees_rows_that_a_segment_does_not_score() -> None:
    segments = "".join(
        f"""<Segment><SimplePredicate field="g" operator="equal" value="{group}"/><RegressionModel
        functionName="regression"><MiningSchema><MiningField name="x"/></MiningSchema><LocalTransformations>
        <DerivedField name="before" optype="continuous" dataType="double"><Lag field="x"/></DerivedField>
        </LocalTransformations>
        <RegressionTable intercept="{intercept}"><NumericPredictor name="before" coefficient="1"/></RegressionTable>
        </RegressionModel></Segment>"""
        for group, intercept in (("p", 0), ("q", 100))
    )
    ensemble = model(
        f"""<MiningModel functionName="regression"><MiningSchema><MiningField name="y" usageType="target"/>
        <MiningField name="x"/><MiningField name="g"/></MiningSchema><Segmentation multipleModelMethod="selectFirst">
        {segments}</Segmentation></MiningModel>""",
        FIELDS,
    )
    assert [row["y"] for row in ensemble.score(X)] == [None, 1.0, 102.0, None, 104.0, 108.0]


@pytest.mark.parametrize(
    ("function", "expected"),
    [("count", [3, 3, 2, 3, 2, 2]), ("sum", [7, 7, 24, 7, 24, 24]), ("average", [7 / 3, 7 / 3, 12, 7 / 3, 12, 12]),
     ("min", [1, 1, 8, 1, 8, 8]), ("max", [4, 4, 16, 4, 16, 16])],
)  # fmt: skip
def test_aggregate_summarises_the_rows_of_a_group(function: str, expected: list[float]) -> None:
    assert out(f'<Aggregate field="x" function="{function}" groupField="g"/>', X) == pytest.approx(expected)


def test_aggregate_without_groups_summarises_all_rows() -> None:
    assert out('<Aggregate field="x" function="sum"/>', X) == [31.0] * 6
    assert out('<Aggregate field="x" function="max"/>', X[2:3]) == [None]
    assert out('<Aggregate field="x" function="count"/>', X[2:3]) == [0]


def test_a_multiset_is_written_as_an_array() -> None:
    got = out('<Aggregate field="s" function="multiset" groupField="g"/>', X, "string")
    assert got == ['a b "d b"', 'a b "d b"', "c f", 'a b "d b"', "c f", "c f"]


def test_rows_cannot_be_chosen_by_sql() -> None:
    with pytest.raises(SchemaError, match="sqlWhere"):
        scorer('<Aggregate field="x" function="sum" sqlWhere="x > 1"/>')


@pytest.mark.parametrize(
    ("text", "told"),
    [('<Lag field="x" n="0"/>', "n is 0"), ('<Lag field="no"/>', '"no", which is not defined'),
     ('<Lag field="x"><BlockIndicator field="no"/></Lag>', '"no", which is not defined'),
     ('<Aggregate field="no" function="sum"/>', '"no", which is not defined'),
     ('<Aggregate field="x" function="sum" groupField="no"/>', '"no", which is not defined'),
     ('<Lag field="derived"/>', "derived -> derived"),
     ('<Aggregate field="x" function="sum" groupField="derived"/>', "derived -> derived"),
     ('<Lag field="x"><BlockIndicator field="derived"/></Lag>', "derived -> derived")],
)  # fmt: skip
def test_what_cannot_be_looked_up_is_refused(text: str, told: str) -> None:
    with pytest.raises(SchemaError, match=told):
        scorer(text)


@pytest.mark.parametrize(
    "text",
    ['<Lag field="s" aggregate="sum" n="2"/>', '<Aggregate field="s" function="sum" groupField="g"/>'],
)
def test_texts_have_no_sums(text: str) -> None:
    with pytest.raises(ScoringError, match="is no double"):
        scorer(text).score(X)
