import datetime
import re
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from documents import model

from pmml_worker import Model, ScoringError


def echo(data_field: str, mining_field: str = "", value_type: str = "") -> Model:
    """A model that gives out its one input."""
    declared = f'dataType="{value_type}" ' if value_type else ""
    fields = data_field + '<DataField name="y" optype="continuous" dataType="double"/>'
    return model(
        f"""<RegressionModel functionName="regression"><MiningSchema><MiningField name="y" usageType="target"/>
        <MiningField name="f" {mining_field}/></MiningSchema><Output><OutputField name="out" {declared}
        feature="transformedValue"><FieldRef field="f"/></OutputField></Output><RegressionTable intercept="0"/>
        </RegressionModel>""",
        fields,
    )


CATEGORICAL = """<DataField name="f" optype="categorical" dataType="string"><Value value="a"/><Value value="b"/>
<Value value="?" property="missing"/><Value value="!" property="invalid"/></DataField>"""
INTERVAL = """<DataField name="f" optype="continuous" dataType="double"><Interval closure="openClosed" leftMargin="0"
rightMargin="10"/></DataField>"""
PLAIN = '<DataField name="f" optype="continuous" dataType="double"/>'


def out(scorer: Model, value: Any) -> Any:
    return scorer.score_row({"f": value})["out"]


@pytest.mark.parametrize(("value", "expected"), [("a", "a"), ("?", None), (None, None), (float("nan"), None)])
def test_valid_and_missing_values_are_told_apart(value: Any, expected: str | None) -> None:
    assert out(echo(CATEGORICAL), value) == expected


@pytest.mark.parametrize("value", ["c", "!"])
def test_invalid_values_are_errors_unless_treated(value: str) -> None:
    with pytest.raises(ScoringError, match=f'field f: value "{value}" is not a valid value') as caught:
        out(echo(CATEGORICAL), value)
    assert (caught.value.row, caught.value.field, caught.value.value) == (0, "f", value)
    assert caught.value.element is not None and caught.value.element.startswith("MiningField, line")


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [("asIs", "c"), ("asMissing", None), ('asValue" invalidValueReplacement="b', "b"),
     ('asMissing" missingValueReplacement="a', "a"), ('asValue" x-invalidValueReplacement="a', "a")],
)  # fmt: skip
def test_invalid_values_are_treated_as_told(treatment: str, expected: str | None) -> None:
    assert out(echo(CATEGORICAL, f'invalidValueTreatment="{treatment}"'), "c") == expected


@pytest.mark.parametrize(("value", "valid"), [(0, False), (0.001, True), (10, True), (10.001, False)])
def test_intervals_bound_valid_numbers(value: float, valid: bool) -> None:
    assert out(echo(INTERVAL, 'invalidValueTreatment="asMissing"'), value) == (value if valid else None)


def test_several_intervals_and_values_are_alternatives() -> None:
    field = INTERVAL.replace("</DataField>", '<Interval closure="closedOpen" leftMargin="20"/></DataField>')
    scorer = echo(field, 'invalidValueTreatment="asMissing"')
    assert [out(scorer, value) for value in (5, 15, 20, 1e300)] == [5, None, 20, 1e300]


@pytest.mark.parametrize(
    ("outliers", "expected"),
    [("asIs", [-5, 3, 50]), ("asMissingValues", [None, 3, None]), ("asExtremeValues", [0, 3, 10])],
)
def test_outliers_are_treated_as_told(outliers: str, expected: list[float | None]) -> None:
    scorer = echo(PLAIN, f'outliers="{outliers}" lowValue="0" highValue="10"')
    assert [out(scorer, value) for value in (-5, 3, 50)] == expected


def test_an_invalid_value_that_is_used_as_is_is_no_outlier() -> None:
    scorer = echo(INTERVAL, 'invalidValueTreatment="asIs" outliers="asExtremeValues" lowValue="2" highValue="8"')
    assert [out(scorer, value) for value in (1, 9, 50)] == [2, 8, 50]


def test_outliers_that_became_missing_are_replaced() -> None:
    scorer = echo(PLAIN, 'outliers="asMissingValues" lowValue="0" highValue="10" missingValueReplacement="7"')
    assert out(scorer, 50) == 7


@pytest.mark.parametrize("treatment", ["asMean", "asMode", "asMedian", "asValue"])
def test_missing_values_are_replaced(treatment: str) -> None:
    assert out(echo(PLAIN, f'missingValueTreatment="{treatment}" missingValueReplacement="4.5"'), None) == 4.5


@pytest.mark.parametrize("treatment", ["returnInvalid", "x-returnInvalid"])
def test_missing_values_may_be_refused(treatment: str) -> None:
    with pytest.raises(ScoringError, match="field f: a missing value is refused"):
        out(echo(PLAIN, f'missingValueTreatment="{treatment}"'), None)


def test_a_text_that_is_no_number_is_invalid() -> None:
    with pytest.raises(ScoringError, match='field f: value "abc" is no double'):
        out(echo(PLAIN), "abc")
    assert out(echo(PLAIN, 'invalidValueTreatment="asMissing"'), "abc") is None
    with pytest.raises(ScoringError, match='value "abc" is no double'):
        out(echo(PLAIN, 'invalidValueTreatment="asIs"'), "abc")


@pytest.mark.parametrize(
    ("data_type", "value", "expected"),
    [
        ("double", "1.5e3", 1500.0), ("double", 7, 7.0), ("double", "TRUE", 1.0), ("double", "", None),
        ("double", float("inf"), float("inf")), ("integer", "12", 12), ("integer", 12.0, 12), ("integer", "12.0", 12),
        ("string", 7, "7"), ("string", 7.0, "7.0"), ("string", 1e10, "1.0E10"), ("string", True, "true"),
        ("boolean", "true", True), ("boolean", 0, False), ("boolean", "FALSE", False), ("float", 0.1, 0.1),
    ],
)  # fmt: skip
def test_values_are_read_as_the_declared_type(data_type: str, value: Any, expected: Any) -> None:
    field = f'<DataField name="f" optype="categorical" dataType="{data_type}"/>'
    got = out(echo(field, value_type=data_type), value)
    assert got == (pytest.approx(expected, rel=1e-7) if isinstance(expected, float) else expected)
    assert type(got) is type(expected)


@pytest.mark.parametrize("value", ["1.5", 1.5, "x", 1e30])
def test_what_is_no_whole_number_is_no_integer(value: Any) -> None:
    field = '<DataField name="f" optype="continuous" dataType="integer"/>'
    with pytest.raises(ScoringError, match="is no integer"):
        out(echo(field), value)


@pytest.mark.parametrize(
    ("data_type", "value", "expected"),
    [
        ("date", "2013-01-25", "2013-01-25"), ("time", "10:01:08", "10:01:08"),
        ("dateTime", "2013-01-25T10:01:08", "2013-01-25T10:01:08"), ("dateDaysSince[1960]", "1960-01-03", "2"),
        ("dateDaysSince[1970]", "1969-12-31", "-1"), ("dateDaysSince[1980]", "1980-02-01", "31"),
        ("dateDaysSince[0]", "1970-01-01", "719528"), ("dateTimeSecondsSince[1970]", "1970-01-01T00:01:00", "60"),
        ("timeSeconds", "00:01:05", "65"),
    ],
)  # fmt: skip
def test_dates_and_times_are_read_and_written(data_type: str, value: str, expected: str) -> None:
    field = f'<DataField name="f" optype="ordinal" dataType="{data_type}"/>'
    assert out(echo(field, value_type="string"), value) == expected


@pytest.mark.parametrize(
    ("data_type", "value", "expected"),
    [
        ("time", "10:01", "10:01:00"), ("time", "10:01:08.25", "10:01:08.25"), ("time", "10:01:08Z", "10:01:08"),
        ("dateTime", "2013-01-25T10:01:08.250", "2013-01-25T10:01:08.25"),
        ("dateTime", "2013-01-25T10:01:08Z", "2013-01-25T10:01:08"),
        ("dateTime", "2013-01-25T01:01:08+02:00", "2013-01-24T23:01:08"),
        ("dateTime", "2013-01-25T23:01:08-02:30", "2013-01-26T01:31:08"),
        ("date", "2013-01-25+02:00", "2013-01-25"), ("date", "12013-01-25", "12013-01-25"),
        ("timeSeconds", "25:00:01", "90001"), ("timeSeconds", "-00:01:05", "-65"), ("timeSeconds", "65", "65"),
        ("dateDaysSince[1960]", "-5", "-5"), ("dateDaysSince[0]", "0001-01-01", "366"),
        ("dateTimeSecondsSince[0]", "0000-01-01T00:00:01", "1"),
        ("dateTimeSecondsSince[1960]", "1960-01-01T00:00:01.9", "1"),
        ("dateTimeSecondsSince[1980]", "1980-01-02T00:00:00", "86400"),
        ("dateTimeSecondsSince[1980]", "86400", "86400"),
    ],
)  # fmt: skip
def test_dates_and_times_have_fractions_zones_and_numbers(data_type: str, value: str, expected: str) -> None:
    field = f'<DataField name="f" optype="ordinal" dataType="{data_type}"/>'
    assert out(echo(field, value_type="string"), value) == expected


@pytest.mark.parametrize(
    ("data_type", "value"),
    [("date", "2013-02-30"), ("date", "2013-1-5"), ("date", "20130125"), ("date", "2013-W04-5"), ("date", 15730),
     ("date", "2013-01-25T00:00:00"), ("time", "24:00:00"), ("time", "10"), ("dateTime", "2013-01-25"),
     ("dateTime", 0), ("timeSeconds", "1:2:3"), ("dateDaysSince[1970]", "2013-01-25T00:00:00"),
     ("double", "1_000"), ("integer", "1_000"), ("boolean", "1_0"), ("double", "12a")],
)  # fmt: skip
def test_what_is_not_of_the_declared_type_is_invalid(data_type: str, value: Any) -> None:
    field = f'<DataField name="f" optype="ordinal" dataType="{data_type}"/>'
    with pytest.raises(ScoringError, match=re.escape(f"is no {data_type}")):
        out(echo(field), value)


@pytest.mark.parametrize(
    ("source", "value", "target", "expected"),
    [
        ("dateTime", "2013-01-25T10:01:08", "date", "2013-01-25"),
        ("dateTime", "1969-12-31T10:00:00", "date", "1969-12-31"),
        ("dateTime", "2013-01-25T10:01:08.5", "time", "10:01:08.5"),
        ("date", "2013-01-25", "dateTime", "2013-01-25T00:00:00"),
        ("dateTime", "1970-01-02T00:00:01", "dateTimeSecondsSince[1970]", "86401"),
        ("time", "00:01:05", "timeSeconds", "65"),
        ("dateTime", "1970-01-02T00:00:01", "timeSeconds", "1"), ("timeSeconds", "65", "time", "00:01:05"),
        ("date", "1960-01-03", "dateDaysSince[1960]", "2"),
        ("dateDaysSince[1960]", "2", "dateDaysSince[1980]", "-7303"),
        ("dateDaysSince[1960]", "2", "date", "1960-01-03"),
        ("dateTime", "1960-01-03T05:00:00", "dateDaysSince[1960]", "2"),
        ("dateTimeSecondsSince[1960]", "60", "dateTime", "1960-01-01T00:01:00"),
        ("dateDaysSince[1960]", "2", "integer", "2"),
        ("dateTimeSecondsSince[1970]", "60", "double", "60.0"), ("integer", "2", "dateDaysSince[1960]", "2"),
    ],
)  # fmt: skip
def test_dates_and_times_become_one_another(source: str, value: str, target: str, expected: str) -> None:
    fields = f"""<DataField name="f" optype="ordinal" dataType="{source}"/>
    <DataField name="y" optype="continuous" dataType="double"/>"""
    scorer = model(
        f"""<RegressionModel functionName="regression"><MiningSchema><MiningField name="y" usageType="target"/>
        <MiningField name="f"/></MiningSchema><Output><OutputField name="out" dataType="string"
        feature="transformedValue"><FieldRef field="g"/></OutputField></Output><LocalTransformations><DerivedField
        name="g" optype="ordinal" dataType="{target}"><FieldRef field="f"/></DerivedField></LocalTransformations>
        <RegressionTable intercept="0"/></RegressionModel>""",
        fields,
    )
    assert scorer.score_row({"f": value})["out"] == expected


@pytest.mark.parametrize(
    ("source", "value", "target"),
    [
        ("date", "2013-01-25", "time"),
        ("date", "2013-01-25", "double"),
        ("time", "10:00:00", "date"),
        ("double", 5.0, "date"),
    ],
)
def test_a_value_that_lacks_parts_of_the_other_type_is_an_error(source: str, value: Any, target: str) -> None:
    with pytest.raises(ScoringError, match=f"is no {target}"):
        out(echo(f'<DataField name="f" optype="ordinal" dataType="{source}"/>', value_type=target), value)


@pytest.mark.parametrize(
    ("array", "data_type", "expected"),
    [
        (pa.array(["a", "b"]).dictionary_encode(), "string", ["a", "b"]),
        (pa.array(["1e3", "2"]).dictionary_encode(), "double", [1000.0, 2.0]),
        (pa.array([Decimal("1.5"), Decimal("2.25")]), "double", [1.5, 2.25]),
        (pa.array([1, 2], pa.int8()), "double", [1.0, 2.0]), (pa.array([1, 2], pa.uint64()), "integer", [1, 2]),
        (pa.array([1.0, 2.0], pa.float16()), "integer", [1, 2]), (pa.array([True, False]), "integer", [1, 0]),
        (pa.array([True, False]), "double", [1.0, 0.0]), (pa.array([1, 0], pa.int16()), "boolean", [True, False]),
        (pa.array([15730], pa.date32()), "date", [datetime.date(2013, 1, 25)]),
        (pa.array([15730 * 86400000], pa.date64()), "date", [datetime.date(2013, 1, 25)]),
        (pa.array([1500], pa.timestamp("ms")), "dateTime", [datetime.datetime(1970, 1, 1, 0, 0, 1, 500000)]),
        (pa.array([7200], pa.timestamp("s", "Europe/Berlin")), "dateTime", [datetime.datetime(1970, 1, 1, 2)]),
        (pa.array([65], pa.time32("s")), "time", [datetime.time(0, 1, 5)]),
        (pa.array([15730], pa.date32()), "dateDaysSince[1970]", [15730]),
        (pa.array(["x", None], pa.large_string()), "string", ["x", None]), (pa.nulls(1), "double", [None]),
    ],
)  # fmt: skip
def test_arrow_columns_of_every_kind_are_taken(array: pa.Array, data_type: Any, expected: list[Any]) -> None:
    field = f'<DataField name="f" optype="ordinal" dataType="{data_type}"/>'
    result = echo(field, value_type=data_type).score(pa.table({"f": array}))
    assert result["out"].to_pylist() == expected


def test_categories_of_pandas_are_taken() -> None:
    frame = pd.DataFrame({"f": pd.Categorical(["b", None, "a"], categories=["a", "b"])}, index=[5, 6, 7])
    got = echo(CATEGORICAL).score(frame)["out"]
    assert got.index.tolist() == [5, 6, 7]
    assert [None if value != value else value for value in got.tolist()] == ["b", None, "a"]


def test_infinities_are_values_and_nan_is_missing() -> None:
    scorer = echo(PLAIN, 'missingValueReplacement="-1"')
    assert [out(scorer, value) for value in (float("inf"), float("-inf"), float("nan"))] == [
        float("inf"), float("-inf"), -1.0,
    ]  # fmt: skip
