"""Output fields: what a model tells of its prediction (Output)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TypeAlias, get_args

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import DataField, DataType, MiningFunction, OpType, Output, OutputField, Target
from pmml_worker.transform.column import (
    Array,
    Column,
    Fault,
    cast_or_fault,
    constant,
    either,
    fault_of,
    from_texts,
    map_categories,
    missing_of,
    to_text,
)
from pmml_worker.transform.expressions import compile_expression, parse_or_refuse, undefined
from pmml_worker.transform.prediction import NUMERIC_FUNCTIONS, Prediction, TargetField
from pmml_worker.transform.scope import Environment, FieldType, Scope
from pmml_worker.transform.values import parse

_RULE_NUMBERS = frozenset({"confidence", "support", "lift", "leverage", "affinity"})

Feature: TypeAlias = Callable[[Mapping[str | None, Prediction], Scope], Column]


@dataclass(frozen=True, slots=True)
class CompiledOutput:
    """An output field: its type and how it is computed."""

    element: OutputField
    type: FieldType
    compute: Feature

    def column(self, predictions: Mapping[str | None, Prediction], scope: Scope) -> Column:
        """Compute the field and make it known, under its name, to the fields after it.

        A field of a missing prediction is given out as missing; computing with it is an error, because a model
        without a prediction has not defined it.
        """
        column = self.compute(predictions, scope)
        if self.element.data_type is not None or self.element.is_multi_valued:
            column = cast_or_fault(column, self.type.data_type, scope.faults, self.element.name, str(self.element))
        derived = self.element.feature in ("transformedValue", "decision")
        scope.declare(
            self.element.name,
            column if derived else undefined(column, scope, self.element.name, str(self.element)),
        )
        return column


@dataclass(frozen=True, slots=True)
class OutputContext:
    """What output fields may refer to: the model's targets and the fields of its results."""

    function: MiningFunction
    targets: tuple[TargetField, ...]
    elements: Mapping[str | None, Target]
    data_fields: Mapping[str, DataField]


def compile_output(output: Output | None, context: OutputContext, environment: Environment) -> list[CompiledOutput]:
    """Compile a model's output fields, in their order; each may name those before it."""
    compiled = []
    for field in output.fields if output else ():
        feature, data_type = _feature(field, context, environment)
        # A list is given out as JSON.
        declared = "string" if field.is_multi_valued else field.data_type or data_type
        usual: OpType = "continuous" if declared in ("double", "float") else "categorical"
        optype: OpType = next((known for known in get_args(OpType) if known == field.optype), usual)
        order = tuple(value.value for value in field.values) if optype == "ordinal" else ()
        item = CompiledOutput(field, FieldType(declared, optype, order), feature)
        environment.fields[field.name] = item.type
        compiled.append(item)
    return compiled


def _pick(field: OutputField, predictions: Mapping[str | None, Prediction], rows: int) -> Prediction:
    """The prediction that a field is about: of its target field and, if it says so, of one segment."""
    prediction = predictions.get(field.target_field)
    if prediction is None:
        prediction = next(reversed(list(predictions.values())), None)
    if prediction is not None and field.segment_id is not None:
        prediction = prediction.segments.get(field.segment_id)
    return prediction or Prediction(constant(None, "double", rows))


def _feature(field: OutputField, context: OutputContext, environment: Environment) -> tuple[Feature, DataType]:
    target = next((item for item in context.targets if item.name == field.target_field), None)
    if target is None:
        target = context.targets[0] if context.targets else TargetField(None, None)
    predicted = (
        target.type.data_type if target.type else "double" if context.function in NUMERIC_FUNCTIONS else "string"
    )
    match field.feature:
        case "predictedValue":
            return _predicted(field), predicted
        case "predictedDisplayValue":
            return _display(field, target, context), "string"
        case "probability" | "confidence":
            return _probability(field, predicted), "double"
        case "affinity" | "clusterAffinity" | "entityAffinity":
            return _affinity(field), "double"
        case "residual":
            return _residual(field, target, context, environment), "double"
        case "entityId" | "clusterId":
            return _ranked(field, "entityId"), "string"
        case "ruleValue":
            return _ranked(field, field.rule_feature), "double" if field.rule_feature in _RULE_NUMBERS else "string"
        case "reasonCode" | "antecedent" | "consequent" | "rule" | "ruleId":
            return _ranked(field, field.feature), "string"
        case "support" | "lift" | "leverage":
            return _ranked(field, field.feature), "double"
        case "standardError" | "standardDeviation":
            return _standard_error(field), "double"
        case "confidenceIntervalLower" | "confidenceIntervalUpper":
            return _confidence_interval(field), "double"
        case "transformedValue" | "decision":
            return _expression(field, environment), "string" if field.optype == "categorical" else "double"
        case "warning" | "x-report":
            return (lambda _, scope: constant(None, field.data_type or "string", scope.rows)), "string"


def _predicted(field: OutputField) -> Feature:
    """The prediction; of a rank other than the first, where a model has further ones."""
    ranked = _ranked(field, "predictedValue")

    def compute(predictions: Mapping[str | None, Prediction], scope: Scope) -> Column:
        prediction = _pick(field, predictions, scope.rows)
        if field.rank != 1 and "predictedValue" in prediction.ranked:
            return ranked(predictions, scope)
        return prediction.value

    return compute


def _expression(field: OutputField, environment: Environment) -> Feature:
    if field.expression is None:
        raise SchemaError(f'<OutputField> "{field.name}" needs an expression', field.line)
    evaluate = compile_expression(field.expression, environment)
    return lambda _, scope: evaluate(scope)


def _display(field: OutputField, target: TargetField, context: OutputContext) -> Feature:
    names: dict[str, str] = {}
    if target.name is not None and target.name in context.data_fields:
        names = {
            value.value: value.display_value
            for value in context.data_fields[target.name].values
            if value.display_value is not None
        }
    element = context.elements.get(target.name) or context.elements.get(None)
    for item in element.values if element else ():
        if item.value is not None and item.display_value is not None:
            names[item.value] = item.display_value

    def feature(predictions: Mapping[str | None, Prediction], scope: Scope) -> Column:
        prediction = _pick(field, predictions, scope.rows)
        if field.feature in prediction.ranked:
            return prediction.ranked[field.feature][0]
        text = to_text(prediction.value)
        return map_categories(text, lambda category: names.get(category, category))

    return feature


def _probability(field: OutputField, predicted: DataType) -> Feature:
    wanted = field.value
    ranked = _ranked(field, field.feature)

    def feature(predictions: Mapping[str | None, Prediction], scope: Scope) -> Column:
        prediction = _pick(field, predictions, scope.rows)
        if wanted is None and (field.name in prediction.answers or field.feature in prediction.ranked):
            return ranked(predictions, scope)
        table = prediction.confidences if field.feature == "confidence" else None
        return _entry(prediction, table, wanted, predicted, field, scope)

    return feature


def _same(left: str, right: str, data_type: DataType) -> bool:
    """Whether two texts stand for the same value of a type."""
    if left == right:
        return True
    try:
        return parse(left, data_type) == parse(right, data_type)
    except ValueError:
        return False


def _entry(
    prediction: Prediction,
    table: Array | None,
    wanted: str | None,
    predicted: DataType,
    field: OutputField,
    scope: Scope,
) -> Column:
    """One class's entry of a table of probabilities; of the predicted class if none is named."""
    table = prediction.probabilities if table is None else table
    missing = prediction.value.missing
    if table is None:
        return _untold(field, prediction, "probabilities, only its decision", scope)
    data_type: DataType = "float" if table.dtype == np.float32 else "double"
    if wanted is None:
        values = table.max(axis=1) if table.shape[1] else np.zeros(scope.rows)
        if prediction.classes and prediction.value.categories is not None:
            index = {name: position for position, name in enumerate(prediction.classes)}
            codes = np.array([index.get(text, 0) for text in prediction.value.categories], np.int64)
            values = table[np.arange(scope.rows), codes[prediction.value.values]]
    else:
        position = next(
            (index for index, name in enumerate(prediction.classes) if _same(name, wanted, predicted)), None
        )
        values = np.zeros(scope.rows, table.dtype) if position is None else table[:, position]
    return Column(data_type, values, missing, fault=prediction.value.fault)


def _residual(field: OutputField, target: TargetField, context: OutputContext, environment: Environment) -> Feature:
    """Actual minus predicted; for classes 1 or 0, the class being the actual one or not, minus its probability."""
    if target.name is None or target.type is None:
        raise SchemaError(f'<OutputField> "{field.name}": a residual needs a target field', field.line)
    name, data_type = target.name, target.type.data_type
    environment.type_of(name, field)
    numeric = data_type in ("integer", "float", "double")

    def feature(predictions: Mapping[str | None, Prediction], scope: Scope) -> Column:
        prediction = _pick(field, predictions, scope.rows)
        actual = scope.column(name)
        if context.function in NUMERIC_FUNCTIONS and numeric:
            values = actual.values.astype(np.float64) - prediction.value.values.astype(np.float64)
            column = Column("double", values, actual.missing, fault=actual.fault)
            return column.with_missing(prediction.value.missing).with_fault(prediction.value.fault)
        chosen = to_text(prediction.value if field.value is None else constant(field.value, "string", scope.rows))
        entry = _entry(prediction, None, field.value, data_type, field, scope)
        hit = (actual.texts() == chosen.texts()).astype(np.float64)
        column = replace(entry, data_type="double", values=hit - entry.values)
        return column.with_missing(actual.missing).with_fault(actual.fault)

    return feature


def _untold(field: OutputField, prediction: Prediction, what: str, scope: Scope) -> Column:
    """What a model does not tell: an error in rows that have a prediction, missing in the others."""
    missing = prediction.value.missing
    present = np.ones(scope.rows, np.bool_) if missing is None else ~missing
    column = constant(None, "double", scope.rows)
    if not present.any():
        return column
    code = scope.faults.add(Fault(f"field {field.name}: the model tells no {what}", field.name, None, str(field)))
    return column.with_fault(np.where(present, code, 0).astype(np.int32))


def _ranked(field: OutputField, feature: str) -> Feature:
    """What a model tells best first; missing where it has fewer than the field's rank asks for."""

    def compute(predictions: Mapping[str | None, Prediction], scope: Scope) -> Column:
        prediction = _pick(field, predictions, scope.rows)
        answer = prediction.answers.get(field.name)
        if answer is not None:
            return answer
        columns = prediction.ranked.get(feature)
        if columns is None and feature == "entityId":
            columns = (prediction.entity or from_texts([None] * scope.rows),)
        if columns is None:
            return _untold(field, prediction, feature, scope)
        if field.rank < 1:
            return _untold(field, prediction, f"{feature} of all ranks at once", scope)
        if field.rank > len(columns):
            return from_texts([None] * scope.rows)
        return columns[field.rank - 1].with_fault(prediction.value.fault)

    return compute


def _affinity(field: OutputField) -> Feature:
    """The affinity of the entity that `value` names; without it, of the entity of the field's rank."""
    ranked = _ranked(field, "affinity")

    def compute(predictions: Mapping[str | None, Prediction], scope: Scope) -> Column:
        prediction = _pick(field, predictions, scope.rows)
        if field.value is None and (field.name in prediction.answers or "affinity" in prediction.ranked):
            return ranked(predictions, scope)
        table = prediction.affinities
        if table is None:
            return _untold(field, prediction, "affinity", scope)
        index = {name: position for position, name in enumerate(prediction.entities)}
        data_type: DataType = "float" if table.dtype == np.float32 else "double"
        missing, fault = prediction.value.missing, prediction.value.fault
        if field.value is not None:
            if field.value not in index:
                return _untold(field, prediction, f'affinity to an entity "{field.value}"', scope)
            return Column(data_type, table[:, index[field.value]], missing, fault=fault)
        if prediction.entity is None:
            return _untold(field, prediction, "affinity", scope)
        codes = np.array([index.get(text, 0) for text in prediction.entity.categories or ("",)], np.int64)
        chosen = table[np.arange(scope.rows), codes[prediction.entity.values]]
        return Column(data_type, chosen, either(missing, prediction.entity.missing), fault=fault)

    return compute


def _standard_error(field: OutputField) -> Feature:
    def compute(predictions: Mapping[str | None, Prediction], scope: Scope) -> Column:
        prediction = _pick(field, predictions, scope.rows)
        return prediction.standard_error or constant(None, "double", scope.rows)

    return compute


def _confidence_interval(field: OutputField) -> Feature:
    """A bound of the interval that holds the true value with a probability of `value` percent, 95 if absent.

    The standard names the features and gives no formula; errors are taken to be normally distributed.
    """
    level = float(parse_or_refuse(field.value or "95", "double", "value", field.line))
    if not 0 < level < 100:
        raise SchemaError(f'<OutputField> "{field.name}": value is a percentage between 0 and 100', field.line)
    side = -1.0 if field.feature == "confidenceIntervalLower" else 1.0
    quantile = side * NormalDist().inv_cdf(0.5 + level / 200)

    def compute(predictions: Mapping[str | None, Prediction], scope: Scope) -> Column:
        prediction = _pick(field, predictions, scope.rows)
        answer = prediction.answers.get(field.name)
        if answer is not None:
            return answer
        error = prediction.standard_error
        if error is None or prediction.value.categories is not None:
            return constant(None, "double", scope.rows)
        bound = prediction.value.floats() + quantile * error.floats()
        return Column("double", bound, missing_of((prediction.value, error)), fault=fault_of((prediction.value, error)))

    return compute
