import itertools
import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from documents import model

from pmml_worker import Model, SchemaError, ScoringError, TableError

ITEMS = ["Cracker", "Water", "Coke", "Nachos", "Pear", "Banana"]
SETS = {"s1": [1], "s2": [2], "s3": [3], "s4": [4], "s5": [1, 2], "s6": [5, 6]}
RULES = [("s1", "s2", 1.0, 0.9, 1.5), ("s2", "s1", 1.0, 0.8, 2.0), ("s1", "s3", 0.5, 0.9, 1.0),
         ("s5", "s4", 0.6, 0.95, 0.5), ("s2", "s6", 0.4, 0.3, 3.0)]  # fmt: skip
FIELDS = """<DataField name="transaction" optype="categorical" dataType="string"/>
<DataField name="item" optype="categorical" dataType="string"/>"""
SCHEMA = (
    """<MiningSchema><MiningField name="transaction" usageType="group"/><MiningField name="item"/></MiningSchema>"""
)


def associations(
    outputs: str = "", items: str = "", sets: str = "", rules: str = "", fields: str = FIELDS, schema: str = SCHEMA
) -> Model:
    items = items or "".join(f'<Item id="{place}" value="{value}"/>' for place, value in enumerate(ITEMS, 1))
    sets = sets or "".join(
        f'<Itemset id="{name}">{"".join(f"<ItemRef itemRef={chr(34)}{item}{chr(34)}/>" for item in members)}</Itemset>'
        for name, members in SETS.items()
    )
    rules = rules or "".join(
        f'<AssociationRule antecedent="{left}" consequent="{right}" support="{support}" confidence="{confidence}" '
        f'lift="{lift}"/>'
        for left, right, support, confidence, lift in RULES
    )
    output = f"<Output>{outputs}</Output>" if outputs else ""
    return model(
        '<AssociationModel functionName="associationRules" numberOfTransactions="5" minimumSupport="0.1" '
        f'minimumConfidence="0.1" numberOfItems="6" numberOfItemsets="6" numberOfRules="5">{schema}{output}'
        f"{items}{sets}{rules}</AssociationModel>",
        fields,
    )


def out(feature: str, attributes: str = "", name: str = "out") -> str:
    return f'<OutputField name="{name}" feature="{feature}" {attributes}/>'


ALL = 'rank="0" isMultiValued="1"'


def ids(algorithm: str, *baskets: list[str] | None) -> list[list[int]]:
    scorer = associations(out("ruleValue", f'ruleFeature="ruleId" algorithm="{algorithm}" {ALL}'))
    rows = scorer.score([{"item": basket} for basket in baskets])
    return [[int(rule) for rule in json.loads(row["out"])] for row in rows]


BASKETS = [["Cracker"], ["Water"], ["Cracker", "Water"], ["Cracker", "Coke"], ["Cracker", "Water", "Coke", "Nachos"],
           ["unknown"], [], ["Water", "Banana"]]  # fmt: skip


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("recommendation", [[1, 3], [2, 5], [4, 1, 3, 2, 5], [1, 3], [4, 1, 3, 2, 5], [], [], [2, 5]]),
        ("exclusiveRecommendation", [[1, 3], [2, 5], [4, 3, 5], [1], [5], [], [], [2, 5]]),
        ("ruleAssociation", [[], [], [1, 2], [3], [4, 1, 3, 2], [], [], []]),
    ],
)
def test_rules_are_selected_by_antecedent_and_consequent(algorithm: str, expected: list[list[int]]) -> None:
    assert ids(algorithm, *BASKETS) == expected


def test_exclusive_recommendations_are_given_unless_another_algorithm_is_named() -> None:
    scorer = associations(out("ruleId", ALL))
    assert scorer.score_row({"item": ["Cracker", "Coke"]})["out"] == '["1"]'


@pytest.mark.parametrize(
    ("feature", "first", "second", "every"),
    [
        ("rule", "{Cracker,Water}->{Nachos}", "{Cracker}->{Water}",
         ["{Cracker,Water}->{Nachos}", "{Cracker}->{Water}", "{Cracker}->{Coke}", "{Water}->{Cracker}",
          "{Water}->{Pear,Banana}"]),
        ("antecedent", "Cracker,Water", "Cracker", ["Cracker,Water", "Cracker", "Cracker", "Water", "Water"]),
        ("consequent", "Nachos", "Water", ["Nachos", "Water", "Coke", "Cracker", "Pear,Banana"]),
        ("ruleValue", "Nachos", "Water", ["Nachos", "Water", "Coke", "Cracker", "Pear,Banana"]),
        ("ruleId", "4", "1", ["4", "1", "3", "2", "5"]),
        ("entityId", "4", "1", ["4", "1", "3", "2", "5"]),
        ("confidence", 0.95, 0.9, [0.95, 0.9, 0.9, 0.8, 0.3]),
        ("support", 0.6, 1.0, [0.6, 1.0, 0.5, 1.0, 0.4]),
        ("lift", 0.5, 1.5, [0.5, 1.5, 1.0, 2.0, 3.0]),
        ("leverage", None, None, [None] * 5),
        ("affinity", None, None, [None] * 5),
    ],
)  # fmt: skip
def test_features_are_told_of_the_rule_of_a_rank_or_of_all(feature: str, first: Any, second: Any, every: Any) -> None:
    row = {"item": ["Cracker", "Water"]}
    for attributes, expected in (("", first), ('rank="2"', second), ('rank="6"', None)):
        got = associations(out(feature, f'algorithm="recommendation" {attributes}')).score_row(row)
        assert got["out"] == expected
    lists = associations(out(feature, f'algorithm="recommendation" {ALL}')).score_row(row)
    assert json.loads(lists["out"]) == every
    few = associations(out(feature, 'algorithm="recommendation" rank="2" isMultiValued="1"')).score_row(row)
    assert json.loads(few["out"]) == every[:2]


@pytest.mark.parametrize("feature", ["antecedent", "consequent", "rule", "ruleId", "confidence", "support", "lift"])
def test_rule_values_are_the_older_way_to_ask_for_the_same(feature: str) -> None:
    outputs = out("ruleValue", f'ruleFeature="{feature}"', "old") + out(feature, "", "new")
    row = associations(outputs).score_row({"item": ["Water"]})
    assert row["old"] == row["new"] is not None


@pytest.mark.parametrize(
    ("basis", "expected"),
    [("confidence", [4, 1, 3, 2, 5]), ("support", [1, 2, 4, 3, 5]), ("lift", [5, 2, 1, 3, 4])],
)
def test_rules_are_ranked_by_a_measure_in_either_order(basis: str, expected: list[int]) -> None:
    for order in ("descending", "ascending"):
        scorer = associations(
            out("ruleId", f'algorithm="recommendation" rankBasis="{basis}" rankOrder="{order}" {ALL}')
        )
        got = [int(rule) for rule in json.loads(scorer.score_row({"item": ["Cracker", "Water"]})["out"])]
        measure = {"support": 2, "confidence": 3, "lift": 4}[basis]
        sign = -1 if order == "descending" else 1
        assert got == sorted(range(1, 6), key=lambda rule: sign * RULES[rule - 1][measure])
        assert order == "ascending" or got == expected


SUPPORTED = "".join(
    f'<Itemset id="{name}" support="{support}"><ItemRef itemRef="{item}"/></Itemset>'
    for name, support, item in (("a", 0.5, 1), ("b", 0.4, 2))
)


@pytest.mark.parametrize(
    ("feature", "own", "derived"),
    [("lift", 7.0, 0.6 / 0.4), ("leverage", 0.7, 0.3 - 0.5 * 0.4), ("affinity", 0.7, 0.3 / (0.5 + 0.4 - 0.3))],
)
def test_measures_that_a_rule_leaves_out_follow_from_the_supports(feature: str, own: float, derived: float) -> None:
    rule = '<AssociationRule id="R" antecedent="a" consequent="b" support="0.3" confidence="0.6" {}/>'
    attributes = f'rankBasis="{feature}"'
    for text, expected in ((rule.format(""), derived), (rule.format(f'{feature}="{own}"'), own)):
        scorer = associations(out(feature, attributes) + out("ruleId", "", "id"), sets=SUPPORTED, rules=text)
        assert scorer.score_row({"item": ["Cracker"]}) == {"out": pytest.approx(expected), "id": "R"}


def test_outputs_have_their_declared_type() -> None:
    scorer = associations(out("entityId", 'dataType="double" optype="continuous"'))
    assert scorer.score_row({"item": ["Cracker"]}) == {"out": 1.0}


def test_without_output_fields_the_best_recommendation_is_the_prediction() -> None:
    assert associations().score([{"item": ["Cracker"]}, {"item": []}]) == [{"_target": "Water"}, {"_target": None}]


def test_rows_of_a_group_are_one_transaction_wherever_they_lie() -> None:
    scorer = associations(out("ruleId", f'algorithm="recommendation" {ALL}'))
    rows = [
        {"transaction": "t1", "item": "Cracker"}, {"transaction": "t2", "item": "Water"},
        {"transaction": "t1", "item": "Water"}, {"transaction": None, "item": "Cracker"},
        {"transaction": None, "item": "Water"}, {"transaction": "t3", "item": None},
    ]  # fmt: skip
    both, water, cracker = '["4", "1", "3", "2", "5"]', '["2", "5"]', '["1", "3"]'
    assert [row["out"] for row in scorer.score(rows)] == [both, water, both, cracker, water, "[]"]


def test_a_group_may_be_longer_than_a_block_of_rows() -> None:
    scorer = associations(out("ruleId", f'algorithm="recommendation" {ALL}'))
    names = ["Cracker", *["unknown"] * 20_000, "Water"]
    result = scorer.score(pa.table({"transaction": ["t"] * len(names), "item": names}))
    assert set(result.column("out").to_pylist()) == {'["4", "1", "3", "2", "5"]'}


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.string())])
def test_lists_come_from_arrow_as_they_are(kind: pa.DataType) -> None:
    scorer = associations(out("ruleId", ALL))
    baskets = [*BASKETS, None, [None, "Water"], ['a "quoted" \\ one', "Cracker"]]
    table = pa.table({"item": pa.array(baskets, kind)})
    expected = [row["out"] for row in scorer.score([{"item": basket} for basket in baskets])]
    assert scorer.score(table).column("out").to_pylist() == expected
    assert scorer.score(table.slice(2, 3)).column("out").to_pylist() == expected[2:5]
    assert expected[8:] == ["[]", '["2", "5"]', '["1", "3"]']


def test_a_cell_of_text_may_hold_a_list_in_json() -> None:
    scorer = associations(out("ruleId", ALL))
    assert scorer.score_row({"item": '["Cracker", "Coke"]'})["out"] == '["1"]'
    assert scorer.score_row({"item": "[not json"})["out"] == "[]"


def test_lists_may_hold_what_the_data_dictionary_lists_and_more() -> None:
    item = '<DataField name="item" optype="categorical" dataType="string"'
    values = FIELDS.replace(f"{item}/>", f'{item}><Value value="Cracker"/></DataField>')
    scorer = associations(out("ruleId", ALL), fields=values)
    assert scorer.score_row({"item": ["Cracker", "more"]})["out"] == '["1", "3"]'
    with pytest.raises(ScoringError, match='field item: value "more" is not a valid value'):
        scorer.score_row({"item": "more"})


def test_lists_of_lists_are_refused() -> None:
    with pytest.raises(TableError, match="only lists of single values can be read"):
        associations().score([{"item": [["Cracker"]]}])


CATEGORIES = """<DataField name="Water" optype="categorical" dataType="boolean"/>
<DataField name="Cracker" optype="categorical" dataType="string"/>
<DataField name="Area" optype="categorical" dataType="string"/>
<DataField name="n" optype="categorical" dataType="integer"/>
<DataField name="Day=Weekday" optype="categorical" dataType="boolean"/>"""


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, []), ({"Water": True}, [1]), ({"Cracker": "true"}, [2]), ({"Cracker": "false"}, []),
        ({"Area": "urban"}, [3, 6]), ({"Area": "rural"}, [4]), ({"Area": "Area=urban"}, []), ({"n": 1}, [5, 7]),
        ({"Day=Weekday": True}, [8]), ({"Day=Weekday": True, "Water": True, "n": 2}, [1, 8]),
    ],
)  # fmt: skip
def test_items_may_be_categories_of_fields(row: dict[str, Any], expected: list[int]) -> None:
    names = ["Water", "Cracker", "Area", "n", "Day=Weekday"]
    schema = (
        f"<MiningSchema>{''.join(f'<MiningField name={chr(34)}{name}{chr(34)}/>' for name in names)}</MiningSchema>"
    )
    items = "".join(
        f'<Item id="{place}" {text}/>'
        for place, text in enumerate(
            ['value="Water"', 'value="Cracker"', 'value="Area=urban"', 'value="Area=rural"', 'value="n=1"',
             'value="A" field="Area" category="urban"', 'value="N" field="n" category="1"', 'value="Day=Weekday"'], 1
        )
    )  # fmt: skip
    sets = "".join(f'<Itemset id="{place}"><ItemRef itemRef="{place}"/></Itemset>' for place in range(1, 9))
    rules = "".join(
        f'<AssociationRule antecedent="{place}" consequent="{place}" support="1" confidence="1"/>'
        for place in range(1, 9)
    )
    scorer = associations(out("ruleId", f'algorithm="recommendation" {ALL}'), items, sets, rules, CATEGORIES, schema)
    full = {**dict.fromkeys(names), **row}
    assert [int(rule) for rule in json.loads(scorer.score_row(full)["out"])] == expected


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"outputs": out("ruleId", 'rank="0"')}, "rank counts from 1"),
        ({"outputs": out("ruleId", 'rankBasis="leverage"')}, "rankBasis is leverage, which a rule lacks"),
        ({"sets": '<Itemset id="s1"><ItemRef itemRef="9"/></Itemset>'}, '<ItemRef> names item "9"'),
        ({"sets": '<Itemset id="s1"/>'}, 'names itemset "s2"'),
        ({"items": '<Item id="1" value="a" field="item"/>'}, "names a field but no category"),
    ],
)
def test_what_is_not_defined_is_told_at_load(arguments: dict[str, str], complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        associations(**arguments)


def takes(algorithm: str, has_consequent: bool) -> bool:
    return algorithm == "recommendation" or has_consequent == (algorithm == "ruleAssociation")


@pytest.mark.parametrize("chunk", [1 << 24, 40])
def test_random_transactions_select_what_sets_of_python_select(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pmml_worker.models.transactions._CHUNK", chunk)
    random = np.random.default_rng(3)
    names = [f"i{place}" for place in range(8)]
    sets = [sorted(random.choice(8, random.integers(0, 4), replace=False)) for _ in range(10)]
    pairs = list(itertools.permutations(range(10), 2))[::3]
    confidence = random.permutation(len(pairs)) / len(pairs)
    items = "".join(f'<Item id="{name}" value="{name}"/>' for name in names)
    itemsets = "".join(
        f'<Itemset id="{place}">' + "".join(f'<ItemRef itemRef="i{item}"/>' for item in members) + "</Itemset>"
        for place, members in enumerate(sets)
    )
    rules = "".join(
        f'<AssociationRule antecedent="{left}" consequent="{right}" support="0" confidence="{value}"/>'
        for (left, right), value in zip(pairs, confidence, strict=True)
    )
    baskets = [list(random.choice(names, random.integers(0, 8), replace=False)) for _ in range(60)]
    for algorithm in ("recommendation", "exclusiveRecommendation", "ruleAssociation"):
        outputs = out("ruleId", f'algorithm="{algorithm}" {ALL}') + out(
            "ruleId", f'algorithm="{algorithm}" rank="3"', "3"
        )
        got = associations(outputs, items, itemsets, rules).score([{"item": basket} for basket in baskets])
        for basket, row in zip(baskets, got, strict=True):
            has = [{names[item] for item in members} <= set(basket) for members in sets]
            wanted = [place for place, (left, right) in enumerate(pairs) if has[left] and takes(algorithm, has[right])]
            ranked = [str(place + 1) for place in sorted(wanted, key=lambda place: -confidence[place])]
            assert json.loads(row["out"]) == ranked
            assert row["3"] == (ranked[2] if len(ranked) > 2 else None)
