"""Trees drawn at random, against a reference that is written from the standard and knows one row at a time."""

from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from documents import document, model, schema, tree
from hypothesis import given, settings
from hypothesis import strategies as st

from pmml_worker import SchemaError, ScoringError, load
from pmml_worker.errors import TableError
from pmml_worker.kernels._native import Forest

Row = dict[str, Any]

# --- The reference ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Test:
    """A predicate: of one field, of a set, or of several predicates."""

    __test__ = False
    operator: str
    field: str = ""
    value: Any = None
    parts: tuple["Test", ...] = ()

    def xml(self) -> str:
        match self.operator:
            case "true" | "false":
                return f"<{self.operator.title()}/>"
            case "isIn" | "isNotIn":
                items = " ".join(f'"{item}"' for item in self.value)
                array = f'<Array type="string">{items}</Array>'
                return (
                    f'<SimpleSetPredicate field="{self.field}" booleanOperator="{self.operator}">{array}'
                    "</SimpleSetPredicate>"
                )
            case "and" | "or" | "xor" | "surrogate":
                inner = "".join(part.xml() for part in self.parts)
                return f'<CompoundPredicate booleanOperator="{self.operator}">{inner}</CompoundPredicate>'
        value = "" if self.value is None else f" value={quoteattr(str(self.value))}"
        return f'<SimplePredicate field="{self.field}" operator="{self.operator}"{value}/>'

    def truth(self, row: Row) -> bool | None:
        """True, false, or None for unknown."""
        actual = row.get(self.field)
        match self.operator:
            case "true" | "false":
                return self.operator == "true"
            case "isMissing" | "isNotMissing":
                return (actual is None) == (self.operator == "isMissing")
            case "and" | "or":
                decisive = self.operator == "or"
                told = [part.truth(row) for part in self.parts]
                return decisive if decisive in told else None if None in told else not decisive
            case "xor":
                told = [part.truth(row) for part in self.parts]
                return None if None in told else sum(map(bool, told)) % 2 == 1
            case "surrogate":
                return next((truth for part in self.parts if (truth := part.truth(row)) is not None), None)
        if actual is None:
            return None
        match self.operator:
            case "isIn":
                return actual in self.value
            case "isNotIn":
                return actual not in self.value
            case "equal":
                return bool(actual == self.value)
            case "notEqual":
                return bool(actual != self.value)
            case "lessThan":
                return bool(actual < self.value)
            case "lessOrEqual":
                return bool(actual <= self.value)
            case "greaterThan":
                return bool(actual > self.value)
            case _:
                return bool(actual >= self.value)


@dataclass
class Node:
    """A node of a tree; `default` is the place of its default child."""

    test: Test
    score: str | None
    children: list["Node"] = field(default_factory=list)
    default: int | None = None

    def xml(self, name: str = "0") -> str:
        score = "" if self.score is None else f' score="{self.score}"'
        default = "" if self.default is None else f' defaultChild="{name}.{self.default}"'
        inner = "".join(child.xml(f"{name}.{place}") for place, child in enumerate(self.children))
        if self.score is not None and self.score in "abc":  # Records of each class, more of the node's own.
            counts = {label: len(name) + place + 9 * (label == self.score) for place, label in enumerate("abc")}
            parts = [f'<ScoreDistribution value="{label}" recordCount="{count}"/>' for label, count in counts.items()]
            inner = "".join([*parts, inner])
        return f'<Node id="{name}"{score}{default}>{self.test.xml()}{inner}</Node>'


class Lost(Exception):
    """A value is missing, and no default child is named."""


def reference(root: Node, row: Row, strategy: str, no_true_child: str) -> str | None:
    """What a tree predicts (TreeModel, "missingValueStrategy", "noTrueChildStrategy")."""
    if root.test.truth(row) is not True:
        return None
    node, last = root, root.score
    while node.children:
        following: Node | None = None
        for child in node.children:
            truth = child.test.truth(row)
            if truth:
                following = child
                break
            if truth is None and strategy == "lastPrediction":
                return last
            if truth is None and strategy == "nullPrediction":
                return None
            if truth is None and strategy == "defaultChild":
                if node.default is None:
                    raise Lost
                following = node.children[node.default]
                break
        if following is None:
            return last if no_true_child == "returnLastPrediction" else None
        node = following
        last = node.score if node.score is not None else last
    return node.score


# --- Trees drawn at random -------------------------------------------------------------------------------------------

NUMBERS = st.sampled_from([-2.5, -1.0, 0.0, 0.5, 1.0, 3.25])
TEXTS = st.sampled_from(["red", "green", "blue", "dark blue"])
COMPARISONS = st.sampled_from(["equal", "notEqual", "lessThan", "lessOrEqual", "greaterThan", "greaterOrEqual"])
ROWS = st.lists(
    st.fixed_dictionaries({
        "x": st.none() | NUMBERS | st.floats(-4, 4),
        "z": st.none() | NUMBERS,
        "i": st.none() | st.integers(-2, 4),
        "s": st.none() | TEXTS | st.just("unheard of"),
    }),
    min_size=1,
    max_size=40,
)  # fmt: skip

SIMPLE = st.one_of(
    st.builds(Test, COMPARISONS, st.sampled_from(["x", "z"]), NUMBERS),
    st.builds(Test, COMPARISONS, st.just("i"), st.integers(-2, 4)),
    st.builds(Test, st.sampled_from(["equal", "notEqual"]), st.just("s"), TEXTS),
    st.builds(Test, st.sampled_from(["isMissing", "isNotMissing"]), st.sampled_from(["x", "s"])),
    st.builds(
        Test,
        st.sampled_from(["isIn", "isNotIn"]),
        st.just("s"),
        st.lists(TEXTS, min_size=1, max_size=3, unique=True).map(tuple),
    ),
)
PREDICATES = st.one_of(
    SIMPLE,
    SIMPLE,
    st.builds(Test, st.sampled_from(["true", "false"])),
    st.builds(
        Test,
        st.sampled_from(["and", "or", "xor", "surrogate"]),
        st.just(""),
        st.none(),
        st.lists(SIMPLE, min_size=2, max_size=3).map(tuple),
    ),
)
OPPOSITE = {
    "lessThan": "greaterOrEqual", "lessOrEqual": "greaterThan", "greaterThan": "lessOrEqual",
    "greaterOrEqual": "lessThan", "equal": "notEqual", "notEqual": "equal", "isIn": "isNotIn", "isNotIn": "isIn",
    "isMissing": "isNotMissing", "isNotMissing": "isMissing",
}  # fmt: skip


@st.composite
def nodes(draw: st.DrawFn, depth: int, test: Test, scores: st.SearchStrategy[str]) -> Node:
    score = draw(scores) if depth == 0 else draw(st.none() | scores)
    node = Node(test, score)
    if depth == 0 or draw(st.booleans()):
        return Node(test, score if score is not None else draw(scores))
    tests = draw(st.lists(PREDICATES, min_size=1, max_size=3))
    if tests[0].operator in OPPOSITE and draw(st.booleans()):  # A split in two, as programs write them.
        tests = [tests[0], Test(OPPOSITE[tests[0].operator], tests[0].field, tests[0].value)]
    node.children = [draw(nodes(depth - 1, item, scores)) for item in tests]
    node.default = draw(st.none() | st.integers(0, len(tests) - 1))
    return node


def roots(scores: st.SearchStrategy[str], depth: int = 4) -> st.SearchStrategy[Node]:
    return PREDICATES.flatmap(lambda test: nodes(depth, Test("true") if test.operator != "equal" else test, scores))


LABELS = st.sampled_from(["a", "b", "c"])
FIGURES = st.sampled_from(["0.1", "-2.5", "7", "1e3"])
STRATEGIES = st.sampled_from(["none", "lastPrediction", "nullPrediction", "defaultChild"])
NO_TRUE_CHILD = st.sampled_from(["returnNullPrediction", "returnLastPrediction"])


@settings(max_examples=100, deadline=None)
@given(root=roots(LABELS), rows=ROWS, strategy=STRATEGIES, no_true_child=NO_TRUE_CHILD)
def test_trees_predict_what_the_standard_says(root: Node, rows: list[Row], strategy: str, no_true_child: str) -> None:
    attributes = f'missingValueStrategy="{strategy}" noTrueChildStrategy="{no_true_child}"'
    results = model(tree(root.xml(), attributes=attributes)).score(rows, errors="collect")
    for row, result in zip(rows, results, strict=True):
        try:
            expected = reference(root, row, strategy, no_true_child)
        except Lost:
            assert "names no defaultChild" in result["_error"]
        else:
            assert (result["_error"], result["c"]) == (None, expected)


def segments(trees: list[Node], predicate: str, target: str, strategy: str, weights: list[float]) -> str:
    function = "regression" if target == "y" else "classification"
    return "".join(
        f'<Segment weight="{weight}">{predicate}<TreeModel functionName="{function}" missingValueStrategy="{strategy}">'
        f"{schema(target)}{root.xml()}</TreeModel></Segment>"
        for root, weight in zip(trees, weights, strict=True)
    )


def ensemble(
    trees: list[Node], predicate: str, target: str, method: str, treatment: str, strategy: str, weights: list[float]
) -> str:
    function = "regression" if target == "y" else "classification"
    output = "" if target == "y" else PROBABILITIES
    return (
        f'<MiningModel functionName="{function}">{schema(target)}{output}<Segmentation multipleModelMethod="{method}" '
        f'missingPredictionTreatment="{treatment}">{segments(trees, predicate, target, strategy, weights)}'
        "</Segmentation></MiningModel>"
    )


PROBABILITIES = f"""<Output>{
    "".join(f'<OutputField name="p{label}" feature="probability" value="{label}"/>' for label in "abc")
}</Output>"""
# It is always true, but keeps segments from being walked as one forest.
APART = """<CompoundPredicate booleanOperator="or"><SimplePredicate field="x" operator="isMissing"/>
<SimplePredicate field="x" operator="isNotMissing"/></CompoundPredicate>"""
WEIGHTS = st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=5, max_size=5)
TREATMENTS = st.sampled_from(["continue", "skipSegment", "returnMissing"])


@settings(max_examples=50, deadline=None)
@given(
    trees=st.lists(roots(FIGURES, 2), min_size=1, max_size=5), rows=ROWS, strategy=STRATEGIES, weights=WEIGHTS,
    treatment=TREATMENTS,
    method=st.sampled_from(["sum", "average", "weightedAverage", "weightedSum", "median", "max", "x-weightedMedian"]),
)  # fmt: skip
def test_a_forest_of_numbers_predicts_what_its_trees_do_one_by_one(
    trees: list[Node], rows: list[Row], strategy: str, weights: list[float], treatment: str, method: str
) -> None:
    fused, apart = (
        model(ensemble(trees, predicate, "y", method, treatment, strategy, weights[: len(trees)]))
        for predicate in ("<True/>", APART)
    )
    compare(fused.score(rows, errors="collect"), apart.score(rows, errors="collect"))


@settings(max_examples=50, deadline=None)
@given(
    trees=st.lists(roots(LABELS, 2), min_size=1, max_size=5), rows=ROWS, strategy=STRATEGIES, weights=WEIGHTS,
    treatment=TREATMENTS,
    method=st.sampled_from(["majorityVote", "weightedMajorityVote", "average", "weightedAverage", "max", "median"]),
)  # fmt: skip
def test_a_forest_of_classes_predicts_what_its_trees_do_one_by_one(
    trees: list[Node], rows: list[Row], strategy: str, weights: list[float], treatment: str, method: str
) -> None:
    fused, apart = (
        model(ensemble(trees, predicate, "c", method, treatment, strategy, weights[: len(trees)]))
        for predicate in ("<True/>", APART)
    )
    compare(fused.score(rows, errors="collect"), apart.score(rows, errors="collect"))


def compare(one: list[Row], other: list[Row]) -> None:
    for mine, its in zip(one, other, strict=True):
        assert (mine.pop("_error") is None) == (its.pop("_error") is None)
        assert mine == its


# --- The kernel ------------------------------------------------------------------------------------------------------


def packed(
    low: list[int], high: list[int], missing: list[int], rank: list[int], cuts: np.ndarray[Any, Any], codes: int
) -> Forest:
    """One tree over one numeric feature."""
    tests = len(low)
    return Forest(
        roots=np.array([0], np.int32), feature=np.zeros(tests, np.int32), rank=np.array(rank, np.uint32),
        is_set=np.zeros(tests, np.bool_), word=np.zeros(tests, np.uint32), low=np.array(low, np.int32),
        high=np.array(high, np.int32), missing=np.array(missing, np.int32), words=np.zeros(0, np.uint32), cuts=cuts,
        ends=np.array([len(cuts)]), codes=codes,
    )  # fmt: skip


def chain(cuts: np.ndarray[Any, Any]) -> Forest:
    """Tests of each cut after the other: leaf i has the values from cut i - 1 up to cut i; the last one, no value."""
    tests = len(cuts)
    high = [*range(1, tests), -1 - tests]
    return packed([-1 - test for test in range(tests)], high, [-2 - tests] * tests, [*range(tests)], cuts, tests)


def test_a_very_deep_tree_is_walked_to_its_end() -> None:
    cuts = np.arange(3000.0)
    values = np.array([-1.0, 0.0, 0.5, 1498.5, 2998.0, 2999.0, 1e9, np.nan, np.inf, -np.inf])
    expected = np.where(np.isnan(values), 3001, np.searchsorted(cuts, values))
    assert chain(cuts).leaves([values])[0].tolist() == expected.tolist()


@pytest.mark.parametrize("count", [65_533, 65_534, 65_535, 70_001])
def test_features_may_have_more_cuts_than_16_bits_tell(count: int) -> None:
    cuts = np.sort(np.random.default_rng(0).normal(size=count))
    low: list[int] = []
    high: list[int] = []
    rank: list[int] = []
    spans = [(0, count)]  # Of cuts that are undecided; a binary search as a tree.
    numbers = {(0, count): 0}
    for begin, end in spans:
        middle = (begin + end) // 2
        rank.append(middle)
        for side, part in ((low, (begin, middle)), (high, (middle + 1, end))):
            if part[0] < part[1]:
                numbers[part] = len(spans)
                spans.append(part)
                side.append(numbers[part])
            else:
                side.append(-1 - part[0])
    forest = packed(low, high, low, rank, cuts, count)
    values = np.concatenate([cuts[::97], cuts[:5], cuts[-5:], cuts[::89] + 1e-9, [-1e9, 1e9]])
    assert (forest.leaves([values])[0] == np.searchsorted(cuts, values)).all()


def test_one_row_is_added_up_as_a_block_is() -> None:
    cuts = np.arange(50.0)
    forest, table = chain(cuts), np.random.default_rng(0).normal(size=(52, 3))
    values = np.array([-3.0, 7.5, 49.0, 1e9, np.nan])
    blockwise = forest.sums([values], table)
    assert np.array_equal(blockwise, table[forest.leaves([values])[0]].T)
    for place, value in enumerate(values.tolist()):
        assert forest.row_sums([value], table) == blockwise[:, place].tolist()
        assert forest.row_leaves([value]) == forest.leaves([values])[:, place].tolist()


def test_the_kernel_refuses_what_it_could_not_walk() -> None:
    with pytest.raises(ValueError, match="a test leads to one before it"):
        packed([0], [-1], [-1], [0], np.zeros(1), 1)
    with pytest.raises(ValueError, match="beyond the last"):
        packed([5], [-1], [-1], [0], np.zeros(1), 1)
    with pytest.raises(ValueError, match="a table has fewer rows than there are leaves"):
        chain(np.arange(3.0)).sums([np.zeros(2)], np.zeros((2, 1)))
    with pytest.raises(ValueError, match="another number of features"):
        chain(np.arange(3.0)).row_leaves([1.0, 2.0])


# --- Threads ---------------------------------------------------------------------------------------------------------

SPLIT = """<Node score="a"><True/>
<Node score="l"><SimplePredicate field="x" operator="lessThan" value="0"/></Node>
<Node score="r"><SimplePredicate field="x" operator="greaterOrEqual" value="0"/></Node></Node>"""


def test_threads_give_what_one_gives() -> None:
    scorer = model(tree(SPLIT, attributes='missingValueStrategy="lastPrediction"'))
    rows = [{"x": None if row % 11 == 0 else row % 7 - 3} for row in range(50_000)]
    alone = scorer.score(rows, threads=1)
    assert [row["c"] for row in alone[:4]] == ["a", "l", "l", "r"]
    assert scorer.score(rows, threads=3) == alone


def test_the_first_row_in_error_is_told_however_many_threads_score() -> None:
    scorer = model(tree(SPLIT))
    rows = [{"x": "?" if row in (20_000, 30_000, 49_999) else row} for row in range(50_000)]
    for threads in (1, 2, 4):
        with pytest.raises(ScoringError, match="row 20000"):
            scorer.score(rows, threads=threads)


def test_the_number_of_threads_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = model(tree(SPLIT))
    rows = [{"x": row} for row in range(20_000)]
    monkeypatch.setenv("PMML_WORKER_THREADS", "2")
    assert scorer.score(rows)[-1] == {"c": "r"}
    monkeypatch.setenv("PMML_WORKER_THREADS", "many")
    with pytest.raises(TableError, match='PMML_WORKER_THREADS is a number of threads, at least 1, not "many"'):
        scorer.score(rows)
    with pytest.raises(TableError, match="threads is at least 1, not 0"):
        scorer.score(rows, threads=0)


# --- Loading ---------------------------------------------------------------------------------------------------------


def test_a_comparison_with_what_is_no_number_is_refused_with_its_line() -> None:
    nodes = SPLIT.replace('operator="greaterOrEqual" value="0"', 'operator="greaterOrEqual" value="ten"')
    with pytest.raises(SchemaError, match='line 17: value "ten" is no double'):
        load(document(tree(nodes)))


def test_a_score_that_is_no_number_is_refused_in_a_regression() -> None:
    with pytest.raises(SchemaError, match='score "l" is no number'):
        load(document(tree(SPLIT.replace('score="a"', 'score="0"'), "regression")))


def test_tests_of_different_sets_are_no_complements() -> None:
    root = Node(Test("true"), None, [Node(Test("equal", "s", "red"), "a"), Node(Test("notEqual", "s", "green"), "b")])
    rows = [{"s": "red"}, {"s": "green"}, {"s": "blue"}]
    assert [row["c"] for row in model(tree(root.xml())).score(rows)] == ["a", None, "b"]


def test_a_faulty_value_is_an_error_only_where_a_tree_looks_at_it() -> None:
    inner = [Node(Test("greaterThan", "z", 0.0), "1"), Node(Test("lessOrEqual", "z", 0.0), "2")]
    root = Node(Test("true"), None, [Node(Test("lessThan", "x", 0.0), "5"), Node(Test("true"), None, inner)])
    scorer = model(ensemble([root, root], "<True/>", "y", "sum", "continue", "none", [1.0, 1.0]))
    results = scorer.score([{"x": -1, "z": "?"}, {"x": 1, "z": "?"}, {"x": 1, "z": 3}], errors="collect")
    assert [row["y"] for row in results] == [10.0, None, 2.0]
    assert results[0]["_error"] is None
    assert 'field z: value "?" is no double' in results[1]["_error"]


@pytest.mark.parametrize(("operator", "x"), [("and", -1), ("or", 1), ("xor", 1)])
def test_every_part_of_a_compound_predicate_is_asked(operator: str, x: int) -> None:
    parts = (Test("greaterThan", "x", 0.0), Test("greaterThan", "z", 0.0))
    root = Node(Test("true"), "n", [Node(Test(operator, parts=parts), "y"), Node(Test("true"), "o")])
    with pytest.raises(ScoringError, match='field z: value "\\?" is no double'):
        model(tree(root.xml())).score([{"x": x, "z": "?"}])
