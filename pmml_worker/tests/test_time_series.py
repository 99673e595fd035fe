"""TimeSeriesModel, against statsmodels, arch and plain NumPy."""

from typing import Any

import arch
import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.holtwinters import ExponentialSmoothing, SimpleExpSmoothing
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents
from statsmodels.tsa.statespace.varmax import VARMAX
from time_series_documents import HORIZON, OUTPUT, TARGET, Floats, ahead, arima, load_series, matrix, numbers, series

from pmml_worker import SchemaError, ScoringError

RNG = np.random.default_rng(7)
SALES = np.round(20 + np.arange(60) * 0.3 + 4 * np.sin(np.arange(60) * np.pi / 2) + RNG.normal(0, 1, 60), 3)
WALK = np.round(np.cumsum(RNG.normal(0.1, 1, 150)) + 50, 3)
NOISE = np.round(RNG.normal(0, 1, 200), 3)


def close(actual: Any, expected: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=tolerance, atol=tolerance)


# --- Exponential smoothing -------------------------------------------------------------------------------------------


def smoothing(
    level: str, trend: str = "", seasonality: str = "", attributes: str = "", after: str = "", values: str = ""
) -> Any:
    text = f"<ExponentialSmoothing {attributes}><Level {level}/>{trend}{seasonality}{after}</ExponentialSmoothing>"
    return load_series("ExponentialSmoothing", values + text)


TRENDS: dict[str, tuple[str | None, bool]] = {
    "": (None, False),
    "additive": ("add", False),
    "damped_additive": ("add", True),
    "multiplicative": ("mul", False),
    "damped_multiplicative": ("mul", True),
}


def smoothed(
    start: tuple[float, float, list[float]], trend: str, season: str | None, phi: float
) -> tuple[float, float, list[float]]:
    """Level, trend and seasonal effects after SALES, by alpha 0.3, gamma 0.2 and delta 0.1."""
    level, slope, effects = start
    for value in SALES.tolist():
        if trend.endswith("multiplicative"):
            damped = slope**phi
            before = level * damped
        else:
            damped = slope * phi
            before = level + damped
        effect = effects[-4] if season else 0.0
        last = level
        level = 0.3 * (value / effect if season == "multiplicative" else value - effect) + 0.7 * before
        slope = 0.2 * (level / last if trend.endswith("multiplicative") else level - last) + 0.8 * damped
        # statsmodels compares with the level predicted before, not with the smoothed one.
        new = value / before if season == "multiplicative" else value - before
        effects.append(0.1 * new + 0.9 * effect)
    return level, slope, effects


@pytest.mark.parametrize("season", [None, "additive", "multiplicative"])
@pytest.mark.parametrize("trend", TRENDS)
def test_every_trend_goes_with_every_season(trend: str, season: str | None) -> None:
    kind, is_damped = TRENDS[trend]
    phi = 0.9 if is_damped else 1.0
    neutral = 1.0 if trend.endswith("multiplicative") else 0.0
    start = (22.0, 1.01 if neutral else 0.3, [1.0, 1.2, 0.9, 0.8])
    fit = ExponentialSmoothing(
        SALES,
        trend=kind,
        damped_trend=is_damped,
        seasonal=season and season[:3],
        seasonal_periods=4 if season else None,
        initialization_method="known",
        initial_level=start[0],
        initial_trend=start[1] if kind else None,
        initial_seasonal=start[2] if season else None,
    ).fit(
        smoothing_level=0.3,
        smoothing_trend=0.2 if kind else None,
        smoothing_seasonal=0.1 if season else None,
        damping_trend=0.9 if is_damped else None,
        optimized=False,
    )
    if kind:
        start = (start[0], float(fit.params["initial_trend"]), start[2])  # it divides that by phi
    level, slope, effects = smoothed(start, trend, season, phi) if kind else (float(fit.level[-1]), 0.0, [])
    if not kind and season:
        effects = list(fit.season)
    # statsmodels predicts with the last season's effect but one at the place of the last.
    effects = [*effects[-4:-1], effects[-5]] if season else []
    trend_text = f'<Trend_ExpoSmooth trend="{trend}" phi="{phi}" smoothedValue="{slope!r}"/>' if trend else ""
    season_text = (
        f'<Seasonality_ExpoSmooth type="{season}" period="4">{numbers(effects)}</Seasonality_ExpoSmooth>'
        if season
        else ""
    )
    model = smoothing(f'smoothedValue="{level!r}"', trend_text, season_text)
    close(ahead(model), fit.forecast(24))


def test_phase_is_the_place_of_the_last_time_among_the_seasonal_effects() -> None:
    season = (
        f'<Seasonality_ExpoSmooth type="additive" period="3" phase="1">{numbers([1, 2, 3])}</Seasonality_ExpoSmooth>'
    )
    close(ahead(smoothing('smoothedValue="10"', "", season), 4), [12, 13, 11, 12])


def test_double_exponential_smoothing_is_browns() -> None:
    alpha, first, second = 0.4, 10.0, 9.0
    for value in SALES.tolist():  # Brown's recursions
        first = alpha * value + (1 - alpha) * first
        second = alpha * first + (1 - alpha) * second
    level, slope = 2 * first - second, alpha / (1 - alpha) * (first - second)
    model = smoothing(
        f'alpha="0.4" smoothedValue="{first!r}" quadraticSmoothedValue="{second!r}"',
        '<Trend_ExpoSmooth trend="double_exponential"/>',
    )
    close(ahead(model), level + slope * np.arange(1, 25))


def test_quadratic_smoothing_continues_a_quadratic_series() -> None:
    times = np.arange(400.0)
    values = 3 + 0.5 * times + 0.25 * times**2
    states = [3.0, 3.0, 3.0]
    for value in values.tolist():
        for place in range(3):
            states[place] = 0.5 * (value if place == 0 else states[place - 1]) + 0.5 * states[place]
    first, second, third = states
    model = smoothing(
        f'alpha="0.5" smoothedValue="{first!r}" quadraticSmoothedValue="{second!r}" cubicSmoothedValue="{third!r}"',
        '<Trend_ExpoSmooth trend="polynomial_exponential"/>',
    )
    later = 399 + np.arange(1.0, 25)
    close(ahead(model), 3 + 0.5 * later + 0.25 * later**2, 1e-7)


def test_an_array_of_a_polynomial_trend_holds_the_coefficients_of_the_steps_powers() -> None:
    trend = f'<Trend_ExpoSmooth trend="polynomial_exponential">{numbers([2, 0.5])}</Trend_ExpoSmooth>'
    steps = np.arange(1.0, 25)
    close(ahead(smoothing('smoothedValue="7"', trend)), 7 + 2 * steps + 0.5 * steps**2)


@pytest.mark.parametrize(("trend", "is_damped"), [(None, False), ("add", False), ("add", True)])
@pytest.mark.parametrize("seasonal", [None, "add"])
def test_additive_smoothing_tells_the_errors_of_its_innovations_model(
    trend: str | None, is_damped: bool, seasonal: str | None
) -> None:
    ets = ETSModel(
        pd.Series(SALES), error="add", trend=trend, damped_trend=is_damped, seasonal=seasonal, seasonal_periods=4
    )
    given = {"smoothing_level": 0.4, "smoothing_trend": 0.2, "smoothing_seasonal": 0.15, "damping_trend": 0.9}
    start = {"initial_level": 20.0, "initial_trend": 0.3}
    params = [given.get(name, start.get(name, {"initial_seasonal.1": 1.0}.get(name, 0.0))) for name in ets.param_names]
    fit = ets.smooth(params)
    expected = fit.get_prediction(start=60, end=83)
    trend_text = ""
    if trend:
        kind = "damped_additive" if is_damped else "additive"
        slope = float(np.asarray(fit.slope)[-1])
        trend_text = f'<Trend_ExpoSmooth trend="{kind}" gamma="{0.2 / 0.4}" phi="0.9" smoothedValue="{slope!r}"/>'
    season_text = (
        f'<Seasonality_ExpoSmooth type="additive" period="4" delta="{0.15 / 0.6}">'
        f"{numbers(np.asarray(fit.season)[-4:])}</Seasonality_ExpoSmooth>"
        if seasonal
        else ""
    )
    level = float(np.asarray(fit.level)[-1])
    rmse = float(np.sqrt(np.mean(fit.resid**2)))
    model = smoothing(f'alpha="0.4" smoothedValue="{level!r}"', trend_text, season_text, f'RMSE="{rmse!r}"')
    close(ahead(model), expected.predicted_mean, 1e-8)
    close(ahead(model, column="error") / rmse, np.sqrt(expected.forecast_variance / fit.scale), 1e-6)


def test_browns_errors_are_those_of_the_equal_holt_model() -> None:
    brown = smoothing(
        'alpha="0.3" smoothedValue="10" quadraticSmoothedValue="9"',
        '<Trend_ExpoSmooth trend="double_exponential"/>',
        attributes='RMSE="2"',
    )
    alpha = 1 - 0.7**2
    holt = smoothing(
        f'alpha="{alpha}" smoothedValue="11"',
        f'<Trend_ExpoSmooth gamma="{0.09 / alpha}" smoothedValue="0.4"/>',
        attributes='RMSE="2"',
    )
    close(ahead(brown, column="error"), ahead(holt, column="error"))


def test_multiplicative_smoothing_tells_the_error_of_one_step_only() -> None:
    trend = '<Trend_ExpoSmooth trend="multiplicative" gamma="0.1" smoothedValue="1.1"/>'
    model = smoothing('alpha="0.3" smoothedValue="10"', trend, attributes='RMSE="2"')
    assert [row["error"] for row in model.score([{"h": 1}, {"h": 2}])] == [2.0, None]


@pytest.mark.parametrize(
    ("transformation", "inverse", "slope"),
    [("logarithmic", np.exp, np.exp), ("squareroot", np.square, lambda value: 2 * value)],
)
def test_a_transformation_is_undone_and_intervals_with_it(transformation: str, inverse: Any, slope: Any) -> None:
    fit = SimpleExpSmoothing(np.log(SALES), initialization_method="known", initial_level=3).fit(0.3, optimized=False)
    level = float(fit.level[-1])
    model = smoothing(
        f'alpha="0.3" smoothedValue="{level!r}"', attributes=f'transformation="{transformation}" RMSE="0.1"'
    )
    row = model.score_row({"h": 5})
    error = 0.1 * np.sqrt(1 + 4 * 0.3**2)
    close([row["forecast"], row["error"]], [inverse(level), slope(level) * error])
    close([row["lower"], row["upper"]], inverse(level + 1.2815515655446004 * error * np.array([-1, 1])))


# --- ARIMA -----------------------------------------------------------------------------------------------------------


ORDERS = [
    ((0.6, -0.2), 0, (), None),
    ((), 0, (0.5, 0.3), None),
    ((0.7,), 1, (0.4,), None),
    ((), 2, (-0.5,), None),
    ((0.5,), 1, (0.3,), ((0.4,), 1, (-0.3,), 4)),
    ((), 0, (), ((0.6,), 0, (), 12)),
    ((), 1, (-0.4,), ((), 1, (-0.5,), 12)),
]


def sarimax(values: Floats, p: Any, d: int, q: Any, seasonal: Any, variance: float = 2.25) -> Any:
    ar, order, ma, period = seasonal or ((), 0, (), 0)
    model = SARIMAX(values, order=(len(p), d, len(q)), seasonal_order=(len(ar), order, len(ma), period))
    return model.filter([*p, *q, *ar, *ma, variance])


@pytest.mark.parametrize("orders", ORDERS, ids=str)
def test_conditional_least_squares_predicts_as_a_long_known_past_does(orders: Any) -> None:
    p, d, q, seasonal = orders
    fit = sarimax(WALK, *orders)
    need = len(q) + (len(seasonal[2]) * seasonal[3] if seasonal else 0)
    model = load_series(
        "ARIMA",
        series(WALK.tolist()) + arima(p, d, q, seasonal, list(fit.forecasts_error[0][150 - need :]), 'RMSE="1.5"'),
    )
    expected = fit.get_forecast(24)
    close(ahead(model), expected.predicted_mean, 1e-6)
    close(ahead(model, column="error"), expected.se_mean, 1e-6)
    interval = expected.conf_int(alpha=0.2)
    close(ahead(model, column="lower"), interval[:, 0], 1e-6)
    close(ahead(model, column="upper"), interval[:, 1], 1e-6)


@pytest.mark.parametrize("orders", [order for order in ORDERS if order[2] or (order[3] and order[3][2])], ids=str)
def test_residuals_that_are_not_stored_follow_from_the_series(orders: Any) -> None:
    p, d, q, seasonal = orders
    model = load_series("ARIMA", series(WALK.tolist()) + arima(p, d, q, seasonal))
    close(ahead(model), sarimax(WALK, *orders).forecast(24), 1e-4)


def test_the_constant_term_is_the_mean_of_the_differenced_series() -> None:
    model = load_series("ARIMA", series([5.0, 6.0]) + arima((0.5,), attributes='constantTerm="4"'))
    close(ahead(model, 3), 4 + 2 * 0.5 ** np.arange(1, 4))
    drift = load_series("ARIMA", series([5.0, 6.0]) + arima((), 1, attributes='constantTerm="0.25"'))
    close(ahead(drift, 3), [6.25, 6.5, 6.75])


def test_the_series_is_transformed_before_and_after() -> None:
    plain = load_series("ARIMA", series(np.log(SALES).tolist()) + arima((0.5,), 1))
    logged = load_series("ARIMA", series(SALES.tolist()) + arima((0.5,), 1, attributes='transformation="logarithmic"'))
    close(ahead(logged), np.exp(ahead(plain)))
    rooted = load_series("ARIMA", series(SALES.tolist()) + arima((), 1, attributes='transformation="squareroot"'))
    close(ahead(rooted), np.full(24, SALES[-1]))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("additive", lambda lag: float(lag == 0)),
        ("level", lambda lag: float(lag >= 0)),
        ("transient", lambda lag: 0.8**lag if lag >= 0 else 0.0),
        ("seasonalAdditive", lambda lag: float(lag >= 0 and lag % 4 == 0)),
        ("trend", lambda lag: float(max(lag + 1, 0))),
        ("innovational", lambda lag: 0.5**lag if lag >= 0 else 0.0),
    ],
)
@pytest.mark.parametrize("start", [37, 63])
def test_outliers_act_on_the_past_and_on_the_future(kind: str, shape: Any, start: int) -> None:
    # A series that is its outlier's effect alone goes on as that does.
    effects = np.array([3.0 * shape(index - start) for index in range(1, 85)])
    outlier = f'<OutlierEffect type="{kind}" startTime="{start}" magnitude="3" dampingCoefficient="0.8"/>'
    model = load_series("ARIMA", series(effects[:60].tolist()) + arima((0.5,), seasonal=((), 0, (), 4), after=outlier))
    close(ahead(model), effects[60:])


# --- ARIMA by exact least squares ------------------------------------------------------------------------------------


def harvey(values: Floats, p: Any, q: Any) -> Any:
    return SARIMAX(values, order=(len(p), 0, len(q))).filter([*p, *q, 2.25])


@pytest.mark.parametrize(("p", "q"), [((0.6, -0.2), ()), ((), (0.9,)), ((0.7,), (0.5, 0.3)), ((0.5, 0.2), (0.8,))])
@pytest.mark.parametrize("d", [0, 1])
def test_exact_least_squares_goes_on_from_the_state_of_a_kalman_filter(p: Any, q: Any, d: int) -> None:
    levels = WALK[:9]
    fit = harvey(np.diff(levels, d), p, q)
    size = fit.predicted_state.shape[0]
    novelty = np.zeros(size)
    novelty[: len(q) + 1] = [1.0, *q]
    # Harvey's state holds the residual of its own time, the standard's does not.
    omega = fit.predicted_state_cov[:, :, -1] / 2.25 - np.outer(novelty, novelty)
    state = (
        '<MaximumLikelihoodStat method="kalman"><KalmanState>'
        f"<FinalOmega>{matrix(omega)}</FinalOmega><FinalStateVector>{numbers(fit.predicted_state[:, -1])}"
        f"</FinalStateVector><HVector>{numbers(np.eye(1, size)[0])}</HVector></KalmanState></MaximumLikelihoodStat>"
    )
    attributes = 'RMSE="1.5" predictionMethod="exactLeastSquares"'
    model = load_series("ARIMA", series(levels.tolist()) + arima(p, d, q, attributes=attributes, after=state))
    # A random walk's past is known; the differences are predicted from nine values only.
    expected = fit.get_forecast(24)
    mean = expected.predicted_mean if d == 0 else levels[-1] + np.cumsum(expected.predicted_mean)
    close(ahead(model), mean)
    if d == 0:
        close(ahead(model, column="error"), expected.se_mean, 1e-7)
    else:
        close(ahead(model, column="error"), accumulated_error(fit, novelty), 1e-7)


def accumulated_error(fit: Any, novelty: Floats) -> Floats:
    """The standard errors of the sums of predicted values, from the filter's covariances."""
    transition = fit.filter_results.transition[:, :, -1]
    size = len(novelty)
    # The state and the sum of its first component up to the step before.
    wide = np.zeros((size + 1, size + 1))
    wide[:size, :size] = transition
    wide[size, 0] = wide[size, size] = 1.0
    covariance = np.zeros_like(wide)
    covariance[:size, :size] = fit.predicted_state_cov[:, :, -1]
    new = np.zeros_like(wide)
    new[:size, :size] = 2.25 * np.outer(novelty, novelty)
    both = np.zeros(size + 1)
    both[0] = both[size] = 1.0
    errors = []
    for _ in range(24):
        errors.append(np.sqrt(both @ covariance @ both))
        covariance = wide @ covariance @ wide.T + new
    return np.array(errors)


def test_a_single_zero_stands_for_a_state_that_is_known() -> None:
    state = (
        '<MaximumLikelihoodStat method="kalman"><KalmanState><FinalOmega>'
        f"{matrix([[0.0]])}</FinalOmega><FinalStateVector>{numbers([3.0, 1.0])}</FinalStateVector></KalmanState>"
        "</MaximumLikelihoodStat>"
    )
    attributes = 'RMSE="1" predictionMethod="exactLeastSquares"'
    model = load_series("ARIMA", arima((0.5, 0.2), attributes=attributes, after=state))
    close(ahead(model, 3), [3.0, 2.5, 1.85])
    close(ahead(model, 2, "error"), [1.0, np.sqrt(1.25)])


def test_matrices_in_the_state_say_how_it_goes_on() -> None:
    fit = SARIMAX(WALK, order=(1, 1, 1)).filter([0.6, 0.3, 1.0])
    state = (
        '<MaximumLikelihoodStat method="kalman"><KalmanState>'
        f"<FinalStateVector>{numbers(fit.predicted_state[:, -1])}</FinalStateVector>"
        f"<TransitionMatrix>{matrix(fit.filter_results.transition[:, :, -1])}</TransitionMatrix>"
        f"<MeasurementMatrix>{matrix(fit.filter_results.design[:, :, -1])}</MeasurementMatrix>"
        "</KalmanState></MaximumLikelihoodStat>"
    )
    attributes = 'RMSE="1" predictionMethod="exactLeastSquares"'
    model = load_series("ARIMA", series(WALK.tolist()) + arima((0.6,), 1, (0.3,), attributes=attributes, after=state))
    close(ahead(model), fit.forecast(24))


def innovations(values: Floats, p: Any, q: Any) -> tuple[Floats, Floats, Floats]:
    """Brockwell and Davis' algorithm from the first value on: predictions, theta[n, j] and nu[n]."""
    count = len(values)
    order = max(len(p), len(q))
    psi = np.zeros(400)
    for lag in range(400):
        psi[lag] = (1.0 if lag == 0 else q[lag - 1] if lag <= len(q) else 0.0) + sum(
            p[back - 1] * psi[lag - back] for back in range(1, min(len(p), lag) + 1)
        )
    gamma = np.array([psi[: 400 - lag] @ psi[lag:] for lag in range(count + 1)])
    ma = np.array([1.0, *q])

    def kappa(i: int, j: int) -> float:
        i, j = min(i, j), max(i, j)
        if j <= order:
            return float(gamma[j - i])
        if i <= order < j <= 2 * order:
            return float(gamma[j - i] - sum(p[r - 1] * gamma[abs(r - (j - i))] for r in range(1, len(p) + 1)))
        if i > order and j - i <= len(q):
            return float(ma[: len(ma) - (j - i)] @ ma[j - i :])
        return 0.0

    theta = np.zeros((count + 1, count + 1))
    nu = np.zeros(count + 1)
    nu[0] = kappa(1, 1)
    for n in range(1, count + 1):
        for k in range(n):
            total = sum(theta[k, k - j] * theta[n, n - j] * nu[j] for j in range(k))
            theta[n, n - k] = (kappa(n + 1, k + 1) - total) / nu[k]
        nu[n] = kappa(n + 1, n + 1) - sum(theta[n, n - j] ** 2 * nu[j] for j in range(n))
    predicted = np.zeros(count)
    for n in range(count):
        innovation = values[:n] - predicted[:n]
        lags = n if n < order else len(q)
        predicted[n] = sum(theta[n, j] * innovation[n - j] for j in range(1, lags + 1))
        if n >= order:
            predicted[n] += sum(p[i - 1] * values[n - i] for i in range(1, len(p) + 1))
    return predicted, theta, nu


@pytest.mark.parametrize(("p", "q"), [((0.6,), (0.5,)), ((), (0.9, 0.3)), ((0.5, 0.2), (0.4, -0.3, 0.2))])
def test_exact_least_squares_goes_on_from_the_innovations_algorithm(p: Any, q: Any) -> None:
    values = NOISE[:14]
    predicted, theta, nu = innovations(values, p, q)
    order, reach = len(q), max(len(p), len(q))
    first = len(values) - order  # the prediction of value number first + 1 uses theta[first]
    thetas = "".join(
        f'<Theta i="{i}" j="{j}" theta="{float(theta[first + i - 1, j])!r}"/>'
        for i in range(1, order + 1)
        for j in range(1, order + 1)
    )
    state = (
        '<MaximumLikelihoodStat method="thetaRecursion"><ThetaRecursionState>'
        f"<FinalNoise>{numbers(values[len(values) - reach :])}</FinalNoise>"
        f"<FinalPredictedNoise>{numbers(predicted[first:])}</FinalPredictedNoise>"
        f"<FinalTheta>{thetas}</FinalTheta><FinalNu>{numbers(nu[first : len(values)])}</FinalNu>"
        "</ThetaRecursionState></MaximumLikelihoodStat>"
    )
    attributes = 'RMSE="1.5" predictionMethod="exactLeastSquares"'
    model = load_series("ARIMA", arima(p, 0, q, attributes=attributes, after=state))
    expected = harvey(values, p, q).get_forecast(24)
    close(ahead(model), expected.predicted_mean)
    close(ahead(model, column="error"), expected.se_mean, 1e-8)


def test_the_state_may_stand_some_periods_before_the_end_of_the_series() -> None:
    def of(deficit: int) -> Any:
        state = (
            f'<MaximumLikelihoodStat method="kalman" periodDeficit="{deficit}"><KalmanState><FinalOmega>'
            f"{matrix([[0.0]])}</FinalOmega><FinalStateVector>{numbers([3.0])}</FinalStateVector></KalmanState>"
            "</MaximumLikelihoodStat>"
        )
        attributes = 'RMSE="1" predictionMethod="exactLeastSquares"'
        return load_series("ARIMA", series([5.0, 6.0, 9.0, 9.0]) + arima((0.5,), 1, attributes=attributes, after=state))

    close(ahead(of(0), 2), [12.0, 13.5])
    close(ahead(of(2), 2), 6.0 + np.array([3 + 1.5 + 0.75, 3 + 1.5 + 0.75 + 0.375]))
    close(ahead(of(2), 1, "error"), [np.sqrt(1 + 1.5**2 + 1.75**2)])


# --- Regressors ------------------------------------------------------------------------------------------------------


REGRESSOR_FIELDS = TARGET + HORIZON + '<DataField name="x" optype="continuous" dataType="double"/>'
REGRESSOR_SCHEMA = (
    '<MiningSchema><MiningField name="y" usageType="target"/><MiningField name="h"/>'
    '<MiningField name="x"/></MiningSchema>'
)


def regressor(content: str, attributes: str = "", past: Floats | None = None, more: str = "") -> str:
    values = series(past.tolist()) if past is not None else ""
    return (
        f'<DynamicRegressor field="x" {attributes}>{content}<RegressorValues>{values}{more}</RegressorValues>'
        "</DynamicRegressor>"
    )


def with_regressor(values: Floats, element: str) -> Any:
    return load_series("ARIMA", series(values.tolist()) + element, REGRESSOR_FIELDS, REGRESSOR_SCHEMA)


X = np.round(RNG.normal(2, 1, 90), 3)


def test_user_supplied_values_act_in_their_own_row() -> None:
    values = WALK[:60] + 1.7 * X[:60]
    fit = SARIMAX(values, exog=X[:60], order=(1, 0, 0)).filter([1.7, 0.6, 1.0])
    numerator = f"<Numerator><NonseasonalFactor>{numbers([1.7])}</NonseasonalFactor></Numerator>"
    element = arima((0.6,), after=regressor(numerator, 'futureValuesMethod="userSupplied"', X[:60]))
    model = with_regressor(values, element)
    assert not model.is_sequential
    order = [3, 1, 2, 24]  # rows are told their step, so any order will do
    rows = model.score([{"h": step, "x": X[59 + step]} for step in order])
    expected = fit.forecast(24, exog=X[60:84])
    close([row["forecast"] for row in rows], expected[[step - 1 for step in order]])
    assert model.score_row({"h": 5, "x": None})["forecast"] is None


def test_differenced_regressors_act_as_in_a_regression_with_arima_errors() -> None:
    values = WALK[:60] + 1.7 * X[:60]
    fit = SARIMAX(values, exog=X[:60], order=(1, 1, 0)).filter([1.7, 0.6, 1.0])
    factor = f'<NonseasonalFactor difference="1" maximumOrder="0">{numbers([1.7])}</NonseasonalFactor>'
    numerator = f"<Numerator>{factor}</Numerator>"
    model = with_regressor(
        values, arima((0.6,), 1, after=regressor(numerator, 'futureValuesMethod="userSupplied"', X[:60]))
    )
    assert model.is_sequential
    rows = model.score([{"h": step, "x": X[59 + step]} for step in range(1, 25)])
    close([row["forecast"] for row in rows], fit.forecast(24, exog=X[60:84]), 1e-6)


def transfer(x: Floats) -> Floats:
    """v = (0.5 + 0.3 B)(1 + 0.2 B^4) / ((1 - 0.6 B)(1 - 0.1 B^4)) B^2 x, from 0 before the series."""
    numerator = np.convolve([0, 0, 0.5, 0.3], [1, 0, 0, 0, 0.2])
    denominator = np.convolve([1, -0.6], [1, 0, 0, 0, -0.1])
    effects = np.zeros(len(x))
    for time in range(len(x)):
        effects[time] = sum(numerator[lag] * x[time - lag] for lag in range(len(numerator)) if lag <= time) - sum(
            denominator[lag] * effects[time - lag] for lag in range(1, len(denominator)) if lag <= time
        )
    return effects


TRANSFER = (
    f"<Numerator><NonseasonalFactor>{numbers([0.5, 0.3])}</NonseasonalFactor><SeasonalFactor>{numbers([0.2])}"
    f"</SeasonalFactor></Numerator><Denominator><NonseasonalFactor>{numbers([0.6])}</NonseasonalFactor>"
    f"<SeasonalFactor>{numbers([0.1])}</SeasonalFactor></Denominator>"
)


@pytest.mark.parametrize("d", [0, 1])
@pytest.mark.parametrize("is_told", [False, True])
def test_a_transfer_function_has_numerator_denominator_delay_and_seasons(d: int, is_told: bool) -> None:
    effects = transfer(X)  # a series without noise goes on as its equation does
    values = np.cumsum(effects + 0.1) if d else effects
    past, told = X[:60], ""
    if is_told:  # the effects that are told make older values of x needless
        past = np.concatenate((np.full(52, 99.0), X[52:60]))
        told = f"<TransferFunctionValues>{numbers(effects[50:60])}</TransferFunctionValues>"
    element = regressor(TRANSFER, 'delay="2" futureValuesMethod="userSupplied"', past, told)
    constant = f'constantTerm="{0.1 if d else 0}"'
    model = with_regressor(values[:60], arima((0.4,), d, seasonal=((), 0, (), 4), attributes=constant, after=element))
    rows = model.score([{"h": step, "x": X[59 + step]} for step in range(1, 25)])
    close([row["forecast"] for row in rows], values[60:84])


@pytest.mark.parametrize("method", ["constant", "trend", "stored", "otherModel"])
def test_future_values_come_from_where_the_document_says(method: str) -> None:
    past, more, last = X[:60], "", X[:60]
    future = {
        "constant": np.full(24, X[59]),
        "trend": 3 - 0.5 * np.arange(61, 85) + 0.01 * np.arange(61, 85) ** 2,
        "stored": X[60:84],
        "otherModel": X[60:84],
    }[method]
    if method == "trend":
        entries = "<Indices>1 2 3</Indices><REAL-Entries>3 -0.5 0.01</REAL-Entries>"
        more = f'<TrendCoefficients><REAL-SparseArray n="3">{entries}</REAL-SparseArray></TrendCoefficients>'
    if method == "stored":
        last = X[:84]
    values = transfer(np.concatenate((past, future)))
    element = regressor(TRANSFER, f'delay="2" futureValuesMethod="{method}"', last, more)
    model = with_regressor(values[:60], arima(seasonal=((), 0, (), 4), after=element))
    rows = model.score([{"h": step, "x": X[59 + step]} for step in range(1, 25)])
    close([row["forecast"] for row in rows], values[60:84])


@pytest.mark.parametrize(("name", "function"), [("logarithmic", np.log), ("squareroot", np.sqrt)])
def test_a_regressor_is_transformed(name: str, function: Any) -> None:
    x = np.abs(X) + 1
    numerator = f"<Numerator><NonseasonalFactor>{numbers([2.0, 1.0])}</NonseasonalFactor></Numerator>"
    element = regressor(numerator, f'transformation="{name}" futureValuesMethod="userSupplied"', x[:60])
    model = with_regressor(np.zeros(60), arima(after=element))
    rows = model.score([{"h": step, "x": x[59 + step]} for step in range(1, 25)])
    close([row["forecast"] for row in rows], 2 * function(x[60:84]) + function(x[59:83]))


def test_a_row_lacks_a_prediction_where_earlier_rows_lack_what_it_depends_on() -> None:
    numerator = f"<Numerator><NonseasonalFactor>{numbers([2.0, 1.0])}</NonseasonalFactor></Numerator>"
    model = with_regressor(np.zeros(60), arima(after=regressor(numerator, 'futureValuesMethod="userSupplied"', X[:60])))
    rows = model.score([{"h": 1, "x": 1.0}, {"h": 3, "x": 1.0}], errors="collect")
    assert rows[0]["forecast"] == 2 + X[59]
    assert rows[1]["forecast"] is None and "field x: no row gives its value for an earlier step" in rows[1]["_error"]
    twice = model.score([{"h": 1, "x": 1.0}, {"h": 1, "x": 2.0}], errors="collect")
    assert "another row gives another value" in twice[0]["_error"]


# --- State space models ----------------------------------------------------------------------------------------------


def state_space(fit: Any, covariance: Floats, scale: float = 1.0, more: str = "", attributes: str = "") -> str:
    selection, noise = fit.filter_results.selection[:, :, -1], fit.filter_results.state_cov[:, :, -1]
    return (
        f"<StateSpaceModel {attributes}><StateVector>{numbers(fit.predicted_state[:, -1])}</StateVector>"
        f"<TransitionMatrix>{matrix(fit.filter_results.transition[:, :, -1])}</TransitionMatrix>"
        f"<MeasurementMatrix>{matrix(fit.filter_results.design[:, :, -1])}</MeasurementMatrix>{more}"
        f"<PredictedStateCovarianceMatrix>{matrix(covariance / scale)}</PredictedStateCovarianceMatrix>"
        f"<SelectedStateCovarianceMatrix>{matrix(selection @ noise @ selection.T / scale)}"
        "</SelectedStateCovarianceMatrix><ObservationVarianceMatrix>"
        f"{matrix(fit.filter_results.obs_cov[:, :, -1] / scale)}</ObservationVarianceMatrix></StateSpaceModel>"
    )


@pytest.mark.parametrize("is_filtered", [False, True])
def test_a_state_space_model_predicts_means_and_errors(is_filtered: bool) -> None:
    model = UnobservedComponents(SALES, "local linear trend", seasonal=4)
    fit = model.filter([0.5, 0.2, 0.05, 0.1])
    covariance = (fit.filtered_state_cov if is_filtered else fit.predicted_state_cov)[:, :, -1]
    loaded = load_series("StateSpaceModel", series(SALES.tolist()) + state_space(fit, covariance))
    expected = fit.get_forecast(24)
    close(ahead(loaded), expected.predicted_mean)
    close(ahead(loaded, column="error"), expected.se_mean)


def test_the_variance_scales_all_covariances() -> None:
    fit = SARIMAX(WALK, order=(2, 1, 1)).filter([0.5, 0.2, 0.3, 2.25])
    text = state_space(fit, fit.predicted_state_cov[:, :, -1], 2.25, attributes='variance="2.25"')
    expected = fit.get_forecast(24)
    close(ahead(load_series("StateSpaceModel", text), column="error"), expected.se_mean)


@pytest.mark.parametrize("kind", ["state", "observation"])
def test_intercepts_are_added_to_states_or_observations(kind: str) -> None:
    vector = [0.0, 1.0] if kind == "state" else [1.0]
    text = (
        f'<StateSpaceModel intercept="10"><StateVector>{numbers([2.0, 1.0])}</StateVector><TransitionMatrix>'
        f"{matrix([[1, 1], [0, 0.5]])}</TransitionMatrix><MeasurementMatrix>{matrix([[1, 0]])}</MeasurementMatrix>"
        f'<InterceptVector type="{kind}">{numbers(vector)}</InterceptVector></StateSpaceModel>'
    )
    expected = [12.0, 13.0, 14.5] if kind == "state" else [13.0, 14.0, 14.5]
    close(ahead(load_series("StateSpaceModel", text), 3), expected)


def test_psi_weights_tell_the_errors() -> None:
    text = (
        f"<StateSpaceModel><StateVector>{numbers([2.0])}</StateVector><TransitionMatrix>{matrix([[0.5]])}"
        f"</TransitionMatrix><MeasurementMatrix>{matrix([[1.0]])}</MeasurementMatrix>"
        f'<PsiVector variance="4">{numbers([1, 0.5, 0.25])}</PsiVector></StateSpaceModel>'
    )
    expected = [2.0, 2 * np.sqrt(1.25), 2 * np.sqrt(1.3125), np.nan]
    close(ahead(load_series("StateSpaceModel", text), 4, "error"), expected)


def test_a_state_space_model_has_a_row_of_its_measurement_matrix_for_each_target() -> None:
    both = np.column_stack((SALES, SALES[::-1] / 2))
    fit = VARMAX(both, order=(1, 0), trend="n").filter([0.5, 0.1, -0.2, 0.7, 1.0, 0.3, 0.9])
    fields = TARGET + TARGET.replace('"y"', '"w"') + HORIZON
    schema = (
        '<MiningSchema><MiningField name="y" usageType="target"/><MiningField name="w" usageType="target"/>'
        '<MiningField name="h" usageType="supplementary"/></MiningSchema>'
    )
    output = (
        '<Output><OutputField name="error_w" targetField="w" feature="standardError"/>'
        '<OutputField name="forecast_w" targetField="w" feature="predictedValue"/></Output>'
    )
    stored = series(both[:, 0].tolist(), 'field="y"') + series(both[:, 1].tolist(), 'field="w"')
    model = load_series(
        "StateSpaceModel", stored + state_space(fit, fit.predicted_state_cov[:, :, -1]), fields, schema, output
    )
    expected = fit.get_forecast(24)
    close(ahead(model, column="y"), expected.predicted_mean[:, 0])
    close(ahead(model, column="w"), expected.predicted_mean[:, 1])
    close(ahead(model, column="forecast_w"), expected.predicted_mean[:, 1])
    close(ahead(model, column="error_w"), expected.se_mean[:, 1])
    assert model.score_row({"h": 0})["w"] == both[-1, 1]


def test_a_regressor_of_a_state_space_model_is_added_to_the_observation() -> None:
    numerator = f"<Numerator><NonseasonalFactor>{numbers([3.0])}</NonseasonalFactor></Numerator>"
    text = (
        f"<StateSpaceModel><StateVector>{numbers([2.0])}</StateVector><TransitionMatrix>{matrix([[0.5]])}"
        f"</TransitionMatrix><MeasurementMatrix>{matrix([[1.0]])}</MeasurementMatrix>"
        f'<DynamicRegressor field="x" futureValuesMethod="userSupplied" targetField="y">{numerator}</DynamicRegressor>'
        "</StateSpaceModel>"
    )
    model = load_series("StateSpaceModel", text, REGRESSOR_FIELDS, REGRESSOR_SCHEMA)
    assert model.score_row({"h": 2, "x": 10})["forecast"] == 31.0


# --- GARCH -----------------------------------------------------------------------------------------------------------


def garch(gp: int, gq: int, fit: Any, omega: float, alpha: Any, beta: Any, constant: float = 0.1) -> str:
    residuals, variances = np.asarray(fit.resid), np.asarray(fit.conditional_volatility) ** 2
    return (
        f'<GARCH><ARMAPart constant="{constant}" p="1" q="0"><AR>{numbers([0.4])}</AR><MA/></ARMAPart>'
        f'<GARCHPart constant="{omega}" gp="{gp}" gq="{gq}"><ResidualSquareCoefficients><Residuals>'
        f"{numbers(residuals[-len(alpha) :])}</Residuals><MACoefficients>{numbers(alpha)}</MACoefficients>"
        f"</ResidualSquareCoefficients><VarianceCoefficients><PastVariances>{numbers(variances[-len(beta) :])}"
        f"</PastVariances><MACoefficients>{numbers(beta)}</MACoefficients></VarianceCoefficients></GARCHPart></GARCH>"
    )


@pytest.mark.parametrize("orders", [(2, 1), (1, 2)])
def test_garch_predicts_the_mean_and_its_changing_error(orders: tuple[int, int]) -> None:
    alpha, beta = [0.1, 0.05][: orders[0]], [0.6, 0.2][: orders[1]]
    specification = arch.arch_model(NOISE, mean="AR", lags=1, vol="GARCH", p=orders[0], q=orders[1])
    fit = specification.fix([0.1, 0.4, 0.2, *alpha, *beta])
    expected = fit.forecast(horizon=24, reindex=False)
    for gp, gq in (orders, orders[::-1]):  # either order is the one of the squared residuals
        model = load_series("GARCH", series(NOISE.tolist()) + garch(gp, gq, fit, 0.2, alpha, beta))
        close(ahead(model), expected.mean.to_numpy()[0])
        close(ahead(model, column="error"), np.sqrt(expected.variance.to_numpy()[0]))


def test_the_mean_of_garch_has_a_moving_average() -> None:
    text = (
        f'<GARCH><ARMAPart constant="1" p="1" q="2"><AR>{numbers([0.5])}</AR><MA><MACoefficients>{numbers([0.4, 0.2])}'
        f"</MACoefficients><Residuals>{numbers([2, 3])}</Residuals></MA></ARMAPart>"
        f'<GARCHPart constant="0.5" gp="1" gq="0"><ResidualSquareCoefficients><MACoefficients>{numbers([0.3])}'
        "</MACoefficients></ResidualSquareCoefficients><VarianceCoefficients/></GARCHPart></GARCH>"
    )
    model = load_series("GARCH", series([7.0]) + text)
    first = 1 + 0.5 * 7 + 0.4 * 3 + 0.2 * 2
    second = 1 + 0.5 * first + 0.2 * 3
    close(ahead(model, 3), [first, second, 1 + 0.5 * second])
    one = 0.5 + 0.3 * 9  # the residuals of the mean are those of the variance where it stores none
    two = 0.5 + 0.3 * one
    close(ahead(model, 2, "error"), np.sqrt([one, two + 0.9**2 * one]))


# --- What a document contradicts -------------------------------------------------------------------------------------


LEVEL = '<ExponentialSmoothing><Level smoothedValue="1"/></ExponentialSmoothing>'


@pytest.mark.parametrize(
    ("best_fit", "content", "message"),
    [
        ("ARIMA", LEVEL, "has bestFit ARIMA but no <ARIMA>"),
        ("SpectralAnalysis", "<SpectralAnalysis/>", "has no content that predicts"),
        ("ExponentialSmoothing", "<ExponentialSmoothing><Level/></ExponentialSmoothing>", "lacks its smoothedValue"),
        (
            "ExponentialSmoothing",
            '<ExponentialSmoothing><Level smoothedValue="1"/><Trend_ExpoSmooth/></ExponentialSmoothing>',
            "of additive trend lacks its smoothedValue",
        ),
        (
            "ExponentialSmoothing",
            '<ExponentialSmoothing><Level smoothedValue="1" alpha="0.5"/><Trend_ExpoSmooth '
            'trend="polynomial_exponential"/></ExponentialSmoothing>',
            "quadraticSmoothedValue",
        ),
        (
            "ExponentialSmoothing",
            '<ExponentialSmoothing><Level smoothedValue="1"/><Seasonality_ExpoSmooth type="additive" period="3">'
            f"{numbers([1, 2])}</Seasonality_ExpoSmooth></ExponentialSmoothing>",
            "has period 3 but 2 effects",
        ),
        (
            "ExponentialSmoothing",
            '<ExponentialSmoothing><Level smoothedValue="1"/><Seasonality_ExpoSmooth type="additive" period="2" '
            f'phase="3">{numbers([1, 2])}</Seasonality_ExpoSmooth></ExponentialSmoothing>',
            "phase 3 is not from 1 to its period",
        ),
        ("ARIMA", arima((0.5,)), "needs the last 1 consecutive values"),
        ("ARIMA", series([-1.0]) + arima((0.5,), attributes='transformation="logarithmic"'), "needs the last 1"),
        ("ARIMA", series([1.0, 2.0]) + arima((0.5,), 1, (0.3, 0.1), residuals=[1.0]), "needs the last 2 residuals"),
        (
            "ARIMA",
            '<ARIMA><NonseasonalComponent p="2"><AR>' + numbers([0.5]) + "</AR></NonseasonalComponent></ARIMA>",
            "<NonseasonalComponent> has p 2 but 1 coefficients",
        ),
        ("ARIMA", '<ARIMA><SeasonalComponent D="1" period="0"/></ARIMA>', "the period is positive"),
        ("ARIMA", '<ARIMA><NonseasonalComponent d="90000"/></ARIMA>', "reach back 10000 times at most"),
        ("ARIMA", '<ARIMA predictionMethod="exactLeastSquares"/>', "lacks its <MaximumLikelihoodStat>"),
        (
            "ARIMA",
            '<ARIMA predictionMethod="exactLeastSquares"><MaximumLikelihoodStat method="thetaRecursion">'
            f"<KalmanState><FinalStateVector>{numbers([1])}</FinalStateVector></KalmanState></MaximumLikelihoodStat>"
            "</ARIMA>",
            "lacks the state of its method thetaRecursion",
        ),
        (
            "ARIMA",
            '<ARIMA><OutlierEffect type="transient" startTime="1" magnitude="1"/></ARIMA>',
            "lacks its dampingCoefficient",
        ),
        ("StateSpaceModel", "<StateSpaceModel/>", "lacks its <StateVector>"),
        (
            "StateSpaceModel",
            f"<StateSpaceModel><StateVector>{numbers([1, 2])}</StateVector><TransitionMatrix>{matrix([[1.0]])}"
            f"</TransitionMatrix><MeasurementMatrix>{matrix([[1, 0]])}</MeasurementMatrix></StateSpaceModel>",
            "<TransitionMatrix> is 1 x 1; 2 are needed",
        ),
        (
            "StateSpaceModel",
            f"<StateSpaceModel><StateVector>{numbers([1, 2])}</StateVector><TransitionMatrix>{matrix(np.eye(2))}"
            f"</TransitionMatrix><MeasurementMatrix>{matrix([[1.0]])}</MeasurementMatrix></StateSpaceModel>",
            "1 targets and 2 states need 1 x 2",
        ),
        (
            "GARCH",
            f'<GARCH><ARMAPart p="0" q="0"><AR>{numbers([])}</AR><MA/></ARMAPart><GARCHPart gp="2" gq="0">'
            f"<ResidualSquareCoefficients><MACoefficients>{numbers([0.3])}</MACoefficients>"
            "</ResidualSquareCoefficients><VarianceCoefficients/></GARCHPart></GARCH>",
            "has gp 2 and gq 0 but 1 coefficients of squared residuals",
        ),
        (
            "GARCH",
            f'<GARCH><ARMAPart p="0" q="0"><AR>{numbers([])}</AR><MA/></ARMAPart><GARCHPart gp="1" gq="0">'
            f"<ResidualSquareCoefficients><MACoefficients>{numbers([0.3])}</MACoefficients>"
            "</ResidualSquareCoefficients><VarianceCoefficients/></GARCHPart></GARCH>",
            "has 0 values; the order needs 1",
        ),
    ],
)
def test_a_document_that_contradicts_itself_is_refused(best_fit: str, content: str, message: str) -> None:
    with pytest.raises(SchemaError, match=r"line \d+") as caught:
        load_series(best_fit, content)
    assert message in str(caught.value)


def test_steps_that_are_no_steps_are_errors_of_their_row() -> None:
    model = load_series("ExponentialSmoothing", LEVEL, TARGET + HORIZON.replace("integer", "double"), output=OUTPUT)
    with pytest.raises(ScoringError, match=r"row 1.*field h.*1.5.*lies between two steps"):
        model.score([{"h": 1}, {"h": 1.5}])
    with pytest.raises(ScoringError, match="more than 10000 steps after the end"):
        model.score([{"h": 10001}])
    assert model.score([{"h": 10000}, {"h": None}, {"h": float("nan")}])[0]["forecast"] == 1.0


def test_without_a_field_of_time_rows_are_steps() -> None:
    schema = '<MiningSchema><MiningField name="y" usageType="target"/></MiningSchema>'
    trend = (
        '<ExponentialSmoothing><Level smoothedValue="1"/><Trend_ExpoSmooth smoothedValue="2"/></ExponentialSmoothing>'
    )
    model = load_series("ExponentialSmoothing", trend, TARGET, schema, "")
    assert model.is_sequential
    assert [row["y"] for row in model.score([{"y": None}] * 3)] == [3.0, 5.0, 7.0]


def test_the_field_of_time_must_be_one() -> None:
    fields = TARGET + HORIZON + HORIZON.replace('"h"', '"g"')
    schema = (
        '<MiningSchema><MiningField name="y" usageType="target"/><MiningField name="h"/><MiningField name="g"/>'
        "</MiningSchema>"
    )
    with pytest.raises(SchemaError, match="each of h, g could be the field of time"):
        load_series("ExponentialSmoothing", LEVEL, fields, schema)


def test_steps_beyond_those_computed_at_load_are_the_same_as_they_would_be() -> None:
    model = load_series(
        "ARIMA", series(WALK.tolist()) + arima((0.6,), 1, (0.3,), residuals=[0.5], attributes='RMSE="1"')
    )
    fit = SARIMAX(WALK, order=(1, 1, 1)).filter([0.6, 0.3, 1.0])
    rows = model.score([{"h": 600}, {"h": 10}])
    single = model.score_row({"h": 10})
    assert rows[1] == single
    close(rows[0]["error"], fit.get_forecast(600).se_mean[-1], 1e-6)
