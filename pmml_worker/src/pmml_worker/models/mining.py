"""MiningModel: segments and how their results become one (MultipleModels)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pmml_worker.errors import SchemaError, ScoringError
from pmml_worker.models.forest import Forest, TreeOptions, join, leaf_table
from pmml_worker.models.predicate import Test, compile_predicate
from pmml_worker.models.row import Compute, Declined, RowFields, RowForm, RowPrediction, Values
from pmml_worker.models.tree import lost_default_child, tree_options
from pmml_worker.schema.elements import (
    DataType,
    MathContext,
    MiningModel,
    MultipleModelMethod,
    Segment,
    Segmentation,
    TreeModel,
    True_,
)
from pmml_worker.schema.nodes import NodeTable
from pmml_worker.transform.column import (
    Array,
    Bools,
    Codes,
    Column,
    Fault,
    Floats,
    blank,
    first_fault,
    from_texts,
    to_text,
)
from pmml_worker.transform.expressions import undefined
from pmml_worker.transform.fields import TARGET_USAGE, is_plain
from pmml_worker.transform.prediction import Prediction, reorder, winner
from pmml_worker.transform.scope import Environment, FieldType, Scope

if TYPE_CHECKING:
    from pmml_worker.models.model import CompiledModel, Result

_CHAINS = frozenset({"modelChain", "x-multiModelChain"})
_VOTING = frozenset({"majorityVote", "weightedMajorityVote"})
_SUMS = frozenset({"sum", "weightedSum"})
_VENDOR_NAMES: dict[str, MultipleModelMethod] = {
    "x-weightedMajorityVote": "weightedMajorityVote", "x-weightedMedian": "weightedMedian",
}  # fmt: skip
"""Methods that had a vendor's name before the standard had them."""
_WEIGHTED = frozenset({
    "weightedMajorityVote", "weightedAverage", "weightedSum", "x-weightedSum", "weightedMedian",
})  # fmt: skip


_VOTES = 1 << 21
"""How many votes of trees are held at once."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A compiled segment; `test` is None where it always applies."""

    name: str
    test: Test | None
    model: CompiledModel
    weight: float
    weight_field: str | None
    element: str


@dataclass(slots=True)
class Votes:
    """What segments predict, stacked.

    Attributes:
        active: shape (segments, rows), where a segment applies.
        present: shape (segments, rows), where it applies and has a prediction.
        weights: shape (segments, rows).
        values: shape (segments, rows): numbers, or indices of classes.
        classes: the classes that `values` are indices of and `tables` are of.
        tables: shape (segments, rows, classes): probabilities; None where segments tell only classes.
        faults: codes of faults by segment and row, shape (segments, rows), or None.
    """

    active: Bools
    present: Bools
    weights: Floats
    values: Array
    classes: tuple[str, ...]
    tables: Array | None
    faults: Codes | None


@dataclass(frozen=True, slots=True)
class MissingPredictions:
    """What becomes of segments without a prediction (MultipleModels, "missingPredictionTreatment")."""

    treatment: str
    threshold: float

    def missing(self, votes: Votes, method: MultipleModelMethod) -> Bools:
        """Shape (rows,): where they leave the whole without a prediction."""
        nothing: Bools = ~np.asarray(votes.present.any(axis=0))
        lacking = votes.active & ~votes.present
        if not lacking.any():
            return nothing
        some: Bools = np.asarray(lacking.any(axis=0))
        if self.treatment == "returnMissing":
            return nothing | some
        weights = votes.weights if method in _WEIGHTED else np.ones_like(votes.weights)
        with np.errstate(all="ignore"):
            share = (weights * lacking).sum(axis=0) / (weights * votes.active).sum(axis=0)
        if self.treatment == "skipSegment":
            return np.asarray(nothing | (some & (share > self.threshold)))
        if method in _VOTING:
            return np.asarray(nothing | (some & (share > self.threshold)) | self._outvoted(votes, weights, lacking))
        return nothing | some

    def _outvoted(self, votes: Votes, weights: Floats, lacking: Bools) -> Bools:
        """Where "missing" itself has more votes than any class."""
        most = np.zeros(lacking.shape[1])
        for position in range(len(votes.classes)):
            most = np.maximum(most, (weights * (votes.present & (votes.values == position))).sum(axis=0))
        result: Bools = (weights * lacking).sum(axis=0) > most
        return result


# --- Numbers ---------------------------------------------------------------------------------------------------------


def combine_numbers(method: MultipleModelMethod, votes: Votes) -> Array:
    """One number of many, shape (rows,), added up in the order of the segments."""
    values, weights, present = votes.values, votes.weights.astype(votes.values.dtype), votes.present
    rows = values.shape[1]
    total = np.zeros(rows, values.dtype)
    mass = np.zeros(rows, values.dtype)
    match method:
        case "sum":
            for value, here in zip(values, present, strict=True):
                total += np.where(here, value, 0).astype(values.dtype)
            return total
        case "average":
            for value, here in zip(values, present, strict=True):
                total += np.where(here, value, 0).astype(values.dtype)
            result: Array = total / np.maximum(present.sum(axis=0), 1).astype(values.dtype)
            return result
        case "weightedAverage" | "weightedSum" | "x-weightedSum":
            for value, weight, here in zip(values, weights, present, strict=True):
                total += np.where(here, value * weight, 0).astype(values.dtype)
                mass += np.where(here, weight, 0).astype(values.dtype)
            if method != "weightedAverage":
                return total
            with np.errstate(all="ignore"):
                result = total / mass
            return result
        case "median":
            return _medians(values, np.ones_like(values), present)
        case "weightedMedian":
            return _medians(values, weights, present)
        case "max":
            result = np.where(present, values, -np.inf).max(axis=0)
            return result
        case _:
            raise AssertionError(method)


def _medians(values: Array, weights: Array, present: Bools) -> Array:
    """Weighted medians along the first axis: the value, or the mean of the two values, that half the weight is at."""
    order = np.argsort(np.where(present, values, np.inf), axis=0, kind="stable")
    ranked = np.take_along_axis(values, order, axis=0)
    mass = np.take_along_axis(np.where(present, weights, 0), order, axis=0)
    running = np.cumsum(mass, axis=0)
    half = running[-1] / 2
    low = (running >= half).argmax(axis=0)
    high = (running > half).argmax(axis=0)
    rows = np.arange(values.shape[1])
    result: Array = (ranked[low, rows] + ranked[high, rows]) / 2
    return np.asarray(result, values.dtype)


# --- Classes ---------------------------------------------------------------------------------------------------------


def combine_classes(method: MultipleModelMethod, votes: Votes) -> Array:
    """Probabilities of many segments to one table, shape (rows, classes)."""
    present = votes.present
    _, rows = present.shape
    count = len(votes.classes)
    dtype = np.float64 if votes.tables is None else votes.tables.dtype
    total = np.zeros((rows, count), dtype)
    if method in _VOTING:
        index = np.arange(rows)
        for value, weight, here in zip(votes.values, votes.weights, present, strict=True):
            chosen = index[here]
            total[chosen, value[here]] += weight[here] if method == "weightedMajorityVote" else 1.0
        mass = total.sum(axis=1, keepdims=True)
        with np.errstate(all="ignore"):
            return np.where(mass > 0, total / mass, 0.0)
    assert votes.tables is not None
    tables = votes.tables
    match method:
        case "average" | "weightedAverage" | "x-weightedSum":
            mass = np.zeros((rows, 1), dtype)
            for table, weight, here in zip(tables, votes.weights, present, strict=True):
                scale = np.where(here, weight if method in _WEIGHTED else 1.0, 0.0).astype(dtype)[:, None]
                total += np.where(here[:, None], table, 0).astype(dtype) * scale
                mass += scale
            if method == "x-weightedSum":
                return total
            with np.errstate(all="ignore"):
                result: Array = total / mass
            return result
        case "max":
            return _of_contributors(tables, present, np.where(present[:, :, None], tables, -np.inf).max(axis=0))
        case "median" | "weightedMedian":
            medians = np.stack(
                [
                    _medians(
                        tables[:, :, position],
                        votes.weights.astype(dtype) if method == "weightedMedian" else np.ones_like(votes.weights),
                        present,
                    )
                    for position in range(count)
                ],
                axis=1,
            )
            return _of_contributors(tables, present, medians)
        case _:
            raise AssertionError(method)


def _of_contributors(tables: Array, present: Bools, best: Array) -> Array:
    """Mean probabilities of the segments that contributed the winning class's figure, so that they add up to 1.

    Of a median between two segments both contributed; they are the nearest to it from below and above.
    """
    rows = best.shape[0]
    chosen = best.argmax(axis=1)
    index = np.arange(rows)
    own = np.where(present, tables[:, index, chosen], np.nan)
    figure = best[index, chosen]
    with np.errstate(all="ignore"):
        distance = np.where(np.isnan(own), np.inf, np.abs(own - figure))
    contributes = distance <= distance.min(axis=0) * (1 + 1e-12)
    weight = (contributes & present).astype(tables.dtype)
    total = (np.where(present[:, :, None], tables, 0) * weight[:, :, None]).sum(axis=0)
    result: Array = total / weight.sum(axis=0)[:, None]
    return result


# --- The model element -----------------------------------------------------------------------------------------------


class MiningKernel:
    """Scores a MiningModel."""

    def __init__(
        self,
        model: MiningModel,
        segmentation: Segmentation,
        environment: Environment,
        compile_model: Callable[[Segment, Environment], CompiledModel],
    ) -> None:
        method = segmentation.multiple_model_method
        self.method = _VENDOR_NAMES.get(method, method)
        self.is_clustering = model.function_name == "clustering"
        self.is_classification = self.is_clustering or model.function_name == "classification"
        self.context: MathContext = model.x_math_context
        self.element = str(segmentation)
        treatment = segmentation.x_missing_prediction_treatment or segmentation.missing_prediction_treatment
        threshold = segmentation.x_missing_threshold
        self.missing = MissingPredictions(treatment, segmentation.missing_threshold if threshold is None else threshold)
        if not segmentation.segments:
            raise SchemaError("<Segmentation> has no <Segment>", segmentation.line)
        if self.method in (_SUMS if self.is_classification else _VOTING) or (
            self.is_clustering and self.method not in _VOTING | _CHAINS | {"selectFirst", "selectAll"}
        ):
            raise SchemaError(f'multipleModelMethod "{method}" is not for {model.function_name}', segmentation.line)
        self.fused = fuse(model, segmentation, self.method, environment)
        self.environment = environment.inner()
        self.parts: list[_Part] = []
        if self.fused is not None:
            return
        for position, segment in enumerate(segmentation.segments, 1):
            weight_field = segment.variable_weight.field if segment.variable_weight else None
            if weight_field is not None:
                self.environment.type_of(weight_field, segment)
            test = None
            if not isinstance(segment.predicate, True_):
                test = compile_predicate(segment.predicate, self.environment)
            compiled = compile_model(segment, self.environment)
            self.parts.append(
                _Part(segment.id or str(position), test, compiled, segment.weight, weight_field, str(segment))
            )
            if self.method in _CHAINS or self.method == "selectFirst":  # Segments of others do not come one by one.
                self.environment.fields.update(compiled.own_outputs)

    @property
    def reaches(self) -> list[_Part]:
        """The segments whose result may be the whole's: of a chain, the last that always applies and all after it."""
        if self.method == "modelChain":
            always = [position for position, part in enumerate(self.parts) if part.test is None]
            return self.parts[always[-1] :] if always else self.parts
        if self.method in ("x-multiModelChain", "selectFirst"):
            return self.parts
        return []

    @property
    def outputs(self) -> dict[str, FieldType]:
        """The segments' output fields that are given out as the whole's own."""
        return {name: known for part in self.reaches for name, known in part.model.outputs.items()}

    def score(self, scope: Scope) -> tuple[dict[str | None, Prediction], dict[str, Column]]:
        """Predict for a block of rows; also give the segments' output fields."""
        if self.fused is not None:
            return {None: self._score_forest(self.fused, scope)}, {}
        if self.method in _CHAINS or self.method == "selectFirst":
            return self._select(scope)
        results: list[_Vote] = []
        for part in self.parts:
            applies, trouble = self._applies(part, scope)
            result = self._run(part, applies, scope)
            results.append(_Vote(part, applies, None if result is None else _only(result), trouble))
        if self.method == "selectAll":
            return {None: self._all(results, scope)}, {}
        segments = {vote.part.name: vote.prediction for vote in results if vote.prediction is not None}
        return {None: self._combine(self._stack(results, scope), segments, scope)}, {}

    def _applies(self, part: _Part, scope: Scope) -> tuple[Bools, Codes | None]:
        if part.test is None:
            return np.ones(scope.rows, np.bool_), None
        truth = part.test(scope)
        return truth.true, truth.fault

    def _run(self, part: _Part, applies: Bools, scope: Scope) -> Result | None:
        """A segment's result for all rows, missing where it does not apply; None if it applies nowhere."""
        if applies.all():
            return part.model.evaluate(scope)
        if not applies.any():
            return None
        rows = np.flatnonzero(applies)
        back = np.zeros(scope.rows, np.int64)
        back[rows] = np.arange(len(rows))
        return part.model.evaluate(scope.subset(rows)).spread(back, ~applies)

    def row(self, fields: RowFields) -> RowForm:
        """The form for one row: of forests whose leaves say it all, and of chains whose segments always apply."""
        if self.fused is not None:
            return self._forest_row(self.fused, fields)
        if self.method != "modelChain" or any(part.test is not None for part in self.parts):
            raise Declined
        places: dict[str, int] = {}
        for part in self.parts:
            form = part.model.row(fields)
            last = fields.compute(None, form.score, "string")
            places = dict(form.nested)
            for name, told in form.own.items():
                places[name] = fields.compute(name, _told(told, last), part.model.own_outputs[name].data_type)
        return RowForm(lambda values: values[last], form.classes, places)

    def _forest_row(self, fused: FusedForest, fields: RowFields) -> RowForm:
        if fused.summands is None or self.method in _VOTING:
            raise Declined
        read, add = fused.forest.row_reader(fields), fused.forest.kernel.row_sums
        table, mass, classes = fused.summands, float(fused.mass), fused.leaves.classes
        divides = self.method in ("average", "weightedAverage")
        single = table.dtype == np.float32

        def score(values: Values) -> RowPrediction:
            totals = add(read(values), table)
            if any(total != total for total in totals):
                raise Declined
            if divides:
                totals = [float(np.float32(total) / np.float32(mass)) if single else total / mass for total in totals]
            if not classes:
                return RowPrediction(totals[0])
            return RowPrediction(classes[totals.index(max(totals))], totals)

        return RowForm(score, classes)

    # Chains and selections

    def _select(self, scope: Scope) -> tuple[dict[str | None, Prediction], dict[str, Column]]:
        chain = scope.inner({})
        first_only = self.method == "selectFirst"
        undecided = np.ones(scope.rows, np.bool_)
        given_up = np.zeros(scope.rows, np.bool_)
        predictions: dict[str | None, Prediction] = {}
        outputs: dict[str, Column] = {}
        fault: Codes | None = None
        segments: dict[str, Prediction] = {}
        reaches = self.reaches
        for part in self.parts:
            applies, trouble = self._applies(part, chain)
            if trouble is not None:
                fault = first_fault(fault, np.where(undecided, trouble, 0).astype(np.int32))
            if first_only:
                applies = applies & undecided
                undecided &= ~applies
            result = self._run(part, applies, chain)
            for name, known in part.model.own_outputs.items():
                column = None if result is None else result.outputs.get(name)
                column = from_texts([None] * scope.rows, known.data_type) if column is None else column
                column = undefined(column, chain, name, part.element)
                chain.declare(name, column)
                if name in part.model.told and column.fault is not None:
                    fault = first_fault(fault, np.where(applies, column.fault, 0).astype(np.int32))
            if result is None:
                continue
            for prediction in result.predictions.values():
                segments[part.name] = prediction
                if self.missing.treatment == "returnMissing":
                    lacking = applies & prediction.value.is_missing()
                    given_up |= lacking if prediction.value.fault is None else lacking & (prediction.value.fault == 0)
            if part not in reaches:
                continue
            self._take_over(result, applies, predictions, outputs)
        for target, prediction in predictions.items():
            value = prediction.value.with_fault(fault)
            predictions[target] = replace(prediction, value=blank(value, given_up) if given_up.any() else value)
        if given_up.any():
            outputs = {name: blank(column, given_up) for name, column in outputs.items()}
        return {name: replace(item, segments=segments) for name, item in predictions.items()}, outputs

    def _take_over(
        self, result: Result, applies: Bools, predictions: dict[str | None, Prediction], outputs: dict[str, Column]
    ) -> None:
        """Make a segment's result the whole's, in the rows where the segment applies."""
        keeps_others = self.method == "x-multiModelChain"
        gone = None if keeps_others or not applies.any() else applies
        for name, prediction in list(predictions.items()):
            if gone is not None and name not in result.predictions:
                predictions[name] = replace(prediction, value=prediction.value.with_missing(gone))
        for name, prediction in result.predictions.items():
            before = predictions.pop(name, None)
            predictions[name] = prediction if before is None else before.merge(prediction, applies)
        for output, column in list(outputs.items()):
            if gone is not None and output not in result.outputs:
                outputs[output] = column.with_missing(gone)
        outputs.update(result.outputs)

    def _all(self, results: Sequence[_Vote], scope: Scope) -> Prediction:
        """All predictions, written as a list."""
        texts: list[list[str]] = [[] for _ in range(scope.rows)]
        fault: Codes | None = None
        for vote in results:
            fault = first_fault(fault, vote.fault)
            if vote.prediction is None:
                continue
            for row, text in enumerate(vote.prediction.value.texts()):
                if vote.applies[row]:
                    texts[row].append(str(text) or "null")
        return Prediction(from_texts([f"[{', '.join(items)}]" for items in texts]).with_fault(fault))

    # Forests

    def _score_forest(self, fused: FusedForest, scope: Scope) -> Prediction:
        """Sums of leaves where they say it all, and the trees' votes for all other rows."""
        if fused.summands is None:
            return self._score_votes(fused, scope)
        block = fused.forest.read(scope)
        totals = fused.forest.sums(block, fused.summands)
        unclean = np.isnan(totals[:, 0])
        for position in range(1, totals.shape[1]):
            unclean |= np.isnan(totals[:, position])
        faulty = block.faulty()
        if faulty is not None:
            unclean |= faulty
        prediction, tied = self._totalled(fused, totals)
        if tied is not None:
            unclean |= tied
        if not unclean.any():
            return prediction
        rows = np.flatnonzero(unclean)
        back = np.zeros(scope.rows, np.int64)
        back[rows] = np.arange(len(rows))
        return prediction.merge(self._score_votes(fused, scope.subset(rows)).take(back), unclean)

    def _totalled(self, fused: FusedForest, totals: Array) -> tuple[Prediction, Bools | None]:
        """The prediction of rows in which every tree has one, and which rows have a tie of votes."""
        if self.method in ("average", "weightedAverage"):
            with np.errstate(all="ignore"):
                totals = totals / fused.mass
        classes = fused.leaves.classes
        if not self.is_classification:
            data_type: DataType = "float" if totals.dtype == np.float32 else "double"
            return Prediction(Column(data_type, totals[:, 0])), None
        best, tied = most_votes(totals)
        if self.method not in _VOTING:
            return Prediction(Column("string", best, None, classes), classes, totals), None
        with np.errstate(all="ignore"):
            return Prediction(Column("string", best, None, classes), classes, totals / fused.mass), tied

    def _score_votes(self, fused: FusedForest, scope: Scope) -> Prediction:
        """Combine every tree's prediction, a few rows at a time so that they need little memory."""
        step = max(1, _VOTES // (fused.forest.trees * max(len(fused.leaves.classes), 1)))
        if scope.rows <= step:
            return self._combine(fused.votes(scope), {}, scope)
        prediction: Prediction | None = None
        for start in range(0, scope.rows, step):
            rows = np.arange(start, min(start + step, scope.rows))
            part = scope.subset(rows)
            piece = self._combine(fused.votes(part), {}, part)
            place = np.clip(np.arange(scope.rows) - start, 0, len(rows) - 1)
            wide = piece.take(place)
            here = np.arange(scope.rows) >= start
            prediction = wide if prediction is None else prediction.merge(wide, here)
        assert prediction is not None
        return prediction

    # Votes

    def _stack(self, results: Sequence[_Vote], scope: Scope) -> Votes:
        shape = (len(results), scope.rows)
        active = np.stack([vote.applies for vote in results])
        present = np.zeros(shape, np.bool_)
        weights = np.empty(shape)
        faults = np.zeros(shape, np.int32)
        classes: dict[str, int] = {}
        for vote in results:
            if vote.prediction is not None and self.is_classification:
                for name in vote.prediction.classes or to_text(vote.prediction.value).categories or ():
                    classes.setdefault(name, len(classes))
        dtype = np.float32 if self.context == "float" else np.float64
        values = np.zeros(shape, np.int64 if self.is_classification else dtype)
        tables = None
        if self.is_classification and self.method not in _VOTING:
            tables = np.zeros((*shape, len(classes)), dtype)
        for position, vote in enumerate(results):
            weights[position] = vote.part.weight
            if vote.part.weight_field is not None:
                weights[position] = np.nan_to_num(scope.column(vote.part.weight_field).floats())
            if vote.fault is not None:
                faults[position] = vote.fault
            if vote.prediction is None:
                continue
            value = vote.prediction.value
            present[position] = vote.applies & ~value.is_missing()
            if not self.is_classification:
                if value.categories is not None:
                    raise ScoringError("a segment of a regression predicts texts", element=vote.part.element)
                values[position] = value.values
                continue
            text = to_text(value)
            places = np.array([classes.get(name, 0) for name in text.categories or ("",)], np.int64)
            values[position] = places[text.values]
            if tables is None:
                continue
            own = reorder(vote.prediction, tuple(classes))
            told = np.zeros(scope.rows, np.bool_) if own is None else ~np.isnan(own).any(axis=1)
            if own is not None:
                tables[position] = own
            silent = present[position] & ~told & (faults[position] == 0)
            if silent.any():
                message = "a segment tells no probabilities, only its decision"
                code = scope.faults.add(Fault(message, None, None, vote.part.element))
                faults[position] = np.where(silent, code, faults[position])
        return Votes(active, present, weights, values, tuple(classes), tables, faults if faults.any() else None)

    def _combine(self, votes: Votes, segments: dict[str, Prediction], scope: Scope) -> Prediction:
        missing = self.missing.missing(votes, self.method)
        fault = self._fault(votes, missing, scope)
        absent = missing if missing.any() else None
        if not self.is_classification:
            numbers = combine_numbers(self.method, votes)
            data_type: DataType = "float" if numbers.dtype == np.float32 else "double"
            return Prediction(Column(data_type, numbers, absent, fault=fault), segments=segments)
        table = combine_classes(self.method, votes)
        if self.method in _VOTING:
            value = Column("string", elect(table, votes), absent, votes.classes or ("",), None, fault)
        else:
            value = winner(np.nan_to_num(table, nan=-1.0), votes.classes, absent).with_fault(fault)
        if self.is_clustering:  # The segments' clusters are what is voted for (MultipleModels, "majorityVote").
            return Prediction(value, entity=value, segments=segments)
        return Prediction(value, votes.classes, table, segments=segments)

    def _fault(self, votes: Votes, missing: Bools, scope: Scope) -> Codes | None:
        """The first fault of each row; with returnMissing, none that comes after a missing prediction."""
        fault: Codes | None = None
        if votes.faults is not None:
            fault = np.zeros(scope.rows, np.int32)
            open_rows = np.ones(scope.rows, np.bool_)
            for active, present, codes in zip(votes.active, votes.present, votes.faults, strict=True):
                fault = np.where(open_rows & (fault == 0), codes, fault)
                if self.missing.treatment == "returnMissing":
                    open_rows &= present | ~active | (codes != 0)
        if self.method in _VOTING:
            empty = votes.active.any(axis=0) & ~votes.present.any(axis=0) & (self.missing.treatment != "returnMissing")
            if self.missing.threshold < 1.0:
                empty &= ~missing
            if empty.any():
                code = scope.faults.add(Fault("no segment has a prediction to vote with", None, None, self.element))
                fault = first_fault(fault, np.where(empty, code, 0).astype(np.int32))
        return fault


def _told(tell: Callable[[RowPrediction], Any], place: int) -> Compute:
    """What an output field tells of an earlier segment's prediction."""
    return lambda values: tell(values[place])


@dataclass(frozen=True, slots=True)
class _Vote:
    """What one segment says: where it applies, its prediction if it applies anywhere, and faults by row."""

    part: _Part
    applies: Bools
    prediction: Prediction | None
    trouble: Codes | None

    @property
    def fault(self) -> Codes | None:
        """Codes of faults of the segment's predicate or else of its model."""
        own = None if self.prediction is None else self.prediction.value.fault
        return first_fault(self.trouble, own)


def elect(table: Array, votes: Votes) -> Codes:
    """The class with most votes; among equals the one that was voted for first."""
    if not table.shape[1]:
        return np.zeros(len(table), np.int32)
    best, tied = most_votes(table)
    open_rows = np.flatnonzero(tied)
    leading = table == table.max(axis=1, keepdims=True)
    for value, here in zip(votes.values, votes.present, strict=True):
        if not len(open_rows):
            break
        label = value[open_rows]
        decided = here[open_rows] & leading[open_rows, label]
        best[open_rows[decided]] = label[decided]
        open_rows = open_rows[~decided]
    return best


def most_votes(table: Array) -> tuple[Codes, Bools]:
    """The first column of each row's largest entry, and whether another column has as large a one."""
    best = np.zeros(len(table), np.int32)
    tied = np.zeros(len(table), np.bool_)
    most = table[:, 0].copy() if table.shape[1] else np.zeros(len(table))
    for position in range(1, table.shape[1]):
        column = table[:, position]
        more = column > most
        tied = (tied & ~more) | (column == most)
        best[more] = position
        np.maximum(most, column, out=most)
    return best, tied


def _only(result: Result) -> Prediction:
    """The prediction of a segment that has one target."""
    return next(reversed(result.predictions.values()))


# --- Forests ---------------------------------------------------------------------------------------------------------


class FusedForest:
    """Segments that are all trees over the same fields, walked together.

    Most rows' results are sums of what their leaves predict. Rows in which a tree has no prediction, a value is faulty,
    or classes have equally many votes need every tree's own prediction: `votes`.
    """

    def __init__(
        self, table: NodeTable, options: Sequence[TreeOptions], weights: Floats, method: MultipleModelMethod,
        segmentation: Segmentation, environment: Environment,
    ) -> None:  # fmt: skip
        self.forest = forest = Forest(table, options, environment)
        self.leaves = leaves = leaf_table(table, forest.nodes, options[0])
        self.weights = weights
        self.element = str(segmentation)
        self.method = method
        silent = forest.nodes < 0
        tree = np.cumsum(table.parent < 0)[np.maximum(forest.nodes, 0)] - 1
        scales = weights if method in _WEIGHTED else np.ones_like(weights)
        scale = scales[tree]
        self.summands: Array | None = None
        if leaves.score is not None:
            if method in (*_SUMS, "average", "weightedAverage", "x-weightedSum"):
                self.summands = (leaves.score * scale.astype(leaves.score.dtype))[:, None]
        elif not leaves.classes:
            pass
        elif method in _VOTING:
            self.summands = (leaves.label[:, None] == np.arange(len(leaves.classes))) * scale[:, None]
        elif method in ("average", "weightedAverage", "x-weightedSum") and leaves.probabilities is not None:
            self.summands = leaves.probabilities * scale.astype(leaves.probabilities.dtype)[:, None]
        if self.summands is not None:
            self.summands[silent | leaves.missing] = np.nan
            self.mass = np.add.accumulate(scales.astype(self.summands.dtype))[-1]

    def votes(self, scope: Scope) -> Votes:
        """What the trees predict for a block of rows."""
        ends, met = self.forest.leaves(self.forest.read(scope))
        faults = lost_default_child(ends, met, scope, self.element)
        leaves = self.leaves
        present = ~leaves.missing[ends]
        weights = np.broadcast_to(self.weights[:, None], ends.shape)
        if leaves.score is not None:
            return Votes(np.ones_like(present), present, weights, leaves.score[ends], (), None, faults)
        values = leaves.label[ends]
        if self.method in _VOTING:
            return Votes(np.ones_like(present), present, weights, values, leaves.classes, None, faults)
        probabilities = leaves.probabilities
        if probabilities is None:
            probabilities = np.full((len(leaves.label), len(leaves.classes)), np.nan)
        tables = probabilities[ends]
        silent = present & np.isnan(tables).any(axis=2)
        if faults is not None:
            silent &= faults == 0
        if silent.any():
            message = "a segment tells no probabilities, only its decision"
            code = scope.faults.add(Fault(message, None, None, self.element))
            faults = first_fault(faults, np.where(silent, code, 0).astype(np.int32))
        return Votes(np.ones_like(present), present, weights, values, leaves.classes, tables, faults)


def fuse(
    model: MiningModel, segmentation: Segmentation, method: MultipleModelMethod, environment: Environment
) -> FusedForest | None:
    """Make one forest of the segments, if each is a plain tree that always applies; else None."""
    if method in _CHAINS or method in ("selectFirst", "selectAll") or _names_segments(model):
        return None
    tables: list[NodeTable] = []
    options: list[TreeOptions] = []
    wanted = (model.function_name == "classification", model.x_math_context)
    for segment in segmentation.segments:
        tree = segment.model
        if not isinstance(tree, TreeModel) or not is_plain_tree(segment, tree):
            return None
        options.append(tree_options(tree))
        tables.append(tree.node)
        if options[-1].splits_rows or tables[-1].embedded:
            return None
        if (options[-1].is_classification, options[-1].context) != wanted:
            return None
    weights = np.array([segment.weight for segment in segmentation.segments])
    return FusedForest(join(tables), options, weights, method, segmentation, environment)


def _names_segments(model: MiningModel) -> bool:
    return any(field.segment_id is not None for field in (model.output.fields if model.output else ()))


def is_plain_tree(segment: Segment, tree: TreeModel) -> bool:
    """Whether a segment's tree sees its fields as the whole does and its prediction is used as it is."""
    return (
        isinstance(segment.predicate, True_)
        and segment.variable_weight is None
        and tree.is_scorable
        and tree.targets is None
        and tree.output is None
        and (tree.local_transformations is None or not tree.local_transformations.derived_fields)
        and all(is_plain(field) or field.usage_type in TARGET_USAGE for field in tree.mining_schema.fields)
    )
