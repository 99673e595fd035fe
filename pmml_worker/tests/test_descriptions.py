"""What a document says that no score depends on."""

from documents import document

from pmml_worker import load
from pmml_worker.schema import parse
from pmml_worker.schema.elements import InlineTable, TableLocator

HEAD = b"""<PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header copyright="me" description="it"
modelVersion="7"><Extension extender="me" name="author" value="she"/><Application name="app" version="1.2"/>
<Annotation>first</Annotation><Annotation>second</Annotation><Timestamp>2013-01-25T10:01:08</Timestamp></Header>
<MiningBuildTask><Extension name="any"><X-Task a="1"/></Extension></MiningBuildTask>
<DataDictionary numberOfFields="1"><DataField name="x" displayName="The x" optype="categorical" dataType="string"
taxonomy="places" isCyclic="1"><Extension name="role" value="input"/></DataField><Taxonomy name="places"><ChildParent
childField="town" parentField="state" parentLevelField="level" isRecursive="yes"><InlineTable><row><town>Ulm</town>
<state>BW</state></row></InlineTable></ChildParent><ChildParent childField="state" parentField="land"><TableLocator>
<Extension name="file" value="states.csv"/></TableLocator></ChildParent></Taxonomy></DataDictionary>
<RegressionModel functionName="regression"><Extension name="notes" xmlns:v="http://example.org/v">before
<v:note lang="de">eins<v:deep/>zwei</v:note><Extension name="inner"/> after</Extension><MiningSchema>
<MiningField name="x" importance="0.5"/>
</MiningSchema><ModelStats><UnivariateStats field="x"><Counts totalFreq="1"/></UnivariateStats></ModelStats>
<ModelExplanation><PredictiveModelQuality targetField="y" dataUsage="training"/></ModelExplanation>
<RegressionTable intercept="1"/></RegressionModel></PMML>"""


def test_the_header_tells_who_made_the_document() -> None:
    header = parse(HEAD).header
    assert header is not None and header.application is not None and header.timestamp is not None
    assert (header.copyright, header.description, header.model_version) == ("me", "it", "7")
    assert (header.application.name, header.application.version) == ("app", "1.2")
    assert [annotation.text for annotation in header.annotations] == ["first", "second"]
    assert header.timestamp.text == "2013-01-25T10:01:08"
    (extension,) = header.extensions
    assert (extension.extender, extension.name, extension.value) == ("me", "author", "she")


def test_fields_have_names_to_show_taxonomies_and_cycles() -> None:
    dictionary = parse(HEAD).data_dictionary
    (field,) = dictionary.fields
    assert dictionary.number_of_fields == 1
    assert (field.display_name, field.taxonomy, field.is_cyclic) == ("The x", "places", True)
    assert [extension.value for extension in field.extensions] == ["input"]
    (taxonomy,) = dictionary.taxonomies
    towns, states = taxonomy.child_parents
    assert (taxonomy.name, towns.child_field, towns.parent_field) == ("places", "town", "state")
    assert (towns.parent_level_field, towns.is_recursive, states.is_recursive) == ("level", "yes", "no")
    assert isinstance(towns.table, InlineTable) and isinstance(states.table, TableLocator)
    assert [dict(row.cells) for row in towns.table.rows] == [{"town": "Ulm", "state": "BW"}]
    assert states.table.extensions[0].value == "states.csv"


def test_extensions_keep_what_they_hold() -> None:
    (model,) = parse(HEAD).models
    (extension,) = model.extensions
    note, inner = extension.children
    assert extension.name == "notes"
    assert " ".join(extension.text.split()) == "before after"
    assert (note.name, dict(note.attributes), "".join(note.text.split())) == ("note", {"lang": "de"}, "einszwei")
    assert [child.name for child in note.children] == ["deep"]
    assert (inner.name, dict(inner.attributes)) == ("Extension", {"name": "inner"})
    assert note.line == model.line + 1


def test_importance_and_statistics_change_nothing() -> None:
    (model,) = parse(HEAD).models
    assert model.mining_schema.fields[0].importance == 0.5


def test_elements_of_vendors_are_left_out() -> None:
    text = """<TreeModel functionName="regression"><X-Own><Anything/></X-Own><MiningSchema><MiningField name="y"
    usageType="target"/></MiningSchema><Node score="1"><X-Own/><True/></Node></TreeModel>"""
    assert load(document(text)).score_row({}) == {"y": 1.0}


def test_extensions_may_stand_in_any_element() -> None:
    text = """<TreeModel functionName="regression"><Extension/><MiningSchema><Extension/><MiningField name="y"
    usageType="target"><Extension/></MiningField></MiningSchema><Output><Extension/><OutputField name="o"
    feature="predictedValue"><Extension/></OutputField></Output><Node score="1">
    <Extension name="a"><b><c/></b></Extension>
    <True><Extension/></True></Node></TreeModel>"""
    (model,) = parse(document(text)).models
    assert model.output is not None
    assert [len(element.extensions) for element in (model, model.mining_schema, model.output)] == [1, 1, 1]
