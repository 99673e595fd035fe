"""`pmml-worker inspect`: what a model takes and gives, and how it predicts."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from pmml_worker.cli.document import load_file
from pmml_worker.engine import Field

HELP = "show a model's fields, with their types and ranges, and its segments as a tree"

_SHOWN = 8
"""Values of a field that are listed before the rest is counted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="PMML document")


def run(arguments: argparse.Namespace) -> int:
    """Print the model's fields; return the exit status."""
    model = load_file(arguments.model)
    print(f"PMML {model.version}  {model.element}  {model.function}" + (f'  "{model.name}"' if model.name else ""))
    for title, fields in (("inputs", model.inputs), ("outputs", model.outputs)):
        print(f"\n{title}:")
        _print(fields)
    print(f"\n{model.explain()}")
    return 0


def _print(fields: Iterable[Field]) -> None:
    rows = [(field.name, field.data_type, field.optype, _range(field)) for field in fields]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    for row in rows:
        padded = [text.ljust(width) for text, width in zip(row[:3], widths, strict=True)]
        print("  ".join(("", *padded, row[3])).rstrip())


def _range(field: Field) -> str:
    more = len(field.values) - _SHOWN
    listed = ", ".join(field.values[:_SHOWN]) + (f", and {more} more" if more > 0 else "")
    return "; ".join(part for part in (" ".join(field.intervals), listed) if part)
