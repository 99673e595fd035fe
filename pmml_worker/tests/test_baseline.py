"""BaselineModel, compared with scipy and with the standard's recurrence, event by event."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from documents import document, model
from scipy import stats

from pmml_worker import SchemaError, ScoringError, load

FIELDS = """<DataField name="x" optype="continuous" dataType="double"/><DataField name="w" optype="continuous"
dataType="double"/><DataField name="a" optype="categorical" dataType="string"/><DataField name="b" optype="categorical"
dataType="string"/><DataField name="score" optype="continuous" dataType="double"/>"""
SCHEMA = """<MiningSchema><MiningField name="x"/><MiningField name="w"/><MiningField name="a"/><MiningField name="b"/>
<MiningField name="score" usageType="target"/></MiningSchema>"""


def baseline(statistic: str, normal: str, other: str = "", attributes: str = "", field: str = "x") -> str:
    alternate = f"<Alternate>{other}</Alternate>" if other else ""
    return (
        f'<BaselineModel functionName="regression">{SCHEMA}<TestDistributions field="{field}" '
        f'testStatistic="{statistic}" {attributes}><Baseline>{normal}</Baseline>{alternate}</TestDistributions>'
        "</BaselineModel>"
    )


def scores(text: str, rows: list[dict[str, Any]]) -> list[float | None]:
    return [row["score"] for row in model(text, FIELDS).score(rows)]


GAUSS = '<GaussianDistribution mean="550.2" variance="48.2"/>'
OTHER = '<GaussianDistribution mean="460.4" variance="39.2"/>'


@pytest.mark.parametrize(
    ("distribution", "mean", "variance"),
    [
        (GAUSS, 550.2, 48.2),
        ('<AnyDistribution mean="2" variance="9"/>', 2.0, 9.0),
        ('<PoissonDistribution mean="7"/>', 7.0, 7.0),
        ('<UniformDistribution lower="2" upper="8"/>', 5.0, 3.0),
    ],
)
def test_a_z_value_counts_standard_deviations(distribution: str, mean: float, variance: float) -> None:
    got = scores(baseline("zValue", distribution), [{"x": 3.5}, {"x": None}, {"x": -1.0}])
    assert got == [
        pytest.approx((3.5 - mean) / math.sqrt(variance)),
        None,
        pytest.approx((-1 - mean) / math.sqrt(variance)),
    ]


DISTRIBUTIONS = {
    GAUSS: stats.norm(550.2, math.sqrt(48.2)).logpdf,
    '<PoissonDistribution mean="520"/>': stats.poisson(520).logpmf,
    '<UniformDistribution lower="400" upper="600"/>': stats.uniform(400, 200).logpdf,
}


def cusum(values: npt.NDArray[np.float64], f0: Any, f1: Any, reset: float) -> list[float]:
    last, result = 0.0, []
    for value in values:
        last = max(reset, last + f1(value) - f0(value))
        result.append(last)
    return result


@pytest.mark.parametrize("normal", DISTRIBUTIONS)
@pytest.mark.parametrize(("attributes", "reset"), [("", 0.0), ('resetValue="-2.5"', -2.5), ('resetValue="1.5"', 1.5)])
def test_cusum_adds_up_logarithms_of_odds_and_never_falls_below_the_reset_value(
    normal: str, attributes: str, reset: float
) -> None:
    rng = np.random.default_rng(5)
    values = np.round(np.concatenate([rng.normal(540, 15, 100), rng.normal(461, 6, 100)]))
    other = stats.norm(460.4, math.sqrt(39.2)).logpdf
    got = scores(baseline("CUSUM", normal, OTHER, attributes), [{"x": value} for value in values])
    assert got == pytest.approx(cusum(values, DISTRIBUTIONS[normal], other, reset), rel=1e-12)
    assert reset in got
    assert len(set(got)) > 20


def test_cusum_passes_over_missing_values() -> None:
    rows: list[dict[str, Any]] = [{"x": 460.0}, {"x": None}, {"x": 470.0}]
    got = scores(baseline("CUSUM", GAUSS, OTHER), rows)
    assert got[1] == got[0]
    assert [got[0], got[2]] == scores(baseline("CUSUM", GAUSS, OTHER), [rows[0], rows[2]])


def test_a_table_of_any_length_is_one_stream_and_each_table_a_new_one() -> None:
    loaded = model(baseline("CUSUM", GAUSS, OTHER), FIELDS)
    assert loaded.is_sequential
    assert not model(baseline("zValue", GAUSS), FIELDS).is_sequential
    rows = [{"x": 460.0}] * 20_000
    got = [row["score"] for row in loaded.score(rows)]
    step = got[0]
    assert got[-1] == pytest.approx(20_000 * step, rel=1e-9)
    assert loaded.score_row(rows[0])["score"] == step


def test_a_value_that_neither_distribution_has_is_an_error() -> None:
    low, high = '<UniformDistribution lower="0" upper="1"/>', '<UniformDistribution lower="2" upper="3"/>'
    loaded = model(baseline("CUSUM", low, high), FIELDS)
    with pytest.raises(ScoringError, match="possible under neither distribution"):
        loaded.score([{"x": 0.5}, {"x": 9.0}])
    told = loaded.score([{"x": 0.5}, {"x": 9.0}, {"x": 2.5}], errors="collect")
    assert told[2]["score"] == math.inf


# --- Counts ----------------------------------------------------------------------------------------------------------

COUNTS = {"p": 5.0, "q": 3.0, "r": 12.0}
TABLE = "<{0}>" + "".join(
    f'<FieldValueCount field="a" value="{value}" count="{count}"/>' for value, count in COUNTS.items()
) + "</{0}>"  # fmt: skip
EVENTS = list("pqqrpprrrqprrpqr")


def windows(events: list[str], size: int, weights: list[float] | None = None) -> list[npt.NDArray[np.float64]]:
    result = []
    for end in range(1, len(events) + 1):
        counts = dict.fromkeys(COUNTS, 0.0)
        for at in range(max(end - size, 0) if size else 0, end):
            counts[events[at]] += 1.0 if weights is None else weights[at]
        result.append(np.array(list(counts.values())))
    return result


@pytest.mark.parametrize("table", ["CountTable", "NormalizedCountTable"])
@pytest.mark.parametrize("size", [0, 1, 5])
def test_chi_square_compares_the_window_with_the_baseline(table: str, size: int) -> None:
    text = baseline("chiSquareDistribution", TABLE.format(table), attributes=f'windowSize="{size}"', field="a")
    normal = np.array(list(COUNTS.values()))
    expected = [stats.chisquare(c, normal / normal.sum() * c.sum()).statistic for c in windows(EVENTS, size)]
    assert scores(text, [{"a": event} for event in EVENTS]) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("scheme", [None, "None", "SizeWeighted", "Independent"])
def test_a_scalar_product_is_normalized_by_the_scheme(scheme: str | None) -> None:
    attributes = 'windowSize="4"' + (f' normalizationScheme="{scheme}"' if scheme else "")
    text = baseline("scalarProduct", TABLE.format("CountTable"), attributes=attributes, field="a")
    normal = np.array(list(COUNTS.values()))
    norms: dict[str, Callable[[npt.NDArray[np.float64]], Any]] = {
        "SizeWeighted": lambda c: c.sum() * normal.sum(),
        "Independent": lambda c: np.linalg.norm(c) * np.linalg.norm(normal),
    }
    expected = [c @ normal / (norms[scheme](c) if scheme in norms else 1.0) for c in windows(EVENTS, 4)]
    assert scores(text, [{"a": event} for event in EVENTS]) == pytest.approx(expected, rel=1e-12)


def test_events_count_as_much_as_they_weigh() -> None:
    weights = [0.5 * (1 + at % 4) for at in range(len(EVENTS))]
    text = baseline("scalarProduct", TABLE.format("CountTable"), attributes='windowSize="3" weightField="w"', field="a")
    expected = [c @ np.array(list(COUNTS.values())) for c in windows(EVENTS, 3, weights)]
    rows = [{"a": event, "w": weight} for event, weight in zip(EVENTS, weights, strict=True)]
    assert scores(text, rows) == pytest.approx(expected, rel=1e-12)


def test_an_event_with_a_missing_value_is_none() -> None:
    text = baseline("chiSquareDistribution", TABLE.format("CountTable"), attributes='windowSize="2"', field="a")
    got = scores(text, [{"a": None, "b": "z"}, {"a": "p"}, {"a": None, "b": "z"}, {"a": "r"}])
    plain = scores(text, [{"a": "p"}, {"a": "r"}])
    assert got == [None, plain[0], plain[0], plain[1]]


def test_a_value_that_the_baseline_does_not_count_is_an_error() -> None:
    text = baseline("chiSquareDistribution", TABLE.format("CountTable"), field="a")
    with pytest.raises(ScoringError, match='value "z" is none of the baseline') as error:
        scores(text, [{"a": "p"}, {"a": "z"}])
    assert (error.value.row, error.value.field) == (1, "a")


def test_counts_may_be_of_combinations_of_values() -> None:
    nested = """<CountTable sample="10"><FieldValue field="a" value="p">
    <FieldValueCount field="b" value="u" count="4"/><FieldValueCount field="b" value="v" count="1"/></FieldValue>
    <FieldValue field="a" value="q"><FieldValueCount field="b" value="u" count="3"/>
    <FieldValueCount field="b" value="v" count="2"/></FieldValue></CountTable>"""
    rows = [{"a": "p", "b": "u"}, {"a": "q", "b": "v"}, {"a": "q", "b": "v"}]
    got = scores(baseline("chiSquareDistribution", nested, field="b"), rows)
    expected = stats.chisquare([1, 0, 0, 2], np.array([4, 1, 3, 2]) * 0.3).statistic
    assert got[-1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("size", [0, 20])
def test_chi_square_tells_whether_fields_are_independent(size: int) -> None:
    refs = '<FieldRef field="a"/><FieldRef field="b"/>'
    text = baseline("chiSquareIndependence", refs, attributes=f'windowSize="{size}"', field="a")
    rng = np.random.default_rng(11)
    pairs = rng.integers(0, (3, 2), size=(60, 2))
    got = scores(text, [{"a": f"a{a}", "b": f"b{b}"} for a, b in pairs])
    for end in (30, 45, 60):
        table = np.zeros((3, 2))
        for a, b in pairs[(end - size if size else 0) : end]:
            table[a, b] += 1
        assert got[end - 1] == pytest.approx(stats.chi2_contingency(table, correction=False).statistic, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (baseline("zValue", '<GaussianDistribution mean="1" variance="0"/>'), "a variance above 0"),
        (baseline("zValue", TABLE.format("CountTable")), "needs a continuous distribution"),
        (baseline("CUSUM", GAUSS), "needs an <Alternate>"),
        (baseline("CUSUM", '<AnyDistribution mean="1" variance="1"/>', OTHER), "has no density"),
        (baseline("CUSUM", '<GaussianDistribution mean="1" variance="0"/>', OTHER), "a variance above 0"),
        (baseline("CUSUM", '<PoissonDistribution mean="0"/>', OTHER), "a mean above 0"),
        (baseline("CUSUM", '<UniformDistribution lower="1" upper="1"/>', OTHER), "upper minus lower above 0"),
        (baseline("scalarProduct", GAUSS), "needs a <CountTable>"),
        (baseline("scalarProduct", TABLE.format("CountTable").replace("r", "p")), "or something twice"),
        (
            baseline("scalarProduct", TABLE.format("CountTable").replace('"a" value="r"', '"b" value="r"')),
            "same fields",
        ),
        (baseline("chiSquareIndependence", '<FieldRef field="a"/>'), "needs two <FieldRef>"),
        (baseline("zValue", GAUSS, attributes='windowSize="-1"'), "windowSize is 0 or more"),
        (baseline("zValue", GAUSS, field="nowhere"), "which is not defined"),
        (baseline("zValue", GAUSS, attributes='weightField="nowhere"'), "which is not defined"),
    ],
)
def test_a_document_that_is_wrong_is_refused_and_told_where(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message) as error:
        load(document(text, FIELDS))
    assert error.value.line is not None
