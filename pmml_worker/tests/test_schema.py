import io
import time

import pytest
from documents import FIELDS, SAMPLE, document, model, tree

from pmml_worker import SchemaError, load
from pmml_worker.schema import parse

LEAF = '<Node score="a"><True/></Node>'


@pytest.mark.parametrize("version", ["3.0", "3.1", "3.2", "4.0", "4.1", "4.2", "4.3", "4.4"])
def test_documents_of_every_version_from_3_0_to_4_4_are_read(version: str) -> None:
    assert load(document(tree(LEAF), version=version)).score_row({"x": 1})["c"] == "a"


def test_prefixed_names_are_read() -> None:
    text = document(tree(LEAF)).decode().replace("xmlns=", "xmlns:p=").replace("<?xml", "\0")
    text = (
        text.replace("</", "\1").replace("<", "<p:").replace("\1", "</p:").replace("\0", "<?xml").replace("<p:?", "<?")
    )
    assert load(text.replace("<p:<?xml", "<?xml").encode()).score_row({"x": 1})["c"] == "a"


def test_path_bytes_and_file_are_read() -> None:
    path = SAMPLE / "sample.rf.xml"
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        assert [field.name for field in load(source).inputs] == ["var0", "var1", "var2"]


def test_elements_know_their_line() -> None:
    document_ = parse(document(tree(LEAF)))
    assert document_.line == 2
    assert document_.models[0].line == 14


def test_entity_bomb_is_refused() -> None:
    entities = '<!ENTITY a "ha">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1 if n > 1 else chr(0)};" * 10}">'.replace("\0", "") for n in range(1, 9)
    )
    bomb = f"<!DOCTYPE PMML [{entities}]><PMML version='4.4'><Header copyright='&a8;'/></PMML>"
    with pytest.raises(SchemaError, match="line 1: entity declarations"):
        parse(bomb.encode())


def test_external_entity_is_refused() -> None:
    text = "<!DOCTYPE PMML [<!ENTITY e SYSTEM 'file:///etc/hostname'>]><PMML version='4.4'>&e;</PMML>"
    with pytest.raises(SchemaError, match="entity declarations"):
        parse(text.encode())


def test_external_document_type_is_not_fetched_and_its_entities_are_refused() -> None:
    text = "<!DOCTYPE PMML SYSTEM 'http://localhost:1/pmml.dtd'>\n<PMML version='4.4'>&e;</PMML>"
    with pytest.raises(SchemaError, match="line 2"):
        parse(text.encode())


def test_truncated_document_is_refused_with_its_line() -> None:
    whole = document(tree(LEAF))
    for length in range(0, len(whole) - 1, 97):
        with pytest.raises(SchemaError, match="line"):
            load(whole[:length])


@pytest.mark.parametrize(
    "text", [b"", b"no xml at all", b"<html/>", b"\x00\x01\x02", b"<PMML/>", b"<PMML version='4.4'/>"]
)
def test_what_is_no_pmml_is_refused(text: bytes) -> None:
    with pytest.raises(SchemaError):
        load(text)


def test_unsupported_model_is_named_with_its_line() -> None:
    with pytest.raises(SchemaError, match="line 14: model element <DeepNetwork> inside <PMML> is not supported"):
        load(document('<DeepNetwork functionName="regression"/>'))


def test_unknown_element_is_named_with_its_line() -> None:
    with pytest.raises(SchemaError, match="line 15: element <Nod> inside <TreeModel> is not supported"):
        load(document(tree('<Nod score="a"/>')))


def test_missing_attribute_is_named() -> None:
    with pytest.raises(SchemaError, match="<SimplePredicate> lacks its attribute operator"):
        load(document(tree('<Node><SimplePredicate field="x"/></Node>')))


def test_wrong_attribute_value_is_named_with_what_is_right() -> None:
    text = tree(LEAF, attributes='missingValueStrategy="sometimes"')
    with pytest.raises(SchemaError, match='missingValueStrategy cannot be "sometimes": it is none of lastPrediction'):
        load(document(text))


def test_undefined_field_is_named() -> None:
    nodes = '<Node><True/><Node score="a"><SimplePredicate field="w" operator="equal" value="1"/></Node></Node>'
    with pytest.raises(SchemaError, match='<SimplePredicate> names field "w", which is not defined'):
        load(document(tree(nodes)))


def test_extensions_are_skipped_wherever_they_stand() -> None:
    nodes = '<Node score="a"><Extension name="e"><anything><deep/></anything></Extension><True/></Node>'
    assert model(tree(nodes)).score_row({"x": 1})["c"] == "a"


def test_a_tree_of_10000_levels_is_loaded_and_scored() -> None:
    levels = 10_000
    nodes = "".join(
        f'<Node score="{level}"><SimplePredicate field="x" operator="greaterThan" value="{level}"/>'
        for level in range(levels)
    )
    text = f'<Node score="-1"><True/>{nodes}{"</Node>" * levels}</Node>'
    deep = model(tree(text, "regression", 'noTrueChildStrategy="returnLastPrediction"'))
    start = time.monotonic()
    assert [row["y"] for row in deep.score([{"x": 0.5}, {"x": 1e9}, {"x": 4999.5}])] == [0.0, 9999.0, 4999.0]
    assert time.monotonic() - start < 30


def test_derived_fields_in_a_circle_are_refused_by_name() -> None:
    derived = "".join(
        f'<DerivedField name="{one}" optype="continuous" dataType="double"><FieldRef field="{two}"/></DerivedField>'
        for one, two in (("p", "q"), ("q", "p"))
    )
    with pytest.raises(SchemaError, match="derived fields depend on themselves: p -> q -> p"):
        load(document(tree(LEAF), before=f"<TransformationDictionary>{derived}</TransformationDictionary>"))


def test_a_function_that_calls_itself_is_refused() -> None:
    function = (
        '<TransformationDictionary><DefineFunction name="f" optype="continuous" dataType="double">'
        '<ParameterField name="p"/><Apply function="f"><FieldRef field="p"/></Apply></DefineFunction>'
        '<DerivedField name="q" optype="continuous" dataType="double"><Apply function="f"><FieldRef field="x"/></Apply>'
        "</DerivedField></TransformationDictionary>"
    )
    with pytest.raises(SchemaError, match='function "f" is not defined'):
        load(document(tree(LEAF), before=function))


def test_a_field_that_a_mining_schema_names_twice_is_refused() -> None:
    text = tree(LEAF).replace('<MiningField name="x"/>', '<MiningField name="x"/>\n<MiningField name="x"/>')
    with pytest.raises(SchemaError, match='line 15: <MiningSchema> names field "x" more than once'):
        load(document(text))


def test_a_value_that_is_not_of_its_field_s_type_does_not_stop_a_model() -> None:
    fields = FIELDS.replace('name="i" optype="continuous" dataType="integer"/>', (
        'name="i" optype="categorical" dataType="integer"><Value value="many"/><Value value="1"/></DataField>'
    ))  # fmt: skip
    assert model(tree(LEAF), fields).score_row({"i": 1})["c"] == "a"
