"""A model element compiled: its fields, its kernel, its targets and its output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pmml_worker.errors import SchemaError
from pmml_worker.models.anomaly import AnomalyKernel
from pmml_worker.models.association import AssociationKernel
from pmml_worker.models.baseline import BaselineKernel
from pmml_worker.models.bayesian_network import BayesianNetworkKernel
from pmml_worker.models.clustering import ClusteringKernel
from pmml_worker.models.gaussian_process import GaussianProcessKernel
from pmml_worker.models.general_regression import GeneralRegressionKernel
from pmml_worker.models.kernel import Context, Evaluation, Kernel, KernelOfTargets
from pmml_worker.models.mining import MiningKernel
from pmml_worker.models.naive_bayes import NaiveBayesKernel
from pmml_worker.models.nearest_neighbor import NearestNeighborKernel
from pmml_worker.models.neural_network import NeuralNetworkKernel
from pmml_worker.models.regression import RegressionKernel
from pmml_worker.models.row import (
    Declined,
    HasRowForm,
    RowFields,
    RowModel,
    changed,
    output_function,
    target_function,
)
from pmml_worker.models.rule_set import RuleSetKernel
from pmml_worker.models.scorecard import ScorecardKernel
from pmml_worker.models.sequence import SequenceKernel
from pmml_worker.models.support_vector_machine import SupportVectorMachineKernel
from pmml_worker.models.text import TextKernel
from pmml_worker.models.time_series import TimeSeriesKernel
from pmml_worker.models.tree import TreeKernel, stand_alone
from pmml_worker.schema.anomaly import AnomalyDetectionModel
from pmml_worker.schema.association import AssociationModel
from pmml_worker.schema.baseline import BaselineModel
from pmml_worker.schema.bayesian_network import BayesianNetworkModel
from pmml_worker.schema.clustering import ClusteringModel
from pmml_worker.schema.elements import (
    PMML,
    Apply,
    DataField,
    DefineFunction,
    DerivedField,
    MiningModel,
    ModelElement,
    RegressionModel,
    Segment,
    Segmentation,
    Target,
    TextIndex,
    TreeModel,
    True_,
)
from pmml_worker.schema.gaussian_process import GaussianProcessModel
from pmml_worker.schema.general_regression import GeneralRegressionModel
from pmml_worker.schema.naive_bayes import NaiveBayesModel
from pmml_worker.schema.nearest_neighbor import NearestNeighborModel
from pmml_worker.schema.neural_network import NeuralNetwork
from pmml_worker.schema.rule_set import RuleSetModel
from pmml_worker.schema.scorecard import Scorecard
from pmml_worker.schema.sequence import SequenceModel
from pmml_worker.schema.support_vector_machine import SupportVectorMachineModel
from pmml_worker.schema.text import TextModel
from pmml_worker.schema.time_series import TimeSeriesModel
from pmml_worker.transform.column import Bools, Column, Ints, blank
from pmml_worker.transform.expressions import compile_typed
from pmml_worker.transform.fields import TARGET_USAGE, compile_mining_field, field_type, is_plain
from pmml_worker.transform.output import CompiledOutput, OutputContext, compile_output
from pmml_worker.transform.prediction import Prediction, TargetField
from pmml_worker.transform.scope import Environment, Evaluate, FieldType, Scope
from pmml_worker.transform.targets import finish

_DEEPEST, _MOST_CALLS = 100, 1000
"""How far derived fields and functions may depend on one another, and how many calls may come of a function's."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a model tells of a block of rows: predictions by target field, and output fields by name."""

    predictions: dict[str | None, Prediction]
    outputs: dict[str, Column]

    def spread(self, rows: Ints, absent: Bools) -> Result:
        """The result of more rows: row i is this result's row `rows[i]`, or missing where absent."""
        predictions: dict[str | None, Prediction] = {}
        for name, prediction in self.predictions.items():
            wide = prediction.take(rows)
            predictions[name] = replace(wide, value=blank(wide.value, absent))
        return Result(predictions, {name: blank(column.take(rows), absent) for name, column in self.outputs.items()})


@dataclass(frozen=True, slots=True)
class Document:
    """What all models of a document share."""

    fields: Mapping[str, DataField]
    environment: Environment
    definitions: Mapping[str, Evaluate]
    derived: tuple[DerivedField, ...]


def compile_document(document: PMML) -> Document:
    """Compile the data dictionary's types and the transformation dictionary.

    Raises:
        SchemaError: a field is defined twice, in a circle, or names what is not defined.
    """
    fields = {field.name: field for field in document.data_dictionary.fields}
    dictionary = document.transformation_dictionary
    functions = {function.name: function for function in dictionary.functions} if dictionary else {}
    refuse_expansion(functions)
    environment = Environment(functions, {name: field_type(field) for name, field in fields.items()})
    derived = dictionary.derived_fields if dictionary else ()
    return Document(fields, environment, compile_derived(derived, environment), derived)


def compile_derived(derived: tuple[DerivedField, ...], environment: Environment) -> dict[str, Evaluate]:
    """Compile derived fields, in any order of their dependence; their types become known to the environment."""
    for field in derived:
        order = tuple(value.value for value in field.values) if field.optype == "ordinal" else ()
        environment.fields[field.name] = FieldType(field.data_type, field.optype, order)
    refuse_circles(derived)
    definitions = {
        field.name: compile_typed(field.expression, field.data_type, environment, field.name) for field in derived
    }
    environment.derived.update(definitions)
    return definitions


def refuse_circles(derived: tuple[DerivedField, ...]) -> None:
    """Raise SchemaError if a derived field depends on itself, or on too many others in a row."""
    fields = {field.name: field for field in derived}
    needs = {
        name: [other for other in references(field.expression) if other in fields] for name, field in fields.items()
    }

    def refuse(circle: list[str]) -> None:
        raise SchemaError(f"derived fields depend on themselves: {' -> '.join(circle)}", fields[circle[0]].line)

    for name, depth in _depths(needs, refuse).items():
        if depth > _DEEPEST:
            raise SchemaError(f'<DerivedField> "{name}" depends on {depth} others in a row', fields[name].line)


def refuse_expansion(functions: Mapping[str, DefineFunction]) -> None:
    """Raise SchemaError if a function calls too deep or too often: a function becomes a part of all that call it."""
    needs = {name: [call for call in calls(item.expression) if call in functions] for name, item in functions.items()}
    count: dict[str, int] = {}
    for name, depth in _depths(needs, lambda circle: None).items():  # Callees come first.
        count[name] = 1 + sum(count.get(call, 0) for call in needs[name])
        if depth > _DEEPEST or count[name] > _MOST_CALLS:
            raise SchemaError(
                f'<DefineFunction> "{name}" makes {count[name]} calls, {depth} deep; {_MOST_CALLS} calls, {_DEEPEST} '
                "deep, are allowed",
                functions[name].line,
            )


def _depths(needs: Mapping[str, Sequence[str]], refuse: Callable[[list[str]], None]) -> dict[str, int]:
    """How far each name's needs reach, needs first; `refuse` is told of circles."""
    depths: dict[str, int] = {}
    for start in needs:
        path: dict[str, None] = {}
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                del path[name]
                depths[name] = 1 + max((depths.get(other, 0) for other in needs[name]), default=0)
            elif name in path:
                circle = list(path)
                refuse([*circle[circle.index(name) :], name])
            elif name not in depths:
                path[name] = None
                stack.append((name, True))
                stack.extend((other, False) for other in needs[name])
    return depths


def calls(expression: object) -> list[str]:
    """Names of the functions that an expression applies, as often as it does."""
    names: list[str] = []
    stack = [expression]
    while stack:
        item = stack.pop()
        if isinstance(item, Apply):
            names.append(item.function)
        stack.extend(getattr(item, "arguments", ()))
        if isinstance(item, TextIndex):
            stack.append(item.term)
    return names


def references(expression: object) -> list[str]:
    """Names of the fields that an expression names."""
    names: list[str] = []
    stack = [expression]
    while stack:
        item = stack.pop()
        for attribute in ("field", "text_field", "group_field"):
            name = getattr(item, attribute, None)
            if isinstance(name, str):
                names.append(name)
        for part in ("arguments", "field_column_pairs", "block_indicators"):
            stack.extend(getattr(item, part, ()))
        if isinstance(item, TextIndex):
            stack.append(item.term)
    return names


# A new model element needs its line here, its dataclasses in schema and a file of its own beside this one.
KERNELS: Mapping[type[ModelElement], Callable[[Any, Context], Kernel]] = {
    AnomalyDetectionModel: AnomalyKernel,
    AssociationModel: AssociationKernel,
    BaselineModel: BaselineKernel,
    ClusteringModel: ClusteringKernel,
    GaussianProcessModel: GaussianProcessKernel,
    GeneralRegressionModel: GeneralRegressionKernel,
    NaiveBayesModel: NaiveBayesKernel,
    RegressionModel: RegressionKernel,
    RuleSetModel: RuleSetKernel,
    Scorecard: ScorecardKernel,
    SequenceModel: SequenceKernel,
    SupportVectorMachineModel: SupportVectorMachineKernel,
    TextModel: TextKernel,
    TreeModel: TreeKernel,
}
"""How each model element that predicts one target by itself is compiled."""

KERNELS_OF_TARGETS: Mapping[type[ModelElement], Callable[[Any, Context], KernelOfTargets]] = {
    BayesianNetworkModel: BayesianNetworkKernel,
    NearestNeighborModel: NearestNeighborKernel,
    NeuralNetwork: NeuralNetworkKernel,
    TimeSeriesModel: TimeSeriesKernel,
}
"""How each model element that predicts several targets by itself is compiled."""


def compile_row(model: CompiledModel, document: Document) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """A function from a row to its results: target fields, then output fields.

    Raises:
        Declined: the model is for the scoring of blocks; so may be a row, and then the function raises it.
    """
    fields = RowFields(document.fields, model.model.mining_schema.fields)
    fields.define(document.derived)
    form = model.row(fields)
    read, score = fields.reader(), form.score
    target = model.targets[0].name
    if target is None and not model.outputs:
        raise Declined
    told = [(name, form.nested.get(name, 0), form.own.get(name)) for name in model.outputs if name != target]

    def score_row(row: Mapping[str, Any]) -> dict[str, Any]:
        values = read(row)
        prediction = score(values)
        result = {} if target is None else {target: prediction.value}
        for name, place, tell in told:
            result[name] = values[place] if tell is None else tell(prediction)
        return result

    return score_row


class CompiledModel:
    """A model ready to score blocks of rows; it changes nothing of its own while it does."""

    def __init__(self, model: ModelElement, document: Document, outer: Environment, outermost: bool) -> None:
        self.model = model
        self.function = model.function_name
        if not model.is_scorable:
            raise SchemaError(f"<{type(model).__name__}> is not scorable: its isScorable is false", model.line)
        environment = outer.inner()
        self.definitions: dict[str, Evaluate] = {}
        used: set[str] = set()
        for field in model.mining_schema.fields:
            if field.name in used:
                raise SchemaError(f'<MiningSchema> names field "{field.name}" more than once', field.line)
            used.add(field.name)
            known = outer.find(field.name)
            if known is None:
                if field.usage_type in TARGET_USAGE or not outermost:
                    continue
                raise SchemaError(f'<MiningField> names field "{field.name}", which is not defined', field.line)
            if outermost or not is_plain(field):
                self.definitions[field.name] = compile_mining_field(field, known, outermost)
        local = model.local_transformations
        self.definitions.update(compile_derived(local.derived_fields if local else (), environment))
        self.targets = self._targets(outer)
        self.target_elements: dict[str | None, Target] = {
            target.field: target for target in (model.targets.targets if model.targets else ())
        }
        self.row_kernel: object = None
        self.kernel, nested = self._kernel(document, environment, outermost)
        context = OutputContext(self.function, self.targets, self.target_elements, document.fields)
        self.output: list[CompiledOutput] = compile_output(model.output, context, environment)
        self.own_outputs: dict[str, FieldType] = {item.element.name: item.type for item in self.output}
        self.told = frozenset(
            item.element.name for item in self.output if item.element.feature in ("predictedValue", "entityId")
        )
        self.outputs: dict[str, FieldType] = {**nested, **self.own_outputs}
        self.is_sequential = environment.row_order.is_sequential

    def _targets(self, outer: Environment) -> tuple[TargetField, ...]:
        names = [field.name for field in self.model.mining_schema.fields if field.usage_type in TARGET_USAGE]
        named = getattr(self.model, "target_field_name", None)
        if not names and named is not None and outer.find(named) is not None:
            names = [named]
        return tuple(TargetField(name, outer.find(name)) for name in names) or (TargetField(None, None),)

    def _kernel(
        self, document: Document, environment: Environment, outermost: bool
    ) -> tuple[Callable[[Scope], Evaluation], dict[str, FieldType]]:
        model = self.model
        if isinstance(model, MiningModel):

            def compile_segment(segment: Segment, inner: Environment) -> CompiledModel:
                return CompiledModel(segment.model, document, inner, False)

            mining = MiningKernel(model, model.segmentation or sequence(model), environment, compile_segment)
            self.row_kernel = mining
            return mining.score, mining.outputs

        def compile_inner(inner: ModelElement, outer: Environment) -> Callable[[Scope], Prediction]:
            compiled = CompiledModel(inner, document, outer, False)
            return lambda scope: next(iter(compiled.evaluate(scope).predictions.values()))

        context = Context(environment, self.targets, compile_inner, outermost)
        if type(model) in KERNELS_OF_TARGETS:
            self.row_kernel = several = KERNELS_OF_TARGETS[type(model)](model, context)
            return (lambda scope: (dict(several.score(scope)), {})), {}
        self.row_kernel = kernel = KERNELS[type(model)](model, context)
        return (lambda scope: ({None: kernel.score(scope)}, {})), {}

    def row(self, fields: RowFields) -> RowModel:
        """The form for one row.

        Raises:
            Declined: the model has something that only the scoring of blocks knows.
        """
        if not isinstance(self.row_kernel, HasRowForm) or len(self.targets) > 1:
            raise Declined
        fields.define(self.model.local_transformations.derived_fields if self.model.local_transformations else ())
        form = self.row_kernel.row(fields)
        target = self.targets[0]
        is_classification = self.function == "classification"
        change = target_function(
            self.target_elements.get(target.name) or self.target_elements.get(None),
            target.type,
            form.classes if is_classification else None,
            self.model.x_math_context,
        )
        score = form.score if change is None else changed(form.score, change)
        predicted = target.type.data_type if target.type else "double" if self.function == "regression" else "string"
        own = {item.element.name: output_function(item.element, form.classes, predicted) for item in self.output}
        return RowModel(score, form.classes, form.outputs, own)

    def evaluate(self, outer: Scope) -> Result:
        """Score a block of rows, whose fields the outer scope knows."""
        scope = outer.inner(self.definitions)
        raw, outputs = self.kernel(scope)
        predictions: dict[str | None, Prediction] = {}
        for name, prediction in raw.items():
            field = next((item for item in self.targets if item.name == name), None)
            if field is None:
                field = self.targets[-1] if len(self.targets) == 1 or name is None else TargetField(name, None)
            target = self.target_elements.get(field.name) or self.target_elements.get(None)
            predictions[field.name] = finish(
                prediction, target, field, self.function, self.model.x_math_context, scope.faults
            )
        if self.output:
            told = scope.inner({})
            for name, column in outputs.items():
                told.declare(name, column)
            outputs = dict(outputs)
            for item in self.output:
                outputs[item.element.name] = column = item.column(predictions, told)
                if column.fault is not None:
                    predictions = {
                        name: replace(prediction, value=prediction.value.with_fault(column.fault))
                        for name, prediction in predictions.items()
                    }
        return Result(predictions, outputs)


def sequence(model: MiningModel) -> Segmentation:
    """The chain that a MiningModel of embedded models abbreviates (MultipleModels, "model sequencing")."""
    if not model.embedded:
        raise SchemaError("<MiningModel> has neither a <Segmentation> nor embedded models", model.line)
    return Segmentation(
        line=model.line,
        multiple_model_method="modelChain",
        segments=tuple(
            Segment(line=inner.line, predicate=True_(line=inner.line), model=stand_alone(inner))
            for inner in model.embedded
        ),
    )
