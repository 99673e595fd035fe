"""One row at a time, from scalars to scalars: the short way for models and rows that have nothing out of the ordinary.

Whatever is out of the ordinary, in a document or in a row, is declined and left to the scoring of blocks, which knows
all of the standard. So what is here need not know everything; it must only be right wherever it does not decline.
"""

from __future__ import annotations

import contextlib
import struct
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from pmml_worker.schema.elements import (
    Constant,
    DataField,
    DataType,
    DerivedField,
    Expression,
    FieldRef,
    Interval,
    MathContext,
    MiningField,
    NormContinuous,
    NormDiscrete,
    OutputField,
    Target,
)
from pmml_worker.transform.scope import FieldType
from pmml_worker.transform.values import Scalar, parse

Values: TypeAlias = list[Any]
"""What the fields of a row are, by their places: float, int, str or bool; None is missing."""

Compute: TypeAlias = Callable[[Values], Any]


class Declined(Exception):
    """A document or a row is for the scoring of blocks."""


@dataclass(slots=True)
class RowPrediction:
    """What a kernel tells of one row.

    Attributes:
        value: the predicted value.
        probabilities: by class, in the order of the kernel's classes.
        ranked: as in Prediction, by feature: the best first.
    """

    value: Any
    probabilities: Sequence[float] = ()
    ranked: Mapping[str, Sequence[Any]] | None = None


RowScore: TypeAlias = Callable[[Values], RowPrediction]


@dataclass(frozen=True, slots=True)
class RowForm:
    """How a kernel scores one row.

    Attributes:
        score: from a row's values to its prediction.
        classes: what the prediction's probabilities are of.
        outputs: output fields of inner models that are the whole's own, by name: their places in the row's values.
    """

    score: RowScore
    classes: tuple[str, ...] = ()
    outputs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowModel:
    """How a model scores one row: its kernel's form, with its targets and output fields.

    Attributes:
        score, classes: as of RowForm.
        nested: output fields of inner models, by name: their places in the row's values.
        own: its own output fields, by name.
    """

    score: RowScore
    classes: tuple[str, ...]
    nested: Mapping[str, int]
    own: Mapping[str, Callable[[RowPrediction], Any]]


@runtime_checkable
class HasRowForm(Protocol):
    """A kernel that can score one row."""

    def row(self, fields: RowFields) -> RowForm:
        """Compile the form.

        Raises:
            Declined: the model has something that only the scoring of blocks knows.
        """


# --- Fields ----------------------------------------------------------------------------------------------------------

_CLASSES: dict[DataType, type[Any]] = {"double": float, "float": float, "integer": int, "string": str, "boolean": bool}
_FLOAT = struct.Struct("f")


def to_float(value: float) -> float:
    """The nearest number of single precision.

    Raises:
        Declined: it is too large.
    """
    try:
        result: float = _FLOAT.unpack(_FLOAT.pack(value))[0]
    except OverflowError:
        raise Declined from None
    return result


@dataclass(frozen=True, slots=True)
class _Input:
    """A field of the data and what its values must be to be taken as they are."""

    name: str
    cls: type[Any]
    is_float: bool
    valid: frozenset[Scalar] | None
    intervals: tuple[Interval, ...]
    replacement: Scalar | None
    refuses_missing: bool

    @property
    def is_plain(self) -> bool:
        """Whether any value of the class will do."""
        return self.valid is None and not self.intervals and not self.is_float

    def take(self, given: Any) -> Any:
        """A value that is not simply of the class."""
        value = given
        if value is None or value != value:
            if self.refuses_missing:
                raise Declined
            return self.replacement
        if self.cls is float and type(value) is int and abs(value) < 1 << 53:
            value = float(value)
        if type(value) is not self.cls or (self.cls is int and abs(value) >= 1 << 53):
            raise Declined
        if self.is_float:
            value = to_float(value)
        if self.valid is not None and value not in self.valid:
            raise Declined
        if self.intervals and not any(_contains(interval, value) for interval in self.intervals):
            raise Declined
        return value


def _contains(interval: Interval, value: float) -> bool:
    left, right = interval.left_margin, interval.right_margin
    if left is not None and (value < left or (value == left and interval.closure.startswith("open"))):
        return False
    return right is None or value < right or (value == right and interval.closure.endswith("Closed"))


def _input(field: DataField, use: MiningField) -> _Input:
    if (
        field.data_type not in _CLASSES
        or any(value.property != "valid" for value in field.values)
        or use.outliers != "asIs"
    ):
        raise Declined
    cls = _CLASSES[field.data_type]
    if cls is bool and field.values:
        raise Declined
    replacement = use.missing_value_replacement
    try:
        valid = frozenset(parse(value.value, field.data_type) for value in field.values) or None
        instead = None if replacement is None else parse(replacement, field.data_type)
    except ValueError:
        raise Declined from None
    return _Input(
        name=field.name,
        cls=cls,
        is_float=field.data_type == "float",
        valid=valid,
        intervals=field.intervals,
        replacement=instead,
        refuses_missing=use.missing_value_treatment in ("returnInvalid", "x-returnInvalid"),
    )


class RowFields:
    """The fields that kernels of a model may ask for, each with a place in a row's values."""

    def __init__(self, fields: Mapping[str, DataField], uses: Sequence[MiningField]) -> None:
        self.inputs: list[_Input] = []
        self.steps: list[Compute] = []
        self._places: dict[str, int] = {}
        self._types: dict[str, DataType] = {}
        self._derived: dict[str, DerivedField] = {}
        for use in uses:
            if use.usage_type != "active" or use.name not in fields:
                continue
            with contextlib.suppress(Declined):  # The model may not ask for it.
                self.inputs.append(_input(fields[use.name], use))
                self._places[use.name] = len(self.inputs) - 1
                self._types[use.name] = fields[use.name].data_type

    def define(self, derived: Sequence[DerivedField]) -> None:
        """Make derived fields known; each is computed only if a kernel asks for it."""
        for item in derived:
            if item.name in self._places or item.name in self._derived:
                raise Declined
            self._derived[item.name] = item

    def type_of(self, name: str) -> DataType:
        """The type of a field that has a place.

        Raises:
            Declined: it has none.
        """
        if name not in self._types:
            raise Declined
        return self._types[name]

    def place(self, name: str) -> int:
        """Where a field is in a row's values.

        Raises:
            Declined: it cannot be computed row by row.
        """
        found = self._places.get(name)
        if found is not None:
            return found
        field = self._derived.get(name)
        if field is None:
            raise Declined
        return self.compute(name, self.typed(field.expression, field.data_type), field.data_type)

    def compute(self, name: str | None, step: Compute, data_type: DataType) -> int:
        """Give a place, and perhaps a name, to what is computed of earlier values."""
        self.steps.append(step)
        place = len(self.inputs) + len(self.steps) - 1
        if name is not None:
            self._places[name], self._types[name] = place, data_type
        return place

    def typed(self, expression: Expression, data_type: DataType) -> Compute:
        """An expression as a function of a row's values, with a result of a type.

        Raises:
            Declined: it is none of the simple ones.
        """
        evaluate, own = self.expression(expression)
        if own == data_type:
            return evaluate
        if (own, data_type) == ("double", "float"):
            return lambda values: None if (value := evaluate(values)) is None else to_float(value)
        if (own, data_type) in (("float", "double"), ("integer", "double")):
            return lambda values: None if (value := evaluate(values)) is None else float(value)
        raise Declined

    def expression(self, expression: Expression) -> tuple[Compute, DataType]:
        """An expression as a function of a row's values, and its type.

        Raises:
            Declined: it is none of the simple ones.
        """
        match expression:
            case FieldRef() if expression.map_missing_to is None:
                place = self.place(expression.field)
                return (lambda values: values[place]), self._types[expression.field]
            case Constant() if expression.data_type in ("double", "string") and not expression.missing:
                value = parse(expression.text, expression.data_type)
                return (lambda _: value), expression.data_type
            case NormDiscrete():
                place = self.place(expression.field)
                wanted = parse(expression.value, self._types[expression.field])
                instead = expression.map_missing_to
                return (
                    lambda values: instead if (value := values[place]) is None else 1.0 if value == wanted else 0.0
                ), "double"
            case NormContinuous():
                return self._norm_continuous(expression), "double"
        raise Declined

    def _norm_continuous(self, element: NormContinuous) -> Compute:
        place = self.place(element.field)
        if self._types[element.field] not in ("double", "float", "integer"):
            raise Declined
        orig = [point.orig for point in element.linear_norms]
        norm = [point.norm for point in element.linear_norms]
        last = len(orig) - 2
        instead, outliers = element.map_missing_to, element.outliers

        def evaluate(values: Values) -> float | None:
            value: float | None = values[place]
            if value is None:
                return instead
            if outliers != "asIs" and not orig[0] <= value <= orig[-1]:
                if outliers == "asMissingValues":
                    return None
                return norm[0] if value < orig[0] else norm[-1]
            at = min(max(bisect_right(orig, value) - 1, 0), last)
            return norm[at] + (value - orig[at]) / (orig[at + 1] - orig[at]) * (norm[at + 1] - norm[at])

        return evaluate

    def reader(self) -> Callable[[Mapping[str, Any]], Values]:
        """A function from a row to its values, inputs and computed ones.

        Raises (the function): Declined, where a value must be converted or treated.
        """
        inputs = [(item.name, item.cls if item.is_plain else None, item.take) for item in self.inputs]
        steps = self.steps
        names = frozenset(name for name, _, _ in inputs)

        def read(row: Mapping[str, Any]) -> Values:
            get = row.get
            values = []
            absent = 0
            for name, cls, take in inputs:
                value = get(name)
                if value.__class__ is not cls or value != value:
                    absent += value is None
                    value = take(value)
                values.append(value)
            if absent == len(inputs) and names.isdisjoint(row):
                raise Declined
            for step in steps:
                values.append(step(values))
            return values

        return read


# --- Results ---------------------------------------------------------------------------------------------------------


def target_function(
    target: Target | None, known: FieldType | None, classes: tuple[str, ...] | None, context: MathContext
) -> Callable[[Any], Any] | None:
    """What becomes of a predicted value; None if nothing (Targets).

    Args:
        target: the element, if there is one.
        known: the target field's type.
        classes: the classes of a classification, else None.
        context: the precision of rescaling.

    Raises:
        Declined: more than rescaling and conversion.
    """
    if classes is not None:
        if known is None or known.data_type == "string":
            return None
        try:
            return {name: parse(name, known.data_type) for name in classes}.__getitem__
        except ValueError:
            raise Declined from None
    steps: list[Callable[[Any], Any]] = []
    if target is not None:
        if target.cast_integer is not None or target.min is not None or target.max is not None:
            raise Declined
        factor, constant = target.rescale_factor, target.rescale_constant
        if (factor, constant) != (1.0, 0.0):
            if context == "float":
                single = np.float32
                steps.append(lambda value: float(single(value) * single(factor) + single(constant)))
            else:
                steps.append(lambda value: value * factor + constant)
    if known is not None and known.data_type == "float" and context != "float":
        steps.append(to_float)
    if len(steps) == 2:
        rescale = steps[0]
        return lambda value: to_float(rescale(value))
    return steps[0] if steps else None


def changed(score: RowScore, change: Callable[[Any], Any]) -> RowScore:
    """A score whose predicted values are changed."""

    def run(values: Values) -> RowPrediction:
        prediction = score(values)
        return RowPrediction(change(prediction.value), prediction.probabilities, prediction.ranked)

    return run


def output_function(field: OutputField, classes: Sequence[str], predicted: DataType) -> Callable[[RowPrediction], Any]:
    """What an output field tells of a prediction (Output).

    Raises:
        Declined: a feature that needs more than the prediction.
    """
    if field.segment_id is not None or not field.is_final_result:
        raise Declined
    match field.feature:
        case "predictedValue" if field.data_type in (None, predicted):
            return lambda prediction: prediction.value
        case "probability" if field.value in classes and field.data_type in (None, "double"):
            place = list(classes).index(str(field.value))
            return lambda prediction: prediction.probabilities[place]
        case "reasonCode" if field.data_type in (None, "string"):
            place = field.rank - 1

            def reason(prediction: RowPrediction) -> Any:
                ranked = (prediction.ranked or {})["reasonCode"]
                return ranked[place] if place < len(ranked) else None

            return reason
    raise Declined
