"""The built-in functions (BuiltinFunctions), on columns.

What becomes of missing arguments: arithmetic results are missing; aggregates, `concat` and the sets of `isIn` leave
missing arguments out; tests of presence and the branches of `if` take them as they are; any other function calls them
an error, which `mapMissingTo` averts. A result that is no number, as the root of -1, is invalid: an error too, unless
`invalidValueTreatment` says otherwise. So is the division of an integer by zero and an integer beyond 64 bits.

Aggregates and arithmetic keep the widest type of their arguments, so that of floats computes in single precision; other
functions of real numbers give doubles.
"""

import datetime
import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pmml_worker.schema.elements import DataType
from pmml_worker.transform.column import (
    Array,
    Bools,
    Column,
    Fault,
    Faults,
    cast_or_fault,
    fault_of,
    first_fault,
    from_texts,
    map_categories,
    missing_of,
    select,
    to_text,
)
from pmml_worker.transform.regex import regex, replacement
from pmml_worker.transform.values import DAY, MICROSECONDS, NUMERIC, is_temporal

if TYPE_CHECKING:
    from pmml_worker.transform.scope import Scope


@dataclass(frozen=True, slots=True)
class Site:
    """Where a function is applied: its name, the element that applies it, and the block of rows."""

    function: str
    element: str
    rows: int
    faults: Faults

    def fault(self, rows: Bools, message: str, invalid: bool = False) -> "np.typing.NDArray[np.int32]":
        """Fault codes that say `message` at some rows; `invalid`: that the function's result is an invalid value."""
        code = self.faults.add(Fault(f'function "{self.function}" {message}', None, None, self.element, invalid))
        return np.where(rows, code, 0).astype(np.int32)


Call: TypeAlias = "Callable[[Sequence[Column], Scope], Column]"
Body: TypeAlias = Callable[[Sequence[Column], Site], Column]


def _refuse_missing(columns: Sequence[Column], site: Site) -> "np.typing.NDArray[np.int32] | None":
    missing = missing_of(columns)
    fault = fault_of(columns)
    if missing is None or not missing.any():
        return fault
    own = site.fault(missing, "cannot take a missing value")
    return own if fault is None else np.where(fault != 0, fault, own)


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A function and how many arguments it takes."""

    body: Body
    least: int
    most: int
    takes_missing: bool = False

    def call(self, columns: Sequence[Column], site: Site) -> Column:
        """Apply the function; unless it takes missing arguments, they are made an error."""
        result = self.body(columns, site)
        if self.takes_missing:
            return result
        return replace(result, missing=None, fault=first_fault(_refuse_missing(columns, site), result.fault))


_ANY = 1 << 30


def _numeric(column: Column, site: Site) -> Column:
    """A column of numbers: booleans count as 0 and 1, counted days and seconds as their number, texts are read."""
    if column.data_type in NUMERIC:
        return column
    if is_temporal(column.data_type):
        return cast_or_fault(column, "integer", site.faults, None, site.element)
    return cast_or_fault(column, "double", site.faults, None, site.element)


def _common(columns: Sequence[Column]) -> DataType:
    """The type of an arithmetic result: the widest of double, float and integer."""
    types = {column.data_type for column in columns}
    return next((data_type for data_type in ("double", "float") if data_type in types), "integer")


_DTYPES: dict[str, Any] = {"double": np.float64, "float": np.float32, "integer": np.int64}


def _arrays(columns: Sequence[Column], data_type: DataType) -> list[Array]:
    return [column.values.astype(_DTYPES[data_type], copy=False) for column in columns]


def _arithmetic(function: Callable[..., Array]) -> Body:
    """A function of numbers whose result has the widest type of its arguments."""

    def call(columns: Sequence[Column], site: Site) -> Column:
        numbers = [_numeric(column, site) for column in columns]
        data_type = _common(numbers)
        arrays = _arrays(numbers, data_type)
        with np.errstate(all="ignore"):
            values = function(*arrays)
            result = _valid(Column(data_type, values, missing_of(columns), fault=fault_of(numbers)), site)
            return result if data_type != "integer" else _exact(result, lambda: function(*_doubles(arrays)), site)

    return call


def _folded(function: Callable[[Array, Array], Array]) -> Callable[..., Array]:
    """A function of two, applied from the left; producers give sums and products more arguments than the standard's."""
    return lambda *arrays: reduce(function, arrays)


_SAFE = 2.0**62
"""Integers of less than this size add up without leaving 64 bits, and doubles tell that they are."""


def _doubles(arrays: Sequence[Array]) -> list[Array]:
    return [array.astype(np.float64) for array in arrays]


def _exact(column: Column, estimate: Callable[[], Array], site: Site) -> Column:
    """An integer result whose rows are faulty where 64 bits do not hold it; `estimate` computes it in doubles."""
    beyond = np.abs(estimate()) >= 2 * _SAFE
    if column.missing is not None:
        beyond &= ~column.missing
    return column.with_fault(site.fault(beyond, "has a result beyond 64 bits", True)) if beyond.any() else column


def _divide(columns: Sequence[Column], site: Site) -> Column:
    """The quotient; of integers the whole part of it, towards zero."""
    numbers = [_numeric(column, site) for column in columns]
    data_type = _common(numbers)
    left, right = _arrays(numbers, data_type)
    fault, missing = fault_of(numbers), missing_of(columns)
    if data_type != "integer":
        with np.errstate(all="ignore"):
            return _valid(Column(data_type, left / right, missing, fault=fault), site)
    zero = right == 0
    if missing is not None:
        zero = zero & ~missing
    divisor = np.where(right == 0, 1, right)
    values = np.where((left < 0) ^ (divisor < 0), -(np.abs(left) // np.abs(divisor)), left // divisor)
    column = Column(data_type, values, missing, fault=fault)
    return column.with_fault(site.fault(zero, "divides an integer by zero", True)) if zero.any() else column


def _valid(column: Column, site: Site) -> Column:
    """A result in which what is no number has become faulty."""
    if column.values.dtype.kind != "f":
        return column
    bad = np.isnan(column.values)
    if column.missing is not None:
        bad &= ~column.missing
    return column.with_fault(site.fault(bad, "has no result for these values", True)) if bad.any() else column


def _pow(columns: Sequence[Column], site: Site) -> Column:
    """A power; of integers an integer, which negative exponents do not give."""
    result = _arithmetic(_power)(columns, site)
    if result.data_type != "integer":
        return result
    negative = _numeric(columns[1], site).values < 0
    if result.missing is not None:
        negative &= ~result.missing
    if not negative.any():
        return result
    return result.with_fault(site.fault(negative, "takes no negative exponent of an integer; write it as a double"))


def _power(left: Array, right: Array) -> Array:
    result: Array = np.power(left, np.maximum(right, 0)) if left.dtype.kind == "i" else exactly(np.power)(left, right)
    return result


def _modulo(columns: Sequence[Column], site: Site) -> Column:
    """x - floor(x / y) * y; the sign is the divisor's."""
    result = _arithmetic(_remainder)(columns, site)
    if result.data_type != "integer":
        return result
    zero = _numeric(columns[1], site).values == 0
    if result.missing is not None:
        zero &= ~result.missing
    return result.with_fault(site.fault(zero, "divides an integer by zero", True)) if zero.any() else result


def _remainder(left: Array, right: Array) -> Array:
    result: Array = np.mod(left, np.where(right == 0, 1, right) if left.dtype.kind == "i" else right)
    return result


def _real(function: Callable[..., Array]) -> Body:
    """A function of real numbers, computed in double precision."""

    def call(columns: Sequence[Column], site: Site) -> Column:
        numbers = [_numeric(column, site) for column in columns]
        with np.errstate(all="ignore"):
            values = function(*_doubles([number.values for number in numbers]))
        return _valid(Column("double", values, missing_of(columns), fault=fault_of(numbers)), site)

    return call


def exactly(function: Callable[..., Array]) -> Callable[..., Array]:
    """A function of doubles or singles, computed in extended precision and rounded once.

    NumPy's own exp is off by a unit in the last place for one double in twenty; differences of probabilities show it.
    """

    def call(*arguments: Array) -> Array:
        result: Array = function(*(argument.astype(np.longdouble) for argument in arguments))
        return result.astype(arguments[0].dtype)

    return call


exp = exactly(np.exp)


def _each(function: Callable[..., float]) -> Callable[..., Array]:
    """A function of single numbers, applied to arrays; NaN where it is not defined."""

    def safe(*arguments: float) -> float:
        try:
            return function(*(float(argument) for argument in arguments))
        except (ValueError, OverflowError, statistics.StatisticsError):
            return math.nan

    return np.vectorize(safe, otypes=[np.float64])


def _rounding(function: Callable[[Array], Array], data_type: DataType | None = "integer") -> Body:
    """A function to whole numbers, of a type of their own if one is given; integers stay what they are."""

    def call(columns: Sequence[Column], site: Site) -> Column:
        number = _numeric(columns[0], site)
        if number.data_type == "integer":
            return number
        with np.errstate(all="ignore"):
            result = replace(number, values=function(number.values))
        return result if data_type is None else cast_or_fault(result, data_type, site.faults, None, site.element)

    return call


def _round_half_up(values: Array) -> Array:
    # Adding 0.5 first would round the largest number below it up to 1.
    lower: Array = np.floor(values)
    result: Array = lower + (values - lower >= 0.5)
    return result


def _aggregate(function: Callable[[Array, Bools], Array], result_type: DataType | None = None) -> Body:
    """A function of all arguments that are not missing; missing where all are.

    `function` gets the values, shape (arguments, rows), and where they are present.
    """

    def call(columns: Sequence[Column], site: Site) -> Column:
        numbers = [_numeric(column, site) for column in columns]
        data_type = _common(numbers)
        present = ~np.stack([column.is_missing() for column in columns])
        working: DataType = result_type if result_type and data_type == "integer" else data_type
        table = np.stack(_arrays(numbers, working))
        missing = np.asarray(~present.any(axis=0))
        with np.errstate(all="ignore"):
            values = function(table, present)
            result = Column(working, values, missing if missing.any() else None, fault=fault_of(numbers))
            if working != "integer":
                return result
            return _exact(result, lambda: function(table.astype(np.float64), present), site)

    return call


def _sum(values: Array, present: Bools) -> Array:
    total = np.zeros(values.shape[1], values.dtype)
    for row, here in zip(values, present, strict=True):
        total += np.where(here, row, 0).astype(values.dtype)
    return total


def _product(values: Array, present: Bools) -> Array:
    total = np.ones(values.shape[1], values.dtype)
    for row, here in zip(values, present, strict=True):
        total *= np.where(here, row, 1).astype(values.dtype)
    return total


def _average(values: Array, present: Bools) -> Array:
    result: Array = _sum(values, present) / np.maximum(present.sum(axis=0), 1).astype(values.dtype)
    return result


def _median(values: Array, present: Bools) -> Array:
    ranked = np.sort(np.where(present, values, np.inf), axis=0)
    count = np.maximum(present.sum(axis=0), 1)
    rows = np.arange(values.shape[1])
    result: Array = (ranked[(count - 1) // 2, rows] + ranked[count // 2, rows]) / 2
    return result


def _extreme(function: Callable[..., Array], empty: float) -> Callable[[Array, Bools], Array]:
    def call(values: Array, present: Bools) -> Array:
        filler = np.iinfo(np.int64).max if values.dtype.kind == "i" else np.inf
        return function(np.where(present, values, values.dtype.type(filler if empty > 0 else -filler)), axis=0)

    return call


# --- Comparison and logic --------------------------------------------------------------------------------------------


def _same_type(left: Column, right: Column, site: Site) -> tuple[Column, Column]:
    """Two columns as of one type, which is the left one's."""
    if left.data_type == right.data_type or (left.data_type in NUMERIC and right.data_type in NUMERIC):
        if left.data_type == "float" and right.data_type == "double":
            # A constant such as 0.1 means the nearest float.
            right = cast_or_fault(right, "float", site.faults, None, site.element)
        return left, right
    if left.data_type == "boolean" and right.data_type in NUMERIC:
        return left, right
    return left, cast_or_fault(right, left.data_type, site.faults, None, site.element)


def _equality(function: Callable[[Array, Array], Array]) -> Body:
    def call(columns: Sequence[Column], site: Site) -> Column:
        left, right = _same_type(columns[0], columns[1], site)
        values = function(*_ranked(left, right, ()))
        return Column("boolean", values, missing_of(columns), fault=fault_of((left, right)))

    return call


def _ranked(left: Column, right: Column, order: Sequence[str]) -> tuple[Array, Array]:
    """Arrays whose order and equality are those of two columns' values: of texts, one given or the alphabet's."""
    if left.categories is None or right.categories is None:
        return left.values, right.values
    rank = {text: position for position, text in enumerate(order)}
    for text in sorted({*left.categories, *right.categories}.difference(rank)):
        rank[text] = len(rank)
    one, two = (np.array([rank[text] for text in column.categories or ()], np.int64) for column in (left, right))
    return one[left.values], two[right.values]


def comparison(function: Callable[[Array, Array], Array], order: Sequence[str] = ()) -> Body:
    """A comparison by size; `order` lists the values of an ordinal argument, the least first."""
    known = frozenset(order)

    def call(columns: Sequence[Column], site: Site) -> Column:
        left, right = columns
        if order:
            left, right = to_text(left), to_text(right)
        elif "integer" in (left.data_type, right.data_type):
            left, right = (_numeric(column, site) for column in columns)  # A text may be a fraction.
        elif left.categories is not None:
            left = cast_or_fault(left, right.data_type, site.faults, None, site.element)
        left, right = _same_type(left, right, site)
        result = Column(
            "boolean", function(*_ranked(left, right, order)), missing_of(columns), fault=fault_of((left, right))
        )
        strange = np.zeros(site.rows, np.bool_)
        for column in (left, right) if order else ():
            odd = np.array([text not in known for text in column.categories or ()], np.bool_)
            strange |= odd[column.values] & ~column.is_missing()
        return result.with_fault(site.fault(strange, "compares a value that has no place")) if strange.any() else result

    return call


def _is_in(negated: bool) -> Body:
    def call(columns: Sequence[Column], site: Site) -> Column:
        found = np.zeros(site.rows, np.bool_)
        used = [columns[0]]
        for other in columns[1:]:
            left, right = _same_type(columns[0], other, site)
            one, two = _ranked(left, right, ())
            found |= (one == two) & ~other.is_missing()
            used += [left, right]
        found &= ~columns[0].is_missing()
        return Column("boolean", ~found if negated else found, fault=fault_of(used))

    return call


def _truth(column: Column, site: Site) -> Column:
    return cast_or_fault(column, "boolean", site.faults, None, site.element)


def _logical(function: Callable[[Bools, Bools], Bools]) -> Body:
    def call(columns: Sequence[Column], site: Site) -> Column:
        truths = [_truth(column, site) for column in columns]
        values = truths[0].values
        for truth in truths[1:]:
            values = function(values, truth.values)
        return Column("boolean", values, missing_of(truths), fault=fault_of(truths))

    return call


def _not(columns: Sequence[Column], site: Site) -> Column:
    truth = _truth(columns[0], site)
    return replace(truth, values=~truth.values)


def _is_missing(negated: bool) -> Body:
    def call(columns: Sequence[Column], site: Site) -> Column:
        missing = columns[0].is_missing()
        return Column("boolean", ~missing if negated else missing, fault=columns[0].fault)

    return call


def _is_valid(negated: bool) -> Body:
    """Whether a value is there and is, or is not, a valid one of its field."""

    def call(columns: Sequence[Column], site: Site) -> Column:
        column = columns[0]
        invalid = np.zeros(site.rows, np.bool_) if column.invalid is None else column.invalid
        return Column("boolean", (invalid if negated else ~invalid) & ~column.is_missing(), fault=column.fault)

    return call


def _if(columns: Sequence[Column], site: Site) -> Column:
    condition = _truth(columns[0], site)
    branches = [columns[1], columns[2] if len(columns) > 2 else _absent(columns[1])]
    if branches[0].data_type != branches[1].data_type:
        numeric = all(branch.data_type in NUMERIC for branch in branches)
        data_type = _common(branches) if numeric else "string"
        branches = [cast_or_fault(branch, data_type, site.faults, None, site.element) for branch in branches]
    result = select(condition.values & ~condition.is_missing(), branches[0], branches[1])
    return result.with_fault(_refuse_missing([condition], site))


def _absent(column: Column) -> Column:
    return replace(column, missing=np.ones(len(column), np.bool_), fault=None, invalid=None)


# --- Texts -----------------------------------------------------------------------------------------------------------


_BLANKS = "".join(map(chr, range(33)))


def _on_text(function: Callable[[str], str]) -> Body:
    def call(columns: Sequence[Column], site: Site) -> Column:
        text = map_categories(to_text(columns[0]), function)
        return text

    return call


def _on_texts(function: Callable[..., str | bool | int | None], data_type: DataType) -> Body:
    """A function of the texts of its arguments, computed once per distinct combination."""

    def call(columns: Sequence[Column], site: Site) -> Column:
        fault = fault_of(columns)
        known: dict[tuple[str, ...], Any] = {}
        results: list[Any] = []
        failed = np.zeros(site.rows, np.bool_)
        for row, key in enumerate(zip(*(column.texts() for column in columns), strict=True)):
            if key not in known:
                try:
                    known[key] = function(*key)
                except (ValueError, re.error):
                    known[key] = None
            results.append(known[key])
            failed[row] = known[key] is None
        if fault is not None:
            failed &= fault == 0
        if failed.any():
            own = site.fault(failed, "cannot be computed of these values")
            fault = own if fault is None else np.where(fault != 0, fault, own)
        if data_type == "string":
            return replace(from_texts([result or "" for result in results]), fault=fault)
        dtype = np.bool_ if data_type == "boolean" else np.int64
        return Column(data_type, np.array([result or 0 for result in results], dtype), fault=fault)

    return call


def _concat(columns: Sequence[Column], site: Site) -> Column:
    """Texts joined; a missing one is as if it were empty."""
    texts = [column.texts() for column in columns]
    joined = ["".join(parts) for parts in zip(*texts, strict=True)]
    return replace(from_texts(joined), fault=fault_of(columns))


def _substring(text: str, position: str, length: str) -> str | None:
    start, count = float(position), float(length)
    if start < 1 or count < 0 or not (start.is_integer() and count.is_integer()):
        return None
    return text[int(start) - 1 : int(start) - 1 + int(count)]


def _matches(text: str, pattern: str) -> bool:
    return regex(pattern).search(text) is not None


def _replace(text: str, pattern: str, into: str) -> str:
    compiled = regex(pattern)
    return compiled.sub(replacement(compiled, into), text)


_WHOLE = re.compile(r"%[-+ 0#]*\d*[dioxX]")


def _format_number(value: str, pattern: str) -> str | None:
    """`formatNumber` takes the patterns of C's printf."""
    number = float(value)
    arguments: Any = number
    if _WHOLE.search(pattern):
        if not number.is_integer():
            return None
        arguments = int(number)
    elif "%" not in pattern.replace("%%", ""):
        arguments = ()
    try:
        return str(pattern % arguments)
    except TypeError:
        return None


# --- Dates and times -------------------------------------------------------------------------------------------------


def _as_days(column: Column, site: Site) -> Column:
    return cast_or_fault(column, "date", site.faults, None, site.element)


def _year_start(columns: Sequence[Column], site: Site) -> Array:
    years = cast_or_fault(columns[1], "integer", site.faults, None, site.element).values
    result: Array = (years - 1970).astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    return result


def _days_since_year(columns: Sequence[Column], site: Site) -> Column:
    days = _as_days(columns[0], site)
    values = days.values - _year_start(columns, site)
    return Column("integer", values, missing_of(columns), fault=fault_of((days, columns[1])))


def _seconds_since_year(columns: Sequence[Column], site: Site) -> Column:
    stamp = cast_or_fault(columns[0], "dateTime", site.faults, None, site.element)
    values = stamp.values // MICROSECONDS - _year_start(columns, site) * DAY
    return Column("integer", values, missing_of(columns), fault=fault_of((stamp, columns[1])))


def _seconds_since_midnight(columns: Sequence[Column], site: Site) -> Column:
    time = cast_or_fault(columns[0], "time", site.faults, None, site.element)
    return Column("integer", time.values // MICROSECONDS, time.missing, fault=time.fault)


def _format_datetime(columns: Sequence[Column], site: Site) -> Column:
    """`formatDatetime` takes the patterns of C's strftime."""
    stamp = columns[0]
    if stamp.data_type != "time":
        stamp = cast_or_fault(stamp, "dateTime", site.faults, None, site.element)
    patterns = columns[1].texts()
    start = datetime.datetime(1970, 1, 1)
    texts: list[str | None] = []
    for value, pattern in zip(stamp.values.tolist(), patterns, strict=True):
        try:
            texts.append((start + datetime.timedelta(microseconds=value)).strftime(pattern))
        except (OverflowError, ValueError):
            texts.append(None)
    result = replace(from_texts(texts), fault=fault_of((stamp, columns[1])))
    failed = result.is_missing()
    if failed.any():
        result = result.with_fault(site.fault(failed, "cannot be computed of these values"))
    return replace(result, missing=missing_of(columns))


def _threshold(left: Array, right: Array) -> Array:
    return (left > right).astype(left.dtype)


_STANDARD = statistics.NormalDist()


def _normal_cdf(x: float, mean: float = 0.0, deviation: float = 1.0) -> float:
    if deviation <= 0:
        raise ValueError("a deviation is positive")
    return 0.5 * math.erfc((mean - x) / (deviation * math.sqrt(2.0)))


def _normal_idf(p: float, mean: float = 0.0, deviation: float = 1.0) -> float:
    if p in (0.0, 1.0) and deviation > 0:
        return math.inf if p else -math.inf
    return statistics.NormalDist(mean, deviation).inv_cdf(p)


_CDF = _each(_normal_cdf)


def normal_cdf(values: Array) -> Array:
    """The standard normal distribution function."""
    return _CDF(values)


def _one(body: Body) -> BuiltIn:
    return BuiltIn(body, 1, 1)


def _two(body: Body) -> BuiltIn:
    return BuiltIn(body, 2, 2)


def _lenient(body: Body, least: int, most: int) -> BuiltIn:
    return BuiltIn(body, least, most, takes_missing=True)


def _normal(function: Callable[..., float], extra: int) -> BuiltIn:
    return BuiltIn(_real(_each(function)), 1 + extra, 1 + extra)


ORDERINGS: dict[str, Callable[[Array, Array], Array]] = {
    "lessThan": np.less,
    "lessOrEqual": np.less_equal,
    "greaterThan": np.greater,
    "greaterOrEqual": np.greater_equal,
}
"""The comparisons by size."""

BUILT_IN: dict[str, BuiltIn] = {
    "+": _lenient(_arithmetic(_folded(np.add)), 2, _ANY),
    "-": _lenient(_arithmetic(np.subtract), 2, 2),
    "*": _lenient(_arithmetic(_folded(np.multiply)), 2, _ANY),
    "/": _lenient(_divide, 2, 2),
    "min": _lenient(_aggregate(_extreme(np.min, 1)), 1, _ANY),
    "max": _lenient(_aggregate(_extreme(np.max, -1)), 1, _ANY),
    "sum": _lenient(_aggregate(_sum), 1, _ANY),
    "avg": _lenient(_aggregate(_average, "double"), 1, _ANY),
    "median": _lenient(_aggregate(_median, "double"), 1, _ANY),
    "product": _lenient(_aggregate(_product), 1, _ANY),
    "log10": _one(_real(exactly(np.log10))),
    "ln": _one(_real(exactly(np.log))),
    "ln1p": _one(_real(exactly(np.log1p))),
    "sqrt": _one(_real(np.sqrt)),
    "abs": _one(_arithmetic(np.abs)),
    "exp": _one(_real(exactly(np.exp))),
    "expm1": _one(_real(exactly(np.expm1))),
    "pow": _two(_pow),
    "hypot": _two(_real(np.hypot)),
    "modulo": _lenient(_modulo, 2, 2),
    "threshold": _two(_arithmetic(_threshold)),
    "floor": _one(_rounding(np.floor)),
    "ceil": _one(_rounding(np.ceil)),
    "round": _one(_rounding(_round_half_up)),
    "rint": _one(_rounding(np.rint, None)),
    "sin": _one(_real(exactly(np.sin))),
    "asin": _one(_real(exactly(np.arcsin))),
    "sinh": _one(_real(exactly(np.sinh))),
    "cos": _one(_real(exactly(np.cos))),
    "acos": _one(_real(exactly(np.arccos))),
    "cosh": _one(_real(exactly(np.cosh))),
    "tan": _one(_real(exactly(np.tan))),
    "atan": _one(_real(exactly(np.arctan))),
    "atan2": _two(_real(exactly(np.arctan2))),
    "tanh": _one(_real(exactly(np.tanh))),
    "erf": _normal(math.erf, 0),
    "normalCDF": _normal(_normal_cdf, 2),
    "normalPDF": _normal(lambda x, mean, deviation: statistics.NormalDist(mean, deviation).pdf(x), 2),
    "normalIDF": _normal(_normal_idf, 2),
    "stdNormalCDF": _one(_real(normal_cdf)),
    "stdNormalPDF": _normal(_STANDARD.pdf, 0),
    "stdNormalIDF": _normal(_normal_idf, 0),
    "isMissing": _lenient(_is_missing(False), 1, 1),
    "isNotMissing": _lenient(_is_missing(True), 1, 1),
    "isValid": _lenient(_is_valid(False), 1, 1),
    "isNotValid": _lenient(_is_valid(True), 1, 1),
    "equal": _two(_equality(np.equal)),
    "notEqual": _two(_equality(np.not_equal)),
    **{name: _two(comparison(function)) for name, function in ORDERINGS.items()},
    "and": BuiltIn(_logical(np.logical_and), 2, _ANY),
    "or": BuiltIn(_logical(np.logical_or), 2, _ANY),
    "not": _one(_not),
    "isIn": _lenient(_is_in(False), 2, _ANY),
    "isNotIn": _lenient(_is_in(True), 2, _ANY),
    "if": _lenient(_if, 2, 3),
    "uppercase": _one(_on_text(str.upper)),
    "lowercase": _one(_on_text(str.lower)),
    "trimBlanks": _one(_on_text(lambda text: text.strip(_BLANKS))),
    "stringLength": _one(_on_texts(len, "integer")),
    "substring": BuiltIn(_on_texts(_substring, "string"), 3, 3),
    "concat": _lenient(_concat, 2, _ANY),
    "replace": BuiltIn(_on_texts(_replace, "string"), 3, 3),
    "matches": _two(_on_texts(_matches, "boolean")),
    "formatNumber": _two(_on_texts(_format_number, "string")),
    "formatDatetime": _two(_format_datetime),
    "dateDaysSinceYear": _two(_days_since_year),
    "dateSecondsSinceYear": _two(_seconds_since_year),
    "dateSecondsSinceMidnight": _one(_seconds_since_midnight),
}


def find(name: str) -> BuiltIn | None:
    """The built-in function of a name, which may begin with `x-`, as vendors name theirs."""
    return BUILT_IN.get(name) or BUILT_IN.get(name.removeprefix("x-"))
