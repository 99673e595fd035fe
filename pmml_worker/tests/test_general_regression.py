import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from documents import FIELDS, document, model, schema
from statsmodels.genmod.families import links

from pmml_worker import SchemaError, ScoringError, load

ORDERED = FIELDS.replace(
    '<DataField name="c" optype="categorical" dataType="string"/>',
    '<DataField name="c" optype="ordinal" dataType="string"><Value value="lo"/><Value value="mid"/><Value value="hi"/>'
    "</DataField>",
)
BINARY = FIELDS.replace(
    '<DataField name="c" optype="categorical" dataType="string"/>',
    '<DataField name="c" optype="categorical" dataType="string"><Value value="no"/><Value value="yes"/></DataField>',
)
FACTORS = '<FactorList><Predictor name="s"/><Predictor name="b"/></FactorList>'
X = '<PPCell value="1" predictorName="x" parameterName="p1"/>'
STANDARD_ERROR = '<Output><OutputField name="error" feature="standardError"/></Output>'


def probabilities(classes: str) -> str:
    told = "".join(f'<OutputField name="P_{name}" feature="probability" value="{name}"/>' for name in classes.split())
    return f"<Output>{told}</Output>"


def betas(*values: float, category: str | None = None) -> str:
    target = f'targetCategory="{category}" ' if category else ""
    return "".join(f'<PCell {target}parameterName="p{place}" beta="{beta!r}"/>' for place, beta in enumerate(values))


def general(
    attributes: str,
    params: str,
    cells: str = X,
    *,
    function: str = "regression",
    output: str = "",
    factors: str = FACTORS,
    after: str = "",
    reference_points: tuple[float, ...] = (0, 0, 0, 0, 0, 0),
) -> str:
    parameters = "".join(
        f'<Parameter name="p{place}" referencePoint="{point}"/>' for place, point in enumerate(reference_points)
    )
    return (
        f'<GeneralRegressionModel functionName="{function}" {attributes}>'
        f"{schema({True: 'y', False: 'c'}[function == 'regression'])}{output}"
        f"<ParameterList>{parameters}</ParameterList>{factors}"
        '<CovariateList><Predictor name="x"/><Predictor name="z"/></CovariateList>'
        f"<PPMatrix>{cells}</PPMatrix>{after}<ParamMatrix>{params}</ParamMatrix></GeneralRegressionModel>"
    )


ALL_CELLS = """<PPCell value="1" predictorName="x" parameterName="p1"/>
<PPCell value="red" predictorName="s" parameterName="p2"/><PPCell value="2" predictorName="z" parameterName="p3"/>
<PPCell value="red" predictorName="s" parameterName="p4"/><PPCell value="1" predictorName="x" parameterName="p4"/>
<PPCell value="true" predictorName="b" parameterName="p5"/>"""


@pytest.mark.parametrize("kind", ["regression", "generalLinear"])
@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"x": 2, "z": 3, "s": "red", "b": True}, 1 + 2 * 2 + 10 + 3 * 9 + 0.5 * 2 + 7),
        ({"x": 2, "z": 3, "s": "blue", "b": False}, 1 + 2 * 2 + 3 * 9),
        ({"x": 2, "z": None, "s": "red", "b": True}, None),
        ({"x": 2, "z": 3, "s": None, "b": True}, None),
    ],
)
def test_parameters_are_products_of_categories_and_powers(
    kind: str, row: dict[str, Any], expected: float | None
) -> None:
    text = general(f'modelType="{kind}"', betas(1, 2, 10, 3, 0.5, 7), ALL_CELLS)
    assert model(text).score_row(row)["y"] == expected


def test_a_covariate_is_not_asked_for_where_its_factor_makes_the_parameter_zero() -> None:
    cells = '<PPCell value="1" predictorName="x" parameterName="p1"/><PPCell value="red" predictorName="s" '
    text = general('modelType="generalLinear"', betas(1, 2), cells + 'parameterName="p1"/>')
    loaded = model(text)
    assert loaded.score_row({"x": None, "s": "blue"})["y"] == 1
    assert loaded.score_row({"x": math.inf, "s": "blue"})["y"] == 1
    assert loaded.score_row({"x": None, "s": "red"})["y"] is None


CONTRAST = """<FactorList><Predictor name="i">{}<Matrix nbRows="3" nbCols="2"><Array type="real">0.5 1</Array>
<Array type="real">-0.5 2</Array><Array type="real">0 -3</Array></Matrix></Predictor></FactorList>"""
CATEGORIES = '<Categories><Category value="1"/><Category value="2"/><Category value="3"/></Categories>'
CODED = """<PPCell value="1" predictorName="i" parameterName="p1"/>
<PPCell value="2" predictorName="i" parameterName="p2"/>"""


@pytest.mark.parametrize("listed_by", ["Categories", "DataField"])
def test_a_factor_may_be_coded_by_a_contrast_matrix(listed_by: str) -> None:
    values = '<Value value="1"/><Value value="2"/><Value value="3"/>'
    fields = FIELDS.replace(
        '<DataField name="i" optype="continuous" dataType="integer"/>',
        f'<DataField name="i" optype="categorical" dataType="integer">{values}</DataField>',
    )
    by_field = listed_by == "DataField"
    factors = CONTRAST.format("" if by_field else CATEGORIES)
    loaded = model(
        general('modelType="generalLinear"', betas(0, 10, 100), CODED, factors=factors), fields if by_field else FIELDS
    )
    got = [loaded.score_row({"i": value})["y"] for value in (1, 2, 3, None)]
    assert got == [5 + 100, -5 + 200, -300, None]


def test_a_category_without_contrasts_is_an_error() -> None:
    loaded = model(general('modelType="generalLinear"', betas(0, 10, 100), CODED, factors=CONTRAST.format(CATEGORIES)))
    with pytest.raises(ScoringError, match='field i: value "7" is not in the contrast matrix'):
        loaded.score_row({"i": 7})


def numeric_slope(function: Callable[[float], float], r: float) -> float:
    return (function(r + 1e-6) - function(r - 1e-6)) / 2e-6


def of(link: Any) -> tuple[Callable[[float], float], Callable[[float], float]]:
    return (lambda r: float(link.inverse(r))), (lambda r: float(link.inverse_deriv(r)))


def from_formula(function: Callable[[float], float]) -> tuple[Callable[[float], float], Callable[[float], float]]:
    return function, lambda r: numeric_slope(function, r)


LINKS = {
    'linkFunction="cloglog"': of(links.CLogLog()),
    'linkFunction="identity"': of(links.Identity()),
    'linkFunction="log"': of(links.Log()),
    'linkFunction="logc"': from_formula(lambda r: 1 - math.exp(r)),
    'linkFunction="logit"': of(links.Logit()),
    'linkFunction="loglog"': from_formula(lambda r: math.exp(-math.exp(-r))),
    'linkFunction="negbin" distParameter="0.7"': of(links.NegativeBinomial(alpha=0.7)),
    'linkFunction="oddspower" linkParameter="0.7"': from_formula(lambda r: 1 / (1 + (1 + 0.7 * r) ** (-1 / 0.7))),
    'linkFunction="oddspower" linkParameter="-0.3"': from_formula(lambda r: 1 / (1 + (1 - 0.3 * r) ** (1 / 0.3))),
    'linkFunction="oddspower" linkParameter="0"': of(links.Logit()),
    'linkFunction="power" linkParameter="-2"': of(links.InverseSquared()),
    'linkFunction="power" linkParameter="0.5"': of(links.Power(power=0.5)),
    'linkFunction="power" linkParameter="0"': of(links.Log()),
    'linkFunction="probit"': of(links.Probit()),
}


COVARIANCES = """<PCovMatrix type="model"><PCovCell pRow="p0" pCol="p0" value="0.3"/>
<PCovCell pRow="p0" pCol="p1" value="-0.1"/><PCovCell pRow="p1" pCol="p1" value="0.2"/></PCovMatrix>"""


@pytest.mark.parametrize("link", LINKS)
def test_a_generalized_linear_model_inverts_its_link_and_tells_the_standard_error(link: str) -> None:
    inverse, slope = LINKS[link]
    loaded = model(
        general(
            f'modelType="generalizedLinear" distribution="binomial" {link}',
            betas(0.4, 0.3),
            output=STANDARD_ERROR,
            after=COVARIANCES,
        )
    )
    for x in (0.2, 0.9, 1.6):
        r = 0.4 + 0.3 * x
        row = loaded.score_row({"x": x})
        assert row["y"] == pytest.approx(inverse(r), rel=1e-13)
        error = math.sqrt(0.3 - 2 * 0.1 * x + 0.2 * x * x)
        assert row["error"] == pytest.approx(error * abs(slope(r)), rel=1e-7)


@pytest.mark.parametrize("kind", ["regression", "generalLinear"])
def test_a_linear_model_tells_its_standard_error(kind: str) -> None:
    text = general(f'modelType="{kind}"', betas(0.4, 0.3), output=STANDARD_ERROR, after=COVARIANCES)
    assert model(text).score_row({"x": 3})["error"] == pytest.approx(math.sqrt(0.3 - 0.6 + 1.8), rel=1e-14)


def test_a_generalized_linear_model_has_offset_and_trials() -> None:
    attributes = 'modelType="generalizedLinear" linkFunction="log" distribution="binomial"'
    r = 0.4 + 0.3 * 2
    for extra, expected in (
        ('offsetValue="0.5"', math.exp(r + 0.5)),
        ('offsetVariable="z"', math.exp(r + 0.25)),
        ('trialsValue="3"', 3 * math.exp(r)),
        ('trialsVariable="i"', 5 * math.exp(r)),
    ):
        loaded = model(general(f"{attributes} {extra}", betas(0.4, 0.3)))
        assert loaded.score_row({"x": 2, "z": 0.25, "i": 5})["y"] == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(("attribute", "field"), [("offsetVariable", "z"), ("trialsVariable", "i")])
def test_a_missing_offset_or_number_of_trials_is_an_error(attribute: str, field: str) -> None:
    text = general(f'modelType="generalizedLinear" linkFunction="identity" {attribute}="{field}"', betas(0.4, 0.3))
    with pytest.raises(ScoringError, match=f"field {field}: a missing value gives no result"):
        model(text).score_row({"x": 2})


@pytest.mark.parametrize(
    ("attributes", "category", "modelled"),
    [
        ("", "yes", "yes"),
        ("", "no", "no"),
        ('targetReferenceCategory="no"', "yes", "yes"),
        ('targetReferenceCategory="no"', None, "yes"),
        ('targetReferenceCategory="yes"', None, "no"),
    ],
)
def test_a_generalized_linear_model_of_two_categories_gives_the_reference_category_the_rest(
    attributes: str, category: str | None, modelled: str
) -> None:
    text = general(
        f'modelType="generalizedLinear" linkFunction="probit" {attributes}',
        betas(0.4, 0.3, category=category),
        function="classification",
        output=probabilities("no yes"),
    )
    row = model(text, BINARY).score_row({"x": 1})
    chance = NormalDist().cdf(0.7)
    other = "no" if modelled == "yes" else "yes"
    assert row[f"P_{modelled}"] == pytest.approx(chance, rel=1e-14)
    assert row[f"P_{other}"] == pytest.approx(1 - chance, rel=1e-14)
    assert row["c"] == modelled


@pytest.mark.parametrize("attributes", ["", 'targetReferenceCategory="hi"'])
def test_a_multinomial_model_is_relative_to_the_category_without_parameters(attributes: str) -> None:
    text = general(
        f'modelType="multinomialLogistic" {attributes}',
        betas(0.3, 1, category="lo") + betas(0.1, -1, category="mid"),
        function="classification",
        output=probabilities("lo mid hi"),
    )
    loaded = model(text, ORDERED)
    row = loaded.score_row({"x": 0.5})
    powers = np.exp([0.8, -0.4, 0])
    assert [row["P_lo"], row["P_mid"], row["P_hi"]] == pytest.approx(powers / powers.sum(), rel=1e-14)
    assert row["c"] == "lo"
    assert loaded.score_row({"x": 5000})["P_lo"] == 1
    assert loaded.score_row({"x": None})["c"] is None


def test_the_offset_of_a_multinomial_model_is_added_for_all_but_the_reference_category() -> None:
    text = general(
        'modelType="multinomialLogistic" offsetVariable="z"',
        betas(0.3, category="lo") + betas(0.1, category="mid"),
        function="classification",
        output=probabilities("lo mid hi"),
    )
    row = model(text, ORDERED).score_row({"z": 2})
    powers = np.exp([2.3, 2.1, 0])
    assert [row["P_lo"], row["P_mid"], row["P_hi"]] == pytest.approx(powers / powers.sum(), rel=1e-14)


def test_a_cell_of_a_target_category_is_of_that_category_only() -> None:
    cells = """<PPCell value="2" predictorName="x" parameterName="p1" targetCategory="lo"/>
    <PPCell value="1" predictorName="x" parameterName="p1"/>"""
    text = general(
        'modelType="multinomialLogistic"',
        betas(0, 1, category="lo") + betas(0, 1, category="mid"),
        cells,
        function="classification",
        output=probabilities("lo mid hi"),
    )
    row = model(text, ORDERED).score_row({"x": 3})
    powers = np.exp([9.0, 3, 0])
    assert [row["P_lo"], row["P_mid"], row["P_hi"]] == pytest.approx(powers / powers.sum(), rel=1e-14)


CUMULATIVE: dict[str, Callable[[float], float]] = {
    "logit": lambda r: 1 / (1 + math.exp(-r)),
    "probit": NormalDist().cdf,
    "cloglog": lambda r: 1 - math.exp(-math.exp(r)),
    "loglog": lambda r: math.exp(-math.exp(-r)),
    "cauchit": lambda r: 0.5 + math.atan(r) / math.pi,
}


@pytest.mark.parametrize("link", CUMULATIVE)
@pytest.mark.parametrize(("offset", "a"), [("", 0.0), ('offsetValue="0.5"', 0.5), ('offsetVariable="z"', -0.25)])
def test_an_ordinal_model_takes_differences_of_cumulative_probabilities(link: str, offset: str, a: float) -> None:
    text = general(
        f'modelType="ordinalMultinomial" cumulativeLink="{link}" {offset}',
        betas(-1, category="lo") + betas(0.7, category="mid") + '<PCell parameterName="p1" beta="2"/>',
        function="classification",
        output=probabilities("lo mid hi"),
    )
    row = model(text, ORDERED).score_row({"x": 0.1, "z": -0.25})
    one, two = CUMULATIVE[link](-1 + 0.2 + a), CUMULATIVE[link](0.7 + 0.2 + a)
    expected = {"lo": one, "mid": two - one, "hi": 1 - two}
    assert [row["P_lo"], row["P_mid"], row["P_hi"]] == pytest.approx(list(expected.values()), rel=1e-13)
    assert row["c"] == max(expected, key=lambda name: expected[name])


def cox(tables: str, attributes: str = "", params: str | None = None) -> str:
    text = general(
        f'modelType="CoxRegression" endTimeVariable="z" {attributes}',
        betas(0.5, 2) if params is None else params,
        '<PPCell value="1" predictorName="x" parameterName="p1"/>',
        reference_points=(0.3, 1.5),
    )
    tables = f'<EventValues><Value value="1"/></EventValues><BaseCumHazardTables {tables}</BaseCumHazardTables>'
    return text.replace("</ParamMatrix>", "</ParamMatrix>" + tables)


CELLS = '<BaselineCell time="2" cumHazard="0.3"/><BaselineCell time="1" cumHazard="0.1"/>'


@pytest.mark.parametrize(("time", "hazard"), [(0.5, 0), (1, 0.1), (1.9, 0.1), (2, 0.3), (3, 0.3), (3.1, None)])
def test_cox_regression_tells_the_cumulative_hazard_at_the_end_time(time: float, hazard: float | None) -> None:
    row = model(cox(f'maxTime="3">{CELLS}')).score_row({"x": 2, "z": time})
    # p0 has no cell: it is 1, and 0.3 at the reference point.
    risk = math.exp((0.5 + 2 * 2) - (0.5 * 0.3 + 2 * 1.5))
    assert row["y"] == (None if hazard is None else pytest.approx(hazard * risk, rel=1e-14))


def test_cox_regression_may_have_a_baseline_by_stratum() -> None:
    tables = f"""><BaselineStratum value="1" maxTime="3">{CELLS}</BaselineStratum>
    <BaselineStratum value="2" maxTime="9"><BaselineCell time="1" cumHazard="0.7"/></BaselineStratum>"""
    text = cox(tables, 'baselineStrataVariable="i" startTimeVariable="x" statusVariable="b" subjectIDVariable="s"')
    loaded = model(text)
    risk = math.exp((0.5 + 2 * 2) - (0.5 * 0.3 + 2 * 1.5))
    got = [loaded.score_row({"x": 2, "z": 2, "i": stratum})["y"] for stratum in (1, 2, 3)]
    assert got == [pytest.approx(0.3 * risk, rel=1e-14), pytest.approx(0.7 * risk, rel=1e-14), None]
    assert loaded.score_row({"x": 2, "z": 5, "i": 1})["y"] is None
    with pytest.raises(ScoringError, match="field i: a missing value gives no result"):
        loaded.score_row({"x": 2, "z": 2})


def test_cox_regression_needs_the_end_time_but_gives_no_prediction_without_predictors() -> None:
    loaded = model(cox(f'maxTime="3">{CELLS}'))
    with pytest.raises(ScoringError, match="field z: a missing value gives no result"):
        loaded.score_row({"x": 2})
    assert loaded.score_row({"z": 2})["y"] is None


def test_cox_regression_without_parameters_is_its_baseline() -> None:
    assert model(cox(f'maxTime="3">{CELLS}', params="")).score_row({"z": 2})["y"] == 0.3


def test_single_precision_is_used_where_the_document_says_so() -> None:
    text = general('modelType="generalLinear" x-mathContext="float"', betas(0.1, 0.3))
    expected = np.float32(0.1) + np.float32(0.3) * np.float32(0.7)
    assert model(text).score_row({"x": 0.7})["y"] == float(expected)


def test_the_target_may_be_named_by_the_attribute_of_old_documents() -> None:
    text = general('modelType="generalLinear" targetVariableName="y"', betas(1))
    text = text.replace('<MiningField name="y" usageType="target"/>', "")
    assert model(text).score_row({"x": 1}) == {"y": 1}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (general('modelType="generalizedLinear"', betas(1)), "needs a linkFunction"),
        (general('modelType="generalizedLinear" linkFunction="negbin"', betas(1)), "needs distParameter"),
        (general('modelType="generalizedLinear" linkFunction="power"', betas(1)), "needs linkParameter"),
        (general('modelType="generalLinear"', betas(1), function="classification"), "is for regression"),
        (general('modelType="generalLinear"', ""), "parameters of one target"),
        (general('modelType="generalLinear"', betas(1, category="a") + betas(1, category="b")), "of one target"),
        (general('modelType="generalLinear"', betas(1, 1, 1, 1, 1, 1, 1)), '"p6" is not in <ParameterList>'),
        (general('modelType="generalLinear"', betas(1, 1), X.replace('"x"', '"i"')), "neither in <FactorList>"),
        (general('modelType="multinomialLogistic"', betas(1), function="classification"), "lacks its targetCategory"),
        (general('modelType="multinomialLogistic"', betas(1)), "is for classification"),
        (general('modelType="ordinalMultinomial"', betas(1), function="classification"), "needs a cumulativeLink"),
        (general('modelType="CoxRegression"', betas(1)), "needs endTimeVariable"),
        (cox(' maxTime="3">'), "has no <BaselineCell>"),
        (cox(f">{CELLS}", 'baselineStrataVariable="i"'), "has no <BaselineStratum>"),
    ],
)
def test_what_a_document_lacks_is_told_at_load(text: str, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        load(document(text))


def test_rows_are_scored_together_as_one_by_one() -> None:
    loaded = model(general('modelType="generalLinear"', betas(1, 2, 10, 3, 0.5, 7), ALL_CELLS))
    rows = [
        {"x": x, "z": 0.5, "s": s, "b": b}
        for x in (1.0, None, -2.5)
        for s in ("red", "blue", None)
        for b in (True, False)
    ]
    assert loaded.score(rows) == [loaded.score_row(row) for row in rows]
