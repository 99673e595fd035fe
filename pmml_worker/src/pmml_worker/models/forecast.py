"""The algorithms of time series: what is predicted some steps after the end of a series (TimeSeriesModel)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import Element, Matrix, NumberArray
from pmml_worker.schema.time_series import (
    ARIMA,
    GARCH,
    MA,
    ExponentialSmoothing,
    KalmanState,
    Level,
    NonseasonalComponent,
    OutlierEffect,
    PsiVector,
    SeasonalComponent,
    SeasonalityExpoSmooth,
    SeriesTransformation,
    StateSpaceModel,
    ThetaRecursionState,
    TrendExpoSmooth,
)
from pmml_worker.transform.column import Floats

_LARGEST_ORDER = 10_000
"""Of a polynomial of the backshift operator; the standard sets no limit, memory does."""


@dataclass(frozen=True, slots=True)
class Path:
    """Predictions for the steps 1, 2 … after the end of a series, before its transformation is undone.

    Attributes:
        mean: shape (steps,).
        variance: shape (steps,), of the prediction's error; NaN where the document does not tell it.
    """

    mean: Floats
    variance: Floats


class Forecast(Protocol):
    """A fitted algorithm."""

    transformation: SeriesTransformation

    def path(self, steps: int) -> Path:
        """Predictions for the steps from 1 to `steps`, without regressors whose values come with the rows."""

    def respond(self, effects: Floats) -> Floats:
        """What regressors' effects on the model's equation at the steps 1, 2 … add to the series, shape (steps,)."""


def transform(values: Floats, transformation: SeriesTransformation) -> Floats:
    """Values as the model sees them; NaN or infinite where the transformation has no value."""
    with np.errstate(invalid="ignore", divide="ignore"):
        match transformation:
            case "logarithmic":
                return np.log(values)
            case "squareroot":
                return np.sqrt(values)
            case _:
                return values


def restore(values: Floats, transformation: SeriesTransformation) -> Floats:
    """The inverse of `transform`; a root below 0 counts as 0."""
    with np.errstate(over="ignore"):
        match transformation:
            case "logarithmic":
                return np.exp(values)
            case "squareroot":
                return np.square(np.maximum(values, 0.0))
            case _:
                return values


def restore_error(error: Floats, values: Floats, transformation: SeriesTransformation) -> Floats:
    """The standard error of restored values, to first order: the error times the inverse's derivative."""
    match transformation:
        case "logarithmic":
            return error * restore(values, transformation)
        case "squareroot":
            return error * 2 * np.maximum(values, 0.0)
        case _:
            return error


# --- Polynomials of the backshift operator ---------------------------------------------------------------------------


def polynomial(coefficients: Floats, sign: float, lag: int = 1) -> Floats:
    """1 + sign c1 B^lag + sign c2 B^(2 lag) + …, by powers of B."""
    result = np.zeros(len(coefficients) * lag + 1)
    result[0] = 1.0
    result[lag::lag] = sign * coefficients
    return result


def difference(order: int, lag: int = 1) -> Floats:
    """(1 - B^lag)^order, by powers of B."""
    result = np.ones(1)
    for _ in range(order):
        result = np.convolve(result, polynomial(np.ones(1), -1.0, lag))
    return result


def recursive(denominator: Floats, inputs: Floats, before: Floats) -> Floats:
    """The series y with denominator(B) y = inputs.

    Args:
        denominator: shape (order + 1,), by powers of B, the first 1.
        inputs: shape (steps, …).
        before: shape (values, …), earlier y, the oldest first; those that are lacking are 0.

    Returns:
        Shape (steps, …).
    """
    order = len(denominator) - 1
    series = np.zeros((order + len(inputs), *inputs.shape[1:]))
    known = min(order, len(before))
    if known:
        series[order - known : order] = before[len(before) - known :]
    series[order:] = inputs
    if order:
        weights = -denominator[:0:-1]
        for step in range(len(inputs)):
            series[order + step] += weights @ series[step : step + order]
    return series[order:]


def impulse(numerator: Floats, denominator: Floats, steps: int) -> Floats:
    """The first coefficients of numerator(B) / denominator(B), shape (steps,)."""
    inputs = np.zeros(steps)
    inputs[: len(numerator)] = numerator[:steps]
    return recursive(denominator, inputs, np.zeros(0))


def _of_length(array: NumberArray | None, length: int, what: str, element: Element) -> Floats:
    values = array.numbers() if array else np.zeros(0)
    if len(values) != length:
        raise SchemaError(
            f"<{type(element).__name__}> has {what} {length} but {len(values)} coefficients", element.line
        )
    return values


def _lagged(latest: Floats, coefficients: Floats) -> Floats:
    """Sum over j >= h of c_j x_(h - j), for the steps h = 1, 2 … of as many coefficients; x_0 is the latest."""
    order = len(coefficients)
    return np.array([coefficients[step:] @ latest[::-1][: order - step] for step in range(order)])


# --- Exponential smoothing -------------------------------------------------------------------------------------------


class Smoothing:
    """Level, trend and season carried on (TimeSeriesModel, "Exponential Smoothing").

    With level S, trend T or R, seasonal effects I and h steps: S; additive S + h T; damped S + (phi + … + phi^h) T;
    multiplicative S R^h; damped S R^(phi + … + phi^h); Brown's double exponential smoothing a + b h and its quadratic
    form a + b h + c h^2 / 2, whose coefficients follow from the level, the level of the level and so on; an array of
    a polynomial trend holds the coefficients of h, h^2 …. Seasonal effects are added, or multiply.

    The error's variance is that of the model with additive errors whose smoothing this is: RMSE^2 (1 + c_1^2 + … +
    c_(h-1)^2), c_j = alpha + alpha gamma (phi + … + phi^j) + delta (1 - alpha) where j is a multiple of the period.
    With multiplicative trends or seasons it is known for one step only: RMSE^2.
    """

    def __init__(self, element: ExponentialSmoothing) -> None:
        self.transformation = element.transformation
        self._rmse = np.nan if element.rmse is None else element.rmse
        self._element = element
        self._coefficients = _trend_coefficients(element.level, element.trend)
        self._season, self._phase = _season(element.seasonality)

    def path(self, steps: int) -> Path:
        """See `Forecast`."""
        horizon = np.arange(1.0, steps + 1)
        level, trend = self._coefficients[0], self._element.trend
        kind = trend.trend if trend else None
        with np.errstate(all="ignore"):
            match kind:
                case "damped_additive":
                    mean = level + self._damping(steps) * self._coefficients[1]
                case "multiplicative":
                    mean = level * self._coefficients[1] ** horizon
                case "damped_multiplicative":
                    mean = level * self._coefficients[1] ** self._damping(steps)
                case _:
                    mean = np.polynomial.polynomial.polyval(horizon, self._coefficients)
            if self._element.seasonality is not None:
                places = (self._phase - 1 + np.arange(1, steps + 1)) % len(self._season)
                is_additive = self._element.seasonality.type == "additive"
                mean = mean + self._season[places] if is_additive else mean * self._season[places]
        return Path(mean, self._variance(steps))

    def respond(self, effects: Floats) -> Floats:
        """See `Forecast`."""
        return effects

    def _damping(self, steps: int) -> Floats:
        phi = self._element.trend.phi if self._element.trend else 1.0
        return np.cumsum(phi ** np.arange(1.0, steps + 1))

    def _variance(self, steps: int) -> Floats:
        variance = np.full(steps, np.nan)
        variance[:1] = self._rmse**2
        level, trend, season = self._element.level, self._element.trend, self._element.seasonality
        alpha = level.alpha
        kind = trend.trend if trend else None
        if alpha is None or kind in ("multiplicative", "damped_multiplicative", "polynomial_exponential"):
            return variance
        if season is not None and (season.type == "multiplicative" or season.delta is None):
            return variance
        weights = np.full(steps, alpha)
        if kind == "double_exponential":
            # Brown's smoothing is Holt's with the level's 1 - (1 - alpha)^2 and the trend's alpha^2.
            weights = alpha * (2 - alpha) + alpha**2 * np.arange(1.0, steps + 1)
        elif trend is not None:
            if trend.gamma is None:
                return variance
            damping = self._damping(steps) if kind == "damped_additive" else np.arange(1.0, steps + 1)
            weights = weights + alpha * trend.gamma * damping
        if season is not None and season.delta is not None:
            weights[season.period - 1 :: season.period] += season.delta * (1 - alpha)
        return self._rmse**2 * (1 + np.concatenate(([0.0], np.cumsum(weights[:-1] ** 2))))


def _trend_coefficients(level: Level, trend: TrendExpoSmooth | None) -> Floats:
    """Level and trend, or the coefficients of a polynomial trend."""
    if level.smoothed_value is None:
        raise SchemaError("<Level> lacks its smoothedValue", level.line)
    first = level.smoothed_value
    if trend is None:
        return np.array([first])
    array = trend.array.numbers() if trend.array else np.zeros(0)
    if trend.trend == "polynomial_exponential" and len(array):
        return np.array([first, *array])
    second, third = level.quadratic_smoothed_value, level.cubic_smoothed_value
    if trend.trend == "polynomial_exponential" or (trend.trend == "double_exponential" and second is not None):
        wanted = (second, third) if trend.trend == "polynomial_exponential" else (second,)
        alpha = level.alpha
        if alpha is None or not 0 < alpha < 1 or second is None or None in wanted:
            raise SchemaError(
                f"<Level> needs alpha between 0 and 1 and quadraticSmoothedValue for trend {trend.trend}, "
                "cubicSmoothedValue too where it is polynomial",
                level.line,
            )
        beta = 1 - alpha
        if third is None or trend.trend == "double_exponential":
            return np.array([2 * first - second, alpha / beta * (first - second)])
        slope = (6 - 5 * alpha) * first - (10 - 8 * alpha) * second + (4 - 3 * alpha) * third
        return np.array([
            3 * first - 3 * second + third,
            alpha / (2 * beta**2) * slope,
            (alpha / beta) ** 2 * (first - 2 * second + third) / 2,
        ])  # fmt: skip
    slope_value = trend.smoothed_value if trend.smoothed_value is not None else (array[-1] if len(array) else None)
    if slope_value is None:
        raise SchemaError(f"<Trend_ExpoSmooth> of {trend.trend} trend lacks its smoothedValue", trend.line)
    return np.array([first, slope_value])


def _season(element: SeasonalityExpoSmooth | None) -> tuple[Floats, int]:
    """The seasonal effects and the place, from 1, of the series' last time among them."""
    if element is None:
        return np.zeros(0), 0
    effects = element.array.numbers()
    if element.period < 1 or len(effects) != element.period:
        raise SchemaError(
            f"<Seasonality_ExpoSmooth> has period {element.period} but {len(effects)} effects", element.line
        )
    phase = element.period if element.phase is None else element.phase
    if not 0 <= phase <= element.period:
        raise SchemaError(f"<Seasonality_ExpoSmooth> phase {phase} is not from 1 to its period", element.line)
    return effects, phase


# --- ARIMA -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """The end of a series as a model sees it: consecutive values, the oldest first, and their positions."""

    positions: Floats
    values: Floats


@dataclass(frozen=True, slots=True)
class _Noise:
    """A stationary ARMA series after the end of its known part; variances in units of the residuals' variance.

    Attributes:
        mean: shape (steps,).
        variance: shape (steps,), of the error of the series once it is integrated.
    """

    mean: Floats
    variance: Floats


class Arima:
    """A seasonal ARIMA model (TimeSeriesModel, "ARIMA").

    With f the transformation, Y the series, D = (1 - B)^d (1 - B^s)^D, v the regressors' effects and o the outliers':

        D (f(Y_t) - o_t) = constantTerm + v_t + n_t,   phi(B) Phi(B^s) n_t = theta(B) Theta(B^s) a_t,
        phi(B) = 1 - phi_1 B - …,  Phi(B^s) = 1 - Phi_1 B^s - …,  theta(B) = 1 + theta_1 B + …,
        Theta(B^s) = 1 + Theta_1 B^s + …

    so constantTerm is the mean of the differenced series. The prediction's error has the variance RMSE^2 (psi_0^2 + …
    + psi_(h-1)^2), psi(B) = theta(B) Theta(B^s) / (phi(B) Phi(B^s) D); exact least squares adds what the state is
    unsure of.
    """

    def __init__(self, element: ARIMA, history: History, period: int, past_effects: Floats, steps_behind: int) -> None:
        """Compile an ARIMA element.

        Args:
            element: the element.
            history: the transformed series.
            period: the seasonal period.
            past_effects: shape (values,), the regressors' effects at the history's positions; NaN where unknown.
            steps_behind: how many steps before the end of the series the state of exact least squares stands.

        Raises:
            SchemaError: arrays are too short for the orders, or the series is.
        """
        self.transformation = element.transformation
        self._rmse = np.nan if element.rmse is None else element.rmse
        self._constant = element.constant_term
        self._behind = steps_behind
        nonseasonal, seasonal = element.nonseasonal, element.seasonal
        self._ar, self._ma, self._difference = _polynomials(nonseasonal, seasonal, period)
        full = np.convolve(self._ar, self._difference)
        self._outliers = [_Outlier(item, self._ma, full, period) for item in element.outliers]
        values = history.values.copy()
        for outlier in self._outliers:
            values -= outlier.effects(history.positions)
        end = len(values) - steps_behind
        self._last = float(history.positions[-1]) if len(values) else 0.0
        # Effects of past regressors concern the differenced series; so does the noise.
        self._series = values[: max(end, 0)]
        self._past_effects = past_effects[: max(end, 0)]
        need = len(self._difference) - 1
        stat = element.maximum_likelihood_stat
        is_exact = element.prediction_method == "exactLeastSquares"
        self._state: _ExactState | None = None
        if is_exact and stat is not None:
            if stat.method == "kalman" and stat.kalman_state is not None:
                self._state = _KalmanNoise(stat.kalman_state, self._ar, self._ma)
            elif stat.method == "thetaRecursion" and stat.theta_recursion_state is not None:
                self._state = _InnovationsNoise(stat.theta_recursion_state, self._ar, self._ma)
            else:
                raise SchemaError(f"<MaximumLikelihoodStat> lacks the state of its method {stat.method}", stat.line)
        elif is_exact:
            raise SchemaError("<ARIMA> of exactLeastSquares lacks its <MaximumLikelihoodStat>", element.line)
        self._space = _space(stat.kalman_state) if is_exact and stat and stat.kalman_state else None
        if self._space is not None:
            need = 0
        if self._state is None:
            need += len(self._ar) - 1
        if need > len(self._series) or not np.isfinite(self._series[len(self._series) - need :]).all():
            raise SchemaError(
                f"<ARIMA> needs the last {need} consecutive values of the series, which its <TimeSeries> does not hold",
                element.line,
            )
        if self._state is None:
            self._compile_least_squares(element)

    def _compile_least_squares(self, element: ARIMA) -> None:
        """Noise and residuals at the end of the series; without Residuals, they follow with 0 before the series."""
        ar, ma = len(self._ar) - 1, len(self._ma) - 1
        differenced = np.convolve(self._series, self._difference, "valid") if len(self._series) else np.zeros(0)
        differenced = differenced[: max(len(self._series) - len(self._difference) + 1, 0)]
        noise = differenced - self._constant - self._past_effects[len(self._past_effects) - len(differenced) :]
        if not np.isfinite(noise[len(noise) - ar :]).all():
            raise SchemaError(
                f"<ARIMA> needs the regressors' values at the last {ar} times and those that act on them", element.line
            )
        self._noise = noise[len(noise) - ar :]
        residuals = _residuals(element.nonseasonal, element.seasonal)
        if residuals is None:
            # np.convolve swaps its arguments where the second is longer; there is no residual then.
            free = np.convolve(noise, self._ar, "valid") if len(noise) > ar else np.zeros(0)
            known = np.flatnonzero(~np.isfinite(free))
            free = free[int(known[-1]) + 1 if len(known) else 0 :]
            residuals = recursive(self._ma, free, np.zeros(0))
            residuals = np.concatenate((np.zeros(max(ma - len(residuals), 0)), residuals))
        if len(residuals) < ma:
            raise SchemaError(
                f"<ARIMA> needs the last {ma} residuals, q + Q x period; its <Residuals> hold {len(residuals)}",
                element.line,
            )
        self._residuals = residuals[len(residuals) - ma :]

    def path(self, steps: int) -> Path:
        """See `Forecast`."""
        ahead = steps + self._behind
        if self._state is None:
            inputs = np.zeros(max(ahead, len(self._ma) - 1))
            inputs[: len(self._ma) - 1] = _lagged(self._residuals, self._ma[1:])
            mean = recursive(self._ar, inputs[:ahead], self._noise)
            psi = impulse(self._ma, np.convolve(self._ar, self._difference), ahead)
            noise = _Noise(mean, np.cumsum(psi**2))
        else:
            noise = self._state.noise(ahead, self._difference)
        if self._space is None:
            level = recursive(self._difference, noise.mean + self._constant, self._series)
        else:
            level = self._space.path(ahead).mean + self._constant
        positions = self._last + np.arange(1.0, steps + 1)
        for outlier in self._outliers:
            level[self._behind :] += outlier.effects(positions)
        return Path(level[self._behind :], self._rmse**2 * noise.variance[self._behind :])

    @property
    def accumulates(self) -> bool:
        """Whether an effect at one time stays in the series, because it is differenced."""
        return len(self._difference) > 1

    def respond(self, effects: Floats) -> Floats:
        """See `Forecast`."""
        return recursive(self._difference, effects, np.zeros(0))


def _polynomials(
    nonseasonal: NonseasonalComponent | None, seasonal: SeasonalComponent | None, period: int
) -> tuple[Floats, Floats, Floats]:
    """The whole autoregressive, moving average and differencing polynomials, by powers of B."""
    ar, ma, differencing = np.ones(1), np.ones(1), np.ones(1)
    for component, lag in ((nonseasonal, 1), (seasonal, period)):
        if component is None:
            continue
        orders = (component.p, component.d, component.q)
        if min(orders) < 0 or lag < 1 or sum(orders) * lag > _LARGEST_ORDER:
            raise SchemaError(
                f"<{type(component).__name__}> has orders {orders} of period {lag}: they are not negative, the period "
                f"is positive, and together they reach back {_LARGEST_ORDER} times at most",
                component.line,
            )
        own_ar = _of_length(component.ar.array if component.ar else None, component.p, "p", component)
        coefficients = component.ma.coefficients if component.ma else None
        own_ma = _of_length(coefficients.array if coefficients else None, component.q, "q", component)
        ar = np.convolve(ar, polynomial(own_ar, -1.0, lag))
        ma = np.convolve(ma, polynomial(own_ma, 1.0, lag))
        differencing = np.convolve(differencing, difference(component.d, lag))
    return ar, ma, differencing


def _residuals(*components: NonseasonalComponent | SeasonalComponent | None) -> Floats | None:
    """The longest of the components' residuals, all of which end with the series; None if there are none."""
    parts: list[MA] = [component.ma for component in components if component is not None and component.ma is not None]
    arrays = [part.residuals.array.numbers() for part in parts if part.residuals is not None]
    return max(arrays, key=len, default=None)


def _space(element: KalmanState) -> StateSpace | None:
    """How the series itself, not only its noise, goes on from the state, where exporters say so by two matrices."""
    if element.transition_matrix is None or element.measurement_matrix is None:
        return None
    state = element.final_state_vector.array.numbers()
    transition = square(element.transition_matrix.matrix, "TransitionMatrix")
    measurement = element.measurement_matrix.matrix.numbers()
    if len(transition) != len(state) or measurement.shape != (1, len(state)) or np.isnan(measurement).any():
        raise SchemaError(f"<KalmanState> has {len(state)} states; its matrices are of other sizes", element.line)
    return StateSpace(state, transition, measurement[0])


class _Outlier:
    """An outlier's effects: on one time, on all later ones, dying away, every period, growing, or as a residual's."""

    def __init__(self, element: OutlierEffect, ma: Floats, full: Floats, period: int) -> None:
        self._start = element.start_time
        self._magnitude = element.magnitude
        self._shape = element
        match element.type:
            case "additive":
                self._polynomials = np.ones(1), np.ones(1)
            case "level":
                self._polynomials = np.ones(1), difference(1)
            case "transient":
                if element.damping_coefficient is None:
                    raise SchemaError("<OutlierEffect> of type transient lacks its dampingCoefficient", element.line)
                self._polynomials = np.ones(1), np.array([1.0, -element.damping_coefficient])
            case "seasonalAdditive":
                self._polynomials = np.ones(1), difference(1, period)
            case "trend":
                self._polynomials = np.ones(1), difference(2)
            case "innovational":
                self._polynomials = ma, full

    def effects(self, positions: Floats) -> Floats:
        """The effects at consecutive positions, shape (positions,)."""
        if not len(positions):
            return np.zeros(0)
        after = np.rint(positions - self._start).astype(np.int64)
        steps = int(after[-1]) + 1
        if steps <= 0:
            return np.zeros(len(positions))
        if steps > _LARGEST_STEPS:
            raise SchemaError(
                f"<OutlierEffect> startTime {self._start:g} lies {steps} times back; {_LARGEST_STEPS} are allowed",
                self._shape.line,
            )
        response = impulse(*self._polynomials, steps)
        return np.where(after >= 0, self._magnitude * response[np.maximum(after, 0)], 0.0)


_LARGEST_STEPS = 1 << 20
"""How far an outlier may lie before the last predicted time."""


class _ExactState(Protocol):
    def noise(self, steps: int, differencing: Floats) -> _Noise:
        """Predictions of the noise, and the error variance of the integrated series."""


class _KalmanNoise:
    """Noise from the state of a Kalman filter.

    The state x is predicted for the first time after the series; it goes on by x_i <- phi_i x_1 + x_(i+1), and the
    noise is H x, x_1 without HVector. FinalOmega is the covariance of x's error, in units of the residuals' variance.
    """

    def __init__(self, element: KalmanState, ar: Floats, ma: Floats) -> None:
        self._ar, self._ma = ar, ma
        self._state = element.final_state_vector.array.numbers()
        size, need = len(self._state), max(len(ar), len(ma)) - 1
        if size < need:
            raise SchemaError(
                f"<FinalStateVector> has {size} values; the orders need {need}", element.final_state_vector.line
            )
        self._first = np.eye(1, size)[0]
        if element.h_vector is not None:
            self._first = element.h_vector.array.numbers()
            if len(self._first) != size:
                raise SchemaError(f"<HVector> has {len(self._first)} values for {size} states", element.h_vector.line)
        self._omega = np.zeros((size, size))
        if element.final_omega is not None:
            omega = square(element.final_omega.matrix, "FinalOmega")
            if omega.shape == (size, size):
                self._omega = omega
            elif omega.size != 1 or omega[0, 0] != 0:  # exporters write a single 0 for a state that is known
                raise SchemaError(f"<FinalOmega> has {len(omega)} rows for {size} states", element.final_omega.line)

    def noise(self, steps: int, differencing: Floats) -> _Noise:
        """See `_ExactState`."""
        size = len(self._state)
        phi = np.zeros(size)
        phi[: len(self._ar) - 1] = -self._ar[1:]
        rows = np.empty((steps, size))
        row = self._first
        for step in range(steps):
            rows[step] = row
            row = np.concatenate(([row @ phi], row[:-1]))[:size]
        integrated = recursive(differencing, rows, np.zeros((0, size)))
        psi = impulse(self._ma, np.convolve(self._ar, differencing), steps)
        unsure = np.einsum("hi,ij,hj->h", integrated, self._omega, integrated)
        return _Noise(rows @ self._state, np.cumsum(psi**2) + unsure)


class _InnovationsNoise:
    """Noise from the state of the innovations algorithm, of q last times, the oldest first.

    With the noise W, its predictions P, theta and nu of the last times N - q + 1 … N (Theta i = 1 … q numbers these):

        P_(N+h) = sum phi_i P_(N+h-i) + sum over j >= h of theta_(N+h-1, j) (W_(N+h-j) - P_(N+h-j)),

    P being W where that is known. Later theta and nu follow by the algorithm's recursion, whose covariances are those
    of the moving average: kappa(i, j) = sum theta_r theta_(r + |i - j|).
    """

    def __init__(self, element: ThetaRecursionState, ar: Floats, ma: Floats) -> None:
        self._ar, self._ma = ar, ma
        order = len(ma) - 1
        noise = element.final_noise.array.numbers()
        predicted = element.final_predicted_noise.array.numbers()
        nu = element.final_nu.array.numbers()
        need = max(order, len(ar) - 1)
        for array, length, part in (
            (noise, need, element.final_noise),
            (predicted, order, element.final_predicted_noise),
            (nu, order, element.final_nu),
        ):
            if len(array) < length:
                raise SchemaError(
                    f"<{type(part).__name__}> has {len(array)} values; the orders need {length}", part.line
                )
        self._noise = noise
        self._innovations = noise[len(noise) - order :] - predicted[len(predicted) - order :]
        self._nu = nu[len(nu) - order :]
        self._theta = np.full((order, order), np.nan)
        for item in element.final_theta.thetas:
            if not (1 <= item.i <= order and 1 <= item.j <= order):
                raise SchemaError(f"<Theta> {item.i}, {item.j} is outside 1 to {order}", item.line)
            self._theta[item.i - 1, item.j - 1] = item.theta
        if np.isnan(self._theta).any():
            raise SchemaError(f"<FinalTheta> needs a <Theta> for i and j from 1 to {order}", element.final_theta.line)
        if (self._nu <= 0).any():
            raise SchemaError("<FinalNu> holds a mean squared error that is not positive", element.final_nu.line)

    def noise(self, steps: int, differencing: Floats) -> _Noise:
        """See `_ExactState`."""
        order = len(self._ma) - 1
        theta, nu = self._continued(steps + order)
        inputs = np.zeros(steps)
        for step in range(1, min(order, steps) + 1):
            lags = np.arange(step, order + 1)
            # Row step - 1 predicts time N + step; the innovation of lag j is of time N + step - j.
            inputs[step - 1] = theta[step - 1, lags - 1] @ self._innovations[order + step - lags - 1]
        mean = recursive(self._ar, inputs, self._noise)
        chi = impulse(np.ones(1), np.convolve(self._ar, differencing), steps)
        variance = np.zeros(steps)
        for step in range(steps):
            weights = np.concatenate(([1.0], theta[step + 1 + np.arange(order), np.arange(order)]))
            response = np.convolve(weights, chi)[: steps - step]
            variance[step:] += nu[step] * response**2
        return _Noise(mean, variance)

    def _continued(self, rows: int) -> tuple[Floats, Floats]:
        """theta, shape (rows + 1, q), and nu, shape (rows + 1,), of the predictions of the times after the last."""
        order = len(self._ma) - 1
        gamma = np.array([self._ma[: order + 1 - lag] @ self._ma[lag:] for lag in range(order + 1)])
        theta = np.concatenate((self._theta, np.zeros((rows + 1, order))))
        nu = np.concatenate((self._nu, np.zeros(rows + 1)))
        for row in range(order, len(nu)):
            for lag in range(order, 0, -1):
                total = gamma[lag]
                for farther in range(lag + 1, order + 1):
                    total -= theta[row - lag, farther - lag - 1] * theta[row, farther - 1] * nu[row - farther]
                theta[row, lag - 1] = total / nu[row - lag]
            nu[row] = gamma[0] - theta[row] ** 2 @ nu[row - np.arange(1, order + 1)]
        return theta[order:], nu[order:]


# --- State space models ----------------------------------------------------------------------------------------------


def square(matrix: Matrix, tag: str) -> Floats:
    """The numbers of a square matrix.

    Raises:
        SchemaError: it is not square, or nothing is said of a place.
    """
    numbers = matrix.numbers()
    if numbers.shape[0] != numbers.shape[1] or np.isnan(numbers).any():
        raise SchemaError(f"<{tag}> needs a square matrix of numbers; it is {numbers.shape}", matrix.line)
    return numbers


class StateSpace:
    """One observed series of a linear state space model (TimeSeriesModel, "State Space Models").

        y_h = Z x_h + intercept + observation intercept,   x_(h+1) = F x_h + state intercept,

    x_1 being StateVector. The error's variance is, in units of `variance`, Z P_h Z' + H with P_(h+1) = F P_h F' + V;
    or, from PsiVector, psi_0^2 + … + psi_(h-1)^2.

    PredictedStateCovarianceMatrix is P_1 as long as it may be: what is new in a state, V, is part of any P_1. Exporters
    also write the covariance of the last state of the series there, which is less than V; P_1 follows from it.
    """

    transformation: SeriesTransformation = "none"

    def __init__(
        self,
        state: Floats,
        transition: Floats,
        measurement: Floats,
        *,
        intercept: float = 0.0,
        state_intercept: Floats | None = None,
        variance: float = np.nan,
        covariance: Floats | None = None,
        novelty: Floats | None = None,
        observation_variance: float = 0.0,
        psi: Floats | None = None,
    ) -> None:
        self._state, self._transition, self._measurement = state, transition, measurement
        self._intercept = intercept
        self._state_intercept = np.zeros(len(state)) if state_intercept is None else state_intercept
        self._scale = variance
        self._novelty = novelty
        self._observation_variance = observation_variance
        self._psi = psi
        if covariance is not None and novelty is not None:
            lowest = float(np.linalg.eigvalsh(covariance - novelty)[0])
            if lowest < -1e-8 * max(1e-300, float(np.abs(novelty).max())):
                covariance = transition @ covariance @ transition.T + novelty
        self._covariance = covariance

    def path(self, steps: int) -> Path:
        """See `Forecast`."""
        mean = np.empty(steps)
        rows = np.empty((steps, len(self._state)))
        state, row = self._state, self._measurement
        with np.errstate(all="ignore"):
            for step in range(steps):
                mean[step] = self._measurement @ state + self._intercept
                rows[step] = row
                state = self._transition @ state + self._state_intercept
                row = row @ self._transition
            return Path(mean, self._variance(rows))

    def _variance(self, rows: Floats) -> Floats:
        if self._psi is not None:
            known = np.cumsum(self._psi**2)[: len(rows)]
            return np.concatenate((self._scale * known, np.full(len(rows) - len(known), np.nan)))
        if self._novelty is None:
            return np.full(len(rows), np.nan)
        start = self._novelty if self._covariance is None else self._covariance
        first: Floats = np.einsum("hi,ij,hj->h", rows, start, rows)
        new: Floats = np.einsum("hi,ij,hj->h", rows, self._novelty, rows)
        later = np.concatenate(([0.0], np.cumsum(new)[:-1]))
        scale = 1.0 if np.isnan(self._scale) else self._scale
        return scale * (first + later + self._observation_variance)

    def respond(self, effects: Floats) -> Floats:
        """See `Forecast`."""
        return effects


def state_spaces(element: StateSpaceModel, targets: Sequence[str | None]) -> list[StateSpace]:
    """The series that a state space model observes: a row of its measurement matrix for each target, in their order.

    Raises:
        SchemaError: parts are lacking, or their sizes contradict one another.
    """
    for name, part in (
        ("StateVector", element.state_vector),
        ("TransitionMatrix", element.transition_matrix),
        ("MeasurementMatrix", element.measurement_matrix),
    ):
        if part is None:
            raise SchemaError(f"<StateSpaceModel> lacks its <{name}>", element.line)
    assert element.state_vector and element.transition_matrix and element.measurement_matrix  # for mypy: refused above
    state = element.state_vector.array.numbers()
    size = len(state)
    measurement = element.measurement_matrix.matrix.numbers()
    if measurement.shape != (len(targets), size) or np.isnan(measurement).any():
        raise SchemaError(
            f"<MeasurementMatrix> is {measurement.shape[0]} x {measurement.shape[1]}; {len(targets)} targets and "
            f"{size} states need {len(targets)} x {size}",
            element.measurement_matrix.line,
        )
    transition = square(element.transition_matrix.matrix, "TransitionMatrix")
    predicted, selected = element.predicted_state_covariance, element.selected_state_covariance
    covariance = square(predicted.matrix, "PredictedStateCovarianceMatrix") if predicted else None
    novelty = square(selected.matrix, "SelectedStateCovarianceMatrix") if selected else None
    observed = element.observation_variance
    observation = square(observed.matrix, "ObservationVarianceMatrix") if observed else np.zeros((len(targets),) * 2)
    for name, matrix, wanted in (
        ("TransitionMatrix", transition, size),
        ("PredictedStateCovarianceMatrix", covariance, size),
        ("SelectedStateCovarianceMatrix", novelty, size),
        ("ObservationVarianceMatrix", observation, len(targets)),
    ):
        if matrix is not None and len(matrix) != wanted:
            raise SchemaError(f"<{name}> is {len(matrix)} x {len(matrix)}; {wanted} are needed", element.line)
    state_intercept, intercepts = np.zeros(size), np.full(len(targets), element.intercept)
    vector = element.intercept_vector
    if vector is not None:
        numbers = vector.array.numbers()
        wanted = size if vector.type == "state" else len(targets)
        if len(numbers) != wanted:
            raise SchemaError(
                f"<InterceptVector> of type {vector.type} has {len(numbers)} of {wanted} values", vector.line
            )
        if vector.type == "state":
            state_intercept = numbers
        else:
            intercepts = intercepts + numbers
    result = []
    for position, target in enumerate(targets):
        psi = _psi(element, target)
        scale = element.variance if psi is None or psi.variance is None else psi.variance
        result.append(
            StateSpace(
                state,
                transition,
                measurement[position],
                intercept=float(intercepts[position]),
                state_intercept=state_intercept,
                variance=np.nan if scale is None else scale,
                covariance=covariance,
                novelty=novelty,
                observation_variance=float(observation[position, position]),
                psi=None if psi is None else psi.array.numbers(),
            )
        )
    return result


def _psi(element: StateSpaceModel, target: str | None) -> PsiVector | None:
    """The PsiVector of a target; one without a target field is of any."""
    return next((item for item in element.psi_vectors if item.target_field in (None, target)), None)


# --- GARCH -----------------------------------------------------------------------------------------------------------


class Garch:
    """An ARMA model whose residuals have a changing variance (TimeSeriesModel, "GARCH").

        y_t = constant + sum phi_i y_(t-i) + sum theta_j e_(t-j) + e_t,
        s_t = constant + sum alpha_i e_(t-i)^2 + sum beta_j s_(t-j);

    after the series, e^2 is expected to be s. The prediction's error has the variance sum psi_j^2 s_(h-j).
    """

    transformation: SeriesTransformation = "none"

    def __init__(self, element: GARCH, history: History) -> None:
        arma, garch = element.arma, element.garch
        ar = _of_length(arma.ar.array, arma.p, "p", arma)
        ma = _of_length(arma.ma.coefficients.array if arma.ma.coefficients else None, arma.q, "q", arma)
        self._ar, self._ma, self._constant = polynomial(ar, -1.0), polynomial(ma, 1.0), arma.constant
        if len(history.values) < arma.p or not np.isfinite(history.values[len(history.values) - arma.p :]).all():
            raise SchemaError(f"<ARMAPart> needs the last {arma.p} values of the <TimeSeries>", arma.line)
        self._series = history.values
        own = arma.ma.residuals.array.numbers() if arma.ma.residuals else np.zeros(0)
        squares, past = garch.squares, garch.variances
        residuals = squares.residuals.array.numbers() if squares.residuals else own
        variances = past.past.array.numbers() if past.past else np.zeros(0)
        self._alpha = squares.coefficients.array.numbers() if squares.coefficients else np.zeros(0)
        self._beta = past.coefficients.array.numbers() if past.coefficients else np.zeros(0)
        if (len(self._alpha), len(self._beta)) not in ((garch.gp, garch.gq), (garch.gq, garch.gp)):
            raise SchemaError(
                f"<GARCHPart> has gp {garch.gp} and gq {garch.gq} but {len(self._alpha)} coefficients of squared "
                f"residuals and {len(self._beta)} of variances",
                garch.line,
            )
        for values, need, tag in (
            (own, arma.q, "Residuals> of <MA"),
            (residuals, len(self._alpha), "Residuals> of <ResidualSquareCoefficients"),
            (variances, len(self._beta), "PastVariances"),
        ):
            if len(values) < need:
                raise SchemaError(f"<{tag}> has {len(values)} values; the order needs {need}", garch.line)
        self._omega = garch.constant
        self._residuals = own[len(own) - arma.q :]
        self._squares = residuals[len(residuals) - len(self._alpha) :] ** 2
        self._variances = variances[len(variances) - len(self._beta) :]

    def path(self, steps: int) -> Path:
        """See `Forecast`."""
        order = len(self._ma) - 1
        inputs = np.full(max(steps, order), self._constant)
        inputs[:order] += _lagged(self._residuals, self._ma[1:])
        mean = recursive(self._ar, inputs[:steps], self._series)
        alpha, beta = self._alpha[::-1], self._beta[::-1]
        squares, variances = list(self._squares), list(self._variances)
        ahead = np.empty(steps)
        for step in range(steps):
            ahead[step] = (
                self._omega
                + alpha @ np.array(squares[len(squares) - len(alpha) :])
                + beta @ np.array(variances[len(variances) - len(beta) :])
            )
            squares.append(ahead[step])
            variances.append(ahead[step])
        psi = impulse(self._ma, self._ar, steps)
        return Path(mean, np.convolve(psi**2, ahead)[:steps])

    def respond(self, effects: Floats) -> Floats:
        """See `Forecast`."""
        return effects
