from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from documents import SAMPLE, document, schema, tree

from pmml_worker import Model, SchemaError, ScoringError, TableError, load

NODES = """<Node score="a"><True/><Node score="b"><SimplePredicate field="x" operator="greaterThan" value="0"/></Node>
<Node score="c"><SimplePredicate field="s" operator="equal" value="red"/></Node></Node>"""
COLUMNS: dict[str, list[Any]] = {"x": [1.0, None, -1.0], "s": ["blue", "red", None]}
EXPECTED = ["b", "c", "a"]


@pytest.fixture
def scorer() -> Model:
    return load(document(tree(NODES, attributes='noTrueChildStrategy="returnLastPrediction"')))


def test_an_arrow_table_gives_an_arrow_table(scorer: Model) -> None:
    result = scorer.score(pa.table(COLUMNS))
    assert isinstance(result, pa.Table)
    assert result.to_pydict() == {"c": EXPECTED}


def test_a_pandas_frame_gives_a_pandas_frame_with_its_index(scorer: Model) -> None:
    frame = pd.DataFrame(COLUMNS, index=[10, 20, 30])
    result = scorer.score(frame)
    assert isinstance(result, pd.DataFrame)
    assert result["c"].tolist() == EXPECTED
    assert result.index.tolist() == [10, 20, 30]


def test_a_polars_frame_gives_a_polars_frame(scorer: Model) -> None:
    result = scorer.score(pl.DataFrame(COLUMNS))
    assert isinstance(result, pl.DataFrame)
    assert result["c"].to_list() == EXPECTED


def test_a_list_of_dicts_gives_a_list_of_dicts(scorer: Model) -> None:
    rows = [{"x": 1}, {"s": "red", "other": 5}, {"x": -1.0, "s": None}]
    assert scorer.score(rows) == [{"c": value} for value in EXPECTED]


def test_columns_of_text_are_read_as_the_declared_type(scorer: Model) -> None:
    result = scorer.score(
        pa.table({"x": ["1.0", "NA", "-1e0"], "s": pa.array(["blue", "red", None]).dictionary_encode()})
    )
    assert result["c"].to_pylist() == EXPECTED


def test_tables_of_several_chunks_and_of_none_are_scored(scorer: Model) -> None:
    table = pa.table(COLUMNS)
    assert scorer.score(pa.concat_tables([table, table]))["c"].to_pylist() == EXPECTED * 2
    assert scorer.score(table.slice(0, 0)).to_pydict() == {"c": []}
    assert scorer.score([]) == []


def test_extra_columns_of_any_type_are_left_alone(scorer: Model) -> None:
    assert scorer.score(pa.table({**COLUMNS, "list": [[1], [2], [3]]}))["c"].to_pylist() == EXPECTED


@pytest.mark.parametrize("table", [5, "text", {"x": [1]}, None])
def test_other_kinds_of_tables_are_refused(scorer: Model, table: Any) -> None:
    with pytest.raises(TableError, match="cannot be scored; give a pyarrow"):
        scorer.score(table)


def test_a_table_without_any_field_of_the_model_is_refused(scorer: Model) -> None:
    with pytest.raises(TableError, match="none of the model's fields x, z, i, s, b, d, t; it has w"):
        scorer.score([{"w": 1}])


def test_values_that_no_data_type_is_for_are_refused_by_name(scorer: Model) -> None:
    with pytest.raises(TableError, match='column "x" is of Arrow type list'):
        scorer.score([{"x": [1, 2]}])
    with pytest.raises(TableError, match='row 1, field "x": a dict is no value'):
        scorer.score([{"x": 1}, {"x": {"y": 2}}])
    with pytest.raises(TableError, match="row 1 is a int, not an object"):
        scorer.score([{"x": 1}, 5])


BAD = [{"x": 1.0}, {"x": "one"}, {"x": -1.0}]


def test_an_error_names_row_field_value_and_element(scorer: Model) -> None:
    with pytest.raises(ScoringError) as caught:
        scorer.score(BAD)
    error = caught.value
    assert (error.row, error.field, error.value) == (1, "x", "one")
    assert str(error) == 'row 1: field x: value "one" is no double (DataField, line 4)'


def test_errors_may_be_collected(scorer: Model) -> None:
    result = scorer.score(BAD, errors="collect")
    assert [row["c"] for row in result] == ["b", None, "a"]
    assert [row["_error"] for row in result] == [
        None,
        'row 1: field x: value "one" is no double (DataField, line 4)',
        None,
    ]


def test_the_row_of_an_error_counts_from_the_start_of_the_table(scorer: Model) -> None:
    with pytest.raises(ScoringError) as caught:
        scorer.score([{"x": 1.0}] * 20_000 + [{"x": "one"}])
    assert caught.value.row == 20_000


def test_a_row_is_a_dict(scorer: Model) -> None:
    assert scorer.score_row({"x": 1}) == {"c": "b"}


def test_inputs_and_outputs_are_told_in_the_document_s_order(scorer: Model) -> None:
    assert [field.name for field in scorer.inputs] == ["x", "z", "i", "s", "b", "d", "t"]
    assert [(field.name, field.data_type, field.optype) for field in scorer.outputs] == [("c", "string", "categorical")]


def test_threads_may_share_a_model() -> None:
    scorer = load(SAMPLE / "sample.rf.xml")
    rows = [{"var0": n % 2, "var1": n // 2 % 2, "var2": n // 4 % 2} for n in range(3000)]
    expected = scorer.score(rows)
    with ThreadPoolExecutor(4) as pool:
        assert all(result == expected for result in pool.map(lambda _: scorer.score(rows), range(8)))


def test_a_model_that_is_not_scorable_is_refused() -> None:
    text = tree('<Node score="1"><True/></Node>', "regression", 'isScorable="false"')
    with pytest.raises(SchemaError, match="is not scorable"):
        load(document(text))


def test_a_text_where_other_rows_have_numbers_is_an_error_of_its_row() -> None:
    def segment(predicate: str, function: str, score: str) -> str:
        inner = tree(f'<Node score="{score}"><True/></Node>', function).replace(' usageType="target"', "")
        return f"<Segment>{predicate}{inner}</Segment>"

    above = '<SimplePredicate field="x" operator="greaterThan" value="0"/>'
    fields = schema("y").replace('<MiningField name="y" usageType="target"/>', "")
    scorer = load(
        document(
            f'<MiningModel functionName="regression">{fields}<Segmentation multipleModelMethod="selectFirst">'
            f"{segment(above, 'classification', 'two')}{segment('<True/>', 'regression', '2')}"
            "</Segmentation></MiningModel>"
        )
    )
    name = scorer.outputs[0].name
    assert scorer.outputs[0].data_type == "double"
    assert scorer.score([{"x": -1.0}])[0][name] == 2.0
    told = scorer.score([{"x": 1.0}], errors="collect")[0]
    assert told[name] is None
    assert 'value "two" is no double' in told["_error"]
