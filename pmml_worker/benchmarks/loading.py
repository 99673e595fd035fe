"""Measures how long a document takes to load, and how much memory the process has needed by then.

    python benchmarks/loading.py forest.pmml              # writes the forest first, if it is not there
    python benchmarks/loading.py --document any.pmml

The forest has 500 trees of depth 12 over 30 features and 208 MB, laid out as scikit-learn's converter does: a node has
its predicate, and a leaf a distribution of three classes. It is drawn with a fixed seed.
"""

import argparse
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path

TREES, FEATURES, DEPTH, CLASSES = 500, 30, 12, ("setosa", "versicolor", "virginica")


def node(draw: random.Random, number: Iterator[int], predicate: str, depth: int, records: int) -> Iterator[str]:
    """The lines of a node and all below it."""
    indent = "\t" * (depth + 5)
    counts = [draw.randint(0, records) for _ in CLASSES]
    score = CLASSES[counts.index(max(counts))]
    yield f'{indent}<Node id="{next(number)}" score="{score}" recordCount="{sum(counts)}">\n{indent}\t{predicate}\n'
    if depth < DEPTH and records > 4 and (depth < 5 or draw.random() < 0.738):
        field = f'field="x{draw.randrange(FEATURES)}"'
        threshold = draw.gauss(0.0, 1.0)
        share = draw.uniform(0.2, 0.8)
        for operator, part in (("lessOrEqual", share), ("greaterThan", 1 - share)):
            test = f'<SimplePredicate {field} operator="{operator}" value="{threshold!r}"/>'
            yield from node(draw, number, test, depth + 1, int(records * part))
    else:
        for name, count in zip(CLASSES, counts, strict=True):
            yield f'{indent}\t<ScoreDistribution value="{name}" recordCount="{count}.0"/>\n'
    yield f"{indent}</Node>\n"


def count() -> Iterator[int]:
    """1, 2, 3 and so on."""
    number = 0
    while True:
        number += 1
        yield number


def forest(seed: int = 4, trees: int = TREES) -> Iterator[str]:
    """The pieces of the forest's document."""
    draw = random.Random(seed)
    names = [f"x{index}" for index in range(FEATURES)]
    fields = "".join(f'\t\t<DataField name="{name}" optype="continuous" dataType="double"/>\n' for name in names)
    values = "".join(f'<Value value="{name}"/>' for name in CLASSES)
    schema = "".join(f'<MiningField name="{name}"/>' for name in names)
    yield (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4">\n\t<Header/>\n\t<DataDictionary>\n'
        f'{fields}\t\t<DataField name="y" optype="categorical" dataType="string">{values}</DataField>\n'
        '\t</DataDictionary>\n\t<MiningModel functionName="classification">\n'
        f'\t\t<MiningSchema><MiningField name="y" usageType="target"/>{schema}</MiningSchema>\n'
        '\t\t<Segmentation multipleModelMethod="average">\n'
    )
    for tree in range(trees):
        yield (
            f'\t\t\t<Segment id="{tree + 1}">\n\t\t\t\t<True/>\n\t\t\t\t<TreeModel functionName="classification" '
            f'splitCharacteristic="binarySplit">\n\t\t\t\t\t<MiningSchema>{schema}</MiningSchema>\n'
        )
        yield from node(draw, count(), "<True/>", 0, 100_000)
        yield "\t\t\t\t</TreeModel>\n\t\t\t</Segment>\n"
    yield "\t\t</Segmentation>\n\t</MiningModel>\n</PMML>\n"


def main() -> None:
    """Load, and tell seconds and megabytes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("forest", type=Path, nargs="?", help="where the forest is, or is to be written")
    parser.add_argument("--document", type=Path, help="load this document instead")
    arguments = parser.parse_args()
    path = arguments.document or arguments.forest
    if path is None:
        parser.error("name the forest's file or a document")
    if not path.exists() and arguments.document is None:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(forest())
        parser.exit(message=f"wrote {path}, {path.stat().st_size / 1e6:.0f} MB; run again to load it\n")

    from pmml_worker import load
    from pmml_worker.schema import parse

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    start = time.perf_counter()
    load(path)
    total = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    start = time.perf_counter()
    with path.open("rb") as file:
        parse(file)
    parsing = time.perf_counter() - start
    size = path.stat().st_size / 1e6
    print(f"{size:.1f} MB: loaded in {total:.2f} s, parsed again in {parsing:.2f} s")
    print(f"peak of the process {peak:.0f} MB, of which {before:.0f} MB before")


if __name__ == "__main__":
    main()
