"""The nodes of a decision tree as flat columns: a forest has millions of them, too many for an object each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pmml_worker.schema.elements import DecisionTree, Predicate, Regression


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
        texts: distinct texts; columns of texts hold indices into it, -1 where the attribute is absent.
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
