"""Transactions: the items that rows, or groups of rows, hold (AssociationRules, Sequence)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.schema.association import Item
from pmml_worker.schema.elements import ModelElement
from pmml_worker.transform.column import Bools, Codes, Column, Ints, first_fault, to_text
from pmml_worker.transform.scope import Environment, Scope


def group_field(model: ModelElement, environment: Environment) -> str | None:
    """The field whose value the rows of a transaction (or of a group of them) have in common; None: there is none."""
    fields = model.mining_schema.fields
    names = [field.name for field in fields if field.usage_type == "group" and environment.find(field.name)]
    return names[0] if names else None


def group_rows(column: Column | None, rows: int) -> Ints:
    """Shape (rows,): the group of each row, counted from 0; a row whose group is missing is a group of its own."""
    if column is None:
        return np.arange(rows)
    _, codes = np.unique(column.values, return_inverse=True)
    keys = np.where(column.is_missing(), np.arange(rows), rows + codes)
    groups: Ints = np.unique(keys, return_inverse=True)[1]
    return groups


@dataclass(frozen=True, slots=True)
class Holdings:
    """Which rows hold which items: `items` and `rows`, shape (holdings,), by row; and faults of the rows."""

    items: Ints
    rows: Ints
    fault: Codes | None


def elements_of(text: str) -> list[str]:
    """The items of a cell: of a list in JSON, or the cell's only one."""
    if text.startswith("["):
        try:
            return [item if isinstance(item, str) else json.dumps(item) for item in json.loads(text, strict=False)]
        except ValueError:
            pass
    return [text]


class ItemReader:
    """Finds the items of rows.

    An item that names a field is held where that field has its category. Any other is held, in a model whose rows are
    grouped, where the item field (the active one) is or lists its value; else where the field of its name is true, or,
    if it is called `field=category`, where the field has that category.

    Raises:
        SchemaError: an item names a field that the model does not know, or names none where several might be meant.
    """

    def __init__(self, items: Sequence[Item], model: ModelElement, environment: Environment) -> None:
        active = [field.name for field in model.mining_schema.fields if field.usage_type == "active"]
        is_grouped = group_field(model, environment) is not None
        self.fields: dict[str, dict[str, list[int]]] = {}
        for position, item in enumerate(items):
            name, category = self._meant(item, active, is_grouped)
            if name is None:
                continue
            environment.type_of(name, item)
            self.fields.setdefault(name, {}).setdefault(category, []).append(position)

    @staticmethod
    def _meant(item: Item, active: Sequence[str], is_grouped: bool) -> tuple[str | None, str]:
        if item.field is not None:
            if item.category is None:
                raise SchemaError(f'<Item> "{item.id}" names a field but no category', item.line)
            return item.field, item.category
        if is_grouped or (len(active) == 1 and item.value != active[0] and not item.value.startswith(f"{active[0]}=")):
            if len(active) != 1:
                raise SchemaError(
                    f'<Item> "{item.id}" needs a field: the model has {len(active)} active ones', item.line
                )
            return active[0], item.value
        if item.value in active:
            return item.value, "true"
        name = next((name for name in active if item.value.startswith(f"{name}=")), None)
        return name, item.value[len(name) + 1 :] if name else ""

    def read(self, scope: Scope) -> Holdings:
        """Which rows of a block hold which items."""
        items, rows = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        fault: Codes | None = None
        for name, known in self.fields.items():
            column = scope.column(name)
            fault = first_fault(fault, column.fault)
            texts = to_text(column)
            found = [
                [position for element in elements_of(text) for position in known.get(element, ())]
                for text in texts.categories or ("",)
            ]
            counts = np.array([len(positions) for positions in found], np.int64)
            starts = np.cumsum(counts) - counts
            flat = np.array([position for positions in found for position in positions], np.int64)
            many = np.where(column.is_missing(), 0, counts[texts.values])
            where = np.repeat(np.arange(scope.rows), many)
            within = np.arange(len(where)) - np.repeat(np.cumsum(many) - many, many)
            items.append(flat[np.repeat(starts[texts.values], many) + within])
            rows.append(where)
        return Holdings(np.concatenate(items), np.concatenate(rows), fault)


_CHUNK = 1 << 24
"""Entries of a table of items and transactions that is held in memory at once."""


def tables(held: Ints, transactions: Ints, items: int, count: int) -> Iterator[Bools]:
    """Which items each transaction holds: tables of shape (items, transactions), piece by piece, in their order.

    Args:
        held: shape (holdings,), items.
        transactions: shape (holdings,), which transaction holds them.
        items: the number of items.
        count: the number of transactions.
    """
    order = np.argsort(transactions, kind="stable")
    held, transactions = held[order], transactions[order]
    size = max(1, _CHUNK // max(items, 1))
    for start in range(0, max(count, 1), size):
        stop = min(start + size, count)
        low, high = np.searchsorted(transactions, (start, stop))
        table = np.zeros((items, stop - start), np.bool_)
        table[held[low:high], transactions[low:high] - start] = True
        yield table
