"""Built-in functions where types, limits and dialects matter; the plain values are in test_expressions."""

import math
from typing import Any

import numpy as np
import pytest
from documents import FIELDS, expression, model
from test_expressions import ROW, call

from pmml_worker import ScoringError


def single(text: str) -> str:
    return f'<Constant dataType="float">{text}</Constant>'


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        ("+", (single("0.1"), single("0.2")), np.float32(0.1) + np.float32(0.2)),
        ("*", (single("0.1"), 3), np.float32(0.1) * np.float32(3)),
        ("+", (single("0.1"), 0.2), float(np.float32(0.1)) + 0.2),
        ("sum", (single("0.1"), single("0.2")), np.float32(0.1) + np.float32(0.2)),
        ("avg", (single("0.1"), single("0.2")), (np.float32(0.1) + np.float32(0.2)) / np.float32(2)),
        ("sqrt", (single("2"),), math.sqrt(2)), ("exp", (single("1"),), math.e),
        ("log10", (single("2"),), math.log10(2)), ("sin", (single("1"),), math.sin(1)),
    ],
)  # fmt: skip
def test_floats_add_and_multiply_in_single_precision_and_have_functions_in_double(
    function: str, arguments: tuple[Any, ...], expected: float
) -> None:
    assert expression(call(function, *arguments), ROW, "double") == float(expected)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("+", (2**62, 2**62)), ("-", (-(2**62), 2**62 + 1)), ("*", (2**32, 2**31)), ("pow", (10, 20)),
     ("sum", (2**62, 2**62)), ("product", (2**32, 2**31)), ("floor", (1e20,)), ("modulo", (7, 0)), ("/", (7, 0))],
)  # fmt: skip
def test_integers_beyond_64_bits_and_divided_by_zero_are_errors(function: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ScoringError):
        expression(call(function, *arguments), ROW, "integer")


def test_sums_and_products_may_have_more_than_two_arguments() -> None:
    assert expression(call("*", 2, 3, "$x"), ROW, "double") == 45.0
    assert expression(call("+", 2, 3, 4), ROW, "integer") == 9
    assert expression(call("+", 2, "$x", 4), ROW | {"x": None}, "double") is None


def test_large_integers_are_exact() -> None:
    assert expression(call("+", 2**53, 1), ROW, "integer") == 2**53 + 1
    assert expression(call("*", 3**20, 3**19), ROW, "integer") == 3**39


def test_an_integer_to_a_negative_power_is_an_error_and_a_double_is_not() -> None:
    with pytest.raises(ScoringError, match="negative exponent"):
        expression(call("pow", 2, -1), ROW)
    assert expression(call("pow", 2.0, -1), ROW, "double") == 0.5


def test_rounding_goes_up_from_the_middle_only() -> None:
    values = [0.49999999999999994, 0.5, 1.5, -0.5, -1.5, 2.5]
    assert [expression(call("round", value), ROW, "integer") for value in values] == [0, 1, 2, 0, -1, 3]


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        ("equal", (1, 1.0), True), ("equal", (1, 1.5), False), ("equal", ("1", 1), True), ("equal", ("a", 1), False),
        ("equal", ("7.50", "$x"), False), ("equal", ("$x", "7.50"), True), ("equal", (single("0.1"), 0.1), True),
        ("equal", (0.1, single("0.1")), False), ("notEqual", ("$s", 5), True), ("equal", ("$d", "2013-01-25"), True),
        ("lessThan", ("$i", "7.5"), True), ("lessThan", ("$d", "2013-01-26"), True), ("greaterThan", (7, 6.5), True),
        ("lessThan", ("$t", "2013-01-25T10:01:08.5"), True), ("isIn", ("a", 1, "a"), True), ("equal", ("$b", 1), True),
        ("isIn", (single("0.1"), 0.1), True),
    ],
)  # fmt: skip
def test_the_right_side_is_read_as_the_left_side_is(function: str, arguments: tuple[Any, ...], expected: bool) -> None:
    assert expression(call(function, *arguments), ROW, "boolean") is expected


@pytest.mark.parametrize(("left", "right"), [("$x", "abc"), ("$d", "x"), ("$b", "yes"), ("$t", "10:00:00")])
def test_a_text_that_is_no_value_of_the_left_side_s_type_is_an_error(left: str, right: str) -> None:
    with pytest.raises(ScoringError, match=f'value "{right}" is no'):
        expression(call("equal", left, right), ROW)


SIZES = (
    FIELDS
    + """<DataField name="size" optype="ordinal" dataType="string"><Value value="small"/>
<Value value="medium"/><Value value="large"/></DataField>"""
)


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [("lessThan", "small", True), ("lessThan", "large", False), ("greaterOrEqual", "medium", True),
     ("greaterThan", "large", True), ("lessOrEqual", "medium", True)],
)  # fmt: skip
def test_values_of_ordinal_fields_are_compared_by_their_order(function: str, value: str, expected: bool) -> None:
    text = call(function, "$size", "medium")
    scorer = model(
        f"""<RegressionModel functionName="regression"><MiningSchema><MiningField name="y" usageType="target"/>
        <MiningField name="size" invalidValueTreatment="asIs"/></MiningSchema><Output><OutputField name="out"
        dataType="boolean" feature="transformedValue">{text}</OutputField></Output><RegressionTable intercept="0"/>
        </RegressionModel>""",
        SIZES,
    )
    assert scorer.score_row({"size": value})["out"] is expected
    with pytest.raises(ScoringError, match="has no place"):
        scorer.score_row({"size": "huge"})


@pytest.mark.parametrize(
    ("treatment", "expected"), [("asMissing", None), ("asIs", math.nan), ('asMissing" defaultValue="3', 3.0)]
)
def test_an_invalid_result_is_treated_as_told(treatment: str, expected: float | None) -> None:
    got = expression(call("sqrt", -1.0, invalidValueTreatment=treatment), ROW, "double")
    assert got == pytest.approx(expected, nan_ok=True) if expected is not None else got is None


@pytest.mark.parametrize("text", [call("substring", "a", 0, 1), call("exp", "a"), call("ln", "$x")])
def test_arguments_that_a_function_cannot_take_are_errors_whatever_becomes_of_invalid_results(text: str) -> None:
    with pytest.raises(ScoringError):
        expression(text.replace(">", ' invalidValueTreatment="asMissing">', 1), ROW | {"x": None})


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (r"\w", "éa", "é_"), (r"[\w]", "éa", "é_"), (r"\d", "٣4", "٣_"), (r"\p{L}", "é1", "_1"), (r"\P{L}", "é1", "é_"),
        (r"\p{Lu}", "éÉ", "é_"), (r"\p{Upper}", "aA", "a_"), (r"\p{IsAlphabetic}", "é1", "_1"), (r"\pN", "a1", "a_"),
        (r"\p{Punct}", "a,b", "a_b"), (r"\h", "a\tb", "a_b"), (r"\Qa.\E", "a.ab", "_ab"), (r"\x{2F}", "a/b", "a_b"),
        (r"b\Z", "b\n", "_\n"), (r"b\z", "b\n", "b\n"), (r"b$", "b\n", "_\n"), (r"(?<n>a)\k<n>", "aaa", "_a"),
        (r"[[:upper:]\d]", "aB1", "a__"), (r"[\s\S]", "a b", "___"), (r"a++", "aa", "_"), (r"(?i)A", "a", "_"),
        (r"\bé", "é", "_"), (r"[]a]", "a]", "__"), (r"\u0061", "a", "_"),
    ],
)  # fmt: skip
def test_regular_expressions_are_of_the_perl_kind(pattern: str, text: str, expected: str) -> None:
    assert expression(call("replace", "$s", pattern.replace("<", "&lt;"), "_"), ROW | {"s": text}) == expected


@pytest.mark.parametrize(
    ("pattern", "into", "expected"),
    [("(b)(c)", "<Constant>$2$1</Constant>", "acb"), ("b", "<Constant>[$0]</Constant>", "a[b]c"),
     ("b", r"\$", "a$c"),
     ("(b)", "<Constant>$12</Constant>", "ab2c"), ("(?&lt;n>b)", "<Constant>${n}!</Constant>", "ab!c")],
)  # fmt: skip
def test_replacements_refer_to_groups(pattern: str, into: str, expected: str) -> None:
    assert expression(call("replace", "abc", pattern, into), ROW) == expected


@pytest.mark.parametrize(
    ("pattern", "into"),
    [("[", "x"), ("b", "<Constant>$1</Constant>"), ("b", "<Constant>${n}</Constant>"), (r"\p{Nonsense}", "x"),
     ("[a&amp;&amp;b]", "x"), ("[a[b]]", "x"), ("b", "<Constant>$</Constant>")],
)  # fmt: skip
def test_regular_expressions_that_cannot_be_used_are_errors(pattern: str, into: str) -> None:
    with pytest.raises(ScoringError, match='function "replace"'):
        expression(call("replace", "abc", pattern, into), ROW)


@pytest.mark.parametrize(
    ("value", "pattern", "expected"),
    [(2, "%3d", "  2"), (255, "%x", "ff"), (255, "%X", "FF"), (8, "%o", "10"), (2.5, "%5.1f%%", "  2.5%"),
     (2.5, "%e", "2.500000e+00"), (5, "%+05d", "+0005"), (5, "none", "none"), (2, "%.1f", "2.0")],
)  # fmt: skip
def test_numbers_are_formatted_as_c_does(value: float, pattern: str, expected: str) -> None:
    assert expression(call("formatNumber", value, pattern), ROW) == expected


@pytest.mark.parametrize(("value", "pattern"), [(2.5, "%d"), (5, "%q"), (5, "%d %d")])
def test_patterns_that_do_not_fit_a_number_are_errors(value: float, pattern: str) -> None:
    with pytest.raises(ScoringError, match='function "formatNumber"'):
        expression(call("formatNumber", value, pattern), ROW)


def test_blanks_are_trimmed_and_other_characters_are_not() -> None:
    assert expression(call("trimBlanks", "$s"), ROW | {"s": "\t \u00a0a \n"}) == "\u00a0a"


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [("normalIDF", (0.0, 1.0, 2.0), -math.inf), ("stdNormalIDF", (1.0,), math.inf),
     ("x-atan2", (1.0, 2.0), math.atan2(1, 2)),
     ("atan2", (-1.0, -2.0), math.atan2(-1, -2)), ("x-expm1", (1e-9,), math.expm1(1e-9)),
     ("asin", (0.5,), math.asin(0.5)), ("acos", (0.5,), math.acos(0.5)), ("sinh", (0.5,), math.sinh(0.5)),
     ("cosh", (0.5,), math.cosh(0.5)), ("cos", (0.5,), math.cos(0.5)), ("tan", (0.5,), math.tan(0.5)),
     ("tanh", (0.5,), math.tanh(0.5)), ("normalCDF", (-40.0, 0.0, 1.0), 0.5 * math.erfc(40 / math.sqrt(2)))],
)  # fmt: skip
def test_functions_of_real_numbers(function: str, arguments: tuple[Any, ...], expected: float) -> None:
    assert expression(call(function, *arguments), ROW, "double") == pytest.approx(expected, rel=1e-15, abs=0)


@pytest.mark.parametrize("deviation", [0.0, -1.0])
def test_a_normal_distribution_needs_a_positive_deviation(deviation: float) -> None:
    for function in ("normalCDF", "normalPDF", "normalIDF"):
        with pytest.raises(ScoringError, match="has no result"):
            expression(call(function, 0.5, 0.0, deviation), ROW)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("dateSecondsSinceMidnight", ("$d",)), ("formatDatetime", ("$i", "%Y")), ("+", ("$d", 1)), ("exp", ("$t",))],
)
def test_dates_are_no_numbers_and_numbers_no_dates(function: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ScoringError, match="is no"):
        expression(call(function, *arguments), ROW)
