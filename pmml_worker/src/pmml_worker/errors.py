"""Errors that are the user's to mend: told by name, value and remedy, and without a traceback."""

from typing import Any


class WorkerError(Exception):
    """Root of this package's errors; the command line prints its text and exits with status 1."""


class SchemaError(WorkerError):
    """A document is not well-formed, not PMML, or uses what this engine does not support.

    Attributes:
        line: line of the document, counted from 1, or None if the whole document is meant.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


class TableError(WorkerError):
    """A table cannot be read, or is not of a kind that can be scored."""


class ScoringError(WorkerError):
    """A row has no result because the standard, or the model, calls its values an error.

    Attributes:
        row: the row's position in the table, counted from 0, or None if no single row is meant.
        field: the field at fault, if one is.
        value: the offending value, if there is one.
        element: the PMML element that refused it, with its line.
    """

    def __init__(
        self,
        message: str,
        *,
        row: int | None = None,
        field: str | None = None,
        value: Any = None,
        element: str | None = None,
    ) -> None:
        where = "" if row is None else f"row {row}: "
        super().__init__(f"{where}{message}" + (f" ({element})" if element else ""))
        self.message = message
        self.row = row
        self.field = field
        self.value = value
        self.element = element
