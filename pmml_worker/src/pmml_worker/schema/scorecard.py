"""Elements of scorecards (Scorecard)."""

from __future__ import annotations

from typing import Literal

from pmml_worker.schema.elements import Element, Expression, ModelElement, Predicate, element


@element
class ComplexPartialScore(Element):
    """A partial score that is computed."""

    expression: Expression


@element
class Attribute(Element):
    """What a characteristic adds to the score where the predicate is true."""

    reason_code: str | None = None
    partial_score: float | None = None
    predicate: Predicate
    complex_partial_score: ComplexPartialScore | None = None


@element
class Characteristic(Element):
    """Attributes, of which the first whose predicate is true counts."""

    name: str | None = None
    reason_code: str | None = None
    baseline_score: float | None = None
    attributes: tuple[Attribute, ...]


@element
class Characteristics(Element):
    """All characteristics."""

    characteristics: tuple[Characteristic, ...]


@element
class Scorecard(ModelElement):
    """A sum of partial scores, with the reasons for it (Scorecard)."""

    initial_score: float = 0.0
    use_reason_codes: bool = True
    reason_code_algorithm: Literal["pointsAbove", "pointsBelow"] = "pointsBelow"
    baseline_score: float | None = None
    baseline_method: Literal["max", "min", "mean", "neutral", "other"] = "other"
    characteristics: Characteristics
