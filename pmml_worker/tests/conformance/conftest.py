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
tallies: dict[str, Tally] = defaultdict(Tally)
clean: dict[str, list[int]] = defaultdict(lambda: [0, 0])


def corpus_path() -> Path:
    """Where the corpus is, or would be."""
    return Path(os.environ.get("PMML_CORPUS", DEFAULT))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that asks for a case all cases, or one skipped test that says why there are none."""
    global _unpacked
    if "case" not in metafunc.fixturenames:
        return
    needed = "fuzz_jpmml.csv" if "fuzzed" in metafunc.function.__name__ else "input.csv"
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
    """The tally of the case's source."""
    return tallies[case.source]


@pytest.fixture
def clean_count(case: Case) -> list[int]:
    """Cases of the case's source whose results are right, and all cases."""
    return clean[case.source]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what agreed, by source."""
    if not tallies and not clean:
        return
    terminalreporter.section("conformance")
    terminalreporter.line(f"{'source':44} {'cases right':>13} {'fuzzed rows agreeing':>24} {'on purpose':>11}")
    for source in sorted({*tallies, *clean}):
        right, cases = clean[source]
        tally = tallies[source]
        terminalreporter.line(
            f"{source:44} {f'{right}/{cases}':>13} {f'{tally.agreed}/{tally.rows}':>24} {tally.excused:>11}"
        )
    agreed, rows = sum(item.agreed for item in tallies.values()), sum(item.rows for item in tallies.values())
    right, cases = (sum(item[position] for item in clean.values()) for position in (0, 1))
    excused = sum(item.excused for item in tallies.values())
    terminalreporter.line(f"{'all':44} {f'{right}/{cases}':>13} {f'{agreed}/{rows}':>24} {excused:>11}")
    terminalreporter.line(f"{time.monotonic() - _started:.0f} s")
