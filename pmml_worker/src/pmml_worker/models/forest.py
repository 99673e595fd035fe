"""Forests: the nodes of many trees compiled to the tests and leaves that the kernel walks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.kernels import _native
from pmml_worker.models.predicate import Test, comparison_value, compile_predicate, set_values
from pmml_worker.models.row import Declined, RowFields, Values
from pmml_worker.schema.elements import (
    DataType,
    False_,
    MathContext,
    MissingValueStrategy,
    NoTrueChildStrategy,
    Predicate,
    SimplePredicate,
    SimpleSetPredicate,
    True_,
)
from pmml_worker.schema.nodes import NodeTable, stack
from pmml_worker.schema.nodes import Test as Kind
from pmml_worker.transform.column import Array, Bools, Codes, Floats, Ints, either
from pmml_worker.transform.scope import Environment, Scope
from pmml_worker.transform.values import Scalar, storage

NULL, LOST = 0, 1
"""Leaves that every forest has: no prediction; a default child that the node does not name."""

_OPERATORS = {
    Kind.EQUAL: "equal", Kind.NOT_EQUAL: "notEqual", Kind.LESS_THAN: "lessThan", Kind.LESS_OR_EQUAL: "lessOrEqual",
    Kind.GREATER_THAN: "greaterThan", Kind.GREATER_OR_EQUAL: "greaterOrEqual", Kind.IS_MISSING: "isMissing",
    Kind.IS_NOT_MISSING: "isNotMissing",
}  # fmt: skip
_KINDS = {name: kind for kind, name in _OPERATORS.items()}


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """What a TreeModel says of its evaluation."""

    is_classification: bool
    strategy: MissingValueStrategy
    penalty: float
    no_true_child: NoTrueChildStrategy
    context: MathContext

    @property
    def splits_rows(self) -> bool:
        """Whether a row may count for several leaves, or be penalised on its way, so that it has more than a state."""
        return self.strategy in ("weightedConfidence", "aggregateNodes") or self.penalty != 1.0


# --- Tables of nodes -------------------------------------------------------------------------------------------------


_TEXT_COLUMNS = ("id", "score", "default_child", "field", "value", "class_")


def join(tables: Sequence[NodeTable]) -> NodeTable:
    """Many trees' nodes as one table with as many roots."""
    if len(tables) == 1:
        return tables[0]
    starts = np.cumsum([0, *(len(table.parent) for table in tables)])
    texts: Sequence[str] = tables[0].texts
    places: list[Codes | None] = [None] * len(tables)
    if any(table.texts is not texts for table in tables):
        index: dict[str, int] = {}
        for position, table in enumerate(tables):
            found = [index.setdefault(text, len(index)) for text in table.texts]
            places[position] = np.array([*found, -1], np.int32)
        texts = tuple(index)
    joined: dict[str, Array] = {}
    for field in fields(NodeTable):
        if field.name in ("texts", "others", "embedded", "parent", "distribution"):
            continue
        columns = [getattr(table, field.name) for table in tables]
        if field.name in _TEXT_COLUMNS:
            columns = [
                column if place is None else place[column] for column, place in zip(columns, places, strict=True)
            ]
        joined[field.name] = stack(columns)
    joined["parent"] = np.concatenate([
        np.where(table.parent < 0, -1, table.parent + start).astype(np.int32)
        for table, start in zip(tables, starts, strict=False)
    ])  # fmt: skip
    lengths = np.concatenate([np.diff(table.distribution) for table in tables])
    joined["distribution"] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    pairs = list(zip(tables, starts, strict=False))
    return NodeTable(
        texts=texts,
        others={node + int(start): item for table, start in pairs for node, item in table.others.items()},
        embedded={node + int(start): item for table, start in pairs for node, item in table.embedded.items()},
        **joined,
    )


def predicate_of(table: NodeTable, node: int) -> Predicate:
    """A node's predicate as an element."""
    kind, line = Kind(int(table.test[node])), int(table.line[node])
    if kind == Kind.OTHER:
        return table.others[node]
    if kind in (Kind.TRUE, Kind.FALSE):
        return True_(line=line) if kind == Kind.TRUE else False_(line=line)
    value = int(table.value[node])
    return SimplePredicate(
        line=line, field=table.texts[int(table.field[node])], operator=_OPERATORS[kind],  # type: ignore[arg-type]
        value=None if value < 0 else table.texts[value],
    )  # fmt: skip


def first_children(table: NodeTable) -> Codes:
    """Shape (nodes,): a node's first child, -1 for leaves."""
    parent = table.parent
    first = np.full(len(parent), -1, np.int32)
    inner = np.flatnonzero(parent[1:] == np.arange(len(parent) - 1)) if len(parent) > 1 else np.zeros(0, np.int64)
    first[inner] = inner + 1
    return first


def next_siblings(table: NodeTable) -> Codes:
    """Shape (nodes,): the sibling after each node, -1 for the last."""
    order = np.argsort(table.parent, kind="stable")
    following = np.full(len(order), -1, np.int32)
    same = (table.parent[order[1:]] == table.parent[order[:-1]]) & (table.parent[order[1:]] >= 0)
    following[order[:-1][same]] = order[1:][same]
    return following


def has_prediction(table: NodeTable, is_classification: bool) -> Bools:
    """Shape (nodes,): whether a node has a score or, for classes, a distribution."""
    told: Bools = table.score >= 0
    return told | (np.diff(table.distribution) > 0) if is_classification else told


def node_name(table: NodeTable, node: int) -> str:
    """A node's identifier, or else its place in the document, counted from 1."""
    name = int(table.id[node])
    return table.texts[name] if name >= 0 else str(node + 1)


# --- Features: what tests look at ------------------------------------------------------------------------------------


class _Numbers:
    """A numeric field as it is; tests compare it with cuts."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, scope: Scope) -> tuple[Array, Codes | None]:
        column = scope.column(self.name)
        if column.values.dtype == np.float64 and column.missing is None:
            return np.ascontiguousarray(column.values), column.fault
        return column.floats(), column.fault


class _Members:
    """A field's value as its place among the constants of all tests on the field; values that none names come last."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[Scalar, int] = {}

    def place(self, value: Scalar) -> int:
        return self.places.setdefault(value, len(self.places))

    def encode(self, scope: Scope) -> tuple[Array, Codes | None]:
        column = scope.column(self.name)
        other = len(self.places)
        if column.categories is not None:
            table = np.array([self.places.get(text, other) for text in column.categories] or [other], np.int32)
            codes = table[column.values]
        else:
            constants = np.array(list(self.places), np.float64)
            values = column.values.astype(np.float64)
            order = np.argsort(constants, kind="stable")
            found = order[np.clip(np.searchsorted(constants[order], values), 0, max(other - 1, 0))]
            codes = np.where(constants[found] == values, found, other).astype(np.int32)
        if column.missing is not None:
            codes[column.missing] = -1
        return codes, column.fault


class _Truths:
    """Any other predicate, evaluated for the whole block: 1, 0, or -1 for unknown."""

    def __init__(self, test: Test) -> None:
        self.test = test

    def encode(self, scope: Scope) -> tuple[Array, Codes | None]:
        truth = self.test(scope)
        codes = truth.true.astype(np.int32)
        if truth.unknown is not None:
            codes[truth.unknown] = -1
        return codes, truth.fault


_Feature: TypeAlias = _Numbers | _Members | _Truths


@dataclass(slots=True)
class _Tests:
    """The predicates of a table's nodes as tests of features.

    Attributes:
        feature: shape (nodes,), -1 where the predicate tests nothing.
        cut: shape (nodes,), numbers above it pass; 0.5 for truths.
        members: shape (nodes,), index of a set of places, of which those in it pass; -1 for others.
        true_is_pass: shape (nodes,), whether the predicate is true of what passes, rather than of what does not.
        sets: the distinct sets of places, with the features that they are of.
    """

    features: list[_Feature]
    feature: Codes
    cut: Floats
    members: Codes
    true_is_pass: Bools
    sets: list[tuple[int, frozenset[int]]]


def _groups(column: Codes, nodes: Ints) -> list[Ints]:
    """Nodes by their entry in a column, each group in the document's order."""
    entries = column[nodes]
    order = np.argsort(entries, kind="stable")
    return np.split(nodes[order], np.flatnonzero(np.diff(entries[order])) + 1) if len(nodes) else []


class _TestCompiler:
    """Sorts the predicates of a table by field and kind, and compiles each sort at once."""

    def __init__(self, table: NodeTable, environment: Environment) -> None:
        self.table = table
        self.environment = environment
        nodes = len(table.parent)
        self.tests = _Tests(
            [], np.full(nodes, -1, np.int32), np.full(nodes, 0.5), np.full(nodes, -1, np.int32),
            np.ones(nodes, np.bool_), [],
        )  # fmt: skip
        self._members: dict[str, int] = {}
        self._sets: dict[tuple[int, frozenset[int]], int] = {}

    def compile(self) -> _Tests:
        table = self.table
        simple = (table.test != Kind.TRUE) & (table.test != Kind.FALSE) & (table.test != Kind.OTHER)
        for nodes in _groups(table.field, np.flatnonzero(simple)):
            self._field(nodes)
        for node, predicate in table.others.items():
            self._other(node, predicate)
        return self.tests

    def _feature(self, feature: _Feature) -> int:
        self.tests.features.append(feature)
        return len(self.tests.features) - 1

    def _field(self, nodes: Ints) -> None:
        """Compile the simple predicates on one field."""
        table = self.table
        first = predicate_of(table, int(nodes[0]))
        assert isinstance(first, SimplePredicate)
        known = self.environment.type_of(first.field, first)
        kinds = table.test[nodes]
        valueless = nodes[(table.value[nodes] < 0) & (kinds < Kind.IS_MISSING)]
        if len(valueless):
            compile_predicate(predicate_of(table, int(valueless[0])), self.environment)
        ordering = (kinds >= Kind.LESS_THAN) & (kinds <= Kind.GREATER_OR_EQUAL)
        if storage(known.data_type) == "text":
            for kind in range(Kind.LESS_THAN, Kind.GREATER_OR_EQUAL + 1):
                for here in _groups(table.value, nodes[kinds == kind]):
                    self._truth(here)
        elif ordering.any():
            self._cuts(_Numbers(first.field), nodes[ordering], known.data_type)
        for kind in (Kind.EQUAL, Kind.NOT_EQUAL):
            for here in _groups(table.value, nodes[kinds == kind]):
                text = table.texts[int(table.value[here[0]])]
                value = comparison_value(text, known.data_type, int(table.line[here[0]]))
                self._membership(here, first.field, [value], kind == Kind.NOT_EQUAL)
        presence = nodes[kinds >= Kind.IS_MISSING]
        if len(presence):
            self._truth(presence)
            self.tests.true_is_pass[presence] = table.test[presence] == table.test[presence[0]]

    def _cuts(self, feature: _Numbers, nodes: Ints, data_type: DataType) -> None:
        tests, table = self.tests, self.table
        tests.feature[nodes] = self._feature(feature)
        cut = self._numbers(nodes, data_type)
        below = (table.test[nodes] == Kind.LESS_THAN) | (table.test[nodes] == Kind.GREATER_OR_EQUAL)
        cut[below] = np.nextafter(cut[below], -np.inf)
        tests.cut[nodes] = cut
        tests.true_is_pass[nodes] = table.test[nodes] >= Kind.GREATER_THAN

    def _numbers(self, nodes: Ints, data_type: DataType) -> Floats:
        """What each node compares its field with, as the field's type has it."""
        table = self.table
        used, where = np.unique(table.value[nodes], return_inverse=True)
        texts = [table.texts[int(text)] for text in used]
        try:
            if data_type not in ("double", "float"):
                raise ValueError
            values = np.fromiter(map(float, texts), np.float64, len(texts))
            if data_type == "float":
                with np.errstate(over="ignore"):
                    values = values.astype(np.float32).astype(np.float64)
        except ValueError:
            lines = table.line[nodes[np.unique(where, return_index=True)[1]]]
            values = np.array(
                [float(comparison_value(text, data_type, int(line))) for text, line in zip(texts, lines, strict=True)]
            )
        return values[where]

    def _truth(self, nodes: Ints) -> None:
        test = compile_predicate(predicate_of(self.table, int(nodes[0])), self.environment)
        self.tests.feature[nodes] = self._feature(_Truths(test))

    def _membership(self, nodes: Ints, name: str, values: list[Scalar], negated: bool) -> None:
        tests = self.tests
        if name not in self._members:
            self._members[name] = self._feature(_Members(name))
        index = self._members[name]
        feature = tests.features[index]
        assert isinstance(feature, _Members)
        key = (index, frozenset(feature.place(value) for value in values))
        tests.feature[nodes] = index
        tests.members[nodes] = self._sets.setdefault(key, len(self._sets))
        if len(self._sets) > len(tests.sets):
            tests.sets.append(key)
        tests.true_is_pass[nodes] = not negated

    def _other(self, node: int, predicate: Predicate) -> None:
        if isinstance(predicate, SimpleSetPredicate):
            known = self.environment.type_of(predicate.field, predicate)
            values = set_values(predicate, known.data_type)
            self._membership(np.array([node]), predicate.field, values, predicate.boolean_operator == "isNotIn")
        else:
            self._truth(np.array([node]))


# --- From nodes to tests and leaves ----------------------------------------------------------------------------------


def _follow(pointer: Codes) -> Codes:
    """Where pointers lead in the end; ends point to themselves."""
    while True:
        further = pointer[pointer]
        if np.array_equal(further, pointer):
            return further
        pointer = further


def _depths(table: NodeTable) -> Ints:
    """Shape (nodes,): how many nodes are above each."""
    up = np.append(np.where(table.parent < 0, len(table.parent), table.parent), len(table.parent))
    depth = np.append(np.ones(len(table.parent), np.int64), 0)
    while (up < len(table.parent)).any():
        depth = depth + depth[up]
        up = up[up]
    return depth[:-1] - 1


@dataclass(slots=True)
class Block:
    """A block of rows as a forest's features see it.

    Attributes:
        columns: an array for each feature.
        faults: codes of faults of each feature, None where it has none.
    """

    columns: list[Array]
    faults: list[Codes | None]

    def faulty(self) -> Bools | None:
        """Shape (rows,), true where any feature is faulty; None: nowhere."""
        faulty: Bools | None = None
        for fault in self.faults:
            faulty = either(faulty, None if fault is None else fault.astype(np.bool_))
        return faulty


class Forest:
    """Trees as the kernel walks them, shared by all rows and threads.

    Attributes:
        table: the nodes of all trees.
        nodes: shape (leaves,), the node that each leaf stands for; -1 for NULL and LOST.
        trees: how many trees there are.
    """

    def __init__(self, table: NodeTable, options: Sequence[TreeOptions], environment: Environment) -> None:
        """Compile trees; `options` has those of each.

        Raises:
            SchemaError: a predicate cannot be compiled.
        """
        self.table = table
        self.trees = len(options)
        tests = _TestCompiler(table, environment).compile()
        parent = table.parent
        count = len(parent)
        is_root = parent < 0
        tree = np.cumsum(is_root) - 1
        first, following = first_children(table), next_siblings(table)
        is_leaf = first < 0
        is_test = tests.feature >= 0

        # The nearest node, a node itself or above it, that has a prediction; `count` if there is none.
        told = has_prediction(table, options[0].is_classification)
        itself = np.arange(count, dtype=np.int32)
        up = np.where(told, itself, np.where(is_root, np.int32(count), parent))
        nearest = _follow(np.append(up, np.int32(count)))

        def of_tree(values: list[bool]) -> Bools:
            result: Bools = np.array(values, np.bool_)[tree]
            return result

        none = of_tree([item.strategy == "none" for item in options])
        by_last = of_tree([item.strategy == "lastPrediction" for item in options])
        by_default = of_tree([item.strategy == "defaultChild" for item in options])
        last_if_no_true = of_tree([item.no_true_child == "returnLastPrediction" for item in options])

        # Targets: a node stands for its test, `count + i` for leaf i.
        wanted = nearest[:count][~is_leaf & (by_last | last_if_no_true)]
        ends = is_leaf.copy()
        ends[wanted[wanted < count]] = True
        self.nodes: Ints = np.concatenate([[-1, -1], np.flatnonzero(ends)])
        leaf_of = np.full(count + 1, count + NULL, np.int32)
        leaf_of[self.nodes[2:]] = count + np.arange(2, len(self.nodes))
        leaves = np.arange(count, count + len(self.nodes), dtype=np.int32)
        last = leaf_of[nearest[:count]]
        after = np.where(last_if_no_true, last, count + NULL)

        # Where a row goes that arrives at a node, past what is always or never true.
        above = np.where(is_root, 0, parent)
        no_more = np.where(is_root, count + NULL, after[above])
        onward = np.where(following >= 0, following, no_more)
        inside = np.where(is_leaf, leaf_of[:count], first)
        arrive = np.where(is_test, itself, np.where(table.test == Kind.TRUE, inside, onward))
        arrive = _follow(np.append(arrive, leaves))
        when_true, when_false = arrive[inside], arrive[onward]

        # Where a value is missing.
        unknown = np.where(by_last, last, count + NULL)
        lost = by_default & ~is_leaf
        unknown[lost] = count + LOST
        chosen = np.flatnonzero(~is_root & (table.id >= 0) & (table.id == table.default_child[above]))[::-1]
        chosen = chosen[by_default[chosen]]
        unknown[parent[chosen]] = arrive[inside[chosen]]
        plain = none | is_root  # Unknown is as good as false; so it is for the next test of the same feature.
        same = np.append(tests.feature, np.full(len(self.nodes), -1))
        skips = plain & is_test & (same[when_false] == tests.feature)
        skip = np.append(itself, leaves)
        skip[:count][skips] = when_false[skips]
        when_unknown = np.where(plain, when_false[_follow(skip)[:count]], unknown[above])

        # The complement of the next test: where this one is false, that one is true.
        state = np.minimum(when_false, count - 1)
        complement = (
            is_test & (when_false < count) & (tests.feature[state] == tests.feature)
            & (tests.members[state] == tests.members) & (tests.cut[state] == tests.cut)
            & (tests.true_is_pass[state] != tests.true_is_pass)
        )  # fmt: skip
        when_false = np.where(complement, when_true[state], when_false)
        low = np.where(tests.true_is_pass, when_false, when_true)
        high = np.where(tests.true_is_pass, when_true, when_false)
        self._pack(tests, np.flatnonzero(is_test), arrive[:count][is_root], low, high, when_unknown)

    def _pack(self, tests: _Tests, states: Ints, roots: Codes, low: Codes, high: Codes, unknown: Codes) -> None:
        """Number what can be reached, and hand it to the kernel."""
        count = len(tests.feature)
        reached = np.zeros(count + len(self.nodes), np.bool_)
        for targets in (roots, low[states], high[states], unknown[states]):
            reached[targets] = True
        states = states[reached[states]]
        # Tests lead to siblings after them and to nodes below, of any sibling.
        states = states[np.argsort(_depths(self.table)[states], kind="stable")]
        number = np.full(count + len(self.nodes), -1, np.int64)
        number[states] = np.arange(len(states))
        number[count:] = -1 - np.arange(len(self.nodes))
        used, feature = np.unique(tests.feature[states], return_inverse=True)
        self.features = [tests.features[index] for index in used]
        rank = np.zeros(len(states), np.uint32)
        cuts: list[Floats] = []
        codes = 1
        order = np.argsort(feature, kind="stable")
        bounds = np.searchsorted(feature[order], np.arange(len(self.features) + 1))
        for position, item in enumerate(self.features):
            if isinstance(item, _Numbers):
                here = order[bounds[position] : bounds[position + 1]]
                distinct, ranks = np.unique(tests.cut[states[here]], return_inverse=True)
                rank[here] = ranks
                cuts.append(distinct)
                codes = max(codes, len(distinct))
            else:
                cuts.append(np.zeros(0))
                codes = max(codes, len(item.places) if isinstance(item, _Members) else 1)
        words, offset = self._words(tests)
        members = tests.members[states]
        self.kernel = _native.Forest(
            roots=number[roots].astype(np.int32),
            feature=feature.astype(np.int32),
            rank=rank,
            is_set=members >= 0,
            word=np.where(members >= 0, offset[members], 0).astype(np.uint32),
            low=number[low[states]].astype(np.int32),
            high=number[high[states]].astype(np.int32),
            missing=number[unknown[states]].astype(np.int32),
            words=words,
            cuts=np.concatenate([*cuts, np.zeros(0)]),
            ends=np.cumsum([len(part) for part in cuts], dtype=np.int64),
            codes=codes,
        )

    def _words(self, tests: _Tests) -> tuple[Array, Ints]:
        """Sets of places as bits, and where each begins, counted in words from 1."""
        parts: list[Array] = [np.zeros(0, np.uint32)]
        offsets = []
        filled = 1
        for feature, places in tests.sets:
            members = tests.features[feature]
            assert isinstance(members, _Members)
            bits = np.zeros((len(members.places) // 32 + 1) * 32, np.uint8)
            bits[list(places)] = 1
            parts.append(np.packbits(bits, bitorder="little").view("<u4").astype(np.uint32))
            offsets.append(filled)
            filled += len(parts[-1])
        return np.concatenate(parts), np.array([*offsets, 0], np.int64)

    def read(self, scope: Scope) -> Block:
        """The features of a block of rows."""
        encoded = [feature.encode(scope) for feature in self.features]
        columns = [column for column, _ in encoded] or [np.zeros(scope.rows, np.int32)]
        return Block(columns, [fault if fault is not None and fault.any() else None for _, fault in encoded])

    def row_reader(self, fields: RowFields) -> Callable[[Values], list[float]]:
        """A function from a row's values to the kernel's features."""
        places: list[tuple[int, dict[Scalar, int] | None]] = []
        for feature in self.features:
            if isinstance(feature, _Truths):
                raise Declined
            place = fields.place(feature.name)
            if isinstance(feature, _Numbers):
                if fields.type_of(feature.name) == "string":
                    raise Declined
                places.append((place, None))
            else:
                places.append((place, feature.places))
        if all(members is None for _, members in places):
            numbers = [place for place, _ in places]
            return lambda values: [math.nan if (value := values[place]) is None else value for place in numbers]

        def read(values: Values) -> list[float]:
            features = []
            for place, members in places:
                value = values[place]
                if members is not None:
                    value = -1 if value is None else members.get(value, len(members))
                features.append(math.nan if value is None else value)
            return features

        return read

    def leaves(self, block: Block) -> tuple[Codes, Codes | None]:
        """The leaf that each tree reaches for each row, and the first fault that the row met on its way.

        Returns:
            Indices of leaves, shape (trees, rows), NULL where a fault was met; and codes of faults of the same shape,
            or None.
        """
        ends: Codes = self.kernel.leaves(block.columns)
        rows = ends.shape[1]
        if all(fault is None for fault in block.faults):
            return ends, None
        codes = np.zeros((rows, len(self.features) + 1), np.int32)
        for position, fault in enumerate(block.faults):
            if fault is not None:
                codes[:, position] = fault
        found = self.kernel.first_marked(block.columns, np.ascontiguousarray(codes[:, :-1] != 0))
        met = codes[np.arange(rows), found]
        return np.where(met != 0, np.int32(NULL), ends), met

    def sums(self, block: Block, table: Array) -> Array:
        """Rows of a table added up over the leaves that a row reaches, tree by tree in their order.

        Args:
            block: the rows.
            table: shape (leaves, width), float32 or float64; sums are of the same precision.

        Returns:
            Shape (rows, width).
        """
        result: Array = self.kernel.sums(block.columns, table).T
        return result


# --- Leaves ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class LeafTable:
    """What leaves predict, by their index.

    Attributes:
        missing: shape (leaves,), true where there is no prediction.
        score: shape (leaves,), predicted numbers; None for classification.
        label: shape (leaves,), indices of the predicted classes.
        classes: the classes, as texts, in the order in which the leaves name them.
        probabilities, confidences: shape (leaves, classes); NaN where a leaf tells none; None where no leaf does.
    """

    missing: Bools
    score: Array | None
    label: Codes
    classes: tuple[str, ...]
    probabilities: Array | None
    confidences: Array | None


def leaf_table(table: NodeTable, nodes: Ints, options: TreeOptions) -> LeafTable:
    """Tabulate what nodes predict; -1 stands for no node.

    Raises:
        SchemaError: a score is no number though the tree is a regression.
    """
    dtype = np.float32 if options.context == "float" else np.float64
    real = np.flatnonzero(nodes >= 0)
    own = nodes[real]
    missing = np.ones(len(nodes), np.bool_)
    missing[real] = ~has_prediction(table, options.is_classification)[own]
    label = np.zeros(len(nodes), np.int32)
    if not options.is_classification:
        score = np.zeros(len(nodes), dtype)
        score[real] = _scores(table, own)
        return LeafTable(missing, score, label, (), None, None)

    # Entries of the nodes' distributions, node by node, each with its leaf.
    counts = np.diff(table.distribution)[own]
    leaf = np.repeat(real, counts)
    entry = np.repeat(table.distribution[own] - np.cumsum(counts) + counts, counts) + np.arange(len(leaf))
    scored = real[table.score[own] >= 0]
    # Classes in the order of the document: those of a node's distribution, then its score.
    texts = np.concatenate([table.class_[entry], table.score[nodes[scored]]])
    places = np.concatenate([leaf, scored])
    texts = texts[np.argsort(places, kind="stable")]
    first = np.full(len(table.texts), -1)
    first[texts[::-1]] = np.arange(len(texts))[::-1]  # Of equals the last assignment counts.
    named = np.flatnonzero(first >= 0)
    named = named[np.argsort(first[named])]
    classes = tuple(table.texts[int(text)] for text in named)
    code = np.zeros(len(table.texts) + 1, np.int32)
    code[named] = np.arange(len(named))
    label[scored] = code[table.score[nodes[scored]]]
    if not len(entry):
        return LeafTable(missing, None, label, classes, None, None)

    class_ = code[table.class_[entry]]
    record = np.nan_to_num(table.class_count[entry])
    total = np.bincount(leaf, record, len(nodes))[leaf]
    share = np.divide(record, total, out=np.zeros(len(entry)), where=total != 0)
    probability = np.where(np.isnan(table.class_probability[entry]), share, table.class_probability[entry])
    confidence = np.where(np.isnan(table.class_confidence[entry]), probability, table.class_confidence[entry])
    told = np.zeros(len(nodes), np.bool_)
    told[leaf] = True
    probabilities = np.full((len(nodes), len(classes)), np.nan, dtype)
    probabilities[told] = 0
    confidences = probabilities.copy()
    probabilities[leaf, class_] = probability
    confidences[leaf, class_] = confidence
    # Without a score, the class with most records, the first of equals.
    silent = told.copy()
    silent[scored] = False
    most = np.full(len(nodes), -np.inf)
    np.maximum.at(most, leaf, record)
    best = np.flatnonzero(record == most[leaf])[::-1]
    winner = label.copy()
    winner[leaf[best]] = class_[best]
    label[silent] = winner[silent]
    return LeafTable(missing, None, label, classes, probabilities, confidences)


def _scores(table: NodeTable, nodes: Ints) -> Floats:
    """The scores of nodes as numbers, 0 where they have none."""
    score = table.score[nodes]
    used, where = np.unique(score, return_inverse=True)
    texts = ["0" if text < 0 else table.texts[int(text)] for text in used]
    try:
        return np.fromiter(map(float, texts), np.float64, len(texts))[where]
    except ValueError:
        for node, place in zip(nodes, where, strict=True):
            try:
                float(texts[place])
            except ValueError:
                raise SchemaError(
                    f'<Node> score "{texts[place]}" is no number, but the tree is a regression', int(table.line[node])
                ) from None
        raise
