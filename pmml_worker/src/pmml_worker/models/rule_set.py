"""RuleSetModel: rules that fire, and which of their predictions is chosen (RuleSet)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pmml_worker.models.kernel import Context
from pmml_worker.models.predicate import compile_predicate
from pmml_worker.schema.rule_set import CompoundRule, RuleSetModel, SimpleRule
from pmml_worker.transform.column import Bools, Codes, Column, Fault, Floats, Ints, constant, first_fault
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Environment, Scope

_RANKED = ("predictedValue", "entityId", "confidence", "ruleValue", "ruleId", "consequent")
"""Features of output fields that a rule set tells best first."""


def _flat(rules: Sequence[SimpleRule | CompoundRule]) -> Iterator[SimpleRule]:
    """The simple rules in document order."""
    for rule in rules:
        if isinstance(rule, CompoundRule):
            yield from _flat(rule.rules)
        else:
            yield rule


@dataclass(slots=True)
class _Firing:
    """Which rules fire for a block of rows: `fired`, shape (rules, rows), and the faults met on the way."""

    fired: Bools
    next: int = 0
    fault: Codes | None = None


def _compile(rules: Sequence[SimpleRule | CompoundRule], environment: Environment) -> list[_Fire]:
    return [_compile_rule(rule, environment) for rule in rules]


def _compile_rule(rule: SimpleRule | CompoundRule, environment: Environment) -> _Fire:
    """A rule asks its predicate of the rows where all predicates around it are true."""
    test = compile_predicate(rule.predicate, environment)
    inner = _compile(rule.rules, environment) if isinstance(rule, CompoundRule) else None

    def fire(scope: Scope, where: Bools, firing: _Firing) -> None:
        truth = test(scope)
        if truth.fault is not None:
            firing.fault = first_fault(firing.fault, np.where(where, truth.fault, 0).astype(np.int32))
        true = where & truth.true
        if inner is None:
            firing.fired[firing.next] = true
            firing.next += 1
            return
        for part in inner:
            part(scope, true, firing)

    return fire


_Fire: TypeAlias = Callable[[Scope, Bools, _Firing], None]


class RuleSetKernel:
    """A compiled rule set.

    The default prediction is a rule of its own, which stands last and fires where no other does.
    """

    def __init__(self, model: RuleSetModel, context: Context) -> None:
        rules = model.rule_set
        flat = list(_flat(rules.rules))
        self.element = str(rules)
        self.criterion = rules.selection_methods[0].criterion
        self.has_default = rules.default_score is not None
        names = [rule.id or str(position) for position, rule in enumerate(flat, 1)]
        self.ids = (*names, "")
        self.rules = _compile(rules.rules, context.environment)
        self.count = len(flat)
        self.weights = np.array([*(rule.weight for rule in flat), 0.0])
        default = np.nan if rules.default_confidence is None else rules.default_confidence
        self.confidences = np.array([*(rule.confidence for rule in flat), default])
        scores = [*(rule.score for rule in flat), rules.default_score or ""]
        # With equal weights the class that the data dictionary lists first wins, then the one that fired first.
        known = context.targets[0].type
        listed = {value: place for place, value in enumerate(known.values if known else ())}
        self.classes = tuple(dict.fromkeys(scores if self.has_default else scores[:-1]))
        self.places = np.array([listed.get(name, len(listed)) for name in self.classes], np.int64)
        # The best rules first: the heaviest where weights decide, else as the document has them; the default last.
        by_weight = self.criterion != "firstHit"
        order = sorted(range(len(flat)), key=lambda rule: -self.weights[rule] if by_weight else 0)
        if self.has_default:
            order.append(len(flat))
        self.members = [np.array([rule for rule in order if scores[rule] == name]) for name in self.classes]
        self.order = np.empty(len(flat) + 1, np.int64)
        self.order[order] = np.arange(len(order))
        fields = model.output.fields if model.output else ()
        asked = max((field.rank for field in fields if field.feature in _RANKED), default=1)
        self.ranks = max(1, min(asked, len(self.classes)))

    def score(self, scope: Scope) -> Prediction:
        """Let the rules fire and choose among their predictions (RuleSet, "RuleSelectionMethod")."""
        firing = _Firing(np.zeros((self.count + 1, scope.rows), np.bool_))
        for rule in self.rules:
            rule(scope, np.ones(scope.rows, np.bool_), firing)
        fired, fault = firing.fired, firing.fault
        silent = ~fired.any(axis=0)
        if not self.has_default and silent.any():
            message = "no rule fires, and there is no default score"
            code = scope.faults.add(Fault(message, None, None, self.element))
            fault = first_fault(fault, np.where(silent, code, 0).astype(np.int32))
        fired[-1] = silent & self.has_default
        if not self.classes:
            return Prediction(constant(None, "string", scope.rows).with_fault(fault))
        return self._chosen(fired, fault)

    def _chosen(self, fired: Bools, fault: Codes | None) -> Prediction:
        rows = fired.shape[1]
        every = np.arange(rows)
        # By class: whether a rule of it fired, the best that did, and its confidence.
        present = np.empty((len(self.classes), rows), np.bool_)
        best = np.empty((len(self.classes), rows), np.int64)
        for position, members in enumerate(self.members):
            mine = fired[members]
            best[position] = members[mine.argmax(axis=0)]
            present[position] = mine.any(axis=0)
        confidences = np.where(present, self.confidences[best], 0.0)
        rank = self._by_order(best, present)
        if self.criterion == "weightedSum":
            totals = self._totals(fired)
            count = fired[:-1].sum(axis=0)
            confidences = np.where(count > 0, totals / np.maximum(count, 1), confidences)
            rank = self._by_total(totals, present, fired, count > 0, rank)
        ranked: dict[str, list[Column]] = {"predictedValue": [], "entityId": [], "confidence": []}
        for _ in range(self.ranks):
            chosen = rank.argmin(axis=0)
            absent = ~present[chosen, every]
            rule = best[chosen, every]
            rank[chosen, every] = np.inf
            confidence = confidences[chosen, every]
            ranked["predictedValue"].append(Column("string", chosen.astype(np.int32), absent, self.classes))
            unnamed = absent | (rule == self.count)
            ranked["entityId"].append(Column("string", rule.astype(np.int32), unnamed, self.ids))
            ranked["confidence"].append(Column("double", confidence, absent | np.isnan(confidence)))
            present[chosen, every] = False
        told = {name: tuple(columns) for name, columns in ranked.items()}
        told |= {"ruleId": told["entityId"], "consequent": told["predictedValue"]}
        value = told["predictedValue"][0].with_fault(fault)
        return Prediction(
            value, self.classes, None, np.nan_to_num(confidences.T), entity=told["entityId"][0], ranked=told
        )

    def _by_order(self, best: Ints, present: Bools) -> Floats:
        """Shape (classes, rows): the place of each class's best rule, infinite where none fired."""
        return np.where(present, self.order[best], np.inf)

    def _totals(self, fired: Bools) -> Floats:
        """Shape (classes, rows): the weights of the rules that fired, added in the document's order."""
        totals = np.zeros((len(self.classes), fired.shape[1]))
        for position, members in enumerate(self.members):
            for rule in np.sort(members):
                totals[position] += np.where(fired[rule], self.weights[rule], 0.0)
        return totals

    def _by_total(self, totals: Floats, present: Bools, fired: Bools, any_fired: Bools, otherwise: Floats) -> Floats:
        """Shape (classes, rows): the place of each class by its total, the highest first."""
        first = np.stack([np.sort(members)[fired[np.sort(members)].argmax(axis=0)] for members in self.members])
        tied = self.places[:, None] * len(self.order) + first
        order = np.lexsort((tied, np.where(present, -totals, np.inf)), axis=0)
        place = np.empty_like(order)
        np.put_along_axis(place, order, np.arange(len(order))[:, None], axis=0)
        return np.where(any_fired, np.where(present, place.astype(np.float64), np.inf), otherwise)
