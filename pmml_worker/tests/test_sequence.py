import itertools
import json
from typing import Any

import numpy as np
import pytest
from documents import model

from pmml_worker import Model, SchemaError

FIELDS = """<DataField name="customer" optype="categorical" dataType="string"/>
<DataField name="day" optype="continuous" dataType="integer"/>
<DataField name="when" optype="continuous" dataType="dateTime"/>
<DataField name="item" optype="categorical" dataType="string"/>
<DataField name="shop" optype="categorical" dataType="string"/>
"""
ALL = 'rank="0" isMultiValued="1"'
ALGORITHMS = ("recommendation", "exclusiveRecommendation", "ruleAssociation")


def sequences(
    sets: dict[str, str],
    chains: dict[str, list[str]],
    rules: list[tuple[str, str, str]],
    *,
    order: str = "day",
    attributes: str = "",
    constraints: str = "",
    outputs: str = "",
    predicates: str = "",
) -> Model:
    """A model of sets of items (letters), chains of sets and delimiters in turn, and rules of chains."""
    letters = sorted({letter for members in sets.values() for letter in members})
    text = "".join(f'<Item id="{letter}" value="{letter}"/>' for letter in letters)
    for name, members in sets.items():
        text += (
            f'<Itemset id="{name}">' + "".join(f'<ItemRef itemRef="{letter}"/>' for letter in members) + "</Itemset>"
        )
    text += predicates
    for name, parts in chains.items():
        inner = "".join(
            delimiter(part) if place % 2 else f'<SetReference setId="{part}"/>' for place, part in enumerate(parts)
        )
        text += f'<Sequence id="{name}" numberOfSets="1" occurrence="1" support="0.5">{inner}<Time min="1"/></Sequence>'
    for place, (left, between, right) in enumerate(rules, 1):
        text += (
            f'<SequenceRule id="{place}" numberOfSets="2" occurrence="1" support="0.5" confidence="{1 - place / 100}" '
            f'lift="{place}"><AntecedentSequence><SequenceReference seqId="{left}"/></AntecedentSequence>'
            f'{delimiter(between)}<Time mean="1"/><ConsequentSequence><SequenceReference seqId="{right}"/>'
            f'</ConsequentSequence><Time mean="2"/></SequenceRule>'
        )
    told = outputs or "".join(
        f'<OutputField name="{name}" feature="ruleId" algorithm="{name}" {ALL}/>' for name in ALGORITHMS
    )
    placed = f'<MiningField name="{order}" usageType="order"/>' if order else ""
    shop = "" if order == "shop" else '<MiningField name="shop" usageType="supplementary"/>'
    return model(
        f'<SequenceModel functionName="sequences" minimumSupport="0" minimumConfidence="0" numberOfItems="1" '
        f'numberOfSets="1" numberOfSequences="1" numberOfRules="1" {attributes}><MiningSchema>'
        f'<MiningField name="customer" usageType="group"/>{placed}<MiningField name="item"/>'
        f"{shop}</MiningSchema><Output>{told}</Output>{constraints}{text}"
        "</SequenceModel>",
        FIELDS,
    )


def delimiter(text: str) -> str:
    """ ">" is a later time window, "=" the same one; "!" behind it allows no gap."""
    name = "acrossTimeWindows" if text[0] == ">" else "sameTimeWindow"
    return f'<Delimiter delimiter="{name}" gap="{"false" if text.endswith("!") else "unknown"}"/>'


def rows(text: str, customer: str = "c") -> list[dict[str, Any]]:
    """Purchases such as "A1 B3": item A on day 1, item B on day 3."""
    return [{"customer": customer, "item": part[0], "day": int(part[1:])} for part in text.split()]


def told(scorer: Model, table: list[dict[str, Any]]) -> list[list[int]]:
    """The rules told of the first row, by algorithm."""
    row = scorer.score(table)[0]
    return [[int(rule) for rule in json.loads(row[name])] for name in ALGORITHMS]


ONE = {"a": "A", "b": "B", "c": "C", "ab": "AB"}


def test_a_consequent_is_recommended_where_the_antecedent_is_and_the_consequent_is_not_yet() -> None:
    scorer = sequences(ONE, {"A": ["a"], "B": ["b"]}, [("A", ">", "B")])
    assert told(scorer, rows("A1 C2")) == [[1], [1], []]
    assert told(scorer, rows("A1 B2")) == [[1], [], [1]]
    assert told(scorer, rows("B1 A2")) == [[1], [1], []]
    assert told(scorer, rows("B1 C2")) == [[], [], []]


def test_rows_of_a_group_are_a_history_in_whatever_order_they_lie() -> None:
    scorer = sequences(ONE, {"A": ["a"], "B": ["b"]}, [("A", ">", "B")])
    table = [*rows("B2", "x"), *rows("A1", "y"), *rows("A1", "x"), *rows("B1", "y")]
    got = [row["ruleAssociation"] for row in scorer.score(table)]
    assert got == ['["1"]', "[]", '["1"]', "[]"]


def test_rows_of_one_time_are_one_transaction() -> None:
    scorer = sequences(ONE, {"AB": ["ab"], "C": ["c"]}, [("AB", ">", "C")])
    assert told(scorer, rows("A1 B1")) == [[1], [1], []]
    assert told(scorer, rows("A1 B2")) == [[], [], []]
    assert told(scorer, [{"customer": "c", "item": ["A", "B"], "day": 1}]) == [[1], [1], []]


def test_without_an_order_field_rows_follow_one_another() -> None:
    scorer = sequences(ONE, {"A": ["a"], "B": ["b"]}, [("A", ">", "B")], order="")
    table = [{"customer": name, "item": item} for name, item in ("xA", "yB", "xB", "yA")]
    assert [row["ruleAssociation"] for row in scorer.score(table)] == ['["1"]', "[]", '["1"]', "[]"]


def test_a_row_without_a_time_belongs_to_no_transaction() -> None:
    scorer = sequences(ONE, {"A": ["a"], "B": ["b"]}, [("A", ">", "B")])
    assert told(scorer, [*rows("A1"), {"customer": "c", "item": "B", "day": None}]) == [[1], [1], []]


def test_a_delimiter_without_a_gap_asks_for_neighbouring_transactions() -> None:
    scorer = sequences(ONE, {"A": ["a"], "B": ["b"]}, [("A", ">", "B"), ("A", ">!", "B")])
    assert told(scorer, rows("A1 C2 B3")) == [[1, 2], [2], [1]]
    assert told(scorer, rows("A1 B3")) == [[1, 2], [], [1, 2]]


def test_sets_of_the_same_time_window_may_lie_its_width_apart() -> None:
    chains = {"A": ["a"], "B": ["b"]}
    narrow = sequences(ONE, chains, [("A", "=", "B"), ("A", ">", "B")])
    assert told(narrow, rows("A1 B1")) == [[1, 2], [2], [1]]
    assert told(narrow, rows("A1 B2")) == [[1, 2], [1], [2]]
    wide = sequences(ONE, chains, [("A", "=", "B"), ("A", ">", "B")], attributes='timeWindowWidth="3"')
    assert told(wide, rows("A1 B4")) == [[1, 2], [2], [1]]
    assert told(wide, rows("A1 B5")) == [[1, 2], [1], [2]]


@pytest.mark.parametrize(
    ("constraints", "fits", "fails"),
    [
        ('minimumAntConsSeparationTime="3"', "A1 B2 C5", "A1 B2 C4"),
        ('maximumAntConsSeparationTime="3"', "A1 B2 C5", "A1 B2 C6"),
        ('minimumItemsetSeparationTime="3"', "A1 B4 C5", "A1 B3 C5"),
        ('maximumItemsetSeparationTime="3"', "A1 B4 C9", "A1 B5 C9"),
        ('minimumTotalSequenceTime="6"', "A1 B2 C7", "A1 B2 C6"),
        ('maximumTotalSequenceTime="6"', "A1 B2 C7", "A1 B2 C8"),
    ],
)
def test_constraints_limit_the_times_between(constraints: str, fits: str, fails: str) -> None:
    scorer = sequences(ONE, {"AB": ["a", ">", "b"], "C": ["c"]}, [("AB", ">", "C")],
                       constraints=f"<Constraints {constraints}/>")  # fmt: skip
    assert told(scorer, rows(fits))[2] == [1]
    assert told(scorer, rows(fails))[2] == []


def test_older_documents_limit_the_times_between_sets_by_the_model_s_attributes() -> None:
    chains = {"AB": ["a", ">", "b"], "C": ["c"]}
    scorer = sequences(ONE, chains, [("AB", ">", "C")], attributes='minimumTime="2" maximumTime="3"')
    assert [told(scorer, rows(f"A1 B{day} C9"))[0] for day in (2, 3, 4, 5)] == [[], [1], [1], []]


def test_times_of_days_and_seconds_are_measured_in_seconds() -> None:
    scorer = sequences(ONE, {"A": ["a"], "B": ["b"]}, [("A", ">", "B")], order="when",
                       constraints='<Constraints maximumAntConsSeparationTime="60"/>')  # fmt: skip
    for second, expected in (("01:00", [1]), ("01:01", [])):
        table = [
            {"customer": "c", "item": "A", "when": "2020-01-01T00:00:00"},
            {"customer": "c", "item": "B", "when": f"2020-01-01T00:{second}"},
        ]
        assert told(scorer, table)[2] == expected


def test_a_set_predicate_asks_for_all_of_some_values_of_a_field() -> None:
    predicate = (
        '<SetPredicate id="both" field="shop" operator="supersetOf"><Array type="string">x y</Array></SetPredicate>'
    )
    scorer = sequences(ONE, {"P": ["both"], "A": ["a"]}, [("P", ">", "A")], predicates=predicate)
    table = [{"customer": "c", "day": 1, "shop": ["x", "y", "z"]}, *rows("A2")]
    assert told(scorer, table)[2] == [1]
    table[0] = {"customer": "c", "day": 1, "shop": ["x", "z"]}
    assert told(scorer, table) == [[], [], []]


def test_rules_are_told_by_all_features() -> None:
    features = ("antecedent", "consequent", "rule", "confidence", "support", "lift")
    outputs = "".join(f'<OutputField name="{name}" feature="{name}" rankBasis="lift"/>' for name in features)
    chains = {"A": ["ab", ">", "c"], "B": ["b"]}
    row = sequences(ONE, chains, [("A", ">", "B"), ("A", ">", "A")], outputs=outputs).score(rows("A1 B1 C2"))[0]
    assert row == {
        "antecedent": "A,B > C", "consequent": "A,B > C", "rule": "{A,B > C}->{A,B > C}", "confidence": 0.98,
        "support": 0.5, "lift": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("chains", "rules", "complaint"),
    [
        ({"A": ["nowhere"]}, [("A", ">", "A")], 'names "nowhere", which is no set'),
        ({"A": ["a"]}, [("A", ">", "B")], 'names "B", which is no sequence'),
        ({"A": ["a", ">", "b", ">"]}, [("A", ">", "A")], "needs a <Delimiter> between any two sets"),
    ],
)
def test_what_is_not_defined_is_told_at_load(chains: Any, rules: Any, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        sequences(ONE, chains, rules)


def test_an_order_field_is_of_times() -> None:
    with pytest.raises(SchemaError, match='order field "shop" is of texts, not of times'):
        sequences(ONE, {"A": ["a"]}, [("A", ">", "A")], order="shop")


def brute_force(
    history: list[tuple[int, set[str]]], parts: list[str], window: int, limits: dict[str, float], split: int
) -> bool:
    """Whether some choice of transactions has the sets of a chain; `split`: the delimiter before the consequent."""
    sets, between = parts[::2], parts[1::2]
    for chosen in itertools.product(range(len(history)), repeat=len(sets)):
        if any(not set(ONE[name]) <= history[place][1] for name, place in zip(sets, chosen, strict=True)):
            continue
        times = [history[place][0] for place in chosen]
        fits = limits["least total"] * (split >= 0) <= times[-1] - times[0] <= limits["most total"]
        for step, mark in enumerate(between):
            apart = times[step + 1] - times[step]
            kind = "rule" if step == split else "set"
            if mark[0] == ">":
                fits &= apart > window and limits[f"least {kind}"] <= apart <= limits[f"most {kind}"]
                fits &= mark[-1] != "!" or chosen[step + 1] == chosen[step] + 1
            else:
                fits &= chosen[step + 1] >= chosen[step] and apart <= window
                fits &= mark[-1] != "!" or chosen[step + 1] <= chosen[step] + 1
        if fits:
            return True
    return False


@pytest.mark.parametrize("seed", range(16))
def test_random_histories_agree_with_the_enumeration_of_all_choices(seed: int) -> None:
    random = np.random.default_rng(seed)
    marks = [">", ">!", "=", "=!"]
    names = list(ONE)

    def chain(length: int) -> list[str]:
        return [
            str(random.choice(marks if place % 2 else names)) for place in range(2 * length - 1)
        ]  # fmt: skip

    chains = {f"s{place}": chain(int(random.integers(1, 3))) for place in range(6)}
    rules = [(str(left), str(random.choice(marks)), str(right)) for left, right in random.choice(list(chains), (8, 2))]
    window = int(random.integers(0, 3))
    limits: dict[str, float] = {"least set": 1, "most set": 4, "least rule": 2, "most rule": 6, "least total": 0,
                                "most total": np.inf}  # fmt: skip
    total = ""
    if seed % 2:
        limits |= {"least total": 2, "most total": 7}
        total = 'minimumTotalSequenceTime="2" maximumTotalSequenceTime="7"'
    constraints = (
        '<Constraints minimumItemsetSeparationTime="1" maximumItemsetSeparationTime="4" '
        f'minimumAntConsSeparationTime="2" maximumAntConsSeparationTime="6" {total}/>'
    )
    scorer = sequences(ONE, chains, rules, attributes=f'timeWindowWidth="{window}"', constraints=constraints)
    table: list[dict[str, Any]] = [
        {"customer": str(customer), "item": str(random.choice(list("ABC"))), "day": int(random.integers(0, 9))}
        for customer in range(12)
        for _ in range(random.integers(1, 8))
    ]
    table = [table[place] for place in random.permutation(len(table))]
    results = scorer.score(table)
    for customer in range(12):
        days: dict[int, set[str]] = {}
        mine = [place for place, row in enumerate(table) if row["customer"] == str(customer)]
        for place in mine:
            days.setdefault(int(table[place]["day"]), set()).add(str(table[place]["item"]))
        history = sorted(days.items())
        has = [brute_force(history, chains[left], window, limits, -1) for left, _, _ in rules]
        whole = [
            brute_force(history, [*chains[left], mark, *chains[right]], window, limits, len(chains[left]) // 2)
            for left, mark, right in rules
        ]
        expected = {
            "recommendation": has,
            "exclusiveRecommendation": [one and not two for one, two in zip(has, whole, strict=True)],
            "ruleAssociation": [one and two for one, two in zip(has, whole, strict=True)],
        }
        for name, held in expected.items():
            ids = [str(place) for place, holds in enumerate(held, 1) if holds]
            assert all(json.loads(results[place][name]) == ids for place in mine)
