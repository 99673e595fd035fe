"""The corpus named by PMML_CORPUS (a directory or an archive), and the summary of what agreed with it."""

import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import pytest

from conformance.corpus import Case, Tally, find_cases, unpack

DEFAULT = Path(__file__).resolve().parents[4] / "shared" / "corpus" / "corpus.tar.xz"

_started = time.monotonic()
_unpacked: tempfile.TemporaryDirectory[str] | None = None
tallies: dict[tuple[str, str, tuple[str, ...]], Tally] = defaultdict(Tally)
"""What agreed, by case, source and model elements."""


_NEEDED = {"fuzzed": "fuzz_jpmml.csv", "results": "input.csv"}
"""The file that cases of a test must have, by a word in the test's name."""


def corpus_path() -> Path:
    """Where the corpus is, or would be."""
    return Path(os.environ.get("PMML_CORPUS", DEFAULT))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that asks for a case all cases, or one skipped test that says why there are none."""
    global _unpacked
    if "case" not in metafunc.fixturenames:
        return
    needed = next((name for word, name in _NEEDED.items() if word in metafunc.function.__name__), "model.pmml")
    path = corpus_path()
    if not path.exists():
        reason = f"no corpus at {path}: set PMML_CORPUS to a directory or archive of cases"
        metafunc.parametrize("case", [pytest.param(None, marks=pytest.mark.skip(reason=reason))])
        return
    if _unpacked is None:
        _unpacked = tempfile.TemporaryDirectory(prefix="pmml-corpus-")
        metafunc.config.add_cleanup(_unpacked.cleanup)
        _roots.append(unpack(path, Path(_unpacked.name)))
    cases = [case for case in find_cases(_roots[0]) if case.has(needed)]
    metafunc.parametrize("case", cases, ids=[case.name for case in cases])


_roots: list[Path] = []


@pytest.fixture
def tally(case: Case) -> Tally:
    """The tally of a case."""
    return tallies[case.name, case.source, case.elements]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what agreed, by source and by model element; a case counts for each element that it has."""
    if not tallies:
        return
    sources: dict[str, Tally] = defaultdict(Tally)
    elements: dict[str, Tally] = defaultdict(Tally)
    for (_, source, models), item in tallies.items():
        sources[source] += item
        for model in models:
            elements[model] += item
    terminalreporter.section("conformance")
    for what, groups in (("source", sources), ("element", elements)):
        terminalreporter.line(f"{what:44} {'cases right':>13} {'fuzzed rows agreeing':>24} {'on purpose':>11}")
        for name in sorted(groups):
            terminalreporter.line(_line(name, groups[name]))
    terminalreporter.line(_line("all", sum(tallies.values(), Tally())))
    terminalreporter.line(f"{time.monotonic() - _started:.0f} s")


def _line(name: str, tally: Tally) -> str:
    cases, rows = f"{tally.right}/{tally.cases}", f"{tally.agreed}/{tally.rows}"
    return f"{name:44} {cases:>13} {rows:>24} {tally.excused:>11}"
