"""Single values: texts of the document to numbers and back, by PMML data type (DataDictionary, "dataType")."""

import datetime
import math
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pmml_worker.schema.elements import DataType

Scalar: TypeAlias = str | int | float | bool
"""A value as columns hold it: dates and times are integers (days, seconds) except where text is asked for."""

Storage: TypeAlias = Literal["text", "integer", "float32", "float64", "boolean"]

_EPOCH = datetime.date(1970, 1, 1)


def _epoch_days(data_type: DataType) -> int:
    """Days from 1970-01-01 to the day that a `…Since[year]` type counts from (year 0 is before Christ 1)."""
    year = int(data_type[data_type.index("[") + 1 : -1])
    return -719528 if year == 0 else (datetime.date(year, 1, 1) - _EPOCH).days


def storage(data_type: DataType) -> Storage:
    """How values of a type are held."""
    match data_type:
        case "string":
            return "text"
        case "double":
            return "float64"
        case "float":
            return "float32"
        case "boolean":
            return "boolean"
        case _:
            return "integer"


DTYPES: dict[Storage, npt.DTypeLike] = {
    "text": np.int32,
    "integer": np.int64,
    "float32": np.float32,
    "float64": np.float64,
    "boolean": np.bool_,
}

NUMERIC: frozenset[str] = frozenset({"integer", "float", "double"})


def is_temporal(data_type: DataType) -> bool:
    """Whether values of a type are days or seconds."""
    return data_type.startswith(("date", "time"))


def parse_date(text: str) -> int:
    """Days since 1970-01-01 of an ISO 8601 date."""
    return (datetime.date.fromisoformat(text) - _EPOCH).days


def parse_time(text: str) -> int:
    """Seconds since midnight of an ISO 8601 time."""
    time = datetime.time.fromisoformat(text)
    return time.hour * 3600 + time.minute * 60 + time.second


def parse_date_time(text: str) -> int:
    """Seconds since 1970-01-01T00:00:00 of an ISO 8601 date and time; an offset is applied, none is taken for UTC."""
    stamp = datetime.datetime.fromisoformat(text)
    stamp = stamp if stamp.tzinfo else stamp.replace(tzinfo=datetime.UTC)
    return math.floor(stamp.timestamp())


def parse(text: str, data_type: DataType) -> Scalar:
    """Read a text as a value of a type.

    Raises:
        ValueError: the text is no value of that type.
    """
    match data_type:
        case "string":
            return text
        case "double":
            return _real(text)
        case "float":
            return float(np.float32(_real(text)))
        case "integer":
            return _integer(text)
        case "boolean":
            return _boolean(text)
        case "date":
            return parse_date(text)
        case "time":
            return parse_time(text)
        case "dateTime":
            return parse_date_time(text)
        case "timeSeconds":
            return parse_time(text) if ":" in text else _integer(text)
    if data_type.startswith("dateDaysSince"):
        return parse_date(text) - _epoch_days(data_type) if "-" in text[1:] else _integer(text)
    return parse_date_time(text) - 86400 * _epoch_days(data_type) if "-" in text[1:] else _integer(text)


_TRUTHS = {"true": 1, "false": 0}


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        if text.lower() in _TRUTHS:
            return float(_TRUTHS[text.lower()])
        raise


def _integer(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        as_float = _real(text)
        if not as_float.is_integer():
            raise ValueError("it is not an integer") from None
        number = int(as_float)
    if not -(2**63) <= number < 2**63:
        raise ValueError("it does not fit 64 bits")
    return number


def _boolean(text: str) -> bool:
    if text.lower() in _TRUTHS:
        return text.lower() == "true"
    number = float(text)
    if number not in (0.0, 1.0):
        raise ValueError("it is neither true nor false")
    return number == 1.0


def format_number(number: float, data_type: DataType) -> str:
    """Write a number as XML Schema's and Java's canonical forms do: `1.0`, `1.0E10`, `0.1` (not `0.10000000149`)."""
    value = np.float32(number) if data_type == "float" else np.float64(number)
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(float(value)) < 1e7:
        return np.format_float_positional(value, unique=True, trim="0")
    mantissa, exponent = np.format_float_scientific(value, unique=True, trim="0").split("e")
    return f"{mantissa}E{int(exponent)}"


def format_value(value: Scalar, data_type: DataType) -> str:
    """Write a value as text, the inverse of `parse`."""
    match data_type:
        case "string":
            return str(value)
        case "double" | "float":
            return format_number(float(value), data_type)
        case "boolean":
            return "true" if value else "false"
        case "date":
            return (_EPOCH + datetime.timedelta(days=int(value))).isoformat()
        case "time":
            return (datetime.datetime.min + datetime.timedelta(seconds=int(value))).time().isoformat()
        case "dateTime":
            return datetime.datetime.fromtimestamp(int(value), datetime.UTC).replace(tzinfo=None).isoformat()
        case _:
            return str(int(value))


def days_since(data_type: DataType, days: int) -> int:
    """Days since 1970-01-01 to days since the type's own year."""
    return days - _epoch_days(data_type)
