"""What a model predicts for a block of rows, before and after its targets are applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np

from pmml_worker.transform.column import Array, Bools, Column, Ints, blank, select
from pmml_worker.transform.scope import FieldType


@dataclass(frozen=True, slots=True)
class Prediction:
    """A prediction of one target.

    Attributes:
        value: the predicted value, shape (rows,).
        classes: the classes that `probabilities` is of, as texts.
        probabilities: shape (rows, classes), or None if the model tells classes without probabilities.
        confidences: shape (rows, classes), or None where they are the probabilities.
        entity: the identifier of the tree node, cluster, rule or segment that made the prediction.
        entities: the identifiers that `affinities` is of.
        affinities: shape (rows, entities), how near a row is to each entity; None if the model has none.
        ranked: what a model tells best first, by output feature ("reasonCode", "entityId", "affinity" ...): a column
            for each rank, missing in rows that have no more.
        standard_error: shape (rows,), of the predicted value.
        answers: columns of output fields that only the model itself can tell, by the field's name (AssociationModel).
        segments: predictions of the segments of a MiningModel, by the segment's id.
    """

    value: Column
    classes: tuple[str, ...] = ()
    probabilities: Array | None = None
    confidences: Array | None = None
    entity: Column | None = None
    entities: tuple[str, ...] = ()
    affinities: Array | None = None
    ranked: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)
    standard_error: Column | None = None
    answers: Mapping[str, Column] = field(default_factory=dict)
    segments: Mapping[str, Prediction] = field(default_factory=dict)

    def take(self, rows: Ints) -> Prediction:
        """The prediction of some rows."""
        return Prediction(
            self.value.take(rows),
            self.classes,
            None if self.probabilities is None else self.probabilities[rows],
            None if self.confidences is None else self.confidences[rows],
            None if self.entity is None else self.entity.take(rows),
            self.entities,
            None if self.affinities is None else self.affinities[rows],
            {name: tuple(column.take(rows) for column in columns) for name, columns in self.ranked.items()},
            None if self.standard_error is None else self.standard_error.take(rows),
            {name: column.take(rows) for name, column in self.answers.items()},
            {name: segment.take(rows) for name, segment in self.segments.items()},
        )

    def merge(self, other: Prediction, use_other: Bools) -> Prediction:
        """Rows of another prediction where a mask is true, of this one elsewhere."""

        def table(
            mine: Array | None, its: Array | None, ours: tuple[str, ...], theirs: tuple[str, ...]
        ) -> Array | None:
            if mine is None and its is None:
                return None
            names = union(ours, theirs)
            one, two = (
                np.full((len(use_other), len(names)), np.nan) if part is None else _reorder(part, old, names)
                for part, old in ((mine, ours), (its, theirs))
            )
            return np.where(use_other[:, None], two, one)

        def union(ours: tuple[str, ...], theirs: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(dict.fromkeys((*ours, *theirs)))

        def columns(mine: Mapping[str, Column], its: Mapping[str, Column]) -> dict[str, Column]:
            return {name: _either(mine.get(name), its.get(name), use_other) for name in {**mine, **its}}

        told = columns(_named(self), _named(other))
        ranked: dict[str, tuple[Column, ...]] = {}
        for name in {**self.ranked, **other.ranked}:
            pairs = zip_longest(self.ranked.get(name, ()), other.ranked.get(name, ()))
            ranked[name] = tuple(_either(one, two, use_other) for one, two in pairs)
        return Prediction(
            select(use_other, other.value, self.value),
            union(self.classes, other.classes),
            table(self.probabilities, other.probabilities, self.classes, other.classes),
            table(self.confidences, other.confidences, self.classes, other.classes),
            told.get("entity"),
            union(self.entities, other.entities),
            table(self.affinities, other.affinities, self.entities, other.entities),
            ranked,
            told.get("standard_error"),
            columns(self.answers, other.answers),
            {**self.segments, **other.segments},
        )


def _named(prediction: Prediction) -> dict[str, Column]:
    """The columns that a prediction may or may not have."""
    found = {"entity": prediction.entity, "standard_error": prediction.standard_error}
    return {name: column for name, column in found.items() if column is not None}


def _either(mine: Column | None, its: Column | None, use_its: Bools) -> Column:
    """Rows of one column or of another; a column that is not there is missing."""
    if mine is None:
        assert its is not None
        return blank(its, ~use_its)
    return blank(mine, use_its) if its is None else select(use_its, its, mine)


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


NUMERIC_FUNCTIONS: frozenset[str] = frozenset({"regression", "timeSeries"})
"""Mining functions whose predictions are numbers."""


@dataclass(frozen=True, slots=True)
class TargetField:
    """The target that a model predicts; an inner model may leave it unnamed."""

    name: str | None
    type: FieldType | None
