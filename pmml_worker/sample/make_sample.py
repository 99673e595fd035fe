"""Make the sample: orders, a random forest grown on them, and what the forest predicts of each.

Writes sample.tsv and sample.rf.xml beside itself. The case is that of Paco Nathan's 2013 talk: three binary variables
of an order and a label; a forest of 50 trees in PMML 4.0, in the form in which R's packages randomForest and pmml write
it. The column `predict` comes from the forest as grown here, in memory, never from the document or a PMML engine.

Usage: python make_sample.py
"""

import random
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

SEED = 2013
ROWS = 200
TREES = 50
TRIED_PER_SPLIT = 2
VARIABLES = ("var0", "var1", "var2")

Order = tuple[int, ...]


@dataclass(frozen=True)
class Tree:
    """A tree: a leaf's label, or the variable that is split at 0.5 and both branches."""

    label: str = ""
    variable: int = 0
    low: "Tree | None" = None
    high: "Tree | None" = None


def make_orders(chance: random.Random) -> list[tuple[str, Order]]:
    """Labels that mostly follow var0 and not var2, with noise; shape: ROWS pairs of a label and three 0 or 1."""
    orders = []
    for _ in range(ROWS):
        values = tuple(int(chance.random() < share) for share in (0.45, 0.55, 0.5))
        leaning = 0.15 + 0.55 * values[0] - 0.35 * values[2] + 0.25 * values[1]
        orders.append(("1" if chance.random() < leaning else "0", values))
    return orders


def gini(labels: list[str]) -> float:
    """Gini impurity times the number of labels."""
    ones = labels.count("1")
    return 2.0 * ones * (len(labels) - ones) / len(labels) if labels else 0.0


def grow(orders: list[tuple[str, Order]], chance: random.Random) -> Tree:
    """Grow an unpruned tree, as randomForest does: at each node the best of a few variables drawn by lot."""
    labels = [label for label, _ in orders]
    majority = max(("0", "1"), key=labels.count)
    best: tuple[float, int] | None = None
    if 0 < labels.count("1") < len(labels):
        for variable in chance.sample(range(len(VARIABLES)), TRIED_PER_SPLIT):
            parts = [[label for label, values in orders if values[variable] == side] for side in (0, 1)]
            if all(parts):
                impurity = sum(gini(part) for part in parts)
                best = min(best or (impurity, variable), (impurity, variable))
    if best is None:
        return Tree(label=majority)
    low, high = (
        grow([(label, values) for label, values in orders if values[best[1]] == side], chance) for side in (0, 1)
    )
    return Tree(variable=best[1], low=low, high=high)


def decide(tree: Tree, values: Order) -> str:
    """The label that one tree gives."""
    while tree.low is not None and tree.high is not None:
        tree = tree.high if values[tree.variable] > 0.5 else tree.low
    return tree.label


def predict(forest: list[Tree], values: Order) -> str:
    """The label that most trees give.

    Raises:
        RuntimeError: as many trees say one as the other; take another seed, as engines may break ties as they like.
    """
    ones = sum(decide(tree, values) == "1" for tree in forest)
    if 2 * ones == len(forest):
        raise RuntimeError(f"a tie at {values}: choose another seed")
    return "1" if 2 * ones > len(forest) else "0"


def write_node(tree: Tree, predicate: str, number: int, indent: int, lines: list[str]) -> None:
    """Write a node; children of node n are 2n and 2n+1."""
    pad = " " * indent
    score = f' score="{tree.label}"' if tree.low is None else ""
    lines += [f'{pad}<Node id="{number}"{score}>', f"{pad} {predicate}"]
    if tree.low is not None and tree.high is not None:
        field = quoteattr(VARIABLES[tree.variable])
        for branch, operator, child in ((tree.low, "lessOrEqual", 0), (tree.high, "greaterThan", 1)):
            test = f'<SimplePredicate field={field} operator="{operator}" value="0.5"/>'
            write_node(branch, test, 2 * number + child, indent + 1, lines)
    lines.append(f"{pad}</Node>")


def write_schema(indent: int, lines: list[str]) -> None:
    """Write the mining schema."""
    pad = " " * indent
    lines.append(f"{pad}<MiningSchema>")
    lines.append(f'{pad} <MiningField name="label" usageType="predicted"/>')
    lines += [f'{pad} <MiningField name="{name}" usageType="active"/>' for name in VARIABLES]
    lines.append(f"{pad}</MiningSchema>")


def write_document(forest: list[Tree]) -> str:
    """Write the forest as PMML 4.0."""
    lines = [
        '<?xml version="1.0"?>',
        '<PMML version="4.0" xmlns="http://www.dmg.org/PMML-4_0">',
        ' <Header copyright="Apache-2.0" description="Random Forest Tree Model">',
        '  <Application name="Scoreyard sample generator"/>',
        " </Header>",
        f' <DataDictionary numberOfFields="{len(VARIABLES) + 1}">',
        '  <DataField name="label" optype="categorical" dataType="string">',
        '   <Value value="0"/>',
        '   <Value value="1"/>',
        "  </DataField>",
        *(f'  <DataField name="{name}" optype="continuous" dataType="double"/>' for name in VARIABLES),
        " </DataDictionary>",
        ' <MiningModel modelName="randomForest_Model" functionName="classification">',
    ]
    write_schema(2, lines)
    lines.append('  <Segmentation multipleModelMethod="majorityVote">')
    for number, tree in enumerate(forest, 1):
        lines += [
            f'   <Segment id="{number}">',
            "    <True/>",
            '    <TreeModel modelName="randomForest_Model" functionName="classification" algorithmName="randomForest"'
            ' splitCharacteristic="binarySplit">',
        ]
        write_schema(5, lines)
        write_node(tree, "<True/>", 1, 5, lines)
        lines += ["    </TreeModel>", "   </Segment>"]
    lines += ["  </Segmentation>", " </MiningModel>", "</PMML>", ""]
    return "\n".join(lines)


def main() -> None:
    """Write both files."""
    chance = random.Random(SEED)
    orders = make_orders(chance)
    forest = [grow(chance.choices(orders, k=ROWS), chance) for _ in range(TREES)]
    rows = ["\t".join(("label", *VARIABLES, "order_id", "predict"))]
    for number, (label, values) in enumerate(orders):
        order_id = f"{0x6F8E1014 + 997 * number + chance.randrange(997):08x}"
        rows.append("\t".join((label, *map(str, values), order_id, predict(forest, values))))
    here = Path(__file__).parent
    (here / "sample.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (here / "sample.rf.xml").write_text(write_document(forest), encoding="utf-8")


if __name__ == "__main__":
    main()
