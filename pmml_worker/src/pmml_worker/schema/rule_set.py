"""Elements of rule sets (RuleSet)."""

from __future__ import annotations

from typing import Literal

from pmml_worker.schema.elements import Element, ModelElement, Predicate, ScoreDistribution, element


@element
class RuleSelectionMethod(Element):
    """How rules that fire together become predictions."""

    criterion: Literal["weightedSum", "weightedMax", "firstHit"]


@element
class SimpleRule(Element):
    """A prediction for rows whose predicate is true."""

    id: str | None = None
    score: str
    record_count: float | None = None
    nb_correct: float | None = None
    confidence: float = 1.0
    weight: float = 1.0
    predicate: Predicate
    distribution: tuple[ScoreDistribution, ...] = ()


@element
class CompoundRule(Element):
    """Rules that may fire only where a predicate of all of them is true."""

    predicate: Predicate
    rules: tuple[SimpleRule | CompoundRule, ...]


@element
class RuleSet(Element):
    """Rules, and what is predicted where none fires; the first selection method is the one to score with."""

    record_count: float | None = None
    nb_correct: float | None = None
    default_score: str | None = None
    default_confidence: float | None = None
    selection_methods: tuple[RuleSelectionMethod, ...]
    distribution: tuple[ScoreDistribution, ...] = ()
    rules: tuple[SimpleRule | CompoundRule, ...] = ()


@element
class RuleSetModel(ModelElement):
    """A set of rules (RuleSet)."""

    rule_set: RuleSet
