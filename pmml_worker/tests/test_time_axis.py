"""Times of series: dates, cycles, exceptions, stored values and what lies between them."""

import datetime
from typing import Any

import numpy as np
import pytest
from scipy.interpolate import CubicSpline
from time_series_documents import OUTPUT, SCHEMA, TARGET, load_series, numbers, series

from pmml_worker import Model, SchemaError, ScoringError

LINE = '<ExponentialSmoothing><Level smoothedValue="100"/><Trend_ExpoSmooth smoothedValue="1"/></ExponentialSmoothing>'
"""It predicts 100 + h, which tells h."""


def dated(data_type: str, values: str, anchor: str = "", usage: str = "active") -> Model:
    """A model whose field h is of a type."""
    fields = TARGET + f'<DataField name="h" optype="continuous" dataType="{data_type}"/>'
    schema = SCHEMA.replace('name="h"', f'name="h" usageType="{usage}"')
    return load_series("ExponentialSmoothing", f"<TimeSeries>{anchor}{values}</TimeSeries>{LINE}", fields, schema)


def steps(model: Model, times: list[Any]) -> list[float]:
    """How many steps after the series the model takes times to be."""
    return [row["forecast"] - 100 for row in model.score([{"h": time} for time in times])]


TYPES = [
    ("dateDays", 1, datetime.timedelta(days=1)),
    ("dateTimeSeconds", 3600, datetime.timedelta(hours=1)),
    ("dateTimeMilliseconds", 500_000, datetime.timedelta(seconds=500)),
]


@pytest.mark.parametrize(("unit", "stepsize", "step"), TYPES)
@pytest.mark.parametrize("year", [0, 1960, 1970, 1980])
def test_a_date_is_counted_from_the_anchors_year(unit: str, stepsize: int, step: datetime.timedelta, year: int) -> None:
    origin = datetime.datetime(year or 1, 1, 1)
    last = datetime.datetime(2020, 2, 27)
    days = (last - origin).days + (366 if year == 0 else 0)  # year 0 is a leap year
    scale = {"dateDays": 1, "dateTimeSeconds": 86400, "dateTimeMilliseconds": 86_400_000}[unit]
    offset = 7000 if unit == "dateTimeMilliseconds" else 7
    anchor = f'<TimeAnchor type="{unit}Since[{year}]" offset="{offset}" stepsize="{stepsize}"/>'
    time = (days * scale - offset) // stepsize * stepsize + offset
    model = dated(
        "date" if unit == "dateDays" else "dateTime", f'<TimeValue index="5" time="{time}" value="1"/>', anchor
    )
    shift = datetime.timedelta() if unit == "dateDays" else step * ((time - days * scale) / stepsize)
    times = [last + shift + step * count for count in (1, 2, 40)]
    texts = [item.date().isoformat() if unit == "dateDays" else item.isoformat() for item in times]
    assert steps(model, texts) == [1.0, 2.0, 40.0]


def test_milliseconds_are_a_thousandth_of_seconds() -> None:
    anchor = '<TimeAnchor type="dateTimeMillisecondsSince[1970]" stepsize="500"/>'
    model = dated("dateTime", '<TimeValue time="1000" value="1"/>', anchor)
    assert steps(model, ["1970-01-01T00:00:02"]) == [2.0]


def test_months_and_years_are_those_of_the_calendar() -> None:
    monthly = dated("date", '<TimeValue time="482" value="1"/>', '<TimeAnchor type="dateMonthsSince[1980]"/>')
    assert steps(monthly, ["2020-04-01", "2020-04-30", "2021-03-31"]) == [1.0, 1.0, 12.0]
    yearly = dated("date", '<TimeValue time="2019" value="1"/>', '<TimeAnchor type="dateYearsSince[0]"/>')
    assert steps(yearly, ["2020-12-31", "2025-01-01"]) == [1.0, 6.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (["2020-01-31", "2020-02-29"], None),
        (["2020-01-15", "2020-02-15"], ["2020-03-15", "2021-02-15"]),
        (["2020-01-15", "2020-01-22"], ["2020-01-29", "2020-04-08"]),
    ],
)
def test_timestamps_tell_the_step(text: list[str], expected: list[str] | None) -> None:
    values = "".join(
        f'<TimeValue index="{place}" value="1"><Timestamp>{stamp} 00:00:00</Timestamp></TimeValue>'
        for place, stamp in enumerate(text)
    )
    model = dated("date", values)
    if expected is None:  # the last days of months are no step of months, but of 29 days
        expected = ["2020-03-29", "2021-01-13"]
        assert steps(model, expected) == [1.0, 11.0]
    else:
        assert steps(model, expected) == [1.0, 12.0] if text[1] == "2020-02-15" else [1.0, 11.0]


def test_every_temporal_type_may_ask_for_a_time() -> None:
    anchor = '<TimeAnchor type="dateDaysSince[1970]"/>'
    for data_type, value in (
        ("date", "1970-01-11"),
        ("dateTime", "1970-01-11T00:00:00"),
        ("dateDaysSince[1960]", 3653 + 10),
        ("dateTimeSecondsSince[1980]", 10 * 86400 - 3652 * 86400),
    ):
        assert steps(dated(data_type, '<TimeValue time="7" value="1"/>', anchor), [value]) == [3.0]


@pytest.mark.parametrize(
    ("cycle", "weekmask"),
    [
        ('type="includeAll" length="7"', "1111111"),
        ('type="includeFromTo" length="7"><Array type="int" n="2">1 5</Array', "1111100"),
        ('type="excludeFromTo" length="7"><Array type="int" n="2">6 7</Array', "1111100"),
        ('type="includeSet" length="7"><Array type="int" n="3">1 3 7</Array', "1010001"),
        ('type="excludeSet" length="7"><Array type="int" n="2">2 4</Array', "1010111"),
    ],
)
def test_cycles_leave_steps_out(cycle: str, weekmask: str) -> None:
    end = "</TimeCycle>" if ">" in cycle else ""
    text = f"<TimeCycle {cycle}>{end}" if end else f"<TimeCycle {cycle}/>"
    # 1970-01-05 was a Monday, the first step of the cycle.
    anchor = f'<TimeAnchor type="dateDaysSince[1970]" offset="4">{text}</TimeAnchor>'
    model = dated("date", '<TimeValue time="18262" value="1"/>', anchor)  # Wednesday, 2020-01-01
    dates = np.arange("2020-01-02", "2020-03-01", dtype="datetime64[D]")
    dates = dates[np.is_busday(dates, weekmask=weekmask)]
    expected = np.busday_count("2020-01-01", dates, weekmask=weekmask)
    if weekmask[2] == "0":  # the last value is on a day that the cycle leaves out: the next day's is at its position
        expected = expected + 1
    assert steps(model, [str(date) for date in dates]) == expected.tolist()
    if "0" in weekmask:
        out = next(day for day in range(7) if weekmask[day] == "0")
        with pytest.raises(ScoringError, match="is no time of the series"):
            model.score_row({"h": str(np.datetime64("2020-02-03") + out)})


def test_exceptions_count_against_cycles() -> None:
    weekdays = '<TimeCycle type="includeFromTo" length="7"><Array type="int" n="2">1 5</Array></TimeCycle>'
    friday, saturday = (np.datetime64(day) - np.datetime64("1970-01-05") for day in ("2020-01-03", "2020-01-04"))
    anchor = (
        f'<TimeAnchor type="dateDaysSince[1970]" offset="4">{weekdays}'
        f'<TimeException type="exclude" count="1"><Array type="int" n="1">{friday.astype(int)}</Array></TimeException>'
        f'<TimeException type="include" count="1"><Array type="int" n="1">{saturday.astype(int)}</Array>'
        "</TimeException></TimeAnchor>"
    )
    model = dated("date", '<TimeValue time="18262" value="1"/>', anchor)
    assert steps(model, ["2020-01-02", "2020-01-04", "2020-01-06"]) == [1.0, 2.0, 3.0]
    with pytest.raises(ScoringError, match="is no time of the series"):
        model.score_row({"h": "2020-01-03"})


def test_cycles_nest() -> None:
    # Hours from 9 to 10 of days 1 to 2 of three.
    cycles = (
        '<TimeCycle type="includeFromTo" length="24"><Array type="int">10 11</Array></TimeCycle>'
        '<TimeCycle type="includeSet" length="3"><Array type="int">1 2</Array></TimeCycle>'
    )
    anchor = f'<TimeAnchor type="dateTimeSecondsSince[1970]" stepsize="3600">{cycles}</TimeAnchor>'
    model = dated("dateTime", f'<TimeValue time="{9 * 3600}" value="1"/>', anchor)
    times = ["1970-01-01T10:00:00", "1970-01-02T09:00:00", "1970-01-02T10:00:00", "1970-01-04T09:00:00"]
    assert steps(model, times) == [1.0, 2.0, 3.0, 4.0]


def test_a_number_of_usage_order_is_a_time_or_without_times_an_index() -> None:
    timed = dated("double", '<TimeValue time="10" value="1"/><TimeValue time="15" value="1"/>', usage="order")
    assert steps(timed, [20.0, 40.0]) == [1.0, 5.0]
    indexed = dated("integer", '<TimeValue index="10" value="1"/><TimeValue index="11" value="1"/>', usage="order")
    assert steps(indexed, [12, 16]) == [1.0, 5.0]


def test_another_number_is_a_step_after_the_last_value() -> None:
    assert steps(dated("integer", '<TimeValue index="10" value="1"/><TimeValue index="11" value="1"/>'), [3]) == [3.0]


# --- Times of the series ---------------------------------------------------------------------------------------------

TIMES = [1, 2, 4, 7, 8]
VALUES = [2.0, 3.0, 1.0, 5.0, 4.0]


def stored(method: str, usage: str = "original", values: list[float] | None = None) -> str:
    items = "".join(
        f'<TimeValue index="{time}" value="{value}" standardError="0.{time}"/>'
        for time, value in zip(TIMES, values or VALUES, strict=True)
    )
    return f'<TimeSeries usage="{usage}" interpolationMethod="{method}">{items}</TimeSeries>'


def between(text: str, best_fit: str = "ExponentialSmoothing", content: str = LINE) -> Model:
    fields = TARGET + '<DataField name="h" optype="continuous" dataType="double"/>'
    schema = SCHEMA.replace('name="h"', 'name="h" usageType="order"')
    return load_series(best_fit, text + content, fields, schema)


@pytest.mark.parametrize(
    ("method", "oracle"),
    [
        ("linear", lambda at: np.interp(at, TIMES, VALUES)),
        ("exponentialSpline", lambda at: np.exp(np.interp(at, TIMES, np.log(VALUES)))),
        ("cubicSpline", lambda at: CubicSpline(TIMES, VALUES, bc_type="natural")(at)),
    ],
)
def test_values_between_points_are_interpolated(method: str, oracle: Any) -> None:
    at = np.linspace(1, 8, 29)
    rows = between(stored(method)).score([{"h": float(time)} for time in at])
    np.testing.assert_allclose([row["forecast"] for row in rows], oracle(at), rtol=1e-12)


def test_without_interpolation_only_points_have_values() -> None:
    rows = between(stored("none")).score([{"h": 0.0}, {"h": 2.0}, {"h": 3.0}, {"h": 8.0}])
    assert [row["forecast"] for row in rows] == [None, 3.0, None, 4.0]
    assert [row["error"] for row in rows] == [None, 0.2, None, 0.8]
    assert rows[1]["lower"] == pytest.approx(3 - 1.2815515655446004 * 0.2)


def test_predicted_values_are_told_before_completed_and_original_ones() -> None:
    text = stored("none") + stored("none", "logical", [value + 10 for value in VALUES])
    assert between(text).score_row({"h": 2.0})["forecast"] == 13.0
    text += stored("none", "prediction", [value + 20 for value in VALUES])
    assert between(text).score_row({"h": 2.0})["forecast"] == 23.0


def test_smoothed_values_of_the_algorithm_are_predictions() -> None:
    content = LINE.replace("</ExponentialSmoothing>", '<TimeValue index="2" value="7"/></ExponentialSmoothing>')
    rows = between(stored("none"), content=content).score([{"h": 2.0}, {"h": 4.0}])
    assert [row["forecast"] for row in rows] == [7.0, 1.0]


@pytest.mark.parametrize("best_fit", ["SpectralAnalysis", "SeasonalTrendDecomposition"])
def test_algorithms_without_content_tell_what_is_stored(best_fit: str) -> None:
    text = stored("none") + series([6.0, 7.0], 'usage="prediction"', start=8)
    model = between(text, best_fit, f"<{best_fit}/>")
    rows = model.score([{"h": 4.0}, {"h": 8.0}, {"h": 9.0}, {"h": 10.0}], errors="collect")
    assert [row["forecast"] for row in rows] == [1.0, 6.0, 7.0, None]
    assert "is a time that the model predicts no value of" in rows[3]["_error"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('<TimeSeries startTime="9" endTime="1"><TimeValue value="1"/></TimeSeries>', "startTime 9 is after"),
        ('<TimeSeries endTime="1"><TimeValue time="2" value="1"/></TimeSeries>', "time 2 is outside"),
        (
            '<TimeSeries><TimeValue index="2" value="1"/><TimeValue index="2" value="1"/></TimeSeries>',
            "not later than the one before",
        ),
        (
            '<TimeSeries><TimeValue index="2" value="1"/><TimeValue time="3" value="1"/></TimeSeries>',
            "give all values an index, or all a time",
        ),
        ('<TimeSeries><TimeValue value="1"><Timestamp>soon</Timestamp></TimeValue></TimeSeries>', "is no date"),
        (stored("exponentialSpline", values=[1, 2, 0, 4, 5]), "needs positive values"),
        ('<TimeSeries><TimeAnchor stepsize="0"/><TimeValue value="1"/></TimeSeries>', "stepsize 0 is not positive"),
        (
            '<TimeSeries><TimeAnchor><TimeCycle type="includeSet" length="9999999"/></TimeAnchor><TimeValue value="1"/>'
            "</TimeSeries>",
            "makes no cycle",
        ),
        (
            '<TimeSeries><TimeAnchor><TimeCycle type="includeSet" length="7"/></TimeAnchor><TimeValue value="1"/>'
            "</TimeSeries>",
            "leaves no step",
        ),
        (
            f'<TimeSeries><TimeException count="2">{numbers([1])}</TimeException><TimeValue value="1"/></TimeSeries>',
            "has count 2",
        ),
    ],
)
def test_a_series_that_contradicts_itself_is_refused(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=r"line \d+") as caught:
        between(text)
    assert message in str(caught.value)


def test_dates_need_an_anchor_or_timestamps() -> None:
    with pytest.raises(SchemaError, match='"h" is a date, but no <TimeAnchor> or <Timestamp>'):
        dated("date", '<TimeValue index="1" value="1"/>')


def test_output_names_the_target() -> None:
    model = load_series("ExponentialSmoothing", LINE, output=OUTPUT)
    assert [field.name for field in model.outputs] == ["y", "forecast", "error", "lower", "upper"]
    assert all(field.data_type == "double" for field in model.outputs)
