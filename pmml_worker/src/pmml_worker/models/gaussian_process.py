"""GaussianProcessModel: the posterior of a Gaussian process, given training instances (GaussianProcess)."""

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.instances import Instances
from pmml_worker.models.kernel import Context
from pmml_worker.models.vectors import compile_entry, vectors_of
from pmml_worker.schema.elements import FieldRef
from pmml_worker.schema.gaussian_process import (
    AbsoluteExponentialKernel,
    GaussianProcessModel,
    GeneralizedExponentialKernel,
    ProcessKernel,
    RadialBasisKernel,
)
from pmml_worker.transform.column import Column, Floats
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Scope

_CELLS = 1 << 20
"""Kernel values computed at once, so that they stay in the cache."""

_DEVIATIONS = frozenset({"standardDeviation", "standardError", "confidenceIntervalLower", "confidenceIntervalUpper"})


class GaussianProcessKernel:
    """Scores a GaussianProcessModel.

    With k the kernel values between a row and the n training instances, K those among the instances and s the noise's
    variance, the prediction is k (K + s I)^-1 y and its variance k(row, row) - k (K + s I)^-1 k + s: that of the value
    that is observed, noise and all.
    """

    def __init__(self, model: GaussianProcessModel, context: Context) -> None:
        if model.function_name != "regression":
            raise SchemaError("<GaussianProcessModel> is defined for regression only", model.line)
        target = context.targets[0].name
        if target is None:
            raise SchemaError("<GaussianProcessModel> needs a target field in its <MiningSchema>", model.line)
        training = model.training_instances
        instances = Instances(training, context.environment)
        fields = [item for item in training.instance_fields.fields if item.field != target]
        self.entries = [
            compile_entry(FieldRef(line=item.line, field=item.field), context.environment) for item in fields
        ]
        kernel = model.kernel
        self.gamma, self.noise = kernel.gamma, kernel.noise_variance
        self.power, self.factor, self.scales = _distance(kernel, len(fields))
        points = np.array([_numbers(instances, item.field) for item in fields]).reshape(len(fields), instances.count)
        self.points = points / self.scales[:, None]
        covariance = self._covariance(self.points) + self.noise * np.eye(instances.count)
        try:
            lower = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:
            raise SchemaError(
                "the covariance of the training instances is not positive definite; its noiseVariance is too small",
                kernel.line,
            ) from None
        self.inverse = np.linalg.inv(lower)
        self.weights = self.inverse.T @ (self.inverse @ _numbers(instances, target))
        told = model.output.fields if model.output else ()
        self.tells_deviation = not context.is_outermost or any(field.feature in _DEVIATIONS for field in told)

    def _covariance(self, points: Floats) -> Floats:
        """Kernel values between the training instances and points, shape (entries, count); shape (instances, count)."""
        total = np.zeros((self.points.shape[1], points.shape[1]))
        for mine, its in zip(self.points, points, strict=True):
            total += np.abs(mine[:, None] - its) ** self.power
        return self.gamma * np.exp(-self.factor * total)

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows: the posterior's mean and standard deviation."""
        block, fault = vectors_of(self.entries, scope, np.float64)
        values, variances = np.empty(scope.rows), np.empty(scope.rows)
        step = max(_CELLS // self.points.shape[1], 1)
        # Rows that are faulty may hold numbers of any size; nobody sees what comes of them.
        with np.errstate(all="ignore"):
            points = block / self.scales[:, None]
            for first in range(0, scope.rows, step):
                part = slice(first, first + step)
                covariance = self._covariance(points[:, part])
                values[part] = self.weights @ covariance
                if self.tells_deviation:
                    explained = self.inverse @ covariance
                    variances[part] = self.gamma - np.einsum("ij,ij->j", explained, explained) + self.noise
        # Next to an instance without noise nothing is left but what rounding makes of 0.
        deviations = np.sqrt(np.maximum(variances, 0.0)) if self.tells_deviation else None
        error = None if deviations is None else Column("double", deviations, fault=fault)
        return Prediction(Column("double", values, fault=fault), standard_error=error)


def _distance(kernel: ProcessKernel, width: int) -> tuple[float, float, Floats]:
    """A kernel's power of scaled differences, the factor of their sum, and the length scales, shape (entries,).

    Raises:
        SchemaError: a parameter is none that a covariance can have.
    """
    if kernel.gamma <= 0 or kernel.noise_variance < 0:
        raise SchemaError("a covariance needs a gamma above 0 and a noiseVariance of 0 or more", kernel.line)
    if isinstance(kernel, RadialBasisKernel):
        scales = np.full(width, kernel.lambda_)
    else:
        scales = np.ones(1) if kernel.scales is None else kernel.scales.array.numbers()
        if len(scales) not in (1, width):
            raise SchemaError(f"<Lambda> has {len(scales)} numbers for {width} fields", kernel.line)
        scales = np.broadcast_to(scales, width)
    if not (scales > 0).all():
        raise SchemaError("lambda, by which differences are divided, is above 0", kernel.line)
    if isinstance(kernel, GeneralizedExponentialKernel):
        return kernel.degree, 1.0, scales
    return (1.0, 1.0, scales) if isinstance(kernel, AbsoluteExponentialKernel) else (2.0, 0.5, scales)


def _numbers(instances: Instances, name: str) -> Floats:
    """A field's numbers in the instances."""
    column = instances.column(name)
    if column.categories is not None or column.is_missing().any():
        raise SchemaError(f'<TrainingInstances>: field "{name}" has no number in some row', instances.line)
    return column.floats()
