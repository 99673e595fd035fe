"""The `pmml-worker` command: hands its arguments to one face, which alone is imported."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from pmml_worker.errors import WorkerError

COMMANDS = {
    "score": "pmml_worker.cli.score",
    "inspect": "pmml_worker.cli.inspect",
    "verify": "pmml_worker.cli.verify",
    "serve": "pmml_worker.http.serve",
    "scheduler": "pmml_worker.scheduler.service",
    "spark-score": "pmml_worker.spark.score",
}
"""Subcommand -> module with a one-line `HELP`, `add_arguments(parser)` and `run(arguments) -> exit status`."""

EXTRAS = {"serve": "http", "scheduler": "scheduler"}


def load_face(command: str) -> ModuleType:
    """Import the module behind a subcommand.

    Raises:
        WorkerError: a distribution that the subcommand needs is not installed.
    """
    try:
        return importlib.import_module(COMMANDS[command])
    except ModuleNotFoundError as error:
        extra = EXTRAS.get(command)
        remedy = f"install pmml-worker[{extra}]" if extra else "reinstall pmml-worker"
        raise WorkerError(f"{command}: the Python module {error.name} is missing; {remedy}") from error


def _help_line(command: str) -> str:
    try:
        return str(load_face(command).HELP)
    except WorkerError as error:
        return f"(unavailable: {error})"


def build_parser(command: str | None) -> argparse.ArgumentParser:
    """Make the parser; only `command` gets its arguments, or every command a line of help if it is None."""
    parser = argparse.ArgumentParser(prog="pmml-worker", description="Score PMML models.")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    if command is None:
        for name in COMMANDS:
            subparsers.add_parser(name, help=_help_line(name))
    else:
        face = load_face(command)
        subparser = subparsers.add_parser(command, help=face.HELP, description=face.HELP)
        face.add_arguments(subparser)
        subparser.set_defaults(run=face.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the process's exit status (1: an error told on stderr, 2: wrong usage)."""
    argv = sys.argv[1:] if argv is None else list(argv)
    try:
        arguments = build_parser(argv[0] if argv and argv[0] in COMMANDS else None).parse_args(argv)
        return int(arguments.run(arguments))
    except WorkerError as error:
        print(f"pmml-worker: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of standard output has enough; Python must not complain of it when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
