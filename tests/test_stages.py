"""tools/stages.py: runs stages, times them, adds up what pytest counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import stages

STAGES = Path(stages.__file__)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, STAGES, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("===== 3 passed in 0.12s =====", {"passed": 3}),
        ("= 1 failed, 2 passed, 1 warning in 62.31s (0:01:02) =", {"failed": 1, "passed": 2}),
        ("\x1b[31m==== \x1b[31m\x1b[1m2 errors\x1b[0m\x1b[31m in 1.00s\x1b[0m\x1b[31m ====\x1b[0m", {"error": 2}),
        ("3 passed in the last run", {}),
    ],
)
def test_only_the_closing_line_of_pytest_is_counted(line: str, expected: dict[str, int]) -> None:
    assert stages.counts(line) == expected


def test_tests_of_all_stages_are_added_up_in_the_last_line() -> None:
    done = run("a=echo '== 3 passed in 0.10s =='", "b=echo '== 4 passed, 1 skipped in 0.10s =='")
    assert done.returncode == 0
    assert " 7 passed, 1 skipped in " in done.stdout.splitlines()[-1]


def test_the_first_failure_ends_the_run() -> None:
    done = run("a=exit 3", "b=echo reached")
    assert done.returncode == 1
    assert "reached" not in done.stdout


def test_with_keep_going_the_other_stages_run_and_the_run_still_fails() -> None:
    done = run("--keep-going", "a=exit 3", "b=echo reached; echo '== 1 passed in 0.10s =='")
    assert done.returncode == 1
    assert "reached" in done.stdout
    assert " 1 passed, 1 error in " in done.stdout.splitlines()[-1]


def test_a_stage_whose_tests_failed_adds_no_error_of_its_own() -> None:
    done = run("a=echo '== 2 failed in 0.10s =='; exit 1")
    assert " 2 failed, 0 passed in " in done.stdout.splitlines()[-1]
