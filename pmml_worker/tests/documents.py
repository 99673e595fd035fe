"""Small documents for tests."""

from pathlib import Path
from typing import Any

from pmml_worker import Model, load

SAMPLE = Path(__file__).resolve().parents[1] / "sample"

FIELDS = """
<DataField name="x" optype="continuous" dataType="double"/>
<DataField name="z" optype="continuous" dataType="double"/>
<DataField name="i" optype="continuous" dataType="integer"/>
<DataField name="s" optype="categorical" dataType="string"/>
<DataField name="b" optype="categorical" dataType="boolean"/>
<DataField name="d" optype="ordinal" dataType="date"/>
<DataField name="t" optype="ordinal" dataType="dateTime"/>
<DataField name="y" optype="continuous" dataType="double"/>
<DataField name="c" optype="categorical" dataType="string"/>
"""
SCHEMA = """<MiningSchema><MiningField name="x"/><MiningField name="z"/><MiningField name="i"/><MiningField name="s"/>
<MiningField name="b"/><MiningField name="d"/><MiningField name="t"/></MiningSchema>"""


def document(model: str, fields: str = FIELDS, before: str = "", version: str = "4.4") -> bytes:
    """A document of one model."""
    namespace = f"http://www.dmg.org/PMML-{version.replace('.', '_')}"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<PMML version="{version}" xmlns="{namespace}"><Header/>
<DataDictionary>{fields}</DataDictionary>{before}
{model}
</PMML>""".encode()


def schema(target: str) -> str:
    """A mining schema of all fields, with a target."""
    return SCHEMA.replace("<MiningSchema>", f'<MiningSchema><MiningField name="{target}" usageType="target"/>')


def model(text: str, fields: str = FIELDS, before: str = "") -> Model:
    """A loaded model."""
    return load(document(text, fields, before))


def tree(nodes: str, function: str = "classification", attributes: str = "", after: str = "") -> str:
    """A TreeModel."""
    target = "c" if function == "classification" else "y"
    return f'<TreeModel functionName="{function}" {attributes}>{schema(target)}{after}{nodes}</TreeModel>'


def verifying(result: str) -> bytes:
    """A document whose model always gives 1 and whose verification expects a result."""
    return document(
        f"""<RegressionModel functionName="regression">{schema("y")}<ModelVerification><VerificationFields>
        <VerificationField field="x"/><VerificationField field="y"/></VerificationFields><InlineTable>
        <row><x>5</x><y>{result}</y></row></InlineTable></ModelVerification><RegressionTable intercept="1"/>
        </RegressionModel>"""
    )


def expression(text: str, row: dict[str, Any], data_type: str = "", before: str = "") -> Any:
    """The value of an expression for a row, told by an output field."""
    declared = f'dataType="{data_type}" ' if data_type else ""
    regression = (
        f'<RegressionModel functionName="regression">{schema("y")}<Output><OutputField name="out" '
        f'{declared}feature="transformedValue">{text}</OutputField></Output>'
        '<RegressionTable intercept="0"/></RegressionModel>'
    )
    return model(regression, before=before).score_row(row)["out"]
