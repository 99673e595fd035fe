"""Documents and rows that mean harm: the outcome is a result or a clear error, within bounds of memory and time."""

import io
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from documents import document, expression, model, schema, tree

from pmml_worker import SchemaError, load
from pmml_worker.schema import parse
from pmml_worker.schema.elements import TreeModel

LEAF = '<Node score="a"><True/></Node>'
HEAD = document(tree("\0")).partition(b"\0")[0]


class Stream(io.BytesIO):
    """A file that is made while it is read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self.pieces = pieces
        self.given = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = next(self.pieces, b"")
        self.given += len(piece)
        return piece


def gigabyte(before: bytes, after: bytes) -> Iterator[bytes]:
    """A thousand megabytes of one character in between."""
    yield before
    for _ in range(1000):
        yield b"1" * 1_000_000
    yield after


def in_subprocess(code: str, megabytes: int) -> str:
    """What Python prints that may take so much memory above what importing the package takes."""
    limited = f"""
    import resource, sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from test_hostile import *
    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    before = peak()
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    {{code}}
    assert peak() - before < {megabytes}, peak() - before
    """
    text = textwrap.dedent(limited).replace("{code}", textwrap.dedent(code).strip())
    ran = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def refusal(source: Any) -> str:
    """The error that a document is refused with."""
    with pytest.raises(SchemaError) as caught:
        load(source)
    return str(caught.value)


# --- Entities --------------------------------------------------------------------------------------------------------


def test_an_entity_bomb_takes_no_memory() -> None:
    printed = in_subprocess(
        """
        names = [chr(97 + n) for n in range(20)]
        bomb = "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip(names, names[1:]))
        print(refusal(f'<!DOCTYPE PMML [<!ENTITY a "ha">{bomb}]><PMML>&t;</PMML>'.encode()))
        """,
        50,
    )
    assert "entity declarations" in printed


@pytest.mark.parametrize("where", ["<Header>&e;</Header>", '<Header copyright="&e;"/>'])
def test_entities_are_refused_before_they_are_read(where: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    declared = f"<!DOCTYPE PMML [<!ENTITY e SYSTEM '{(tmp_path / 'secret').as_uri()}'>]>"
    assert "entity declarations" in refusal(f'{declared}<PMML version="4.4">{where}</PMML>'.encode())


def test_undeclared_entities_are_refused_and_those_of_xml_are_not() -> None:
    assert "line 2: not well-formed: undefined entity" in refusal(document(tree(LEAF)).replace(b"<Header/>", b"&e;"))
    text = tree('<Node score="&lt;&#65;&amp;"><True/></Node>')
    assert model(text).score_row({"x": 1})["c"] == "<A&"
    typed = document(text).replace(b"<PMML", b"<!DOCTYPE PMML SYSTEM 'pmml.dtd'>\n<PMML")
    assert load(typed.replace(b"<Header/>", b"<Header>&lt;&#65;</Header>")).score_row({"x": 1})["c"] == "<A&"


# --- Sizes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('<Node score="', '"><True/></Node></TreeModel></PMML>', "a tag or a comment is larger than 16 MiB"),
        ("<!--", "-->", "a tag or a comment is larger than 16 MiB"),
        ("<", "/>", "not well-formed"),
        (
            '<Node><SimpleSetPredicate field="x" booleanOperator="isIn"><Array type="int">',
            "</Array></SimpleSetPredicate></Node></TreeModel></PMML>",
            "a text is longer than 64 MiB",
        ),
    ],
)
def test_gigabytes_in_one_place_are_refused_within_bounded_memory(before: str, after: str, message: str) -> None:
    printed = in_subprocess(
        f"""
        source = Stream(gigabyte(HEAD + {before.encode()!r}, {after.encode()!r}))
        print(refusal(source), source.given < 100_000_000)
        """,
        300,
    )
    assert message in printed
    assert printed.endswith("True\n")


def test_a_document_is_not_held_as_a_whole() -> None:
    in_subprocess(
        """
        comment = b"<!--" + b" " * 999_000 + b"-->"
        pieces = iter([HEAD, *[comment] * 100, LEAF.encode(), b"</TreeModel></PMML>"])
        assert load(Stream(pieces)).score_row({"x": 1})["c"] == "a"
        """,
        20,
    )


def test_functions_that_call_each_other_twice_are_refused() -> None:
    def body(n: int) -> str:
        call = f'<Apply function="f{n - 1}"><FieldRef field="p"/></Apply>'
        return f'<Apply function="+">{call * 2}</Apply>' if n else '<FieldRef field="p"/>'

    functions = "".join(
        f'<DefineFunction name="f{n}" optype="continuous" dataType="double"><ParameterField name="p"/>{body(n)}'
        "</DefineFunction>"
        for n in range(40)
    )
    with pytest.raises(SchemaError, match='line 13: <DefineFunction> "f9" makes 1023 calls'):
        model(tree(LEAF), before=f"<TransformationDictionary>{functions}</TransformationDictionary>")


# --- Depth -----------------------------------------------------------------------------------------------------------


def test_a_tree_of_300000_levels_is_loaded_and_scored() -> None:
    printed = in_subprocess(
        """
        levels = 300_000
        text = HEAD.replace(b"functionName=", b'noTrueChildStrategy="returnLastPrediction" functionName=')
        text += b'<Node score="0"><True/>' + b"".join(
            b'<Node score="%d"><SimplePredicate field="x" operator="greaterThan" value="%d"/>' % (level, level)
            for level in range(levels)
        )
        deep = load(text + b"</Node>" * (levels + 1) + b"</TreeModel></PMML>")
        print([row["c"] for row in deep.score([{"x": 0.5}, {"x": 4999.5}, {"x": 1e9}])])
        """,
        500,
    )
    assert printed == "['0', '4999', '299999']\n"


def wrap(inner: str, before: str, after: str, levels: int) -> str:
    """An element in as many others."""
    return before * levels + inner + after * levels


def deep_expression(levels: int) -> Any:
    text = wrap('<FieldRef field="x"/>', '<Apply function="-">', "<Constant>1</Constant></Apply>", levels)
    return expression(text, {"x": levels})


def deep_predicate(levels: int) -> Any:
    inner = '<SimplePredicate field="x" operator="lessThan" value="0"/>'
    inner = wrap(inner, '<CompoundPredicate booleanOperator="or">', "<False/></CompoundPredicate>", levels)
    scorer = model(tree(f'<Node score="1"><True/><Node score="0">{inner}</Node><Node score="0"><True/></Node></Node>'))
    return float(scorer.score([{"x": 1.0}, {"x": -1.0}])[0]["c"])


def deep_models(levels: int) -> Any:
    before = f'<MiningModel functionName="classification">{schema("c")}<Segmentation multipleModelMethod="modelChain">'
    inner = wrap(
        tree('<Node score="0"><True/></Node>'),
        f"{before}<Segment><True/>",
        "</Segment></Segmentation></MiningModel>",
        levels // 3,
    )
    return float(model(inner).score([{"x": 1.0}])[0]["c"])


def deep_embedded_models(levels: int) -> Any:
    before = '<Node score="1"><True/><DecisionTree functionName="classification">'
    inner = wrap('<Node score="0"><True/></Node>', before, "</DecisionTree></Node>", levels // 2)
    return float(model(tree(inner)).score([{"x": 1.0}])[0]["c"])


@pytest.mark.parametrize("deep", [deep_expression, deep_predicate, deep_models, deep_embedded_models])
def test_elements_may_stand_deep_and_are_refused_where_they_stand_deeper(deep: Callable[[int], Any]) -> None:
    assert deep(180) == 0.0
    for levels in (210, 5000):
        with pytest.raises(SchemaError, match="stands too deep, in 200 elements"):
            deep(levels)


def derived(count: int, first: str) -> str:
    """Derived fields that each add 1 to the one before."""
    fields = "".join(
        f'<DerivedField name="d{n}" optype="continuous" dataType="double"><Apply function="+"><FieldRef field="'
        f'{f"d{n - 1}" if n else first}"/><Constant>1</Constant></Apply></DerivedField>'
        for n in range(count)
    )
    return f"<TransformationDictionary>{fields}</TransformationDictionary>"


def test_derived_fields_may_depend_on_each_other_in_a_long_row_but_not_longer() -> None:
    assert expression('<FieldRef field="d99"/>', {"x": 1.0}, before=derived(100, "x")) == 101.0
    for count in (101, 20_000):
        with pytest.raises(SchemaError, match='line 13: <DerivedField> "d100" depends on 101 others in a row'):
            expression(f'<FieldRef field="d{count - 1}"/>', {"x": 1.0}, before=derived(count, "x"))


def test_derived_fields_in_a_long_circle_are_refused() -> None:
    with pytest.raises(SchemaError, match="derived fields depend on themselves: d0 -> d4999 -> d4998"):
        expression('<FieldRef field="d1"/>', {"x": 1.0}, before=derived(5000, "d4999"))


def test_what_is_too_deep_together_is_refused_too() -> None:
    bodies = "".join(
        f'<DefineFunction name="f{n}" optype="continuous" dataType="double"><ParameterField name="p"/>'
        + wrap(
            f'<Apply function="f{n - 1}"><FieldRef field="p"/></Apply>' if n else '<FieldRef field="p"/>',
            '<Apply function="-">',
            "<Constant>1</Constant></Apply>",
            150,
        )
        + "</DefineFunction>"
        for n in range(90)
    )
    with pytest.raises(SchemaError, match="stand too deep in one another"):
        expression(
            '<Apply function="f89"><FieldRef field="x"/></Apply>',
            {"x": 1.0},
            before=f"<TransformationDictionary>{bodies}</TransformationDictionary>",
        )


# --- Broken files ----------------------------------------------------------------------------------------------------


def test_a_document_cut_anywhere_is_refused() -> None:
    whole = document(tree('<Node score="a"><True/><ScoreDistribution value="a" recordCount="1"/></Node>'))
    for length in range(len(whole) - 1):
        with pytest.raises(SchemaError):
            load(whole[:length])


def test_a_document_that_comes_in_single_bytes_is_read() -> None:
    whole = document(tree(LEAF))
    assert load(Stream(iter([bytes([byte]) for byte in whole]))).score_row({"x": 1})["c"] == "a"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_documents_are_decoded_as_they_declare(encoding: str) -> None:
    text = document(tree('<Node score="é"><True/></Node>')).decode().replace("UTF-8", encoding)
    assert load(text.encode(encoding)).score_row({"x": 1})["c"] == "é"


def test_an_unknown_encoding_is_refused() -> None:
    for encoding in ("klingon", "shift_jis"):
        assert "the document cannot be decoded" in refusal(document(tree(LEAF)).replace(b"UTF-8", encoding.encode()))


# --- Nodes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ('<Node score="a"/>', "<Node> lacks its element SimplePredicate or SimpleSetPredicate"),
        ("<Node><True/><True/></Node>", "<Node> has more than one SimplePredicate or .*; see <True>"),
        (
            '<Node><True/><CompoundPredicate booleanOperator="and"><True/></CompoundPredicate></Node>',
            "<Node> has more than one of its kind: <CompoundPredicate>",
        ),
        ('<Node recordCount="many"><True/></Node>', 'attribute recordCount cannot be "many": it is no number'),
        ('<Node recordCount="1_0"><True/></Node>', 'attribute recordCount cannot be "1_0": it is no number'),
        ('<Node recordCount=""><True/></Node>', 'attribute recordCount cannot be "": it is no number'),
        ('<Node><SimplePredicate operator="equal" value="1"/></Node>', "<SimplePredicate> lacks its attribute field"),
        (
            '<Node><SimplePredicate field="x" operator="is" value="1"/></Node>',
            '<SimplePredicate> attribute operator cannot be "is": it is none of equal, greaterOrEqual',
        ),
        ('<Node><True/><ScoreDistribution recordCount="1"/></Node>', "<ScoreDistribution> lacks its attribute value"),
        ("<Node><True><Node/></True></Node>", "element <Node> inside <True> is not supported"),
        ("<Node><True/><Leaf/></Node>", "element <Leaf> inside <Node> is not supported"),
    ],
)
def test_nodes_that_are_wrong_are_refused_with_their_line(nodes: str, message: str) -> None:
    with pytest.raises(SchemaError, match=f"line 15: .*{message}"):
        load(document(tree(nodes)))


def test_extensions_in_nodes_and_their_parts_are_skipped() -> None:
    extension = '<Extension name="e" xmlns:v="urn:v"><v:Node><v:True/>text</v:Node></Extension>'
    nodes = (
        f'<Node score="a">{extension}<SimplePredicate field="x" operator="greaterThan" value="0">{extension}'
        f'</SimplePredicate>{extension}<ScoreDistribution value="a" recordCount="1">{extension}</ScoreDistribution>'
        "</Node>"
    )
    assert [row["c"] for row in model(tree(nodes)).score([{"x": 1}, {"x": -1}])] == ["a", None]


def test_distributions_may_come_after_children() -> None:
    parts = '<ScoreDistribution value="a" recordCount="3"/><ScoreDistribution value="b" recordCount="1"/>'
    output = '<Output><OutputField name="p" feature="probability" value="a"/></Output>'
    attributes = 'noTrueChildStrategy="returnLastPrediction"'
    for nodes in (
        f'<Node><True/>{parts}<Node><False/><ScoreDistribution value="b" recordCount="1"/></Node></Node>',
        f'<Node><True/><Node><False/><ScoreDistribution value="b" recordCount="1"/></Node>{parts}</Node>',
        f'<Node><Node><False/><ScoreDistribution value="b" recordCount="1"/></Node><True/>{parts}</Node>',
    ):
        assert model(tree(nodes, attributes=attributes, after=output)).score_row({"x": 1}) == {"c": "a", "p": 0.75}


@pytest.mark.parametrize(
    "text", ["0.1", " 1e-3 ", "+5", "-0", "1e400", "-1e400", "1e-400", "0.30000000000000004", ".5"]
)
def test_counts_are_read_as_python_reads_numbers(text: str) -> None:
    parsed = parse(document(tree(f'<Node score="a" recordCount="{text}"><True/></Node>')))
    assert isinstance(parsed.models[0], TreeModel)
    assert parsed.models[0].node.record_count.tolist() == [float(text)]


# --- Values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e308, -1e308, 5e-324])
def test_extreme_values_are_scored(value: float) -> None:
    nodes = """<Node><True/><Node score="low"><SimplePredicate field="x" operator="lessThan" value="0"/></Node>
    <Node score="high"><SimplePredicate field="x" operator="greaterOrEqual" value="0"/></Node></Node>"""
    assert model(tree(nodes)).score([{"x": value}])[0]["c"] == ("low" if value < 0 else "high")


def test_nan_is_a_missing_value() -> None:
    nodes = '<Node score="a"><True/><Node score="b"><SimplePredicate field="x" operator="isMissing"/></Node></Node>'
    assert model(tree(nodes)).score_row({"x": float("nan")})["c"] == "b"


@pytest.mark.parametrize(("coefficient", "expected"), [("1e308", float("inf")), ("INF", float("inf")), ("0", 0.0)])
def test_sums_that_overflow_are_infinite(coefficient: str, expected: float) -> None:
    text = (
        f'<RegressionModel functionName="regression">{schema("y")}<RegressionTable intercept="0">'
        f'<NumericPredictor name="x" coefficient="{coefficient}"/></RegressionTable></RegressionModel>'
    )
    scorer = model(text)
    assert scorer.score([{"x": 1e300}])[0]["y"] == expected
    assert scorer.score_row({"x": 1e300})["y"] == expected
