"""TreeModel (TreeModel): one tree, by the forest's kernel, or node by node where its strategy splits rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pmml_worker.models.forest import (
    LOST,
    Forest,
    LeafTable,
    TreeOptions,
    first_children,
    has_prediction,
    leaf_table,
    next_siblings,
    node_name,
    predicate_of,
)
from pmml_worker.models.kernel import Context
from pmml_worker.models.predicate import Test, Truth, compile_predicate
from pmml_worker.models.row import Declined, RowFields, RowForm, RowPrediction, Values
from pmml_worker.schema.elements import (
    DecisionTree,
    MiningSchema,
    Output,
    OutputField,
    Regression,
    RegressionModel,
    TreeModel,
)
from pmml_worker.schema.nodes import NodeTable
from pmml_worker.transform.column import Array, Bools, Codes, Column, Fault, Floats, Ints, first_fault
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Environment, Scope


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
        options = tree_options(model)
        self.element = str(model)
        self.walker: _Walker | None = None
        environment = context.environment
        nodes = model.node
        if options.splits_rows:
            self.walker = _Walker(nodes, options, environment)
            return
        self.forest = Forest(nodes, [options], environment)
        self.table = leaf_table(nodes, self.forest.nodes, options)
        self.entities = ("", "", *(node_name(nodes, int(node)) for node in self.forest.nodes[2:]))
        self.embedded = {
            leaf: context.compile_inner(stand_alone(nodes.embedded[int(node)]), environment)
            for leaf, node in enumerate(self.forest.nodes)
            if int(node) in nodes.embedded
        }

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows."""
        if self.walker is not None:
            return self.walker.score(scope)
        ends, met = self.forest.leaves(self.forest.read(scope))
        fault = lost_default_child(ends, met, scope, self.element)
        prediction = from_leaves(self.table, self.entities, ends[0], None if fault is None else fault[0])
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

    def row(self, fields: RowFields) -> RowForm:
        """The form for one row: the leaf that it reaches."""
        if self.walker is not None or self.embedded:
            raise Declined
        read, walk, table = self.forest.row_reader(fields), self.forest.kernel.row_leaves, self.table
        told = (~table.missing).tolist()
        if table.score is not None:
            predictions = [RowPrediction(value) for value in table.score.tolist()]
        else:
            rows = [()] * len(told) if table.probabilities is None else table.probabilities.tolist()
            predictions = [
                RowPrediction(table.classes[label] if table.classes else None, row)
                for label, row in zip(table.label.tolist(), rows, strict=True)
            ]
            told = [yes and not any(value != value for value in row) for yes, row in zip(told, rows, strict=True)]

        def score(values: Values) -> RowPrediction:
            leaf = walk(read(values))[0]
            if not told[leaf]:
                raise Declined
            return predictions[leaf]

        return RowForm(score, table.classes)


def lost_default_child(ends: Codes, met: Codes | None, scope: Scope, element: str) -> Codes | None:
    """Faults of rows that needed a default child where a node names none; shape (trees, rows)."""
    lost = ends == LOST
    if not lost.any():
        return met
    message = "a value is missing, and the node names no defaultChild to go to"
    code = scope.faults.add(Fault(message, None, None, element))
    return first_fault(met, np.where(lost, code, 0).astype(np.int32))


def from_leaves(table: LeafTable, entities: Sequence[str], ends: Codes, fault: Codes | None) -> Prediction:
    """The prediction of rows that came to some leaves."""
    missing = table.missing[ends]
    absent = missing if missing.any() else None
    entity = Column("string", ends, absent, entities, None, fault)
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

    def __init__(self, nodes: NodeTable, options: TreeOptions, environment: Environment) -> None:
        self.nodes = nodes
        self.options = options
        everything = np.arange(len(nodes.parent))
        self.tests: list[Test] = [compile_predicate(predicate_of(nodes, int(node)), environment) for node in everything]
        self.names = tuple(node_name(nodes, int(node)) for node in everything)
        self.told = has_prediction(nodes, options.is_classification)
        self.records = np.nan_to_num(nodes.record_count)
        self.table = leaf_table(nodes, everything, options)
        first, following = first_children(nodes).tolist(), next_siblings(nodes).tolist()
        self.children: list[list[int]] = [[] for _ in everything]
        self.default: list[int | None] = [None] * len(everything)
        for node, child in enumerate(first):
            while child >= 0:
                self.children[node].append(child)
                if nodes.id[child] >= 0 and nodes.id[child] == nodes.default_child[node] and self.default[node] is None:
                    self.default[node] = child
                child = following[child]

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
        start = self.tests[0](scope)
        if start.fault is not None:
            fault |= start.fault
        stack: list[tuple[int, Ints, Floats, int | None]] = []
        stack.append((0, everything[start.true], np.ones(int(start.true.sum())), None))
        truths: dict[int, Truth] = {}

        def finish(node: int | None, at: Ints, weight: Floats) -> None:
            if node is None or not len(at) or not self.told[node]:
                return
            amount = self.records[node] if self.options.strategy == "aggregateNodes" else 1.0
            row = np.array([self.table.score[node]]) if self.table.score is not None else self._row(node)
            scale = np.where(split[at], weight * amount, weight)
            sums[at] += scale[:, None] * row
            weights[at] += scale
            leaf[at] = node

        while stack:
            node, at, weight, last = stack.pop()
            if not len(at):
                continue
            last = node if self.told[node] else last
            if not self.children[node]:
                finish(node, at, weight)
                continue
            remaining = np.ones(len(at), np.bool_)
            for position, child in enumerate(self.children[node]):
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
                        chosen = self.default[node]
                        if chosen is not None:
                            stack.append((chosen, at[unknown], weight[unknown], last))
                        else:
                            element = f"Node, line {self.nodes.line[node]}"
                            code = scope.faults.add(
                                Fault("a value is missing, and the node names no defaultChild", None, None, element)
                            )
                            fault[at[unknown]] = code
                    case "weightedConfidence" | "aggregateNodes":
                        split[at[unknown]] = True
                        self._follow_all(
                            self.children[node][position:], at[unknown], weight[unknown], last, scope, truths, stack
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

    def _truth(self, node: int, scope: Scope, truths: dict[int, Truth]) -> Truth:
        found = truths.get(node)
        if found is None:
            found = truths[node] = self.tests[node](scope)
        return found

    def _follow_all(
        self,
        children: Sequence[int],
        at: Ints,
        weight: Floats,
        last: int | None,
        scope: Scope,
        truths: dict[int, Truth],
        stack: list[tuple[int, Ints, Floats, int | None]],
    ) -> None:
        """Send rows on to all children that are not false, weighted by record counts."""
        open_to = []
        for child in children:
            truth = self._truth(child, scope, truths)
            open_to.append(truth.true[at] | truth.is_unknown()[at])
        counts = [self.records[child] for child in children]
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
        entity = Column("string", at.astype(np.int32), missing | split, self.names)
        if self.table.score is not None:
            return Prediction(Column("double", average[:, 0], absent, fault=faults), entity=entity)
        labels = self.table.label[at]
        if self.table.classes:
            labels = np.where(split, average.argmax(axis=1), labels).astype(np.int32)
        value = Column("string", labels, absent, self.table.classes or ("",), fault=faults)
        whole = ~split
        probabilities = average
        if self.table.probabilities is not None:
            told = self.table.probabilities[at].astype(np.float64)
            probabilities = np.where((whole & ~np.isnan(told).any(axis=1))[:, None], told, average)
        return Prediction(value, self.table.classes, probabilities, average * penalties[:, None], entity)
