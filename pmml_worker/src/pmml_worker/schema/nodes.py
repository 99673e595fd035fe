"""The nodes of a decision tree as flat columns: a forest has millions of them, too many for an object each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pmml_worker.errors import SchemaError
from pmml_worker.kernels import _native

if TYPE_CHECKING:
    from pmml_worker.schema.elements import DecisionTree, Predicate, Regression

TAG = "Node"
"""Name of the element that is a node."""


class Test(IntEnum):
    """What the predicate of a node is."""

    TRUE = 0
    FALSE = 1
    EQUAL = 2
    NOT_EQUAL = 3
    LESS_THAN = 4
    LESS_OR_EQUAL = 5
    GREATER_THAN = 6
    GREATER_OR_EQUAL = 7
    IS_MISSING = 8
    IS_NOT_MISSING = 9
    OTHER = 10


@dataclass(frozen=True, slots=True, eq=False)
class NodeTable:
    """A tree's nodes in document order, the root first; so children come after their parent, in their order.

    Attributes:
        texts: the document's distinct texts, the same list for all its trees; columns of texts hold indices into it, -1
            where the attribute is absent.
        line: shape (nodes,), where each node's start tag stands.
        parent: shape (nodes,), index of the parent, -1 for the root.
        id, score, default_child: shape (nodes,), indices into `texts`.
        record_count: shape (nodes,), NaN where absent.
        test: shape (nodes,), a `Test`: the node's predicate.
        field, value: shape (nodes,), indices into `texts`: what a simple predicate compares with what.
        others: predicates of nodes whose test is OTHER (sets and compounds), by node.
        distribution: shape (nodes + 1,): node i has the entries from `distribution[i]` up to `distribution[i + 1]`.
        class_: shape (entries,), indices into `texts`: the classes of all nodes' ScoreDistributions.
        class_count, class_confidence, class_probability: shape (entries,), NaN where absent.
        embedded: models embedded in nodes, by node.
    """

    texts: Sequence[str]
    line: npt.NDArray[np.int32]
    parent: npt.NDArray[np.int32]
    id: npt.NDArray[np.int32]
    score: npt.NDArray[np.int32]
    default_child: npt.NDArray[np.int32]
    record_count: npt.NDArray[np.float64]
    test: npt.NDArray[np.uint8]
    field: npt.NDArray[np.int32]
    value: npt.NDArray[np.int32]
    others: Mapping[int, Predicate]
    distribution: npt.NDArray[np.int32]
    class_: npt.NDArray[np.int32]
    class_count: npt.NDArray[np.float64]
    class_confidence: npt.NDArray[np.float64]
    class_probability: npt.NDArray[np.float64]
    embedded: Mapping[int, DecisionTree | Regression]


_OTHERS = ("SimpleSetPredicate", "CompoundPredicate")
_SHAPE = _native.Shape(
    record=(TAG, ["id", "score", "defaultChild"], ["recordCount"]),
    entry=("ScoreDistribution", ["value"], ["recordCount", "confidence", "probability"]),
    mark=("SimplePredicate", ["field", "value"], []),
    choice="operator",
    choices={
        "equal": Test.EQUAL, "notEqual": Test.NOT_EQUAL, "lessThan": Test.LESS_THAN,
        "lessOrEqual": Test.LESS_OR_EQUAL, "greaterThan": Test.GREATER_THAN,
        "greaterOrEqual": Test.GREATER_OR_EQUAL, "isMissing": Test.IS_MISSING,
        "isNotMissing": Test.IS_NOT_MISSING,
    },
    names={"True": Test.TRUE, "False": Test.FALSE},
    kinds=" or ".join(["SimplePredicate", *_OTHERS, "True", "False"]),
)  # fmt: skip


def told() -> dict[str, tuple[str, type[Any]]]:
    """The elements in a node that are not recorded as columns, and where in a NodeTable they go."""
    from pmml_worker.schema import elements

    others = {tag: ("others", getattr(elements, tag)) for tag in _OTHERS}
    return {**others, **{tag: ("embedded", getattr(elements, tag)) for tag in ("DecisionTree", "Regression")}}


class Recorder:
    """Makes a tree's NodeTable while its nodes are read."""

    def __init__(self, texts: _native.Texts) -> None:
        self.texts = texts
        self.records = _native.Records(_SHAPE, texts)
        self.others: dict[int, Predicate] = {}
        self.embedded: dict[int, DecisionTree | Regression] = {}

    def add(self, tag: str, element: Any) -> None:
        """Add an element of the node that is open."""
        position = self.records.position
        if tag in _OTHERS:
            is_first = self.records.mark(Test.OTHER)
            self.others[position] = element
        else:
            is_first = position not in self.embedded
            self.embedded[position] = element
        if not is_first:
            raise SchemaError(f"<{TAG}> has more than one of its kind: <{tag}>", element.line)

    def table(self) -> NodeTable:
        """The nodes, once all are read."""
        columns = iter(self.records.columns())
        line = np.frombuffer(next(columns), np.int32)
        rows = len(line)

        def integers() -> npt.NDArray[np.int32]:
            column = next(columns)
            return np.frombuffer(column, np.int32) if column else absent(np.int32(-1), rows)

        def numbers() -> npt.NDArray[np.float64]:
            column = next(columns)
            return np.frombuffer(column, np.float64) if column else absent(np.float64(np.nan), rows)

        parent, test = integers(), np.frombuffer(next(columns), np.uint8)
        id_, score, default_child, record_count = integers(), integers(), integers(), numbers()
        field, value, distribution = integers(), integers(), integers()
        rows = int(distribution[-1])
        return NodeTable(
            line=line, parent=parent, test=test, id=id_, score=score, default_child=default_child,
            record_count=record_count, field=field, value=value, distribution=distribution, class_=integers(),
            class_count=numbers(), class_confidence=numbers(), class_probability=numbers(), others=self.others,
            embedded=self.embedded, texts=self.texts.list,
        )  # fmt: skip


def absent(value: np.int32 | np.float64, rows: int) -> npt.NDArray[Any]:
    """A column of an attribute that is absent everywhere; it takes no memory."""
    return np.broadcast_to(value, rows)


def stack(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The same column of many tables, one after the other."""
    if all(column.strides == (0,) for column in columns):
        value = columns[0].dtype.type(-1 if columns[0].dtype == np.int32 else np.nan)
        return absent(value, sum(map(len, columns)))
    return np.concatenate(columns)
