"""Expressions that look at other rows than their own: Lag and Aggregate (Transformations)."""

from collections.abc import Callable, Sequence

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import Aggregate, Lag
from pmml_worker.transform.column import Array, Bools, Codes, Column, Floats, Ints, cast_or_fault, from_texts, to_text
from pmml_worker.transform.scope import Environment, Evaluate, Scope

_CELLS = 1 << 20
"""Values that are summarised together: rows times the rows before each."""


def compile_lag(element: Lag, environment: Environment) -> Evaluate:
    """Compile a Lag: rows are those of the table that is scored, in its order.

    The value is missing where a row has fewer than n rows before it in its block. An aggregate is of the n rows before,
    or as many as there are, without those whose value is missing; it is missing where none is left. `stddev` is the
    sample's, of two values or more.

    Raises:
        SchemaError: the field, or one that indicates blocks, is not defined, or n is not positive.
    """
    environment.type_of(element.field, element)
    for indicator in element.block_indicators:
        environment.type_of(indicator.field, indicator)
    if element.n < 1:
        raise SchemaError(f"<Lag> n is {element.n}; it must be 1 or more", element.line)
    environment.row_order.is_sequential = True
    names = [element.field, *(indicator.field for indicator in element.block_indicators)]

    def evaluate(scope: Scope) -> Column:
        (source, *indicators), rows = _whole(scope, names)
        order, before = _blocks(indicators, len(source))
        if element.aggregate == "none":
            result = _lagged(source, order, before, element.n)
        else:
            source = cast_or_fault(source, "double", scope.faults, element.field, str(element))
            result = _window(source, order, before, element.n, _SUMMARIES[element.aggregate])
        return result if rows is None else result.take(rows)

    return evaluate


def _whole(scope: Scope, names: Sequence[str]) -> tuple[list[Column], Ints | None]:
    """Columns in all rows that have them, and which of these the scope's rows are; in the scope's, if these differ."""
    found = [scope.whole(name) for name in names]
    if len({len(column) for column, _ in found}) == 1:
        return [column for column, _ in found], found[0][1]
    return [scope.column(name) for name in names], None


def _blocks(indicators: Sequence[Column], rows: int) -> tuple[Ints, Ints]:
    """The rows block by block, each in its own order, and for each place how many rows of its block are before it."""
    groups = _groups(indicators, rows)
    order = np.argsort(groups, kind="stable")
    ranked = groups[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if rows else np.zeros(0, np.int64)
    counts = np.diff(np.r_[starts, rows])
    return order, np.arange(rows) - np.repeat(starts, counts)


def _groups(columns: Sequence[Column], rows: int) -> Ints:
    """A number for each row, the same where all columns have the same value; missing is a value of its own."""
    groups = np.zeros(rows, np.int64)
    for column in columns:
        text = to_text(column)
        codes = np.where(text.is_missing(), len(text.categories or ()), text.values)
        pairs = groups * (len(text.categories or ()) + 1) + codes
        groups = np.unique(pairs, return_inverse=True)[1].astype(np.int64)
    return groups


def _lagged(source: Column, order: Ints, before: Ints, n: int) -> Column:
    chosen = np.empty(len(order), np.int64)
    absent = np.empty(len(order), np.bool_)
    absent[order] = before < n
    chosen[order] = order[np.maximum(np.arange(len(order)) - n, 0)]
    result = source.take(chosen)
    if result.fault is not None:
        result = Column(
            result.data_type, result.values, result.missing, result.categories, None,
            np.where(absent, 0, result.fault).astype(np.int32),
        )  # fmt: skip
    return result.with_missing(absent if absent.any() else None)


Summary = Callable[[Floats, Ints], Floats]
"""Of values, shape (rows, n), NaN where there is none, and their number, shape (rows,), 1 or more."""


def _deviation(values: Floats, count: Ints) -> Floats:
    mean = np.nansum(values, axis=1) / count
    squares = np.nansum((values - mean[:, None]) ** 2, axis=1)
    return np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), np.nan)


_SUMMARIES: dict[str, Summary] = {
    "avg": lambda values, count: np.nansum(values, axis=1) / count,
    "max": lambda values, _: np.fmax.reduce(values, axis=1),
    "median": lambda values, _: np.nanmedian(values, axis=1),
    "min": lambda values, _: np.fmin.reduce(values, axis=1),
    "product": lambda values, _: np.nanprod(values, axis=1),
    "sum": lambda values, _: np.nansum(values, axis=1),
    "stddev": _deviation,
}


def _window(source: Column, order: Ints, before: Ints, n: int, summary: Summary) -> Column:
    """A summary of the values of the n rows before each row."""
    rows = len(order)
    values = source.floats()[order]
    fault = np.zeros(rows, np.int32) if source.fault is None else source.fault[order]
    width = min(n, int(before.max(initial=0)))
    result = np.full(rows, np.nan)
    faults = np.zeros(rows, np.int32)
    back = np.arange(width, 0, -1)
    for start in range(0, rows if width else 0, max(_CELLS // width, 1) if width else 1):
        places = np.arange(start, min(start + max(_CELLS // width, 1), rows))
        inside = back <= before[places, None]
        window = np.maximum(places[:, None] - back, 0)
        seen = np.where(inside, values[window], np.nan)
        count = (~np.isnan(seen)).sum(axis=1)
        some = count > 0
        result[order[places[some]]] = summary(seen[some], count[some])
        faults[order[places]] = np.where(inside, fault[window], 0).max(axis=1)
    return _numbers(result, None if source.fault is None else faults)


def _numbers(values: Floats, fault: Codes | None) -> Column:
    missing = np.isnan(values)
    return Column("double", values, missing if missing.any() else None, fault=fault)


def compile_aggregate(element: Aggregate, environment: Environment) -> Evaluate:
    """Compile an Aggregate over the rows of the table that is scored, or over those with the row's value of a field.

    Missing values are left out; a summary of none is missing, their count 0. A multiset is a text: the values of the
    rows in their order, as an Array has them.

    Raises:
        SchemaError: a field is not defined, or rows are chosen by SQL.
    """
    environment.type_of(element.field, element)
    if element.sql_where is not None:
        raise SchemaError(
            f'<Aggregate> chooses rows by sqlWhere "{element.sql_where}", which no database is here for; '
            "score a table of these rows only",
            element.line,
        )
    names = [element.field]
    if element.group_field is not None:
        environment.type_of(element.group_field, element)
        names.append(element.group_field)
    environment.row_order.is_sequential = True

    def evaluate(scope: Scope) -> Column:
        (source, *fields), rows = _whole(scope, names)
        groups = _groups(fields, len(source))
        size = int(groups.max(initial=-1)) + 1
        if element.function == "multiset":
            result = _multiset(source, groups, size).take(groups)
        elif element.function == "count":
            result = Column("integer", np.bincount(groups[~source.is_missing()], minlength=size)[groups])
        else:
            source = cast_or_fault(source, "double", scope.faults, element.field, str(element))
            result = _numbers(_summary(element.function, source, groups, size)[groups], None)
        result = result.with_fault(_first_faults(source, groups, size))
        return result if rows is None else result.take(rows)

    return evaluate


def _summary(function: str, source: Column, groups: Ints, size: int) -> Floats:
    """Sums, means, least or greatest values by group, NaN where a group has none, shape (size,)."""
    present = ~source.is_missing()
    values, owners = source.floats()[present], groups[present]
    count = np.bincount(owners, minlength=size)
    result = np.full(size, np.nan)
    if function in ("min", "max"):
        (np.fmin if function == "min" else np.fmax).at(result, owners, values)
        return result
    some = count > 0
    total = np.bincount(owners, values, minlength=size)
    result[some] = total[some] if function == "sum" else total[some] / count[some]
    return result


def _multiset(source: Column, groups: Ints, size: int) -> Column:
    items: list[list[str]] = [[] for _ in range(size)]
    present: Bools = ~source.is_missing()
    for group, text in zip(groups[present].tolist(), source.texts()[present].tolist(), strict=True):
        items[group].append(_quoted(text))
    return from_texts([" ".join(texts) for texts in items])


def _quoted(text: str) -> str:
    """An item of an Array (GeneralStructure)."""
    if text and not any(letter.isspace() or letter == '"' for letter in text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _first_faults(source: Column, groups: Ints, size: int) -> Codes | None:
    """A fault of each row's group, if it has any."""
    if source.fault is None:
        return None
    found: Array = np.zeros(size, np.int32)
    np.maximum.at(found, groups, source.fault)
    result: Codes = found[groups]
    return result
