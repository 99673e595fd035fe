import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from documents import FIELDS, document, model, schema
from scipy import stats
from sklearn.naive_bayes import GaussianNB

from pmml_worker import SchemaError, ScoringError, load
from pmml_worker.kernels._native import Likelihoods

OUTPUT = """<Output><OutputField name="P_A" feature="probability" value="A"/>
<OutputField name="P_B" feature="probability" value="B"/></Output>"""


def counts(a: float | None, b: float | None) -> str:
    told = "".join(
        f'<TargetValueCount value="{name}" count="{count}"/>'
        for name, count in (("A", a), ("B", b))
        if count is not None
    )
    return f"<TargetValueCounts>{told}</TargetValueCounts>"


def bayes(inputs: str, threshold: float = 0.001, prior: str = counts(30, 70), attributes: str = "") -> str:
    return (
        f'<NaiveBayesModel functionName="classification" threshold="{threshold}" {attributes}>{schema("c")}{OUTPUT}'
        f'<BayesInputs>{inputs}</BayesInputs><BayesOutput fieldName="c">{prior}</BayesOutput></NaiveBayesModel>'
    )


COLOURS = f"""<BayesInput fieldName="s"><PairCounts value="red">{counts(10, 20)}</PairCounts>
<PairCounts value="blue">{counts(20, 0)}</PairCounts>
<PairCounts value="green">{counts(0, 50)}</PairCounts></BayesInput>"""


def distributed(a: str, b: str, field: str = "x") -> str:
    told = "".join(
        f'<TargetValueStat value="{name}"><{text}/></TargetValueStat>' for name, text in (("A", a), ("B", b)) if text
    )
    return f'<BayesInput fieldName="{field}"><TargetValueStats>{told}</TargetValueStats></BayesInput>'


GAUSSIAN = distributed('GaussianDistribution mean="0" variance="1"', 'GaussianDistribution mean="1" variance="2"')


def check(row: dict[str, Any], a: float, b: float) -> None:
    assert [row["P_A"], row["P_B"]] == pytest.approx([a / (a + b), b / (a + b)], rel=1e-12)
    assert row["c"] == ("A" if a >= b else "B")


@pytest.mark.parametrize(
    ("colour", "a", "b"),
    [
        ("red", 10 / 30, 20 / 70),
        ("blue", 20 / 30, 0.001),
        ("green", 0.001, 50 / 70),
        ("white", 1, 1),
        (None, 1, 1),
    ],
)
def test_a_category_counts_as_often_as_it_was_seen_with_each_class(colour: str | None, a: float, b: float) -> None:
    check(model(bayes(COLOURS)).score_row({"s": colour}), 0.3 * a, 0.7 * b)


def test_a_class_that_a_category_says_nothing_of_is_left_as_it_is() -> None:
    inputs = COLOURS.replace(counts(20, 0), counts(20, None))
    check(model(bayes(inputs)).score_row({"s": "blue"}), 0.3 * 20 / 30, 0.7)


@pytest.mark.parametrize("x", [-3.0, 0.2, 1.5, 4.0])
def test_a_number_counts_by_the_density_of_each_class_but_not_below_the_threshold(x: float) -> None:
    a = max(stats.norm(0, 1).pdf(x), 0.001)
    b = max(stats.norm(1, math.sqrt(2)).pdf(x), 0.001)
    check(model(bayes(GAUSSIAN)).score_row({"x": x}), 0.3 * a, 0.7 * b)


def test_inputs_are_multiplied_and_missing_ones_left_out() -> None:
    loaded = model(bayes(COLOURS + GAUSSIAN))
    a, b = stats.norm(0, 1).pdf(0.5), stats.norm(1, math.sqrt(2)).pdf(0.5)
    check(loaded.score_row({"s": "red", "x": 0.5}), 0.3 * a / 3, 0.7 * b * 20 / 70)
    check(loaded.score_row({"s": None, "x": 0.5}), 0.3 * a, 0.7 * b)
    check(loaded.score_row({"s": "red", "x": None}), 0.3 / 3, 0.7 * 20 / 70)
    check(loaded.score_row({"s": None, "x": None}), 0.3, 0.7)


@pytest.mark.parametrize("count", [0, 1, 4, 30])
def test_a_count_may_have_a_poisson_distribution(count: int) -> None:
    inputs = distributed('PoissonDistribution mean="2"', 'PoissonDistribution mean="3.5"')
    a, b = (max(stats.poisson(mean).pmf(count), 0.001) for mean in (2, 3.5))
    check(model(bayes(inputs)).score_row({"x": count}), 0.3 * a, 0.7 * b)


def test_a_poisson_distribution_is_of_counts() -> None:
    loaded = model(bayes(distributed('PoissonDistribution mean="2"', 'PoissonDistribution mean="3.5"')))
    check(loaded.score_row({"x": -1}), 0.3, 0.7)
    with pytest.raises(ScoringError, match=r'field x: value "2\.5" is no integer'):
        loaded.score_row({"x": 2.5})


@pytest.mark.parametrize(("x", "a", "b"), [(0.0, 0.5, 0.001), (1.5, 0.5, 0.25), (2.0, 0.5, 0.25), (9.0, 0.001, 0.001)])
def test_a_number_may_have_a_uniform_distribution(x: float, a: float, b: float) -> None:
    inputs = distributed('UniformDistribution lower="0" upper="2"', 'UniformDistribution lower="1" upper="5"')
    check(model(bayes(inputs)).score_row({"x": x}), 0.3 * a, 0.7 * b)


def test_a_class_without_a_distribution_is_left_as_it_is() -> None:
    inputs = distributed('GaussianDistribution mean="0" variance="1"', "")
    check(model(bayes(inputs)).score_row({"x": 1}), 0.3 * stats.norm(0, 1).pdf(1), 0.7)


@pytest.mark.parametrize("declared", ['name="level" optype="categorical" dataType="string"', ""])
def test_a_number_may_be_made_a_category_first(declared: str) -> None:
    inputs = f"""<BayesInput fieldName="x"><DerivedField {declared}><Discretize field="x">
    <DiscretizeBin binValue="low"><Interval closure="openOpen" rightMargin="1"/></DiscretizeBin>
    <DiscretizeBin binValue="high"><Interval closure="closedOpen" leftMargin="1" rightMargin="10"/></DiscretizeBin>
    </Discretize></DerivedField><PairCounts value="low">{counts(10, 20)}</PairCounts>
    <PairCounts value="high">{counts(20, 50)}</PairCounts></BayesInput>"""
    loaded = model(bayes(inputs))
    check(loaded.score_row({"x": 0}), 0.3 * 10 / 30, 0.7 * 20 / 70)
    check(loaded.score_row({"x": 1}), 0.3 * 20 / 30, 0.7 * 50 / 70)
    check(loaded.score_row({"x": 10}), 0.3, 0.7)
    check(loaded.score_row({"x": None}), 0.3, 0.7)


def test_values_of_numeric_inputs_are_compared_as_numbers() -> None:
    inputs = f"""<BayesInput fieldName="i"><PairCounts value="1">{counts(10, 20)}</PairCounts>
    <PairCounts value="2.0">{counts(20, 5)}</PairCounts></BayesInput>"""
    loaded = model(bayes(inputs))
    check(loaded.score_row({"i": 1}), 0.3 * 10 / 30, 0.7 * 20 / 25)
    check(loaded.score_row({"i": 2}), 0.3 * 20 / 30, 0.7 * 5 / 25)
    check(loaded.score_row({"i": 3}), 0.3, 0.7)


def test_many_small_likelihoods_do_not_vanish() -> None:
    loaded = model(bayes(GAUSSIAN * 60, 0))
    log_a, log_b = stats.norm(0, 1).logpdf(30) * 60, stats.norm(1, math.sqrt(2)).logpdf(30) * 60
    assert log_a < -1000
    assert log_b < -1000
    assert loaded.score_row({"x": 30})["P_B"] == 1
    tame = np.exp(60 * (stats.norm(0, 1).logpdf(0.9) - stats.norm(1, math.sqrt(2)).logpdf(0.9))) * 3 / 7
    assert loaded.score_row({"x": 0.9})["P_A"] == pytest.approx(tame / (1 + tame), rel=1e-11)


def test_without_a_threshold_a_count_of_zero_rules_a_class_out() -> None:
    row = model(bayes(COLOURS, 0)).score_row({"s": "blue"})
    assert (row["P_A"], row["P_B"], row["c"]) == (1, 0, "A")
    check(model(bayes(COLOURS, 0.001, counts(30, 0))).score_row({"s": "green"}), 1, 0)


def test_probabilities_that_are_all_zero_have_no_quotient() -> None:
    row = model(bayes(GAUSSIAN, 0)).score_row({"x": 1000})
    assert math.isnan(row["P_A"])
    assert math.isnan(row["P_B"])


def test_single_precision_is_used_where_the_document_says_so() -> None:
    row = model(bayes(COLOURS, attributes='x-mathContext="float"')).score_row({"s": "red"})
    assert row["P_A"] == float(np.float32(row["P_A"])) == pytest.approx(1 / 3, rel=1e-6)


def test_it_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, 200)
    data = rng.normal(size=(200, 2)) + labels[:, None]
    fitted = GaussianNB().fit(data, labels)
    inputs = ""
    for place, name in enumerate(("x", "z")):
        means, variances = fitted.theta_[:, place].tolist(), fitted.var_[:, place].tolist()
        a, b = (
            f'GaussianDistribution mean="{mean!r}" variance="{variance!r}"'
            for mean, variance in zip(means, variances, strict=True)
        )
        inputs += distributed(a, b, name)
    loaded = model(bayes(inputs, 0, counts(*fitted.class_count_.tolist())))
    table = loaded.score([{"x": x, "z": z} for x, z in data.tolist()])
    got = np.array([[row["P_A"], row["P_B"]] for row in table])
    np.testing.assert_allclose(got, fitted.predict_proba(data), rtol=1e-10)
    assert [row["c"] for row in table] == ["AB"[label] for label in fitted.predict(data)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (bayes(distributed('GaussianDistribution mean="0" variance="0"', "")), "variance 0 is not above 0"),
        (bayes(distributed('PoissonDistribution mean="0"', "")), "mean 0 is not above 0"),
        (bayes(distributed('UniformDistribution lower="2" upper="2"', "")), "lower 2 is not below 2"),
        (bayes('<BayesInput fieldName="s"/>'), "neither <TargetValueStats> nor <PairCounts>"),
        (bayes(COLOURS, -1), "threshold -1 is no probability"),
        (bayes(COLOURS, prior=counts(-1, 1)), "negative count"),
        (bayes(COLOURS).replace('fieldName="s"', 'fieldName="u"'), 'names field "u", which is not defined'),
        (bayes(COLOURS).replace('threshold="0.001"', ""), "lacks its attribute threshold"),
    ],
)
def test_what_a_document_lacks_is_told_at_load(text: str, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        load(document(text, FIELDS))


def log_likelihoods(
    columns: np.ndarray[Any, Any], mean: np.ndarray[Any, Any], variance: np.ndarray[Any, Any], limit: float
) -> np.ndarray[Any, Any]:
    """Sums of log-densities, shape (rows, classes); from columns of shape (columns, rows)."""
    logs = np.zeros((columns.shape[1], mean.shape[1]))
    with np.errstate(divide="ignore"):
        for x, means, variances in zip(columns, mean, variance, strict=True):
            density = np.exp(-0.5 * (x[:, None] - means) ** 2 / variances) / np.sqrt(2 * np.pi * variances)
            logs += np.where(np.isnan(x)[:, None], 0, np.log(np.maximum(density, limit)))
    return logs


@pytest.mark.parametrize("threshold", [0.0, 1e-3, 1e-200])
@pytest.mark.parametrize("rows", [1, 255, 256, 1003])
def test_sums_of_log_densities_classify_rows_of_any_number(rows: int, threshold: float) -> None:
    rng = np.random.default_rng(rows)
    columns = rng.normal(scale=3, size=(4, rows))
    columns[rng.random(columns.shape) < 0.2] = np.nan
    mean, variance, prior = rng.normal(size=(4, 5)), rng.uniform(0.02, 2, (4, 5)), rng.dirichlet(np.ones(5))
    limit = math.log(threshold) if threshold else -math.inf
    packed = Likelihoods(
        top=-0.5 * np.log(2 * np.pi * variance), width=-0.5 / variance, mean=mean, start=np.log(prior), limit=limit
    )
    best, table = packed.classify(list(columns), True)
    wanted = log_likelihoods(columns, mean, variance, threshold) + np.log(prior)
    shares = np.exp(wanted - wanted.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    assert table is not None
    np.testing.assert_allclose(table.T, shares, rtol=1e-11, atol=1e-300)
    np.testing.assert_array_equal(best, wanted.argmax(axis=1))
    again, nothing = packed.classify(list(columns), False)
    np.testing.assert_array_equal(again, best)
    assert nothing is None


@pytest.mark.parametrize("far", [30.0, 38.5, 40.0, math.inf, -math.inf])
def test_a_density_below_the_numbers_that_a_double_holds_is_zero(far: float) -> None:
    one = np.ones((1, 2))
    packed = Likelihoods(top=0 * one, width=-0.5 * one, mean=np.array([[0.0, 1.0]]), start=np.zeros(2), limit=-math.inf)
    best, table = packed.classify([np.array([far])], True)
    densities = np.exp([-0.5 * far**2, -0.5 * (far - 1) ** 2])
    with np.errstate(invalid="ignore", divide="ignore"):
        logs = np.log(densities)
        shares = np.exp(logs - logs.max())
        shares /= shares.sum()
    assert table is not None
    np.testing.assert_allclose(table[:, 0], shares, rtol=1e-11)
    assert best.tolist() == [logs.argmax()]


def test_densities_and_columns_must_fit() -> None:
    one = np.ones((2, 3))
    packed = Likelihoods(top=one, width=-one, mean=one, start=np.zeros(3), limit=-math.inf)
    with pytest.raises(ValueError, match="a column per row of densities"):
        packed.classify([np.zeros(4)], False)
    with pytest.raises(ValueError, match="columns differ in their rows"):
        packed.classify([np.zeros(4), np.zeros(5)], False)
    with pytest.raises(ValueError, match="a density for each class"):
        Likelihoods(top=one, width=-one, mean=one[:, :2].copy(), start=np.zeros(3), limit=-math.inf)
    with pytest.raises(ValueError, match="no columns or no classes"):
        Likelihoods(top=one[:0], width=one[:0], mean=one[:0], start=np.zeros(3), limit=-math.inf)


@pytest.mark.parametrize("x", [1.5, 3.0])
def test_classes_of_one_input_may_have_distributions_of_different_kinds(x: float) -> None:
    inputs = distributed('GaussianDistribution mean="0" variance="1"', 'UniformDistribution lower="1" upper="2"')
    (row,) = model(bayes(inputs)).score([{"x": x}])
    check(row, 0.3 * stats.norm(0, 1).pdf(x), 0.7 * max(stats.uniform(1, 1).pdf(x), 0.001))


def test_an_input_is_a_count_even_if_only_a_class_that_was_never_seen_has_a_poisson_distribution() -> None:
    unseen = '<TargetValueStat value="C"><PoissonDistribution mean="2"/></TargetValueStat></TargetValueStats>'
    with pytest.raises(ScoringError, match=r'field x: value "2\.5" is no integer'):
        model(bayes(GAUSSIAN.replace("</TargetValueStats>", unseen))).score([{"x": 2.5}])


TWO_GAUSSIANS = GAUSSIAN + distributed(
    'GaussianDistribution mean="2" variance="0.5"', 'GaussianDistribution mean="-1" variance="3"', "i"
)


@pytest.mark.parametrize("threshold", [0.0, 0.01])
def test_a_block_of_rows_leaves_out_what_is_missing_and_what_is_no_number(threshold: float) -> None:
    x = [0.5, None, 3.0, math.nan, -8.0, None, math.inf]
    i = [1, 2, None, 0, 30, None, 1]
    columns = np.array([x, i], float)
    mean, variance = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[1.0, 2.0], [0.5, 3.0]])
    logs = log_likelihoods(columns, mean, variance, threshold) + np.log([30, 70])
    with np.errstate(invalid="ignore"):
        shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    for text in (bayes(TWO_GAUSSIANS, threshold), bayes(TWO_GAUSSIANS, threshold).replace(OUTPUT, "")):
        table = model(text).score(pa.table({"x": x, "i": i}))
        assert table["c"].to_pylist() == ["AB"[best] for best in logs.argmax(axis=1)]
        if OUTPUT in text:
            np.testing.assert_allclose(np.array([table["P_A"], table["P_B"]]).T, shares, rtol=1e-12)


@pytest.mark.parametrize("inputs", [GAUSSIAN, GAUSSIAN + COLOURS], ids=["numbers", "mixed"])
@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ('feature="probability"', lambda share: max(share, 1 - share)),
        ('feature="confidence" value="A"', lambda share: share),
        ('feature="residual" value="A"', lambda share: 1 - share),
    ],
)
def test_whatever_asks_for_probabilities_gets_them(inputs: str, field: str, wanted: Callable[[float], float]) -> None:
    output = f'<Output><OutputField name="told" dataType="double" {field}/></Output>'
    a, b = 0.3 * stats.norm(0, 1).pdf(0.5), 0.7 * stats.norm(1, math.sqrt(2)).pdf(0.5)
    (row,) = model(bayes(inputs, 0).replace(OUTPUT, output)).score([{"x": 0.5, "s": None, "c": "A"}])
    assert row["told"] == pytest.approx(wanted(a / (a + b)), rel=1e-12)


@pytest.mark.parametrize("inputs", [GAUSSIAN, GAUSSIAN + COLOURS], ids=["numbers", "mixed"])
def test_probabilities_of_a_segment_are_known_to_the_model_that_holds_it(inputs: str) -> None:
    inner = bayes(inputs, 0).replace(OUTPUT, "")
    ensemble = f"""<MiningModel functionName="classification">{schema("c")}{OUTPUT}
    <Segmentation multipleModelMethod="average"><Segment><True/>{inner}</Segment></Segmentation></MiningModel>"""
    a, b = 0.3 * stats.norm(0, 1).pdf(0.5), 0.7 * stats.norm(1, math.sqrt(2)).pdf(0.5)
    (row,) = model(ensemble).score([{"x": 0.5, "s": None}])
    check(row, a, b)
