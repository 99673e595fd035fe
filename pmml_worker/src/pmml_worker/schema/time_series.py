"""The elements of time series models (TimeSeriesModel)."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, Literal, TypeAlias

from pmml_worker.schema.elements import (
    Element,
    Matrix,
    ModelElement,
    NumberArray,
    RealSparseArray,
    Timestamp,
    element,
)

TimeSeriesAlgorithm: TypeAlias = Literal[
    "ARIMA", "ExponentialSmoothing", "SeasonalTrendDecomposition", "SpectralAnalysis", "StateSpaceModel", "GARCH"
]
TimeSeriesUsage: TypeAlias = Literal["original", "logical", "prediction"]
InterpolationMethod: TypeAlias = Literal["none", "linear", "exponentialSpline", "cubicSpline"]
SeriesTransformation: TypeAlias = Literal["none", "logarithmic", "squareroot"]
"""What was done to a series before its model was fitted."""

TimeAnchorType: TypeAlias = Literal[
    "dateTimeMillisecondsSince[0]", "dateTimeMillisecondsSince[1960]", "dateTimeMillisecondsSince[1970]",
    "dateTimeMillisecondsSince[1980]", "dateTimeSecondsSince[0]", "dateTimeSecondsSince[1960]",
    "dateTimeSecondsSince[1970]", "dateTimeSecondsSince[1980]", "dateDaysSince[0]", "dateDaysSince[1960]",
    "dateDaysSince[1970]", "dateDaysSince[1980]", "dateMonthsSince[0]", "dateMonthsSince[1960]",
    "dateMonthsSince[1970]", "dateMonthsSince[1980]", "dateYearsSince[0]",
]  # fmt: skip


@element
class TimeValue(Element):
    """One value of a series and its place: an index, a number of time units or a timestamp."""

    index: int | None = None
    time: float | None = None
    value: float
    standard_error: float | None = None
    timestamp: Timestamp | None = None


@element
class TimeCycle(Element):
    """Which steps of a repeating cycle have values."""

    length: int | None = None
    type: Literal["includeAll", "includeFromTo", "excludeFromTo", "includeSet", "excludeSet"] = "includeAll"
    display_name: str | None = None
    array: NumberArray | None = None


@element
class TimeException(Element):
    """Single steps that have values, or have none, against the cycles."""

    type: Literal["exclude", "include"] = "exclude"
    count: int | None = None
    array: NumberArray


@element
class TimeAnchor(Element):
    """The unit of time, the first time and the distance of steps."""

    type: TimeAnchorType | None = None
    offset: int = 0
    stepsize: int = 1
    display_name: str | None = None
    cycles: tuple[TimeCycle, ...] = ()
    exceptions: tuple[TimeException, ...] = ()


@element
class TimeSeries(Element):
    """Values that were observed, completed or predicted."""

    usage: TimeSeriesUsage = "original"
    start_time: float | None = None
    end_time: float | None = None
    interpolation_method: InterpolationMethod = "none"
    field: str | None = None
    anchor: TimeAnchor | None = None
    exceptions: tuple[TimeException, ...] = ()
    values: tuple[TimeValue, ...] = ()


# --- Exponential smoothing -------------------------------------------------------------------------------------------


@element
class Level(Element):
    """The smoothed level, and that of the level, and that of its level, at the end of the series."""

    alpha: float | None = None
    smoothed_value: float | None = None
    quadratic_smoothed_value: float | None = None
    cubic_smoothed_value: float | None = None


@element
class TrendExpoSmooth(Element):
    """The smoothed trend at the end of the series."""

    TAG: ClassVar[str | None] = "Trend_ExpoSmooth"
    trend: Literal[
        "additive",
        "damped_additive",
        "multiplicative",
        "damped_multiplicative",
        "double_exponential",
        "polynomial_exponential",
    ] = "additive"
    gamma: float | None = None
    phi: float = 1.0
    smoothed_value: float | None = None
    array: NumberArray | None = None


@element
class SeasonalityExpoSmooth(Element):
    """The smoothed seasonal effects of one period."""

    TAG: ClassVar[str | None] = "Seasonality_ExpoSmooth"
    type: Literal["additive", "multiplicative"]
    period: int
    unit: str | None = None
    phase: int | None = None
    delta: float | None = None
    array: NumberArray


@element
class ExponentialSmoothing(Element):
    """Level, trend and season, each smoothed exponentially."""

    rmse: float | None = field(default=None, metadata={"xml": "RMSE"})
    transformation: SeriesTransformation = "none"
    level: Level
    trend: TrendExpoSmooth | None = None
    seasonality: SeasonalityExpoSmooth | None = None
    values: tuple[TimeValue, ...] = ()


# --- ARIMA -----------------------------------------------------------------------------------------------------------


@element
class AR(Element):
    """Autoregressive coefficients, of lag 1 first."""

    array: NumberArray


@element
class MACoefficients(Element):
    """Coefficients of past residuals, or variances, of lag 1 first."""

    array: NumberArray


@element
class Residuals(Element):
    """The last residuals, the oldest first."""

    array: NumberArray


@element
class MA(Element):
    """The moving average part."""

    coefficients: MACoefficients | None = None
    residuals: Residuals | None = None


@element
class NonseasonalComponent(Element):
    """Orders and coefficients of lags 1, 2, 3 …"""

    p: int = 0
    d: int = 0
    q: int = 0
    ar: AR | None = None
    ma: MA | None = None


@element
class SeasonalComponent(Element):
    """Orders and coefficients of lags of one period, two periods …"""

    p: int = field(default=0, metadata={"xml": "P"})
    d: int = field(default=0, metadata={"xml": "D"})
    q: int = field(default=0, metadata={"xml": "Q"})
    period: int
    ar: AR | None = None
    ma: MA | None = None


@element
class NonseasonalFactor(Element):
    """A polynomial of the backshift operator B."""

    difference: int = 0
    maximum_order: int | None = None
    array: NumberArray


@element
class SeasonalFactor(Element):
    """A polynomial of B to the power of the period."""

    difference: int = 0
    maximum_order: int | None = None
    array: NumberArray


@element
class Numerator(Element):
    """How a regressor's values of this and earlier times act."""

    nonseasonal: NonseasonalFactor | None = None
    seasonal: SeasonalFactor | None = None


@element
class Denominator(Element):
    """How the effect itself persists."""

    nonseasonal: NonseasonalFactor | None = None
    seasonal: SeasonalFactor | None = None


@element
class TrendCoefficients(Element):
    """A polynomial of time."""

    array: RealSparseArray | None = None


@element
class TransferFunctionValues(Element):
    """The last effects of a regressor, the oldest first."""

    array: NumberArray


@element
class RegressorValues(Element):
    """What is known of a regressor's past and future."""

    series: TimeSeries | None = None
    trend: TrendCoefficients | None = None
    effects: TransferFunctionValues | None = None


@element
class DynamicRegressor(Element):
    """A series that acts on the modelled one."""

    field: str
    transformation: SeriesTransformation = "none"
    delay: int = 0
    future_values_method: Literal["constant", "trend", "stored", "otherModel", "userSupplied"] = "constant"
    target_field: str | None = None
    numerator: Numerator | None = None
    denominator: Denominator | None = None
    values: RegressorValues | None = None


@element
class TransitionMatrix(Element):
    """How a state follows from the one before."""

    matrix: Matrix


@element
class MeasurementMatrix(Element):
    """How observations follow from the state."""

    matrix: Matrix


@element
class FinalOmega(Element):
    """The covariance of the final state, in units of the residuals' variance."""

    matrix: Matrix


@element
class FinalStateVector(Element):
    """The state that is predicted for the first time after the series."""

    array: NumberArray


@element
class HVector(Element):
    """How the noise follows from the state."""

    array: NumberArray


@element
class KalmanState(Element):
    """Where a Kalman filter stood at the end of the series.

    The two matrices are no part of the standard's KalmanState; exporters write them to say how the state goes on.
    """

    final_omega: FinalOmega | None = None
    final_state_vector: FinalStateVector
    h_vector: HVector | None = None
    transition_matrix: TransitionMatrix | None = None
    measurement_matrix: MeasurementMatrix | None = None


@element
class FinalNoise(Element):
    """The last values of the noise, the oldest first."""

    array: NumberArray


@element
class FinalPredictedNoise(Element):
    """What was predicted for them one step ahead, the oldest first."""

    array: NumberArray


@element
class Theta(Element):
    """A coefficient of the innovations algorithm: of the prediction of time i, for the innovation of lag j."""

    i: int
    j: int
    theta: float


@element
class FinalTheta(Element):
    """The coefficients of the last predictions."""

    thetas: tuple[Theta, ...] = ()


@element
class FinalNu(Element):
    """The mean squared errors of the last predictions, in units of the residuals' variance, the oldest first."""

    array: NumberArray


@element
class ThetaRecursionState(Element):
    """Where the innovations algorithm stood at the end of the series."""

    final_noise: FinalNoise
    final_predicted_noise: FinalPredictedNoise
    final_theta: FinalTheta
    final_nu: FinalNu


@element
class MaximumLikelihoodStat(Element):
    """The state from which exact least squares predicts."""

    method: Literal["kalman", "thetaRecursion"]
    period_deficit: int = 0
    kalman_state: KalmanState | None = None
    theta_recursion_state: ThetaRecursionState | None = None


@element
class OutlierEffect(Element):
    """What an event did to the series from a time on."""

    type: Literal["additive", "level", "transient", "seasonalAdditive", "trend", "innovational"]
    start_time: float
    magnitude: float
    damping_coefficient: float | None = None


@element
class ARIMA(Element):
    """A seasonal ARIMA model with transfer functions and outliers."""

    rmse: float | None = field(default=None, metadata={"xml": "RMSE"})
    transformation: SeriesTransformation = "none"
    constant_term: float = 0.0
    prediction_method: Literal["conditionalLeastSquares", "exactLeastSquares"] = "conditionalLeastSquares"
    nonseasonal: NonseasonalComponent | None = None
    seasonal: SeasonalComponent | None = None
    regressors: tuple[DynamicRegressor, ...] = ()
    maximum_likelihood_stat: MaximumLikelihoodStat | None = None
    outliers: tuple[OutlierEffect, ...] = ()


# --- State space models ----------------------------------------------------------------------------------------------


@element
class StateVector(Element):
    """The state that is predicted for the first time after the series."""

    array: NumberArray


@element
class PsiVector(Element):
    """How residuals act at the same and at later times."""

    target_field: str | None = None
    variance: float | None = None
    array: NumberArray


@element
class InterceptVector(Element):
    """What is added to every state, or to every observation."""

    type: Literal["state", "observation"] = "state"
    array: NumberArray


@element
class ObservationVarianceMatrix(Element):
    """The covariance of the observations' errors."""

    matrix: Matrix


@element
class PredictedStateCovarianceMatrix(Element):
    """The covariance of the predicted state."""

    matrix: Matrix


@element
class SelectedStateCovarianceMatrix(Element):
    """The covariance of what is new in every state."""

    matrix: Matrix


@element
class StateSpaceModel(Element):
    """A linear state space model."""

    variance: float | None = None
    period: str = "none"
    intercept: float = 0.0
    state_vector: StateVector | None = None
    transition_matrix: TransitionMatrix | None = None
    measurement_matrix: MeasurementMatrix | None = None
    intercept_vector: InterceptVector | None = None
    predicted_state_covariance: PredictedStateCovarianceMatrix | None = None
    selected_state_covariance: SelectedStateCovarianceMatrix | None = None
    observation_variance: ObservationVarianceMatrix | None = None
    psi_vectors: tuple[PsiVector, ...] = ()
    regressors: tuple[DynamicRegressor, ...] = ()


# --- GARCH -----------------------------------------------------------------------------------------------------------


@element
class ARMAPart(Element):
    """The model of the mean."""

    constant: float = 0.0
    p: int
    q: int
    ar: AR
    ma: MA


@element
class ResidualSquareCoefficients(Element):
    """How past squared residuals act on the variance."""

    residuals: Residuals | None = None
    coefficients: MACoefficients | None = None


@element
class PastVariances(Element):
    """The last variances, the oldest first."""

    array: NumberArray


@element
class VarianceCoefficients(Element):
    """How past variances act on the variance."""

    past: PastVariances | None = None
    coefficients: MACoefficients | None = None


@element
class GARCHPart(Element):
    """The model of the variance."""

    constant: float = 0.0
    gp: int
    gq: int
    squares: ResidualSquareCoefficients
    variances: VarianceCoefficients


@element
class GARCH(Element):
    """An ARMA model whose residuals have a variance that changes."""

    arma: ARMAPart
    garch: GARCHPart


# --- The model -------------------------------------------------------------------------------------------------------


@element
class SpectralAnalysis(Element):
    """A place for a later version of the standard, which gives it no content."""


@element
class SeasonalTrendDecomposition(Element):
    """A place for a later version of the standard, which gives it no content."""


@element
class TimeSeriesModel(ModelElement):
    """A model of a time series, fitted by one algorithm or more, of which `bestFit` is used."""

    best_fit: TimeSeriesAlgorithm
    series: tuple[TimeSeries, ...] = ()
    spectral_analysis: SpectralAnalysis | None = None
    arima: ARIMA | None = None
    exponential_smoothing: ExponentialSmoothing | None = None
    seasonal_trend_decomposition: SeasonalTrendDecomposition | None = None
    state_space_model: StateSpaceModel | None = None
    garch: GARCH | None = None
