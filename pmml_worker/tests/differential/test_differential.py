"""Generated models, scored here and by the reference engine.

Each model element gets as many documents as the environment's PMML_DIFFERENTIAL_EXAMPLES says, 200 without it. They are
the same at every run. Where the two differ on purpose, conformance/differences.toml has an entry whose cases name
differential/<element>.
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pmml_worker import SchemaError, load

from .reference import Outcome, absence, evaluate
from .strategies import MODELS, cases

REASON = absence()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

EXAMPLES = int(os.environ.get("PMML_DIFFERENTIAL_EXAMPLES", "200"))
DIFFERENCES = tomllib.loads((Path(__file__).parents[1] / "conformance" / "differences.toml").read_text())["difference"]


def ours(document: bytes, rows: list[dict[str, Any]]) -> list[Outcome]:
    """What this engine says of rows."""
    try:
        results = load(document).score(rows, errors="collect")
    except SchemaError as error:
        return [f"SchemaError: {error}"] * len(rows)
    return [row["_error"] or {name: value for name, value in row.items() if name != "_error"} for row in results]


def is_same(left: Any, right: Any) -> bool:
    """Whether two results are equal, but for the last places of numbers."""
    if left is None or right is None:
        # Missing numbers may be told as NaN.
        return left is right or any(isinstance(value, float) and math.isnan(value) for value in (left, right))
    if isinstance(left, int | float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9) or (left != left and right != right)
    return bool(left == right)


def disagreement(one: Outcome, reference: Outcome) -> str | None:
    """How two outcomes of a row differ; None if they agree on the values or on there being an error."""
    if isinstance(one, str) and isinstance(reference, str):
        return None
    if isinstance(one, str) or isinstance(reference, str):
        return f"{one} against {reference}"
    for name, value in one.items():
        # A model without a target field tells its result under a name that the two engines choose differently.
        if name in reference and not is_same(value, reference[name]):
            return f"{name}: {value!r} against {reference[name]!r}"
    return None


def is_on_purpose(tag: str, difference: str, document: bytes) -> bool:
    """Whether differences.toml says why we differ: its pattern is of the difference, then of the document."""
    told = f"{difference} in {document.decode()}"
    return any(
        f"differential/{tag}" in item["cases"] and re.search(item["reference"], told) is not None
        for item in DIFFERENCES
    )


@pytest.mark.parametrize("tag", MODELS)
def test_generated_models_score_as_in_the_reference_engine(tag: str) -> None:
    compared = 0

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        nonlocal compared
        document, rows = data.draw(cases(tag))
        for row, one, reference in zip(rows, ours(document, rows), evaluate(document, rows), strict=True):
            difference = disagreement(one, reference)
            compared += not isinstance(reference, str)
            if difference is not None and not is_on_purpose(tag, difference, document):
                pytest.fail(f"{row}: {difference}\n{document.decode()}", pytrace=False)

    check()
    # A generator whose documents all are errors would agree with anything.
    assert compared > EXAMPLES
