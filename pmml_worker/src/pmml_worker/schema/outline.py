"""What a document holds, as a tree of short lines: elements, what they say, how many of what they hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pmml_worker.schema.elements import (
    CompoundPredicate,
    DecisionTree,
    Element,
    MiningModel,
    ModelElement,
    Predicate,
    Regression,
    SimplePredicate,
    SimpleSetPredicate,
    TreeModel,
    True_,
)
from pmml_worker.schema.nodes import NodeTable

_OPERATORS = {
    "equal": "=", "notEqual": "!=", "lessThan": "<", "lessOrEqual": "<=", "greaterThan": ">", "greaterOrEqual": ">=",
    "isMissing": "is missing", "isNotMissing": "is not missing",
}  # fmt: skip
_LONG = 60
"""Characters of a predicate that are shown."""

_AROUND = frozenset({"line", "mining_schema", "output", "targets", "local_transformations", "model_name",
                     "function_name", "is_scorable", "extensions",
                     "model_verification"})  # fmt: skip
"""Fields of a model element that say nothing of how it predicts."""


@dataclass(frozen=True, slots=True)
class Outline:
    """A line about an element, and those about what it holds.

    Attributes:
        text: the element's name, its attributes that are not the standard's defaults, and what it holds.
        parts: segments of a MiningModel, derived fields and embedded models, in the document's order.
    """

    text: str
    parts: tuple[Outline, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines("", ""))

    def _lines(self, first: str, others: str) -> Iterator[str]:
        yield first + self.text
        for position, (part, count) in enumerate(_runs(self.parts)):
            last = position == len(_runs(self.parts)) - 1
            again = f"  ({count} like this)" if count > 1 else ""
            lines = part._lines(others + ("└── " if last else "├── "), others + ("    " if last else "│   "))
            yield next(lines) + again
            yield from lines


def _runs(parts: tuple[Outline, ...]) -> list[tuple[Outline, int]]:
    """Parts with how many follow one another that read the same but for their numbers."""
    runs: list[tuple[Outline, int]] = []
    for part in parts:
        if runs and _shape(runs[-1][0]) == _shape(part):
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((part, 1))
    return runs


def _shape(outline: Outline) -> tuple[str, tuple[Any, ...]]:
    letters = "".join("#" if letter.isdigit() else letter for letter in outline.text)
    while "##" in letters:
        letters = letters.replace("##", "#")
    return letters.replace("#.#", "#"), tuple(_shape(part) for part in outline.parts)


def outline(model: ModelElement | DecisionTree | Regression) -> Outline:
    """The outline of a model element, or of a model embedded in one."""
    name = model.TAG or type(model).__name__
    head = f'{name} "{model.model_name}"' if model.model_name else name
    parts = []
    if isinstance(model, MiningModel) and model.segmentation is not None:
        method = model.segmentation.multiple_model_method
        head += f" ({model.function_name}): {len(model.segmentation.segments)} segments, {method}"
        for position, segment in enumerate(model.segmentation.segments, 1):
            inner = outline(segment.model)
            label = f"segment {segment.id or position}"
            if segment.weight != 1.0:
                label += f", weight {segment.weight:g}"
            if not isinstance(segment.predicate, True_):
                label += f", if {predicate_text(segment.predicate)}"
            parts.append(Outline(f"{label}: {inner.text}", inner.parts))
        return Outline(head, tuple(parts))
    said = [f"({model.function_name})"]
    if isinstance(model, TreeModel | DecisionTree):
        said.append(_tree(model.node))
    said.extend(_attributes(model))
    if isinstance(model, MiningModel):
        parts = [outline(inner) for inner in model.embedded]
    return Outline(f"{head} {', '.join(said)}".replace("), ", "): ", 1), tuple(parts))


def _tree(nodes: NodeTable) -> str:
    depth = [0] * len(nodes.parent)
    for node, parent in enumerate(nodes.parent.tolist()):
        if parent >= 0:
            depth[node] = depth[parent] + 1
    return f"{len(depth)} nodes, depth {max(depth)}"


def _attributes(model: Element) -> Iterator[str]:
    """Attributes that are not the standard's defaults, and numbers of child elements."""
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if field.name in _AROUND or value is None or isinstance(value, NodeTable) or value == field.default:
            continue
        if isinstance(value, tuple):
            kinds: dict[str, int] = {}
            for item in value:
                if isinstance(item, Element):
                    kind = item.TAG or type(item).__name__
                    kinds[kind] = kinds.get(kind, 0) + 1
            yield from (f"{count} {kind}" for kind, count in kinds.items())
        elif isinstance(value, Element):
            yield from _attributes(value)
        elif isinstance(value, str | int | float):
            head, *tail = field.name.rstrip("_").split("_")
            name = field.metadata.get("xml", head + "".join(part.capitalize() for part in tail))
            yield f"{name}={value}"


def predicate_text(predicate: Predicate) -> str:
    """A predicate as people write it, cut where it is long."""
    text = _predicate(predicate)
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"


def _predicate(predicate: Predicate) -> str:
    match predicate:
        case SimplePredicate():
            return f"{predicate.field} {_OPERATORS[predicate.operator]} {predicate.value or ''}".rstrip()
        case SimpleSetPredicate():
            sign = "in" if predicate.boolean_operator == "isIn" else "not in"
            return f"{predicate.field} {sign} {{{', '.join(predicate.array.items())}}}"
        case CompoundPredicate():
            return f" {predicate.boolean_operator} ".join(f"({_predicate(part)})" for part in predicate.predicates)
        case True_():
            return "true"
        case _:
            return "false"
