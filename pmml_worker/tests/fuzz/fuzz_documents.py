"""Loads and scores mutated documents: whatever they hold, the outcome is a result or one of the package's own errors.

    PYTHONPATH=src python tests/fuzz/fuzz_documents.py parser|engine [options of libFuzzer] FOLDER [FOLDER ...]

`parser` only reads them. New inputs that reach new code are written to the first folder; documents in the others are
where mutations start from.
Needs the extra `fuzz`.
"""

import random
import sys
import warnings
import xml.etree.ElementTree as ET
from copy import deepcopy
from typing import Any

import atheris

with atheris.instrument_imports(include=["pmml_worker"]):
    from pmml_worker import Model, load
    from pmml_worker.errors import WorkerError
    from pmml_worker.schema import parse

warnings.simplefilter("error")

WORDS = [
    "0", "1", "-1", "2", "0.5", "1e308", "-1e308", "1e-320", "1e400", "NaN", "INF", "-INF", "99999999999999999999",
    "true", "false", "x", "y", "a", "isIn", "sum", "average", "modelChain", "categorical", "continuous", "ordinal",
    "string", "integer", "double", "float", "boolean", "date", "time", "dateTime", "dateDaysSince[1970]", "2020-02-29",
    "12:00:00", "classification", "regression", "clustering", "active", "target", "asMissing", "returnInvalid", "é😀",
    "probability", "transformedValue", "reasonCode", "entityId", "affinity", "softmax", "logit", "+", "if", "substring",
]  # fmt: skip
"""Values that attributes and texts are changed to."""

CELLS: list[Any] = [None, 0.0, 1.0, -1.5, 3.0, 1e308, -1e308, float("inf"), float("nan"), 5e-324]
TEXTS: list[Any] = [None, "a", "1", "0.5", "", "2020-02-29", "12:00:00", "2020-02-29T12:00:00", "true", "é\U0001f600"]


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Change elements where the document is well-formed, bytes otherwise and now and then."""
    draw = random.Random(seed)
    try:
        root = ET.fromstring(data)
    except (ET.ParseError, LookupError, ValueError):  # The latter two are unknown encodings.
        root = None
    if root is None or draw.random() < 0.1:
        return bytes(atheris.Mutate(data, max_size))
    for _ in range(draw.randint(1, 3)):
        change(root, draw)
    return ET.tostring(root)[:max_size]


def change(root: ET.Element, draw: random.Random) -> None:
    """One change somewhere."""
    parents = [element for element in root.iter() if len(element)]
    if not parents:
        return
    parent = draw.choice(parents)
    position = draw.randrange(len(parent))
    child = parent[position]
    match draw.randrange(8):
        case 0:
            parent.remove(child)
        case 1:
            parent.insert(draw.randrange(len(parent) + 1), deepcopy(child))
        case 2:
            other = draw.choice(parents)
            parent[position] = deepcopy(other)
        case 3:
            draw.choice(parents).append(deepcopy(child))
        case 4 | 5 if child.attrib:
            child.set(draw.choice(list(child.attrib)), draw.choice(WORDS))
        case 6 if child.attrib:
            del child.attrib[draw.choice(list(child.attrib))]
        case _:
            words = (child.text or "").split()
            if words:
                words[draw.randrange(len(words))] = draw.choice(WORDS)
                child.text = " ".join(words)
            elif child.attrib:
                names = [name for element in root.iter() for name in element.attrib]
                child.set(draw.choice(names), draw.choice(WORDS))


def rows(model: Model) -> list[dict[str, Any]]:
    """Some rows for the model's inputs, of numbers or of texts."""
    return [
        {
            field.name: cells[(row + column) % len(cells)]
            for column, field in enumerate(model.inputs)
            for cells in (CELLS if field.data_type in ("double", "float", "integer") and row % 4 else TEXTS,)
        }
        for row in range(12)
    ]


def check(data: bytes) -> None:
    """Load and score a document; raises only what is not the package's own error."""
    try:
        model = load(data)
        model.score(rows(model), errors="collect")
    except WorkerError:
        return


def check_parser(data: bytes) -> None:
    """Read a document; raises only what is not the package's own error."""
    try:
        parse(data)
    except WorkerError:
        return


if __name__ == "__main__":
    targets = {"parser": check_parser, "engine": check}
    atheris.Setup([sys.argv[0], *sys.argv[2:]], targets[sys.argv[1]], custom_mutator=mutate)
    atheris.Fuzz()
