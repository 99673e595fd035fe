"""Documents named on the command line."""

from pathlib import Path

from pmml_worker.engine import Model, load
from pmml_worker.errors import SchemaError, TableError


def load_file(path: Path) -> Model:
    """Load a model; errors name the file.

    Raises:
        TableError: the file cannot be read.
        SchemaError: it is no PMML document that can be scored.
    """
    try:
        return load(path)
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}") from None
    except SchemaError as error:
        raise SchemaError(f"{path}: {error}") from None
