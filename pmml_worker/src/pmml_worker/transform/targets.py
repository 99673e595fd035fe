"""Targets: what is done to a prediction before it is given out (Targets)."""

from dataclasses import replace
from typing import Any

import numpy as np

from pmml_worker.schema.elements import MathContext, MiningFunction, Target
from pmml_worker.transform.column import Array, Column, Faults, cast_or_fault, constant
from pmml_worker.transform.expressions import replace_missing
from pmml_worker.transform.prediction import NUMERIC_FUNCTIONS, Prediction, TargetField, winner


def finish(
    prediction: Prediction,
    target: Target | None,
    field: TargetField,
    function: MiningFunction,
    context: MathContext,
    faults: Faults,
) -> Prediction:
    """Apply a target's defaults, limits, rescaling and rounding, and give the value the target field's type.

    A regression's value stays a real number where the field is of integers but nothing says how to round.
    """
    if function == "classification":
        if target is not None:
            prediction = _prior(prediction, target)
    elif target is not None:
        prediction = replace(prediction, value=_rescaled(prediction.value, target, context))
    value = prediction.value
    if field.type is None or value.data_type == field.type.data_type:
        return prediction
    if (
        function in NUMERIC_FUNCTIONS
        and field.type.data_type not in ("float", "double")
        and value.data_type != "string"
    ):
        return prediction
    typed = cast_or_fault(value, field.type.data_type, faults, field.name, "the predicted value")
    return replace(prediction, value=typed)


def _prior(prediction: Prediction, target: Target) -> Prediction:
    """Where there is no prediction, the class that is likeliest beforehand; a row that is an error stays one."""
    missing, fault = prediction.value.missing, prediction.value.fault
    if missing is not None and fault is not None:
        missing = missing & (fault == 0)
    priors = [value for value in target.values if value.prior_probability is not None and value.value is not None]
    if missing is None or not missing.any() or not priors:
        return prediction
    classes = tuple(str(value.value) for value in priors)
    table = np.tile(np.array([[value.prior_probability for value in priors]], np.float64), (len(missing), 1))
    value = winner(table, classes, None)
    return prediction.merge(Prediction(value, classes, table), missing)


def _rescaled(value: Column, target: Target, context: MathContext) -> Column:
    """min and max first, then factor and constant, then rounding (Targets, "castInteger")."""
    default = next((item.default_value for item in target.values if item.default_value is not None), None)
    if default is not None:
        value = replace_missing(value, constant(default, value.data_type, len(value)))
    if value.values.dtype.kind not in "iuf":
        return value
    dtype: Any = np.float32 if context == "float" else np.float64
    numbers: Array = value.values.astype(dtype)
    if target.min is not None:
        numbers = np.maximum(numbers, dtype(target.min))
    if target.max is not None:
        numbers = np.minimum(numbers, dtype(target.max))
    if target.rescale_factor != 1.0:
        numbers = numbers * dtype(target.rescale_factor)
    if target.rescale_constant != 0.0:
        numbers = numbers + dtype(target.rescale_constant)
    result = replace(value, data_type="float" if context == "float" else "double", values=numbers)
    if target.cast_integer is None:
        return result
    rounded = {"round": np.floor(numbers + dtype(0.5)), "ceiling": np.ceil(numbers), "floor": np.floor(numbers)}
    whole = np.nan_to_num(rounded[target.cast_integer]).astype(np.int64)
    return replace(result, data_type="integer", values=whole)
