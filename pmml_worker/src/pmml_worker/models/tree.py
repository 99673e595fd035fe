"""TreeModel (TreeModel): trees as flat tables of tests that blocks of rows step through together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.kernel import Context
from pmml_worker.models.predicate import Test, Truth, comparison_value, compile_predicate, set_values
from pmml_worker.schema.elements import (
    DecisionTree,
    False_,
    MathContext,
    MiningSchema,
    MissingValueStrategy,
    Node,
    NoTrueChildStrategy,
    Output,
    OutputField,
    Predicate,
    Regression,
    RegressionModel,
    SimplePredicate,
    SimpleSetPredicate,
    TreeModel,
    True_,
)
from pmml_worker.transform.column import Array, Bools, Codes, Column, Fault, Floats, Ints, first_fault
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Environment, Scope
from pmml_worker.transform.values import Scalar, storage

_CHUNK = 1 << 16
"""How many (tree, row) pairs step together: few enough for their states to stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class TreeOptions:
    """What a TreeModel says of its evaluation."""

    is_classification: bool
    strategy: MissingValueStrategy
    penalty: float
    no_true_child: NoTrueChildStrategy
    context: MathContext

    @property
    def wants_last(self) -> bool:
        """Whether an inner node's prediction may be a row's result."""
        return self.strategy == "lastPrediction" or self.no_true_child == "returnLastPrediction"

    @property
    def splits_rows(self) -> bool:
        """Whether a row may count for several leaves, or be penalised on its way, so that it has more than a state."""
        return self.strategy in ("weightedConfidence", "aggregateNodes") or self.penalty != 1.0


# --- Features: the columns that tests look at ------------------------------------------------------------------------


class _Numbers:
    """A numeric field as it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def encode(self, scope: Scope) -> tuple[Floats, Codes | None]:
        column = scope.column(self.name)
        return column.floats(), column.fault


class _Members:
    """A field's value as its place among the constants of all tests on the field; values that none names come last."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places: dict[Scalar, int] = {}

    def place(self, value: Scalar) -> int:
        return self.places.setdefault(value, len(self.places))

    def encode(self, scope: Scope) -> tuple[Floats, Codes | None]:
        column = scope.column(self.name)
        other = len(self.places)
        if column.categories is not None:
            table = np.array([self.places.get(text, other) for text in column.categories] or [other], np.float64)
            codes = table[column.values]
        else:
            constants = np.array(list(self.places), np.float64).astype(column.values.dtype)
            order = np.argsort(constants, kind="stable")
            ranks = np.clip(np.searchsorted(constants[order], column.values), 0, max(other - 1, 0))
            found = order[ranks] if other else np.zeros(len(column), np.int64)
            hit = constants[found] == column.values if other else np.zeros(len(column), np.bool_)
            codes = np.where(hit, found, other).astype(np.float64)
        if column.missing is not None:
            codes[column.missing] = np.nan
        return codes, column.fault


class _Truths:
    """Any other predicate, evaluated for the whole block: 1, 0, or NaN for unknown."""

    def __init__(self, test: Test) -> None:
        self.test = test

    def encode(self, scope: Scope) -> tuple[Floats, Codes | None]:
        truth = self.test(scope)
        values = truth.true.astype(np.float64)
        if truth.unknown is not None:
            values[truth.unknown] = np.nan
        return values, truth.fault


# --- Compiling -------------------------------------------------------------------------------------------------------

_NULL, _LOST = 0, 1
"""Ends of every forest: no prediction; a default child that the node does not name."""


@dataclass(slots=True)
class _Leaf:
    """What an end of a tree predicts."""

    node: Node | None
    entity: str = ""


@dataclass(slots=True)
class _Jump:
    """A test before its targets have numbers."""

    feature: int
    threshold: float
    members: frozenset[int] | None
    targets: tuple[int, int, int]  # when false, true, unknown


@dataclass(slots=True)
class ForestBuilder:
    """Collects trees over one environment into the flat tables of a Forest.

    States are numbered: tests from 0, ends from -1 downwards while building.
    """

    environment: Environment
    features: list[_Numbers | _Members | _Truths] = field(default_factory=list)
    jumps: list[_Jump | None] = field(default_factory=list)
    leaves: list[_Leaf] = field(default_factory=lambda: [_Leaf(None), _Leaf(None)])
    roots: list[int] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)
    _members: dict[str, int] = field(default_factory=dict)

    def _feature(self, feature: _Numbers | _Members | _Truths) -> int:
        self.features.append(feature)
        return len(self.features) - 1

    def _test(self, predicate: Predicate) -> tuple[int, float, frozenset[int] | None, bool]:
        """Feature, threshold or set of members, and whether the outcome is to be turned round."""
        if isinstance(predicate, SimplePredicate | SimpleSetPredicate):
            known = self.environment.type_of(predicate.field, predicate)
            is_text = storage(known.data_type) == "text"
            name = predicate.field
            if isinstance(predicate, SimpleSetPredicate):
                values = set_values(predicate, known.data_type)
                return self._membership(name, values, predicate.boolean_operator == "isNotIn")
            if predicate.operator in ("isMissing", "isNotMissing"):
                compile_predicate(predicate, self.environment)
            elif predicate.value is not None:
                value = comparison_value(predicate.value, known.data_type, predicate.line)
                if predicate.operator in ("equal", "notEqual"):
                    return self._membership(name, [value], predicate.operator == "notEqual")
                if not is_text:
                    if name not in self._numbers:
                        self._numbers[name] = self._feature(_Numbers(name))
                    threshold = float(value)
                    if predicate.operator in ("lessThan", "greaterOrEqual"):
                        threshold = float(np.nextafter(threshold, -np.inf))
                    return self._numbers[name], threshold, None, predicate.operator.startswith("greater")
        index = self._feature(_Truths(compile_predicate(predicate, self.environment)))
        return index, 0.5, None, True

    def _membership(self, name: str, values: list[Scalar], negated: bool) -> tuple[int, float, frozenset[int], bool]:
        if name not in self._members:
            self._members[name] = self._feature(_Members(name))
        index = self._members[name]
        feature = self.features[index]
        assert isinstance(feature, _Members)
        return index, 0.0, frozenset(feature.place(value) for value in values), negated

    def _end(self, node: Node, entity: str) -> int:
        self.leaves.append(_Leaf(node, entity))
        return -len(self.leaves)

    def add(self, root: Node, options: TreeOptions) -> None:
        """Add a tree; its root's predicate is its first test.

        Raises:
            SchemaError: a predicate cannot be compiled.
        """
        names = node_names(root)
        null = -1 - _NULL
        # One test per child, tried in order. `after` is where a false outcome leads; a node's tests are made from its
        # last child to its first, so that it is known by then. Nodes wait on a stack of our own: trees may be deeper
        # than Python's.
        entry: dict[int, int] = {}
        ends: dict[int, int] = {}
        order: list[tuple[Node, Node | None]] = []
        stack: list[tuple[Node, Node | None]] = [(root, None)]
        while stack:
            node, last = stack.pop()
            order.append((node, last))
            here = node if _has_prediction(node, options.is_classification) else last
            stack.extend((child, here) for child in node.nodes)
        for node, last in reversed(order):
            here = node if _has_prediction(node, options.is_classification) else last
            if not node.nodes:
                entry[id(node)] = self._end(node, names[id(node)])
                continue
            last_end = null
            if here is not None and options.wants_last:
                if id(here) not in ends:
                    ends[id(here)] = self._end(here, names[id(here)])
                last_end = ends[id(here)]
            unknown: int | None = None  # the same as false
            if options.strategy == "lastPrediction":
                unknown = last_end
            elif options.strategy == "nullPrediction":
                unknown = null
            elif options.strategy == "defaultChild":
                chosen = [child for child in node.nodes if child.id == node.default_child and child.id is not None]
                unknown = entry[id(chosen[0])] if chosen else -1 - _LOST
            after = last_end if options.no_true_child == "returnLastPrediction" else null
            entry[id(node)] = self._chain(node, after, unknown, entry)
        self.roots.append(self._guard(root.predicate, entry[id(root)], null, None))

    def _chain(self, node: Node, after: int, unknown: int | None, entry: Mapping[int, int]) -> int:
        following: tuple[int, float, frozenset[int] | None, bool] | None = None
        following_jump: _Jump | None = None
        for child in reversed(node.nodes):
            predicate = child.predicate
            if isinstance(predicate, True_):
                after, following = entry[id(child)], None
                continue
            if isinstance(predicate, False_):
                continue
            test = self._test(predicate)
            when_false = after
            # The complement of the next sibling's test: where this one is false, that one is true.
            if (
                following is not None
                and following_jump is not None
                and test[:3] == following[:3]
                and (test[3] != following[3])
            ):
                when_false = following_jump.targets[0] if following[3] else following_jump.targets[1]
            after = self._jump(test, entry[id(child)], when_false, after if unknown is None else unknown)
            following, following_jump = test, self.jumps[after]
        return after

    def _guard(self, predicate: Predicate, then: int, otherwise: int, unknown: int | None) -> int:
        if isinstance(predicate, True_):
            return then
        if isinstance(predicate, False_):
            return otherwise
        return self._jump(self._test(predicate), then, otherwise, otherwise if unknown is None else unknown)

    def _jump(self, test: tuple[int, float, frozenset[int] | None, bool], yes: int, no: int, unknown: int) -> int:
        feature, threshold, members, turned = test
        targets = (yes, no, unknown) if turned else (no, yes, unknown)
        self.jumps.append(_Jump(feature, threshold, members, targets))
        return len(self.jumps) - 1


def node_names(root: Node) -> dict[int, str]:
    """Identifiers by node: its own, or else its place in the document, counted from 1."""
    names: dict[int, str] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        names[id(node)] = node.id if node.id is not None else str(len(names) + 1)
        stack.extend(reversed(node.nodes))
    return names


def _has_prediction(node: Node, is_classification: bool) -> bool:
    return node.score is not None or (is_classification and bool(node.distribution))


# --- Stepping --------------------------------------------------------------------------------------------------------


class Forest:
    """Trees as flat tables, shared by all rows and threads."""

    def __init__(self, builder: ForestBuilder) -> None:
        self.features = builder.features
        self.leaves = builder.leaves
        tests = len(builder.jumps)
        states = tests + len(builder.leaves)
        self.tests = tests
        self.feature = np.zeros(states, np.int64)
        self.threshold = np.full(states, np.inf)
        self.is_set = np.zeros(states, np.bool_)
        self.offset = np.zeros(states, np.int64)
        self.children = np.repeat(np.arange(states, dtype=np.int64), 4)
        bitmap: list[Bools] = []
        filled = 0
        for state, jump in enumerate(builder.jumps):
            if jump is None:
                continue
            self.feature[state] = jump.feature
            if jump.members is None:
                self.threshold[state] = jump.threshold
            else:
                feature = self.features[jump.feature]
                assert isinstance(feature, _Members)
                bits = np.zeros(len(feature.places) + 1, np.bool_)
                bits[list(jump.members)] = True
                self.is_set[state], self.offset[state] = True, filled
                bitmap.append(bits)
                filled += len(bits)
            self.children[4 * state : 4 * state + 3] = [self._state(target) for target in jump.targets]
        self.bitmap = np.concatenate(bitmap) if bitmap else np.zeros(1, np.bool_)
        self.has_sets = bool(bitmap)
        self.roots = np.array([self._state(root) for root in builder.roots], np.int64)

    def _state(self, target: int) -> int:
        return target if target >= 0 else self.tests - 1 - target

    def ends(self, scope: Scope) -> tuple[Ints, Codes | None]:
        """The leaf that each tree reaches for each row, and what faults the rows met on their way.

        Returns:
            Indices into `leaves`, shape (trees, rows), and codes of faults of the same shape, or None.
        """
        rows = scope.rows
        width = max(len(self.features), 1)
        matrix = np.zeros((rows, width))
        faults: list[Codes | None] = []
        for position, feature in enumerate(self.features):
            matrix[:, position], fault = feature.encode(scope)
            faults.append(fault if fault is not None and fault.any() else None)
        table = None
        if any(fault is not None for fault in faults):
            table = np.zeros((rows, width), np.int32)
            for position, fault in enumerate(faults):
                if fault is not None:
                    table[:, position] = fault
        has_missing = bool(np.isnan(matrix).any())
        trees = len(self.roots)
        result = np.empty((trees, rows), np.int64)
        met = None if table is None else np.zeros((trees, rows), np.int32)
        step = max(1, _CHUNK // max(rows, 1))
        for first in range(0, trees, step):
            roots = self.roots[first : first + step]
            result[first : first + step] = self._walk(
                roots, matrix, table, None if met is None else met[first : first + step], has_missing
            )
        return result - self.tests, met

    def _walk(self, roots: Ints, matrix: Floats, faults: Codes | None, met: Codes | None, has_missing: bool) -> Ints:
        """Step rows through some trees until all have come to an end; return their states, shape (trees, rows)."""
        rows, width = matrix.shape
        values = matrix.ravel()
        final = np.repeat(roots, rows)
        where = np.arange(len(final))
        state = final.copy()
        base = np.tile(np.arange(rows) * width, len(roots))
        while True:
            running = state < self.tests
            left = np.count_nonzero(running)
            if left == 0:
                final[where] = state
                break
            if left < 0.8 * len(state):
                final[where] = state
                where, state, base = where[running], state[running], base[running]
            looked_at = base + self.feature[state]
            value = values[looked_at]
            outcome = (value <= self.threshold[state]).astype(np.int64)
            if self.has_sets:
                sets = np.flatnonzero(self.is_set[state])
                if len(sets):
                    place = np.nan_to_num(value[sets]).astype(np.int64)
                    outcome[sets] = self.bitmap[self.offset[state[sets]] + place]
            if has_missing:
                outcome[np.isnan(value)] = 2
            following = self.children[4 * state + outcome]
            if faults is not None and met is not None:
                code = faults.ravel()[looked_at]
                stopped = (code != 0) & (state < self.tests)
                met.reshape(-1)[where[stopped]] = code[stopped]
                following[stopped] = self.tests + _NULL
            state = following
        return final.reshape(len(roots), rows)


# --- Leaves ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class LeafTable:
    """What the leaves of a forest predict, by their index.

    Attributes:
        missing: shape (leaves,), true where there is no prediction.
        score: shape (leaves,), predicted numbers; None for classification.
        label: shape (leaves,), indices of the predicted classes.
        classes: the classes, as texts, in the order in which the trees name them.
        probabilities, confidences: shape (leaves, classes); NaN where a leaf tells none.
        entities: identifiers of the nodes.
    """

    missing: Bools
    score: Array | None
    label: Codes
    classes: tuple[str, ...]
    probabilities: Array | None
    confidences: Array | None
    entities: tuple[str, ...]


def leaf_table(leaves: Sequence[_Leaf], options: TreeOptions) -> LeafTable:
    """Tabulate the leaves.

    Raises:
        SchemaError: a score is no number though the tree is a regression.
    """
    count = len(leaves)
    dtype = np.float32 if options.context == "float" else np.float64
    missing = np.ones(count, np.bool_)
    label = np.zeros(count, np.int32)
    entities = tuple(leaf.entity for leaf in leaves)
    if not options.is_classification:
        score = np.zeros(count, dtype)
        for index, leaf in enumerate(leaves):
            if leaf.node is not None and leaf.node.score is not None:
                try:
                    score[index] = float(leaf.node.score)
                except ValueError:
                    raise SchemaError(
                        f'<Node> score "{leaf.node.score}" is no number, but the tree is a regression', leaf.node.line
                    ) from None
                missing[index] = False
        return LeafTable(missing, score, label, (), None, None, entities)
    names: dict[str, int] = {}
    for leaf in leaves:
        if leaf.node is not None:
            for part in leaf.node.distribution:
                names.setdefault(part.value, len(names))
            if leaf.node.score is not None:
                names.setdefault(leaf.node.score, len(names))
    probabilities = np.full((count, len(names)), np.nan, dtype)
    confidences = probabilities.copy()
    seen: dict[int, int] = {}
    for index, leaf in enumerate(leaves):
        node = leaf.node
        if node is None or not _has_prediction(node, True):
            continue
        if id(node) in seen:
            same = seen[id(node)]
            missing[index], label[index] = missing[same], label[same]
            probabilities[index], confidences[index] = probabilities[same], confidences[same]
            continue
        seen[id(node)] = index
        missing[index] = False
        distribution = probability_row(node, names, dtype)
        if distribution is not None:
            probabilities[index], confidences[index] = distribution
        if node.score is not None:
            label[index] = names[node.score]
        else:
            weights = [part.record_count or 0.0 for part in node.distribution]
            label[index] = names[node.distribution[int(np.argmax(weights))].value]
    told = bool((~np.isnan(probabilities[:, :1])).any()) if names else False
    return LeafTable(
        missing, None, label, tuple(names), probabilities if told else None, confidences if told else None, entities
    )


def probability_row(node: Node, names: Mapping[str, int], dtype: type) -> tuple[Array, Array] | None:
    """Probabilities and confidences of a node's classes (TreeModel, "ScoreDistribution").

    Those that are not told are shares of the record counts; confidences that are not told are the probabilities.
    """
    if not node.distribution:
        return None
    probability: Array = np.zeros(len(names), dtype)
    confidence: Array = np.zeros(len(names), dtype)
    total = sum(part.record_count or 0.0 for part in node.distribution)
    for part in node.distribution:
        share = part.probability
        if share is None:
            share = (part.record_count or 0.0) / total if total else 0.0
        probability[names[part.value]] = share
        confidence[names[part.value]] = share if part.confidence is None else part.confidence
    return probability, confidence


# --- The model element -----------------------------------------------------------------------------------------------


def stand_alone(inner: DecisionTree | Regression) -> TreeModel | RegressionModel:
    """An embedded model as the model element that it abbreviates (MultipleModels, "embedded models")."""
    fields = tuple(
        OutputField(
            line=field.line, name=field.name, display_name=field.display_name, optype=field.optype,
            data_type=field.data_type, feature=field.feature, value=field.value,
        )
        for field in inner.result_fields
    )  # fmt: skip
    output = inner.output or (Output(line=inner.line, fields=fields) if fields else None)
    schema = MiningSchema(line=inner.line)
    if isinstance(inner, DecisionTree):
        return TreeModel(
            line=inner.line, model_name=inner.model_name, function_name=inner.function_name, mining_schema=schema,
            output=output, targets=inner.targets, local_transformations=inner.local_transformations,
            missing_value_strategy=inner.missing_value_strategy, missing_value_penalty=inner.missing_value_penalty,
            no_true_child_strategy=inner.no_true_child_strategy, split_characteristic=inner.split_characteristic,
            node=inner.node,
        )  # fmt: skip
    return RegressionModel(
        line=inner.line, model_name=inner.model_name, function_name=inner.function_name, mining_schema=schema,
        output=output, targets=inner.targets, local_transformations=inner.local_transformations,
        normalization_method=inner.normalization_method, tables=inner.tables,
    )  # fmt: skip


def tree_options(tree: TreeModel) -> TreeOptions:
    """What a TreeModel says of its evaluation."""
    return TreeOptions(
        tree.function_name == "classification",
        tree.missing_value_strategy,
        tree.missing_value_penalty,
        tree.no_true_child_strategy,
        tree.x_math_context,
    )


class TreeKernel:
    """Scores a TreeModel."""

    def __init__(self, model: TreeModel, context: Context) -> None:
        self.options = options = tree_options(model)
        self.element = str(model)
        self.walker: _Walker | None = None
        self.forest: Forest | None = None
        environment = context.environment
        if options.splits_rows:
            self.walker = _Walker(model.node, options, environment)
            return
        builder = ForestBuilder(environment)
        builder.add(model.node, options)
        self.forest = Forest(builder)
        self.table = leaf_table(self.forest.leaves, options)
        self.embedded = {
            index: context.compile_inner(stand_alone(leaf.node.embedded[0]), environment)
            for index, leaf in enumerate(self.forest.leaves)
            if leaf.node is not None and leaf.node.embedded
        }

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows."""
        if self.forest is None:
            assert self.walker is not None
            return self.walker.score(scope)
        ends, met = self.forest.ends(scope)
        fault = lost_default_child(ends, None if met is None else met, scope, self.element)
        prediction = from_leaves(self.table, ends[0], None if fault is None else fault[0])
        for index, score in self.embedded.items():
            rows = np.flatnonzero(ends[0] == index)
            if len(rows):
                back = np.zeros(scope.rows, np.int64)
                back[rows] = np.arange(len(rows))
                embedded = score(scope.subset(rows)).take(back)
                here = ends[0] == index
                if not self.table.missing[index]:  # The node's own score stands in for what the model cannot tell.
                    here &= ~embedded.value.is_missing()
                prediction = prediction.merge(embedded, here)
        return prediction


def lost_default_child(ends: Ints, met: Codes | None, scope: Scope, element: str) -> Codes | None:
    """Faults of rows that needed a default child where a node names none; shape (trees, rows)."""
    lost = ends == _LOST
    if not lost.any():
        return met
    message = "a value is missing, and the node names no defaultChild to go to"
    code = scope.faults.add(Fault(message, None, None, element))
    return first_fault(met, np.where(lost, code, 0).astype(np.int32))


def from_leaves(table: LeafTable, ends: Ints, fault: Codes | None) -> Prediction:
    """The prediction of rows that came to some leaves."""
    missing = table.missing[ends]
    absent = missing if missing.any() else None
    entity = Column("string", ends.astype(np.int32), absent, table.entities, None, fault)
    if table.score is not None:
        score = table.score[ends]
        value = Column("float" if score.dtype == np.float32 else "double", score, absent, fault=fault)
        return Prediction(value, entity=entity)
    value = Column("string", table.label[ends], absent, table.classes or ("",), fault=fault)
    probabilities = None if table.probabilities is None else table.probabilities[ends]
    confidences = None if table.confidences is None else table.confidences[ends]
    return Prediction(value, table.classes, probabilities, confidences, entity)


class _Walker:
    """Walks a tree node by node with the rows that reach it, for strategies that split rows among children.

    weightedConfidence: where a child's predicate is unknown, it and all its siblings that are not false are followed,
    weighted by their record counts; confidences are summed. aggregateNodes: likewise, summing the leaves' record
    counts. A penalty is multiplied to confidences for each level at which a value was missing (TreeModel,
    "missingValueStrategy", "missingValuePenalty").
    """

    def __init__(self, root: Node, options: TreeOptions, environment: Environment) -> None:
        self.root = root
        self.options = options
        self.tests: dict[int, Test] = {}
        self.names = node_names(root)
        leaves = []
        stack = [root]
        while stack:
            node = stack.pop()
            self.tests[id(node)] = compile_predicate(node.predicate, environment)
            leaves.append(_Leaf(node, self.names[id(node)]))
            stack.extend(reversed(node.nodes))
        self.index = {id(leaf.node): position for position, leaf in enumerate(leaves)}
        self.table = leaf_table(leaves, options)

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows."""
        rows = scope.rows
        width = 1 if self.table.score is not None else len(self.table.classes)
        sums = np.zeros((rows, width))
        weights = np.zeros(rows)
        penalties = np.ones(rows)
        leaf = np.full(rows, -1, np.int64)
        fault = np.zeros(rows, np.int32)
        split = np.zeros(rows, np.bool_)
        everything = np.arange(rows)
        start = self.tests[id(self.root)](scope)
        if start.fault is not None:
            fault |= start.fault
        stack: list[tuple[Node, Ints, Floats, Node | None]] = []
        stack.append((self.root, everything[start.true], np.ones(int(start.true.sum())), None))
        truths: dict[int, Truth] = {}

        def finish(node: Node | None, at: Ints, weight: Floats) -> None:
            if node is None or not len(at) or not _has_prediction(node, self.options.is_classification):
                return
            index = self.index[id(node)]
            amount = (node.record_count or 0.0) if self.options.strategy == "aggregateNodes" else 1.0
            row = np.array([self.table.score[index]]) if self.table.score is not None else self._row(index)
            scale = np.where(split[at], weight * amount, weight)
            sums[at] += scale[:, None] * row
            weights[at] += scale
            leaf[at] = index

        while stack:
            node, at, weight, last = stack.pop()
            if not len(at):
                continue
            last = node if _has_prediction(node, self.options.is_classification) else last
            if not node.nodes:
                finish(node, at, weight)
                continue
            remaining = np.ones(len(at), np.bool_)
            for position, child in enumerate(node.nodes):
                if not remaining.any():
                    break
                truth = self._truth(child, scope, truths)
                if truth.fault is not None:
                    bad = remaining & (truth.fault[at] != 0)
                    fault[at[bad]] = truth.fault[at[bad]]
                    remaining &= ~bad
                true = remaining & truth.true[at]
                unknown = remaining & truth.is_unknown()[at]
                if truth.surrogate is not None:
                    penalties[at[remaining & truth.surrogate[at]]] *= self.options.penalty
                stack.append((child, at[true], weight[true], last))
                remaining &= ~true
                if self.options.strategy == "none" or not unknown.any():
                    continue
                remaining &= ~unknown
                penalties[at[unknown]] *= self.options.penalty
                match self.options.strategy:
                    case "lastPrediction":
                        finish(last, at[unknown], weight[unknown])
                    case "defaultChild":
                        chosen = [item for item in node.nodes if item.id == node.default_child]
                        if chosen:
                            stack.append((chosen[0], at[unknown], weight[unknown], last))
                        else:
                            code = scope.faults.add(
                                Fault("a value is missing, and the node names no defaultChild", None, None, str(node))
                            )
                            fault[at[unknown]] = code
                    case "weightedConfidence" | "aggregateNodes":
                        split[at[unknown]] = True
                        self._follow_all(
                            node.nodes[position:], at[unknown], weight[unknown], last, scope, truths, stack
                        )
                    case _:
                        pass
            if self.options.no_true_child == "returnLastPrediction":
                finish(last, at[remaining], weight[remaining])
        return self._prediction(sums, weights, penalties, leaf, split, fault)

    def _row(self, index: int) -> Array:
        """What a leaf adds for each class: its confidences, or all to its score."""
        table = self.table.confidences if self.options.strategy != "aggregateNodes" else self.table.probabilities
        if table is not None and not np.isnan(table[index]).any():
            told: Array = table[index].astype(np.float64)
            return told
        row = np.zeros(len(self.table.classes))
        row[self.table.label[index]] = 1.0
        return row

    def _truth(self, node: Node, scope: Scope, truths: dict[int, Truth]) -> Truth:
        found = truths.get(id(node))
        if found is None:
            found = truths[id(node)] = self.tests[id(node)](scope)
        return found

    def _follow_all(
        self,
        children: Sequence[Node],
        at: Ints,
        weight: Floats,
        last: Node | None,
        scope: Scope,
        truths: dict[int, Truth],
        stack: list[tuple[Node, Ints, Floats, Node | None]],
    ) -> None:
        """Send rows on to all children that are not false, weighted by record counts."""
        open_to = []
        for child in children:
            truth = self._truth(child, scope, truths)
            open_to.append(truth.true[at] | truth.is_unknown()[at])
        counts = [child.record_count or 0.0 for child in children]
        total = np.zeros(len(at))
        for mask, count in zip(open_to, counts, strict=True):
            total += np.where(mask, count, 0.0)
        for child, mask, count in zip(children, open_to, counts, strict=True):
            if self.options.strategy == "aggregateNodes":
                share = weight
            else:
                with np.errstate(all="ignore"):
                    share = np.where(total > 0, weight * count / total, 0.0)
            stack.append((child, at[mask], share[mask], last))

    def _prediction(
        self, sums: Floats, weights: Floats, penalties: Floats, leaf: Ints, split: Bools, fault: Codes
    ) -> Prediction:
        missing = weights <= 0
        absent = missing if missing.any() else None
        faults = fault if fault.any() else None
        with np.errstate(all="ignore"):
            average = np.where(missing[:, None], 0.0, sums / weights[:, None])
        at = np.maximum(leaf, 0)
        entity = Column("string", at.astype(np.int32), missing | split, self.table.entities)
        if self.table.score is not None:
            return Prediction(Column("double", average[:, 0], absent, fault=faults), entity=entity)
        labels = np.where(split, average.argmax(axis=1), self.table.label[at]).astype(np.int32)
        value = Column("string", labels, absent, self.table.classes or ("",), fault=faults)
        whole = ~split
        probabilities = average
        if self.table.probabilities is not None:
            told = self.table.probabilities[at].astype(np.float64)
            probabilities = np.where((whole & ~np.isnan(told).any(axis=1))[:, None], told, average)
        return Prediction(value, self.table.classes, probabilities, average * penalties[:, None], entity)
