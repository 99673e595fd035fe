"""Expressions compiled to functions of a scope (Transformations, Functions)."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import (
    Aggregate,
    Apply,
    Constant,
    DataType,
    DefineFunction,
    Discretize,
    Expression,
    FieldRef,
    InlineTable,
    Interval,
    Lag,
    MapValues,
    NormContinuous,
    NormDiscrete,
    TextIndex,
)
from pmml_worker.transform import functions
from pmml_worker.transform.column import (
    Bools,
    Codes,
    Column,
    Fault,
    Floats,
    cast_or_fault,
    constant,
    fault_of,
    from_texts,
    missing_of,
    select,
    to_text,
)
from pmml_worker.transform.rows import compile_aggregate, compile_lag
from pmml_worker.transform.scope import Environment, Evaluate, FieldType, Scope
from pmml_worker.transform.text import TermIndex
from pmml_worker.transform.values import Scalar, parse


def parse_or_refuse(text: str, data_type: DataType, what: str, line: int) -> Scalar:
    """Read a value of the document.

    Raises:
        SchemaError: the text is no value of that type.
    """
    try:
        return parse(text, data_type)
    except ValueError as error:
        raise SchemaError(f'{what} "{text}" is no {data_type}: {error}', line) from None


def compile_expression(expression: Expression, environment: Environment) -> Evaluate:
    """Compile an expression.

    Raises:
        SchemaError: it names a field or function that is not defined, or a constant is not of its type.
    """
    match expression:
        case FieldRef():
            return _field_ref(expression, environment)
        case Constant():
            return _constant(expression)
        case NormContinuous():
            return _norm_continuous(expression, environment)
        case NormDiscrete():
            return _norm_discrete(expression, environment)
        case Discretize():
            return _discretize(expression, environment)
        case MapValues():
            return _map_values(expression, environment)
        case Apply():
            return _apply(expression, environment)
        case TextIndex():
            return _text_index(expression, environment)
        case Aggregate():
            return compile_aggregate(expression, environment)
        case Lag():
            return compile_lag(expression, environment)


def compile_typed(expression: Expression, data_type: DataType | None, environment: Environment, name: str) -> Evaluate:
    """Compile an expression whose result has a declared type; rows that do not fit it become faulty."""
    evaluate = compile_expression(expression, environment)
    if data_type is None:
        return evaluate
    element = str(expression)

    def typed(scope: Scope) -> Column:
        return cast_or_fault(evaluate(scope), data_type, scope.faults, name, element)

    return typed


def replace_missing(column: Column, value: Column) -> Column:
    """A column with another's values where it is missing."""
    if column.missing is None or not column.missing.any():
        return column
    return select(column.missing, replace(value, fault=column.fault), column)


def _field_ref(ref: FieldRef, environment: Environment) -> Evaluate:
    field_type = environment.type_of(ref.field, ref)
    name = ref.field
    if ref.map_missing_to is None:
        return lambda scope: scope.column(name)
    value = parse_or_refuse(ref.map_missing_to, field_type.data_type, "mapMissingTo", ref.line)

    def evaluate(scope: Scope) -> Column:
        column = scope.column(name)
        return replace_missing(column, constant(value, column.data_type, scope.rows))

    return evaluate


_INTEGER = re.compile(r"\s*[+-]?[0-9]+\s*")
_REAL = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*|-?INF|NaN")


def constant_type(text: str) -> DataType:
    """The type of a constant that declares none: integer, double or string, the first that its text is one of."""
    if _INTEGER.fullmatch(text):
        return "integer"
    return "double" if _REAL.fullmatch(text) else "string"


def _constant(element: Constant) -> Evaluate:
    data_type = element.data_type or constant_type(element.text)
    value = None if element.missing else parse_or_refuse(element.text, data_type, "constant", element.line)
    return lambda scope: constant(value, data_type, scope.rows)


def _norm_continuous(element: NormContinuous, environment: Environment) -> Evaluate:
    environment.type_of(element.field, element)
    points = element.linear_norms
    if len(points) < 2:
        raise SchemaError("<NormContinuous> needs two <LinearNorm> or more", element.line)
    orig = np.array([point.orig for point in points])
    norm = np.array([point.norm for point in points])
    if (np.diff(orig) <= 0).any():
        raise SchemaError("the orig values of <LinearNorm> must increase", element.line)

    def evaluate(scope: Scope) -> Column:
        source = cast_or_fault(scope.column(element.field), "double", scope.faults, element.field, str(element))
        values = source.floats()
        segment = np.clip(np.searchsorted(orig, values, "right") - 1, 0, len(orig) - 2)
        left, low = orig[segment], norm[segment]
        with np.errstate(invalid="ignore"):
            result = low + (values - left) / (orig[segment + 1] - left) * (norm[segment + 1] - low)
        missing = source.missing
        outside = (values < orig[0]) | (values > orig[-1])
        if element.outliers == "asMissingValues":
            missing = outside if missing is None else missing | outside
        elif element.outliers == "asExtremeValues":
            result = np.where(values < orig[0], norm[0], np.where(values > orig[-1], norm[-1], result))
        column = Column("double", result, missing, fault=source.fault)
        if element.map_missing_to is None or source.missing is None:
            return column
        return select(source.missing, constant(element.map_missing_to, "double", scope.rows), column)

    return evaluate


def _norm_discrete(element: NormDiscrete, environment: Environment) -> Evaluate:
    environment.type_of(element.field, element)

    def evaluate(scope: Scope) -> Column:
        source = scope.column(element.field)
        value = parse_or_refuse(element.value, source.data_type, "value", element.line)
        column = Column("double", equals(source, value).astype(np.float64), source.missing, fault=source.fault)
        if element.map_missing_to is None:
            return column
        return replace_missing(column, constant(element.map_missing_to, "double", scope.rows))

    return evaluate


def equals(column: Column, value: Scalar) -> Bools:
    """Where a column has a value of its own type; what stands at missing rows is of no meaning."""
    if column.categories is None:
        result: Bools = column.values == value
        return result
    table = np.array([text == value for text in column.categories], np.bool_)
    return table[column.values]


def interval_contains(interval: Interval, values: Floats) -> Bools:
    """Where numbers lie in an interval."""
    inside = ~np.isnan(values)
    if interval.left_margin is not None:
        closed = interval.closure.startswith("closed")
        inside &= values >= interval.left_margin if closed else values > interval.left_margin
    if interval.right_margin is not None:
        closed = interval.closure.endswith("Closed")
        inside &= values <= interval.right_margin if closed else values < interval.right_margin
    return inside


def _discretize(element: Discretize, environment: Environment) -> Evaluate:
    environment.type_of(element.field, element)
    data_type: DataType = element.data_type or "string"
    values: list[Scalar | None] = [
        parse_or_refuse(bin.bin_value, data_type, "binValue", bin.line) for bin in element.bins
    ]
    default, if_missing = (
        None if text is None else parse_or_refuse(text, data_type, what, element.line)
        for text, what in ((element.default_value, "defaultValue"), (element.map_missing_to, "mapMissingTo"))
    )
    table = [*values, default, if_missing]

    def evaluate(scope: Scope) -> Column:
        source = cast_or_fault(scope.column(element.field), "double", scope.faults, element.field, str(element))
        numbers = source.floats()
        index = np.full(scope.rows, len(values))
        for position in range(len(values)):
            index[interval_contains(element.bins[position].interval, numbers)] = position
        index[source.is_missing()] = len(values) + 1
        return _pick(table, index.astype(np.int64), data_type).with_fault(source.fault)

    return evaluate


def _pick(table: Sequence[Scalar | None], index: "np.typing.NDArray[np.int64]", data_type: DataType) -> Column:
    """The column of a table's entries; None is missing."""
    if data_type == "string":
        return from_texts([None if value is None else str(value) for value in table]).take(index)
    entries = constant(0 if data_type != "boolean" else False, data_type, len(table)).values
    for position, value in enumerate(table):
        if value is not None:
            entries[position] = value
    absent = np.array([value is None for value in table], np.bool_)[index]
    return Column(data_type, entries[index], absent if absent.any() else None)


def _map_values(element: MapValues, environment: Environment) -> Evaluate:
    if not isinstance(element.table, InlineTable):
        raise SchemaError("<MapValues> needs an <InlineTable>: write the table's rows into the document", element.line)
    data_type: DataType = element.data_type or "string"
    pairs = element.field_column_pairs
    for pair in pairs:
        environment.type_of(pair.field, pair)
    output = element.output_column.rpartition(":")[2]
    columns = [pair.column.rpartition(":")[2] for pair in pairs]
    rows: dict[tuple[str, ...], Scalar] = {}
    for row in element.table.rows:
        if output not in row.cells or any(column not in row.cells for column in columns):
            continue
        key = tuple(
            _canonical(row.cells[column], environment.type_of(pair.field, pair).data_type)
            for column, pair in zip(columns, pairs, strict=True)
        )
        rows.setdefault(key, parse_or_refuse(row.cells[output], data_type, "the table's", row.line))
    default, if_missing = (
        None if text is None else parse_or_refuse(text, data_type, what, element.line)
        for text, what in ((element.default_value, "defaultValue"), (element.map_missing_to, "mapMissingTo"))
    )

    def evaluate(scope: Scope) -> Column:
        sources = [to_text(scope.column(pair.field)) for pair in pairs]
        combined = np.zeros(scope.rows, np.int64)
        for source in sources:
            combined = combined * max(len(source.categories or ()), 1) + source.values
        unique, first, codes = np.unique(combined, return_index=True, return_inverse=True)
        table: list[Scalar | None] = []
        for row in first:
            key = tuple((source.categories or ("",))[source.values[row]] for source in sources)
            table.append(rows.get(key, default))
        missing = missing_of(sources)
        index = codes if missing is None else np.where(missing, len(unique), codes)
        return _pick([*table, if_missing], index.astype(np.int64), data_type).with_fault(fault_of(sources))

    return evaluate


def _canonical(text: str, data_type: DataType) -> str:
    """A text as `to_text` writes the value that it stands for."""
    if data_type == "string":
        return text
    try:
        value = parse(text, data_type)
    except ValueError:
        return text
    categories = to_text(constant(value, data_type, 1)).categories
    return categories[0] if categories else text


def _apply(element: Apply, environment: Environment) -> Evaluate:
    arguments = [compile_expression(argument, environment) for argument in element.arguments]
    call = _function(element, environment)
    if_missing, default = element.map_missing_to, element.default_value
    treatment = element.invalid_value_treatment

    def evaluate(scope: Scope) -> Column:
        columns = [argument(scope) for argument in arguments]
        result = call(columns, scope)
        if treatment != "returnInvalid" and result.fault is not None:
            own = _invalid(result.fault, scope) & ~_faulty(columns, scope.rows)
            result = replace(result, fault=np.where(own, 0, result.fault).astype(np.int32))
            result = result.with_missing(own) if treatment == "asMissing" else result
        if default is not None:
            result = replace_missing(result, _like(default, result, scope, element))
        if if_missing is not None:
            absent = missing_of(columns)
            if absent is not None and absent.any():
                result = select(absent, replace(_like(if_missing, result, scope, element)), result)
        return result

    return evaluate


def _text_index(element: TextIndex, environment: Environment) -> Evaluate:
    environment.type_of(element.text_field, element)
    term = compile_expression(element.term, environment)
    try:
        index = TermIndex(element)
    except re.error as error:
        raise SchemaError(f"<TextIndex> cannot use a regular expression: {error}", element.line) from None
    data_type: DataType = "integer" if element.local_term_weights in ("termFrequency", "binary") else "double"

    def evaluate(scope: Scope) -> Column:
        text, wanted = to_text(scope.column(element.text_field)), to_text(term(scope))
        if text.categories is None or wanted.categories is None:
            raise TypeError("texts have categories")
        pairs, codes = np.unique(
            text.values.astype(np.int64) * len(wanted.categories) + wanted.values, return_inverse=True
        )
        weights = [
            index.weight(
                text.categories[pair // len(wanted.categories)], wanted.categories[pair % len(wanted.categories)]
            )
            for pair in pairs.tolist()
        ]
        values = np.array(weights or [0], np.int64 if data_type == "integer" else np.float64)[codes]
        return Column(data_type, values, missing_of((text, wanted)), fault=fault_of((text, wanted)))

    return evaluate


def _invalid(fault: Codes, scope: Scope) -> Bools:
    """Where a fault is that a function's result is invalid."""
    codes = [code for code in np.unique(fault).tolist() if code and scope.faults[code].invalid]
    return np.isin(fault, codes)


def _faulty(columns: Sequence[Column], rows: int) -> Bools:
    fault = fault_of(columns)
    return np.zeros(rows, np.bool_) if fault is None else fault != 0


def _like(text: str, column: Column, scope: Scope, element: Apply) -> Column:
    """A value of the document, as a column of another's type."""
    value = parse_or_refuse(text, column.data_type, "the replacement", element.line)
    return constant(value, column.data_type, scope.rows)


def _function(element: Apply, environment: Environment) -> functions.Call:
    defined = environment.functions.get(element.function)
    if defined is not None:
        return _defined(defined, element, environment)
    builtin = functions.find(element.function)
    if builtin is None:
        raise SchemaError(f'function "{element.function}" is not defined', element.line)
    count = len(element.arguments)
    if not builtin.least <= count <= builtin.most:
        raise SchemaError(f'function "{element.function}" does not take {count} arguments', element.line)
    order = _order(element, environment)
    if order:
        body = functions.comparison(functions.ORDERINGS[element.function], order)
        builtin = replace(builtin, body=body)
    name, where = element.function, str(element)
    return lambda columns, scope: builtin.call(columns, functions.Site(name, where, scope.rows, scope.faults))


def _order(element: Apply, environment: Environment) -> tuple[str, ...]:
    """The order of the values that a comparison by size compares, if one of them is an ordinal field's."""
    if element.function not in functions.ORDERINGS:
        return ()
    fields = [argument.field for argument in element.arguments if isinstance(argument, FieldRef)]
    return next((known.order for name in fields if (known := environment.find(name)) is not None and known.order), ())


def _defined(function: DefineFunction, element: Apply, environment: Environment) -> functions.Call:
    """A function of the document: its body sees its parameters and nothing else (Functions, "DefineFunction")."""
    names = [parameter.name for parameter in function.parameters]
    if len(names) != len(element.arguments):
        raise SchemaError(
            f'function "{function.name}" takes {len(names)} arguments, not {len(element.arguments)}', element.line
        )
    inner = Environment(
        {name: other for name, other in environment.functions.items() if name != function.name},
        {
            parameter.name: FieldType(parameter.data_type or "string", parameter.optype or "categorical")
            for parameter in function.parameters
        },
        row_order=environment.row_order,
    )
    body = compile_typed(function.expression, function.data_type, inner, function.name)

    def call(columns: Sequence[Column], scope: Scope) -> Column:
        own = Scope(scope.rows, scope.faults, {})
        for parameter, column in zip(function.parameters, columns, strict=True):
            typed = column
            if parameter.data_type is not None:
                typed = cast_or_fault(column, parameter.data_type, scope.faults, parameter.name, str(parameter))
            own.declare(parameter.name, typed)
        return body(own)

    return call


def undefined(column: Column, scope: Scope, name: str, element: str) -> Column:
    """A result whose missing rows are errors for whoever computes with them."""
    if column.missing is None or not column.missing.any():
        return column
    code = scope.faults.add(Fault(f"field {name} is not defined: its model has no prediction", name, None, element))
    return column.with_fault(np.where(column.missing, code, 0).astype(np.int32))
