"""A corpus of cases: a document, input rows, and what the reference engine and the source itself give for them.

A case is a folder with meta.json and model.pmml; input.csv with jpmml.csv (the reference's results at full precision)
and expected.csv (the source's); fuzz_input.csv with fuzz_jpmml.csv (results, or the reference's error in `_error`).
"""

import csv
import json
import math
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, str | None]
Equal = Callable[[str | None, str | None], bool]


@dataclass(frozen=True)
class Case:
    """A folder of the corpus."""

    name: str
    folder: Path

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What meta.json says."""
        result: dict[str, Any] = json.loads((self.folder / "meta.json").read_text(encoding="utf-8"))
        return result

    @property
    def source(self) -> str:
        """The collection that the case comes from."""
        return self.name.rpartition("/")[0]

    @property
    def elements(self) -> tuple[str, ...]:
        """The model elements that the document is made of."""
        return tuple(self.meta.get("models", {}))

    @property
    def missing(self) -> str:
        """The text that stands for a missing value in the case's tables."""
        return str(self.meta.get("missing_token") or "NA")

    def has(self, name: str) -> bool:
        """Whether the case has a file."""
        return (self.folder / name).exists()

    def rows(self, name: str) -> list[Row]:
        """The rows of a table, None being missing."""
        with (self.folder / name).open(encoding="utf-8", newline="") as file:
            return [
                {key: None if text in ("", self.missing) else text for key, text in row.items() if key is not None}
                for row in csv.DictReader(file)
            ]


def unpack(corpus: Path, into: Path) -> Path:
    """The directory of a corpus; an archive is unpacked first."""
    if corpus.is_dir():
        return corpus
    with tarfile.open(corpus) as archive:
        archive.extractall(into, filter="data")
    metas = list(into.glob("*/*/meta.json"))
    return metas[0].parents[2] if metas else next(into.iterdir())


def find_cases(root: Path) -> Iterator[Case]:
    """All cases, by name."""
    for path in sorted(root.rglob("meta.json")):
        yield Case(str(path.parent.relative_to(root)), path.parent)


# --- Comparing -------------------------------------------------------------------------------------------------------


def number(text: str) -> float | None:
    """A text as a number, if it is one."""
    try:
        return float({"true": "1", "false": "0"}.get(text.lower(), text))
    except ValueError:
        return None


def relative(precision: float, zero: float) -> Callable[[float, float], bool]:
    """Equal to a relative precision; where zero is expected, to an absolute one."""

    def close(expected: float, actual: float) -> bool:
        if abs(expected) <= zero:
            return abs(actual) <= zero
        return abs(actual - expected) <= abs(expected) * precision

    return close


def ulps(count: float, dtype: type[np.floating[Any]]) -> Callable[[float, float], bool]:
    """Equal to a number of units in the last place."""

    def close(expected: float, actual: float) -> bool:
        one, two = dtype(expected), dtype(actual)
        return bool(abs(float(one) - float(two)) <= count * float(np.spacing(max(abs(one), abs(two)))))

    return close


def tolerance(text: str | None, zero: float = 1e-13) -> Callable[[float, float], bool]:
    """The tolerance that a case states for itself; one part in a million where it states none."""
    if text is None:
        return relative(1e-6, 1e-6)
    match = re.match(r"new (\w+)\((.*)", text)
    if match is None:
        return relative(1e-6, 1e-6)
    kind, arguments = match.groups()
    if kind == "PMMLEquivalence":
        figures = [float(item) for item in re.findall(r"\d[\d.]*(?:[eE]-?\d+)?", arguments)[:2]]
        if "Math.exp" in arguments:
            figures[1] = math.exp(-15)
        return relative(figures[0], figures[1])
    figures = [float(item) for item in re.findall(r"\d+", arguments)] or [256.0]
    return ulps(sum(figures), np.float32 if kind == "FloatEquivalence" else np.float64)


def text_of(value: Any) -> str | None:
    """A result as text."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def equal(expected: str | None, actual: str | None, close: Callable[[float, float], bool]) -> bool:
    """Whether two cells say the same."""
    if expected is None or actual is None:
        return expected is None and actual is None
    if expected == actual:
        return True
    one, two = number(expected), number(actual)
    if one is None or two is None:
        return False
    if math.isnan(one) or math.isnan(two):
        return math.isnan(one) and math.isnan(two)
    return one == two or close(one, two)


@dataclass
class Tally:
    """What agreed: the case's own results, and rows of fuzzed input with the reference.

    Attributes:
        cases: cases whose own results were compared.
        right: those of them that have no wrong result.
        agreed: rows of fuzzed input with the reference's outcome.
        excused: rows that differ from it on purpose.
        differing: what the other rows differ by.
    """

    cases: int = 0
    right: int = 0
    agreed: int = 0
    excused: int = 0
    differing: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """All rows that count."""
        return self.agreed + len(self.differing)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.cases + other.cases,
            self.right + other.right,
            self.agreed + other.agreed,
            self.excused + other.excused,
            self.differing + other.differing,
        )
