"""AssociationModel: the rules that a transaction's items select (AssociationRules)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.kernel import Context
from pmml_worker.models.rules import Rule, RuleOutputs, Selection, describe
from pmml_worker.models.transactions import ItemReader, group_field, group_rows, tables
from pmml_worker.schema.association import AssociationModel, AssociationRule, Item, Itemset
from pmml_worker.transform.column import Bools
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Scope


class AssociationKernel:
    """A compiled set of association rules; items are known by their position in the document."""

    def __init__(self, model: AssociationModel, context: Context) -> None:
        environment = context.environment
        self.items = len(model.items)
        self.reader = ItemReader(model.items, model, environment)
        self.group = group_field(model, environment)
        if self.group is not None:
            # A group's rows may lie anywhere in the table.
            environment.row_order.is_sequential = True
        itemsets = {itemset.id: itemset for itemset in model.itemsets}
        members = members_of(model.items, model.itemsets)
        for rule in model.rules:
            for name in (rule.antecedent, rule.consequent):
                if name not in itemsets:
                    raise SchemaError(f'<AssociationRule> names itemset "{name}", which is not defined', rule.line)
        used = dict.fromkeys(name for rule in model.rules for name in (rule.antecedent, rule.consequent))
        place = {name: position for position, name in enumerate(used)}
        self.itemsets = [members[name] for name in used]
        self.antecedents = np.array([place[rule.antecedent] for rule in model.rules], np.int64)
        self.consequents = np.array([place[rule.consequent] for rule in model.rules], np.int64)
        values = [item.value for item in model.items]
        told = []
        for position, rule in enumerate(model.rules, 1):
            left, right = itemsets[rule.antecedent], itemsets[rule.consequent]
            texts = describe(
                [values[item] for item in members[left.id]],
                [values[item] for item in members[right.id]],
                rule.id or str(position),
            )
            told.append(Rule(texts, _measures(rule, left, right)))
        self.outputs = RuleOutputs(model.output, told)

    def score(self, scope: Scope) -> Prediction:
        """Select rules for each transaction: a row, or the rows of a group (AssociationRules, "Scoring Procedure")."""
        held = self.reader.read(scope)
        transactions = group_rows(None if self.group is None else scope.column(self.group), scope.rows)
        count = int(transactions.max(initial=-1)) + 1
        selections = (self._select(table) for table in tables(held.items, transactions[held.rows], self.items, count))
        return self.outputs.predict(selections, transactions, held.fault)

    def _select(self, table: Bools) -> Selection:
        sets = np.empty((len(self.itemsets), table.shape[1]), np.bool_)
        for position, members in enumerate(self.itemsets):
            sets[position] = table[members].all(axis=0)
        return Selection(sets[self.antecedents], sets[self.consequents])


def members_of(items: Sequence[Item], itemsets: Sequence[Itemset]) -> dict[str, list[int]]:
    """The positions of each itemset's items, by its id."""
    positions = {item.id: position for position, item in enumerate(items)}
    for reference in (reference for itemset in itemsets for reference in itemset.items):
        if reference.item_ref not in positions:
            raise SchemaError(f'<ItemRef> names item "{reference.item_ref}", which is not defined', reference.line)
    return {itemset.id: [positions[reference.item_ref] for reference in itemset.items] for itemset in itemsets}


def _measures(rule: AssociationRule, left: Itemset, right: Itemset) -> dict[str, float | None]:
    """A rule's measures; those that it does not tell follow from the supports, where these are told."""
    lift, leverage, affinity = rule.lift, rule.leverage, rule.affinity
    if lift is None and right.support:
        lift = rule.confidence / right.support
    if left.support is not None and right.support is not None:
        either = left.support + right.support - rule.support
        leverage = rule.support - left.support * right.support if leverage is None else leverage
        affinity = rule.support / either if affinity is None and either else affinity
    return {
        "support": rule.support,
        "confidence": rule.confidence,
        "lift": lift,
        "leverage": leverage,
        "affinity": affinity,
    }
