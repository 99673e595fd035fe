"""BayesianNetworkModel, compared with sums over all combinations of values."""

import itertools
import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import pytest
from documents import document, model

from pmml_worker import SchemaError, ScoringError, load

NAMES = ("cloudy", "sprinkler", "rain", "wet")
NUMBERS = ("u", "t", "v")
FIELDS = "".join(
    [f'<DataField name="{name}" optype="categorical" dataType="string"/>' for name in NAMES]
    + [f'<DataField name="{name}" optype="continuous" dataType="double"/>' for name in NUMBERS]
)
STATES = {"cloudy": ("yes", "no"), "sprinkler": ("on", "off"), "rain": ("none", "some", "much"), "wet": ("yes", "no")}
PARENTS = {"cloudy": (), "sprinkler": ("cloudy",), "rain": ("cloudy",), "wet": ("sprinkler", "rain")}
TABLES: dict[str, dict[tuple[str, ...], tuple[float, ...]]] = {
    "cloudy": {(): (0.4, 0.6)},
    "sprinkler": {("yes",): (0.1, 0.9), ("no",): (0.5, 0.5)},
    "rain": {("yes",): (0.2, 0.5, 0.3), ("no",): (0.8, 0.15, 0.05)},
    "wet": {
        ("on", "none"): (0.9, 0.1), ("on", "some"): (0.95, 0.05), ("on", "much"): (1.0, 0.0),
        ("off", "none"): (0.0, 1.0), ("off", "some"): (0.7, 0.3), ("off", "much"): (0.99, 0.01),
    },
}  # fmt: skip


def parents(told: Mapping[str, str]) -> str:
    return "".join(f'<ParentValue parent="{name}" value="{value}"/>' for name, value in told.items())


def discrete(name: str) -> str:
    """A node with its table."""
    rows = ""
    for cell, row in TABLES[name].items():
        values = "".join(
            f'<ValueProbability value="{value}" probability="{probability}"/>'
            for value, probability in zip(STATES[name], row, strict=True)
        )
        told = parents(dict(zip(PARENTS[name], cell, strict=True)))
        rows += (
            f'<DiscreteConditionalProbability count="7">{told}{values}</DiscreteConditionalProbability>'
            if cell
            else values
        )
    return f'<DiscreteNode name="{name}" count="9">{rows}</DiscreteNode>'


NETWORK = "".join(map(discrete, ("wet", "cloudy", "rain", "sprinkler")))


def network(target: str, nodes: str = NETWORK, function: str = "classification", told: str = "") -> str:
    names = (*NAMES, *NUMBERS)
    fields = "".join(
        f'<MiningField name="{name}" usageType="{"target" if name == target else "active"}"/>' for name in names
    )
    return (
        f'<BayesianNetworkModel functionName="{function}" modelName="lawn" inferenceMethod="Other">'
        f"<MiningSchema>{fields}</MiningSchema><Output>{told}</Output>"
        f"<BayesianNetworkNodes>{nodes}</BayesianNetworkNodes></BayesianNetworkModel>"
    )


def joint(values: Mapping[str, str]) -> float:
    """The probability of a value of each node."""
    return math.prod(
        TABLES[name][tuple(values[parent] for parent in PARENTS[name])][STATES[name].index(values[name])]
        for name in STATES
    )


def posterior(target: str, row: Mapping[str, str | None], weight: Any = lambda values: 1.0) -> dict[str, float]:
    """The probability of each value of a node, by adding up all combinations that agree with a row."""
    sums = dict.fromkeys(STATES[target], 0.0)
    for combination in itertools.product(*STATES.values()):
        values = dict(zip(STATES, combination, strict=True))
        if all(row.get(name) in (None, value) or name == target for name, value in values.items()):
            sums[values[target]] += joint(values) * weight(values)
    return {value: part / sum(sums.values()) for value, part in sums.items()}


ROWS: list[dict[str, str | None]] = [
    {"cloudy": c, "sprinkler": s, "rain": r, "wet": w}
    for c, s, r, w in itertools.product(
        ("yes", "no", None), ("on", "off", None), ("some", "much", None), ("yes", "no", None)
    )
]


@pytest.mark.parametrize("target", STATES)
def test_any_node_is_inferred_from_any_others(target: str) -> None:
    told = "".join(f'<OutputField name="{value}!" feature="probability" value="{value}"/>' for value in STATES[target])
    rows = [row for row in ROWS if any(posterior_exists(target, row))]
    assert len(rows) > 60
    loaded = model(network(target, told=told), FIELDS)
    for row, got in zip(rows, loaded.score([{**row, "u": 0.0} for row in rows]), strict=True):
        expected = posterior(target, row)
        assert [got[f"{value}!"] for value in STATES[target]] == pytest.approx(list(expected.values()), rel=1e-12)
        assert got[target] == max(expected, key=lambda value: expected[value])


def posterior_exists(target: str, row: Mapping[str, str | None]) -> list[bool]:
    """For each value of the target whether some combination that agrees with the row is possible."""
    others = {name: (STATES[name] if row.get(name) is None else (str(row[name]),)) for name in STATES if name != target}
    return [
        any(
            joint({**dict(zip(others, cell, strict=True)), target: value}) > 0
            for cell in itertools.product(*others.values())
        )
        for value in STATES[target]
    ]


def test_what_is_impossible_is_an_error() -> None:
    with pytest.raises(ScoringError, match="has a probability of 0"):
        model(network("cloudy"), FIELDS).score_row({"sprinkler": "off", "rain": "none", "wet": "yes"})


def test_a_value_that_the_network_does_not_know_is_an_error() -> None:
    with pytest.raises(ScoringError, match='field rain: value "hail" is none of the network') as error:
        model(network("cloudy"), FIELDS).score_row({"rain": "hail"})
    assert error.value.field == "rain"


def test_a_node_that_is_no_field_is_never_known() -> None:
    hidden = FIELDS.replace('name="rain"', 'name="snow"')
    text = network("wet").replace('<MiningField name="rain" usageType="active"/>', "")
    told = '<OutputField name="p" feature="probability" value="yes"/>'
    got = model(text.replace("<Output></Output>", f"<Output>{told}</Output>"), hidden).score_row({"cloudy": "yes"})
    assert got["p"] == pytest.approx(posterior("wet", {"cloudy": "yes"})["yes"], rel=1e-12)


# --- Continuous nodes ------------------------------------------------------------------------------------------------


def constant(number: float) -> str:
    return f'<Constant dataType="double">{number}</Constant>'


def distribution(kind: str, **parameters: str) -> str:
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in parameters.items())
    return f"<ContinuousDistribution><{kind}ForBN>{inner}</{kind}ForBN></ContinuousDistribution>"


def lognormal_density(x: float) -> float:
    return NormalDist(0.2, math.sqrt(0.5)).pdf(math.log(x)) / x if x > 0 else 0.0


def triangular_density(x: float) -> float:
    lower, upper, peak = 0.0, 6.0, 2.0
    if not lower <= x <= upper:
        return 0.0
    return 2 * (x - lower) / 12 if x <= peak else 2 * (upper - x) / 24


DISTRIBUTIONS: dict[str, tuple[str, Any, float, float]] = {
    "normal": (distribution("NormalDistribution", Mean=constant(1.5), Variance=constant(4)),
               NormalDist(1.5, 2.0).pdf, 1.5, 2.0),
    "lognormal": (distribution("LognormalDistribution", Mean=constant(0.2), Variance=constant(0.5)), lognormal_density,
                  math.exp(0.45), math.sqrt(math.expm1(0.5)) * math.exp(0.45)),
    "uniform": (distribution("UniformDistribution", Lower=constant(-1), Upper=constant(4)),
                lambda x: 0.2 if -1 <= x <= 4 else 0.0, 1.5, 5 / math.sqrt(12)),
    "triangular": (distribution("TriangularDistribution", Mean=constant(8 / 3), Lower=constant(0), Upper=constant(6)),
                   triangular_density, 8 / 3, math.sqrt((36 + 4 - 12) / 18)),
}  # fmt: skip
OTHER = distribution("NormalDistribution", Mean=constant(2.5), Variance=constant(1))


def by_rain(first: str, last: str = OTHER) -> str:
    """A node whose distribution depends on the rain."""
    parts = "".join(
        f"<ContinuousConditionalProbability>{parents({'rain': rain})}{text}</ContinuousConditionalProbability>"
        for rain, text in zip(STATES["rain"], (first, OTHER, last), strict=True)
    )
    return f'<ContinuousNode name="u">{parts}</ContinuousNode>'


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_a_continuous_node_weighs_its_parents_by_its_density(kind: str) -> None:
    text, density, _, _ = DISTRIBUTIONS[kind]
    told = '<OutputField name="p" feature="probability" value="yes"/>'
    loaded = model(network("cloudy", NETWORK + by_rain(text), told=told), FIELDS)
    for u in (-2.0, -1.0, 0.0, 0.5, 2.0, 2.2, 5.9, 7.0):
        expected = posterior(
            "cloudy", {"wet": "yes"}, lambda v, u=u: density(u) if v["rain"] == "none" else NormalDist(2.5, 1).pdf(u)
        )
        assert loaded.score_row({"wet": "yes", "u": u})["p"] == pytest.approx(expected["yes"], rel=1e-12)
    unknown = loaded.score_row({"wet": "yes", "u": None})["p"]
    assert unknown == pytest.approx(posterior("cloudy", {"wet": "yes"})["yes"], rel=1e-12)


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_a_continuous_target_has_the_moments_of_the_mixture(kind: str) -> None:
    text, _, mean, deviation = DISTRIBUTIONS[kind]
    told = '<OutputField name="e" feature="standardError"/>'
    loaded = model(network("u", NETWORK + by_rain(text), "regression", told), FIELDS)
    weight = posterior("rain", {"wet": "yes"})["none"]
    expected = weight * mean + (1 - weight) * 2.5
    square = weight * (deviation**2 + mean**2) + (1 - weight) * (1 + 2.5**2)
    got = loaded.score_row({"wet": "yes", "u": 99.0})
    assert got["u"] == pytest.approx(expected, rel=1e-12)
    assert got["e"] == pytest.approx(math.sqrt(square - expected**2), rel=1e-12)


def test_parameters_are_expressions_of_continuous_parents() -> None:
    mean = '<Apply function="*"><FieldRef field="t"/><Constant dataType="double">3</Constant></Apply>'
    text = distribution("NormalDistribution", Mean=mean, Variance=constant(4))
    node = f'<ContinuousNode name="u">{text}</ContinuousNode>'
    loaded = model(network("u", NETWORK + node, "regression"), FIELDS)
    assert loaded.score_row({"t": 2.0})["u"] == 6.0
    with pytest.raises(ScoringError, match='"u" depends on a continuous variable that is not known'):
        loaded.score_row({"cloudy": "yes"})


def test_what_depends_on_the_target_cannot_be_used_to_infer_it() -> None:
    around = distribution("NormalDistribution", Mean='<FieldRef field="t"/>', Variance=constant(1))
    nodes = (
        f'<ContinuousNode name="t">{DISTRIBUTIONS["normal"][0]}</ContinuousNode>'
        f'<ContinuousNode name="u">{around}</ContinuousNode>'
    )
    loaded = model(network("t", NETWORK + nodes, "regression"), FIELDS)
    assert loaded.score_row({"u": None, "cloudy": "yes"})["t"] == 1.5
    with pytest.raises(ScoringError, match='"u" depends on a continuous variable that is not known'):
        loaded.score_row({"u": 1.0})


def test_a_parent_may_be_a_field_derived_in_the_node() -> None:
    derived = """<DerivedField name="warm" optype="categorical" dataType="string"><Discretize field="t">
    <DiscretizeBin binValue="yes"><Interval closure="closedOpen" leftMargin="20"/></DiscretizeBin>
    <DiscretizeBin binValue="no"><Interval closure="openOpen" rightMargin="20"/></DiscretizeBin>
    </Discretize></DerivedField>"""
    parts = "".join(
        f"<DiscreteConditionalProbability>{parents({'warm': warm})}<ValueProbability value='yes' probability='{p}'/>"
        f"<ValueProbability value='no' probability='{1 - p}'/></DiscreteConditionalProbability>"
        for warm, p in (("yes", 0.75), ("no", 0.125))
    )
    told = '<OutputField name="p" feature="probability" value="yes"/>'
    loaded = model(network("cloudy", f'<DiscreteNode name="cloudy">{derived}{parts}</DiscreteNode>', told=told), FIELDS)
    assert [row["p"] for row in loaded.score([{"t": 25.0}, {"t": 3.0}])] == [0.75, 0.125]
    with pytest.raises(ScoringError, match="field warm: a missing value is none of the network"):
        loaded.score_row({"cloudy": "yes"})


def changed(old: str, new: str) -> str:
    """The network with something wrong in it."""
    assert old in NETWORK
    return network("cloudy", NETWORK.replace(old, new))


MUCH = '<ParentValue parent="rain" value="much"/>'
CLOUDY = '<ValueProbability value="yes" probability="0.4"/><ValueProbability value="no" probability="0.6"/>'
BY_WET = "".join(
    f"<DiscreteConditionalProbability>{parents({'wet': wet})}{CLOUDY}</DiscreteConditionalProbability>"
    for wet in ("yes", "no")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (network("u"), 'has no node for its target "u"'),
        (network("nothing"), "needs a target field"),
        (network("cloudy", NETWORK + discrete("wet")), "two nodes of the same name"),
        (changed(MUCH, MUCH.replace("much", "hail")), 'no value "hail"'),
        (changed(MUCH, ""), "a value for each parent"),
        (changed('probability="0.95"', 'probability="1.95"'), "from 0 to 1, not 1.95"),
        (
            changed(f'value="off"/>{MUCH}', 'value="off"/><ParentValue parent="rain" value="some"/>'),
            "leaves combinations",
        ),
        (network("cloudy", NETWORK + by_rain(OTHER).replace('"much"', '"some"')), "leaves combinations"),
        (network("cloudy", NETWORK + by_rain(OTHER + OTHER)), "needs one <ContinuousDistribution>"),
        (network("cloudy", '<DiscreteNode name="cloudy"/>'), "needs <ValueProbability> or"),
        (changed('parent="rain"', 'parent="cold"'), '"cold", which is not defined'),
        (changed(CLOUDY, BY_WET), "nodes depend on themselves"),
    ],
)
def test_a_document_that_is_wrong_is_refused_and_told_where(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message) as error:
        load(document(text, FIELDS))
    assert error.value.line is not None
