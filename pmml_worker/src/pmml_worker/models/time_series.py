"""TimeSeriesModel: rows ask for times, and are told what a series has or is predicted to have there (TimeSeriesModel).

The model's field of time is the one field of its mining schema that is neither a target nor a regressor, the one of
usageType `order` if there are more. What it holds:

- a date or time: the time that is asked for; the series needs a TimeAnchor or Timestamps;
- a number, usageType `order`: the time in the unit of TimeValue's `time`, or of its `index` where there is no `time`;
- another number: how many steps after the last value of the series (1 is the first that is predicted).

Without such a field, the rows of a table are the steps 1, 2 …

Times after the series are predicted by the algorithm that `bestFit` names. Times of the series are told from its
TimeSeries, those of usage `prediction` before `logical` and `original`; between points by interpolationMethod.
The standard leaves SpectralAnalysis and SeasonalTrendDecomposition without content: then all times are told so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.forecast import (
    Arima,
    Forecast,
    Garch,
    History,
    Path,
    Smoothing,
    difference,
    polynomial,
    recursive,
    restore,
    restore_error,
    state_spaces,
    transform,
)
from pmml_worker.models.kernel import Context
from pmml_worker.models.time_axis import StoredSeries, TimeAxis, seconds
from pmml_worker.schema.elements import OutputField
from pmml_worker.schema.time_series import (
    DynamicRegressor,
    NonseasonalFactor,
    SeasonalFactor,
    TimeSeries,
    TimeSeriesModel,
    TimeSeriesUsage,
    TimeValue,
)
from pmml_worker.transform.column import Bools, Codes, Column, Fault, Floats, Ints, cast_or_fault, mark
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Environment, Scope
from pmml_worker.transform.values import is_temporal

_STEPS_AT_LOAD = 256
"""Steps that are predicted when the model is loaded; rows that ask for later ones make their block predict them."""

_MOST_STEPS = 10_000
"""A row that asks for a later step is an error: it is likelier a wrong unit of time than a question."""


def _contiguous(positions: Floats, values: Floats) -> tuple[Floats, Floats]:
    """The last values that have no gap between them."""
    gaps = np.flatnonzero(np.abs(np.diff(positions) - 1) > 1e-6)
    start = int(gaps[-1]) + 1 if len(gaps) else 0
    return positions[start:], values[start:]


# --- Regressors ------------------------------------------------------------------------------------------------------


def _factors(
    nonseasonal: NonseasonalFactor | None, seasonal: SeasonalFactor | None, period: int, is_numerator: bool
) -> Floats:
    """A transfer function's polynomial, by powers of B.

    Numerator: (w_0 + w_1 B + …) (1 + W_1 B^s + …); denominator: (1 - d_1 B - …) (1 - D_1 B^s - …); both times the
    factors' differences (1 - B)^difference, (1 - B^s)^difference.
    """
    result = np.ones(1)
    sign = 1.0 if is_numerator else -1.0
    for factor, lag in ((nonseasonal, 1), (seasonal, period)):
        if factor is None:
            continue
        numbers = factor.array.numbers()
        has_order_0 = is_numerator and isinstance(factor, NonseasonalFactor)
        order = len(numbers) - 1 if has_order_0 else len(numbers)
        if factor.maximum_order not in (None, order) or order < 0 or factor.difference < 0 or lag < 1:
            raise SchemaError(
                f"<{type(factor).__name__}> holds {len(numbers)} coefficients, of order {order}; it says maximumOrder "
                f"{factor.maximum_order} and difference {factor.difference}",
                factor.line,
            )
        if (order + factor.difference) * lag > _MOST_STEPS:
            raise SchemaError(f"<{type(factor).__name__}> reaches back more than {_MOST_STEPS} times", factor.line)
        own = numbers if has_order_0 else polynomial(numbers, sign, lag)
        result = np.convolve(result, np.convolve(own, difference(factor.difference, lag)))
    return result


class _Regressor:
    """A dynamic regressor: v_t = numerator(B) / denominator(B) B^delay f(x_t).

    Future x come from the rows (userSupplied, otherModel), or are the last known one (constant), a polynomial of time's
    position whose entry i is the coefficient of its power i - 1 (trend), or later values of the stored series (stored).
    """

    def __init__(self, element: DynamicRegressor, series: TimeSeries | None, axis: TimeAxis, period: int) -> None:
        self.element = element
        self.name = element.field
        self.from_rows = element.future_values_method in ("userSupplied", "otherModel")
        numerator, denominator = element.numerator, element.denominator
        if element.delay < 0 or element.delay > _MOST_STEPS:
            raise SchemaError(f"<DynamicRegressor> delay {element.delay} is not from 0 to {_MOST_STEPS}", element.line)
        own = _factors(numerator.nonseasonal, numerator.seasonal, period, True) if numerator else np.ones(1)
        self.numerator = np.concatenate((np.zeros(element.delay), own))
        self._denominator = (
            _factors(denominator.nonseasonal, denominator.seasonal, period, False) if denominator else np.ones(1)
        )
        self._last = axis.last
        positions, values = self._known(series, axis)
        past, self._past = _contiguous(positions[positions <= axis.last], values[positions <= axis.last])
        if len(past) and past[-1] != axis.last:
            self._past = self._past[:0]
        self._positions, self._stored = positions, values
        reach = len(self.numerator) - 1
        if reach > len(self._past) or (element.future_values_method == "constant" and not len(self._past)):
            raise SchemaError(
                f'<DynamicRegressor> of "{self.name}" needs its last {max(reach, 1)} values; give them in '
                "<RegressorValues>, up to the end of the modelled series",
                element.line,
            )
        self._coefficients = np.zeros(0)
        if element.future_values_method == "trend":
            trend = element.values.trend if element.values else None
            if trend is None or trend.array is None:
                raise SchemaError(f'<DynamicRegressor> of "{self.name}" lacks its <TrendCoefficients>', element.line)
            self._coefficients = trend.array.numbers()
        self._effects = self._past_effects()

    def _known(self, series: TimeSeries | None, axis: TimeAxis) -> tuple[Floats, Floats]:
        own = self.element.values.series if self.element.values else None
        chosen = own or series
        if chosen is None or not chosen.values:
            return np.zeros(0), np.zeros(0)
        numbers = np.array([value.value for value in chosen.values], np.float64)
        return axis.positions(chosen.values), transform(numbers, self.element.transformation)

    def _past_effects(self) -> Floats:
        """Effects at the last times, the oldest first; those that TransferFunctionValues tells are taken from it."""
        inputs = np.zeros(0)
        if len(self._past) >= len(self.numerator):
            inputs = np.convolve(self._past, self.numerator, "valid")
        effects = recursive(self._denominator, inputs, np.zeros(0))
        told = self.element.values.effects if self.element.values else None
        if told is None:
            return effects
        numbers = told.array.numbers()
        if len(numbers) < len(self._denominator) - 1:
            raise SchemaError(
                f"<TransferFunctionValues> holds {len(numbers)} values; the denominator needs "
                f"{len(self._denominator) - 1}",
                told.line,
            )
        return np.concatenate((effects[: max(len(effects) - len(numbers), 0)], numbers))

    def past_effects(self, count: int) -> Floats:
        """Effects at the last `count` times, shape (count,); NaN where they are unknown."""
        known = self._effects[max(len(self._effects) - count, 0) :]
        return np.concatenate((np.full(count - len(known), np.nan), known))

    def is_immediate(self) -> bool:
        """Whether x acts on its own time only."""
        return len(self.numerator) == 1 and len(self._denominator) == 1

    def future(self, steps: int) -> Floats:
        """The x of the steps after the series, as far as the document tells them; NaN elsewhere, shape (steps,)."""
        positions = self._last + np.arange(1.0, steps + 1)
        match self.element.future_values_method:
            case "constant":
                return np.full(steps, self._past[-1])
            case "trend":
                trend = np.polynomial.polynomial.polyval(positions, self._coefficients).astype(np.float64)
                return transform(trend, self.element.transformation)
            case "stored":
                values = np.full(steps, np.nan)
                later = np.rint(self._positions - self._last).astype(np.int64)
                within = (later >= 1) & (later <= steps)
                values[later[within] - 1] = self._stored[within]
                return values
            case _:
                return np.full(steps, np.nan)

    def effects(self, future: Floats) -> Floats:
        """The effects of x after the series, shape (steps,)."""
        reach = len(self.numerator) - 1
        inputs = np.convolve(np.concatenate((self._past[len(self._past) - reach :], future)), self.numerator, "valid")
        return recursive(self._denominator, inputs, self._effects)


# --- One target ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Answer:
    """What rows are told, each of shape (rows,); centre and its errors before the transformation is undone.

    Where `missing` is true, a regressor has no value.
    """

    missing: Bools
    value: Floats
    error: Floats
    centre: Floats
    centre_error: Floats
    fault: Codes


class _TargetSeries:
    """A target's algorithm, its regressors and what the document stores of it."""

    def __init__(
        self,
        forecast: Forecast | None,
        regressors: Sequence[_Regressor],
        stored: Sequence[StoredSeries],
        is_accumulating: bool,
    ) -> None:
        self.forecast = forecast
        self.stored = stored
        self._known = [item for item in regressors if not item.from_rows]
        given = [item for item in regressors if item.from_rows]
        # A regressor that acts on later times, too, takes its values from the rows of earlier times.
        self.immediate = [item for item in given if item.is_immediate() and not is_accumulating]
        self.lasting = [item for item in given if item not in self.immediate]
        self._base = self._predict(_STEPS_AT_LOAD)

    def _predict(self, steps: int) -> Path | None:
        """What the document alone predicts."""
        if self.forecast is None:
            return None
        path = self.forecast.path(steps)
        mean = path.mean
        for regressor in self._known:
            mean = mean + self.forecast.respond(regressor.effects(regressor.future(steps)))
        return Path(mean, path.variance)

    def path(self, steps: int) -> Path | None:
        """Predictions for at least some steps."""
        return self._base if steps <= _STEPS_AT_LOAD else self._predict(steps)

    def tell(self, positions: Floats, value: Floats, error: Floats, rows: Bools) -> None:
        """Write values and errors that the document stores into rows that have none yet."""
        for series in self.stored:
            found, found_error = series.at(positions[rows])
            lacking = np.isnan(value[rows])
            value[rows] = np.where(lacking, found, value[rows])
            error[rows] = np.where(lacking, found_error, error[rows])


# --- The kernel ------------------------------------------------------------------------------------------------------


class TimeSeriesKernel:
    """A compiled TimeSeriesModel."""

    def __init__(self, model: TimeSeriesModel, context: Context) -> None:
        """Compile the model.

        Raises:
            SchemaError: bestFit names what the document lacks, parts contradict one another, or no field, or more than
                one, could be that of time.
        """
        self._targets = context.targets
        names = [target.name for target in context.targets]
        history = [_usable(model, name) for name in names]
        self._axis = TimeAxis(history[0])
        elements = (model.arima.regressors if model.best_fit == "ARIMA" and model.arima else ()) or (
            model.state_space_model.regressors
            if model.best_fit == "StateSpaceModel" and model.state_space_model
            else ()
        )
        self._time, self._is_ahead = self._time_field(model, [item.field for item in elements], context.environment)
        period = model.arima.seasonal.period if model.arima and model.arima.seasonal else 1
        regressors = []
        for element in elements:
            if element.target_field not in (None, *names) and element.future_values_method != "otherModel":
                raise SchemaError(
                    f'<DynamicRegressor> acts on target "{element.target_field}", which the model does not have',
                    element.line,
                )
            regressors.append(_Regressor(element, _of_field(model, element.field), self._axis, period))
            if regressors[-1].from_rows:
                context.environment.type_of(element.field, element)
        forecasts = self._forecasts(model, names, history, regressors, period)
        self._series = [
            _TargetSeries(
                forecast,
                [item for item in regressors if item.element.target_field in (None, name) or len(names) == 1],
                _stored(model, name, self._axis),
                isinstance(forecast, Arima) and forecast.accumulates,
            )
            for name, forecast in zip(names, forecasts, strict=True)
        ]
        if all(series.forecast is None and not series.stored for series in self._series):
            raise SchemaError(
                f"<{model.best_fit}> has no content that predicts, and there is no <TimeSeries>", model.line
            )
        fields = model.output.fields if model.output else ()
        self._bounds = [item for item in fields if item.feature.startswith("confidenceInterval")]
        if self._time is None or any(series.lasting for series in self._series):
            context.environment.row_order.is_sequential = True

    def _time_field(
        self, model: TimeSeriesModel, regressors: Sequence[str], environment: Environment
    ) -> tuple[str | None, bool]:
        """The field of time, and whether it counts steps after the series."""
        usages = ("active", "supplementary", "order")
        fields = [
            item for item in model.mining_schema.fields if item.usage_type in usages and item.name not in regressors
        ]
        ordering = [item for item in fields if item.usage_type == "order"]
        active = [item for item in fields if item.usage_type == "active"]
        chosen = ordering or active or fields
        if len(chosen) > 1:
            listed = ", ".join(item.name for item in chosen)
            raise SchemaError(
                f'<MiningSchema>: each of {listed} could be the field of time; give one usageType "order"',
                model.mining_schema.line,
            )
        if not chosen:
            return None, True
        known = environment.type_of(chosen[0].name, chosen[0])
        if is_temporal(known.data_type):
            if not self._axis.knows_dates():
                raise SchemaError(
                    f'<MiningField> "{chosen[0].name}" is a {known.data_type}, but no <TimeAnchor> or <Timestamp> '
                    "tells the dates of the series",
                    chosen[0].line,
                )
            return chosen[0].name, False
        return chosen[0].name, not ordering

    def _forecasts(
        self,
        model: TimeSeriesModel,
        names: Sequence[str | None],
        history: Sequence[TimeSeries | None],
        regressors: Sequence[_Regressor],
        period: int,
    ) -> Sequence[Forecast | None]:
        elements = {
            "ARIMA": model.arima,
            "ExponentialSmoothing": model.exponential_smoothing,
            "SeasonalTrendDecomposition": model.seasonal_trend_decomposition,
            "SpectralAnalysis": model.spectral_analysis,
            "StateSpaceModel": model.state_space_model,
            "GARCH": model.garch,
        }
        if elements[model.best_fit] is None:
            raise SchemaError(f"<TimeSeriesModel> has bestFit {model.best_fit} but no <{model.best_fit}>", model.line)
        if model.best_fit == "StateSpaceModel" and model.state_space_model:
            return state_spaces(model.state_space_model, names)
        if len(names) > 1:
            raise SchemaError(f"<{model.best_fit}> predicts one target, not {len(names)}", model.mining_schema.line)
        if model.best_fit == "ExponentialSmoothing" and model.exponential_smoothing:
            return [Smoothing(model.exponential_smoothing)]
        if model.best_fit == "GARCH" and model.garch:
            return [Garch(model.garch, self._history(history[0]))]
        if model.best_fit == "ARIMA" and model.arima:
            past = self._history(history[0])
            past = History(past.positions, transform(past.values, model.arima.transformation))
            effects = np.zeros(len(past.values))
            for regressor in regressors:
                effects += regressor.past_effects(len(effects))
            stat = model.arima.maximum_likelihood_stat
            behind = stat.period_deficit if stat else 0
            if not 0 <= behind <= _MOST_STEPS:
                raise SchemaError(f"<MaximumLikelihoodStat> periodDeficit {behind} is not from 0", model.arima.line)
            return [Arima(model.arima, past, period, effects, behind)]
        return [None]

    def _history(self, series: TimeSeries | None) -> History:
        if series is None:
            return History(np.zeros(0), np.zeros(0))
        values = np.array([value.value for value in series.values], np.float64)
        return History(*_contiguous(self._axis.positions(series.values), values))

    # --- Scoring -----------------------------------------------------------------------------------------------------

    def score(self, scope: Scope) -> Mapping[str | None, Prediction]:
        """What a block of rows is told, by target."""
        positions, missing, fault = self._positions(scope)
        ahead = positions - self._axis.last
        whole = np.rint(ahead)
        is_future = ~missing & (ahead > 1e-9)
        is_step = is_future & (np.abs(ahead - whole) <= 1e-9)
        too_far = is_step & (whole > _MOST_STEPS)
        element = "TimeSeriesModel"
        complaints = [
            (is_future & ~is_step, "lies between two steps after the end of the series"),
            (too_far, f"lies more than {_MOST_STEPS} steps after the end of the series"),
        ]
        steps = np.where(is_step & ~too_far, whole, 0).astype(np.int64)
        predictions: dict[str | None, Prediction] = {}
        for target, series in zip(self._targets, self._series, strict=True):
            if series.forecast is None:
                steps = np.zeros_like(steps)
            codes = fault.copy()
            answer = self._answer(series, positions, missing, steps, scope)
            codes = np.where(codes != 0, codes, answer.fault)
            absent = np.isnan(answer.value) & ~missing & ~answer.missing & (codes == 0)
            unknown = absent & ~is_future
            rows = [
                *(complaints if series.forecast is not None else ()),
                (absent & is_future, "is a time that the model predicts no value of"),
            ]
            for where, complaint in rows:
                codes = self._complain(scope, codes, where & ~missing, complaint, element)
            predictions[target.name] = self._prediction(
                answer, missing | answer.missing | unknown, codes, series, target.name
            )
        return predictions

    def _positions(self, scope: Scope) -> tuple[Floats, Bools, Codes]:
        """Positions of the rows' times, where there is no time, and faults."""
        none = np.zeros(scope.rows, np.int32)
        if self._time is None:
            return self._axis.last + np.arange(1.0, scope.rows + 1), np.zeros(scope.rows, np.bool_), none
        column = scope.column(self._time)
        if not is_temporal(column.data_type):
            column = cast_or_fault(column, "double", scope.faults, self._time, "TimeSeriesModel")
        missing = column.is_missing()
        fault = none if column.fault is None else column.fault
        numbers = column.values.astype(np.float64)
        missing = missing | ~np.isfinite(numbers)
        numbers = np.where(missing, 0.0, numbers)
        if self._is_ahead:
            return self._axis.last + numbers, missing, fault
        if is_temporal(column.data_type):
            positions, is_point = self._axis.of_moments(seconds(numbers, column.data_type))
        else:
            positions, is_point = self._axis.of_numbers(numbers)
        wrong = ~is_point & ~missing
        if wrong.any():
            column = mark(column, wrong, column, scope.faults, self._time, "TimeAnchor", "is no time of the series")
            fault = column.fault if column.fault is not None else fault
        return positions, missing, fault

    def _complain(self, scope: Scope, codes: Codes, rows: Bools, complaint: str, element: str) -> Codes:
        rows = rows & (codes == 0)
        if not rows.any():
            return codes
        if self._time is None:
            code = scope.faults.add(Fault(f"the row {complaint}", None, None, element))
            return np.where(rows, code, codes).astype(np.int32)
        column = scope.column(self._time)
        marked = mark(column, rows, column, scope.faults, self._time, element, complaint)
        return codes if marked.fault is None else np.where(rows, marked.fault, codes).astype(np.int32)

    def _answer(self, series: _TargetSeries, positions: Floats, missing: Bools, steps: Ints, scope: Scope) -> _Answer:
        rows = scope.rows
        value, error = np.full(rows, np.nan), np.full(rows, np.nan)
        centre, centre_error = np.full(rows, np.nan), np.full(rows, np.nan)
        fault, lacking = np.zeros(rows, np.int32), np.zeros(rows, np.bool_)
        most = int(steps.max(initial=0))
        path = series.path(most)
        future = steps > 0
        if path is not None and series.forecast is not None and future.any():
            at = steps[future] - 1
            centre[future] = path.mean[at]
            centre_error[future] = np.sqrt(path.variance[at])
            for regressor in series.immediate:
                column, given = _given(regressor, scope)
                centre += regressor.numerator[0] * given
                lacking |= future & np.isnan(given)
                fault = np.where(future & (fault == 0), column, fault).astype(np.int32)
            for regressor in series.lasting:
                effect, without, codes = self._effect(series.forecast, regressor, scope, steps, most)
                centre += effect
                lacking |= without
                fault = np.where(future & (fault == 0), codes, fault).astype(np.int32)
            transformation = series.forecast.transformation
            value[future] = restore(centre[future], transformation)
            error[future] = restore_error(centre_error[future], centre[future], transformation)
        past = ~missing & ~future
        series.tell(positions, value, error, past)
        centre[past], centre_error[past] = np.nan, np.nan
        return _Answer(lacking, value, error, centre, centre_error, fault)

    def _effect(
        self, forecast: Forecast, regressor: _Regressor, scope: Scope, steps: Ints, most: int
    ) -> tuple[Floats, Bools, Codes]:
        """What a regressor adds whose values in other rows matter, too; where it has none itself; and faults."""
        codes, given = _given(regressor, scope)
        future = np.full(most, np.nan)
        rows = np.flatnonzero((steps > 0) & ~np.isnan(given))
        future[steps[rows] - 1] = given[rows]
        effects = forecast.respond(regressor.effects(future))
        result = np.full(scope.rows, np.nan)
        ahead = steps > 0
        result[ahead] = effects[steps[ahead] - 1]
        other = ahead & ~np.isnan(given) & (given != np.where(ahead, future[np.maximum(steps, 1) - 1], np.nan))
        name = regressor.name
        for where, complaint in (
            (other, f"field {name}: another row gives another value for the same step"),
            (ahead & ~np.isnan(given) & np.isnan(result), f"field {name}: no row gives its value for an earlier step"),
        ):
            where = where & (codes == 0)
            if where.any():
                code = scope.faults.add(Fault(complaint, name, None, str(regressor.element)))
                codes = np.where(where, code, codes).astype(np.int32)
        return result, ahead & np.isnan(given) & np.isnan(result), codes

    def _prediction(
        self, answer: _Answer, missing: Bools, codes: Codes, series: _TargetSeries, name: str | None
    ) -> Prediction:
        fault = codes if codes.any() else None
        value = Column("double", answer.value, missing if missing.any() else None, fault=fault)
        unknown = np.isnan(answer.error)
        error = Column("double", answer.error, unknown if unknown.any() else None, fault=fault)
        answers: dict[str, Column] = {}
        if series.forecast is not None and series.forecast.transformation != "none":
            for bound in self._bounds:
                if bound.target_field in (None, name):
                    answers[bound.name] = _bound(bound, answer, series.forecast, missing | unknown, fault)
        return Prediction(value, standard_error=error, answers=answers)


def _given(regressor: _Regressor, scope: Scope) -> tuple[Codes, Floats]:
    """A regressor's values in the rows, transformed; NaN where missing; and their faults."""
    column = cast_or_fault(scope.column(regressor.name), "double", scope.faults, regressor.name, str(regressor.element))
    fault = np.zeros(scope.rows, np.int32) if column.fault is None else column.fault
    values = transform(column.floats(), regressor.element.transformation)
    return fault, values


def _bound(bound: OutputField, answer: _Answer, forecast: Forecast, missing: Bools, fault: Codes | None) -> Column:
    """A bound of the interval of the transformed series, restored; of a stored value, about that."""
    level = float(bound.value or "95")
    quantile = NormalDist().inv_cdf(0.5 + level / 200) * (-1 if bound.feature.endswith("Lower") else 1)
    restored = restore(answer.centre + quantile * answer.centre_error, forecast.transformation)
    values = np.where(np.isnan(answer.centre), answer.value + quantile * answer.error, restored)
    return Column("double", values, missing, fault=fault)


# --- What the document stores ----------------------------------------------------------------------------------------


def _of_usage(model: TimeSeriesModel, usage: TimeSeriesUsage, name: str | None) -> TimeSeries | None:
    """The series of a usage and a target; one that names no field is of any target."""
    return next(
        (item for item in model.series if item.usage == usage and item.values and item.field in (None, name)), None
    )


def _usable(model: TimeSeriesModel, name: str | None) -> TimeSeries | None:
    """The series that a model continues: the completed one, without it the original, without that the predicted."""
    return (
        _of_usage(model, "logical", name) or _of_usage(model, "original", name) or _of_usage(model, "prediction", name)
    )


def _of_field(model: TimeSeriesModel, name: str) -> TimeSeries | None:
    return next((item for item in model.series if item.values and item.field == name), None)


def _stored(model: TimeSeriesModel, name: str | None, axis: TimeAxis) -> list[StoredSeries]:
    """The series that answer for times of the series, the first that has a value there being asked."""
    result = []
    fitted: tuple[TimeValue, ...] = ()
    if model.best_fit == "ExponentialSmoothing" and model.exponential_smoothing:
        fitted = model.exponential_smoothing.values
    usages: tuple[TimeSeriesUsage, ...] = ("prediction", "logical", "original")
    for usage in usages:
        series = _of_usage(model, usage, name)
        if series is not None:
            _check_span(series)
            result.append(StoredSeries(series.values, series.interpolation_method, axis, series.line))
        elif usage == "prediction" and fitted:
            result.append(StoredSeries(fitted, "none", axis, fitted[0].line))
    return result


def _check_span(series: TimeSeries) -> None:
    """Raise SchemaError if startTime and endTime contradict each other or the times between them."""
    start, end = series.start_time, series.end_time
    if start is not None and end is not None and start > end:
        raise SchemaError(f"<TimeSeries> startTime {start:g} is after its endTime {end:g}", series.line)
    for value in series.values:
        if value.time is None:
            continue
        if (start is not None and value.time < start) or (end is not None and value.time > end):
            raise SchemaError(
                f"<TimeValue> time {value.time:g} is outside its series' startTime and endTime", value.line
            )
