"""Scorecard: partial scores of characteristics, their sum, and the reasons that moved it most."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.kernels import _native
from pmml_worker.models.choice import compile_choice
from pmml_worker.models.kernel import Context
from pmml_worker.models.row import Declined, RowFields, RowForm, RowPrediction, Values
from pmml_worker.schema.elements import DataType
from pmml_worker.schema.scorecard import Attribute, Characteristic, Scorecard
from pmml_worker.transform.column import (
    Array,
    Codes,
    Column,
    Fault,
    Ints,
    cast_or_fault,
    first_fault,
)
from pmml_worker.transform.expressions import compile_expression
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Environment, Evaluate, Scope


class _Characteristic:
    """A compiled characteristic: tables by attribute, with an entry more for rows that no attribute fits.

    Attributes:
        codes: shape (attributes + 1,), positions in the scorecard's reason codes.
    """

    def __init__(
        self, element: Characteristic, card: Scorecard, reasons: dict[str, int], environment: Environment
    ) -> None:
        attributes = element.attributes
        self.element = element
        self.choose = compile_choice([attribute.predicate for attribute in attributes], environment)
        dtype = np.float32 if card.x_math_context == "float" else np.float64
        self.partial = np.array([*(_partial(attribute) for attribute in attributes), 0.0], dtype)
        self.complex: list[tuple[int, Evaluate, Attribute]] = [
            (position, compile_expression(attribute.complex_partial_score.expression, environment), attribute)
            for position, attribute in enumerate(attributes)
            if attribute.complex_partial_score is not None
        ]
        self.codes = np.zeros(len(attributes) + 1, np.int32)
        self.baseline = dtype(0)
        if card.use_reason_codes:
            baseline = card.baseline_score if element.baseline_score is None else element.baseline_score
            if baseline is None:
                raise SchemaError("<Characteristic> needs a baselineScore, its own or the scorecard's", element.line)
            self.baseline = dtype(baseline)
            for position, attribute in enumerate(attributes):
                reason = element.reason_code if attribute.reason_code is None else attribute.reason_code
                if reason is None:
                    raise SchemaError("<Attribute> needs a reasonCode, its own or its characteristic's", attribute.line)
                self.codes[position] = reasons.setdefault(reason, len(reasons))

    def score(self, scope: Scope) -> tuple[Array, Ints, Codes | None]:
        """Partial scores, the positions of the attributes that they come from, and faults."""
        chosen, fault = self.choose.ask(scope)
        partial = self.partial[chosen]
        for position, evaluate, attribute in self.complex:
            here = chosen == position
            if not here.any():
                continue
            where = str(attribute)
            column = cast_or_fault(evaluate(scope), "double", scope.faults, self.element.name, where)
            partial = np.where(here, column.values.astype(partial.dtype), partial)
            fault = first_fault(fault, _only(here, column.fault))
            if column.missing is not None and (here & column.missing).any():
                message = "the partial score cannot be computed, for want of a value"
                code = scope.faults.add(Fault(message, self.element.name, None, where))
                fault = first_fault(fault, np.where(here & column.missing, code, 0).astype(np.int32))
        unfit = chosen == len(self.partial) - 1
        if unfit.any():
            message = f'no attribute of characteristic "{self.element.name or ""}" fits'
            code = scope.faults.add(Fault(message, self.element.name, None, str(self.element)))
            fault = first_fault(fault, np.where(unfit, code, 0).astype(np.int32))
        return partial, chosen, fault


def _partial(attribute: Attribute) -> float:
    if attribute.partial_score is None and attribute.complex_partial_score is None:
        raise SchemaError("<Attribute> needs a partialScore or a <ComplexPartialScore>", attribute.line)
    return attribute.partial_score or 0.0


def _only(rows: Array, fault: Codes | None) -> Codes | None:
    return None if fault is None else np.where(rows, fault, 0).astype(np.int32)


_points = itemgetter(0)


class ScorecardKernel:
    """A compiled scorecard."""

    def __init__(self, model: Scorecard, context: Context) -> None:
        reasons: dict[str, int] = {}
        self.initial = model.initial_score
        self.above = model.reason_code_algorithm == "pointsAbove"
        self.characteristics = [
            _Characteristic(element, model, reasons, context.environment)
            for element in model.characteristics.characteristics
        ]
        self.data_type: DataType = "float" if model.x_math_context == "float" else "double"
        self.reasons = tuple(reasons)
        # Characteristics that may give the same reason count as one.
        given = [set(item.codes[:-1].tolist()) for item in self.characteristics]
        self.shared = (
            [(early, late) for late in range(len(given)) for early in range(late) if given[early] & given[late]]
            if self.reasons
            else []
        )
        # A model around this one may ask for reasons that this one's own output does not.
        fields = model.output.fields if model.output else ()
        asked = max((field.rank for field in fields if field.feature == "reasonCode"), default=len(given))
        self.ranks = min(asked, len(given)) if self.reasons else 0

    def row(self, fields: RowFields) -> RowForm:
        """The form for one row."""
        if self.data_type == "float" or self.shared:
            raise Declined
        parts = []
        for item in self.characteristics:
            if item.complex:
                raise Declined
            points = [float(item.baseline) - part for part in item.partial.tolist()]
            if self.above:
                points = [-point for point in points]
            reasons = [self.reasons[code] for code in item.codes.tolist()] if self.reasons else []
            parts.append((item.choose.row(fields), len(item.partial) - 1, item.partial.tolist(), points, reasons))
        initial, ranks = self.initial, self.ranks

        def score(values: Values) -> RowPrediction:
            total = initial
            taken = []
            for choose, none, partial, points, reasons in parts:
                at = choose(values)
                if at == none:
                    raise Declined
                total += partial[at]
                if ranks:
                    taken.append((points[at], reasons[at]))
            if not ranks:
                return RowPrediction(total)
            taken.sort(key=_points, reverse=True)
            return RowPrediction(total, (), {"reasonCode": [code for point, code in taken[:ranks] if point >= 0]})

        return RowForm(score)

    def score(self, scope: Scope) -> Prediction:
        """Add up the partial scores and rank the reasons (Scorecard, "Scoring Procedure", "Ranking Reason Codes")."""
        parts = [item.score(scope) for item in self.characteristics]
        total = np.full(scope.rows, self.initial, self.characteristics[0].partial.dtype)
        fault: Codes | None = None
        for partial, _, trouble in parts:
            total += partial
            fault = first_fault(fault, trouble)
        value = Column(self.data_type, total, fault=fault)
        if not self.reasons:
            return Prediction(value)
        return Prediction(
            value, ranked={"reasonCode": self._ranked([(partial, chosen) for partial, chosen, _ in parts])}
        )

    def _ranked(self, parts: Sequence[tuple[Array, Ints]]) -> tuple[Column, ...]:
        """The reasons by points, most first, then in document order; those of negative points are none."""
        if not self.ranks:
            return ()
        rows = len(parts[0][0])
        points = np.empty((len(parts), rows), parts[0][0].dtype)
        codes = np.empty((len(parts), rows), np.int32)
        for position, (item, (partial, chosen)) in enumerate(zip(self.characteristics, parts, strict=True)):
            points[position] = partial - item.baseline if self.above else item.baseline - partial
            np.take(item.codes, chosen, out=codes[position], mode="clip")
        for early, late in self.shared:
            same = codes[early] == codes[late]
            points[early] += np.where(same, points[late], 0)
            points[late][same] = -np.inf
        best = _native.best(points, codes, self.ranks)
        return tuple(Column("string", np.maximum(row, 0), row < 0, self.reasons) for row in best)
