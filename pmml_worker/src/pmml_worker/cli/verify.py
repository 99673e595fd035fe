"""`pmml-worker verify`: whether a model gives the results that its own document expects."""

import argparse
from pathlib import Path

from pmml_worker.cli.document import load_file

HELP = "score the rows of a document's ModelVerification and compare the results with those that it expects"

_SHOWN = 20
"""Differences that are listed before the rest is counted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help="PMML document")


def run(arguments: argparse.Namespace) -> int:
    """Print what came of it; return the exit status, 1 if a result is not as expected."""
    failed = False
    for path in arguments.models:
        found = load_file(path).verify()
        failed = failed or not found.passed
        print(f"{path}: {found.checked} results of {found.rows} rows, {len(found.differences)} not as expected")
        for difference in found.differences[:_SHOWN]:
            print(f"  {difference}")
        if len(found.differences) > _SHOWN:
            print(f"  and {len(found.differences) - _SHOWN} more")
        if found.ignored:
            print(f"  not compared, for the model knows no such field: {', '.join(found.ignored)}")
    return int(failed)
