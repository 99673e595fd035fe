"""Every case of the corpus."""

import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from conformance.conftest import corpus_path, tallies
from conformance.corpus import Case, Row, Tally, equal, number, relative, text_of, tolerance
from pmml_worker import Model, SchemaError, load
from pmml_worker.schema.elements import UNSUPPORTED_MODELS

_TOLD: dict[str, list[dict[str, Any]]] = tomllib.loads(
    (Path(__file__).parent / "differences.toml").read_text(encoding="utf-8")
)
DIFFERENCES, REFUSALS = _TOLD["difference"], _TOLD["refusal"]

UNCHECKED = "__UNCHECKED__"


def excused(case: Case, outcome: str) -> bool:
    """Whether the reference's outcome is one from which we differ on purpose."""
    return any(
        case.name in item["cases"] and re.fullmatch(item["reference"], outcome) is not None for item in DIFFERENCES
    )


def load_case(case: Case) -> Model:
    return load(case.folder / "model.pmml")


def cells(case: Case, model: Model, table: str, results: list[dict[str, Any]]) -> dict[tuple[int, str], str | None]:
    """What a table has to say of each result: None where it is right, else the difference."""
    close = tolerance(case.meta.get("tolerance"))
    if table == "expected.csv" and not str(case.meta.get("tolerance", "")).startswith("new"):
        close = relative(1e-5, 1e-5)  # Sources without a stated tolerance print few digits.
    names = [field.name for field in model.outputs]
    single = {field.name for field in model.outputs if field.data_type == "float"}
    # What a source calls a matter of convention is compared where the reference tells it, too.
    unsure = () if case.has("jpmml.csv") else case.meta.get("exclude_fields", ())
    told: dict[tuple[int, str], str | None] = {}
    for position, (expected, actual) in enumerate(zip(case.rows(table), results, strict=True)):
        for column, value in expected.items():
            name = renamed(column, names, table)
            if name is None or value == UNCHECKED or column in unsure:
                continue
            # Sources that know no single precision print such results in double.
            near = relative(1e-7, 1e-7) if table == "expected.csv" and name in single else close
            right = actual["_error"] is None and equal(value, text_of(actual[name]), near)
            shown = actual["_error"] or actual[name]
            told[position, name] = None if right else f"row {position}, {column}: {value}, not {shown}"
    return told


def renamed(column: str, names: list[str], table: str) -> str | None:
    """The result that a column of the corpus is about; sources have names of their own for the prediction."""
    if column in names:
        return column
    if column == "null":
        return names[0]  # The reference's name of an unnamed target.
    if table == "jpmml.csv":
        return column
    if column in ("predict", "prediction", "Cluster") or column == f"predicted_{names[0]}":
        return names[0]
    return None


def test_documents_load_unless_there_is_a_reason(case: Case) -> None:
    reasons = [item["error"] for item in REFUSALS if any(fnmatchcase(case.name, name) for name in item["cases"])]
    reasons += [f"model element <{name}>" for name in case.elements if name in UNSUPPORTED_MODELS]
    if not reasons:
        load_case(case)
        return
    with pytest.raises(SchemaError, match="|".join(reasons)):
        load_case(case)


def test_results_are_those_of_the_reference_and_of_the_source(case: Case, tally: Tally) -> None:
    tally.cases += 1
    model = load_case(case)
    results = model.score(case.rows("input.csv"), errors="collect")
    meta = case.meta.get("jpmml_1_7_7") or {"row_errors": 0}
    told = []
    outcome = meta["error"].rpartition(".")[2] if meta["row_errors"] else "table"
    if case.has("jpmml.csv") and not excused(case, outcome):
        told.append(cells(case, model, "jpmml.csv", results))
    if not excused(case, "source"):
        told.append(cells(case, model, "expected.csv", results))
        assert any(told), "nothing was compared"
    # The tolerance is the one between source and reference: a result within it of either is right.
    wrong = [
        next(text for text in texts if text)
        for cell in dict.fromkeys(cell for table in told for cell in table)
        if all(texts := [table[cell] for table in told if cell in table])
    ]
    assert not wrong, f"{len(wrong)} cells differ, the first: {wrong[0]}"
    tally.right += 1


def test_fuzzed_input_is_compared_with_the_reference(case: Case, tally: Tally) -> None:
    reference = case.rows("fuzz_jpmml.csv")
    results = fuzzed_results(case, len(reference))
    close = tolerance(case.meta.get("tolerance"))
    for position, (expected, actual) in enumerate(zip(reference, results, strict=True)):
        if agrees(expected, actual, close):
            tally.agreed += 1
        elif excused(case, expected["_error"] or "value"):
            tally.excused += 1
        else:
            tally.differing.append(f"{case.name} row {position}: {expected}, not {actual}")


def fuzzed_results(case: Case, rows: int) -> list[dict[str, Any]]:
    """The results; a document that cannot be loaded is an error in every row."""
    try:
        model = load_case(case)
    except SchemaError as error:
        return [{"_error": str(error)}] * rows
    # The rows of a table without columns are not to be seen in it.
    results: list[dict[str, Any]] = model.score(case.rows("fuzz_input.csv") or [{}] * rows, errors="collect")
    return results


def agrees(expected: Row, actual: dict[str, Any], close: Any) -> bool:
    if expected["_error"] is not None or actual["_error"] is not None:
        return expected["_error"] is not None and actual["_error"] is not None
    return all(equal(value, text_of(actual[column]), close) for column, value in expected.items() if column != "_error")


def test_at_least_99_of_100_fuzzed_rows_agree_with_the_reference() -> None:
    rows = sum(tally.rows for tally in tallies.values())
    if not rows:
        pytest.skip(f"no corpus at {corpus_path()}: nothing was compared")
    differing = [text for tally in tallies.values() for text in tally.differing]
    assert len(differing) <= 0.01 * rows, "\n".join([f"{len(differing)} of {rows} rows differ", *differing[:20]])


def test_every_difference_states_the_standard_and_a_reason() -> None:
    for item in DIFFERENCES:
        assert set(item) == {"cases", "reference", "standard", "reason"}
        assert all(item.values())
    for item in REFUSALS:
        assert set(item) == {"cases", "error", "standard", "reason"}
        assert all(item.values())


def test_a_wrong_figure_is_noticed() -> None:
    close = tolerance("new PMMLEquivalence(1e-13, 1e-13)")
    assert equal("0.5", "0.50000000000000001", close)
    assert not equal("0.5", "0.5000001", close)
    assert not equal("0.5", None, close)
    assert not equal(None, "0.5", close)
    assert number("setosa") is None
    assert not equal("setosa", "virginica", close)
