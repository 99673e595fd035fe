import pytest
from documents import model

from pmml_worker import Model, SchemaError
from pmml_worker.schema.elements import VerificationField
from pmml_worker.verification import accepted

FIELDS = """<DataField name="x" optype="continuous" dataType="double"/><DataField name="s" optype="categorical"
dataType="string"/><DataField name="y" optype="continuous" dataType="double"/>"""


def verified(rows: str, fields: str = "", attributes: str = "") -> Model:
    """y = 1 + 2 x, with a verification."""
    fields = (
        fields
        or """<VerificationField field="x" column="data:x"/><VerificationField field="y" column="y_"
    precision="0.01" zeroThreshold="0.001"/><VerificationField field="out"/>"""
    )
    return model(
        f"""<RegressionModel functionName="regression"><MiningSchema><MiningField name="y" usageType="target"/>
        <MiningField name="x"/></MiningSchema><Output><OutputField name="p" feature="predictedValue"/><OutputField
        name="out" dataType="string" feature="transformedValue"><Apply function="if" mapMissingTo="none"><Apply
        function="greaterThan" mapMissingTo="false"><FieldRef field="p"/>
        <Constant>2</Constant></Apply><Constant>high</Constant><Constant>low</Constant></Apply></OutputField></Output>
        <ModelVerification {attributes}><VerificationFields>{fields}</VerificationFields>
        <InlineTable>{rows}</InlineTable></ModelVerification><RegressionTable intercept="1"><NumericPredictor name="x"
        coefficient="2"/></RegressionTable></RegressionModel>""",
        FIELDS,
    )


def row(x: str, y: str, out: str) -> str:
    return f'<row xmlns:data="http://example.org"><data:x>{x}</data:x><y_>{y}</y_><out>{out}</out></row>'


def test_a_model_that_meets_all_expected_results_passes() -> None:
    report = verified(row("1", "3", "high") + row("0", "1.009", "low")).verify()
    assert report.passed
    assert (report.rows, report.checked, report.differences, report.ignored) == (2, 4, (), ())


def test_differences_name_row_field_and_both_values() -> None:
    report = verified(row("1", "3", "low") + row("0", "1.2", "low")).verify()
    assert not report.passed
    told = [(item.row, item.field, item.expected, item.got) for item in report.differences]
    assert told == [(0, "out", "low", "high"), (1, "y", "1.2", 1.0)]
    assert str(report.differences[1]) == 'row 1, field y: expected "1.2", got 1.0'


def test_a_row_that_is_an_error_differs() -> None:
    report = verified(row("abc", "3", "low")).verify()
    assert [(item.row, item.field) for item in report.differences] == [(0, None)]
    assert 'value "abc" is no double' in str(report.differences[0])


def test_cells_that_the_table_leaves_out_are_missing_inputs_and_unchecked_results() -> None:
    report = verified("<row><out>low</out></row><row><y_>1</y_></row>").verify()
    assert report.checked == 2
    assert [(item.row, item.field, item.got) for item in report.differences] == [(1, "y", None)]


def test_fields_that_the_model_does_not_know_are_told() -> None:
    fields = '<VerificationField field="x"/><VerificationField field="y"/><VerificationField field="nobody"/>'
    report = verified("<row><x>1</x><y>3</y><nobody>1</nobody></row>", fields).verify()
    assert report.passed
    assert report.ignored == ("nobody",)


@pytest.mark.parametrize(
    ("attributes", "told"), [('recordCount="2"', "recordCount is 2"), ('fieldCount="4"', "fieldCount is 4")]
)
def test_a_table_that_is_not_as_large_as_it_says_is_refused(attributes: str, told: str) -> None:
    with pytest.raises(SchemaError, match=told):
        verified(row("1", "3", "high"), attributes=attributes).verify()


def test_a_document_without_verification_cannot_be_verified() -> None:
    scorer = model(
        """<RegressionModel functionName="regression"><MiningSchema><MiningField name="x"/></MiningSchema>
        <RegressionTable intercept="1"/></RegressionModel>""",
        FIELDS,
    )
    with pytest.raises(SchemaError, match="line 5: <RegressionModel> has no <ModelVerification>"):
        scorer.verify()


@pytest.mark.parametrize(
    ("expected", "got", "is_accepted"),
    [
        ("100", 101.0, True), ("100", 99.0, True), ("100", 101.1, False), ("-100", -101.0, True),
        ("-100", -98.9, False),
        ("0", 0.001, True), ("0", 0.0011, False), ("0.001", 0.0, True), ("0.002", 0.0021, False), ("1e2", 100, True),
        ("a", "a", True), ("a", "A", False), ("true", True, True), ("1", True, True), ("true", False, False),
        ("x", 1.0, False), ("", None, True), ("1", None, False), (" a ", "a", True), ("INF", float("inf"), True),
    ],
)  # fmt: skip
def test_numbers_may_differ_by_the_precision_and_nothing_else_may(
    expected: str, got: object, is_accepted: bool
) -> None:
    field = VerificationField(line=1, field="f", precision=0.01, zero_threshold=0.001)
    assert accepted(field, expected, got) is is_accepted


def test_precision_and_zero_threshold_have_the_standard_s_defaults() -> None:
    field = VerificationField(line=1, field="f")
    assert accepted(field, "1", 1.0000009) and not accepted(field, "1", 1.0000011)
    assert accepted(field, "0", 1e-16) and not accepted(field, "0", 1.1e-16)
