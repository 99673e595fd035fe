"""The reference engine, as a black box in a Java virtual machine that all tests of a session share."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from typing import Any

Outcome = Mapping[str, Any] | str
"""The results of a row by column, or its error."""


def absence() -> str | None:
    """Why there is no reference engine here; None if there is one."""
    if find_spec("jpmml_evaluator") is None or find_spec("jpype") is None:
        return "the package jpmml-evaluator, or jpype1, is not installed"
    if shutil.which("java") is None:
        return "there is no Java on the path"
    return None


@cache
def _backend() -> Any:
    from jpmml_evaluator import make_backend

    return make_backend("jpype")


def evaluate(document: bytes, rows: list[dict[str, Any]]) -> list[Outcome]:
    """What the reference engine says of rows; an error of the whole document is one of each row."""
    from jpmml_evaluator import make_evaluator

    try:
        evaluator = make_evaluator(document, backend=_backend())
    except Exception as error:
        return [_text(error)] * len(rows)
    outcomes: list[Outcome] = []
    for row in rows:
        try:
            outcomes.append(dict(evaluator.evaluate(dict(row))))
        except Exception as error:
            outcomes.append(_text(error))
    return outcomes


def _text(error: Exception) -> str:
    return str(error).rpartition("jpmml.evaluator.")[2] or type(error).__name__
