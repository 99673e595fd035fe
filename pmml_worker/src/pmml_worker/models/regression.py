"""RegressionModel: linear functions of predictors, and what makes probabilities of them (Regression)."""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.kernel import Context
from pmml_worker.models.predictor import Sum, Weights
from pmml_worker.models.row import Declined, RowFields, RowForm, RowPrediction, Values
from pmml_worker.schema.elements import (
    CategoricalPredictor,
    DataType,
    MathContext,
    NormalizationMethod,
    RegressionModel,
    RegressionTable,
)
from pmml_worker.transform.column import (
    Array,
    Column,
    Fault,
    cast_or_fault,
    first_fault,
)
from pmml_worker.transform.expressions import compile_expression, parse_or_refuse
from pmml_worker.transform.functions import exp, normal_cdf
from pmml_worker.transform.prediction import Prediction, winner
from pmml_worker.transform.scope import Environment, Evaluate, Scope
from pmml_worker.transform.values import Scalar, parse

Term: TypeAlias = Callable[[Scope, Sum], None]


def _numeric(evaluate: Evaluate, name: str, element: str, exponent: int, coefficient: float) -> Term:
    def add(scope: Scope, total: Sum) -> None:
        column = cast_or_fault(evaluate(scope), "double", scope.faults, name, element)
        dtype = total.values.dtype.type
        values = column.values.astype(total.values.dtype)
        total.use(column)
        with np.errstate(all="ignore"):
            if exponent != 1:
                values = np.power(values, dtype(exponent))
            total.values += dtype(coefficient) * values

    return add


def _categorical(run: list[CategoricalPredictor], declared: DataType) -> Term:
    """Predictors of one field, each of another value: at most one of them counts, whose coefficient is looked up."""

    def weights(data_type: DataType, dtype: type[np.floating]) -> Weights:
        numbers: dict[Scalar, float] = {}
        for item in run:  # "1" and "1.0" may be one value.
            value = parse_or_refuse(item.value, data_type, "value", item.line)
            numbers[value] = numbers.get(value, 0.0) + item.coefficient
        return Weights(numbers, dtype)

    name = run[0].name
    known: dict[type[np.floating], Weights] = {dtype: weights(declared, dtype) for dtype in (np.float64, np.float32)}

    def add(scope: Scope, total: Sum) -> None:
        column = scope.column(name)
        dtype = total.values.dtype.type
        table = known[dtype] if column.data_type == declared else weights(column.data_type, dtype)
        values = table.of(column)
        if column.missing is not None:
            values[column.missing] = 0
        total.use(column, allows_missing=True)
        total.values += values

    return add


def _runs(predictors: tuple[CategoricalPredictor, ...]) -> list[list[CategoricalPredictor]]:
    """Consecutive predictors of the same field, as long as none has a value again."""
    runs: list[list[CategoricalPredictor]] = []
    values: set[str] = set()
    for item in predictors:
        if runs and runs[-1][0].name == item.name and item.value not in values:
            runs[-1].append(item)
        else:
            runs.append([item])
            values = set()
        values.add(item.value)
    return runs


def _product(factors: list[tuple[Evaluate, str, str]], coefficient: float) -> Term:
    def add(scope: Scope, total: Sum) -> None:
        product = np.full(scope.rows, coefficient, total.values.dtype)
        for evaluate, name, element in factors:
            column = cast_or_fault(evaluate(scope), "double", scope.faults, name, element)
            total.use(column)
            product *= column.values.astype(product.dtype)
        total.values += product

    return add


class _Table:
    """A compiled regression table."""

    def __init__(self, table: RegressionTable, environment: Environment) -> None:
        self.intercept = table.intercept
        self.category = table.target_category
        self.element = table
        self.terms: list[Term] = []
        for numeric in table.numeric_predictors:
            environment.type_of(numeric.name, numeric)
            self.terms.append(
                _numeric(_reader(numeric.name), numeric.name, str(numeric), numeric.exponent, numeric.coefficient)
            )
        for run in _runs(table.categorical_predictors):
            self.terms.append(_categorical(run, environment.type_of(run[0].name, run[0]).data_type))
        for term in table.terms:
            factors = [(compile_expression(ref, environment), ref.field, str(term)) for ref in term.fields]
            self.terms.append(_product(factors, term.coefficient))

    def evaluate(self, scope: Scope, context: MathContext) -> Sum:
        """The sum of the terms, in double or single precision, missing where a numeric predictor is.

        The intercept comes last, as in the engines that results are compared with; the order shows in the last place.
        """
        total = Sum(np.zeros(scope.rows, np.float32 if context == "float" else np.float64))
        for term in self.terms:
            term(scope, total)
        total.values += total.values.dtype.type(self.intercept)
        return total

    def row(self, fields: RowFields) -> Callable[[Values], float]:
        """The sum for one row, in double precision."""
        element = self.element
        if element.terms:
            raise Declined
        numbers = []
        for numeric in element.numeric_predictors:
            place = fields.place(numeric.name)
            if numeric.exponent != 1 or fields.type_of(numeric.name) in ("string", "boolean"):
                raise Declined
            numbers.append((place, numeric.coefficient))
        tables: dict[int, dict[Any, float]] = {}
        for categorical in element.categorical_predictors:
            place = fields.place(categorical.name)
            value = parse(categorical.value, fields.type_of(categorical.name))
            if value in tables.setdefault(place, {}):
                raise Declined
            tables[place][value] = categorical.coefficient
        categories = list(tables.items())
        intercept = self.intercept

        def add(values: Values) -> float:
            total = 0.0
            for place, coefficient in numbers:
                value = values[place]
                if value is None:
                    raise Declined
                total += coefficient * value
            for place, table in categories:
                total += table.get(values[place], 0.0)
            return total + intercept

        return add


def _reader(name: str) -> Evaluate:
    return lambda scope: scope.column(name)


def inverse_link(method: NormalizationMethod, values: Array) -> Array:
    """The function that a normalization method applies to one table's value (Regression, "normalizationMethod")."""
    one = values.dtype.type(1)
    with np.errstate(over="ignore"):
        match method:
            case "logit" | "softmax":
                result = one / (one + exp(-values))
            case "probit":
                result = normal_cdf(values)
            case "cloglog":
                result = one - exp(-exp(values))
            case "loglog":
                result = exp(-exp(-values))
            case "cauchit":
                result = 0.5 + np.arctan(values.astype(np.float64)) / np.pi
            case "exp":
                result = exp(values)
            case "none" | "simplemax":
                result = values
    return np.asarray(result, values.dtype)


def softmax(values: Array) -> Array:
    """exp(y) / sum of exp(y), each row's largest y taken off beforehand; shape (rows, classes)."""
    powers = exp(values - values.max(axis=1, keepdims=True))
    return divide_by_sum(powers)


def divide_by_sum(values: Array) -> Array:
    """Each row divided by the sum of its entries, added up in their order."""
    total = np.zeros(len(values), values.dtype)
    for column in values.T:
        total = total + column
    with np.errstate(all="ignore"):
        result: Array = values / total[:, None]
    return result


class RegressionKernel:
    """Scores a RegressionModel."""

    def __init__(self, model: RegressionModel, context: Context) -> None:
        self.method = model.normalization_method
        self.context = model.x_math_context
        self.element = str(model)
        self.is_classification = model.function_name == "classification"
        if not model.tables:
            raise SchemaError("<RegressionModel> has no <RegressionTable>", model.line)
        self.tables = [_Table(table, context.environment) for table in model.tables]
        target = context.targets[0]
        self.is_ordinal = target.type is not None and target.type.optype == "ordinal"
        if self.is_classification:
            if len(self.tables) < 2:
                raise SchemaError(
                    "<RegressionModel> for classification needs a <RegressionTable> for each class", model.line
                )
            for table in model.tables:
                if table.target_category is None:
                    raise SchemaError("<RegressionTable> for classification lacks its targetCategory", table.line)
        self.classes = tuple(str(table.category) for table in self.tables) if self.is_classification else ()
        if not self.is_classification and len(self.tables) > 1:
            raise SchemaError("<RegressionModel> for regression has more than one <RegressionTable>", model.line)

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows."""
        sums = [table.evaluate(scope, self.context) for table in self.tables]
        data_type = "float" if self.context == "float" else "double"
        if not self.is_classification:
            total = sums[0]
            with np.errstate(all="ignore"):
                values = inverse_link(self.method, total.values)
            return Prediction(
                Column("float" if data_type == "float" else "double", values, total.missing, fault=total.fault)
            )
        whole = Sum(sums[0].values)
        for total in sums:
            whole.use(Column("double", total.values, total.missing, fault=total.fault))
        missing, fault = whole.missing, whole.fault
        with np.errstate(all="ignore"):
            table = self.probabilities(np.stack([total.values for total in sums], axis=1))
        undefined = ~np.isfinite(table).all(axis=1)
        if missing is not None:
            undefined &= ~missing
        if undefined.any():
            code = scope.faults.add(Fault("the probabilities are undefined", None, None, self.element))
            fault = first_fault(fault, np.where(undefined, code, 0).astype(np.int32))
        value = winner(np.nan_to_num(table, nan=-np.inf), self.classes, missing).with_fault(fault)
        return Prediction(value, self.classes, table)

    def row(self, fields: RowFields) -> RowForm:
        """The form for one row."""
        if self.context == "float":
            raise Declined
        sums = [table.row(fields) for table in self.tables]
        if not self.is_classification:
            first, method = sums[0], self.method
            if method == "none":
                return RowForm(lambda values: RowPrediction(first(values)))
            return RowForm(lambda values: RowPrediction(inverse_link(method, np.array([first(values)])).item()))
        classes = self.classes
        is_logit = len(sums) == 2 and self.method == "logit" and not self.is_ordinal

        def score(values: Values) -> RowPrediction:
            if is_logit:
                total = sums[0](values)
                if not -700 < total < 700:
                    raise Declined
                likely = 1.0 / (1.0 + math.exp(-total))
                table = [likely, 1.0 - likely]
            else:
                with np.errstate(all="ignore"):
                    table = self.probabilities(np.array([[add(values) for add in sums]]))[0].tolist()
                if not all(map(math.isfinite, table)):
                    raise Declined
            return RowPrediction(classes[table.index(max(table))], table)

        return RowForm(score, classes)

    def probabilities(self, values: Array) -> Array:
        """Probabilities of the tables' values, both of shape (rows, classes) (Regression, "normalizationMethod").

        With two classes, and wherever classes are ordered, the last one's is what the others leave.
        """
        count = values.shape[1]
        one = values.dtype.type(1)
        result = values.copy()
        if self.is_ordinal and self.method not in ("simplemax", "softmax"):
            cumulative = inverse_link(self.method, values)
            cumulative[:, -1] = one
            result[:, 0] = cumulative[:, 0]
            result[:, 1:] = cumulative[:, 1:] - cumulative[:, :-1]
            return result
        if self.method == "softmax" and not (self.is_ordinal and count == 2):
            return softmax(values)
        if self.method == "simplemax":
            return divide_by_sum(values)
        if count == 2:
            result[:, 0] = inverse_link(self.method, values[:, 0])
            result[:, 1] = one - result[:, 0]
            return result
        if self.method == "none":
            result[:, -1] = one
            for column in range(count - 1):
                result[:, -1] -= values[:, column]
            return result
        return divide_by_sum(inverse_link(self.method, values))
