"""The elements of general regression models (GeneralRegression)."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from pmml_worker.schema.elements import Element, Interval, Matrix, ModelElement, Value, element

ModelType: TypeAlias = Literal[
    "regression", "generalLinear", "multinomialLogistic", "ordinalMultinomial", "generalizedLinear", "CoxRegression"
]
LinkFunction: TypeAlias = Literal[
    "cloglog", "identity", "log", "logc", "logit", "loglog", "negbin", "oddspower", "power", "probit"
]
CumulativeLink: TypeAlias = Literal["logit", "probit", "cloglog", "loglog", "cauchit"]
Distribution: TypeAlias = Literal["binomial", "gamma", "igauss", "negbin", "normal", "poisson", "tweedie"]


@element
class Parameter(Element):
    """A coefficient's name; `referencePoint` is of Cox regression."""

    name: str
    label: str | None = None
    reference_point: float = 0.0


@element
class ParameterList(Element):
    """All parameters."""

    parameters: tuple[Parameter, ...] = ()


@element
class Category(Element):
    """A category of a factor."""

    value: str


@element
class Categories(Element):
    """A factor's categories, in the order of its contrast matrix."""

    categories: tuple[Category, ...]


@element
class Predictor(Element):
    """A factor or a covariate; a factor may be coded by a contrast matrix."""

    name: str
    contrast_matrix_type: str | None = None
    categories: Categories | None = None
    matrix: Matrix | None = None


@element
class FactorList(Element):
    """The categorical predictors."""

    predictors: tuple[Predictor, ...] = ()


@element
class CovariateList(Element):
    """The continuous predictors."""

    predictors: tuple[Predictor, ...] = ()


@element
class PPCell(Element):
    """What a predictor gives to a parameter: a factor's category, or a covariate's exponent."""

    value: str
    predictor_name: str
    parameter_name: str
    target_category: str | None = None


@element
class PPMatrix(Element):
    """How predictors make parameters."""

    cells: tuple[PPCell, ...] = ()


@element
class PCovCell(Element):
    """The covariance of two parameters."""

    p_row: str
    p_col: str
    t_row: str | None = None
    t_col: str | None = None
    value: float
    target_category: str | None = None


@element
class PCovMatrix(Element):
    """The covariances of the parameters; the matrix is symmetric, so half of it suffices."""

    type: Literal["model", "robust"] | None = None
    cells: tuple[PCovCell, ...]


@element
class PCell(Element):
    """A parameter's value."""

    target_category: str | None = None
    parameter_name: str
    beta: float
    df: int | None = None


@element
class ParamMatrix(Element):
    """The parameters' values, by category of the target where it has several."""

    cells: tuple[PCell, ...] = ()


@element
class EventValues(Element):
    """Values of the status variable that stand for the event; no score depends on them."""

    values: tuple[Value, ...] = ()
    intervals: tuple[Interval, ...] = ()


@element
class BaselineCell(Element):
    """The cumulative hazard from a time on."""

    time: float
    cum_hazard: float


@element
class BaselineStratum(Element):
    """The baseline hazard of one value of the strata variable."""

    value: str
    label: str | None = None
    max_time: float
    cells: tuple[BaselineCell, ...] = ()


@element
class BaseCumHazardTables(Element):
    """The cumulative baseline hazard, of all rows or by stratum."""

    max_time: float | None = None
    strata: tuple[BaselineStratum, ...] = ()
    cells: tuple[BaselineCell, ...] = ()


@element
class GeneralRegressionModel(ModelElement):
    """A general regression."""

    target_field_name: str | None = field(default=None, metadata={"xml": "targetVariableName"})
    model_type: ModelType
    target_reference_category: str | None = None
    cumulative_link: CumulativeLink | None = None
    link_function: LinkFunction | None = None
    link_parameter: float | None = None
    trials_variable: str | None = None
    trials_value: int | None = None
    distribution: Distribution | None = None
    dist_parameter: float | None = None
    offset_variable: str | None = None
    offset_value: float | None = None
    model_df: float | None = field(default=None, metadata={"xml": "modelDF"})
    end_time_variable: str | None = None
    start_time_variable: str | None = None
    subject_id_variable: str | None = field(default=None, metadata={"xml": "subjectIDVariable"})
    status_variable: str | None = None
    baseline_strata_variable: str | None = None
    parameter_list: ParameterList
    factor_list: FactorList | None = None
    covariate_list: CovariateList | None = None
    pp_matrix: PPMatrix | None = None
    p_cov_matrix: PCovMatrix | None = None
    param_matrix: ParamMatrix
    event_values: EventValues | None = None
    base_cum_hazard_tables: BaseCumHazardTables | None = None
