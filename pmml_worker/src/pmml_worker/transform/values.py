"""Single values: texts of the document to numbers and back, by PMML data type (DataDictionary, "dataType")."""

import datetime
import re
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pmml_worker.schema.elements import DataType

Scalar: TypeAlias = str | int | float | bool
"""A value as columns hold it: dates are days, times and dates with times microseconds, the other temporal types whole
days or seconds."""

Storage: TypeAlias = Literal["text", "integer", "float32", "float64", "boolean"]

_EPOCH = datetime.date(1970, 1, 1)


def epoch_days(data_type: DataType) -> int:
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


def counts(data_type: DataType) -> bool:
    """Whether values of a temporal type are numbers: of days or seconds since a day or midnight."""
    return data_type == "timeSeconds" or "Since" in data_type


MICROSECONDS = 1_000_000
"""Units that columns of times, and of dates and times, hold a second by."""

DAY = 86400
"""Seconds of a day."""

_ZONE = r"(?P<zone>Z|[+-]\d\d:\d\d)?"
_DATE = re.compile(rf"(?P<date>-?\d{{4,6}}-\d\d-\d\d){_ZONE}", re.ASCII)
_CLOCK = r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?:\.(?P<fraction>\d+))?)?"
_TIME = re.compile(rf"{_CLOCK}{_ZONE}", re.ASCII)
_DATE_TIME = re.compile(rf"(?P<date>-?\d{{4,6}}-\d\d-\d\d)[T ]{_CLOCK}{_ZONE}", re.ASCII)
_DURATION = re.compile(r"(?P<sign>-?)(?P<hour>\d+):(?P<minute>[0-5]\d):(?P<second>[0-5]\d)(?:\.\d+)?", re.ASCII)


def _days(text: str) -> int:
    return int(np.datetime64(text, "D").astype(np.int64))


def _clock(match: re.Match[str]) -> int:
    """Microseconds since midnight, a fraction of them left out."""
    seconds = int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"] or 0)
    return seconds * MICROSECONDS + int((match["fraction"] or "").ljust(6, "0")[:6])


def parse_date(text: str) -> int:
    """Days since 1970-01-01 of an ISO 8601 date; the zone of a whole day says nothing."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError("dates are written as 2013-01-25")
    return _days(match["date"])


def parse_time(text: str) -> int:
    """Microseconds since midnight of an ISO 8601 time, where it is; its zone is no part of a time of day."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError("times are written as 10:01:08, a fraction may follow")
    return _clock(match)


def parse_date_time(text: str) -> int:
    """Microseconds since 1970-01-01T00:00:00 of an ISO 8601 date and time; with an offset, in UTC."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError("dates and times are written as 2013-01-25T10:01:08, a fraction and an offset may follow")
    offset = 0
    if match["zone"] not in (None, "Z"):
        hours, minutes = match["zone"][1:].split(":")
        offset = (int(hours) * 60 + int(minutes)) * (-60 if match["zone"].startswith("-") else 60)
    return (_days(match["date"]) * DAY - offset) * MICROSECONDS + _clock(match)


def _parse_duration(text: str) -> int:
    """Seconds of hours, minutes and seconds, which need not be a time of day."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError("seconds are written as 10:01:08 or as their number")
    seconds = int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"])
    return -seconds if match["sign"] else seconds


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
            with np.errstate(over="ignore"):
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
            return _parse_duration(text) if ":" in text else _integer(text)
    if data_type.startswith("dateDaysSince"):
        return parse_date(text) - epoch_days(data_type) if "-" in text[1:] else _integer(text)
    if "-" in text[1:]:
        return parse_date_time(text) // MICROSECONDS - DAY * epoch_days(data_type)
    return _integer(text)


_TRUTHS = {"true": 1, "false": 0}


def _real(text: str) -> float:
    if "_" in text:
        raise ValueError("it is not a number")  # Python takes underscores between digits.
    try:
        return float(text)
    except ValueError:
        if text.lower() in _TRUTHS:
            return float(_TRUTHS[text.lower()])
        raise


def _integer(text: str) -> int:
    try:
        number = int(text) if "_" not in text else int("")
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
    number = _real(text)
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
            return str(np.datetime64(int(value), "D"))
        case "time":
            return _trimmed(str(np.datetime64(int(value), "us")).partition("T")[2])
        case "dateTime":
            return _trimmed(str(np.datetime64(int(value), "us")))
        case _:
            return str(int(value))


def _trimmed(text: str) -> str:
    """A time without a fraction of only zeros."""
    return text.rstrip("0").removesuffix(".") if "." in text else text
