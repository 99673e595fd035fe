"""The elements of PMML 4.4 as dataclasses: attributes in snake case, children by element class.

The type of a field says how the parser fills it: text, numbers and literals come from attributes, element classes
(alone, in unions or in tuples) from child elements, `text` from character data. A field without a default is required.
Paragraphs of the standard are named by their page at https://dmg.org/pmml/v4-4-1/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias, TypeVar, dataclass_transform

import numpy as np
import numpy.typing as npt

from pmml_worker.errors import SchemaError
from pmml_worker.schema.nodes import NodeTable

DataType: TypeAlias = Literal[
    "string", "integer", "float", "double", "boolean", "date", "time", "dateTime", "timeSeconds",
    "dateDaysSince[0]", "dateDaysSince[1960]", "dateDaysSince[1970]", "dateDaysSince[1980]",
    "dateTimeSecondsSince[0]", "dateTimeSecondsSince[1960]", "dateTimeSecondsSince[1970]",
    "dateTimeSecondsSince[1980]",
]  # fmt: skip
"""Data types (DataDictionary)."""

OpType: TypeAlias = Literal["categorical", "ordinal", "continuous"]
"""Kinds of operations that make sense on a field (DataDictionary)."""

MathContext: TypeAlias = Literal["float", "double"]
"""Precision of a model's arithmetic, from the vendor attribute `x-mathContext`."""

MiningFunction: TypeAlias = Literal[
    "associationRules", "sequences", "classification", "regression", "clustering", "timeSeries", "mixed"
]
"""What a model predicts (GeneralStructure)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Element:
    """Any element.

    Attributes:
        line: where its start tag stands in the document, counted from 1.
        extensions: what vendors added to it (GeneralStructure, "Extension Mechanism"); nothing is scored by them. Those
            of a tree's nodes and of a table's rows are not kept.
    """

    TAG: ClassVar[str | None] = None
    """Name of the element, where it is not the name of the class."""

    line: int
    extensions: tuple[Extension, ...] = ()

    def __str__(self) -> str:
        return f"{self.TAG or type(self).__name__}, line {self.line}"


_E = TypeVar("_E", bound=Element)


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False, field_specifiers=(field,))
def element(cls: type[_E]) -> type[_E]:
    """Make a class an element: a frozen dataclass whose fields are the element's attributes and children."""
    return dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)(cls)


@element
class Foreign(Element):
    """An element of a vendor's own, in an extension; `text` is its character data, without that of its children."""

    TAG: ClassVar[str | None] = "*"
    name: str
    attributes: Mapping[str, str]
    children: tuple[Foreign, ...] = ()
    text: str = ""


@element
class Extension(Element):
    """What a vendor says of an element in its own terms."""

    extender: str | None = None
    name: str | None = None
    value: str | None = None
    children: tuple[Foreign, ...] = ()
    text: str = ""


# --- Header (Header) -------------------------------------------------------------------------------------------------


@element
class Application(Element):
    """The program that made the document."""

    name: str | None = None
    version: str | None = None


@element
class Annotation(Element):
    """A remark on the document's history."""

    text: str = ""


@element
class Timestamp(Element):
    """When something happened, in ISO 8601."""

    text: str = ""


@element
class Header(Element):
    """Who made the document, when and with what."""

    copyright: str | None = None
    description: str | None = None
    model_version: str | None = None
    application: Application | None = None
    annotations: tuple[Annotation, ...] = ()
    timestamp: Timestamp | None = None


# --- Data dictionary (DataDictionary) --------------------------------------------------------------------------------


@element
class Value(Element):
    """A value of a field that is valid, invalid or stands for a missing one."""

    value: str
    display_value: str | None = None
    property: Literal["valid", "invalid", "missing"] = "valid"


@element
class Interval(Element):
    """A range of valid numbers; a margin that is absent is infinite."""

    closure: Literal["openClosed", "openOpen", "closedOpen", "closedClosed"]
    left_margin: float | None = None
    right_margin: float | None = None


@element
class DataField(Element):
    """A field of the data, as it comes from outside."""

    name: str
    display_name: str | None = None
    optype: OpType
    data_type: DataType
    taxonomy: str | None = None
    is_cyclic: bool = False
    values: tuple[Value, ...] = ()
    intervals: tuple[Interval, ...] = ()


@element
class Row(Element):
    """A row of an inline table: text by column; a column that a row leaves out is not in it."""

    TAG: ClassVar[str | None] = "row"
    cells: Mapping[str, str]


@element
class InlineTable(Element):
    """A table in the document (Taxonomy)."""

    rows: tuple[Row, ...] = ()


@element
class TableLocator(Element):
    """A table outside the document, which the standard leaves to extensions to find (Taxonomy)."""


@element
class ChildParent(Element):
    """A table whose rows name a value and the group above it (Taxonomy)."""

    child_field: str
    parent_field: str
    parent_level_field: str | None = None
    is_recursive: Literal["yes", "no"] = "no"
    table: InlineTable | TableLocator | None = None


@element
class Taxonomy(Element):
    """A hierarchy of a field's values (Taxonomy); it says what they are called together, not how they score."""

    name: str
    child_parents: tuple[ChildParent, ...] = ()


@element
class DataDictionary(Element):
    """All fields of the data."""

    number_of_fields: int | None = None
    fields: tuple[DataField, ...] = ()
    taxonomies: tuple[Taxonomy, ...] = ()


# --- Expressions (Transformations, Functions) ------------------------------------------------------------------------


@element
class FieldRef(Element):
    """The value of a field."""

    field: str
    map_missing_to: str | None = None


@element
class Constant(Element):
    """A value of its own; without a data type that of the text is inferred: integer, double or string."""

    data_type: DataType | None = None
    missing: bool = False
    text: str = ""


@element
class LinearNorm(Element):
    """A point of a piecewise linear function."""

    orig: float
    norm: float


OutlierTreatment: TypeAlias = Literal["asIs", "asMissingValues", "asExtremeValues"]


@element
class NormContinuous(Element):
    """A piecewise linear function of a continuous field."""

    field: str
    map_missing_to: float | None = None
    outliers: OutlierTreatment = "asIs"
    linear_norms: tuple[LinearNorm, ...] = ()


@element
class NormDiscrete(Element):
    """1 where a field has a value, 0 elsewhere."""

    field: str
    value: str
    map_missing_to: float | None = None


@element
class DiscretizeBin(Element):
    """The value given to an interval."""

    bin_value: str
    interval: Interval


@element
class Discretize(Element):
    """Intervals of a continuous field to values."""

    field: str
    map_missing_to: str | None = None
    default_value: str | None = None
    data_type: DataType | None = None
    bins: tuple[DiscretizeBin, ...] = ()


@element
class FieldColumnPair(Element):
    """Which column of the table a field is looked up in."""

    field: str
    column: str


@element
class MapValues(Element):
    """Values of fields to a value, by a table."""

    output_column: str
    map_missing_to: str | None = None
    default_value: str | None = None
    data_type: DataType | None = None
    field_column_pairs: tuple[FieldColumnPair, ...] = ()
    table: InlineTable | TableLocator | None = None


@element
class Apply(Element):
    """A function applied to expressions."""

    function: str
    map_missing_to: str | None = None
    default_value: str | None = None
    invalid_value_treatment: Literal["returnInvalid", "asIs", "asMissing"] = "returnInvalid"
    arguments: tuple[Expression, ...] = ()


LocalTermWeights: TypeAlias = Literal["termFrequency", "binary", "logarithmic", "augmentedNormalizedTermFrequency"]


@element
class TextIndexNormalization(Element):
    """Replacements that a text goes through before terms are counted in it."""

    in_field: str = "string"
    out_field: str = "stem"
    regex_field: str = "regex"
    recursive: bool = False
    is_case_sensitive: bool | None = None
    max_levenshtein_distance: int | None = None
    word_separator_character_r_e: str | None = field(default=None, metadata={"xml": "wordSeparatorCharacterRE"})
    tokenize: bool | None = None
    table: InlineTable | TableLocator | None = None


@element
class TextIndex(Element):
    """How often a term occurs in a text."""

    text_field: str
    local_term_weights: LocalTermWeights = "termFrequency"
    is_case_sensitive: bool = False
    max_levenshtein_distance: int = 0
    count_hits: Literal["allHits", "bestHits"] = "allHits"
    word_separator_character_r_e: str = field(default=r"\s+", metadata={"xml": "wordSeparatorCharacterRE"})
    x_word_r_e: str | None = field(default=None, metadata={"xml": "x-wordRE"})
    tokenize: bool = True
    normalizations: tuple[TextIndexNormalization, ...] = ()
    term: Expression


@element
class Aggregate(Element):
    """A summary of a field's values in all rows, or in those of the row's group."""

    field: str
    function: Literal["count", "sum", "average", "min", "max", "multiset"]
    group_field: str | None = None
    sql_where: str | None = None


@element
class BlockIndicator(Element):
    """A field that has the same value in all rows of a block."""

    field: str


@element
class Lag(Element):
    """A field's value some rows before, or a summary of its values in the rows before."""

    field: str
    n: int = 1
    aggregate: Literal["none", "avg", "max", "median", "min", "product", "sum", "stddev"] = "none"
    block_indicators: tuple[BlockIndicator, ...] = ()


Expression: TypeAlias = (
    FieldRef | Constant | NormContinuous | NormDiscrete | Discretize | MapValues | Apply | TextIndex | Aggregate | Lag
)


@element
class DerivedField(Element):
    """A field computed from others."""

    name: str
    display_name: str | None = None
    optype: OpType
    data_type: DataType
    expression: Expression
    values: tuple[Value, ...] = ()


@element
class InlineField(Element):
    """A derived field in the element that uses it; only that element knows it, so a name is not needed."""

    TAG: ClassVar[str | None] = "DerivedField"
    name: str | None = None
    optype: OpType | None = None
    data_type: DataType | None = None
    expression: Expression
    values: tuple[Value, ...] = ()


@element
class ParameterField(Element):
    """A parameter of a function."""

    name: str
    display_name: str | None = None
    optype: OpType | None = None
    data_type: DataType | None = None


@element
class DefineFunction(Element):
    """A function of the document's own."""

    name: str
    optype: OpType
    data_type: DataType | None = None
    parameters: tuple[ParameterField, ...]
    expression: Expression


@element
class TransformationDictionary(Element):
    """Functions and derived fields for all models of the document."""

    functions: tuple[DefineFunction, ...] = ()
    derived_fields: tuple[DerivedField, ...] = ()


@element
class LocalTransformations(Element):
    """Derived fields of one model."""

    derived_fields: tuple[DerivedField, ...] = ()


# --- Arrays and matrices (GeneralStructure) --------------------------------------------------------------------------

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')

_LARGEST = 1 << 24
"""How many numbers a sparse array or a matrix may stand for: few characters can ask for more than there is memory."""

Floats: TypeAlias = npt.NDArray[np.float64]


def _numbers(of: Element, text: str) -> Floats:
    """The numbers in a text, separated by white space."""
    try:
        return np.array([float(item) for item in text.split()], np.float64)
    except ValueError as error:
        raise SchemaError(f"<{type(of).TAG or type(of).__name__}> holds what is no number: {error}", of.line) from None


@element
class Array(Element):
    """Values of one type, separated by white space; with quotes where they hold white space."""

    n: int | None = None
    type: Literal["int", "real", "string"] = "string"
    text: str = ""

    def items(self) -> list[str]:
        """The values as texts, without the quotes.

        Raises:
            SchemaError: they are not `n`.
        """
        items = [
            bare if bare else quoted.replace('\\"', '"').replace("\\\\", "\\")
            for quoted, bare in _TOKEN.findall(self.text)
        ]
        self._count(len(items))
        return items

    def numbers(self) -> Floats:
        """The values as numbers, shape (values,).

        Raises:
            SchemaError: one is no number, or they are not `n`.
        """
        numbers = _numbers(self, " ".join(self.items()) if '"' in self.text else self.text)
        self._count(len(numbers))
        return numbers

    def _count(self, count: int) -> None:
        if self.n is not None and self.n != count:
            raise SchemaError(f"<Array> has n {self.n} but holds {count} values", self.line)


@element
class Indices(Element):
    """Places in a sparse array, counted from 1."""

    text: str = ""


@element
class RealEntries(Element):
    """The values at those places."""

    TAG: ClassVar[str | None] = "REAL-Entries"
    text: str = ""


@element
class IntEntries(Element):
    """The values at those places."""

    TAG: ClassVar[str | None] = "INT-Entries"
    text: str = ""


@element
class SparseArray(Element):
    """Values of which most are the default value."""

    n: int | None = None
    default_value: float = 0.0
    indices: Indices | None = None
    entries: RealEntries | IntEntries | None = None

    def sparse(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """Places, counted from 0, and the numbers there; both of shape (entries,).

        Raises:
            SchemaError: there are not as many places as numbers, or a place is not from 1 to `n`.
        """
        places = _numbers(self.indices, self.indices.text) if self.indices else np.zeros(0)
        values = _numbers(self.entries, self.entries.text) if self.entries else np.zeros(0)
        if len(places) != len(values):
            raise SchemaError(f"<{self.TAG}> has {len(places)} indices but {len(values)} entries", self.line)
        wrong = ~((places >= 1) & (places <= (_LARGEST if self.n is None else self.n)) & (places == np.floor(places)))
        if wrong.any():
            limit = "" if self.n is None else f" up to n, {self.n}"
            raise SchemaError(f"<{self.TAG}> has index {places[wrong][0]:g}; they count from 1{limit}", self.line)
        return places.astype(np.int64) - 1, values

    def numbers(self) -> Floats:
        """All the numbers, shape (n,); up to the last entry, where `n` is absent.

        Raises:
            SchemaError: as `sparse`, or they are too many.
        """
        places, values = self.sparse()
        count = int(places.max(initial=-1)) + 1 if self.n is None else self.n
        if not 0 <= count <= _LARGEST:
            raise SchemaError(f"<{self.TAG}> has n {count}; it may be from 0 to {_LARGEST}", self.line)
        numbers = np.full(count, self.default_value)
        numbers[places] = values
        return numbers


@element
class RealSparseArray(SparseArray):
    """A sparse array of real numbers."""

    TAG: ClassVar[str | None] = "REAL-SparseArray"
    entries: RealEntries | None = None


@element
class IntSparseArray(SparseArray):
    """A sparse array of integers."""

    TAG: ClassVar[str | None] = "INT-SparseArray"
    entries: IntEntries | None = None


NumberArray: TypeAlias = Array | RealSparseArray | IntSparseArray
"""NUM-ARRAY and its sparse forms; each has `numbers()`."""


@element
class MatCell(Element):
    """A number of a matrix and its place, counted from 1."""

    row: int
    col: int
    text: str = ""


@element
class Matrix(Element):
    """A matrix of numbers: its rows as arrays, or cells."""

    kind: Literal["diagonal", "symmetric", "any"] = "any"
    nb_rows: int | None = None
    nb_cols: int | None = None
    diag_default: float | None = None
    off_diag_default: float | None = None
    arrays: tuple[NumberArray, ...] = ()
    cells: tuple[MatCell, ...] = ()

    def numbers(self) -> Floats:
        """The whole matrix, shape (rows, columns); places that nothing is said of are NaN.

        Raises:
            SchemaError: its arrays do not make a matrix of its kind and size, or it is too large.
        """
        rows = [array.numbers() for array in self.arrays]
        if self.kind == "diagonal" and rows:
            height = width = len(rows[0])
        elif self.kind == "symmetric" and rows:
            height = width = len(rows)
        else:
            height = max([len(rows), *(cell.row for cell in self.cells)])
            width = max([0, *map(len, rows), *(cell.col for cell in self.cells)])
        if not rows:
            height = height if self.nb_rows is None else self.nb_rows
            width = width if self.nb_cols is None else self.nb_cols
        if self.nb_rows not in (None, height) or self.nb_cols not in (None, width):
            raise SchemaError(
                f"<Matrix> holds {height} x {width} numbers but says {self.nb_rows} x {self.nb_cols}", self.line
            )
        if height < 0 or width < 0 or height * width > _LARGEST:
            raise SchemaError(f"<Matrix> has {height} x {width} numbers; {_LARGEST} are allowed", self.line)
        is_diagonal = self.kind == "diagonal"
        numbers = np.full((height, width), _or(self.off_diag_default, 0.0 if is_diagonal else np.nan))
        np.fill_diagonal(numbers, _or(self.diag_default, np.nan))
        if is_diagonal and rows:
            if len(rows) > 1:
                raise SchemaError("<Matrix> of kind diagonal holds one array, the diagonal", self.line)
            np.fill_diagonal(numbers, rows[0])
            return numbers
        for position, row in enumerate(rows):
            if len(row) != (position + 1 if self.kind == "symmetric" else width):
                raise SchemaError(f"<Matrix> of kind {self.kind}: row {position + 1} has {len(row)} numbers", self.line)
            numbers[position, : len(row)] = row
            if self.kind == "symmetric":
                numbers[: len(row), position] = row
        for cell in self.cells:
            if not (1 <= cell.row <= height and 1 <= cell.col <= width):
                raise SchemaError(f"<MatCell> {cell.row}, {cell.col} is outside {height} x {width}", cell.line)
            value = _numbers(cell, cell.text)
            if len(value) != 1:
                raise SchemaError(f'<MatCell> holds "{cell.text}"; it holds one number', cell.line)
            numbers[cell.row - 1, cell.col - 1] = value[0]
            if self.kind == "symmetric":
                numbers[cell.col - 1, cell.row - 1] = value[0]
        return numbers


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


# --- Predicates (TreeModel) ------------------------------------------------------------------------------------------


@element
class SimplePredicate(Element):
    """A comparison of a field with a value."""

    field: str
    operator: Literal[
        "equal", "notEqual", "lessThan", "lessOrEqual", "greaterThan", "greaterOrEqual", "isMissing", "isNotMissing"
    ]
    value: str | None = None


@element
class SimpleSetPredicate(Element):
    """Whether a field's value is one of a set."""

    field: str
    boolean_operator: Literal["isIn", "isNotIn"]
    array: Array


@element
class True_(Element):
    """Always true."""

    TAG: ClassVar[str | None] = "True"


@element
class False_(Element):
    """Never true."""

    TAG: ClassVar[str | None] = "False"


@element
class CompoundPredicate(Element):
    """Predicates joined by a three-valued operator, or tried one after the other (`surrogate`)."""

    boolean_operator: Literal["or", "and", "xor", "surrogate"]
    predicates: tuple[Predicate, ...]


Predicate: TypeAlias = SimplePredicate | SimpleSetPredicate | CompoundPredicate | True_ | False_


# --- Mining schema, targets and output (MiningSchema, Targets, Output) -----------------------------------------------


@element
class MiningField(Element):
    """How a model uses a field, and what it does with outliers, missing and invalid values."""

    name: str
    usage_type: Literal[
        "active", "predicted", "target", "supplementary", "group", "order", "frequencyWeight", "analysisWeight"
    ] = "active"
    optype: OpType | None = None
    importance: float | None = None
    outliers: OutlierTreatment = "asIs"
    low_value: float | None = None
    high_value: float | None = None
    missing_value_replacement: str | None = None
    missing_value_treatment: (
        Literal["asIs", "asMean", "asMode", "asMedian", "asValue", "returnInvalid", "x-returnInvalid"] | None
    ) = None
    invalid_value_treatment: Literal["returnInvalid", "asIs", "asMissing", "asValue"] | None = None
    invalid_value_replacement: str | None = None
    x_invalid_value_replacement: str | None = field(default=None, metadata={"xml": "x-invalidValueReplacement"})


@element
class MiningSchema(Element):
    """The fields that a model uses."""

    fields: tuple[MiningField, ...] = ()


@element
class TargetValue(Element):
    """Prior knowledge of one value of the target."""

    value: str | None = None
    display_value: str | None = None
    prior_probability: float | None = None
    default_value: float | None = None


@element
class Target(Element):
    """What is done to a predicted value before it is given out."""

    field: str | None = None
    optype: OpType | None = None
    cast_integer: Literal["round", "ceiling", "floor"] | None = None
    min: float | None = None
    max: float | None = None
    rescale_constant: float = 0.0
    rescale_factor: float = 1.0
    values: tuple[TargetValue, ...] = ()


@element
class Targets(Element):
    """The model's targets."""

    targets: tuple[Target, ...] = ()


@element
class Decision(Element):
    """A value that a decision may have."""

    value: str
    display_value: str | None = None
    description: str | None = None


@element
class Decisions(Element):
    """All values that a decision may have."""

    business_problem: str | None = None
    description: str | None = None
    decisions: tuple[Decision, ...] = ()


ResultFeature: TypeAlias = Literal[
    "predictedValue", "predictedDisplayValue", "transformedValue", "decision", "probability", "affinity", "residual",
    "standardError", "standardDeviation", "clusterId", "clusterAffinity", "entityId", "entityAffinity", "warning",
    "ruleValue", "reasonCode", "antecedent", "consequent", "rule", "ruleId", "confidence", "support", "lift",
    "leverage", "confidenceIntervalLower", "confidenceIntervalUpper", "x-report",
]  # fmt: skip
"""What an output field tells (Output)."""

RuleFeature: TypeAlias = Literal[
    "antecedent", "consequent", "rule", "ruleId", "confidence", "support", "lift", "leverage", "affinity"
]
"""What an output field tells of a rule (Output)."""

RuleSelection: TypeAlias = Literal["recommendation", "exclusiveRecommendation", "ruleAssociation"]
"""Which rules a transaction selects (Output)."""


@element
class OutputField(Element):
    """A result, or a value computed from results; no score depends on an `optype` that the standard does not know."""

    name: str
    display_name: str | None = None
    optype: str | None = None
    data_type: DataType | None = None
    target_field: str | None = None
    feature: ResultFeature = "predictedValue"
    value: str | None = None
    rule_feature: RuleFeature = "consequent"
    algorithm: RuleSelection = "exclusiveRecommendation"
    rank: int = 1
    rank_basis: Literal["confidence", "support", "lift", "leverage", "affinity"] = "confidence"
    rank_order: Literal["descending", "ascending"] = "descending"
    is_multi_valued: bool = False
    segment_id: str | None = None
    is_final_result: bool = True
    expression: Expression | None = None
    decisions: Decisions | None = None
    values: tuple[Value, ...] = ()


@element
class Output(Element):
    """The results of a model."""

    fields: tuple[OutputField, ...] = ()


# --- Models ----------------------------------------------------------------------------------------------------------


@element
class VerificationField(Element):
    """A column of the verification table, and how near a number in it must be met."""

    field: str
    column: str | None = None
    precision: float = 1e-6
    zero_threshold: float = 1e-16


@element
class VerificationFields(Element):
    """All columns of the verification table."""

    fields: tuple[VerificationField, ...] = ()


@element
class ModelVerification(Element):
    """Inputs of a model and the results that they must have (ModelVerification)."""

    record_count: int | None = None
    field_count: int | None = None
    verification_fields: VerificationFields
    table: InlineTable


@element
class ModelElement(Element):
    """What all model elements have (GeneralStructure).

    Where a field's type is this class, the parser takes any of its subclasses: each is a model element of the standard.
    """

    model_name: str | None = None
    function_name: MiningFunction
    algorithm_name: str | None = None
    is_scorable: bool = True
    x_math_context: MathContext = field(default="double", metadata={"xml": "x-mathContext"})
    mining_schema: MiningSchema
    output: Output | None = None
    targets: Targets | None = None
    local_transformations: LocalTransformations | None = None
    model_verification: ModelVerification | None = None


@element
class ScoreDistribution(Element):
    """The weight of one class among the records of a node."""

    value: str
    record_count: float | None = None
    confidence: float | None = None
    probability: float | None = None


MissingValueStrategy: TypeAlias = Literal[
    "lastPrediction", "nullPrediction", "defaultChild", "weightedConfidence", "aggregateNodes", "none"
]
NoTrueChildStrategy: TypeAlias = Literal["returnNullPrediction", "returnLastPrediction"]


@element
class TreeModel(ModelElement):
    """A decision tree (TreeModel)."""

    missing_value_strategy: MissingValueStrategy = "none"
    missing_value_penalty: float = 1.0
    no_true_child_strategy: NoTrueChildStrategy = "returnNullPrediction"
    split_characteristic: Literal["binarySplit", "multiSplit"] = "multiSplit"
    node: NodeTable


@element
class NumericPredictor(Element):
    """coefficient * field ** exponent."""

    name: str
    exponent: int = 1
    coefficient: float


@element
class CategoricalPredictor(Element):
    """The coefficient, where the field has the value."""

    name: str
    value: str
    coefficient: float


@element
class PredictorTerm(Element):
    """coefficient * the product of fields."""

    name: str | None = None
    coefficient: float
    fields: tuple[FieldRef, ...]


@element
class RegressionTable(Element):
    """A linear function of predictors."""

    intercept: float
    target_category: str | None = None
    numeric_predictors: tuple[NumericPredictor, ...] = ()
    categorical_predictors: tuple[CategoricalPredictor, ...] = ()
    terms: tuple[PredictorTerm, ...] = ()


NormalizationMethod: TypeAlias = Literal[
    "none", "simplemax", "softmax", "logit", "probit", "cloglog", "exp", "loglog", "cauchit"
]


@element
class RegressionModel(ModelElement):
    """A regression (Regression)."""

    model_type: str | None = None
    target_field_name: str | None = None
    normalization_method: NormalizationMethod = "none"
    tables: tuple[RegressionTable, ...]


@element
class ResultField(Element):
    """A name by which the result of an embedded model is known to its siblings (MultipleModels)."""

    name: str
    display_name: str | None = None
    optype: OpType | None = None
    data_type: DataType | None = None
    feature: ResultFeature = "predictedValue"
    value: str | None = None


@element
class DecisionTree(Element):
    """A tree embedded in another model (MultipleModels)."""

    model_name: str | None = None
    function_name: MiningFunction
    missing_value_strategy: MissingValueStrategy = "none"
    missing_value_penalty: float = 1.0
    no_true_child_strategy: NoTrueChildStrategy = "returnNullPrediction"
    split_characteristic: Literal["binarySplit", "multiSplit"] = "multiSplit"
    output: Output | None = None
    targets: Targets | None = None
    local_transformations: LocalTransformations | None = None
    result_fields: tuple[ResultField, ...] = ()
    node: NodeTable


@element
class Regression(Element):
    """A regression embedded in another model (MultipleModels)."""

    model_name: str | None = None
    function_name: MiningFunction
    normalization_method: NormalizationMethod = "none"
    output: Output | None = None
    targets: Targets | None = None
    local_transformations: LocalTransformations | None = None
    result_fields: tuple[ResultField, ...] = ()
    tables: tuple[RegressionTable, ...]


@element
class VariableWeight(Element):
    """The field that holds a segment's weight."""

    field: str


@element
class Segment(Element):
    """A model and when it applies."""

    id: str | None = None
    weight: float = 1.0
    predicate: Predicate
    model: ModelElement
    variable_weight: VariableWeight | None = None


MultipleModelMethod: TypeAlias = Literal[
    "majorityVote", "weightedMajorityVote", "x-weightedMajorityVote", "average", "weightedAverage", "median",
    "weightedMedian", "x-weightedMedian", "max", "sum", "weightedSum", "x-weightedSum", "selectFirst", "selectAll",
    "modelChain", "x-multiModelChain",
]  # fmt: skip


@element
class Segmentation(Element):
    """Models and how their results become one (MultipleModels)."""

    multiple_model_method: MultipleModelMethod
    missing_prediction_treatment: Literal["returnMissing", "skipSegment", "continue"] = "continue"
    missing_threshold: float = 1.0
    x_missing_prediction_treatment: Literal["returnMissing", "skipSegment", "continue"] | None = field(
        default=None, metadata={"xml": "x-missingPredictionTreatment"}
    )
    x_missing_threshold: float | None = field(default=None, metadata={"xml": "x-missingThreshold"})
    segments: tuple[Segment, ...]


@element
class MiningModel(ModelElement):
    """A model made of models (MultipleModels)."""

    segmentation: Segmentation | None = None
    embedded: tuple[DecisionTree | Regression, ...] = ()


UNSUPPORTED_MODELS = frozenset({
    "DeepNetwork",
})  # fmt: skip
"""Model elements of the standard that a document may hold but this engine does not score."""


@element
class PMML(Element):
    """A document (GeneralStructure)."""

    version: str = ""
    header: Header | None = None
    data_dictionary: DataDictionary
    transformation_dictionary: TransformationDictionary | None = None
    models: tuple[ModelElement, ...] = ()
