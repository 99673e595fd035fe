"""README's table of support names what is tested, and all that is."""

import re
from pathlib import Path

import pytest

from pmml_worker.schema.elements import ModelElement

HERE = Path(__file__).parent
README = (HERE.parent / "README.md").read_text(encoding="utf-8")
TABLE = README.partition("## What is supported")[2].partition("\n## ")[0]
ROWS = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in TABLE.splitlines() if "| test_" in line]


def text_of(row: tuple[str, ...]) -> str:
    return "".join((HERE / f"{name}.py").read_text(encoding="utf-8") for name in row[2].split(", "))


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_row_of_the_table_has_tests_of_what_it_names(row: tuple[str, ...]) -> None:
    text = text_of(row)
    names = re.findall(r"\b(?:[A-Z][a-z]+){2,}\b|\bx-\w+|\b(?:Scorecard|Regression|Lag|Aggregate|Apply)\b", row[1])
    assert [name for name in names if not re.search(rf"{name}\b", text)] == []
    assert re.search(r"^def test_\w+", text, re.MULTILINE)


def test_every_model_element_is_in_the_table() -> None:
    named = set(re.findall(r"\w+", " ".join(row[1] for row in ROWS)))
    assert {cls.TAG or cls.__name__ for cls in ModelElement.__subclasses__()} - named == set()
