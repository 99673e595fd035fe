#!/usr/bin/env python3
"""Run stages one after the other, and say at the end how long each took and what the test runners counted.

    stages.py [--keep-going] NAME=COMMAND ...

Each COMMAND is run by the shell; its output is shown as it comes. Without --keep-going the first stage that fails ends
the run. The last line is that of a test runner: the counts of all pytest runs of all stages together, where a stage
that failed without any failed test counts as one error. Exit status: 0 if every stage succeeded, otherwise 1.

Only the standard library is used, so that it runs before the virtual environment exists.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass

CLOSING_LINE = re.compile(r"^=+ (?P<counts>\d+ \w+(?:, \d+ \w+)*) in [\d.]+s\b.*=+$")
COUNT = re.compile(r"(\d+) (passed|failed|error|skipped|xfailed|xpassed)")
ANSI_COLOUR = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True)
class Stage:
    """A finished stage: its name, wall-clock seconds, exit status and the tests that pytest counted in it."""

    name: str
    seconds: float
    status: int
    tests: Counter[str]


def counts(line: str) -> Counter[str]:
    """Return what pytest's closing line counts, by outcome; nothing for any other line."""
    found = CLOSING_LINE.match(ANSI_COLOUR.sub("", line.rstrip()))
    return Counter({outcome: int(number) for number, outcome in COUNT.findall(found["counts"])} if found else {})


def run(name: str, command: str) -> Stage:
    """Run one stage with its output shown."""
    print(f"\n==> {name}", flush=True)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if sys.stdout.isatty():
        environment |= {"ANSIBLE_FORCE_COLOR": "1"}
    start = time.monotonic()
    tests: Counter[str] = Counter()
    with subprocess.Popen(
        command,
        shell=True,
        env=environment,
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            tests += counts(line)
    return Stage(name, time.monotonic() - start, process.returncode, tests)


def report(stages: list[Stage]) -> str:
    """Return the table of the stages and, where any test ran or any stage failed, the closing line."""
    width = max(len("stage"), *(len(stage.name) for stage in stages))
    rows = [f"{'stage':<{width}}  seconds  tests  result"]
    rows += [
        f"{stage.name:<{width}}  {stage.seconds:7.1f}  {stage.tests.total():5}  {'failed' if stage.status else 'ok'}"
        for stage in stages
    ]
    total = sum((stage.tests for stage in stages), Counter[str]())
    total["error"] += sum(1 for s in stages if s.status and not s.tests["failed"] + s.tests["error"])
    outcomes = ["failed", "passed", "skipped", "xfailed", "xpassed", "error"]
    summary = ", ".join(f"{total[outcome]} {outcome}" for outcome in outcomes if total[outcome] or outcome == "passed")
    seconds = sum(stage.seconds for stage in stages)
    if total.total():
        rows.append(f"{f' {summary} in {seconds:.2f}s ':=^80}")
    return "\n".join(rows)


def main() -> int:
    """Run the stages named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep-going", action="store_true", help="run the other stages after one failed")
    parser.add_argument("stages", nargs="+", metavar="NAME=COMMAND")
    arguments = parser.parse_args()
    stages: list[Stage] = []
    for stage in arguments.stages:
        name, separator, command = stage.partition("=")
        if not separator:
            parser.error(f"'{stage}' is no stage; give NAME=COMMAND")
        stages.append(run(name, command))
        if stages[-1].status and not arguments.keep_going:
            break
    print(f"\n{report(stages)}")
    return 1 if any(stage.status for stage in stages) else 0


if __name__ == "__main__":
    sys.exit(main())
