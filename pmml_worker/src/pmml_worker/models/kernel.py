"""What a model element is compiled with, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pmml_worker.schema.elements import ModelElement
from pmml_worker.transform.column import Column
from pmml_worker.transform.prediction import Prediction, TargetField
from pmml_worker.transform.scope import Environment, Scope

Evaluation: TypeAlias = tuple[dict[str | None, Prediction], dict[str, Column]]
"""Predictions by target field, and output fields of inner models by name."""


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds a model element.

    Attributes:
        environment: the fields and functions that its elements may name.
        targets: the fields that it predicts; one unnamed if it names none.
        compile_inner: compiles a model that the element holds, seen from an environment; it gives, for a scope, the
            inner model's prediction.
        is_outermost: whether the model is the document's own, so that only its output fields read its prediction.
    """

    environment: Environment
    targets: tuple[TargetField, ...]
    compile_inner: Callable[[ModelElement, Environment], Callable[[Scope], Prediction]]
    is_outermost: bool


class Kernel(Protocol):
    """A compiled model element; any number of threads may score with one at once."""

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows."""


class KernelOfTargets(Protocol):
    """A compiled model element that predicts several targets."""

    def score(self, scope: Scope) -> Mapping[str | None, Prediction]:
        """Predict for a block of rows, by the target's name."""
