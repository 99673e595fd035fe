"""What a model predicts for a block of rows, before and after its targets are applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pmml_worker.transform.column import Array, Bools, Column, Ints, select
from pmml_worker.transform.scope import FieldType


@dataclass(frozen=True, slots=True)
class Prediction:
    """A prediction of one target.

    Attributes:
        value: the predicted value, shape (rows,).
        classes: the classes that `probabilities` is of, as texts.
        probabilities: shape (rows, classes), or None if the model tells classes without probabilities.
        confidences: shape (rows, classes), or None where they are the probabilities.
        entity: the identifier of the tree node or segment that made the prediction.
        segments: predictions of the segments of a MiningModel, by the segment's id.
    """

    value: Column
    classes: tuple[str, ...] = ()
    probabilities: Array | None = None
    confidences: Array | None = None
    entity: Column | None = None
    segments: Mapping[str, Prediction] = field(default_factory=dict)

    def take(self, rows: Ints) -> Prediction:
        """The prediction of some rows."""
        return Prediction(
            self.value.take(rows),
            self.classes,
            None if self.probabilities is None else self.probabilities[rows],
            None if self.confidences is None else self.confidences[rows],
            None if self.entity is None else self.entity.take(rows),
            {name: segment.take(rows) for name, segment in self.segments.items()},
        )

    def merge(self, other: Prediction, use_other: Bools) -> Prediction:
        """Rows of another prediction where a mask is true, of this one elsewhere."""
        classes = tuple(dict.fromkeys((*self.classes, *other.classes)))

        def table(mine: Array | None, its: Array | None) -> Array | None:
            if mine is None or its is None:
                return its if mine is None else mine
            one, two = (_reorder(part, old, classes) for part, old in ((mine, self.classes), (its, other.classes)))
            return np.where(use_other[:, None], two, one)

        entity = self.entity
        if entity is None or other.entity is None:
            entity = other.entity if entity is None else entity
        else:
            entity = select(use_other, other.entity, entity)
        return Prediction(
            select(use_other, other.value, self.value),
            classes,
            table(self.probabilities, other.probabilities),
            table(self.confidences, other.confidences),
            entity,
            {**self.segments, **other.segments},
        )


def _reorder(table: Array, old: tuple[str, ...], new: tuple[str, ...]) -> Array:
    """A table of classes with its columns in another order; classes that it did not have get 0."""
    if old == new:
        return table
    result = np.zeros((len(table), len(new)), table.dtype)
    for position, name in enumerate(old):
        result[:, new.index(name)] = table[:, position]
    return result


def reorder(prediction: Prediction, classes: tuple[str, ...]) -> Array | None:
    """The probabilities of a prediction for the classes of another."""
    if prediction.probabilities is None:
        return None
    return _reorder(prediction.probabilities, prediction.classes, classes)


def winner(table: Array, classes: tuple[str, ...], missing: Bools | None) -> Column:
    """The class of the largest entry of each row, the first of equals, as a column of texts."""
    codes = table.argmax(axis=1).astype(np.int32) if table.shape[1] else np.zeros(len(table), np.int32)
    return Column("string", codes, missing, classes or ("",))


@dataclass(frozen=True, slots=True)
class TargetField:
    """The target that a model predicts; an inner model may leave it unnamed."""

    name: str | None
    type: FieldType | None
