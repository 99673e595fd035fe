"""GeneralRegressionModel: linear predictors, their link functions, and Cox regression (GeneralRegression)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.kernel import Context
from pmml_worker.models.predictor import Sum, Weights
from pmml_worker.models.regression import inverse_link, softmax
from pmml_worker.schema.elements import Element, NormalizationMethod
from pmml_worker.schema.general_regression import (
    BaselineCell,
    CumulativeLink,
    GeneralRegressionModel,
    PPCell,
    Predictor,
)
from pmml_worker.transform.column import (
    Array,
    Bools,
    Column,
    Floats,
    cast_or_fault,
    either,
    mark,
)
from pmml_worker.transform.expressions import parse_or_refuse
from pmml_worker.transform.functions import exp
from pmml_worker.transform.prediction import Prediction, winner
from pmml_worker.transform.scope import Environment, FieldType, Scope
from pmml_worker.transform.values import Scalar, parse


def _masked(values: Array | None, rows: Bools | None) -> Array | None:
    """A mask or codes of faults, in some rows only."""
    if values is None or rows is None:
        return values
    return np.where(rows, values, values.dtype.type(0))


@dataclass(frozen=True, slots=True)
class _Factor:
    """A factor's share in a parameter: a number by category; `coded` lists the categories of a contrast matrix."""

    name: str
    element: str
    weights: Weights
    coded: Weights | None

    def column(self, scope: Scope) -> tuple[Column, Array]:
        """The factor and its numbers; a category that the contrast matrix does not code is a fault."""
        column = scope.column(self.name)
        if self.coded is not None:
            strange = self.coded.of(column) == 0
            if column.missing is not None:
                strange &= ~column.missing
            if strange.any():
                column = mark(
                    column, strange, column, scope.faults, self.name, self.element, "is not in the contrast matrix"
                )
        return column, self.weights.of(column)


@dataclass(frozen=True, slots=True)
class _Covariate:
    """A covariate's share in a parameter: its value to a power."""

    name: str
    element: str
    exponent: float

    def column(self, scope: Scope, dtype: type[np.floating]) -> tuple[Column, Array]:
        """The covariate and its power."""
        column = cast_or_fault(scope.column(self.name), "double", scope.faults, self.name, self.element)
        values = column.values.astype(dtype)
        return column, values if self.exponent == 1 else np.power(values, dtype(self.exponent))


@dataclass(frozen=True, slots=True, eq=False)
class _Parameter:
    """What a parameter's beta is multiplied with: the product of its cells of the PPMatrix, 1 if it has none."""

    factors: tuple[_Factor, ...]
    covariates: tuple[_Covariate, ...]

    def evaluate(self, scope: Scope, dtype: type[np.floating]) -> Sum:
        """The product; where a factor makes it 0, no later predictor is asked, be it missing or not."""
        product = Sum(np.ones(scope.rows, dtype))
        live: Bools | None = None
        for factor in self.factors:
            column, weights = factor.column(scope)
            self._use(product, column, live)
            product.values *= weights
            live = product.values != 0
        for covariate in self.covariates:
            column, powers = covariate.column(scope, dtype)
            self._use(product, column, live)
            product.values *= powers
        if live is not None and self.covariates:
            product.values[~live] = 0
        return product

    @staticmethod
    def _use(product: Sum, column: Column, live: Bools | None) -> None:
        missing, fault = _masked(column.missing, live), _masked(column.fault, live)
        product.use(Column(column.data_type, column.values, missing, fault=fault))


class _Design:
    """The PPMatrix compiled: the parameters, by name and category of the target."""

    def __init__(self, model: GeneralRegressionModel, environment: Environment, dtype: type[np.floating]) -> None:
        self.environment = environment
        self.dtype = dtype
        self.factors = {item.name: item for item in (model.factor_list.predictors if model.factor_list else ())}
        self.covariates = {item.name for item in (model.covariate_list.predictors if model.covariate_list else ())}
        self.cells: dict[tuple[str, str | None], list[PPCell]] = {}
        for cell in model.pp_matrix.cells if model.pp_matrix else ():
            self.cells.setdefault((cell.parameter_name, cell.target_category), []).append(cell)
        self.made: dict[tuple[str, str | None], _Parameter] = {}

    def parameter(self, name: str, category: str | None) -> _Parameter:
        """A parameter for a category of the target: by the cells of that category or, if it has none, of all."""
        key = (name, category) if (name, category) in self.cells else (name, None)
        if key not in self.made:
            cells = [self._cell(cell) for cell in self.cells.get(key, ())]
            self.made[key] = _Parameter(
                tuple(cell for cell in cells if isinstance(cell, _Factor)),
                tuple(cell for cell in cells if isinstance(cell, _Covariate)),
            )
        return self.made[key]

    def _cell(self, cell: PPCell) -> _Factor | _Covariate:
        name = cell.predictor_name
        field = self.environment.type_of(name, cell)
        predictor = self.factors.get(name)
        if predictor is not None:
            return self._factor(cell, predictor, field)
        if name not in self.covariates:
            raise SchemaError(f'<PPCell>: "{name}" is neither in <FactorList> nor in <CovariateList>', cell.line)
        exponent = parse_or_refuse(cell.value, "double", "value", cell.line)
        return _Covariate(name, str(cell), float(exponent))

    def _factor(self, cell: PPCell, predictor: Predictor, field: FieldType) -> _Factor:
        value = parse_or_refuse(cell.value, field.data_type, "value", cell.line)
        if predictor.matrix is None:
            return _Factor(predictor.name, str(cell), Weights({value: 1.0}, self.dtype), None)
        texts = [item.value for item in predictor.categories.categories] if predictor.categories else field.values
        categories = [parse_or_refuse(text, field.data_type, "category", predictor.line) for text in texts]
        contrasts = predictor.matrix.numbers()
        if not categories or len(contrasts) != len(categories):
            raise SchemaError(
                f'<Predictor> "{predictor.name}": its contrast matrix has {len(contrasts)} rows for '
                f"{len(categories)} categories",
                predictor.line,
            )
        if value not in categories or categories.index(value) >= contrasts.shape[1]:
            raise SchemaError(f'<PPCell>: "{cell.value}" is no column of the contrast matrix', cell.line)
        column = contrasts[:, categories.index(value)]
        if np.isnan(column).any():
            raise SchemaError(f'<Predictor> "{predictor.name}": its contrast matrix has gaps', predictor.line)
        numbers = dict(zip(categories, column.tolist(), strict=True))
        coded = Weights(dict.fromkeys(categories, 1.0), self.dtype)
        return _Factor(predictor.name, str(cell), Weights(numbers, self.dtype), coded)


@dataclass(frozen=True, slots=True)
class _LinearPredictor:
    """beta * parameter, added up in the order of the ParamMatrix."""

    terms: tuple[tuple[float, _Parameter], ...]

    def evaluate(self, scope: Scope, dtype: type[np.floating], known: dict[_Parameter, Sum]) -> Sum:
        """The sum, shape (rows,); `known` keeps parameters that several categories share."""
        total = Sum(np.zeros(scope.rows, dtype))
        for beta, parameter in self.terms:
            x = known.get(parameter)
            if x is None:
                x = known[parameter] = parameter.evaluate(scope, dtype)
            total.use(Column("double", x.values, x.missing, fault=x.fault))
            total.values += dtype(beta) * x.values
        return total


_CUMULATIVE: Mapping[CumulativeLink, NormalizationMethod] = {
    "logit": "logit", "probit": "probit", "cloglog": "cloglog", "loglog": "loglog", "cauchit": "cauchit",
}  # fmt: skip


class GeneralRegressionKernel:
    """Scores a GeneralRegressionModel."""

    def __init__(self, model: GeneralRegressionModel, context: Context) -> None:
        self.model = model
        self.element = str(model)
        self.target = context.targets[0].type
        self.dtype: type[np.floating] = np.float32 if model.x_math_context == "float" else np.float64
        self.design = _Design(model, context.environment, self.dtype)
        self.is_classification = model.function_name == "classification"
        self._predictors = self._linear_predictors()
        self.score: Callable[[Scope], Prediction]
        match model.model_type:
            case "regression" | "generalLinear":
                self.predictor = self._only_predictor()
                self.score = self._linear
            case "generalizedLinear":
                self._prepare_generalized()
            case "multinomialLogistic":
                self._prepare_multinomial()
            case "ordinalMultinomial":
                self._prepare_ordinal()
            case "CoxRegression":
                self._prepare_cox(context.environment)
        for name in (model.offset_variable, model.trials_variable):
            if name is not None:
                context.environment.type_of(name, model)
        self.covariance = self._covariance()

    # --- At load -----------------------------------------------------------------------------------------------------

    def _linear_predictors(self) -> dict[str | None, _LinearPredictor]:
        """The linear predictor of each category of the target, in the order of the ParamMatrix."""
        known = {item.name for item in self.model.parameter_list.parameters}
        terms: dict[str | None, list[tuple[float, _Parameter]]] = {}
        for cell in self.model.param_matrix.cells:
            if cell.parameter_name not in known:
                raise SchemaError(f'<PCell>: "{cell.parameter_name}" is not in <ParameterList>', cell.line)
            parameter = self.design.parameter(cell.parameter_name, cell.target_category)
            terms.setdefault(cell.target_category, []).append((cell.beta, parameter))
        return {category: _LinearPredictor(tuple(items)) for category, items in terms.items()}

    def _only_predictor(self) -> _LinearPredictor:
        if self.is_classification:
            raise SchemaError(
                f'<GeneralRegressionModel> of modelType "{self.model.model_type}" is for regression', self.model.line
            )
        if len(self._predictors) > 1 or (not self._predictors and self.model.model_type != "CoxRegression"):
            raise SchemaError("<ParamMatrix> for regression has parameters of one target", self.model.param_matrix.line)
        return next(iter(self._predictors.values()), _LinearPredictor(()))

    def _categories(self, reference: str | None) -> tuple[str, ...]:
        """The target's categories: as the document lists them, or else as the parameters name them."""
        if self.target is not None and self.target.values:
            return self.target.values
        named = [category for category in self._predictors if category is not None]
        return tuple(dict.fromkeys([*named, *([reference] if reference is not None else [])]))

    def _listed(self, category: str, categories: Sequence[str], element: Element) -> str:
        """The category as the document lists it; "1" and "1.0" are one number."""
        if category in categories or self.target is None:
            return category
        value = parse_or_refuse(category, self.target.data_type, "category", element.line)
        for text in categories:
            if _is(text, value, self.target):
                return text
        raise SchemaError(f'category "{category}" is none of the target: {", ".join(categories)}', element.line)

    def _by_category(self) -> tuple[tuple[str, ...], dict[str, _LinearPredictor], str]:
        """The target's categories, the linear predictors of all but one, and that one, the reference category."""
        model, matrix = self.model, self.model.param_matrix
        reference = model.target_reference_category
        categories = self._categories(reference)
        if reference is not None:
            reference = self._listed(reference, categories, model)
        predictors = {
            self._listed(category, categories, matrix): predictor
            for category, predictor in self._predictors.items()
            if category is not None
        }
        if None in self._predictors:
            rest = [category for category in categories if category != reference]
            if predictors or len(rest) != 1:
                raise SchemaError("<PCell> for classification lacks its targetCategory", matrix.line)
            predictors[rest[0]] = self._predictors[None]
        others = [category for category in categories if category not in predictors]
        if reference is None and len(others) == 1:
            reference = others[0]
        if reference is None or others != [reference]:
            raise SchemaError(
                "<ParamMatrix> for classification has parameters for each category of the target but one, the "
                "targetReferenceCategory",
                matrix.line,
            )
        return categories, predictors, reference

    def _required(self, name: str, value: float | None) -> float:
        if value is None:
            raise SchemaError(
                f"<GeneralRegressionModel>: linkFunction {self.model.link_function} needs {name}", self.model.line
            )
        return value

    def _prepare_generalized(self) -> None:
        model = self.model
        if model.link_function is None:
            raise SchemaError("<GeneralRegressionModel>: generalizedLinear needs a linkFunction", model.line)
        if model.link_function == "negbin":
            self.link_parameter = self._required("distParameter", model.dist_parameter)
        elif model.link_function in ("oddspower", "power"):
            self.link_parameter = self._required("linkParameter", model.link_parameter)
        else:
            self.link_parameter = 0.0
        if not self.is_classification:
            self.predictor = self._only_predictor()
            self.score = self._generalized
            return
        self.classes, predictors, _ = self._by_category()
        if len(self.classes) != 2:
            raise SchemaError("<GeneralRegressionModel>: generalizedLinear tells two categories apart", model.line)
        ((category, self.predictor),) = predictors.items()
        self.modelled = self.classes.index(category)
        self.score = self._binomial

    def _prepare_multinomial(self) -> None:
        if not self.is_classification:
            raise SchemaError("<GeneralRegressionModel>: multinomialLogistic is for classification", self.model.line)
        self.classes, predictors, _ = self._by_category()
        self.by_class = [predictors.get(category) for category in self.classes]
        self.score = self._multinomial

    def _prepare_ordinal(self) -> None:
        """Parameters without a category are added to those of each category, which only the intercept has."""
        model = self.model
        if not self.is_classification:
            raise SchemaError("<GeneralRegressionModel>: ordinalMultinomial is for classification", model.line)
        if model.cumulative_link is None:
            raise SchemaError("<GeneralRegressionModel>: ordinalMultinomial needs a cumulativeLink", model.line)
        self.link = _CUMULATIVE[model.cumulative_link]
        shared = self._predictors.pop(None, _LinearPredictor(()))
        self.classes, predictors, reference = self._by_category()
        if reference != self.classes[-1]:
            raise SchemaError(
                f'<ParamMatrix>: category "{self.classes[-1]}", the last, has no parameters of its own', model.line
            )
        self.by_class = [_LinearPredictor(predictors[category].terms + shared.terms) for category in self.classes[:-1]]
        self.score = self._ordinal

    def _prepare_cox(self, environment: Environment) -> None:
        model, tables = self.model, self.model.base_cum_hazard_tables
        if model.end_time_variable is None or tables is None:
            raise SchemaError(
                "<GeneralRegressionModel>: CoxRegression needs endTimeVariable and <BaseCumHazardTables>", model.line
            )
        self.predictor = self._only_predictor()
        points = {item.name: item.reference_point for item in model.parameter_list.parameters}
        self.reference = sum(points[cell.parameter_name] * cell.beta for cell in model.param_matrix.cells)
        environment.type_of(model.end_time_variable, model)
        if model.baseline_strata_variable is None:
            self.strata = [_Baseline(tables, tables.cells, tables.max_time)]
        else:
            data_type = environment.type_of(model.baseline_strata_variable, model).data_type
            values = [parse_or_refuse(item.value, data_type, "value", item.line) for item in tables.strata]
            self.strata = [_Baseline(item, item.cells, item.max_time) for item in tables.strata]
            self.stratum = Weights({value: place + 1.0 for place, value in enumerate(values)}, np.float64)
        if not self.strata:
            raise SchemaError("<BaseCumHazardTables> has no <BaselineStratum>", tables.line)
        self.score = self._cox

    def _covariance(self) -> Floats | None:
        """The covariances of the linear predictor's parameters, shape (terms, terms), in the order of its terms."""
        model = self.model
        if model.p_cov_matrix is None or self.is_classification or model.model_type == "CoxRegression":
            return None
        places: dict[str, list[int]] = {}
        for place, cell in enumerate(model.param_matrix.cells):
            places.setdefault(cell.parameter_name, []).append(place)
        matrix = np.zeros((len(model.param_matrix.cells),) * 2)
        for cov in model.p_cov_matrix.cells:
            for name in (cov.p_row, cov.p_col):
                if name not in places:
                    raise SchemaError(f'<PCovCell>: "{name}" is not in <ParamMatrix>', cov.line)
            for row in places[cov.p_row]:
                for column in places[cov.p_col]:
                    matrix[row, column] = matrix[column, row] = cov.value
        return matrix

    # --- While scoring -----------------------------------------------------------------------------------------------

    def _column(self, values: Array, total: Sum) -> Column:
        return Column(
            "float" if self.dtype == np.float32 else "double",
            np.asarray(values, self.dtype),
            total.missing,
            fault=total.fault,
        )

    def _add_offset(self, scope: Scope, total: Sum) -> None:
        """Add the offset, a variable or a value; a missing variable is an error."""
        if self.model.offset_variable is not None:
            total.values = total.values + self._needed(scope, self.model.offset_variable, total)
        elif self.model.offset_value is not None:
            total.values = total.values + self.dtype(self.model.offset_value)

    def _needed(self, scope: Scope, name: str, total: Sum) -> Array:
        """A variable without which there is no result, though all predictors are there."""
        column = cast_or_fault(scope.column(name), "double", scope.faults, name, self.element)
        if column.missing is not None and column.missing.any():
            column = mark(column, column.missing, column, scope.faults, name, self.element, "gives no result")
        total.use(column, allows_missing=True)
        return column.values.astype(self.dtype)

    def _linear(self, scope: Scope) -> Prediction:
        known: dict[_Parameter, Sum] = {}
        with np.errstate(all="ignore"):
            total = self.predictor.evaluate(scope, self.dtype, known)
            error = self._standard_error(known, total, np.float64(1.0))
        return Prediction(self._column(total.values, total), standard_error=error)

    def _generalized(self, scope: Scope) -> Prediction:
        known: dict[_Parameter, Sum] = {}
        with np.errstate(all="ignore"):
            total = self.predictor.evaluate(scope, self.dtype, known)
            self._add_offset(scope, total)
            trials = self._trials(scope, total)
            values = self._inverse(total.values) * trials
            error = self._standard_error(known, total, self._slope(total.values) * trials)
        return Prediction(self._column(values, total), standard_error=error)

    def _trials(self, scope: Scope, total: Sum) -> Array:
        if self.model.trials_variable is not None:
            return self._needed(scope, self.model.trials_variable, total)
        return np.asarray(1 if self.model.trials_value is None else self.model.trials_value, self.dtype)

    def _binomial(self, scope: Scope) -> Prediction:
        with np.errstate(all="ignore"):
            total = self.predictor.evaluate(scope, self.dtype, {})
            self._add_offset(scope, total)
            chance = self._inverse(total.values)
            table = np.stack([1 - chance, chance], axis=1)
        if self.modelled == 0:
            table = table[:, ::-1]
        return self._classified(table, total)

    def _classified(self, table: Array, total: Sum) -> Prediction:
        value = winner(np.nan_to_num(table, nan=-np.inf), self.classes, total.missing).with_fault(total.fault)
        return Prediction(value, self.classes, table)

    def _sums(self, predictors: Sequence[_LinearPredictor | None], scope: Scope) -> tuple[Array, Sum]:
        """The linear predictors with the offset, shape (rows, predictors), 0 for a category that has none."""
        known: dict[_Parameter, Sum] = {}
        whole = Sum(np.zeros(scope.rows, self.dtype))
        values = np.zeros((scope.rows, len(predictors)), self.dtype)
        for place, predictor in enumerate(predictors):
            if predictor is None:
                continue
            total = predictor.evaluate(scope, self.dtype, known)
            whole.use(Column("double", total.values, total.missing, fault=total.fault))
            values[:, place] = total.values
        self._add_offset(scope, whole)
        for place, predictor in enumerate(predictors):
            if predictor is not None:
                values[:, place] += whole.values
        return values, whole

    def _multinomial(self, scope: Scope) -> Prediction:
        with np.errstate(all="ignore"):
            values, whole = self._sums(self.by_class, scope)
            table = softmax(values)
        return self._classified(table, whole)

    def _ordinal(self, scope: Scope) -> Prediction:
        with np.errstate(all="ignore"):
            values, whole = self._sums(self.by_class, scope)
            cumulative = np.ones((scope.rows, len(self.classes)), self.dtype)
            cumulative[:, :-1] = inverse_link(self.link, values)
            table = np.diff(cumulative, axis=1, prepend=self.dtype(0))
        return self._classified(table, whole)

    def _cox(self, scope: Scope) -> Prediction:
        """The cumulative hazard: 0 before the first time, missing after the last and in a stratum that is unknown."""
        with np.errstate(all="ignore"):
            total = self.predictor.evaluate(scope, self.dtype, {})
            risk = exp(total.values - self.dtype(self.reference))
        after = Sum(total.values, fault=None)
        time = self._needed(scope, str(self.model.end_time_variable), after).astype(np.float64)
        place = np.ones(scope.rows)
        if self.model.baseline_strata_variable is not None:
            name = self.model.baseline_strata_variable
            column = scope.column(name)
            if column.missing is not None and column.missing.any():
                column = mark(column, column.missing, column, scope.faults, name, self.element, "gives no result")
            place = self.stratum.of(column)
            after.use(column, allows_missing=True)
        baseline = np.full(scope.rows, np.nan)
        for number, stratum in enumerate(self.strata, 1):
            here = place == number
            baseline[here] = stratum.hazard(time[here])
        total.missing = either(total.missing, np.isnan(baseline))
        result = self._column(baseline.astype(self.dtype) * risk, total)
        return Prediction(result.with_fault(after.fault))

    def _inverse(self, r: Array) -> Array:
        """The inverse of the link function (GeneralRegression, "linkFunction")."""
        one, d = r.dtype.type(1), r.dtype.type(self.link_parameter)
        values = r
        match self.model.link_function:
            case "log":
                values = exp(r)
            case "logc":
                values = one - exp(r)
            case "negbin":
                values = one / (d * (exp(-r) - one))
            case "oddspower":
                values = inverse_link("logit", r) if d == 0 else one / (one + np.power(one + d * r, -one / d))
            case "power":
                values = exp(r) if d == 0 else np.power(r, one / d)
            case "cloglog" | "logit" | "loglog" | "probit" as link:
                values = inverse_link(link, r)
        return values

    def _slope(self, r: Array) -> Floats:
        """The derivative of the link function's inverse."""
        r = r.astype(np.float64)
        d = self.link_parameter
        slope: Floats
        match self.model.link_function:
            case "log":
                slope = np.exp(r)
            case "logc":
                slope = -np.exp(r)
            case "logit":
                slope = self._inverse(r) * self._inverse(-r)
            case "probit":
                slope = np.exp(-r * r / 2) / np.sqrt(2 * np.pi)
            case "cloglog":
                slope = np.exp(r - np.exp(r))
            case "loglog":
                slope = np.exp(-r - np.exp(-r))
            case "negbin":
                slope = np.exp(-r) / (d * (np.exp(-r) - 1) ** 2)
            case "oddspower" if d == 0:
                slope = self._inverse(r) * self._inverse(-r)
            case "oddspower":
                odds = np.power(1 + d * r, -1 / d)
                slope = odds / (1 + d * r) / (1 + odds) ** 2
            case "power":
                slope = np.exp(r) if d == 0 else np.power(r, 1 / d - 1) / d
            case _:
                slope = np.ones(len(r))
        return slope

    def _standard_error(self, known: Mapping[_Parameter, Sum], total: Sum, slope: Array | np.float64) -> Column | None:
        """The standard error of the predicted value: of the linear predictor, by the delta method through the link."""
        if self.covariance is None:
            return None
        design = np.stack([known[parameter].values.astype(np.float64) for _, parameter in self.predictor.terms], axis=1)
        variance = np.einsum("ri,ij,rj->r", design, self.covariance, design)
        return Column("double", np.sqrt(variance) * np.abs(slope), total.missing, fault=total.fault)


def _is(text: str, value: Scalar, field: FieldType) -> bool:
    try:
        return parse(text, field.data_type) == value
    except ValueError:
        return False


class _Baseline:
    """A cumulative baseline hazard: steps at the times of its cells."""

    def __init__(self, element: Element, cells: Sequence[BaselineCell], max_time: float | None) -> None:
        if not cells:
            raise SchemaError(f"<{type(element).__name__}> has no <BaselineCell>", element.line)
        ordered = sorted(cells, key=lambda cell: cell.time)
        self.times = np.array([cell.time for cell in ordered])
        self.hazards = np.array([0.0, *(cell.cum_hazard for cell in ordered)])
        self.last = ordered[-1].time if max_time is None else max_time

    def hazard(self, time: Floats) -> Floats:
        """The hazard up to each time, NaN after the last; shape (rows,)."""
        return np.where(time > self.last, np.nan, self.hazards[np.searchsorted(self.times, time, "right")])
