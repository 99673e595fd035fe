"""SupportVectorMachineModel: weighted sums of a kernel between a row and support vectors (SupportVectorMachine)."""

import math
from collections.abc import Callable

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.kernels import _native
from pmml_worker.models.kernel import Context
from pmml_worker.models.row import Declined, RowFields, RowForm, RowPrediction, Values
from pmml_worker.models.vectors import compile_entry, vectors_of
from pmml_worker.schema.support_vector_machine import (
    LinearKernelType,
    PolynomialKernelType,
    RadialBasisKernelType,
    SigmoidKernelType,
    SupportVectorMachine,
    SupportVectorMachineModel,
    VectorDictionary,
)
from pmml_worker.transform.column import Array, Codes, Column, Fault, Floats, first_fault
from pmml_worker.transform.prediction import Prediction, winner
from pmml_worker.transform.scope import Scope

_KINDS = {LinearKernelType: 0, PolynomialKernelType: 1, RadialBasisKernelType: 2, SigmoidKernelType: 3}

_FLOAT_E = 2.7182817
"""The base of powers in single precision, as in the engine that writes and reads x-mathContext."""


class SupportVectorMachineKernel:
    """Scores a SupportVectorMachineModel."""

    def __init__(self, model: SupportVectorMachineModel, context: Context) -> None:
        if not model.machines:
            raise SchemaError("<SupportVectorMachineModel> has no <SupportVectorMachine>", model.line)
        self.element = str(model)
        self.dtype = np.float32 if model.x_math_context == "float" else np.float64
        fields = model.vector_dictionary.vector_fields.fields
        self.entries = [compile_entry(field, context.environment) for field in fields]
        self._compile_machines(model)
        kernel = model.kernel
        self.kind = _KINDS[type(kernel)]
        self.gamma = getattr(kernel, "gamma", 1.0)
        self.coef0 = getattr(kernel, "coef0", 0.0)
        self.degree = getattr(kernel, "degree", 1.0)
        self.log_base = math.log(_FLOAT_E) if self.dtype is np.float32 else 1.0
        self.pair: tuple[str, str, float, bool] | None = None
        self.decide: Callable[[Array, Scope], Prediction] = self._number
        if model.function_name == "classification":
            self.decide = self._compile_decision(model)
        elif len(model.machines) > 1:
            raise SchemaError(
                f"<SupportVectorMachineModel> for {model.function_name} has more than one machine", model.line
            )

    def _compile_machines(self, model: SupportVectorMachineModel) -> None:
        """Vectors, shape (vectors, entries), and for each machine the vectors that it adds up and their weights."""
        width = len(self.entries)
        weights, terms = [], []
        if model.svm_representation == "Coefficients":
            if not isinstance(model.kernel, LinearKernelType):
                raise SchemaError(
                    "machines represented by coefficients are of fields and need a <LinearKernelType>",
                    model.kernel.line,
                )
            vectors = np.array([coefficients_of(machine, width, "fields") for machine in model.machines])
            for position in range(len(model.machines)):
                weights.append(np.ones(1))
                terms.append(np.array([position]))
        else:
            vectors, index = vectors_by_id(model.vector_dictionary, width)
            for machine in model.machines:
                if machine.support_vectors is None:
                    raise SchemaError("<SupportVectorMachine> has no <SupportVectors>", machine.line)
                places = []
                for vector in machine.support_vectors.support_vectors:
                    if vector.vector_id not in index:
                        raise SchemaError(
                            f'<SupportVector> names no <VectorInstance>: "{vector.vector_id}"', vector.line
                        )
                    places.append(index[vector.vector_id])
                weights.append(coefficients_of(machine, len(places), "support vectors"))
                terms.append(np.array(places, np.int64))
        self.vectors = np.ascontiguousarray(vectors.reshape(-1, width), self.dtype)
        self.ends = np.cumsum([len(part) for part in terms], dtype=np.int64)
        self.terms = np.concatenate(terms).astype(np.int32)
        self.weights = np.concatenate(weights).astype(self.dtype)
        self.intercepts = np.array([machine.coefficients.absolute_value for machine in model.machines], self.dtype)

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows."""
        block, fault = vectors_of(self.entries, scope, self.dtype)
        values = _native.kernel_machines(
            block, self.vectors, self.ends, self.terms, self.weights, self.intercepts,
            self.kind, self.gamma, self.coef0, self.degree, self.log_base,
        )  # fmt: skip
        prediction = self.decide(values, scope)
        return prediction if fault is None else _with_fault(prediction, fault)

    def row(self, fields: RowFields) -> RowForm:
        """The form for one row: of a number, or of one machine between two classes."""
        single = self.dtype is np.float32
        if single or len(self.intercepts) > 1 or not all(entry.is_field for entry in self.entries):
            raise Declined
        if self.pair is None and self.decide != self._number:
            raise Declined
        places = [fields.place(entry.field) for entry in self.entries]
        if any(fields.type_of(entry.field) in ("string", "boolean") for entry in self.entries):
            raise Declined

        def value_of(values: Values) -> float:
            point = np.array([values[place] for place in places], np.float64)
            result: float = _native.kernel_machines(
                point.reshape(-1, 1), self.vectors, self.ends, self.terms, self.weights, self.intercepts,
                self.kind, self.gamma, self.coef0, self.degree, self.log_base,
            ).item()  # fmt: skip
            if result != result:
                raise Declined
            return result

        if self.pair is None:
            return RowForm(lambda values: RowPrediction(value_of(values)))
        first, second, threshold, max_wins = self.pair

        def score(values: Values) -> RowPrediction:
            value = value_of(values)
            if value > threshold if max_wins else value < threshold:
                return RowPrediction(first, (1.0, 0.0))
            return RowPrediction(second, (0.0, 1.0))

        return RowForm(score, (first, second))

    def _number(self, values: Array, _: Scope) -> Prediction:
        return Prediction(Column("float" if self.dtype is np.float32 else "double", values[0]))

    def _compile_decision(self, model: SupportVectorMachineModel) -> Callable[[Array, Scope], Prediction]:
        """How the machines' values tell a class (SupportVectorMachine, "alternateTargetCategory")."""
        machines = model.machines
        for machine in machines:
            if machine.target_category is None:
                raise SchemaError("<SupportVectorMachine> for classification lacks its targetCategory", machine.line)
        categories = [str(machine.target_category) for machine in machines]
        alternates = [machine.alternate_target_category for machine in machines]
        binary = model.alternate_binary_target_category
        if len(machines) == 1 and binary is not None and alternates[0] is None:
            return self._rounded((categories[0], binary))
        # Documents older than classificationMethod tell by alternate categories that classes vote.
        votes = model.classification_method == "OneAgainstOne" or (
            all(name is not None for name in alternates)
            and (len(machines) == 1 or (model.classification_method is None and len(set(categories)) < len(machines)))
        )
        if not votes:
            return _nearest(categories, model.max_wins)
        pairs = []
        for machine, category in zip(machines, categories, strict=True):
            if machine.alternate_target_category is None:
                raise SchemaError(
                    "<SupportVectorMachine> that decides between two classes lacks its alternateTargetCategory",
                    machine.line,
                )
            pairs.append((category, machine.alternate_target_category))
        thresholds = [model.threshold if item.threshold is None else item.threshold for item in machines]
        if len(pairs) == 1 and pairs[0][0] != pairs[0][1]:
            self.pair = (*pairs[0], thresholds[0], model.max_wins)
        return _voted(pairs, np.array(thresholds, self.dtype), model.max_wins)

    def _rounded(self, classes: tuple[str, str]) -> Callable[[Array, Scope], Prediction]:
        """1 stands for the target category and 0 for the other, as before PMML 4.0."""

        def decide(values: Array, scope: Scope) -> Prediction:
            rounded = np.floor(values[0] + 0.5)
            table = np.stack([rounded == 1.0, rounded != 1.0], axis=1).astype(self.dtype)
            prediction = Prediction(winner(table, classes, None), classes, table)
            unclear = (rounded != 0.0) & (rounded != 1.0)
            if not unclear.any():
                return prediction
            message = "the machine's value is near neither 0 nor 1, which stand for the two classes"
            code = scope.faults.add(Fault(message, None, None, self.element))
            return _with_fault(prediction, np.where(unclear, code, 0).astype(np.int32))

        return decide


def _with_fault(prediction: Prediction, fault: Codes) -> Prediction:
    """A prediction that some rows do not have; the first fault is told."""
    value = prediction.value
    return Prediction(
        Column(value.data_type, value.values, value.missing, value.categories, fault=first_fault(fault, value.fault)),
        prediction.classes,
        prediction.probabilities,
    )


def _nearest(categories: list[str], max_wins: bool) -> Callable[[Array, Scope], Prediction]:
    """One machine for each class: the least value wins, or the greatest (SupportVectorMachine, "maxWins").

    Of machines for the same class the last counts.
    """
    classes = tuple(dict.fromkeys(categories))
    last = [len(categories) - 1 - categories[::-1].index(name) for name in classes]

    def decide(values: Array, _: Scope) -> Prediction:
        table = values[last].T
        return Prediction(winner(table if max_wins else -table, classes, None), classes)

    return decide


def _voted(pairs: list[tuple[str, str]], thresholds: Array, max_wins: bool) -> Callable[[Array, Scope], Prediction]:
    """One machine for each pair of classes: each gives a vote, and most votes win; of equals, the first voted for.

    Probabilities are shares of the votes.
    """
    classes = tuple(dict.fromkeys(name for pair in pairs for name in pair))
    codes = np.array([[classes.index(name) for name in pair] for pair in pairs])

    def decide(values: Array, _: Scope) -> Prediction:
        count, rows = values.shape
        limits = thresholds[:, None]
        first = values > limits if max_wins else values < limits
        chosen = np.where(first, codes[:, :1], codes[:, 1:])
        votes = np.zeros((rows, len(classes)), values.dtype)
        order = np.zeros((rows, len(classes)), values.dtype)
        at = np.arange(rows)
        for machine in reversed(range(count)):
            votes[at, chosen[machine]] += 1
            order[at, chosen[machine]] = machine
        value = winner(votes - order / count, classes, None)
        return Prediction(value, classes, votes / values.dtype.type(count))

    return decide


def vectors_by_id(dictionary: VectorDictionary, width: int) -> tuple[Floats, dict[str, int]]:
    """The vectors of a dictionary, shape (vectors, entries), and where each stands.

    Raises:
        SchemaError: a vector has another number of entries, or two have the same name.
    """
    vectors = np.empty((len(dictionary.vector_instances), width))
    index: dict[str, int] = {}
    for position, instance in enumerate(dictionary.vector_instances):
        numbers = instance.array.numbers()
        if len(numbers) != width:
            raise SchemaError(
                f'<VectorInstance> "{instance.id}" has {len(numbers)} entries for {width} fields', instance.line
            )
        if instance.id in index:
            raise SchemaError(f'<VectorInstance> "{instance.id}" is there twice', instance.line)
        index[instance.id] = position
        vectors[position] = numbers
    return vectors, index


def coefficients_of(machine: SupportVectorMachine, count: int, what: str) -> Floats:
    """The coefficients of a machine, one for each support vector or field.

    Raises:
        SchemaError: there are more or fewer.
    """
    coefficients = machine.coefficients.coefficients
    if len(coefficients) != count:
        raise SchemaError(f"<Coefficients> has {len(coefficients)} for {count} {what}", machine.coefficients.line)
    return np.array([coefficient.value for coefficient in coefficients])
