"""NaiveBayesModel: likelihoods of independent inputs, multiplied as logarithms (NaiveBayes)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.kernels._native import Likelihoods
from pmml_worker.models.kernel import Context
from pmml_worker.models.predictor import Weights
from pmml_worker.models.regression import softmax
from pmml_worker.models.row import Declined, RowFields, RowForm, RowPrediction, Values
from pmml_worker.schema.distributions import GaussianDistribution, PoissonDistribution, UniformDistribution
from pmml_worker.schema.naive_bayes import (
    BayesInput,
    NaiveBayesModel,
    TargetValueStat,
)
from pmml_worker.transform.column import Array, Codes, Column, Floats, cast_or_fault, first_fault
from pmml_worker.transform.expressions import compile_typed, parse_or_refuse
from pmml_worker.transform.prediction import Prediction, winner
from pmml_worker.transform.scope import Environment, Evaluate, Scope

LogDensity: TypeAlias = Callable[[Any], Any]
"""Of a number, or of each of many."""

_LEAST = -700.0
"""Logarithms below it are of numbers near the least that a double holds."""


def _parameters(element: GaussianDistribution) -> tuple[float, float, float]:
    """Its log-density is top + width * (x - mean)^2: top, width and mean."""
    return -0.5 * math.log(2 * math.pi * element.variance), -0.5 / element.variance, element.mean


def _gaussian(element: GaussianDistribution) -> LogDensity:
    top, width, mean = _parameters(element)

    def log_density(x: Floats) -> Floats:
        distance = x - mean
        return top + width * distance * distance

    return log_density


def _poisson(mean: float) -> LogDensity:
    log_mean = math.log(mean)

    def log_density(x: Floats) -> Floats:
        counts, places = np.unique(x, return_inverse=True)
        table = [n * log_mean - mean - math.lgamma(n + 1) if n >= 0 else -math.inf for n in counts.tolist()]
        return np.array(table)[places]

    return log_density


def _uniform(lower: float, upper: float) -> LogDensity:
    height = -math.log(upper - lower)
    return lambda x: np.where((x >= lower) & (x <= upper), height, -np.inf)


def _log_density(stat: TargetValueStat) -> LogDensity:
    match stat.distribution:
        case GaussianDistribution(variance=variance) as element:
            if not variance > 0:
                raise SchemaError(f"<GaussianDistribution>: variance {variance:g} is not above 0", element.line)
            return _gaussian(element)
        case PoissonDistribution(mean=mean) as element:
            if not mean > 0:
                raise SchemaError(f"<PoissonDistribution>: mean {mean:g} is not above 0", element.line)
            return _poisson(mean)
        case UniformDistribution(lower=lower, upper=upper) as element:
            if not lower < upper:
                raise SchemaError(f"<UniformDistribution>: lower {lower:g} is not below {upper:g}", element.line)
            return _uniform(lower, upper)


@dataclass(frozen=True, slots=True)
class _Continuous:
    """An input with a distribution for each class; None where the document tells none, which leaves the class as is.

    `gaussians` are the parameters of the normal ones.
    """

    name: str
    element: str
    densities: tuple[LogDensity | None, ...]
    gaussians: tuple[tuple[float, float, float], ...]
    counts: bool
    threshold: float

    def column(self, scope: Scope) -> Column:
        """The input as numbers."""
        return cast_or_fault(scope.column(self.name), "double", scope.faults, self.name, self.element)

    def add(self, scope: Scope, logs: Array) -> Codes | None:
        """Add the input's log-likelihoods to the classes', shape (classes, rows)."""
        column = self.column(scope)
        if self.counts:
            column = cast_or_fault(column, "integer", scope.faults, self.name, self.element)
        x = column.values.astype(np.float64)
        for total, log_density in zip(logs, self.densities, strict=True):
            if log_density is None:
                continue
            values = log_density(x)
            if not self.threshold > 0:
                values = _underflown(values)
            else:
                np.maximum(values, math.log(self.threshold), out=values)
            if column.missing is not None:
                values[column.missing] = 0
            total += values.astype(logs.dtype)
        return column.fault


def _underflown(values: Floats) -> Floats:
    """Logarithms of densities as of numbers that a double can hold: those of lesser ones are of 0."""
    tiny = values < _LEAST
    if tiny.any():
        values[tiny] = np.log(np.exp(values[tiny]))
    return values


@dataclass(frozen=True, slots=True)
class _Discrete:
    """An input with log-likelihoods by value, shape (values + 1, classes); the first row is of unknown values.

    `name` is the field's, None where the input is derived from it.
    """

    name: str | None
    evaluate: Evaluate
    places: Weights
    table: Floats

    def add(self, scope: Scope, logs: Array) -> Codes | None:
        """Add the input's log-likelihoods to the classes', shape (classes, rows)."""
        column = self.evaluate(scope)
        place = self.places.of(column).astype(np.intp)
        if column.missing is not None:
            place[column.missing] = 0
        logs += self.table.T.astype(logs.dtype)[:, place]
        return column.fault


@dataclass(frozen=True, slots=True)
class _Gaussians:
    """All inputs of a model whose inputs have a normal distribution for each class."""

    inputs: tuple[_Continuous, ...]
    likelihoods: Likelihoods

    def classify(self, scope: Scope, tell: bool) -> tuple[Codes, Floats | None, Codes | None]:
        """The best class of each row; if told to, probabilities of shape (rows, classes); faults of the inputs."""
        columns = []
        fault: Codes | None = None
        for item in self.inputs:
            column = item.column(scope)
            is_ready = column.missing is None and column.values.dtype == np.float64
            columns.append(np.ascontiguousarray(column.values) if is_ready else column.floats())
            fault = first_fault(fault, column.fault)
        best, table = self.likelihoods.classify(columns, tell)
        return best, None if table is None else table.T, fault


def _gaussians(inputs: list[_Continuous | _Discrete], prior: Array, threshold: float) -> _Gaussians | None:
    """The inputs for the native kernel; None where one has another distribution, or none for a class."""
    found = tuple(item for item in inputs if isinstance(item, _Continuous) and not item.counts)
    if len(found) < len(inputs) or any(len(item.gaussians) < len(prior) for item in found):
        return None
    if not found or not len(prior):
        return None
    parameters = np.array([item.gaussians for item in found], np.float64)
    if not np.isfinite(parameters).all():
        return None
    top, width, mean = (np.ascontiguousarray(parameters[:, :, place]) for place in range(3))
    limit = math.log(threshold) if threshold > 0 else -math.inf
    likelihoods = Likelihoods(top=top, width=width, mean=mean, start=np.ascontiguousarray(prior[:, 0]), limit=limit)
    return _Gaussians(found, likelihoods)


_TOLD_BY_PROBABILITIES = frozenset({"probability", "confidence", "residual"})
"""Output features that need them."""


class NaiveBayesKernel:
    """Scores a NaiveBayesModel; inputs that are missing, or of a value that was never counted, are left out."""

    def __init__(self, model: NaiveBayesModel, context: Context) -> None:
        if not 0 <= model.threshold < math.inf:
            raise SchemaError(f"<NaiveBayesModel>: threshold {model.threshold:g} is no probability", model.line)
        self.threshold = model.threshold
        self.dtype = np.float32 if model.x_math_context == "float" else np.float64
        counts = model.bayes_output.target_value_counts.counts
        self.classes = tuple(dict.fromkeys(item.value for item in counts))
        if len(self.classes) != len(counts):
            raise SchemaError("<BayesOutput> counts a value twice", model.bayes_output.line)
        if any(item.count < 0 for item in counts):
            raise SchemaError("<BayesOutput> has a negative count", model.bayes_output.line)
        with np.errstate(divide="ignore"):
            self.prior = np.log(np.array([[item.count] for item in counts], np.float64)).astype(self.dtype)
        self.inputs = [self._input(item, context.environment) for item in model.bayes_inputs.inputs]
        self.gaussians = None if self.dtype is np.float32 else _gaussians(self.inputs, self.prior, self.threshold)
        output = model.output.fields if model.output else ()
        asked = any(field.feature in _TOLD_BY_PROBABILITIES for field in output)
        self.tells_probabilities = asked or not context.is_outermost

    def _input(self, element: BayesInput, environment: Environment) -> _Continuous | _Discrete:
        environment.type_of(element.field_name, element)
        if element.target_value_stats is None:
            return self._discrete(element, environment)
        stats = {stat.value: stat for stat in element.target_value_stats.stats}
        densities = tuple(_log_density(stats[name]) if name in stats else None for name in self.classes)
        counts = any(isinstance(stat.distribution, PoissonDistribution) for stat in stats.values())
        told = [stats[name].distribution for name in self.classes if name in stats]
        gaussians = tuple(_parameters(item) for item in told if isinstance(item, GaussianDistribution))
        return _Continuous(element.field_name, str(element), densities, gaussians, counts, self.threshold)

    def _discrete(self, element: BayesInput, environment: Environment) -> _Discrete:
        name, field = element.field_name, element.derived_field
        data_type = environment.type_of(name, element).data_type
        evaluate: Evaluate = lambda scope: scope.column(name)  # noqa: E731
        if field is not None:
            data_type = field.data_type or "string"
            evaluate = compile_typed(field.expression, data_type, environment, field.name or name)
        if not element.pair_counts:
            raise SchemaError(f'<BayesInput> "{name}" has neither <TargetValueStats> nor <PairCounts>', element.line)
        values = [parse_or_refuse(pair.value, data_type, "value", pair.line) for pair in element.pair_counts]
        pairs: list[Mapping[str, float]] = [
            {item.value: item.count for item in pair.counts.counts} for pair in element.pair_counts
        ]
        table = np.zeros((len(values) + 1, len(self.classes)))
        for column, category in enumerate(self.classes):
            total = sum(pair.get(category, 0.0) for pair in pairs)
            for row, pair in enumerate(pairs, 1):
                count = pair.get(category)
                if count is not None:
                    share = count / total if count > 0 else self.threshold
                    table[row, column] = math.log(share) if share > 0 else -math.inf
        places = Weights({value: row for row, value in enumerate(values, 1)}, np.float64)
        return _Discrete(name if field is None else None, evaluate, places, table)

    def row(self, fields: RowFields) -> RowForm:
        """The form for one row, in double precision."""
        if self.dtype is not np.float64:
            raise Declined
        least = math.log(self.threshold) if self.threshold > 0 else -math.inf
        numbers = []
        tables = []
        for item in self.inputs:
            if isinstance(item, _Discrete):
                if item.name is None:
                    raise Declined
                place = fields.place(item.name)
                rows = item.table.tolist()
                tables.append((place, {value: rows[int(row)] for value, row in item.places.numbers.items()}))
                continue
            densities = [density for density in item.densities if density is not None]
            if item.counts or len(densities) < len(item.densities):
                raise Declined
            place = fields.place(item.name)
            if fields.type_of(item.name) not in ("double", "float", "integer"):
                raise Declined
            numbers.append((place, densities))
        prior, classes = self.prior[:, 0].tolist(), self.classes

        def score(values: Values) -> RowPrediction:
            logs = [0.0] * len(classes)
            for place, densities in numbers:
                value = values[place]
                if value is None:
                    continue
                for position, log_density in enumerate(densities):
                    found: float = log_density(value)
                    if found < _LEAST and least == -math.inf:
                        raise Declined
                    logs[position] += max(found, least)
            for place, table in tables:
                row = table.get(values[place])
                if row is not None:
                    logs = [log + found for log, found in zip(logs, row, strict=True)]
            logs = [log + start for log, start in zip(logs, prior, strict=True)]
            top = max(logs)
            if not math.isfinite(top):
                raise Declined
            powers = [math.exp(log - top) for log in logs]
            total = sum(powers)
            return RowPrediction(classes[logs.index(top)], [power / total for power in powers])

        return RowForm(score, classes)

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows."""
        if self.gaussians is not None:
            best, told, fault = self.gaussians.classify(scope, self.tells_probabilities)
            value = Column("string", best, None, self.classes, fault=fault)
            return Prediction(value, self.classes, told)
        logs = np.zeros((len(self.classes), scope.rows), self.dtype)
        fault = None
        with np.errstate(all="ignore"):
            for item in self.inputs:
                fault = first_fault(fault, item.add(scope, logs))
            logs += self.prior
            table = softmax(logs.T) if self.tells_probabilities else None
        best = winner(logs.T, self.classes, None).values
        return Prediction(Column("string", best, None, self.classes, fault=fault), self.classes, table)
