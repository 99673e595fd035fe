"""Where times lie among the points of a series, and what a stored series says at a time (TimeSeriesModel)."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import DataType
from pmml_worker.schema.time_series import TimeAnchor, TimeException, TimeSeries, TimeValue
from pmml_worker.transform.column import Array, Bools, Floats
from pmml_worker.transform.values import MICROSECONDS, parse_date_time

_EPSILON = 1e-9
"""How far a position may lie beside a whole one, by rounding alone."""

_LONGEST_CYCLE = 1 << 20
"""Steps of all cycles together: few characters can ask for more than there is memory."""

_YEAR_0 = -719528
"""Days from 1970-01-01 to 0000-01-01."""


def seconds(values: Array, data_type: DataType) -> Floats:
    """Dates and times, as columns hold them, in seconds since 1970, shape (rows,)."""
    numbers = values.astype(np.float64)
    if data_type in ("time", "dateTime"):
        return numbers / MICROSECONDS
    if data_type == "timeSeconds":
        return numbers
    days = 0.0 if data_type == "date" else float(_days(int(data_type[data_type.index("[") + 1 : -1])))
    if data_type.startswith("dateTimeSeconds"):
        return numbers + days * 86400
    return (numbers + days) * 86400


def _days(year: int) -> int:
    return _YEAR_0 if year == 0 else (datetime.date(year, 1, 1) - datetime.date(1970, 1, 1)).days


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit of time and where its count begins, as `TimeAnchor` names them."""

    name: str
    year: int

    def count(self, moments: Floats) -> Floats:
        """Seconds since 1970 in this unit, shape (rows,); whole days, months and years are counted."""
        if self.name.startswith("dateTime"):
            scale = 1000.0 if "Milli" in self.name else 1.0
            return (moments - _days(self.year) * 86400.0) * scale
        days = np.floor(moments / 86400)
        if self.name == "dateDays":
            return days - _days(self.year)
        # NumPy knows no dates millions of years away; a time that far is beyond any series.
        dates = np.clip(np.nan_to_num(days), -1e6, 1e8).astype(np.int64).astype("datetime64[D]")
        if self.name == "dateMonths":
            months: Floats = dates.astype("datetime64[M]").astype(np.float64)
            return months - (self.year - 1970) * 12.0
        years: Floats = dates.astype("datetime64[Y]").astype(np.float64)
        return years - (self.year - 1970)


def _unit(anchor: TimeAnchor) -> _Unit | None:
    if anchor.type is None:
        return None
    name, _, year = anchor.type.rstrip("]").partition("Since[")
    return _Unit(name, int(year))


class _Steps:
    """Which steps of an endless grid have a point: those that every cycle includes, except exceptions."""

    def __init__(self, anchor: TimeAnchor | None, exceptions: Sequence[TimeException]) -> None:
        mask = np.ones(1, np.bool_)
        for cycle in anchor.cycles if anchor else ():
            listed = cycle.array.numbers() if cycle.array else np.zeros(0)
            length = cycle.length or (int(listed.max(initial=0)) if cycle.type != "includeAll" else 1)
            if not 0 < length * len(mask) <= _LONGEST_CYCLE:
                raise SchemaError(f"<TimeCycle> length {length} makes no cycle of at most {_LONGEST_CYCLE}", cycle.line)
            places = np.arange(1, length + 1)
            if cycle.type.endswith("FromTo"):
                if len(listed) != 2:
                    raise SchemaError(f"<TimeCycle> of type {cycle.type} holds two numbers, from and to", cycle.line)
                chosen = (places >= listed[0]) & (places <= listed[1])
            else:
                chosen = np.isin(places, listed)
            match cycle.type:
                case "includeAll":
                    chosen = np.ones(length, np.bool_)
                case "excludeFromTo" | "excludeSet":
                    chosen = ~chosen
            mask = np.kron(chosen, mask).astype(np.bool_)
            if not mask.any():
                raise SchemaError("<TimeCycle> leaves no step of the cycle", cycle.line)
        self._mask = mask
        self._before = np.concatenate(([0], np.cumsum(mask)))
        removed, added = [np.zeros(0)], [np.zeros(0)]
        for exception in exceptions:
            numbers = np.unique(exception.array.numbers())
            if exception.count not in (None, len(exception.array.numbers())):
                raise SchemaError(
                    f"<TimeException> has count {exception.count} but not as many numbers", exception.line
                )
            (removed if exception.type == "exclude" else added).append(numbers)
        self._removed = np.unique(np.concatenate(removed))
        self._removed = self._removed[self._in_cycles(self._removed)]
        self._added = np.unique(np.concatenate(added))
        self._added = self._added[~self._in_cycles(self._added)]

    def _in_cycles(self, steps: Floats) -> Bools:
        result: Bools = self._mask[np.mod(np.floor(steps), len(self._mask)).astype(np.int64)]
        return result

    def contains(self, steps: Floats) -> Bools:
        """Whether steps have a point, shape (rows,)."""
        floor = np.floor(steps + _EPSILON)
        return (self._in_cycles(floor) & ~np.isin(floor, self._removed)) | np.isin(floor, self._added)

    def rank(self, steps: Floats) -> Floats:
        """How many points lie from step 0 up to each step, shape (rows,); the part of a step counts as it is."""
        floor = np.floor(steps + _EPSILON)
        length = len(self._mask)
        cycles, place = np.floor(floor / length), np.mod(floor, length).astype(np.int64)
        count: Floats = cycles * self._before[-1] + self._before[place]
        for numbers, sign in ((self._removed, -1), (self._added, 1)):
            zero = int(np.searchsorted(numbers, 0.0))
            count = count + sign * (np.searchsorted(numbers, floor) - zero)
        rest = steps - floor
        return count + np.where(np.abs(rest) <= _EPSILON, np.zeros(1), rest)


@dataclass(frozen=True, slots=True)
class _Points:
    """Places of a series' values; NaN where one is not given."""

    index: Floats
    time: Floats
    moment: Floats


def _points(values: Sequence[TimeValue]) -> _Points:
    def moment(value: TimeValue) -> float:
        if value.timestamp is None:
            return np.nan
        try:
            return parse_date_time(value.timestamp.text.strip()) / MICROSECONDS
        except ValueError:
            raise SchemaError(
                f'<Timestamp> "{value.timestamp.text.strip()}" is no date of ISO 8601', value.timestamp.line
            ) from None

    return _Points(
        np.array([np.nan if value.index is None else value.index for value in values], np.float64),
        np.array([np.nan if value.time is None else value.time for value in values], np.float64),
        np.array([moment(value) for value in values], np.float64),
    )


class TimeAxis:
    """The positions of times: consecutive points of the series are 1 apart, and a value's `index` is its position.

    The points are the steps of TimeAnchor (offset, offset + stepsize …) that its TimeCycles and TimeExceptions leave;
    without TimeAnchor, steps are as long as that between the last two values, in their `time` or `Timestamp`.

    Attributes:
        last: the position of the last value; 0 without a series.
    """

    def __init__(self, series: TimeSeries | None) -> None:
        values = series.values if series else ()
        points = _points(values)
        anchor = series.anchor if series else None
        exceptions = (*(series.exceptions if series else ()), *(anchor.exceptions if anchor else ()))
        self._unit = _unit(anchor) if anchor else None
        self._steps = _Steps(anchor, exceptions)
        self._stepsize, self._offset = 1.0, 0.0
        if anchor is not None:
            if anchor.stepsize < 1:
                raise SchemaError(f"<TimeAnchor> stepsize {anchor.stepsize} is not positive", anchor.line)
            self._stepsize, self._offset = float(anchor.stepsize), float(anchor.offset)
        elif values and not np.isnan(points.time[-1]):
            self._offset = points.time[-1]
            self._stepsize = _step(points.time, values)
        elif values and not np.isnan(points.moment[-1]):
            self._unit = _Unit("dateMonths", 1970) if _is_monthly(points.moment) else _Unit("dateTimeSeconds", 1970)
            numbers = self._unit.count(points.moment)
            self._offset, self._stepsize = numbers[-1], _step(numbers, values)
        self._shift = 0.0
        self.last = 0.0
        if values:
            number = self._numbers(points)[-1]
            if np.isnan(points.index[-1]):
                self.last = float(len(values)) if np.isnan(number) else float(self._rank(number[None])[0])
            else:
                self.last = float(points.index[-1])
                self._shift = 0.0 if np.isnan(number) else self.last - float(self._rank(number[None])[0])

    def _rank(self, numbers: Floats) -> Floats:
        return self._steps.rank((numbers - self._offset) / self._stepsize)

    def _numbers(self, points: _Points) -> Floats:
        """Times of values in units of the axis; NaN where they tell none."""
        moments = np.full(len(points.time), np.nan) if self._unit is None else self._unit.count(points.moment)
        return np.where(np.isnan(points.time), np.where(np.isnan(points.moment), np.nan, moments), points.time)

    def positions(self, values: Sequence[TimeValue]) -> Floats:
        """The positions of a series' values, shape (values,).

        Raises:
            SchemaError: they do not increase, or some values have an index or a time and some have none.
        """
        points = _points(values)
        numbers = self._numbers(points)
        if not np.isnan(points.index).any():
            positions = points.index
        elif not np.isnan(numbers).any():
            positions = self._rank(numbers) + self._shift
        elif np.isnan(points.index).all() and np.isnan(numbers).all():
            positions = np.arange(1.0, len(values) + 1)
        else:
            raise SchemaError("<TimeValue>: give all values an index, or all a time", values[0].line)
        wrong = np.flatnonzero(np.diff(positions) <= 0)
        if len(wrong):
            raise SchemaError("<TimeValue> is not later than the one before", values[int(wrong[0]) + 1].line)
        return positions

    def knows_dates(self) -> bool:
        """Whether dates have positions: there is a TimeAnchor of some type, or there are Timestamps."""
        return self._unit is not None

    def of_numbers(self, numbers: Floats) -> tuple[Floats, Bools]:
        """Positions of times in the unit of the TimeValues' `time`, or of their `index` where they have none.

        Returns:
            positions, shape (rows,), and whether each is a point of the series or lies between two of them.
        """
        steps = (numbers - self._offset) / self._stepsize
        return self._steps.rank(steps) + self._shift, self._steps.contains(steps)

    def of_moments(self, moments: Floats) -> tuple[Floats, Bools]:
        """Positions of seconds since 1970; see `of_numbers`."""
        if self._unit is None:  # whoever compiled this asked knows_dates
            raise TypeError("the series has no dates")
        return self.of_numbers(self._unit.count(moments))


def _step(times: Floats, values: Sequence[TimeValue]) -> float:
    if len(times) < 2 or np.isnan(times[-2]):
        return 1.0
    step = float(times[-1] - times[-2])
    if step <= 0:
        raise SchemaError("<TimeValue> is not later than the one before", values[-1].line)
    return step


def _is_monthly(moments: Floats) -> bool:
    """Whether all moments are the same second of the same day of months."""
    if len(moments) < 2 or np.isnan(moments).any():
        return False
    dates = np.clip(moments, -1e13, 1e13).astype(np.int64).astype("datetime64[s]")
    months = dates.astype("datetime64[M]")
    within = (dates - months.astype("datetime64[s]")).astype(np.int64)
    return bool((within == within[0]).all() and (np.diff(months.astype(np.int64)) > 0).all())


class StoredSeries:
    """A series of the document, asked for its value at a position, between two points by its interpolationMethod."""

    def __init__(self, values: Sequence[TimeValue], method: str, axis: TimeAxis, line: int) -> None:
        self.positions = axis.positions(values)
        self.values = np.array([value.value for value in values], np.float64)
        self.errors = np.array(
            [np.nan if value.standard_error is None else value.standard_error for value in values], np.float64
        )
        self._method = method
        if method == "exponentialSpline" and (self.values <= 0).any():
            raise SchemaError("<TimeSeries> interpolationMethod exponentialSpline needs positive values", line)
        if method == "cubicSpline":
            self._curvature = _natural_spline(self.positions, self.values)

    def at(self, positions: Floats) -> tuple[Floats, Floats]:
        """Values and standard errors at positions, both of shape (rows,); NaN where the series tells none."""
        where = self.positions
        right = np.clip(np.searchsorted(where, positions), 0, len(where) - 1)
        exact = np.abs(where[right] - positions) <= _EPSILON
        value = np.where(exact, self.values[right], np.nan)
        error = np.where(exact, self.errors[right], np.nan)
        if self._method == "none" or len(where) < 2:
            return value, error
        right = np.clip(right, 1, len(where) - 1)
        left = right - 1
        width = where[right] - where[left]
        weight = (positions - where[left]) / width
        low, high = self.values[left], self.values[right]
        if self._method == "linear":
            between = low + weight * (high - low)
        elif self._method == "exponentialSpline":
            between = low * np.exp(weight * np.log(high / low))
        else:
            cubic = (weight**3 - weight) * self._curvature[right] + (
                (1 - weight) ** 3 - (1 - weight)
            ) * self._curvature[left]
            between = low + weight * (high - low) + cubic * width**2 / 6
        inside = (positions > where[0]) & (positions < where[-1]) & ~exact
        return np.where(inside, between, value), error


def _natural_spline(x: Floats, y: Floats) -> Floats:
    """Second derivatives at the points of the cubic spline that has none at its ends, shape (points,)."""
    count = len(x)
    second = np.zeros(count)
    if count < 3:
        return second
    width = np.diff(x)
    slope = np.diff(y) / width
    diagonal = 2 * (width[:-1] + width[1:])
    right = 6 * np.diff(slope)
    for row in range(1, count - 2):  # elimination in a tridiagonal system
        factor = width[row] / diagonal[row - 1]
        diagonal[row] -= factor * width[row]
        right[row] -= factor * right[row - 1]
    for row in range(count - 3, -1, -1):
        second[row + 1] = (right[row] - width[row + 1] * second[row + 2]) / diagonal[row]
    return second
