"""Errors that are the user's to mend: told by name, value and remedy, and without a traceback."""


class WorkerError(Exception):
    """Root of this package's errors; the command line prints its text and exits with status 1."""
