import math
from typing import Any

import numpy as np
import pytest
from documents import FIELDS, document, model, schema
from scipy import stats
from sklearn.naive_bayes import GaussianNB

from pmml_worker import SchemaError, ScoringError, load

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
