from typing import Any

import numpy as np
import pytest
from documents import FIELDS, model, schema

from pmml_worker import Model, ScoringError

DEFAULT = 'defaultScore="none" defaultConfidence="0.1"'


def rules(
    text: str, criterion: str = "firstHit", attributes: str = DEFAULT, outputs: str = "", fields: str = FIELDS
) -> Model:
    output = f"<Output>{outputs}</Output>" if outputs else ""
    methods = "".join(f'<RuleSelectionMethod criterion="{name}"/>' for name in criterion.split())
    return model(
        f'<RuleSetModel functionName="classification">{schema("c")}{output}'
        f"<RuleSet {attributes}>{methods}{text}</RuleSet></RuleSetModel>",
        fields,
    )


def rule(score: str, above: float, attributes: str = "") -> str:
    """A rule that fires where x is above a number."""
    return (
        f'<SimpleRule score="{score}" {attributes}>'
        f'<SimplePredicate field="x" operator="greaterThan" value="{above}"/></SimpleRule>'
    )


OUTPUTS = """<OutputField name="rule" feature="entityId"/><OutputField name="sure" feature="confidence"/>
<OutputField name="second" feature="predictedValue" rank="2"/>
<OutputField name="second rule" feature="ruleId" rank="2"/>
<OutputField name="second sure" feature="confidence" rank="2"/>"""

DRUGS = """<SimpleRule id="RULE1" score="drugB" recordCount="79" nbCorrect="76" confidence="0.9" weight="0.9">
<CompoundPredicate booleanOperator="and"><SimplePredicate field="s" operator="equal" value="HIGH"/>
<SimplePredicate field="x" operator="greaterThan" value="0.045804001"/>
<SimplePredicate field="i" operator="lessOrEqual" value="50"/>
<SimplePredicate field="z" operator="lessOrEqual" value="0.77240998"/></CompoundPredicate>
<ScoreDistribution value="drugA" recordCount="2"/><ScoreDistribution value="drugB" recordCount="76"/></SimpleRule>
<SimpleRule id="RULE2" score="drugA" confidence="0.6" weight="0.6"><CompoundPredicate booleanOperator="and">
<SimplePredicate field="x" operator="greaterThan" value="0.057789002"/>
<SimplePredicate field="s" operator="equal" value="HIGH"/>
<SimplePredicate field="i" operator="lessOrEqual" value="50"/></CompoundPredicate></SimpleRule>
<SimpleRule id="RULE3" score="drugA" confidence="0.36" weight="0.36"><CompoundPredicate booleanOperator="and">
<SimplePredicate field="s" operator="equal" value="HIGH"/>
<SimplePredicate field="z" operator="greaterThan" value="0.21"/>
</CompoundPredicate></SimpleRule>"""


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ("firstHit", ["drugB", "RULE1", 0.9, "drugA", "RULE2", 0.6]),
        ("weightedMax", ["drugB", "RULE1", 0.9, "drugA", "RULE2", 0.6]),
        ("weightedSum", ["drugA", "RULE2", 0.32, "drugB", "RULE1", 0.3]),
        ("weightedSum firstHit", ["drugA", "RULE2", 0.32, "drugB", "RULE1", 0.3]),
    ],
)
def test_the_standard_s_example(criterion: str, expected: list[Any]) -> None:
    row = {"s": "HIGH", "x": 0.0621, "i": 36, "z": 0.5023}
    got = rules(DRUGS, criterion, outputs=OUTPUTS).score_row(row)
    assert list(got.values()) == [pytest.approx(value) if isinstance(value, float) else value for value in expected]


def test_a_rule_whose_predicate_is_unknown_does_not_fire() -> None:
    assert rules(rule("a", 0)).score([{"x": 1}, {"x": None}]) == [{"c": "a"}, {"c": "none"}]


def test_the_default_is_predicted_where_no_rule_fires() -> None:
    row = rules(rule("a", 0), outputs=OUTPUTS).score_row({"x": -1})
    assert row == {"c": "none", "rule": None, "sure": 0.1, "second": None, "second rule": None, "second sure": None}
    assert rules(rule("a", 0), "weightedSum", outputs=OUTPUTS).score_row({"x": -1})["sure"] == 0.1
    unsure = rules(rule("a", 0), attributes='defaultScore="none"', outputs=OUTPUTS)
    assert unsure.score_row({"x": -1})["sure"] is None


def test_without_a_default_a_row_for_which_no_rule_fires_is_an_error() -> None:
    scorer = rules(rule("a", 0), attributes="")
    assert scorer.score_row({"x": 1}) == {"c": "a"}
    with pytest.raises(ScoringError, match="no rule fires, and there is no default score"):
        scorer.score_row({"x": -1})


def test_nested_rules_fire_only_where_the_predicates_around_them_are_true() -> None:
    nested = f"""<CompoundRule><SimplePredicate field="x" operator="greaterThan" value="0"/>{rule("a", 5)}
    <CompoundRule><SimplePredicate field="z" operator="greaterThan" value="0"/>{rule("b", -9)}</CompoundRule>
    </CompoundRule>{rule("c", -5)}"""
    rows = [{"x": 6, "z": 1}, {"x": 1, "z": 1}, {"x": 1, "z": -1}, {"x": -1, "z": 1}, {"x": 1, "z": None}]
    got = rules(nested, outputs='<OutputField name="rule" feature="entityId"/>').score(rows)
    assert [(row["c"], row["rule"]) for row in got] == [("a", "1"), ("b", "2"), ("c", "3"), ("c", "3"), ("c", "3")]


def test_nested_rules_are_not_asked_where_a_predicate_around_them_is_not_true() -> None:
    nested = (
        f"""<CompoundRule><SimplePredicate field="z" operator="greaterThan" value="0"/>{rule("a", 0)}</CompoundRule>"""
    )
    scorer = rules(nested)
    assert scorer.score([{"x": "wrong", "z": None}, {"x": "wrong", "z": -1}]) == [{"c": "none"}, {"c": "none"}]
    with pytest.raises(ScoringError, match='field x: value "wrong" is no double'):
        scorer.score_row({"x": "wrong", "z": 1})


def test_the_heaviest_rule_wins_by_weight_not_by_confidence_and_the_first_of_equals() -> None:
    text = rule("a", 0, 'weight="0.5" confidence="0.9"') + rule("b", 0, 'weight="0.6" confidence="0.2"')
    assert rules(text, "weightedMax", outputs=OUTPUTS).score_row({"x": 1})["c"] == "b"
    equal = rule("a", 0, 'weight="0.6" confidence="0.1"') + rule("b", 0, 'weight="0.6" confidence="0.2"')
    assert rules(equal, "weightedMax", outputs=OUTPUTS).score_row({"x": 1})["c"] == "a"


def test_of_equal_sums_the_class_wins_that_the_data_dictionary_lists_first_or_else_the_one_that_fired_first() -> None:
    text = rule("a", 0, 'weight="0.5"') + rule("b", 0, 'weight="0.5"')
    assert rules(text, "weightedSum").score_row({"x": 1})["c"] == "a"
    listed = FIELDS.replace(
        'name="c" optype="categorical" dataType="string"/>',
        'name="c" optype="categorical" dataType="string"><Value value="b"/><Value value="a"/></DataField>',
    )
    assert rules(text, "weightedSum", fields=listed).score_row({"x": 1})["c"] == "b"
    late = rule("a", 9) + rule("b", 0) + rule("a", 0)
    assert rules(late, "weightedSum").score_row({"x": 1})["c"] == "b"


def test_confidences_are_told_of_every_class() -> None:
    text = rule("a", 0, 'confidence="0.5"') + rule("b", 0, 'confidence="0.9"') + rule("z", 9)
    outputs = "".join(f'<OutputField name="{name}" feature="confidence" value="{name}"/>' for name in "abz")
    assert rules(text, outputs=outputs).score_row({"x": 1}) == {"c": "a", "a": 0.5, "b": 0.9, "z": 0.0}


def test_scores_may_be_numbers() -> None:
    text = (
        f'<RuleSetModel functionName="regression">{schema("y")}<RuleSet defaultScore="-1">'
        f'<RuleSelectionMethod criterion="firstHit"/>{rule("2.5", 0)}</RuleSet></RuleSetModel>'
    )
    assert [row["y"] for row in model(text).score([{"x": 1}, {"x": -1}])] == [2.5, -1.0]


@pytest.mark.parametrize("criterion", ["firstHit", "weightedMax", "weightedSum"])
def test_random_rule_sets_agree_with_a_choice_row_by_row(criterion: str) -> None:
    random = np.random.default_rng(11)
    limits, weights = random.normal(size=12), random.integers(1, 5, 12) / 8
    names = [str(name) for name in random.choice(list("abcd"), 12)]
    text = "".join(
        rule(name, limit, f'weight="{weight}" confidence="{weight / 2}"')
        for name, limit, weight in zip(names, limits, weights, strict=True)
    )
    x = random.normal(size=300)
    got = rules(text, criterion, outputs=OUTPUTS).score([{"x": value} for value in x])
    for value, result in zip(x, got, strict=True):
        fired = [index for index in range(12) if value > limits[index]]
        ranking: list[tuple[str, float]]
        if criterion == "weightedSum":
            totals: dict[str, float] = {}
            for index in fired:
                totals[names[index]] = totals.get(names[index], 0) + weights[index]
            ranking = [(name, totals[name] / len(fired)) for name in sorted(totals, key=lambda name: -totals[name])]
        else:
            best = fired if criterion == "firstHit" else sorted(fired, key=lambda index: -weights[index])
            chosen: dict[str, float] = {}
            for index in best:
                chosen.setdefault(names[index], weights[index] / 2)
            ranking = list(chosen.items())
        ranking = [*(ranking or [("none", 0.1)]), (None, None)]  # type: ignore[list-item]
        told = [(result["c"], result["sure"]), (result["second"], result["second sure"])]
        assert told == [(name, pytest.approx(sure)) for name, sure in ranking[:2]]
