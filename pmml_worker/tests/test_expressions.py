import datetime
import math
from typing import Any

import pytest
from documents import document, expression, model, schema

from pmml_worker import SchemaError, ScoringError, load

ROW = {"x": 7.5, "z": -2.0, "i": 7, "s": "aBc", "b": True, "d": "2013-01-25", "t": "2013-01-25T10:01:08"}
EMPTY = dict.fromkeys(ROW)


def field(name: str) -> str:
    return f'<FieldRef field="{name}"/>'


def constant(value: Any) -> str:
    if isinstance(value, bool):
        return f'<Constant dataType="boolean">{str(value).lower()}</Constant>'
    kind = {int: "integer", float: "double", str: "string"}[type(value)]
    return f'<Constant dataType="{kind}">{value}</Constant>'


def call(function: str, *arguments: Any, **attributes: str) -> str:
    """An Apply of fields (texts like "$x") and constants."""
    told = "".join(f' {name}="{value}"' for name, value in attributes.items())
    inner = "".join(
        argument if isinstance(argument, str) and argument.startswith("<")
        else field(argument[1:]) if isinstance(argument, str) and argument.startswith("$")
        else constant(argument)
        for argument in arguments
    )  # fmt: skip
    return f'<Apply function="{function.replace("<", "&lt;")}"{told}>{inner}</Apply>'


@pytest.mark.parametrize(
    ("function", "arguments", "expected"),
    [
        ("+", ("$i", 2), 9), ("-", ("$x", 0.5), 7.0), ("*", ("$i", -2), -14), ("/", ("$x", 2.0), 3.75),
        ("/", ("$i", -2), -3), ("/", ("$x", 0.0), math.inf), ("+", ("$i", 0.5), 7.5),
        ("min", ("$i", "$x", "$z"), -2.0), ("max", ("$i", 3), 7), ("sum", ("$i", 1, 2), 10), ("avg", ("$i", 2), 4.5),
        ("median", (1, 9, 4), 4.0), ("median", (1, 9, 4, 6), 5.0), ("product", ("$i", 2), 14),
        ("log10", (1000.0,), 3.0), ("ln", (1.0,), 0.0), ("sqrt", (2.25,), 1.5), ("abs", ("$z",), 2.0),
        ("exp", (1.0,), math.e), ("pow", ("$i", 2), 49), ("pow", (2.0, 0.5), math.sqrt(2)),
        ("threshold", ("$i", 6), 1), ("threshold", ("$i", 7), 0), ("floor", ("$x",), 7), ("ceil", ("$x",), 8),
        ("round", ("$x",), 8), ("round", (-7.5,), -7), ("rint", (6.5,), 6.0), ("modulo", ("$i", -2), -1),
        ("modulo", (-7.5, 2.0), 0.5), ("expm1", (1e-9,), math.expm1(1e-9)), ("ln1p", (1e-9,), math.log1p(1e-9)),
        ("hypot", (3.0, 4.0), 5.0), ("sin", (1.0,), math.sin(1)), ("atan", (1.0,), math.pi / 4),
        ("erf", (0.5,), math.erf(0.5)), ("stdNormalCDF", (0.0,), 0.5), ("stdNormalPDF", (0.0,), 0.3989422804014327),
        ("stdNormalIDF", (0.975,), 1.959963984540054), ("normalCDF", (3.0, 1.0, 2.0), 0.8413447460685429),
        ("normalPDF", (1.0, 1.0, 2.0), 0.19947114020071635), ("normalIDF", (0.5, 1.0, 2.0), 1.0),
        ("isMissing", ("$x",), False), ("isNotMissing", ("$x",), True), ("isValid", ("$x",), True),
        ("isNotValid", ("$x",), False), ("equal", ("$i", 7), True), ("notEqual", ("$s", "aBc"), False),
        ("lessThan", ("$i", 7), False), ("lessOrEqual", ("$i", 7), True), ("greaterThan", ("$x", 7), True),
        ("greaterOrEqual", ("$x", 8), False), ("and", (True, False), False), ("or", (False, True, False), True),
        ("not", ("$b",), False), ("isIn", ("$i", 1, 7), True), ("isNotIn", ("$s", "a", "b"), True),
        ("if", ("$b", 1, 2), 1), ("if", (False, 1, 2), 2), ("if", (False, 1), None),
        ("uppercase", ("$s",), "ABC"), ("lowercase", ("$s",), "abc"), ("trimBlanks", ("  a b ",), "a b"),
        ("stringLength", ("$s",), 3), ("substring", ("$s", 2, 5), "Bc"), ("concat", ("$s", "-", "$i"), "aBc-7"),
        ("replace", ("$s", "(a)(B)", "$2$1"), "Bac"), ("matches", ("$s", "B"), True), ("matches", ("$s", "^B"), False),
        ("formatNumber", ("$x", "%6.2f"), "  7.50"), ("formatDatetime", ("$d", "%d/%m/%Y"), "25/01/2013"),
        ("dateDaysSinceYear", ("$d", 2012), 390), ("dateSecondsSinceYear", ("$t", 2013), 24 * 86400 + 36068),
        ("dateSecondsSinceMidnight", ("$t",), 36068),
    ],
)  # fmt: skip
def test_built_in_functions(function: str, arguments: tuple[Any, ...], expected: Any) -> None:
    arguments = tuple(constant(item) if isinstance(item, str) and item in ("$2$1",) else item for item in arguments)
    kind = {bool: "boolean", int: "integer", float: "double", str: "string", type(None): "double"}[type(expected)]
    got = expression(call(function, *arguments), ROW, kind)
    assert type(got) is type(expected)
    assert got == (pytest.approx(expected, rel=1e-15) if isinstance(expected, float) else expected)


@pytest.mark.parametrize("function", ["+", "-", "*", "/", "modulo"])
def test_arithmetic_on_missing_values_is_missing(function: str) -> None:
    assert expression(call(function, "$x", 1.0), EMPTY | {"i": 1}, "double") is None


@pytest.mark.parametrize(
    ("function", "expected"),
    [("min", 2.0), ("max", 2.0), ("sum", 2.0), ("avg", 2.0), ("median", 2.0), ("product", 2.0)],
)
def test_aggregates_leave_missing_values_out(function: str, expected: float) -> None:
    row = EMPTY | {"i": 1}
    assert expression(call(function, "$x", 2.0), row, "double") == expected
    assert expression(call(function, "$x", "$z"), row, "double") is None


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("log10", ("$x",)), ("pow", ("$x", 2.0)), ("equal", ("$x", 1.0)), ("and", ("$b", True)), ("lowercase", ("$s",)),
     ("matches", ("$s", "a")), ("if", ("$b", 1, 2)), ("round", ("$x",)), ("not", ("$b",))],
)  # fmt: skip
def test_other_functions_call_missing_values_an_error_which_map_missing_to_averts(
    function: str, arguments: tuple[Any, ...]
) -> None:
    row = EMPTY | {"i": 1}
    with pytest.raises(ScoringError, match=f'function "{function}" cannot take a missing value'):
        expression(call(function, *arguments), row)
    assert expression(call(function, *arguments, mapMissingTo="1"), row, "string") is not None


@pytest.mark.parametrize(
    ("function", "arguments"), [("sqrt", (-1.0,)), ("ln", (-1.0,)), ("/", (1, 0)), ("substring", ("abc", 0, 1))]
)
def test_results_that_are_undefined_are_errors(function: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ScoringError, match=f'function "{function}"'):
        expression(call(function, *arguments), ROW)


def test_a_default_value_stands_in_for_a_missing_result() -> None:
    assert expression(call("+", "$x", 1.0, defaultValue="5"), EMPTY | {"i": 1}, "double") == 5.0


def test_an_invalid_result_may_be_treated_as_missing() -> None:
    text = call("sqrt", -1.0, invalidValueTreatment="asMissing", defaultValue="0")
    assert expression(text, ROW, "double") == 0.0


NORM = """<NormContinuous field="x" {}><LinearNorm orig="0" norm="0"/><LinearNorm orig="10" norm="1"/>
<LinearNorm orig="20" norm="3"/></NormContinuous>"""


@pytest.mark.parametrize(
    ("outliers", "expected"),
    [
        ("asIs", [-0.5, 0.5, 2.0, 5.0]),
        ("asMissingValues", [None, 0.5, 2.0, None]),
        ("asExtremeValues", [0.0, 0.5, 2.0, 3.0]),
    ],
)
def test_norm_continuous_is_piecewise_linear(outliers: str, expected: list[float | None]) -> None:
    text = NORM.format(f'outliers="{outliers}"')
    assert [expression(text, ROW | {"x": x}, "double") for x in (-5, 5, 15, 30)] == expected
    assert expression(NORM.format('mapMissingTo="0.25"'), ROW | {"x": None}, "double") == 0.25


def test_norm_discrete_is_an_indicator() -> None:
    text = '<NormDiscrete field="s" value="aBc" mapMissingTo="0.5"/>'
    assert [expression(text, ROW | {"s": value}, "double") for value in ("aBc", "b", None)] == [1.0, 0.0, 0.5]


def test_discretize_takes_the_first_interval_that_holds_the_value() -> None:
    text = """<Discretize field="x" dataType="string" defaultValue="else" mapMissingTo="none">
    <DiscretizeBin binValue="low"><Interval closure="openOpen" rightMargin="0"/></DiscretizeBin>
    <DiscretizeBin binValue="mid"><Interval closure="closedOpen" leftMargin="0" rightMargin="10"/></DiscretizeBin>
    </Discretize>"""
    got = [expression(text, ROW | {"x": x}) for x in (-1, 0, 9.99, 10, None)]
    assert got == ["low", "mid", "mid", "else", "none"]


def test_map_values_looks_up_a_row_of_a_table() -> None:
    rows = "".join(
        f"<row><a>{a}</a><b>{b}</b><c>{c}</c></row>" for a, b, c in (("p", 1, 10), ("p", 2, 20), ("q", 1, 30))
    )
    text = f"""<MapValues outputColumn="c" dataType="integer" defaultValue="-1" mapMissingTo="0">
    <FieldColumnPair field="s" column="a"/><FieldColumnPair field="i" column="b"/>
    <InlineTable>{rows}</InlineTable></MapValues>"""
    keys = (("p", 1), ("p", 2), ("q", 1), ("q", 2), (None, 1))
    assert [expression(text, ROW | {"s": s, "i": i}, "integer") for s, i in keys] == [10, 20, 30, -1, 0]


def test_constants_without_a_type_are_integers_doubles_or_texts() -> None:
    for text, expected in (("5", "5"), ("5.0", "5.0"), ("five", "five")):
        assert expression(f"<Constant>{text}</Constant>", ROW, "string") == expected
    assert expression('<Constant missing="true"/>', ROW) is None


FUNCTION = """<TransformationDictionary><DefineFunction name="half" optype="continuous" dataType="double">
<ParameterField name="p" dataType="double"/><Apply function="/"><FieldRef field="p"/><Constant>2</Constant></Apply>
</DefineFunction><DerivedField name="double x" optype="continuous" dataType="double"><Apply function="*">
<FieldRef field="x"/><Constant>2</Constant></Apply></DerivedField></TransformationDictionary>"""


def test_functions_and_fields_of_the_transformation_dictionary() -> None:
    assert expression(call("half", "$i"), ROW, "double", FUNCTION) == 3.5
    assert expression(call("half", "$double x"), ROW, "double", FUNCTION) == 7.5


def test_functions_are_checked_when_the_document_is_loaded() -> None:
    for text, message in (
        (call("nonsense", 1), 'function "nonsense" is not defined'),
        (call("sqrt", 1.0, 2.0), 'function "sqrt" does not take 2 arguments'),
        (call("half", 1, 2), 'function "half" takes 1 arguments, not 2'),
        (constant(1).replace("1<", "one<"), 'constant "one" is no integer'),
    ):
        with pytest.raises(SchemaError, match=message):
            expression(text, ROW, before=FUNCTION)


TEXT = """<TextIndex textField="s" {}><TextIndexNormalization><InlineTable><row><string>cats</string><stem>cat</stem>
<regex>false</regex></row></InlineTable></TextIndexNormalization><Constant dataType="string">cat</Constant>
</TextIndex>"""


@pytest.mark.parametrize(
    ("attributes", "text", "expected"),
    [("", "the cat saw Cats and a cart", 2.0), ('isCaseSensitive="true"', "the cat saw Cat", 1.0),
     ('maxLevenshteinDistance="1"', "cat cut cart dog", 3.0),
     ('maxLevenshteinDistance="1" countHits="bestHits"', "cat cut cart dog", 1.0),
     ('localTermWeights="binary"', "cat cat", 1.0), ('localTermWeights="logarithmic"', "cat cat", math.log10(3)),
     ('localTermWeights="augmentedNormalizedTermFrequency"', "cat dog dog", 0.75),
     ('wordSeparatorCharacterRE="-"', "cat-dog-cat", 2.0),
     ('x-wordRE="[a-z]+"', "cat7dog_cat", 2.0), ('x-wordRE="[a-z]{4,}"', "cat dogs", 0.0)],
)  # fmt: skip
def test_text_index_counts_terms(attributes: str, text: str, expected: float) -> None:
    assert expression(TEXT.format(attributes), ROW | {"s": text}, "double") == pytest.approx(expected)


def test_dates_are_given_out_as_dates() -> None:
    assert expression(field("d"), ROW, "date") == datetime.date(2013, 1, 25)


def test_an_error_in_a_value_that_no_row_needs_is_none() -> None:
    derived = f"""<LocalTransformations><DerivedField name="root" optype="continuous" dataType="double">
    {call("sqrt", "$x")}</DerivedField></LocalTransformations>"""
    nodes = """<Node><True/><Node score="1"><SimplePredicate field="z" operator="lessThan" value="0"/></Node>
    <Node score="2"><SimplePredicate field="root" operator="lessThan" value="10"/></Node></Node>"""
    text = f'<TreeModel functionName="regression">{schema("y")}{derived}{nodes}</TreeModel>'
    scorer = model(text)
    assert scorer.score_row({"x": -4, "z": -1})["y"] == 1.0
    assert scorer.score_row({"x": 4, "z": 1})["y"] == 2.0
    with pytest.raises(ScoringError, match='"sqrt" has no result'):
        scorer.score_row({"x": -4, "z": 1})


def test_derived_fields_may_be_declared_after_those_that_need_them() -> None:
    fields = "".join(
        f'<DerivedField name="{name}" optype="continuous" dataType="double">{call("+", f"${other}", 1)}</DerivedField>'
        for name, other in (("p", "q"), ("q", "x"))
    )
    before = f"<TransformationDictionary>{fields}</TransformationDictionary>"
    assert expression(field("p"), ROW, "double", before) == 9.5
    assert load(
        document("<TreeModel functionName='regression'>" + schema("y") + "<Node score='1'><True/></Node></TreeModel>")
    )


@pytest.mark.parametrize(
    ("attributes", "text", "expected"),
    [("", "the cta and the Cat", 0.0), ('maxLevenshteinDistance="2"', "the ctas and  the Cat", 2.0),
     ('maxLevenshteinDistance="2" isCaseSensitive="true"', "CATS ctas", 1.0),
     ('maxLevenshteinDistance="1" wordSeparatorCharacterRE="-"', "cat-cot-cats dog", 1.0)],
)  # fmt: skip
def test_a_normalization_has_a_distance_and_a_separator_of_its_own(attributes: str, text: str, expected: float) -> None:
    index = f"""<TextIndex textField="s" wordSeparatorCharacterRE="[\\s\\-]+" isCaseSensitive="false">
    <TextIndexNormalization {attributes}><InlineTable><row><string>cats</string><stem>tiger</stem><regex>false</regex>
    </row></InlineTable></TextIndexNormalization><Constant dataType="string">tiger</Constant></TextIndex>"""
    assert expression(index, ROW | {"s": text}, "double") == expected


def test_tables_outside_the_document_are_refused_with_a_remedy() -> None:
    for text in (
        """<MapValues outputColumn="c"><FieldColumnPair field="s" column="a"/><TableLocator/></MapValues>""",
        """<TextIndex textField="s"><TextIndexNormalization><TableLocator/></TextIndexNormalization>
        <Constant>a</Constant></TextIndex>""",
    ):
        with pytest.raises(SchemaError, match="needs an <InlineTable>: write the table's rows into the document"):
            expression(text, ROW)


def test_functions_that_call_themselves_are_refused() -> None:
    functions = "".join(
        f"""<DefineFunction name="{name}" optype="continuous"><ParameterField name="p"/><Apply function="{other}">
        <FieldRef field="p"/></Apply></DefineFunction>"""
        for name, other in (("one", "two"), ("two", "one"), ("self", "self"))
    )
    before = f"<TransformationDictionary>{functions}</TransformationDictionary>"
    for name in ("one", "self"):
        with pytest.raises(SchemaError, match="is not defined"):
            expression(call(name, "$x"), ROW, before=before)


def test_the_last_of_overlapping_intervals_counts() -> None:
    bins = "".join(
        f'<DiscretizeBin binValue="{name}"><Interval closure="closedOpen" leftMargin="{left}"/></DiscretizeBin>'
        for name, left in (("low", 0), ("high", 5))
    )
    text = f'<Discretize field="x">{bins}</Discretize>'
    assert [expression(text, ROW | {"x": x}) for x in (1, 6)] == ["low", "high"]


@pytest.mark.parametrize(("text", "kind"), [("5e3", float), ("-7", int), (" 5 ", int), ("true", str), ("1_000", str)])
def test_the_type_of_a_constant_is_that_of_its_text(text: str, kind: type) -> None:
    written = {float: "5000.0", int: str(text.strip()), str: text}[kind]
    assert expression(f"<Constant>{text}</Constant>", ROW, "string") == written
